"""The configuration file, as ``edge-ssd check-config`` sees it."""

from __future__ import annotations

import os

from edge_ssd.config import Config
from edge_ssd.doctor.check import Finding, Situation, fail, ok, skipped
from edge_ssd.doctor.readable import closed_to_service
from edge_ssd.doctor.sandbox import properties
from edge_ssd.errors import ConfigError, RuntimeMissingError


def configuration(situation: Situation) -> Finding:
    """Every option is known and right, and all that it names exists."""
    if situation.problem:
        return fail(f"{situation.path}: {situation.problem}", "correct it, or give another file")
    if situation.config is None:
        return skipped("none given, and no /etc/edge-ssd/edge-ssd.yaml: defaults are checked")
    try:
        from edge_ssd.service import build  # noqa: PLC0415 - numpy may be what is broken

        config = _without_credential(situation.config)
        build.pipeline(_without_files(config) if properties(situation) else config)
    except ConfigError as error:
        return fail(f"{situation.path}: {error.problem}", error.remedy or "correct these options")
    except (ImportError, RuntimeMissingError) as error:
        return skipped(f"{situation.path} is well-formed, but cannot be tried: {error}")
    closed = closed_to_service(situation, situation.path) if situation.path else None
    return closed or ok(f"{situation.path} is good")


def _without_credential(config: Config) -> Config:
    """Return it without a camera password that systemd gives to nobody but the service."""
    password = getattr(config.source, "password_credential", None)
    if password is None or "CREDENTIALS_DIRECTORY" in os.environ:
        return config
    source = config.source.model_copy(update={"username": None, "password_credential": None})
    return config.model_copy(update={"source": source})


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
