"""Still images: files and folders, in order, none lost."""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import InputError
from edge_ssd.files import may, remedy
from edge_ssd.sources.base import EndOfStream, Source, SourceOptions, capture_times, naming_option
from edge_ssd.sources.opencv import quiet_opencv
from edge_ssd.types import Frame, PixelFormat

IMAGE_EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

# How a file of each kind begins, and what a complete one has at its end.
_ENDS = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG\r\n\x1a\n": b"IEND\xaeB`\x82"}

log = logging.getLogger(__name__)


class ImagesOptions(SourceOptions):
    """Images, in natural order (img2 before img10); each is used once."""

    type: Literal["images"] = "images"
    path: Path
    """An image, or a folder of images."""
    loop: bool = False
    """Start again after the last image; frame numbers keep counting."""

    def make(self, name: str) -> ImageSource:
        with naming_option("path"):
            check_readable(self.path)
            return ImageSource(name, _files(self.path), self.loop)


class ImageSource(Source):
    """Image files in the order given; a folder stands for its images in natural order.

    Frames are BGR, turned upright as their EXIF says, with ``path`` set, numbered 0, 1, 2 …
    in the order they are delivered. A file that cannot be read is reported once in the log,
    skipped, counted in ``unreadable`` and removed from ``frame_count``.

    paths: files of any name, and folders (not their subfolders). loop: see ImagesOptions.
    ``open`` raises InputError when a path is missing or a folder has no images; ``read``
    when not one of the files could be read.
    """

    live = False

    def __init__(self, name: str, paths: Sequence[Path], loop: bool = False) -> None:
        super().__init__(name)
        self._paths = paths
        self._loop = loop
        self._counts: dict[Path, int | None] = {}
        self._files: list[Path] = []
        self._frames: Generator[Frame, None, None] | None = None
        self._number = 0

    def open(self) -> None:
        self._files = [file for path in self._paths for file in _files(path)]
        self._number = self.unreadable = 0
        for file in tuple(self._files):
            with self._skipping(file):
                self._counts[file] = self._count(file)
        if not self._files:
            raise self._nothing_readable()
        self._frames = self._all_frames()

    def read(self, timeout_s: float) -> Frame | None:
        frame = next(self._frames, None) if self._frames else None
        if frame is not None:
            number, self._number = self._number, self._number + 1
            return replace(frame, number=number)
        if not self._number:
            raise self._nothing_readable()
        raise EndOfStream

    def close(self) -> None:
        if self._frames is not None:
            self._frames.close()

    @property
    def frame_count(self) -> int | None:
        """The number of frames without unreadable files so far; None when looping or unknown."""
        counts = [self._counts[file] for file in self._files]
        known = [count for count in counts if count is not None]
        return None if self._loop or len(known) < len(counts) else sum(known)

    def _count(self, file: Path) -> int | None:
        """Return how many frames a file has. Raises InputError where that shows it is broken."""
        return 1

    def _frames_of(self, file: Path) -> Iterator[Frame]:
        image = read_image(file)
        yield Frame(image, PixelFormat.BGR, self.name, 0, *capture_times(), str(file))

    def _all_frames(self) -> Generator[Frame, None, None]:
        while self._files:
            for file in tuple(self._files):
                with self._skipping(file):
                    yield from self._frames_of(file)
            if not self._loop:
                return

    @contextmanager
    def _skipping(self, file: Path) -> Iterator[None]:
        try:
            yield
        except InputError as error:
            log.warning("skipped %s", error.problem)
            self.unreadable += 1
            self._files.remove(file)

    def _nothing_readable(self) -> InputError:
        problem = f"none of the {self.unreadable} files could be read"
        return InputError(problem, "each is named in a warning above; check that they are complete")


def read_image(path: Path) -> NDArray[np.uint8]:
    """Decode one image to (height, width, 3) uint8 BGR, upright.

    Grey, transparent and 16-bit images are converted. Raises InputError when the file
    cannot be read, is empty, truncated, or no image.
    """
    quiet_opencv()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    if not data:
        raise InputError(f"{path}: the file is empty", "copy it again")
    # Decoders differ: some return the half that exists, some print a line of their own.
    if any(data.startswith(start) and end not in data for start, end in _ENDS.items()):
        raise InputError(f"{path}: the image is truncated", "copy it again")
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise InputError(f"{path}: {error.err}", "use a smaller image") from error
    if decoded is None:
        raise InputError(f"{path}: not an image, or truncated", "open it in a viewer to check")
    return cast("NDArray[np.uint8]", decoded)


def list_folder(folder: Path, extensions: Collection[str]) -> list[Path]:
    """Return the folder's files that end in one of ``extensions``, img2 before img10.

    Case is ignored; hidden files are left out (macOS leaves ``._photo.jpg`` beside
    photo.jpg). Raises InputError when there are none, or the folder cannot be read.
    """
    check_readable(folder)
    try:
        files = [file for file in folder.iterdir() if file.name[0] != "." and file.is_file()]
    except OSError as error:
        raise unreadable(folder, error) from error
    found = [file for file in files if file.suffix.lower() in extensions]
    if not found:
        problem = f"the folder {folder} has no files ending in {', '.join(sorted(extensions))}"
        raise InputError(problem, "name the folder that holds them; subfolders are not searched")
    return sorted(found, key=_natural_order)


def is_folder(path: Path) -> bool:
    """Whether a path is a folder. Raises InputError where it is missing or hidden."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        problem = f"{path} does not exist"
        raise InputError(problem, "check the spelling and the current folder") from error
    except OSError as error:
        raise unreadable(path, error) from error


def check_readable(path: Path) -> None:
    """Raise InputError unless this user may read a file, or a folder's files."""
    if not may(path, os.R_OK | os.X_OK if is_folder(path) else os.R_OK):
        raise unreadable(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def unreadable(path: Path, error: OSError) -> InputError:
    """Return the error for a path that cannot be read."""
    return InputError(f"{path}: {error.strerror}", remedy(path, error))


def _files(path: Path) -> list[Path]:
    return list_folder(path, IMAGE_EXTENSIONS) if is_folder(path) else [path]


def _natural_order(path: Path) -> list[Any]:
    # Splitting on digits alternates text and number: text is only compared with text.
    parts = re.split(r"(\d+)", path.name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)] + [path.name]
