"""What is detected in files, for people: a row per detection, and a summary per file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge_ssd.publishers.base import Publisher
from edge_ssd.sources.base import Source
from edge_ssd.types import Detections, Frame, FrameResult
from edge_ssd.wording import counted

GAP_S = 1.0  # a label that is not found for less than this stays in one span of a video


@dataclass(frozen=True, slots=True)
class Place:
    """A frame of a file. number: counts from 0 in the file. time_s: None for an image."""

    path: Path
    number: int
    time_s: float | None

    def __str__(self) -> str:
        name = printable(self.path.name)
        return name if self.time_s is None else f"{name} #{self.number} {clock(self.time_s)}"


class Places:
    """Follows the frames of recorded inputs, whose numbers count on from file to file."""

    def __init__(self) -> None:
        self._last: Place | None = None

    def of(self, frame: Frame) -> Place:
        """Return where the next frame is; number 0 begins a file."""
        path, time_s, last, number = Path(frame.path or ""), frame.position_s, self._last, 0
        if last and last.path == path and time_s is not None and last.time_s is not None:
            number = last.number + 1 if time_s >= last.time_s else 0
        self._last = Place(path, number, time_s)
        return self._last


class Rows(Publisher):
    """Writes, by ``write``, a header, a row per detection, and one for a frame without any."""

    name = "rows"

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._places = Places()

    def open(self) -> None:
        self._write(f"{'frame':<28} {'label':<16} {'score':>5}  xmin, ymin, xmax, ymax in pixels")

    def publish(self, result: FrameResult) -> None:
        frame = str(self._places.of(result.frame))
        frame = frame if len(frame) <= 28 else f"…{frame[-27:]}"
        if not len(result.detections):
            self._write(f"{frame:<28} nothing found")
        for found in result.detections:
            corners = ", ".join(f"{value:.0f}" for value in found.box)
            self._write(f"{frame:<28} {found.label:<16} {found.score:5.2f}  {corners}")


class Summary(Publisher):
    """Counts what is found, by file."""

    name = "summary"

    def __init__(self, source: Source) -> None:
        self.frames = self._detections = 0
        self._source = source
        self._files: list[_File] = []
        self._places = Places()

    def publish(self, result: FrameResult) -> None:
        place = self._places.of(result.frame)
        if not place.number:
            self._files.append(_File(place.path))
        self._files[-1].add(place, result.detections)
        self.frames += 1
        self._detections += len(result.detections)

    def lines(self) -> list[str]:
        """Return a line for each file, then one with the counts."""
        names = Counter(file.path.name for file in self._files)
        skipped = self._source.unreadable
        counts = [counted(self.frames, "frame"), counted(self._detections, "detection")]
        counts += [f"{counted(skipped, 'unreadable input')} skipped"] if skipped else []
        return [*(file.line(names[file.path.name] > 1) for file in self._files), ", ".join(counts)]


@dataclass(slots=True)
class _File:
    """What was found in one file: in an image how many of each label, in a video when."""

    path: Path
    counts: Counter[str] = field(default_factory=Counter)
    spans: dict[str, list[list[float]]] = field(default_factory=dict)

    def add(self, place: Place, detections: Detections) -> None:
        labels = [found.label for found in detections]
        if place.time_s is None:
            self.counts.update(labels)
            return
        for label in dict.fromkeys(labels):
            spans = self.spans.setdefault(label, [])
            if spans and place.time_s - spans[-1][1] < GAP_S:
                spans[-1][1] = place.time_s
            else:
                spans.append([place.time_s, place.time_s])

    def line(self, whole_path: bool) -> str:
        found = [counted(number, label) for label, number in self.counts.most_common()]
        spans = [f"{label} {', '.join(map(_span, at))}" for label, at in self.spans.items()]
        path = printable(str(self.path) if whole_path else self.path.name)
        return f"{path}: {', '.join(found) or '; '.join(spans) or 'nothing found'}"


def _span(span: list[float]) -> str:
    return "-".join(dict.fromkeys(map(clock, span)))


def clock(seconds: float) -> str:
    """Return a time as 0:03.4 or 1:00:03.4."""
    minutes, tenths = divmod(round(seconds * 10), 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{start}:{tenths / 10:04.1f}"


def printable(text: str) -> str:
    """Return a file name as text; one that is not UTF-8 holds lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()
