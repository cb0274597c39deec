"""Images and videos with the detections drawn."""

from __future__ import annotations

from pathlib import Path

from edge_ssd.commands.detect.annotated_video import AnnotatedVideo, frame_rate
from edge_ssd.commands.detect.places import Place, Places
from edge_ssd.draw import annotate, save
from edge_ssd.errors import PublishError
from edge_ssd.files import check_writable
from edge_ssd.pixels import bgr
from edge_ssd.publishers.base import Publisher
from edge_ssd.types import FrameResult
from edge_ssd.wording import counted


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
        saved = [counted(self._images, "annotated image")] if self._images else []
        saved += [counted(self._videos, "annotated video")] if self._videos else []
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
        video, self._video = self._video, None
        if video is not None:
            video.close()
            self._videos += 1

    def _file(self, place: Place, number: int, suffix: str) -> Path:
        """Return a new file's path; number: tells apart inputs of the same name."""
        name = place.path.stem
        while f"{name}{suffix}" in self._taken:
            name += f"_{number:06d}"
        self._taken.add(f"{name}{suffix}")
        return self._folder / f"{name}{suffix}"
