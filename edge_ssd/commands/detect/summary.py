"""What was found in each file, for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from edge_ssd.commands.detect.places import Place, Places, clock, printable
from edge_ssd.publishers.base import Publisher
from edge_ssd.sources.base import Source
from edge_ssd.types import Detections, FrameResult
from edge_ssd.wording import counted

GAP_S = 1.0
"""A label that is not found for less than this, in seconds, stays in one span of a video."""


class Summary(Publisher):
    """Counts what is found, by file."""

    name = "summary"

    def __init__(self, source: Source) -> None:
        self.frames = 0
        self._source = source
        self._detections = 0
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
        found = ", ".join(counted(number, label) for label, number in self.counts.most_common())
        found += "; ".join(
            f"{label} {', '.join(map(_span, spans))}" for label, spans in self.spans.items()
        )
        path = str(self.path) if whole_path else self.path.name
        return f"{printable(path)}: {found or 'nothing found'}"


def _span(span: list[float]) -> str:
    return "-".join(dict.fromkeys(map(clock, span)))
