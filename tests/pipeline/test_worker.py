from __future__ import annotations

import threading

import pytest

from edge_ssd.channels import Closed
from edge_ssd.pipeline.worker import Worker


def test_begins_steps_until_closed_and_ends_once() -> None:
    seen: list[str] = []
    steps = iter([None, None])

    def step() -> None:
        if next(steps, Closed) is Closed:
            raise Closed
        seen.append("step")

    worker = Worker(
        "w", step, seen.append, begin=lambda: seen.append("begin"), end=lambda: seen.append("end")
    )
    worker.start()
    assert worker.join(60)
    assert seen == ["begin", "step", "step", "end"]
    assert worker.error is None


@pytest.mark.parametrize("where", ["begin", "step", "end"])
def test_an_error_anywhere_is_kept_and_reported_once(where: str) -> None:
    def fail(place: str) -> None:
        if place == where:
            raise ValueError(place)
        if place == "step":
            raise Closed

    reported: list[Worker] = []
    worker = Worker(
        "w", lambda: fail("step"), reported.append, lambda: fail("begin"), lambda: fail("end")
    )
    worker.start()
    assert worker.join(60)
    assert reported == [worker]
    assert str(worker.error) == where


def test_silence_is_measured_from_the_last_step() -> None:
    now = [100.0]
    in_step, go_on = threading.Event(), threading.Event()

    def step() -> None:
        in_step.set()
        go_on.wait(60)
        raise Closed

    worker = Worker("w", step, lambda _: None, clock=lambda: now[0])
    worker.start()
    assert in_step.wait(60)
    now[0] = 107.5
    assert worker.silent_s == 7.5
    go_on.set()
    assert worker.join(60)


def test_joining_a_worker_that_never_started_is_no_error() -> None:
    assert Worker("w", lambda: None, lambda _: None).join(0)
