"""SIGHUP: read the configuration again, and change what can change while frames flow."""

from __future__ import annotations

import logging
from pathlib import Path

from edge_ssd import config
from edge_ssd.config import Config
from edge_ssd.pipeline.pipeline import Outlet, Pipeline
from edge_ssd.service import build

log = logging.getLogger(__name__)

RELOADABLE = frozenset({"postprocess", "publishers", "governor"})
"""The sections that a reload applies; every other one needs a restart."""


class Reloader:
    """Keeps a pipeline in step with its configuration file; for the thread that waits for it.

    options: what is in force now.
    """

    def __init__(self, path: Path, options: Config, pipeline: Pipeline) -> None:
        self.path = path
        self.options = options
        self._pipeline = pipeline

    def reload(self) -> list[str]:
        """Apply the file; return the names of changed options that need a restart.

        A publisher whose options are the same goes on untouched, one that could not be
        opened is tried again. Raises ConfigError, and then nothing has changed; Closed when
        the pipeline is about to end.
        """
        wanted = config.load(self.path)
        build.check_publishers(wanted)  # else it would not start again from this file
        pipeline = self._pipeline
        postprocessor = pipeline.detector.postprocessor(wanted.postprocess)
        running = [
            (section, publishing)
            for section, publishing in zip(
                self.options.publishers, pipeline.publishing, strict=True
            )
            if not publishing.unusable
        ]
        publishing = []
        for section in wanted.publishers:
            same = next((pair for pair in running if pair[0] == section), None)
            if same:
                running.remove(same)
            new = Outlet(section.make(self.options.name), section.queue_size)
            publishing.append(same[1] if same else new)
        pipeline.change(postprocessor, publishing)
        later = [name for name in changed(self.options, wanted) if name not in RELOADABLE]
        self.options = self.options.model_copy(
            update={name: getattr(wanted, name) for name in RELOADABLE}
        )
        return later


def changed(old: Config, new: Config) -> list[str]:
    """Return the top-level options in which two configurations differ, in the file's order."""
    return [name for name in Config.model_fields if getattr(old, name) != getattr(new, name)]
