"""``edge-ssd eval``: COCO mAP of the whole deployed path, on pictures with annotations."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from edge_ssd.commands.eval.annotations import Annotations, Image, category_ids
from edge_ssd.commands.eval.scoring import Score, check_installed, score
from edge_ssd.detector import Detector
from edge_ssd.errors import InputError, PipelineError
from edge_ssd.files import hidden, is_file
from edge_ssd.inference.options import ModelOptions
from edge_ssd.pipeline.pipeline import Outlet, Pipeline
from edge_ssd.postprocess import PostprocessOptions
from edge_ssd.publishers.base import Publisher
from edge_ssd.service.signals import stop_on_signals
from edge_ssd.sources.images import IMAGE_EXTENSIONS, ImageSource, unreadable
from edge_ssd.types import FrameResult
from edge_ssd.wording import counted

if TYPE_CHECKING:
    from typing_extensions import Never

log = logging.getLogger(__name__)

SETTINGS = PostprocessOptions(score_threshold=0.01, iou_threshold=0.6, max_detections=100)
"""What published mAP figures are measured with: nearly every prediction counts."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one model scores.

    model: as the user named it. images: pictures that were evaluated.
    missing: annotated pictures that are not there or cannot be read, and are not counted.
    """

    model: str
    images: int
    missing: list[str]
    score: Score


def evaluate(
    models: Sequence[ModelOptions], folder: Path, annotations: Annotations
) -> list[Report]:
    """Detect in a folder's annotated pictures with each model in turn, and score it.

    Every model is loaded and checked before the first one runs. Raises EvaluatorMissingError,
    ModelError (also for labels that the annotations do not have), RuntimeMissingError,
    InputError for pictures that are missing or not those annotated, and PipelineError when
    interrupted. Main thread only: it minds Ctrl-C.
    """
    check_installed()
    pictures = _pictures(folder, annotations)
    runs = [_Run(options, pictures, annotations) for options in models]
    return [run.report(annotations) for run in runs]


class _Run:
    """One model over all pictures, through the pipeline as ``edge-ssd detect`` runs it."""

    def __init__(
        self, options: ModelOptions, pictures: Mapping[Path, Image], annotations: Annotations
    ) -> None:
        detector = Detector.from_options(options, postprocess=SETTINGS)
        self._model = options.name
        ids = category_ids(detector.labels, annotations, detector.backend.spec.name)
        self._found = _Found(options.name, pictures, ids)
        self._pipeline = Pipeline(
            ImageSource("eval", list(pictures)), detector, [Outlet(self._found)]
        )

    def report(self, annotations: Annotations) -> Report:
        pipeline, seen = self._pipeline, self._found.seen
        with stop_on_signals(pipeline.request_stop) as received:
            pipeline.start()
            while not pipeline.wait(0.2):
                pass
        if received:
            raise PipelineError("interrupted before every picture was evaluated")
        missing = [image.file_name for image in annotations.images if image.id not in seen]
        scored = score(annotations, seen, self._found.rows)
        return Report(self._model, len(seen), missing, scored)


class _Found(Publisher):
    """Keeps the detections in COCO's form, and shows progress where stderr is a terminal.

    pictures: by path. category_ids: by class id; classes without one are not asked for.
    """

    name = "eval"

    def __init__(
        self, model: str, pictures: Mapping[Path, Image], category_ids: Mapping[int, int]
    ) -> None:
        self.rows: list[dict[str, Any]] = []
        self.seen: set[int] = set()
        self._model = model
        self._pictures = {str(path): image for path, image in pictures.items()}
        self._category_ids = category_ids
        self._bar: tqdm[Never] | None = None

    def open(self) -> None:
        self._bar = tqdm(
            total=len(self._pictures), desc=Path(self._model).name, unit="image",
            disable=None, leave=False,
        )  # fmt: skip

    def publish(self, result: FrameResult) -> None:
        image = self._pictures[str(result.frame.path)]
        _check_size(image, result)
        self.seen.add(image.id)
        found = result.detections
        columns = (found.boxes_xyxy_pixels().tolist(), found.scores, found.class_ids)
        for (xmin, ymin, xmax, ymax), value, class_id in zip(*columns, strict=True):
            if int(class_id) in self._category_ids:
                self.rows.append({
                    "image_id": image.id,
                    "category_id": self._category_ids[int(class_id)],
                    "bbox": (xmin, ymin, xmax - xmin, ymax - ymin),
                    "score": float(value),
                })  # fmt: skip
        if self._bar is not None:
            self._bar.update()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _pictures(folder: Path, annotations: Annotations) -> dict[Path, Image]:
    """Return the annotated pictures that are there; say which are not."""
    listed = {folder / image.file_name: image for image in annotations.images}
    there = {path: image for path, image in listed.items() if is_file(path)}
    if not there:
        error = hidden(next(iter(listed)))
        if error:
            raise unreadable(folder, error)
        first = annotations.images[0].file_name
        raise InputError(
            f"{folder} has none of {counted(len(listed), 'annotated picture')}, such as {first}",
            "name the folder that holds them",
        )
    _warn("annotated picture", "missing and not counted", [
        image.file_name for path, image in listed.items() if path not in there
    ])  # fmt: skip
    _warn("picture", "not in the annotations and not looked at", [
        path.name for path in _pictures_in(folder) if path not in there
    ])  # fmt: skip
    return there


def _pictures_in(folder: Path) -> list[Path]:
    """Return a folder's pictures; none where it cannot be listed, though files in it be read."""
    try:
        return [
            path for path in sorted(folder.iterdir()) if path.suffix.lower() in IMAGE_EXTENSIONS
        ]
    except OSError:
        return []


def _warn(what: str, why: str, names: Sequence[str]) -> None:
    if names:
        are = f"{counted(len(names), what)} {'is' if len(names) == 1 else 'are'} {why}"
        log.warning("%s: %s%s", are, ", ".join(names[:5]), ", …" if len(names) > 5 else "")


def _check_size(image: Image, result: FrameResult) -> None:
    """Raise InputError for a picture that was scaled or turned after it was annotated."""
    width, height = result.frame.width, result.frame.height
    if (image.width or width, image.height or height) != (width, height):
        raise InputError(
            f"{result.frame.path} is {width}x{height} pixels and was annotated with "
            f"{image.width}x{image.height}",
            "give the pictures that were annotated",
        )
