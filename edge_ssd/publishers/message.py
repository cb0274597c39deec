"""The message: what every publisher sends of a frame, as a dictionary and as one JSON line.

It is a contract: keys and their meaning change only together with SCHEMA.
"""

from __future__ import annotations

import json
from datetime import timezone
from typing import Any

from edge_ssd.errors import PublishError
from edge_ssd.types import Detections, FrameResult

SCHEMA = 1


def message(result: FrameResult) -> dict[str, Any]:
    """Return the message of one frame, keys in this order:

    schema: 1.
    source: the source's name.
    frame: the frame's number within the source; for a folder of images it counts the images.
    captured_at: when the frame was taken, UTC, "2026-11-22T12:00:00.123Z".
    age_ms: from capture to finished detections, milliseconds to 0.1.
    path: the file it was read from; missing when it did not come from a file.
    width, height: of the captured frame, pixels.
    model: the model's name.
    timing_ms: preprocess, inference, postprocess; milliseconds to 0.01.
    detections: best first; empty when nothing was found. Each has
        label: the class's name.
        class_id: counts from 0 without background.
        score: 0 to 1, to 4 digits.
        box: [xmin, ymin, xmax, ymax], pixels of the captured frame to 0.1, clipped to it.
    """
    frame, timing = result.frame, result.timing
    captured_at = frame.captured_at.astimezone(timezone.utc).isoformat(timespec="milliseconds")
    return {
        "schema": SCHEMA,
        "source": frame.source,
        "frame": frame.number,
        "captured_at": captured_at.replace("+00:00", "Z"),
        "age_ms": round(result.age_ms, 1),
        **({} if frame.path is None else {"path": frame.path}),
        "width": frame.width,
        "height": frame.height,
        "model": result.model,
        "timing_ms": {
            "preprocess": round(timing.preprocess_ms, 2),
            "inference": round(timing.inference_ms, 2),
            "postprocess": round(timing.postprocess_ms, 2),
        },
        "detections": _detections(result.detections),
    }


def encode(content: dict[str, Any]) -> bytes:
    """Return compact one-line JSON, UTF-8, no line end. Raises PublishError for NaN or infinity."""
    try:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        problem = f"frame {content.get('frame')} has a value that JSON cannot express"
        raise PublishError(problem, "the model is damaged or its manifest is wrong") from error
    # A file name that is not UTF-8 holds lone surrogates; as \udcXX they survive in JSON.
    return text.encode("utf-8", "backslashreplace")


def _detections(found: Detections) -> list[dict[str, Any]]:
    boxes = found.boxes_xyxy_pixels().round(1).tolist()
    rows = zip(found.class_ids.tolist(), found.scores.tolist(), boxes, strict=True)
    return [
        {"label": found.label(number), "class_id": number, "score": round(score, 4), "box": box}
        for number, score, box in rows
    ]
