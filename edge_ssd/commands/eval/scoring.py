"""COCO's average precision and recall, as pycocotools computes them."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_ssd.commands.eval.annotations import Annotations
from edge_ssd.errors import EdgeSsdError

SUMMARY = (
    "AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
    "AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large",
)  # fmt: skip
"""COCO's twelve figures, in its order. AP: mean over classes and IoU .5 to .95, so mAP."""


class EvaluatorMissingError(EdgeSsdError, ImportError):
    """pycocotools is not installed."""


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Average precision of one class (IoU .5 to .95), and how many boxes it is of."""

    ap: float
    boxes: int


@dataclass(frozen=True, slots=True)
class Score:
    """What detections are worth against annotations.

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
    evaluation = _evaluated(annotations, image_ids, detections)
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


def _evaluated(
    annotations: Annotations, image_ids: Collection[int], detections: Sequence[Mapping[str, Any]]
) -> Any:
    from pycocotools.cocoeval import COCOeval

    truth = [box.model_dump() for box in annotations.annotations]
    with contextlib.redirect_stdout(io.StringIO()):  # it reports every step
        evaluation = COCOeval(_index(annotations, truth), _index(annotations, detections), "bbox")
        evaluation.params.imgIds = sorted(image_ids)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def _index(annotations: Annotations, boxes: Sequence[Mapping[str, Any]]) -> Any:
    from pycocotools.coco import COCO

    index = COCO()
    index.dataset = {
        "images": [image.model_dump() for image in annotations.images],
        "categories": [category.model_dump() for category in annotations.categories],
        "annotations": [_complete(box, number) for number, box in enumerate(boxes, start=1)],
    }
    index.createIndex()
    return index


def _complete(box: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return a box with what pycocotools needs; its id from 1, for 0 counts as no match."""
    x, y, width, height = box["bbox"]
    area = box.get("area")
    return {
        "iscrowd": 0,
        **box,
        "bbox": [x, y, width, height],
        "area": width * height if area is None else area,
        "id": number,
    }
