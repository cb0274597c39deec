"""One line per detection, for people."""

from __future__ import annotations

from collections.abc import Callable

from edge_ssd.commands.detect.places import Places
from edge_ssd.publishers.base import Publisher
from edge_ssd.types import FrameResult


class Rows(Publisher):
    """Writes a header once, then a row for each detection, and one for a frame without any.

    write: prints one line.
    """

    name = "rows"

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._places = Places()

    def open(self) -> None:
        self._write(f"{'frame':<28} {'label':<16} {'score':>5}  xmin, ymin, xmax, ymax in pixels")

    def publish(self, result: FrameResult) -> None:
        frame = _shorten(str(self._places.of(result.frame)), 28)
        if not len(result.detections):
            self._write(f"{frame:<28} nothing found")
        for found in result.detections:
            corners = ", ".join(f"{value:.0f}" for value in found.box)
            self._write(f"{frame:<28} {found.label:<16} {found.score:5.2f}  {corners}")


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else "…" + text[1 - width :]
