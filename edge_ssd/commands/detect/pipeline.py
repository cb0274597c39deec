"""``edge-ssd detect``: the pipeline over recorded files, for people and scripts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from edge_ssd.commands.detect.table import TablePublisher
from edge_ssd.detector import Detector
from edge_ssd.draw import annotate, save
from edge_ssd.errors import PublishError, UsageError
from edge_ssd.files import check_writable
from edge_ssd.inference.options import ModelOptions
from edge_ssd.pipeline.pipeline import Outlet, Pipeline
from edge_ssd.pixels import bgr
from edge_ssd.postprocess import PostprocessOptions
from edge_ssd.publishers.base import Publisher
from edge_ssd.publishers.jsonl import JsonLinesOptions
from edge_ssd.sources.base import Source
from edge_ssd.sources.recorded import open_paths
from edge_ssd.sources.video import VIDEO_EXTENSIONS
from edge_ssd.types import FrameResult
from edge_ssd.wording import counted

if TYPE_CHECKING:
    from typing_extensions import Never


def pipeline(
    paths: Sequence[Path],
    model: ModelOptions,
    postprocess: PostprocessOptions,
    as_json: bool,
    annotate_to: Path | None,
) -> Pipeline:
    """Return the pipeline that detects in ``paths`` and prints what it finds.

    annotate_to: a folder for pictures with boxes, made if missing.
    Raises InputError, ModelError, RuntimeMissingError, and UsageError when annotate_to is a
    folder that inputs are in, which could be overwritten.
    """
    source = open_paths(paths)
    inputs = {(path if path.is_dir() else path.parent).resolve() for path in paths}
    if annotate_to and annotate_to.resolve() in inputs:
        raise UsageError(f"--annotate {annotate_to} is where the inputs are", "name another folder")
    detector = Detector.from_options(model, postprocess=postprocess)
    publishers: list[Publisher] = [ProgressBar(source)]
    if as_json:
        publishers.append(JsonLinesOptions().make(source.name))
    else:
        publishers += [TablePublisher(_print), Summary(source)]
    if annotate_to:
        publishers.append(AnnotatedPictures(annotate_to))
    return Pipeline(source, detector, [Outlet(p) for p in publishers])


def _print(line: str) -> None:
    """Print above the progress bar. Raises PublishError when stdout cannot take it."""
    try:
        tqdm.write(line)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise PublishError(f"stdout: {error.strerror}", "free some space") from None


class ProgressBar(Publisher):
    """Counts frames on stderr, when that is a terminal."""

    name = "progress"

    def __init__(self, source: Source) -> None:
        self._source = source
        self._bar: tqdm[Never] | None = None

    def publish(self, result: FrameResult) -> None:
        if self._bar is None:
            # Not at open(): the source counts its frames when it is opened itself.
            self._bar = tqdm(
                total=self._source.frame_count, unit="frame", disable=None, leave=False
            )
        self._bar.update()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class AnnotatedPictures(Publisher):
    """Saves every frame with its detections drawn: NAME.jpg, of a video NAME_000012.jpg."""

    def __init__(self, folder: Path) -> None:
        self.name = f"pictures in {folder}"
        self._folder = folder
        self._taken: set[str] = set()

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
        save(self._folder / self._file_name(result), annotate(bgr(result.frame), result.detections))

    def _file_name(self, result: FrameResult) -> str:
        path = Path(result.frame.path or result.frame.source)
        number = f"_{result.frame.number:06d}"
        name = path.stem + (number if path.suffix.lower() in VIDEO_EXTENSIONS else "")
        while name in self._taken:
            name += number
        self._taken.add(name)
        return f"{name}.jpg"


class Summary(Publisher):
    """Says on stderr, at the end, how much was read, found and skipped."""

    name = "summary"

    def __init__(self, source: Source) -> None:
        self._source = source
        self._frames = self._detections = 0

    def publish(self, result: FrameResult) -> None:
        self._frames += 1
        self._detections += len(result.detections)

    def close(self) -> None:
        if not self._frames:
            return
        skipped = self._source.unreadable
        counts = [counted(self._frames, "frame"), counted(self._detections, "detection")]
        counts += [f"{counted(skipped, 'unreadable input')} skipped"] if skipped else []
        tqdm.write(", ".join(counts), file=sys.stderr)
