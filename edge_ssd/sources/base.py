"""The base every source stands on: open, read, close."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime, timezone

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
        """Get ready to read. Raises InputError or DeviceError when that cannot be."""

    @abstractmethod
    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame, or None when none came within ``timeout_s`` seconds.

        Raises EndOfStream after the last frame, InputError or DeviceError when the source
        is broken.
        """

    @abstractmethod
    def close(self) -> None:
        """Give everything back; may be called twice, and before ``open``."""

    @property
    def frame_count(self) -> int | None:
        """How many frames there will be, where that is known (progress bars)."""
        return None

    @property
    def unreadable(self) -> int:
        """How many inputs were reported and skipped so far."""
        return 0


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
    """Now, as (monotonic nanoseconds, UTC wall time)."""
    return time.monotonic_ns(), datetime.now(timezone.utc)
