"""Every row of the report, in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ssd.checks import Check, Finding, System, Verdict, fail, ok, skipped
from edge_ssd.commands.check_config import attempt
from edge_ssd.commands.doctor import machine, sandboxed, service, storage
from edge_ssd.commands.doctor.runner import Examined, examine
from edge_ssd.errors import RuntimeMissingError

if TYPE_CHECKING:
    from edge_ssd.config import Config

DEFAULT_CONFIG = "/etc/edge-ssd/edge-ssd.yaml"


def rows(path: Path | None, system: System) -> Iterator[Examined]:
    """Check the machine and a configuration: without a path, the service's if there is one."""
    yield from examine(machine.CHECKS, system)
    if path is None and system.exists(DEFAULT_CONFIG):
        path = system.path(DEFAULT_CONFIG)
    look = partial(_configuration, path)
    (here,) = examine([Check("configuration", look, exit_code=78, limit_s=60)], system)
    # What it imports may crash: only once that went well in the other process, it is done here.
    config = _loaded(path) if path and here.answered else None
    if path and config:
        yield from _as_the_service(path, config, here, system)
    else:
        yield here
        yield from examine(_defaults(), system)
    yield from examine([machine.golden_check(config.model.runtime if config else "auto")], system)
    yield from examine(machine.BOARD, system)
    written = [
        (section.path, section.max_bytes * (section.backups + 1))
        for section in (config.publishers if config else ())
        if section.type == "jsonl" and section.path
    ]
    yield from examine(storage.checks(written), system)
    camera = bool(config and config.source.type in ("picamera", "usb"))
    yield from examine(service.checks(path, camera), system)


def _as_the_service(
    path: Path, config: Config, here: Examined, system: System
) -> Iterator[Examined]:
    """Check a configuration inside its unit's sandbox, where it has one."""
    inside = sandboxed.check(path, system)
    if inside.answer and here.finding.verdict is not Verdict.SKIPPED:
        here = replace(here, finding=inside.configuration)
    yield here
    yield Examined("sandbox", inside.finding, exit_code=78)
    examined = inside.examined
    for check in config.checks():
        if not check.outside and (found := examined.get((check.name, check.option))):
            yield found
        elif inside.unit and check.rights and not examined:
            other = f"{inside.unit} runs as another user"
            yield from examine([replace(check, required=False, instead=other)], system)
        else:
            yield from examine([check], system)


def _configuration(path: Path | None, _system: System) -> Finding:
    """Every option is known and right, and all that it names exists."""
    if path is None:
        return skipped(f"none given, and no {DEFAULT_CONFIG}: defaults are checked")
    if path.exists() and not path.is_file():
        return fail(f"{path}: not a regular file", "give another file")
    _, error = attempt(path)
    if isinstance(error, RuntimeMissingError):
        return skipped(f"{path} is well-formed, but cannot be tried: {error}")
    if error:
        problems = "; ".join(map(str, error.problems))
        return fail(f"{path}: {problems}", "correct these options, or give another file")
    return ok(f"{path} is valid")


def _loaded(path: Path) -> Config | None:
    try:
        with redirect_stdout(None):  # OpenCV prints that it misses numpy
            from edge_ssd import config

            return config.load(path) if path.is_file() else None
    except Exception:  # the check of the configuration reports it
        return None


def _defaults() -> tuple[Check, ...]:
    """Return the checks of the bundled model, where there is no configuration to check."""
    try:
        from edge_ssd.inference.options import ModelOptions
    except ImportError:  # the checks before report it
        return ()
    return tuple(check.below("model") for check in ModelOptions().checks())
