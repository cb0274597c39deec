"""Recorded input as one source: images, folders and videos mixed, in the order given."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from edge_ssd.errors import InputError
from edge_ssd.sources.base import EndOfStream, Source, frames
from edge_ssd.sources.images import IMAGE_EXTENSIONS, ImageSource, is_folder, list_folder
from edge_ssd.sources.video import VIDEO_EXTENSIONS, VideoOptions, VideoSource
from edge_ssd.types import Frame

_KNOWN_EXTENSIONS = (*IMAGE_EXTENSIONS, *VIDEO_EXTENSIONS)

_logger = logging.getLogger(__name__)


def open_paths(paths: Sequence[Path], name: str = "recorded") -> Source:
    """Return a source, not opened yet, of everything that ``paths`` name, in that order.

    A folder stands for its images and videos in natural order (not its subfolders). The
    extension decides what a file is.

    Raises InputError for a missing path, an unknown extension, a folder with nothing in it,
    or no paths at all.
    """
    files = [file for path in paths for file in _expand(path)]
    if not files:
        raise InputError("no images or videos were given", "name at least one file or folder")
    parts = list(_parts(name, files))
    return parts[0] if len(parts) == 1 else ChainedSource(name, parts)


class ChainedSource(Source):
    """Recorded sources one after the other.

    Frame numbers count up through the whole chain: the frames of a video continue where the
    images before it stopped, so no number comes twice.

    A part that cannot be opened (a broken video) is reported once in the log, skipped and
    counted in ``unreadable``. ``open`` raises InputError when none of them can be opened,
    ``read`` when they gave not one frame.
    """

    live = False

    def __init__(self, name: str, parts: Sequence[Source]) -> None:
        super().__init__(name)
        self._parts = parts
        self._frames: Generator[Frame, None, None] | None = None
        self._number = 0
        self._frame_total: int | None = None
        self._broken = 0

    def open(self) -> None:
        """Try every part, so that a bad one is reported before the work starts."""
        self._number = self._broken = 0
        usable: list[Source] = []
        counts: list[int | None] = []
        for part in self._parts:
            try:
                part.open()
            except InputError as error:
                self._skip(error)
                continue
            usable.append(part)
            counts.append(part.frame_count)
            # Opened again when its turn comes: many open videos would fill the memory.
            part.close()
        if not usable:
            raise _nothing_readable()
        known = [count for count in counts if count is not None]
        self._frame_total = sum(known) if len(known) == len(counts) else None
        self._frames = self._frames_of(usable)

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame; the timeout is not needed, files never stall for long."""
        frame = next(self._frames, None) if self._frames is not None else None
        if frame is not None:
            number, self._number = self._number, self._number + 1
            return replace(frame, number=number)
        if not self._number:
            raise _nothing_readable()
        raise EndOfStream

    def close(self) -> None:
        """Close the part that is open."""
        if self._frames is not None:
            self._frames.close()

    @property
    def frame_count(self) -> int | None:
        """The sum over the parts where each knows its own, without unreadable images."""
        if self._frame_total is None:
            return None
        return self._frame_total - sum(part.unreadable for part in self._parts)

    @property
    def unreadable(self) -> int:
        """Images and videos that were reported and skipped so far."""
        return self._broken + sum(part.unreadable for part in self._parts)

    def _frames_of(self, parts: Sequence[Source]) -> Generator[Frame, None, None]:
        for part in parts:
            try:
                yield from frames(part)
            except InputError as error:
                if not part.unreadable:  # or its files were reported one by one
                    self._skip(error)

    def _skip(self, error: InputError) -> None:
        _logger.warning("skipped %s", error.problem)
        self._broken += 1


def _parts(name: str, files: Sequence[Path]) -> Iterator[Source]:
    """Yield one source for each run of images, and one for each video."""
    for are_images, group in groupby(files, _is_image):
        if are_images:
            yield ImageSource(name, list(group))
        else:
            yield from (VideoSource(name, VideoOptions(path=file)) for file in group)


def _expand(path: Path) -> list[Path]:
    if is_folder(path):
        return list_folder(path, _KNOWN_EXTENSIONS)
    if path.suffix.lower() not in _KNOWN_EXTENSIONS:
        raise InputError(
            f"{path} is neither an image nor a video of a known format",
            f"known are {', '.join(_KNOWN_EXTENSIONS)}",
        )
    return [path]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_EXTENSIONS


def _nothing_readable() -> InputError:
    return InputError("none of the inputs could be read", "each is named in a warning above")
