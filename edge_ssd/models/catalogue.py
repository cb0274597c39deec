"""Names of models: bundled, pulled, and available for download."""

from __future__ import annotations

import difflib
import json
import logging
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edge_ssd import DEFAULT_MODEL
from edge_ssd.errors import ModelError
from edge_ssd.files import hidden, is_file, remedy
from edge_ssd.models import manifest

BUNDLED = Path(__file__).parent / "data"
OFFERS = BUNDLED / "catalogue.json"
SYSTEM = Path("/var/lib/edge-ssd/models")
DEFAULT = DEFAULT_MODEL

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Member:
    """The model inside a zip archive: its entry's name, hash and size in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that can be pulled; one entry of ``data/catalogue.json``.

    sha256, size (bytes): of what the URL serves; None where its publisher names none.
    git_blob: git's object id of it, where the URL is a commit of a git repository.
    member: the model inside, when the URL serves a zip archive.
    labels_of: the bundled model that has the same labels.
    map: COCO mAP from 0 to 1, measured as ``map_source`` describes; None where not measured.
    """

    name: str
    description: str
    url: str
    sha256: str | None
    git_blob: str | None
    size: int | None
    member: Member | None
    licence: str
    labels_of: str
    map: float | None
    map_source: str | None
    notes: str

    @property
    def model_sha256(self) -> str | None:
        """The hash of the model itself, where one is published."""
        return self.member.sha256 if self.member else self.sha256

    def described(self) -> dict[str, Any]:
        """Return the entries of its manifest that are known before it is pulled."""
        return {
            "schema": manifest.SCHEMA,
            "name": self.name,
            "description": self.description,
            "file": {"sha256": self.model_sha256, "size": (self.member or self).size},
            "origin": {"url": self.url},
            "licence": self.licence,
            "map": {"value": self.map, "source": self.map_source},
            "notes": self.notes,
        }


@cache
def bundled() -> dict[str, Path]:
    """Return the bundled models' files by name."""
    return {path.stem: path for path in sorted(BUNDLED.glob("*.tflite"))}


def describe(name: str) -> manifest.Entry:
    """Return the manifest of a bundled model."""
    return manifest.read(bundled()[name].with_suffix(".json"))


def bundled_sha256(name: str) -> str:
    """Return the hash in the manifest of a bundled model."""
    return describe(name).entry("file").get("sha256", str)


@cache
def offers() -> dict[str, Offer]:
    """Return what can be pulled, by name."""
    entries = json.loads(OFFERS.read_text("utf-8"))["models"]
    for values in entries.values():
        values["member"] = Member(**values["member"]) if values["member"] else None
    return {name: Offer(name, **values) for name, values in entries.items()}


def folder() -> Path:
    """Return where this user's models are pulled to: as root, where every user finds them."""
    return SYSTEM if os.geteuid() == 0 else _own_folder()


def pulled() -> dict[str, Path]:
    """Return this user's and the system's pulled models by name. An unreadable folder has none."""
    places = (SYSTEM, _own_folder())
    return {path.stem: path for place in places for path in _models_in(place)}


def find(name_or_path: str) -> Path:
    """Return the file of a catalogue name or path. Raises ModelError when there is none."""
    if name_or_path in bundled():
        return bundled()[name_or_path]
    known = pulled()
    if name_or_path in known:
        return known[name_or_path]
    path = Path(os.path.expanduser(name_or_path))  # noqa: PTH111 (pathlib's raises for an unknown user)
    if is_file(path):
        return path
    if os.path.isdir(path):  # noqa: PTH112 (pathlib's raises without permission)
        raise ModelError("it is a folder", "give the .tflite file in it", path)
    if name_or_path in offers():
        problem = f"model {name_or_path} is not on this machine"
        raise ModelError(problem, f"get it with `edge-ssd models pull {name_or_path}`")
    error = hidden(path)
    if error:
        raise ModelError(f"cannot be read: {error.strerror}", remedy(path, error), path)
    near = difflib.get_close_matches(name_or_path, known | bundled() | offers(), n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    problem = f"no model {name_or_path!r}: neither a file nor a name in the catalogue"
    raise ModelError(problem, f"{hint}see `edge-ssd models list`")


def _models_in(place: Path) -> list[Path]:
    try:
        files = [path for path in place.iterdir() if path.suffix == ".tflite"]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        _warn_once(f"the models in {place} cannot be listed: {error.strerror}")
        return []
    return sorted(path for path in files if not path.name.startswith("."))


@cache
def _warn_once(problem: str) -> None:
    log.warning("%s", problem)


def _own_folder() -> Path:
    """Return this user's folder. A service without a home has none: nothing is found there."""
    data = os.environ.get("XDG_DATA_HOME", "")
    base = data if data.startswith("/") else os.path.expanduser("~/.local/share")  # noqa: PTH111
    return Path(base, "edge-ssd", "models")
