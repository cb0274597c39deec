"""SIGHUP: read the configuration again and apply what needs no restart."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_ssd import config
from edge_ssd.config import Config
from edge_ssd.pipeline.pipeline import Pipeline
from edge_ssd.service import build

RELOADABLE = ("postprocess", "governor")  # a change of any other section needs a restart


@dataclass(eq=False)
class Reloader:
    """Keeps a pipeline in step with its file, in one thread. options: those in force."""

    path: Path
    options: Config
    pipeline: Pipeline

    def reload(self) -> list[str]:
        """Apply the file; return the names of changed options that need a restart.

        Raises ConfigError for what the next start would refuse, and then nothing has changed.
        """
        wanted = config.load(self.path)
        build.check_start(wanted)
        names = changed(self.options, wanted)
        # With another model its labels are others, too: they wait for it.
        now = RELOADABLE if "model" not in names else ("governor",)
        if "postprocess" in now:
            postprocessor = self.pipeline.detector.postprocessor(wanted.postprocess)
            self.pipeline.postprocessing.postprocess = postprocessor
        later = [name for name in names if name not in now]
        applied = {name: getattr(wanted, name) for name in now}
        self.options = self.options.model_copy(update=applied)
        return later


def changed(old: Config, new: Config) -> list[str]:
    """Return the top-level options in which two configurations differ, in the file's order."""
    return [name for name in Config.model_fields if getattr(old, name) != getattr(new, name)]


@contextmanager
def hangups() -> Iterator[Callable[[], bool]]:
    """Take SIGHUP; yield a function that returns whether one came since its last call.

    A terminal that is closed sends one too: that is turned into a SIGTERM, so that no service
    outlives its terminal and holds the camera. Main thread only.
    """
    received: list[int] = []
    had_terminal = _has_terminal()

    def came() -> bool:
        if not received:
            return False
        received.clear()
        if had_terminal and not _has_terminal():
            signal.raise_signal(signal.SIGTERM)
            return False
        return True

    previous = signal.signal(signal.SIGHUP, lambda number, _frame: received.append(number))
    try:
        yield came
    finally:
        signal.signal(signal.SIGHUP, previous)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
