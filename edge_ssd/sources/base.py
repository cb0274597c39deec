"""The interface of every source, of the options that make it, and checks that cameras share."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta, timezone
from functools import partial

from edge_ssd.checks import Check, Finding, System, fail, ok, skipped, warn
from edge_ssd.errors import ConfigError, DeviceError, InputError, Problem, PublishError
from edge_ssd.files import may
from edge_ssd.holders import holders
from edge_ssd.options import Options
from edge_ssd.types import Frame

DEVICE = DeviceError.exit_code
"""What the service ends with where a camera fails."""


class EndOfStream(Exception):
    """A recorded source has given its last frame."""


class Source(ABC):
    """Where frames come from. Opened, read and closed by one thread, the capture thread.

    live: True when only the newest frame counts (a camera); False when every frame must be
        delivered, in order (a recording).
    unreadable: how many inputs were reported and skipped so far.
    """

    live: bool
    unreadable = 0

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
        raise ConfigError([Problem(f"source.{option}", error.problem, error.remedy)]) from None


def frames(source: Source) -> Iterator[Frame]:
    """Open the source, yield every frame in order, close it."""
    source.open()
    with closing(source), suppress(EndOfStream):
        while True:
            if frame := source.read(timeout_s=10.0):
                yield frame


def capture_times(
    captured_ns: int | None = None, clock: Callable[[], int] = time.monotonic_ns
) -> tuple[int, datetime]:
    """Return when a frame was captured, as (monotonic nanoseconds, UTC wall time).

    captured_ns: by ``clock``; None, and what is yet to come, stand for now.
    """
    now_ns, now = clock(), datetime.now(timezone.utc)
    age_ns = 0 if captured_ns is None else max(0, now_ns - captured_ns)
    return now_ns - age_ns, now - timedelta(microseconds=age_ns / 1000)


def usable(nodes: Sequence[str], system: System) -> Finding:
    """This user may use the device files."""
    closed = [path for path in nodes if not may(system.path(path))]
    if closed:
        remedy = "sudo usermod -aG video $USER, and log in again"
        return fail(f"this user may not use {', '.join(closed)}", remedy)
    return ok(f"this user may use {', '.join(nodes)}")


def in_use(nodes: Callable[[System], Sequence[str]]) -> Check:
    """Return the check that no other program has the camera open."""
    return Check("camera in use", partial(_in_use, nodes), required=False, outside=True)


def _in_use(nodes: Callable[[System], Sequence[str]], system: System) -> Finding:
    found = nodes(system)
    if not found:
        return skipped("no camera has device files")
    unseen = "" if system.is_root else " (only root sees programs of other users)"
    held_by = holders(*map(system.path, found))
    others = [holder for holder in held_by if not holder.startswith("edge-ssd ")]
    if others:
        remedy = "end that program, if the service reports that the camera is busy"
        return warn(f"{', '.join(others)} has it open{unseen}", remedy)
    if held_by:
        return ok(f"the service has it open: {', '.join(held_by)}")
    return ok(f"no program has {', '.join(found)} open{unseen}")
