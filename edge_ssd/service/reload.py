"""SIGHUP: read the configuration again and apply what needs no restart."""

from __future__ import annotations

import logging
from pathlib import Path

from edge_ssd import config
from edge_ssd.config import Config
from edge_ssd.pipeline.pipeline import Pipeline
from edge_ssd.service import build

log = logging.getLogger(__name__)

RELOADABLE = ("postprocess", "governor")
"""The sections that a reload applies; a change of any other needs a restart."""


class Reloader:
    """Keeps a pipeline in step with its configuration file; for the thread that waits for it.

    options: the current configuration.
    """

    def __init__(self, path: Path, options: Config, pipeline: Pipeline) -> None:
        self.path = path
        self.options = options
        self._pipeline = pipeline

    def reload(self) -> list[str]:
        """Apply the file; return the names of changed options that need a restart.

        Raises ConfigError for what the next start would refuse, and then nothing has changed.
        """
        wanted = config.load(self.path)
        build.check_start(wanted)
        pipeline = self._pipeline
        postprocessor = pipeline.detector.postprocessor(wanted.postprocess)
        pipeline.postprocessing.postprocess = postprocessor
        later = [name for name in changed(self.options, wanted) if name not in RELOADABLE]
        applied = {name: getattr(wanted, name) for name in RELOADABLE}
        self.options = self.options.model_copy(update=applied)
        return later


def changed(old: Config, new: Config) -> list[str]:
    """Return the top-level options in which two configurations differ, in the file's order."""
    return [name for name in Config.model_fields if getattr(old, name) != getattr(new, name)]
