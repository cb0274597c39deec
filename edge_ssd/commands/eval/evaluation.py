"""COCO mAP of the whole deployed path, on images with annotations."""

from __future__ import annotations

import io
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_ssd.commands.eval.annotations import Annotations, Image, category_ids
from edge_ssd.commands.progress import ProgressBar
from edge_ssd.detector import Detector
from edge_ssd.errors import EdgeSsdError, InputError, Interrupted
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

SUMMARY = {
    "AP": " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ]",
    "AP50": " Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ]",
    "AP75": " Average Precision  (AP) @[ IoU=0.75      | area=   all | maxDets=100 ]",
    "AP_small": " Average Precision  (AP) @[ IoU=0.50:0.95 | area= small | maxDets=100 ]",
    "AP_medium": " Average Precision  (AP) @[ IoU=0.50:0.95 | area=medium | maxDets=100 ]",
    "AP_large": " Average Precision  (AP) @[ IoU=0.50:0.95 | area= large | maxDets=100 ]",
    "AR_1": " Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=  1 ]",
    "AR_10": " Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets= 10 ]",
    "AR_100": " Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ]",
    "AR_small": " Average Recall     (AR) @[ IoU=0.50:0.95 | area= small | maxDets=100 ]",
    "AR_medium": " Average Recall     (AR) @[ IoU=0.50:0.95 | area=medium | maxDets=100 ]",
    "AR_large": " Average Recall     (AR) @[ IoU=0.50:0.95 | area= large | maxDets=100 ]",
}
"""COCO's twelve figures, in its order and its tools' words. AP: mean over classes, so mAP."""


class EvaluatorMissingError(EdgeSsdError, ImportError):
    """pycocotools is not installed."""


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Average precision of one class (IoU .5 to .95), and how many boxes it is of."""

    ap: float
    boxes: int


@dataclass(frozen=True, slots=True)
class Report:
    """What one model scores.

    model: as the user named it. images: how many were evaluated.
    missing: annotated images that are not there or cannot be read, and are not counted.
    summary: SUMMARY's figures, 0 to 1; None where there are no boxes of that size.
    classes: by category name, those that have boxes.
    """

    model: str
    images: int
    missing: list[str]
    summary: dict[str, float | None]
    classes: dict[str, ClassScore]


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
    return [run.report() for run in runs]


class _Run(Publisher):
    """One model over all images, as ``edge-ssd detect`` runs it; keeps its boxes in COCO's form."""

    name = "eval"

    def __init__(
        self, options: ModelOptions, images: Mapping[Path, Image], annotations: Annotations
    ) -> None:
        detector = Detector.from_options(options, postprocess=SETTINGS)
        self._model, self._annotations = options.name, annotations
        self._ids = category_ids(detector.labels, annotations, detector.backend.spec.name)
        self._images = {str(path): image for path, image in images.items()}
        self._seen: set[int] = set()
        self._rows: list[dict[str, Any]] = []
        source = ImageSource("eval", list(images))
        bar = ProgressBar(source, title=Path(options.name).name)
        self._pipeline = Pipeline(source, detector, [Outlet(bar), Outlet(self)])

    def report(self) -> Report:
        if run_until_done(self._pipeline):
            raise Interrupted("interrupted before every image was evaluated")
        images = self._annotations.images
        missing = [image.file_name for image in images if image.id not in self._seen]
        scores = _scores(self._annotations, self._seen, self._rows)
        return Report(self._model, len(self._seen), missing, *scores)

    def publish(self, result: FrameResult) -> None:
        image = self._images[str(result.frame.path)]
        width, height = result.frame.width, result.frame.height
        if (image.width or width, image.height or height) != (width, height):
            raise InputError(  # it was scaled or rotated after it was annotated
                f"{result.frame.path} is {width}x{height} pixels and was annotated with "
                f"{image.width}x{image.height}",
                "give the images that were annotated",
            )
        self._seen.add(image.id)
        for found in result.detections:
            if found.class_id in self._ids:
                xmin, ymin, xmax, ymax = found.box
                self._rows.append({
                    "image_id": image.id,
                    "category_id": self._ids[found.class_id],
                    "bbox": (xmin, ymin, xmax - xmin, ymax - ymin),
                    "score": found.score,
                })  # fmt: skip


