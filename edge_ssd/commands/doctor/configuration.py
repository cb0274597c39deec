"""The configuration file, as ``edge-ssd check-config`` sees it."""

from __future__ import annotations

from pathlib import Path

from edge_ssd.commands.doctor.check import Finding, Situation, fail, ok, skipped
from edge_ssd.commands.doctor.readable import closed_to_service
from edge_ssd.commands.doctor.sandbox import properties
from edge_ssd.config import Config
from edge_ssd.errors import ConfigError, RuntimeMissingError


def configuration(situation: Situation) -> Finding:
    """Every option is known and right, and all that it names exists."""
    if situation.problem:
        return fail(f"{situation.path}: {situation.problem}", "correct it, or give another file")
    if situation.config is None:
        return skipped("none given, and no /etc/edge-ssd/edge-ssd.yaml: defaults are checked")
    try:
        from edge_ssd.service import build

        config = situation.config
        build.pipeline(_without_files(config) if properties(situation) else config)
    except ConfigError as error:
        return fail(f"{situation.path}: {error.problem}", "correct these options")
    except (ImportError, RuntimeMissingError) as error:
        return skipped(f"{situation.path} is well-formed, but cannot be tried: {error}")
    closed = closed_to_service(situation, *filter(None, [situation.path, *_recorded(config)]))
    return closed or ok(f"{situation.path} is good")


def _without_files(config: Config) -> Config:
    """Return it without the files that an installed service writes: what this user may is not
    what that may, and the check of outputs tells. Those that are given twice stay.
    """
    paths = [getattr(section, "path", None) for section in config.publishers]
    files = [path and path.resolve() for path in paths]
    kept = [
        section
        for section, file in zip(config.publishers, files, strict=True)
        if file is None or files.count(file) > 1
    ]
    return config.model_copy(update={"publishers": tuple(kept)})


def _recorded(config: Config) -> list[Path | None]:
    """Return the files and folders that the source reads."""
    source = config.source
    path = source.path if source.type in ("video", "images") else None
    return [path, getattr(source, "images", None)]
