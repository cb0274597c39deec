"""Every row of the report, in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ssd.checks import Check, Finding, System, Verdict, fail, ok, skipped
from edge_ssd.commands.check_config import fault, problems_of
from edge_ssd.commands.doctor import board, golden, machine, sandboxed, service, storage
from edge_ssd.commands.doctor.runner import Examined, examine
from edge_ssd.errors import ConfigError, RuntimeMissingError

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
    yield from examine([golden.check(config.model.runtime if config else "auto")], system)
    yield from examine(board.CHECKS, system)
    yield from examine(storage.checks(_written(config)), system)
    camera = bool(config and config.source.type in ("picamera", "usb"))
    yield from examine(service.checks(path, camera), system)


def _as_the_service(
    path: Path, config: Config, here: Examined, system: System
) -> Iterator[Examined]:
    """Check a configuration inside its unit's sandbox, where it has one."""
    inside = sandboxed.check(path, system)
    yield _in_there(inside, here)
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


def _in_there(inside: sandboxed.Inside, here: Examined) -> Examined:
    """Return what is wrong with the configuration inside the sandbox, or else here."""
    if not inside.answer or here.finding.verdict is Verdict.SKIPPED:
        return here
    problems = inside.answer["problems"]
    if not problems:
        return replace(here, finding=ok(f"{inside.answer['file']} is valid"))
    told = "; ".join(f"{problem['option']}: {problem['text']}".lstrip(": ") for problem in problems)
    remedy = "; ".join(dict.fromkeys(filter(None, (problem["remedy"] for problem in problems))))
    finding = fail(f"{inside.unit}: {told}", remedy or "correct these options")
    return replace(here, finding=finding)


def _configuration(path: Path | None, _system: System) -> Finding:
    """Every option is known and right, and all that it names exists."""
    if path is None:
        return skipped(f"none given, and no {DEFAULT_CONFIG}: defaults are checked")
    if path.exists() and not path.is_file():
        return fail(f"{path}: not a regular file", "give another file")
    try:
        from edge_ssd import config

        error = fault(config.load(path))
    except ConfigError as unusable:
        error = unusable
    if isinstance(error, RuntimeMissingError):
        return skipped(f"{path} is well-formed, but cannot be tried: {error}")
    if error:
        told = "; ".join(map(str, problems_of(error)))
        return fail(f"{path}: {told}", "correct these options, or give another file")
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


def _written(config: Config | None) -> list[storage.Written]:
    """Return what the publishers write to files."""
    return [
        (section.path, section.max_bytes * (section.backups + 1))
        for section in (config.publishers if config else ())
        if section.type == "jsonl" and section.path
    ]
