"""COCO mAP of the deployed path: sources, detector, postprocessing."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edge_ssd.config import ModelOptions, PostprocessSection, PreprocessOptions
from edge_ssd.service import build
from edge_ssd.sources.base import frames
from edge_ssd.sources.images import ImageSource
from edge_ssd.types import Detections, FrameResult, Timing


def coco_map(model: ModelOptions, postprocess: PostprocessSection, folder: Path) -> float:
    """Return mAP (IoU .5 to .95) on a folder of COCO images with their annotation file."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(next(folder.glob("*.json"))))
        found = truth.loadRes(_detections(model, postprocess, truth, folder))
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def _detections(
    model: ModelOptions, postprocess: PostprocessSection, truth: COCO, folder: Path
) -> list[dict[str, Any]]:
    network = build.detector(model, PreprocessOptions())
    postprocessor = build.postprocessor(network, build.labels_of(network), postprocess)
    ids = {image["file_name"]: image["id"] for image in truth.dataset["images"]}
    rows: list[dict[str, Any]] = []
    for frame in frames(ImageSource("coco", [folder / "images"])):
        geometry = network.set_frame(frame)
        detections: Detections = postprocessor(network.invoke(), geometry)
        result = FrameResult(frame, detections, "", (), Timing(0, 0, 0), 0)
        boxes = result.boxes_xyxy_pixels()
        for box, score, class_id in zip(
            boxes, detections.scores, detections.class_ids, strict=True
        ):
            xmin, ymin, xmax, ymax = box.tolist()
            rows.append(
                {
                    "image_id": ids[Path(str(frame.path)).name],
                    # COCO's categories count from 1, in the order of the 90 labels.
                    "category_id": int(class_id) + 1,
                    "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
                    "score": float(score),
                }
            )
    return rows
