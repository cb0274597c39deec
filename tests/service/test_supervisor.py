"""What systemd is told of a service that starts, runs, hangs, fails and stops."""

from __future__ import annotations

import os
import pty
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from service.test_governor import FakeBoard
from support.config_file import File
from support.notified import NotifySocket, service
from support.pipelines import GatedDetector, Recorder, make_pipeline, small_spec, synthetic
from support.waiting import wait_for

from edge_ssd import config
from edge_ssd.board import Sensors
from edge_ssd.channels import Closed
from edge_ssd.config import GovernorOptions
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.pipeline.pipeline import Pipeline
from edge_ssd.pipeline.stats import Stats
from edge_ssd.pipeline.worker import Worker
from edge_ssd.service import build
from edge_ssd.service.governor import Governor
from edge_ssd.service.reload import Reloader
from edge_ssd.service.supervisor import STATUS_S, Status, Supervisor
from edge_ssd.service.systemd import Manager, Watchdog

WATCHDOG_S = 20.0


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[NotifySocket]:
    opened = NotifySocket(str(tmp_path / "notify"))
    yield opened
    opened.close()


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Stuck:
    """A worker in a step that ends when ``go_on`` is set; the next step ends when it is again."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.entered, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        self._over = False
        self.worker = Worker(name, self._step, lambda _: None, clock=clock)
        self.worker.start()
        assert self.entered.acquire(timeout=60)

    def _step(self) -> None:
        self.entered.release()
        if not self.go_on.acquire(timeout=60) or self._over:
            raise Closed

    def move(self) -> None:
        self.go_on.release()
        assert self.entered.acquire(timeout=60)

    def end(self) -> None:
        self._over = True
        self.go_on.release()
        assert self.worker.join(60)


class Watched:
    """A watchdog over two workers, the clock, and what systemd hears."""

    def __init__(self, manager: NotifySocket) -> None:
        self.clock = Clock()
        self.manager = manager
        self.upper, self.lower = Stuck("inference", self.clock), Stuck("mqtt", self.clock)
        self.watchdog = Watchdog(Manager(manager.address, WATCHDOG_S), self.clock)

    def after(self, seconds: float) -> list[dict[str, str]]:
        """Let time pass, look at the workers, and return what systemd was told."""
        self.clock.now_s += seconds
        self.watchdog.check([self.upper.worker, self.lower.worker])
        return self.manager.waiting()


@pytest.fixture
def watched(manager: NotifySocket) -> Iterator[Watched]:
    started = Watched(manager)
    yield started
    started.upper.end()
    started.lower.end()


PING = [{"WATCHDOG": "1"}]


def test_the_watchdog_is_fed_four_times_an_interval(watched: Watched) -> None:
    told = []
    for _ in range(400):
        told += watched.after(WATCHDOG_S / 100)
        watched.upper.move()
        watched.lower.move()
    assert told == PING * 16


def test_a_step_longer_than_half_the_interval_starves_it_until_it_ends(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    assert watched.after(0) == PING
    watched.lower.move()
    assert watched.after(WATCHDOG_S / 2) == PING
    watched.lower.move()
    assert watched.after(1) == [{"STATUS": "inference is blocked"}]
    assert watched.after(4) == watched.after(4) == []
    assert caplog.messages == ["inference: blocked for 11 s; watchdog ping withheld"]
    watched.upper.move()
    watched.lower.move()
    assert watched.after(0) == PING
    assert caplog.messages[1:] == ["inference: no longer blocked"]


def test_whoever_waits_for_the_one_that_hangs_is_not_blamed(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """With a recorded source, all wait for the publisher."""
    assert watched.after(WATCHDOG_S) == [{"STATUS": "mqtt is blocked"}]
    assert [message.split()[0] for message in caplog.messages] == ["mqtt:"]


def test_a_worker_that_has_ended_is_not_silent(manager: NotifySocket) -> None:
    """Such as the capture thread, while a publisher still delivers the last results."""
    clock = Clock()
    ended = Worker("capture", lambda: (_ for _ in ()).throw(Closed), lambda _: None, clock=clock)
    ended.start()
    assert ended.join(60)
    clock.now_s += 1000
    Watchdog(Manager(manager.address, WATCHDOG_S), clock).check([ended])
    assert manager.waiting() == PING


def test_without_a_watchdog_nothing_is_judged(
    manager: NotifySocket, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    stuck = Stuck("inference", clock)
    clock.now_s += 1000
    Watchdog(Manager(manager.address, None), clock).check([stuck.worker])
    assert (manager.waiting(), caplog.messages) == ([], [])
    stuck.end()


class Supervised:
    """A supervisor around a real pipeline, ticked by the test."""

    def __init__(self, pipeline: Pipeline, file: File, manager: NotifySocket) -> None:
        self.clock = Clock()
        self.pipeline = pipeline
        self.board = FakeBoard(file.folder / "sys")
        options = config.load(file.path)
        self.governor = Governor(
            GovernorOptions(), pipeline.capture.pace, Sensors(self.board.sys, None).read, self.clock
        )
        self.supervisor = Supervisor(
            pipeline, Reloader(file.path, options, pipeline), self.governor,
            Manager(manager.address, WATCHDOG_S), self._hung_up, self.clock,
        )  # fmt: skip
        self.hang_up = False

    def _hung_up(self) -> bool:
        came, self.hang_up = self.hang_up, False
        return came

    def tick(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.supervisor.tick()


def test_ready_comes_with_the_first_inferred_frame_and_status_after_it(
    file: File, manager: NotifySocket
) -> None:
    detector = GatedDetector(small_spec(file.folder))
    pipeline = make_pipeline(synthetic(live=True, frame_limit=None), detector, [Recorder()])
    supervised = Supervised(pipeline, file, manager)
    pipeline.start()
    assert detector.entered.acquire(timeout=60)
    supervised.tick(0)
    supervised.tick(60)
    assert manager.waiting() == [{"STATUS": "waiting for the first frame"}]
    detector.permits.release()
    wait_for(lambda: pipeline.stats.snapshot().inferred == 1)
    supervised.tick(0)
    ready, ping = manager.waiting()
    assert (ready["READY"], ping) == ("1", PING[0])
    supervised.board.temperature(80)
    supervised.tick(STATUS_S)
    status = next(told["STATUS"] for told in manager.waiting() if "STATUS" in told)
    assert "frames dropped" in status
    assert "80 °C" in status
    supervised.tick(STATUS_S / 2)
    assert not [told for told in manager.waiting() if "STATUS" in told]
    pipeline.request_stop()
    detector.permits.release(100)
    pipeline.stop()


def test_a_reload_before_the_first_frame_is_applied_and_is_not_taken_for_ready(
    file: File, manager: NotifySocket
) -> None:
    stall = {"kind": "stall", "at_frame": 0, "duration_s": 60}
    file.write(source=file.values["source"] | {"faults": [stall]}, stall_timeout_s=60)
    pipeline = build.pipeline(config.load(file.path))
    supervised = Supervised(pipeline, file, manager)
    pipeline.start()
    file.write(governor={"max_temperature_c": 65})
    supervised.hang_up = True
    supervised.tick(0)
    assert manager.waiting() == []
    assert supervised.governor.options.max_temperature_c == 65
    pipeline.stop()


def test_a_refused_file_stays_in_the_status_until_a_good_one(
    file: File, manager: NotifySocket
) -> None:
    pipeline = build.pipeline(config.load(file.path))
    supervised = Supervised(pipeline, file, manager)
    pipeline.start()
    wait_for(lambda: pipeline.stats.snapshot().inferred > 0)

    def status_after(text: str) -> str:
        file.path.write_text(text)
        supervised.hang_up = True
        supervised.tick(0)
        manager.waiting()
        supervised.tick(STATUS_S)
        return next(told["STATUS"] for told in manager.waiting() if "STATUS" in told)

    good = file.path.read_text()
    refused = status_after("a: [")
    assert refused.startswith(f"{file.path} is refused: not YAML: line 2: ")
    assert "frames dropped" in refused
    assert " fps, " in status_after(good).split(";")[0]
    pipeline.stop()


def test_heat_slows_a_running_service(file: File, manager: NotifySocket) -> None:
    detector = CpuBackend(small_spec(file.folder))
    pipeline = make_pipeline(synthetic(live=True, frame_limit=None), detector, [Recorder()])
    supervised = Supervised(pipeline, file, manager)
    supervised.board.temperature(80)
    pipeline.start()
    wait_for(lambda: pipeline.stats.snapshot().inferred > 100)
    supervised.tick(0)
    supervised.tick(STATUS_S)
    pipeline.stop()
    told = manager.waiting()[-1]["STATUS"]
    assert pipeline.capture.pace.limit_fps is not None
    assert f"limited to {pipeline.capture.pace.limit_fps:.1f} fps" in told


def test_a_status_says_what_a_user_asks_first() -> None:
    stats, status = Stats(), Status(100.0)
    stats.count(captured=150, dropped=30, inferred=120)
    assert status.line(stats.snapshot(), 105.0) == (
        "24.0 fps, 30 of 150 frames dropped, age 0 ms"
    )  # fmt: skip
    stats.count(captured=50, dropped=0, inferred=50)
    stats.count_results("mqtt", published=3, failed=2, shed=1)
    stats.count_results("jsonl stdout", published=3)
    assert status.line(stats.snapshot(), 110.0) == (
        "10.0 fps, 30 of 200 frames dropped, age 0 ms, mqtt: 1 lost, mqtt: 2 failed"
    )
    status.line(stats.snapshot(), 115.0)
    assert status.line(stats.snapshot(), 120.0).startswith("0.0 fps, no frame for 10 s, ")


# The same from outside: a real process and real signals.


def test_a_service_that_gets_no_frame_is_not_ready(file: File) -> None:
    stall = {"kind": "stall", "at_frame": 0, "duration_s": 60}
    file.write(source=file.values["source"] | {"faults": [stall]}, stall_timeout_s=60)
    with service(file.path) as child:
        child.manager.wait_for(status="waiting for the first frame")
        child.signal(signal.SIGTERM)
        child.manager.wait_for("STOPPING")
        assert child.end() == (0, "")
        assert not [told for told in child.manager.messages if "READY" in told]


def test_a_service_whose_camera_is_missing_waits_and_says_so(file: File) -> None:
    file.write(source={"type": "usb", "path": "/dev/no-such-camera"})
    with service(file.path) as child:
        told = child.manager.wait_for(status="/dev/no-such-camera does not exist")["STATUS"]
        assert told.endswith("; waiting for the first frame")
        child.signal(signal.SIGTERM)
        code, stderr = child.end()
        last_words = child.manager.waiting()[-1]["STATUS"]
    assert code == 0
    assert last_words == f"ended; {told}"
    assert stderr.count("/dev/no-such-camera") == 1
    assert not [told for told in child.manager.messages if "READY" in told]


def test_a_service_tells_its_whole_life(file: File) -> None:
    with service(file.path, WATCHDOG_USEC="4000000") as child:
        child.manager.wait_for("READY")
        for _ in range(2):
            child.manager.wait_for("WATCHDOG")
        child.signal(signal.SIGTERM)
        assert child.end() == (0, "")
        child.manager.waiting()
        kinds = [next(iter(told)) for told in child.manager.messages if "WATCHDOG" not in told]
        assert kinds[:3] == ["STATUS", "STATUS", "READY"]
        assert kinds[-2:] == ["STOPPING", "STOPPING"]
        assert child.manager.messages[-1]["STATUS"] == "ended"


def test_a_recording_that_is_over_at_once_was_ready_too(file: File) -> None:
    """Else systemd would call its end a failure of the protocol."""
    file.write(source=file.values["source"] | {"frame_limit": 1})
    with service(file.path) as child:
        assert child.end() == (0, "")
        kinds = [next(iter(told)) for told in child.manager.waiting()]
        assert kinds == ["STATUS", "STATUS", "READY", "STOPPING"]


def test_an_error_is_told_before_the_end(file: File) -> None:
    file.write(publishers=[{"type": "jsonl", "path": "/proc/a.jsonl"}])
    with service(file.path) as child:
        code, stderr = child.end()
        assert code == 1
        assert stderr.count("\n") == 1
        told = child.manager.waiting()[-1]
        assert told["STOPPING"] == "1"
        assert told["STATUS"] == f"failed: {stderr.removeprefix('error: ').strip()}"


def test_a_bad_file_at_the_start_ends_with_78(file: File) -> None:
    file.write(nmae="x")
    with service(file.path) as child:
        assert child.end()[0] == 78


def test_a_blocked_publisher_starves_the_watchdog_and_is_named(file: File) -> None:
    """Nobody reads its stdout: the pipe is full within a second."""
    file.write(source=file.values["source"] | {"fps": None}, publishers=[{"type": "jsonl"}])
    with service(file.path, WATCHDOG_USEC="2000000") as child:
        child.manager.wait_for("WATCHDOG")
        child.manager.wait_for(status="jsonl stdout is blocked")
        child.signal(signal.SIGABRT)
        assert child.process.wait(60) == -signal.SIGABRT
        _, stderr = child.end()
        assert re.search(r"jsonl stdout: blocked for \d+ s; watchdog ping withheld", stderr)
        assert "in publish" in stderr, "the stack of the thread that hangs"
        stuck_at = [
            index for index, told in enumerate(child.manager.messages) if "is blocked" in str(told)
        ]
        assert not [told for told in child.manager.messages[stuck_at[0] :] if "WATCHDOG" in told]


def test_a_closed_terminal_ends_it(file: File) -> None:
    """Started over ssh by hand, it must not keep the camera when the line drops."""
    ours, terminal = pty.openpty()
    with service(file.path, terminal) as child:
        os.close(terminal)
        child.manager.wait_for("READY")
        os.close(ours)
        child.manager.wait_for("STOPPING")
        assert child.process.wait(60) == 0


def test_a_sighup_at_a_terminal_that_is_open_reloads(file: File) -> None:
    ours, terminal = pty.openpty()
    with service(file.path, terminal) as child:
        child.manager.wait_for("READY")
        child.signal(signal.SIGHUP)
        child.manager.wait_for("RELOADING")
        assert "applied" in child.manager.wait_for("READY")["STATUS"]
    os.close(terminal)
    os.close(ours)


def test_a_sighup_while_the_model_loads_does_not_end_it(file: File) -> None:
    with service(file.path) as child:
        child.manager.wait_for(status="loading the model")
        child.signal(signal.SIGHUP)
        child.manager.wait_for("READY")
        child.signal(signal.SIGTERM)
        assert child.end() == (0, "")
