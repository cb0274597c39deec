"""COCO mAP of the whole deployed path, on images with annotations."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_ssd.commands.eval.annotations import Annotations, Image, category_ids
from edge_ssd.commands.eval.scoring import Score, check_installed, score
from edge_ssd.commands.progress import ProgressBar
from edge_ssd.detector import Detector
from edge_ssd.errors import InputError, Interrupted
from edge_ssd.files import hidden, is_file
from edge_ssd.inference.options import ModelOptions
from edge_ssd.pipeline.lifecycle import run_until_done
from edge_ssd.pipeline.pipeline import Outlet, Pipeline
from edge_ssd.postprocess import PostprocessOptions
from edge_ssd.publishers.base import Publisher
from edge_ssd.sources.images import IMAGE_EXTENSIONS, ImageSource, unreadable
from edge_ssd.types import FrameResult
from edge_ssd.wording import counted

log = logging.getLogger(__name__)

SETTINGS = PostprocessOptions(score_threshold=0.01, iou_threshold=0.6, max_detections=100)
"""What published mAP figures are measured with: nearly every prediction counts."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one model scores.

    model: as the user named it. images: how many were evaluated.
    missing: annotated images that are not there or cannot be read, and are not counted.
    """

    model: str
    images: int
    missing: list[str]
    score: Score


def evaluate(
    models: Sequence[ModelOptions], folder: Path, annotations: Annotations
) -> list[Report]:
    """Detect in a folder's annotated images with each model in turn, and score it.

    Every model is loaded and checked before the first one runs. Raises EvaluatorMissingError,
    ModelError (also for labels that the annotations do not have), RuntimeMissingError,
    InputError for images that are missing or not those annotated, and Interrupted. Main thread
    only.
    """
    check_installed()
    images = _annotated(folder, annotations)
    runs = [_Run(options, images, annotations) for options in models]
    return [run.report(annotations) for run in runs]


class _Run:
    """One model over all images, through the pipeline as ``edge-ssd detect`` runs it."""

    def __init__(
        self, options: ModelOptions, images: Mapping[Path, Image], annotations: Annotations
    ) -> None:
        detector = Detector.from_options(options, postprocess=SETTINGS)
        self._model = options.name
        ids = category_ids(detector.labels, annotations, detector.backend.spec.name)
        self._found = _Found(images, ids)
        source = ImageSource("eval", list(images))
        bar = ProgressBar(source, title=Path(options.name).name)
        self._pipeline = Pipeline(source, detector, [Outlet(bar), Outlet(self._found)])

    def report(self, annotations: Annotations) -> Report:
        if run_until_done(self._pipeline):
            raise Interrupted("interrupted before every image was evaluated")
        seen = self._found.seen
        missing = [image.file_name for image in annotations.images if image.id not in seen]
        scored = score(annotations, seen, self._found.rows)
        return Report(self._model, len(seen), missing, scored)


class _Found(Publisher):
    """Keeps the detections in COCO's form.

    images: by path. category_ids: by class id; classes without one are left out.
    """

    name = "eval"

    def __init__(self, images: Mapping[Path, Image], category_ids: Mapping[int, int]) -> None:
        self.rows: list[dict[str, Any]] = []
        self.seen: set[int] = set()
        self._images = {str(path): image for path, image in images.items()}
        self._category_ids = category_ids

    def publish(self, result: FrameResult) -> None:
        image = self._images[str(result.frame.path)]
        _check_size(image, result)
        self.seen.add(image.id)
        for found in result.detections:
            if found.class_id in self._category_ids:
                xmin, ymin, xmax, ymax = found.box
                self.rows.append({
                    "image_id": image.id,
                    "category_id": self._category_ids[found.class_id],
                    "bbox": (xmin, ymin, xmax - xmin, ymax - ymin),
                    "score": found.score,
                })  # fmt: skip


def _annotated(folder: Path, annotations: Annotations) -> dict[Path, Image]:
    """Return the annotated images that are there; warn of those that are not."""
    listed = {folder / image.file_name: image for image in annotations.images}
    there = {path: image for path, image in listed.items() if is_file(path)}
    if not there:
        error = hidden(next(iter(listed)))
        if error:
            raise unreadable(folder, error)
        first = annotations.images[0].file_name
        raise InputError(
            f"{folder} has none of {counted(len(listed), 'annotated image')}, such as {first}",
            "name the folder that holds them",
        )
    _warn("annotated image", "missing and not counted", [
        image.file_name for path, image in listed.items() if path not in there
    ])  # fmt: skip
    _warn("image", "not in the annotations and ignored", [
        path.name for path in _images_in(folder) if path not in there
    ])  # fmt: skip
    return there


def _images_in(folder: Path) -> list[Path]:
    """Return a folder's images; none where it cannot be listed, though its files can be read."""
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
    """Raise InputError for an image that was scaled or rotated after it was annotated."""
    width, height = result.frame.width, result.frame.height
    if (image.width or width, image.height or height) != (width, height):
        raise InputError(
            f"{result.frame.path} is {width}x{height} pixels and was annotated with "
            f"{image.width}x{image.height}",
            "give the images that were annotated",
        )
