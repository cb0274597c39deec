"""Progress bars on stderr, when that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from edge_ssd.publishers.base import Publisher
from edge_ssd.sources.base import Source
from edge_ssd.types import FrameResult


class ProgressBar(Publisher):
    """Counts the frames of a recorded source. title: what stands before the bar."""

    name = "progress"

    def __init__(self, source: Source, title: str | None = None) -> None:
        self._source, self._title = source, title
        self._bar: tqdm[Any] | None = None

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


@contextmanager
def progress_bar(**style: Any) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar, by tqdm's options. Yields a function that takes what is done, and of how much."""
    with tqdm(disable=None, leave=False, **style) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress
