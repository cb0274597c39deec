"""COCO's average precision and recall, as pycocotools computes them."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_ssd.commands.eval.annotations import Annotations
from edge_ssd.errors import EdgeSsdError

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
class Score:
    """The scores of detections against annotations.

    summary: SUMMARY's figures, 0 to 1; None where there are no boxes of that size.
    classes: by category name, those that have boxes.
    """

    summary: dict[str, float | None]
    classes: dict[str, ClassScore]


def check_installed() -> None:
    """Raise EvaluatorMissingError when pycocotools cannot be used."""
    try:
        from pycocotools import cocoeval  # noqa: F401 (an extra)
    except ImportError as error:
        raise EvaluatorMissingError(
            f"eval needs pycocotools ({error})",
            "install the extra: pip install -e '.[eval]' in the checkout",
        ) from None


def score(
    annotations: Annotations, image_ids: Collection[int], detections: Sequence[Mapping[str, Any]]
) -> Score:
    """Score detections on the images of ``image_ids``; the others do not count.

    detections: image_id, category_id, score, and bbox as x, y, width, height in pixels.
    """
    from pycocotools.cocoeval import COCOeval

    truth = [box.model_dump() for box in annotations.annotations]
    with contextlib.redirect_stdout(io.StringIO()):  # it reports every step
        evaluation = COCOeval(_index(annotations, truth), _index(annotations, detections), "bbox")
        evaluation.params.imgIds = sorted(image_ids)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    boxes = Counter(
        box.category_id
        for box in annotations.annotations
        if box.image_id in image_ids and not box.iscrowd
    )
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
    return Score(dict(zip(SUMMARY, figures, strict=True)), classes)


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
