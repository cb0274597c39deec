"""Recorded input as one source: images, folders and videos mixed, in the order given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from edge_ssd.errors import InputError
from edge_ssd.sources.base import Source, frames
from edge_ssd.sources.images import IMAGE_EXTENSIONS, ImageSource, is_folder, list_folder
from edge_ssd.sources.video import VIDEO_EXTENSIONS, VideoOptions, VideoSource
from edge_ssd.types import Frame

_KNOWN_EXTENSIONS = (*IMAGE_EXTENSIONS, *VIDEO_EXTENSIONS)


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
    if len(files) == 1 and _is_video(files[0]):
        return VideoSource(name, VideoOptions(path=files[0]))
    return RecordedSource(name, files)


class RecordedSource(ImageSource):
    """Images and videos one after the other; see ImageSource.

    Frame numbers count up through all of them. A broken video is skipped as a broken image is;
    ``open`` finds it, and raises InputError when there is no other file.
    """

    def _count(self, file: Path) -> int | None:
        if not _is_video(file):
            return super()._count(file)
        # Opened again when its turn comes: many open videos would fill the memory.
        with closing(VideoSource(self.name, VideoOptions(path=file))) as video:
            video.open()
            return video.frame_count

    def _frames_of(self, file: Path) -> Iterator[Frame]:
        if _is_video(file):
            return frames(VideoSource(self.name, VideoOptions(path=file)))
        return super()._frames_of(file)


def _expand(path: Path) -> list[Path]:
    if is_folder(path):
        return list_folder(path, _KNOWN_EXTENSIONS)
    if path.suffix.lower() not in _KNOWN_EXTENSIONS:
        problem = f"{path} is neither an image nor a video of a known format"
        raise InputError(problem, f"known are {', '.join(_KNOWN_EXTENSIONS)}")
    return [path]


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_EXTENSIONS
