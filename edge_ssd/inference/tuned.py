"""What `edge-ssd tune` found fastest here, and its use where the configuration leaves it open."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from edge_ssd.errors import ModelError, PublishError
from edge_ssd.files import is_file, make_folder, replacing
from edge_ssd.inference import runtime
from edge_ssd.inference.options import ModelOptions
from edge_ssd.models import catalogue

log = logging.getLogger(__name__)

SCHEMA = 2
SYSTEM = Path("/var/lib/edge-ssd/tuned.json")


@dataclass(frozen=True, slots=True)
class Choice:
    """How a model runs fastest. file: what was made of it, None for its own; with its sha256."""

    runtime: str
    threads: int
    file: str | None = None
    sha256: str | None = None


def state_file() -> Path:
    """Return where choices are kept: for the whole system as root, else for this user."""
    if os.geteuid() == 0:
        return SYSTEM
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(os.path.expanduser(home), "edge-ssd", SYSTEM.name)  # noqa: PTH111 (no home)


def machine() -> dict[str, Any]:
    """Return what a choice depends on: the board, its processors, and the runtimes."""
    runtimes = {name: metadata.version(runtime.PACKAGES[name]) for name in runtime.installed()}
    return {"board": _board(), "cpus": len(os.sched_getaffinity(0)), "runtimes": runtimes}


def fingerprint(path: Path) -> str:
    """Return the sha256 of a model file and of any manifest beside it. Raises OSError."""
    found = hashlib.sha256(path.read_bytes())
    manifest = path.with_suffix(".json")
    if is_file(manifest):
        found.update(manifest.read_bytes())
    return found.hexdigest()


def applied(options: ModelOptions, paths: tuple[Path, ...] | None = None) -> ModelOptions:
    """Return the options with the choice made for this model on this machine.

    Only where they leave it open: ``runtime: auto``, no number of threads, no delegate.
    A choice of another machine, or whose file is gone or another, is logged and not used.
    paths: where choices may be; the first file that is there counts.
    """
    if options.runtime != "auto" or options.threads is not None or options.delegate:
        return options
    path = next((path for path in paths or (state_file(), SYSTEM) if is_file(path)), None)
    if path is None:
        return options
    try:
        model = fingerprint(catalogue.find(options.name))
    except (ModelError, OSError):
        return options  # loading it reports what is wrong
    try:
        choice = _find(path, model)
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        log.warning("%s cannot be used (%s): run `edge-ssd tune --write` again", path, error)
        return options
    if choice is None:
        return options
    name = choice.file or options.name
    log.info("tuned: %s on %s, %d thread(s)", name, choice.runtime, choice.threads)
    chosen = {"name": name, "runtime": choice.runtime, "threads": choice.threads}
    return options.model_copy(update=chosen)


def remember(model: Path, choice: Choice, path: Path) -> None:
    """Keep the choice for a model file, beside those for others. Raises PublishError."""
    here, models = machine(), {}
    # The first choice, or nothing that still holds, leaves none.
    with suppress(OSError, ValueError, TypeError, LookupError):
        known = json.loads(path.read_text("utf-8"))
        if known["machine"] == here and known["schema"] == SCHEMA:
            models = dict(known["models"])
    try:
        models[fingerprint(model)] = asdict(choice)
        make_folder(path.parent)
        with replacing(path) as part:
            values = {"schema": SCHEMA, "machine": here, "models": models}
            part.write_text(json.dumps(values, indent=2) + "\n")
    except OSError as error:
        problem = f"{path} cannot be written: {error.strerror}"
        raise PublishError(problem, "run as root, or give --config") from None


def _find(path: Path, model: str) -> Choice | None:
    known = json.loads(path.read_text("utf-8"))
    if known["schema"] != SCHEMA:
        raise ValueError(f"its schema is {known['schema']}")
    if model not in known["models"]:
        return None
    if known["machine"] != machine():
        log.warning("%s was made on another machine or runtime: run `edge-ssd tune`", path)
        return None
    choice = Choice(**known["models"][model])
    if choice.file and not is_file(Path(choice.file)):
        raise ValueError(f"{choice.file} is gone")
    if choice.file and fingerprint(Path(choice.file)) != choice.sha256:
        raise ValueError(f"{choice.file} is not the file that was measured")
    return choice


def _board() -> str:
    for place in ("/proc/device-tree/model", "/sys/class/dmi/id/product_name"):
        with suppress(OSError):
            if found := Path(place).read_text("utf-8", "replace").strip("\0\n "):
                return f"{found}, {platform.machine()}"
    return platform.machine()
