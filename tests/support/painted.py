"""A small model and images whose pixels are its heads: what it finds is painted."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from support.tflite_builder import quantize
from support.tflite_models import STOCK, raw_heads_model

SIZE, ANCHORS, COLUMNS = 48, 75, 4
LABELS = ["person", "bicycle", "car"]


def write_model(path: Path) -> None:
    path.write_bytes(raw_heads_model(ANCHORS, COLUMNS, input_shape=(1, SIZE, SIZE, 3)))


def paint(path: Path, score: float, class_id: int = 2) -> None:
    """Save an image in which the model finds one object, by default a car, with this score."""
    cv2.imwrite(str(path), painted(score, class_id))


def painted(score: float, class_id: int = 2) -> NDArray[np.uint8]:
    """Return (SIZE, SIZE, 3) BGR: anchor 40 has this score of this class."""
    boxes = np.full((ANCHORS, 4), quantize(np.zeros(1), STOCK.image)[0], np.uint8)
    scores = np.full((ANCHORS, COLUMNS), quantize(np.zeros(1), STOCK.image)[0], np.uint8)
    scores[40, class_id + 1] = quantize(np.array([score]), STOCK.image)[0]
    numbers = np.full(SIZE * SIZE * 3, 128, np.uint8)
    heads = np.concatenate([boxes.ravel(), scores.ravel()])
    numbers[: len(heads)] = heads
    return numbers.reshape(SIZE, SIZE, 3)[..., ::-1]