def _annotated(folder: Path, annotations: Annotations) -> dict[Path, Image]:
    """Return the annotated images that are there; warn of those that are not."""
    listed = {folder / image.file_name: image for image in annotations.images}
    there = {path: image for path, image in listed.items() if is_file(path)}
    if not there:
        if error := hidden(next(iter(listed))):
            raise unreadable(folder, error)
        first = annotations.images[0].file_name
        raise InputError(
            f"{folder} has none of {counted(len(listed), 'annotated image')}, such as {first}",
            "name the folder that holds them",
        )
    missing = [image.file_name for path, image in listed.items() if path not in there]
    _warn("annotated image", "missing and not counted", missing)
    with suppress(OSError):  # it cannot be listed, though its files can be read
        files = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_EXTENSIONS]
        ignored = sorted(path.name for path in files if path not in there)
        _warn("image", "not in the annotations and ignored", ignored)
    return there


def _warn(what: str, why: str, names: Sequence[str]) -> None:
    if names:
        are = f"{counted(len(names), what)} {'is' if len(names) == 1 else 'are'} {why}"
        log.warning("%s: %s%s", are, ", ".join(names[:5]), ", …" if len(names) > 5 else "")


def check_installed() -> None:
    """Raise EvaluatorMissingError when pycocotools cannot be used."""
    try:
        from pycocotools import cocoeval  # noqa: F401 (an extra)
    except ImportError as error:
        raise EvaluatorMissingError(
            f"eval needs pycocotools ({error})",
            "install the extra: pip install -e '.[eval]' in the checkout",
        ) from None


def _scores(
    annotations: Annotations, image_ids: Collection[int], detections: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, float | None], dict[str, ClassScore]]:
    """Return the summary and classes of a report, by pycocotools, on the images of ``image_ids``.

    detections: image_id, category_id, score, and bbox as x, y, width, height in pixels.
    """
    from pycocotools.cocoeval import COCOeval

    truth = [box.model_dump() for box in annotations.annotations]
    with redirect_stdout(io.StringIO()):  # it reports every step
        evaluation = COCOeval(_index(annotations, truth), _index(annotations, detections), "bbox")
        evaluation.params.imgIds = sorted(image_ids)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    single = [box for box in truth if box["image_id"] in image_ids and not box["iscrowd"]]
    boxes = Counter(box["category_id"] for box in single)
    names = {category.id: category.name for category in annotations.categories}
    # (IoU thresholds, recalls, categories, areas, limits): all areas, the largest limit.
    by_class = evaluation.eval["precision"][:, :, :, 0, -1].mean(axis=(0, 1))
    classes = {
        names[category]: ClassScore(float(ap), boxes[category])
        for category, ap in zip(evaluation.params.catIds, by_class, strict=True)
        if boxes[category]
    }
    # COCO's -1 stands for nothing to measure.
    figures = [None if figure < 0 else float(figure) for figure in evaluation.stats]
    return dict(zip(SUMMARY, figures, strict=True)), classes


def _index(annotations: Annotations, boxes: Iterable[Mapping[str, Any]]) -> Any:
    from pycocotools.coco import COCO

    complete = []
    for number, box in enumerate(boxes, start=1):  # an id of 0 counts as no match
        _, _, width, height = box["bbox"]
        area = width * height if box.get("area") is None else box["area"]
        more = {"bbox": list(box["bbox"]), "area": area, "id": number}
        complete.append({"iscrowd": 0, **box, **more})
    index = COCO()
    index.dataset = {
        "images": [image.model_dump() for image in annotations.images],
        "categories": [category.model_dump() for category in annotations.categories],
        "annotations": complete,
    }
    index.createIndex()
    return index
