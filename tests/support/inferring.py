"""What the tests of the stand-in share: pictures, inferences that are checked, and warnings."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from edge_ssd.inference.backend import Backend, Prepared
from edge_ssd.types import Geometry, RawHeads

DEADLINE_S = 0.5


def picture(seed: int) -> Prepared:
    """A picture the stand-in copies into the heads."""
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    return Prepared(pixels, Geometry())


def infer(detector: Backend, seed: int) -> RawHeads:
    """Infer a picture, and check that the heads are those of no other."""
    prepared = picture(seed)
    detector.set_prepared(prepared)
    heads = detector.invoke()
    given = prepared.tensor.ravel()
    np.testing.assert_array_equal(heads.boxes.values.ravel(), given[:48])
    np.testing.assert_array_equal(heads.scores.values.ravel(), given[48:96])
    return heads


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]
