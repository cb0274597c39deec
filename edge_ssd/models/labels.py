"""Class names: read from a text file or from the metadata inside a model file."""

from __future__ import annotations

import io
import logging
import re
import zipfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from edge_ssd.errors import LabelsError, ModelError, Problem
from edge_ssd.files import remedy
from edge_ssd.models import coco
from edge_ssd.models.flatbuffer import Data
from edge_ssd.models.spec import ModelSpec
from edge_ssd.wording import counted, did_you_mean

log = logging.getLogger(__name__)

Labels = tuple[str | None, ...]

_REMEDY = "give a text file with one name per line"
_EACH_CLASS = "give the labels the model was trained with, one per line, with or without background"
_UNUSED = {"", "???", "n/a", "na", "none", "unused"}
_BACKGROUND_WORDS = {"background", "__background__", "bg", "unlabeled"}
_BACKGROUND = {"", "???", *_BACKGROUND_WORDS}
_NUMBERED = re.compile(r"(\d{1,4})(?:\s+|\s*[:,]\s*)(\S.*)")
_ITEM = re.compile(r"item\s*\{([^}]*)\}")
_ITEM_ID = re.compile(r"\bid\s*:\s*(\d{1,4})\b")
_ITEM_NAME = re.compile(r"""\b(display_name|name)\s*:\s*["']([^"'\n]*)["']""")


def parse(text: str) -> list[str]:
    """Return the names in the order of their ids; an id between them that is not used is empty.

    Three forms: one name per line (empty lines at the end do not count); Coral's ``16  cat``, if
    all lines have it; TensorFlow's ``item { id: 17 name: "cat" }``.
    """
    lines = [line.strip() for line in text.lstrip("\ufeff").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    pairs = [_id_and_name(item) for item in _ITEM.findall(text)]
    if not pairs:
        numbered = [_NUMBERED.fullmatch(line) for line in lines if line]
        pairs = [(int(found[1]), found[2]) if found else None for found in numbered]
    return _by_id(pairs) or lines


def read(path: Path) -> list[str]:
    """Read a label file. Raises ModelError when it cannot be read or is empty."""
    try:
        lines = parse(path.read_text("utf-8"))
    except UnicodeDecodeError:
        raise LabelsError("cannot be read: it is not UTF-8 text", _REMEDY, path) from None
    except OSError as error:
        advice = remedy(path, error) if isinstance(error, PermissionError) else _REMEDY
        raise LabelsError(f"cannot be read: {error.strerror}", advice, path) from None
    if not lines:
        raise LabelsError("it is empty", _REMEDY, path)
    return lines


def packed_in(data: Data) -> list[str]:
    """Return the labels that TFLite metadata packs into a model file, or an empty list."""
    if bytes(data[-65557:]).find(b"PK\x05\x06") < 0:
        return []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                # Only of these two does zipfile bound what a damaged archive unpacks to.
                plain = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
                if plain and info.filename.endswith(".txt") and info.file_size < 1_000_000:
                    return parse(archive.read(info).decode("utf-8", "replace"))
    except Exception as error:  # zipfile raises whatever the bytes lead it to
        log.debug("the model file ends like an archive of labels, and is none: %s", error)
    return []


def class_ids(
    labels: Labels, wanted: Sequence[str], option: str
) -> tuple[list[int], list[Problem]]:
    """Return the class ids of the wanted labels, and a problem for each unknown label.

    option: the option that names them.
    """
    known = {label for label in labels if label}
    problems = [
        Problem(option, f"the model has no label {label!r}{did_you_mean(label, known)}")
        for label in wanted
        if label not in known
    ]
    return [class_id for class_id, label in enumerate(labels) if label in set(wanted)], problems


def of_model(spec: ModelSpec, classes: int) -> Labels:
    """Return one label per class, background not counted.

    Raises LabelsError or ModelError that names the file when the counts do not fit.
    """
    if spec.labels:
        try:
            names, note = match(spec.labels, classes)
        except ModelError as error:
            if spec.labels_path:
                raise LabelsError(error.problem, error.remedy, spec.labels_path) from None
            raise error.of(spec.path) from None
        log.info("%s: %s", spec.labels_path or f"the label list of {spec.name}", note)
        return names
    if classes == coco.CLASSES:
        log.info("%s brings no labels; its %d classes are taken for COCO's", spec.name, classes)
        return coco.labels()
    return (None,) * classes


def match(lines: Sequence[str | None], classes: int) -> tuple[Labels, str]:
    """Return names for ``classes`` classes, unused ids None, and one line on how they match.

    A first line that stands for the background is dropped where the count shows that it is
    there. COCO's 80 names are known with and without the gaps between them.
    Raises ModelError when the count does not fit, or the names are moved by one class.
    """
    count, first = len(lines), (lines[0] or "").strip().lower() if lines else ""
    names = tuple(None if (line or "").strip().lower() in _UNUSED else line for line in lines)
    both = counted(count, "label"), counted(classes, "class")
    if count == classes:
        _check_not_moved(names, first)
        return names, f"{both[0]} for {both[1]}: class 0 is {_quoted(names)}"
    background = first in _BACKGROUND
    if count == classes + 1 and background:
        _check_not_moved(names[1:], "")
        return names[1:], (
            f"{both[0]} for {both[1]} and the background, which the first stands for: "
            f"class 0 is {_quoted(names[1:])}"
        )
    respaced = coco.respaced(names[background:], classes)
    if respaced:
        return respaced, (
            f"{count} labels are COCO's {'without' if classes > count else 'with'} its gaps: "
            f"matched to the model's {both[1]} by name"
        )
    why = {
        1: f": one too many, and the first, {first!r}, does not stand for the background",
        -1: ": one too few; is the first column of the scores the background, and the manifest "
        "denies it?",
    }
    problem = f"{both[0]} do not fit the model's {both[1]}{why.get(count - classes, '')}"
    raise ModelError(problem, _EACH_CLASS)


def _check_not_moved(names: Labels, first: str) -> None:
    """Raise ModelError where the names themselves show that they are off by one."""
    if first in _BACKGROUND_WORDS:
        raise ModelError(
            f"the first label is {first!r} and none is left over: every name would be off by one",
            'remove that line and name every class, or write "background": true into the '
            "model's manifest if the first column of its scores is the background",
        )
    moved = coco.moved_by(names)
    if moved:
        direction = "late" if moved > 0 else "early"
        raise ModelError(
            f"COCO's names are one line too {direction}: class 0 is person, and its line reads "
            f"{_quoted(names)}",
            "begin with person, or with one line for the background before it",
        )


def _quoted(names: Labels) -> str:
    return repr(names[0]) if names and names[0] else "not used"


def _id_and_name(item: str) -> tuple[int, str] | None:
    number, names = _ITEM_ID.search(item), dict(_ITEM_NAME.findall(item))
    name = names.get("display_name") or names.get("name")
    return (int(number[1]), name) if number and name else None


def _by_id(pairs: Sequence[tuple[int, str] | None]) -> list[str] | None:
    """Return the names at their ids; None unless these rise from 0 or 1 and no name comes twice."""
    found = [pair for pair in pairs if pair]
    ids = [number for number, _ in found]
    rising = all(low < high for low, high in pairwise(ids))
    distinct = len({name for _, name in found}) == len(found)  # "1 euro", "2 euro" are names
    if not found or len(found) < len(pairs) or ids[0] > 1 or not rising or not distinct:
        return None
    names = [""] * (ids[-1] + 1)
    for number, name in found:
        names[number] = name.strip()
    return names
