"""A readable table: one line a detection, for people."""

from __future__ import annotations

from collections.abc import Callable

from edge_ssd.publishers.base import Publisher
from edge_ssd.types import FrameResult


class TablePublisher(Publisher):
    """Writes a heading once, then a line for each detection, and one for a frame without any.

    write: prints one line.
    """

    name = "table"

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def open(self) -> None:
        self._write(f"{'frame':<28} {'label':<16} {'score':>5}  xmin, ymin, xmax, ymax in pixels")

    def publish(self, result: FrameResult) -> None:
        found = result.detections
        frame = _shorten(_frame_name(result), 28)
        if not len(found):
            self._write(f"{frame:<28} nothing found")
        rows = zip(found.class_ids, found.scores, found.boxes_xyxy_pixels(), strict=True)
        for class_id, score, box in rows:
            corners = ", ".join(f"{value:.0f}" for value in box)
            self._write(f"{frame:<28} {found.label(int(class_id)):<16} {score:5.2f}  {corners}")


def _frame_name(result: FrameResult) -> str:
    path = result.frame.path
    name = path.rsplit("/", 1)[-1] if path else result.frame.source
    return f"{name} #{result.frame.number}"


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else "…" + text[1 - width :]
