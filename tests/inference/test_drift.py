"""Inference that has become slow is told of, once."""

from __future__ import annotations

import pytest
from support.inferring import infer, warnings

from edge_ssd.inference.backend import WINDOW, DriftWatch
from edge_ssd.inference.edgetpu import EdgeTpuBackend
from edge_ssd.inference.options import ModelOptions
from edge_ssd.inference.subprocess import SubprocessBackend
from edge_ssd.models.spec import ModelSpec


def test_inference_that_becomes_slow_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    watch = DriftWatch(warm_up=1)
    for milliseconds in [900.0] + [2.0] * WINDOW + [2.5] * WINDOW:
        watch.note(milliseconds)
    assert not warnings(caplog)
    for _ in range(5 * WINDOW):
        watch.note(20.0)
    (warning,) = warnings(caplog)
    assert warning.startswith("inference takes 20.0 ms and took 2.0 ms at first; an Edge TPU that")


def test_a_few_slow_inferences_are_no_drift(caplog: pytest.LogCaptureFixture) -> None:
    watch = DriftWatch(warm_up=0)
    for number in range(10 * WINDOW):
        watch.note(500.0 if number % 3 == 0 else 2.0)
    assert not warnings(caplog)


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_stick_that_becomes_ten_times_slower_is_told(
    isolation: str, tpu_spec: ModelSpec, stand_in: ModelOptions, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("STAND_IN_FAULT", "slow@70")
    kind = {"thread": EdgeTpuBackend, "process": SubprocessBackend}[isolation]
    backend = kind(tpu_spec, stand_in)
    backend.open()
    for seed in range(200):
        infer(backend, seed)
    backend.close()
    assert [line for line in warnings(caplog) if "inference takes" in line]
