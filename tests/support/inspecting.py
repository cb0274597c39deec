"""What the tests of ``models inspect`` share: a stock-like model, and the text as one line."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_ssd.commands.models import inspected
from edge_ssd.workshop.inspect import Report
from support.tflite_models import PostprocessOptions, stock_like_model

ANCHORS = np.array([[0.5, 0.5, 0.5, 0.5]] * 12, np.float32)


def stock_like(**options: Any) -> bytes:
    return stock_like_model(ANCHORS, 4, PostprocessOptions(num_classes=3, **options))


def flat(report: Report) -> str:
    """The text as one line, since where it breaks depends on the folder's name."""
    return " ".join(inspected.as_text(report).split())
