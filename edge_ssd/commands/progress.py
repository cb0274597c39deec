"""A progress bar on stderr, when that is a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tqdm import tqdm

from edge_ssd.publishers.base import Publisher
from edge_ssd.sources.base import Source
from edge_ssd.types import FrameResult

if TYPE_CHECKING:
    from typing_extensions import Never


class ProgressBar(Publisher):
    """Counts the frames of a recorded source. title: what stands before the bar."""

    name = "progress"

    def __init__(self, source: Source, title: str | None = None) -> None:
        self._source, self._title = source, title
        self._bar: tqdm[Never] | None = None

    def publish(self, result: FrameResult) -> None:
        if self._bar is None:
            # Not at open(): the source counts its frames when it is opened itself.
            self._bar = tqdm(
                total=self._source.frame_count, desc=self._title, unit="frame", disable=None,
                leave=False,
            )  # fmt: skip
        self._bar.update()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
