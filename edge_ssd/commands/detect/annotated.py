"""Images and videos with the detections drawn; videos are .mp4 that browsers play, silent."""

from __future__ import annotations

import errno
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ssd.commands.detect.printed import Place, Places
from edge_ssd.draw import annotate, save
from edge_ssd.errors import PublishError
from edge_ssd.files import check_writable, naming, replacing
from edge_ssd.pixels import bgr
from edge_ssd.publishers.base import Publisher
from edge_ssd.sources.opencv import quiet_opencv
from edge_ssd.types import FrameResult
from edge_ssd.wording import counted

_DEFAULT_FPS = 25.0
_PLAUSIBLE_FPS = 240.0  # more is the clock of a file whose frames come at varying intervals


class AnnotatedFiles(Publisher):
    """Saves each image as NAME.jpg, each video as NAME.mp4, in ``folder``, made if missing."""

    def __init__(self, folder: Path) -> None:
        self.name = f"annotated files in {folder}"
        self._folder = folder
        self._places = Places()
        self._taken: set[str] = set()
        self._images = self._videos = 0
        self._video: AnnotatedVideo | None = None

    def __str__(self) -> str:
        kinds = {"annotated image": self._images, "annotated video": self._videos}
        saved = [counted(number, kind) for kind, number in kinds.items() if number]
        return f"{' and '.join(saved) or 'nothing'} saved in {self._folder}"

    def open(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            check_writable(self._folder)
        except OSError as error:
            raise PublishError(
                f"{self._folder} cannot be made or written to: {error.strerror}",
                "name another folder",
            ) from None

    def publish(self, result: FrameResult) -> None:
        place = self._places.of(result.frame)
        drawn = annotate(bgr(result.frame), result.detections)
        if not place.number:
            self.close()
        if place.time_s is None:
            save(self._file(place, result.frame.number, ".jpg"), drawn)
            self._images += 1
            return
        if not place.number:
            path = self._file(place, result.frame.number, ".mp4")
            height, width = drawn.shape[:2]
            self._video = AnnotatedVideo(path, width, height, frame_rate(place.path))
        if self._video is not None:
            self._video.write(drawn)

    def close(self) -> None:
        """Finish the video that is being written."""
        if self._video is not None:
            video, self._video = self._video, None
            video.close()
            self._videos += 1

    def _file(self, place: Place, number: int, suffix: str) -> Path:
        """Return a new file's path; number: distinguishes inputs of the same name."""
        name = place.path.stem
        while f"{name}{suffix}" in self._taken:
            name += f"_{number:06d}"
        self._taken.add(f"{name}{suffix}")
        return self._folder / f"{name}{suffix}"


class AnnotatedVideo:
    """A video file, which appears under its name when it is closed.

    Closed early, by an interrupt, it holds the frames written until then. A process that is
    killed leaves no file of that name.

    path: ends in .mp4.
    width, height: pixels; an odd one becomes even, as the encoders need it.
    fps: frames per second, positive.

    Raises PublishError when the file cannot be written or OpenCV has no encoder for it.
    """

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        self._path = path
        self._size = (width + width % 2, height + height % 2)
        self._count = 0
        with ExitStack() as files:
            with naming(path):
                self._part = files.enter_context(replacing(path))
                self._part.touch()
            self._writer = _writer(self._part, self._size, fps)
            if not self._writer.isOpened():
                raise PublishError(
                    f"{path}: this OpenCV encodes neither H.264 nor VP9",
                    "install opencv-python-headless, or python3-opencv of Debian",
                )
            self._files = files.pop_all()

    def write(self, image_bgr: NDArray[np.uint8]) -> None:
        """Append a frame, (height, width, 3) uint8 BGR; one of another size is scaled."""
        if image_bgr.shape[1::-1] != self._size:
            image_bgr = cv2.resize(image_bgr, self._size).astype(np.uint8, copy=False)
        self._writer.write(image_bgr)
        self._count += 1

    def close(self) -> None:
        """Finish the file, or remove it. Raises PublishError when it lacks a frame or has none."""
        self._writer.release()
        with naming(self._path), self._files:
            # OpenCV does not report that it could not write.
            saved = int(_property(self._part, cv2.CAP_PROP_FRAME_COUNT))
            if not self._count or saved != self._count:
                raise OSError(errno.EIO, "frames are missing, as on a full disk")


def frame_rate(path: Path) -> float:
    """Return the frames per second that a video file states; 25 for none or an implausible one."""
    quiet_opencv()
    fps = _property(path, cv2.CAP_PROP_FPS)
    return fps if 0 < fps <= _PLAUSIBLE_FPS else _DEFAULT_FPS


def _property(path: Path, number: int) -> float:
    return float(cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG).get(number))


def _writer(path: Path, size: tuple[int, int], fps: float) -> cv2.VideoWriter:
    """Return a writer, closed where OpenCV has no encoder that works."""
    quiet_opencv()
    # x264 is ten times as fast as VP9. Without it, "avc1" would be the board's own encoder
    # (V4L2 M2M), which is known to crash programs.
    has_x264 = "libx264" in Path("/proc/self/maps").read_text("utf-8")
    for name in ("avc1", "vp09") if has_x264 else ("vp09",):
        encoder = cv2.VideoWriter.fourcc(*name)
        writer = cv2.VideoWriter(str(path.absolute()), cv2.CAP_FFMPEG, encoder, fps, size)
        if writer.isOpened():
            break
    return writer
