"""The end of the inference process costs one frame, and is told; it is restarted."""

from __future__ import annotations

import gc
import os
import threading

import pytest
from support.inferring import DEADLINE_S, image, infer, warnings

from edge_ssd.errors import DeviceError
from edge_ssd.inference.backend import InvokeLost
from edge_ssd.inference.options import ModelOptions
from edge_ssd.inference.subprocess import MAX_DEATHS, SubprocessBackend
from edge_ssd.models.spec import ModelSpec


def test_an_abort_loses_one_frame_and_is_told(
    isolated: SubprocessBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    once: None,
) -> None:  # fmt: skip
    monkeypatch.setenv("STAND_IN_FAULT", "aborts@3")
    isolated.open()
    for seed in range(2):
        infer(isolated, seed)
    isolated.set_prepared(image(2))
    with pytest.raises(InvokeLost):
        isolated.invoke()
    for seed in range(3, 30):
        infer(isolated, seed)
    ended, again = warnings(caplog)
    assert ended.startswith(
        "the inference process was ended by SIGABRT (Aborted); with an Edge TPU, "
    )
    assert ended.endswith("; its frame is lost; restarting it")
    assert again.startswith("inference runs again, ")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("segfaults@2", "was ended by SIGSEGV (Segmentation fault)"),
        ("fails@2", "failed to invoke"),
        ("hangs@2", f"an inference did not end within {DEADLINE_S:g} s"),
    ],
)
def test_other_ends_lose_one_frame_too(
    fault: str, told: str, isolated: SubprocessBackend, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, once: None,
) -> None:  # fmt: skip
    monkeypatch.setenv("STAND_IN_FAULT", fault)
    isolated.open()
    infer(isolated, 1)
    isolated.set_prepared(image(2))
    with pytest.raises(InvokeLost):
        isolated.invoke()
    infer(isolated, 3)
    assert told in warnings(caplog)[0]


def test_deaths_in_a_row_wait_longer_and_end_it(
    tpu_spec: ModelSpec, stand_in: ModelOptions, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("STAND_IN_FAULT", "aborts@1")
    now = [0.0]
    backend = SubprocessBackend(tpu_spec, stand_in, clock=lambda: now[0])
    backend.open()
    for _ in range(MAX_DEATHS - 1):
        with pytest.raises(InvokeLost):
            backend.invoke()
        now[0] += 5  # past every pause
    with pytest.raises(DeviceError, match=r"ended by SIGABRT .* failure number 5 within 60 s"):
        backend.invoke()
    deaths = [line.rpartition("; ")[2] for line in warnings(caplog) if "lost" in line]
    assert deaths == [
        "restarting it", "restarting it in 0.5 s", "restarting it in 1 s", "restarting it in 2 s",
    ]  # fmt: skip
    backend.close()


@pytest.mark.slow
def test_deaths_far_apart_never_end_it(
    tpu_spec: ModelSpec, stand_in: ModelOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "aborts@1")
    now = [0.0]
    backend = SubprocessBackend(tpu_spec, stand_in, load_deadline_s=1e6, clock=lambda: now[0])
    backend.open()
    before = descriptors_and_threads()
    for _ in range(2 * MAX_DEATHS):
        with pytest.raises(InvokeLost):
            backend.invoke()
        now[0] += 61
    assert descriptors_and_threads() == before
    backend.close()


def descriptors_and_threads() -> tuple[int, int]:
    gc.collect()  # else those of an earlier test may go while this one counts
    return len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208


def test_while_it_waits_it_says_so_and_does_not_block(
    tpu_spec: ModelSpec, stand_in: ModelOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "aborts@1")
    now = [0.0]
    backend = SubprocessBackend(tpu_spec, stand_in, clock=lambda: now[0])
    backend.open()
    for _ in range(2):
        with pytest.raises(InvokeLost):
            backend.invoke()
    assert not backend.wait_ready(0)
    now[0] += 0.5
    monkeypatch.delenv("STAND_IN_FAULT")
    infer(backend, 1)
    backend.close()
