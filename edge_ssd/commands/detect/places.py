"""Where a frame is in its own file; frame numbers count through all inputs of a source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_ssd.types import Frame


@dataclass(frozen=True, slots=True)
class Place:
    """A frame of a file. number: counts from 0 in the file. time_s: None for an image."""

    path: Path
    number: int
    time_s: float | None

    def __str__(self) -> str:
        if self.time_s is None:
            return printable(self.path.name)
        return f"{printable(self.path.name)} #{self.number} {clock(self.time_s)}"


class Places:
    """Follows the frames of recorded inputs, in order, from file to file."""

    def __init__(self) -> None:
        self._last: Place | None = None

    def of(self, frame: Frame) -> Place:
        """Return where the next frame is; number 0 begins a file."""
        path, time_s, last, number = Path(frame.path or ""), frame.position_s, self._last, 0
        if last and last.path == path and time_s is not None and last.time_s is not None:
            number = last.number + 1 if time_s >= last.time_s else 0
        self._last = Place(path, number, time_s)
        return self._last


def clock(seconds: float) -> str:
    """Return a time as 0:03.4 or 1:00:03.4."""
    minutes, tenths = divmod(round(seconds * 10), 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{start}:{tenths / 10:04.1f}"


def printable(text: str) -> str:
    """Return a file name as text; one that is not UTF-8 holds lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()
