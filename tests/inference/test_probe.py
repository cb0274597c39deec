"""Trying a delegate in a process of its own: whatever happens there is an error message."""

from __future__ import annotations

import re

import numpy as np
import pytest
from support.inferring import changed

from edge_ssd.errors import DeviceError
from edge_ssd.inference.backend import Prepared
from edge_ssd.inference.child import probe
from edge_ssd.inference.child_main import Job
from edge_ssd.inference.edgetpu import EdgeTpuBackend
from edge_ssd.inference.options import ModelOptions
from edge_ssd.models.spec import ModelSpec
from edge_ssd.types import Geometry


@pytest.fixture
def job(tpu_spec: ModelSpec, stand_in: ModelOptions, runtime_name: str) -> Job:
    """The small model on the stand-in, as the backend describes it."""
    options = changed(stand_in, runtime=runtime_name)
    return Job.of(tpu_spec, EdgeTpuBackend(tpu_spec, options).tensors, options)


def test_a_delegate_that_works_is_no_error(job: Job) -> None:
    probe(job)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("create-fails", r"did not open the Edge TPU \(usb:0\): the stand-in was told to fail"),
        ("create-fails-silently", r"cannot be opened: none is on USB .* or PCIe"),
        ("create-aborts", r"process was ended by SIGABRT \(Aborted\); with an Edge TPU, check its"),
        (
            "segfaults@1",
            r"ended by SIGSEGV \(Segmentation fault\).*that libedgetpu fits the runtime",
        ),
        ("fails@1", r"the inference failed: .*StandInForEdgeTpu.* failed to invoke"),
    ],
)
def test_what_goes_wrong_is_told_in_one_line(
    fault: str, sentence: str, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", fault)
    with pytest.raises(DeviceError) as error:
        probe(job)
    assert re.search(sentence, str(error.value)), error.value
    assert "\n" not in str(error.value)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("fault", "doing", "timeout_s"),
    [("create-hangs", "loading the model", 0.2), ("hangs@1", "the first inference", 10)],
)
def test_a_hang_is_ended_and_told(
    fault: str, doing: str, timeout_s: float, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe of 10 s must have loaded the model by then."""
    monkeypatch.setenv("STAND_IN_FAULT", fault)
    with pytest.raises(DeviceError, match=f"^{doing} did not end within {timeout_s:g} s; with"):
        probe(job, timeout_s)


def test_a_detector_in_this_process_probes_before_it_opens(
    tpu_spec: ModelSpec, stand_in: ModelOptions, runtime_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segfault at the first inference would be this test's own."""
    monkeypatch.setenv("STAND_IN_FAULT", "segfaults@1")
    backend = EdgeTpuBackend(tpu_spec, changed(stand_in, runtime=runtime_name))
    with pytest.raises(DeviceError, match="SIGSEGV"):
        backend.open()
    monkeypatch.delenv("STAND_IN_FAULT")
    backend.open()  # the lock was given back
    backend.close()


def test_a_detector_in_this_process_infers_and_tells_of_a_failure(
    tpu_spec: ModelSpec, stand_in: ModelOptions, runtime_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "fails@3")
    backend = EdgeTpuBackend(tpu_spec, changed(stand_in, runtime=runtime_name))
    backend.open()
    pixels = np.arange(768, dtype=np.uint8).reshape(16, 16, 3)
    for _ in range(2):
        backend.set_prepared(Prepared(pixels, Geometry()))
        heads = backend.invoke()
        np.testing.assert_array_equal(heads.boxes.values.ravel(), pixels.ravel()[:48])
        np.testing.assert_array_equal(heads.scores.values.ravel(), pixels.ravel()[48:96])
    with pytest.raises(DeviceError, match=r"the Edge TPU failed: .*; check its cable and power"):
        backend.invoke()
    backend.close()
