"""A detection whose result is known, by the real runtime."""

from __future__ import annotations

import json
from functools import partial
from typing import Literal

from edge_ssd.checks import Check, Finding, System, fail, ok

Runtime = Literal["auto", "litert", "tflite-runtime"]

# The two runtimes differ by about one step of 1/256, decoders and resizers by a few.
_SCORE_TOLERANCE = 0.1
_MIN_IOU = 0.8
_REMEDY = "the runtime computes wrongly: reinstall it, or try the other one (model.runtime)"


def golden_detection(runtime: Runtime, _system: System) -> Finding:
    """The bundled model finds in a known image what it should."""
    # Imported here, since these fail where numpy or OpenCV is broken.
    import numpy as np

    from edge_ssd.boxes import iou_yxyx
    from edge_ssd.detector import Detector
    from edge_ssd.inference.options import ModelOptions
    from edge_ssd.models import golden

    wanted = json.loads(golden.EXPECTED.read_text("utf-8"))
    options = ModelOptions(name=wanted["model"], runtime=runtime, threads=1)
    found = Detector.from_options(options).detect(golden.PHOTO)
    expected = f"expected {wanted['label']} {wanted['score']:.2f}"
    if not len(found):
        return fail(f"nothing detected in a known image, {expected}", _REMEDY)
    label, score = found.label(int(found.class_ids[0])), float(found.scores[0])
    box = np.array([wanted["box_yxyx"]], np.float32)
    overlap = float(iou_yxyx(found.boxes_yxyx[:1], box)[0, 0])
    evidence = f"{label} {score:.2f}, {expected}; the boxes overlap by {overlap:.2f}"
    near = abs(score - wanted["score"]) <= _SCORE_TOLERANCE and overlap >= _MIN_IOU
    return ok(evidence) if near and label == wanted["label"] else fail(evidence, _REMEDY)


def check(runtime: Runtime = "auto") -> Check:
    """Return the check, with a TensorFlow Lite runtime of this name."""
    return Check("golden detection", partial(golden_detection, runtime), limit_s=120)
