"""Keep the choice: in a configuration, or for ``runtime: auto``."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from edge_ssd.commands.tune.candidates import AS_IT_IS, INT8, Candidate, Report
from edge_ssd.config import Config
from edge_ssd.config.editing import edit
from edge_ssd.errors import EdgeSsdError, UsageError
from edge_ssd.files import check_folder, naming, replacing
from edge_ssd.inference import tuned
from edge_ssd.inference.tuned import Choice
from edge_ssd.models import catalogue


def check(found: list[Candidate], path: Path | None) -> None:
    """Raise what ``write`` would, whichever candidate wins, before anything is measured."""
    changes: dict[str, str | int] = {"runtime": found[0].runtime, "threads": found[0].threads}
    for made in {each.path for each in found if each.form != AS_IT_IS}:
        place = _place(made)
        changes["name"] = str(place)
        with naming(place):
            check_folder(place.parent)
    if path:
        edit(path, "model", changes, rehearse=True)
        return
    with naming(tuned.state_file()):
        check_folder(tuned.state_file().parent)


def write(report: Report, options: Config, path: Path | None) -> list[Path]:
    """Set the best candidate in the configuration at ``path``, or keep it for ``auto``.

    Returns the file that was changed, and the int8 file where one was kept. Raises EdgeSsdError
    when the firmware lowered the clock meanwhile, ConfigError, UsageError and PublishError when
    a file cannot be changed; it is whole then.
    """
    if report.slowed:
        raise EdgeSsdError("nothing is written: the clock was lowered", "cool the board first")
    best, state = report.best, tuned.state_file()
    kept = _place(best.path) if best.form == INT8 else None
    if kept:
        with naming(kept):
            check_folder(kept.parent)
            if not kept.exists():
                with replacing(kept) as part:
                    shutil.copyfile(best.path, part)
    if path:
        changes: dict[str, str | int] = {"runtime": best.runtime, "threads": best.threads}
        edit(path, "model", changes | ({"name": str(kept)} if kept else {}))
    else:
        file = (str(kept), tuned.fingerprint(kept)) if kept else ()
        choice = Choice(best.runtime, best.threads, *file)
        tuned.remember(catalogue.find(options.model.name), choice, state)
    return [path or state, *([kept] if kept else [])]


def _place(made: Path) -> Path:
    """Return where a converted model is kept. Its name has its hash: no two models share a place.

    Raises UsageError where another file is, or a manifest that would be taken for the model's.
    """
    content = made.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    place = catalogue.folder() / f"{made.stem}-{sha256[:8]}.tflite"
    manifest = place.with_suffix(".json")
    with naming(place):
        if manifest.exists():
            raise UsageError(f"{manifest} describes another model", "move it away")
        if place.exists() and not (place.is_file() and place.read_bytes() == content):
            raise UsageError(f"{place} is not the file that tune made", "move it away")
    return place
