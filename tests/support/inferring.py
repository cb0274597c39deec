"""What the tests of the stand-in share: images, inferences that are checked, and warnings."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from edge_ssd.checks import Finding, Verdict, fail, warn
from edge_ssd.errors import EdgeSsdError
from edge_ssd.inference.backend import Backend, Prepared
from edge_ssd.inference.options import ModelOptions
from edge_ssd.types import Geometry, RawHeads
from support.machines import FakeMachine

DEADLINE_S = 3.0


def changed(options: ModelOptions, **changes: object) -> ModelOptions:
    """The same options, but for some."""
    return ModelOptions.model_validate(options.model_dump() | changes)


def image(seed: int) -> Prepared:
    """An image the stand-in copies into the heads."""
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    return Prepared(pixels, Geometry())


def infer(backend: Backend, seed: int) -> RawHeads:
    """Infer an image, and check that the heads are those of no other."""
    prepared = image(seed)
    backend.set_prepared(prepared)
    heads = backend.invoke()
    given = prepared.tensor.ravel()
    np.testing.assert_array_equal(heads.boxes.values.ravel(), given[:48])
    np.testing.assert_array_equal(heads.scores.values.ravel(), given[48:96])
    return heads


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def look(name: str, options: ModelOptions, machine: FakeMachine) -> Finding:
    """Run one check of the options; a failure of what is not required is a warning."""
    (check,) = (check for check in options.checks() if check.name == name)
    try:
        found = check.look(machine.system())
    except EdgeSsdError as error:
        found = fail(getattr(error, "what", error.problem), error.remedy)
    if found.verdict is Verdict.FAIL and not check.required:
        return warn(f"{found.evidence}; {check.instead}", found.remedy)
    return found
