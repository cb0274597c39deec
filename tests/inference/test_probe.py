"""Trying a delegate in a process of its own: whatever happens there is a sentence here."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from edge_ssd.errors import DeviceError
from edge_ssd.inference.backend import Prepared
from edge_ssd.inference.child_main import Job
from edge_ssd.inference.delegate import Delegate
from edge_ssd.inference.edgetpu import EdgeTpuBackend
from edge_ssd.inference.probe import probe
from edge_ssd.models.spec import ModelSpec
from edge_ssd.types import Geometry


@pytest.fixture
def job(tpu_spec: ModelSpec, stand_in: Delegate, runtime_name: str) -> Job:
    """The small network on the stand-in, as the detector describes it."""
    described = EdgeTpuBackend(tpu_spec, stand_in, runtime_name)
    return Job(tpu_spec, runtime_name, 1, stand_in, described.tensors)


def test_a_delegate_that_works_is_no_error(job: Job) -> None:
    probe(job)


def test_the_delegate_alone_can_be_probed(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = replace(job, spec=None, tensors=())
    probe(alone)
    monkeypatch.setenv("STAND_IN_FAULT", "create-fails")
    with pytest.raises(DeviceError, match="told to fail"):
        probe(alone)


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
        ("fails@1", r"the network failed: .*StandInForEdgeTpu.* failed to invoke"),
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


@pytest.mark.parametrize(
    ("fault", "doing", "timeout_s"),
    [("create-hangs", "loading", 0.2), ("hangs@1", "its first inference", 4)],  # 4: it must load
)
def test_a_hang_is_ended_and_told(
    fault: str, doing: str, timeout_s: float, tpu_spec: ModelSpec, stand_in: Delegate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("STAND_IN_FAULT", fault)
    described = EdgeTpuBackend(tpu_spec, stand_in)
    job = Job(tpu_spec, "auto", 1, stand_in, described.tensors)
    with pytest.raises(DeviceError, match=f"the network hung in {doing} for {timeout_s:g} s"):
        probe(job, timeout_s)


def test_a_detector_in_this_process_probes_before_it_opens(
    tpu_spec: ModelSpec, stand_in: Delegate, runtime_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segfault at the first inference would be this test's own."""
    monkeypatch.setenv("STAND_IN_FAULT", "segfaults@1")
    detector = EdgeTpuBackend(tpu_spec, stand_in, runtime_name)
    with pytest.raises(DeviceError, match="SIGSEGV"):
        detector.open()
    monkeypatch.delenv("STAND_IN_FAULT")
    detector.open()  # the lock was given back
    detector.close()


def test_a_detector_in_this_process_infers_and_tells_of_a_failure(
    tpu_spec: ModelSpec, stand_in: Delegate, runtime_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "fails@3")
    detector = EdgeTpuBackend(tpu_spec, stand_in, runtime_name)
    detector.open()
    picture = np.arange(768, dtype=np.uint8).reshape(16, 16, 3)
    for _ in range(2):
        detector.set_prepared(Prepared(picture, Geometry()))
        heads = detector.invoke()
        np.testing.assert_array_equal(heads.boxes.values.ravel(), picture.ravel()[:48])
        np.testing.assert_array_equal(heads.scores.values.ravel(), picture.ravel()[48:96])
    with pytest.raises(DeviceError, match=r"the Edge TPU failed: .*; check its cable and power"):
        detector.invoke()
    detector.close()
