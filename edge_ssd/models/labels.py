"""Class names: read from a text file or from the metadata inside a model file."""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path

from edge_ssd.errors import ModelError
from edge_ssd.models.flatbuffer import Data

log = logging.getLogger(__name__)

Labels = tuple[str | None, ...]

COCO_CLASSES = 90
"""TensorFlow's COCO detectors number their 80 classes from 1 to 90, with gaps."""

_REMEDY = "give a text file with one name a line"
_UNUSED = {"", "???", "n/a", "na", "none", "unused"}
_BACKGROUND = {"", "???", "background", "__background__", "bg", "unlabeled"}


def parse(text: str) -> list[str]:
    """Return one name a line, in order; empty lines at the end do not count."""
    lines = [line.strip() for line in text.lstrip("\ufeff").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def read(path: Path) -> list[str]:
    """Read a label file. Raises ModelError when it cannot be read or is empty."""
    try:
        lines = parse(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ModelError(f"labels {path} cannot be read: {reason}", _REMEDY) from None
    if not lines:
        raise ModelError(f"labels {path} is empty", _REMEDY)
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


def fit(lines: Sequence[str | None], classes: int, origin: str) -> Labels:
    """Match names to ``classes`` classes (background not counted); unused ids become None.

    A first line that stands for the background is dropped where the count shows that it is
    there. Raises ModelError when the counts do not fit.
    """
    names = [None if (line or "").strip().lower() in _UNUSED else line for line in lines]
    first = (lines[0] or "").strip().lower() if lines else ""
    if len(lines) == classes + 1 and first in _BACKGROUND:
        return tuple(names[1:])
    if len(lines) == classes:
        return tuple(names)
    raise ModelError(
        f"{origin} has {len(lines)} labels and the model {classes} classes",
        "give the labels the model was trained with, one a line, with or without background",
    )
