"""The interface of every source, and of the options that make it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

from edge_ssd.checks import Check
from edge_ssd.errors import ConfigError, InputError, Problem, PublishError
from edge_ssd.options import Options
from edge_ssd.types import Frame


class EndOfStream(Exception):
    """A recorded source has given its last frame."""


class Source(ABC):
    """Where frames come from. Opened, read and closed by one thread, the capture thread.

    live: True when frames that nobody took in time are worthless (a camera); False when
        every frame must be delivered, in order (a recording).
    """

    live: bool

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def open(self) -> None:
        """Prepare to read. Raises InputError, DeviceError, ConfigError."""

    @abstractmethod
    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame, or None when none came within ``timeout_s`` seconds.

        Raises EndOfStream after the last frame, InputError or DeviceError when the source
        is broken.
        """

    @abstractmethod
    def close(self) -> None:
        """Release everything; may be called twice, and before ``open``."""

    @property
    def frame_count(self) -> int | None:
        """How many frames there will be, where that is known (progress bars)."""
        return None

    @property
    def unreadable(self) -> int:
        """How many inputs were reported and skipped so far."""
        return 0


class SourceOptions(Options):
    """The section ``source`` of one kind of source; each kind has its own subclass.

    type: the kind's name in a configuration; a subclass gives it as a ``Literal``.
    """

    type: str

    @abstractmethod
    def make(self, name: str) -> Source:
        """Return the source, not opened yet; name: what results and messages call it.

        Raises ConfigError for a file that is missing or may not be read.
        """

    def checks(self) -> tuple[Check, ...]:
        """Return what ``edge-ssd doctor`` examines; nothing where no device is needed."""
        return ()


@contextmanager
def naming_option(option: str) -> Iterator[None]:
    """Turn what is wrong with a file into a ConfigError of the option that names the file."""
    try:
        yield
    except (InputError, PublishError) as error:
        problem = Problem(f"source.{option}", error.problem, error.remedy)
        raise ConfigError([problem]) from None


def frames(source: Source) -> Iterator[Frame]:
    """Open the source, yield every frame in order, close it."""
    source.open()
    try:
        while True:
            frame = source.read(timeout_s=10.0)
            if frame is not None:
                yield frame
    except EndOfStream:
        return
    finally:
        source.close()


def capture_times() -> tuple[int, datetime]:
    """Return the present time, as (monotonic nanoseconds, UTC wall time)."""
    return time.monotonic_ns(), datetime.now(timezone.utc)
