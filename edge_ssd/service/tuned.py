"""What `edge-ssd tune` found fastest here, and its use where the configuration says auto.

The file is made by ``remember`` and read at the start of the service, never written by it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from edge_ssd.config import ModelOptions
from edge_ssd.detector import runtime
from edge_ssd.errors import PublishError
from edge_ssd.models import catalogue

log = logging.getLogger(__name__)

SCHEMA = 1
SYSTEM = Path("/var/lib/edge-ssd/tuned.json")


@dataclass(frozen=True, slots=True)
class Choice:
    """How one model runs fastest: the file to load, on which runtime, with how many threads."""

    file: str
    runtime: str
    threads: int


def state_file() -> Path:
    """Return where choices are kept: for the whole system as root, else for this user."""
    if os.geteuid() == 0:
        return SYSTEM
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(os.path.expanduser(home), "edge-ssd", SYSTEM.name)  # noqa: PTH111 (no home)


def machine() -> dict[str, Any]:
    """Return what a choice depends on: the board, its processors, and the runtimes."""
    return {
        "board": _board(),
        "cpus": len(os.sched_getaffinity(0)),
        "runtimes": {
            name: metadata.version(runtime.PACKAGES[name]) for name in runtime.installed()
        },
    }


def applied(options: ModelOptions, paths: tuple[Path, ...] | None = None) -> ModelOptions:
    """Return the options with the choice made for this model on this machine.

    Only where they leave it open: ``runtime: auto``, no number of threads, no delegate.
    A choice of another machine, or whose file is gone, is not used, and the log says so.
    paths: where choices may be; the first file that is there counts.
    """
    if options.runtime != "auto" or options.threads is not None or options.delegate:
        return options
    path = next((path for path in paths or (state_file(), SYSTEM) if path.is_file()), None)
    if path is None:
        return options
    try:
        choice = _find(path, _sha256(catalogue.find(options.name)))
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        log.warning("%s cannot be used (%s): run `edge-ssd tune --write` again", path, error)
        return options
    if choice is None:
        return options
    log.info("tuned: %s on %s, %d thread(s)", choice.file, choice.runtime, choice.threads)
    return options.model_copy(
        update={"name": choice.file, "runtime": choice.runtime, "threads": choice.threads}
    )


def remember(model: Path, choice: Choice, path: Path) -> None:
    """Keep the choice for a model file, beside those for others. Raises PublishError."""
    here, models = machine(), {}
    try:
        known = json.loads(path.read_text("utf-8"))
        if known["machine"] == here and known["schema"] == SCHEMA:
            models = dict(known["models"])
    except (OSError, ValueError, TypeError, LookupError):
        pass  # the first choice, or nothing that still holds
    models[_sha256(model)] = asdict(choice)
    partial = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(
            json.dumps({"schema": SCHEMA, "machine": here, "models": models}, indent=2) + "\n"
        )
        partial.replace(path)
    except OSError as error:
        raise PublishError(
            f"{path} cannot be written: {error.strerror}", "run as root, or give --config"
        ) from None


def _find(path: Path, sha256: str) -> Choice | None:
    known = json.loads(path.read_text("utf-8"))
    if known["schema"] != SCHEMA:
        raise ValueError(f"its schema is {known['schema']}")
    if sha256 not in known["models"]:
        return None
    if known["machine"] != machine():
        log.warning("%s was made on another machine or runtime: run `edge-ssd tune`", path)
        return None
    choice = Choice(**known["models"][sha256])
    if not Path(choice.file).is_file():
        raise ValueError(f"{choice.file} is gone")
    return choice


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _board() -> str:
    for place in ("/proc/device-tree/model", "/sys/class/dmi/id/product_name"):
        try:
            found = Path(place).read_text("utf-8", "replace").strip("\0\n ")
        except OSError:
            continue
        if found:
            return f"{found}, {platform.machine()}"
    return platform.machine()
