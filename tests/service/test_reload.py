"""SIGHUP on a pipeline that runs: what changes, what stays, and that no frame is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.config_file import File
from support.notified import Service, service
from support.pipelines import Recorder
from support.waiting import wait_for

from edge_ssd import config
from edge_ssd.channels import Closed
from edge_ssd.errors import ConfigError, PublishError
from edge_ssd.pipeline.pipeline import Outlet, Pipeline
from edge_ssd.service import build
from edge_ssd.service.reload import Reloader
from edge_ssd.types import FrameResult


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


class Running:
    """A pipeline that a file describes, and its reloader."""

    def __init__(self, file: File) -> None:
        self.options = config.load(file.path)
        self.pipeline: Pipeline = build.pipeline(self.options)
        self.reloader = Reloader(file.path, self.options, self.pipeline)
        self.pipeline.start()


@pytest.fixture
def running(file: File) -> Iterator[Running]:
    started = Running(file)
    wait_for(lambda: len(file.frames("a.jsonl")) > 3)
    yield started
    started.pipeline.stop()


def one_by_one(numbers: list[int]) -> bool:
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_thresholds_change_between_two_frames(file: File, running: Running) -> None:
    file.write(postprocess={"score_threshold": 0.8})
    assert running.reloader.reload() == []
    wait_for(lambda: not file.lines("a.jsonl")[-1]["detections"])
    running.pipeline.stop()
    found = [len(line["detections"]) for line in file.lines("a.jsonl")]
    assert sorted(found, reverse=True) == found
    assert (found[0], found[-1]) == (1, 0)
    assert file.frames("a.jsonl") == list(range(len(found)))


def test_a_publisher_that_stays_is_not_touched(file: File, running: Running) -> None:
    before = running.pipeline.publishing[0]
    file.write(
        publishers=[{"type": "jsonl", "path": "b.jsonl"},
                    {"type": "jsonl", "path": "a.jsonl", "backups": 3}],
    )  # fmt: skip
    assert running.reloader.reload() == []
    assert running.pipeline.publishing[1] is before
    wait_for(lambda: len(file.frames("b.jsonl")) > 3)
    running.pipeline.stop()
    assert file.frames("a.jsonl") == list(range(len(file.frames("a.jsonl"))))
    assert one_by_one(file.frames("b.jsonl"))
    assert file.frames("a.jsonl")[-1] == file.frames("b.jsonl")[-1]


def test_a_publisher_that_goes_hands_over_without_a_gap(file: File, running: Running) -> None:
    file.write(publishers=[{"type": "jsonl", "path": "b.jsonl"}])
    running.reloader.reload()
    wait_for(lambda: len(file.frames("b.jsonl")) > 3)
    running.pipeline.stop()
    both = file.frames("a.jsonl") + file.frames("b.jsonl")
    assert both == list(range(len(both)))
    stats = running.pipeline.stats.snapshot()
    assert (stats.captured, stats.dropped) == (len(both), 0)


def test_a_publisher_that_changes_takes_over_the_file_of_the_old_one(
    file: File, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """The old one holds the lock on the file until it has written its last line."""
    for backups in range(10, 15):
        file.write(publishers=[{"type": "jsonl", "path": "a.jsonl", "backups": backups}])
        running.reloader.reload()
    written = len(file.frames("a.jsonl"))
    wait_for(lambda: len(file.frames("a.jsonl")) > written + 10)
    running.pipeline.stop()
    assert file.frames("a.jsonl") == list(range(len(file.frames("a.jsonl"))))
    assert not caplog.messages
    assert len(running.pipeline.workers) < 10


@pytest.mark.parametrize(
    ("publisher", "problem"),
    [
        ({"type": "jsonl", "path": "a.jsonl"}, "another publisher has"),
        ({"type": "jsonl", "path": "no-such/b.jsonl"}, "does not exist"),
        ({"type": "jsonl", "path": "pictures"}, "may not be written"),
        ({"type": "mqtt", "host": "h", "username": "u", "password_file": "none"}, "No such file"),
    ],
)
def test_what_would_not_start_is_refused_and_all_goes_on(
    publisher: dict[str, Any], problem: str, file: File, running: Running
) -> None:
    """Else the file in force would keep the service down after the next boot."""
    (before,) = running.pipeline.publishing
    file.write(publishers=[file.values["publishers"][0], publisher])
    with pytest.raises(ConfigError, match=problem):
        running.reloader.reload()
    assert running.pipeline.publishing == [before]
    count = len(file.frames("a.jsonl"))
    wait_for(lambda: len(file.frames("a.jsonl")) > count)


def test_a_publisher_that_goes_does_not_hold_the_stop(file: File, running: Running) -> None:
    """It has seconds of results to deliver; what it cannot deliver in time is discarded."""

    class Slow(Recorder):
        def publish(self, result: FrameResult) -> None:
            threading.Event().wait(0.1)
            super().publish(result)

    pipeline, leaving, staying = running.pipeline, Slow("slow"), Recorder("staying")
    pipeline.change(pipeline.postprocessor, [Outlet(leaving, queue_size=200)])
    queue = pipeline.publishing[0].inbox
    wait_for(lambda: len(queue) > 100)
    pipeline.change(pipeline.postprocessor, [Outlet(staying)])
    pipeline.stop(timeout_s=1.5)
    assert len(leaving.results) < 50


def test_what_needs_a_restart_is_named_and_stays(file: File, running: Running) -> None:
    file.write(
        name="back-door", stall_timeout_s=3, preprocess={"resize": "letterbox"},
        source=file.values["source"] | {"fps": 10}, postprocess={"score_threshold": 0.8},
    )  # fmt: skip
    assert running.reloader.reload() == ["name", "source", "preprocess", "stall_timeout_s"]
    wait_for(lambda: running.pipeline.postprocessor.options.score_threshold == 0.8)
    assert running.options.name == running.reloader.options.name == "front-door"
    assert running.reloader.reload() == ["name", "source", "preprocess", "stall_timeout_s"]


BAD = {
    "an unknown option": {"postprocess": {"score_treshold": 0.8}},
    "a label the model has not": {"postprocess": {"classes": ["unicorn"]}},
    "a publisher of an unknown kind": {
        "postprocess": {"score_threshold": 0.8}, "publishers": [{"type": "pigeon"}]
    },
}  # fmt: skip


@pytest.mark.parametrize("values", BAD.values(), ids=BAD)
def test_a_bad_file_changes_nothing(file: File, running: Running, values: dict[str, Any]) -> None:
    before = (running.pipeline.postprocessor, list(running.pipeline.publishing))
    good = dict(file.values)
    file.write(**values)
    with pytest.raises(ConfigError):
        running.reloader.reload()
    count = len(file.frames("a.jsonl"))
    wait_for(lambda: len(file.frames("a.jsonl")) > count + 3)
    assert (running.pipeline.postprocessor, list(running.pipeline.publishing)) == before
    assert running.reloader.options == running.options
    file.values = good
    file.write()
    assert running.reloader.reload() == []


def test_a_new_publisher_that_cannot_be_opened_ends_nothing_and_is_tried_again(
    file: File, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    (file.folder / "b.jsonl").write_text("a diary")
    file.write(
        publishers=[{"type": "jsonl", "path": "a.jsonl"}, {"type": "jsonl", "path": "b.jsonl"}]
    )
    running.reloader.reload()
    broken = f"jsonl {file.folder}/b.jsonl"
    wait_for(lambda: running.pipeline.stats.snapshot().failed.get(broken, 0) > 3)
    assert caplog.messages[-1].endswith("dropped and counted until the next reload")
    kept = running.pipeline.publishing[0]
    (file.folder / "b.jsonl").unlink()
    running.reloader.reload()
    wait_for(lambda: len(file.frames("b.jsonl")) > 3)
    assert running.pipeline.publishing[0] is kept
    running.pipeline.stop()
    assert file.frames("a.jsonl") == list(range(len(file.frames("a.jsonl"))))


def test_a_publisher_that_goes_and_cannot_be_closed_ends_nothing(
    file: File, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    class Unclosable(Recorder):
        def close(self) -> None:
            super().close()
            raise OSError("the card is gone")

    pipeline, leaving, staying = running.pipeline, Unclosable(), Recorder("staying")
    pipeline.change(pipeline.postprocessor, [Outlet(leaving)])
    pipeline.change(pipeline.postprocessor, [Outlet(staying)])
    wait_for(lambda: len(staying.results) > 3)
    assert leaving.events[-1] == "close"
    assert caplog.messages == ["recorder could not be closed: the card is gone"]


def test_an_error_of_the_first_publishers_still_ends_the_service(file: File) -> None:
    file.write(publishers=[{"type": "jsonl", "path": "/proc/a.jsonl"}])
    with pytest.raises(PublishError, match=r"/proc/a\.jsonl"):
        Running(file).pipeline.wait(10)


def test_a_recorded_source_waits_for_a_publisher_that_opens_slowly(
    file: File, running: Running
) -> None:
    """Its queue of one is full long before it opens; every frame comes all the same."""
    slow = Recorder("slow")
    slow.open_gate.clear()
    pipeline = running.pipeline
    pipeline.change(pipeline.postprocessor, [Outlet(slow, queue_size=1)])
    wait_for(lambda: len(pipeline.publishing[0].inbox) == 1)
    slow.open_gate.set()
    wait_for(lambda: len(slow.results) > 20)
    pipeline.stop()
    both = file.frames("a.jsonl") + slow.numbers
    assert both == list(range(len(both)))


def test_nothing_is_changed_when_the_source_has_ended(file: File) -> None:
    file.write(source=file.values["source"] | {"frame_limit": 5})
    ended = Running(file)
    assert ended.pipeline.wait(10)
    file.write(publishers=[{"type": "jsonl", "path": "b.jsonl"}])
    with pytest.raises(Closed):
        ended.reloader.reload()
    assert ended.pipeline.wait(1)
    assert not (file.folder / "b.jsonl").exists()


@pytest.mark.parametrize("frames", range(1, 40, 3))
def test_a_change_at_the_very_end_hangs_nothing_and_loses_nothing(file: File, frames: int) -> None:
    file.write(source=file.values["source"] | {"frame_limit": frames, "fps": None})
    ending = Running(file)
    file.write(publishers=[{"type": "jsonl", "path": "b.jsonl"}])
    try:
        ending.reloader.reload()
    except Closed:
        assert not file.frames("b.jsonl")
    assert ending.pipeline.wait(10)
    assert file.frames("a.jsonl") + file.frames("b.jsonl") == list(range(frames))


# The same from outside: a real process, real signals, what systemd is told and the log.


@pytest.fixture
def child(file: File) -> Iterator[Service]:
    with service(file.path) as started:
        started.manager.wait_for("READY")
        yield started


def reload(child: Service) -> str:
    """Send SIGHUP; return the status it ended with."""
    child.signal(signal.SIGHUP)
    child.manager.wait_for("RELOADING", "MONOTONIC_USEC")
    return child.manager.wait_for("READY")["STATUS"]


def test_sighup_applies_a_good_file(file: File, child: Service) -> None:
    file.write(
        postprocess={"score_threshold": 0.8}, publishers=[{"type": "jsonl", "path": "b.jsonl"}]
    )
    assert reload(child) == f"{file.path} is in force"
    wait_for(lambda: len(file.frames("b.jsonl")) > 3)
    child.signal(signal.SIGTERM)
    assert child.end() == (0, "")
    lines = file.lines("a.jsonl") + file.lines("b.jsonl")
    assert [line["frame"] for line in lines] == list(range(len(lines)))
    assert all(line["detections"] for line in file.lines("a.jsonl"))
    assert not any(line["detections"] for line in file.lines("b.jsonl"))


def test_sighup_with_a_bad_file_goes_on_as_before(file: File, child: Service) -> None:
    file.write(postprocess={"score_treshold": 0.8}, nmae="x")
    assert reload(child).startswith(f"{file.path} is refused: ")
    count = len(file.frames("a.jsonl"))
    wait_for(lambda: len(file.frames("a.jsonl")) > count + 3)
    file.path.unlink()
    assert reload(child).startswith(f"{file.path} is refused: ")
    child.signal(signal.SIGTERM)
    code, stderr = child.end()
    assert code == 0
    assert "nmae: unknown option; did you mean name?" in stderr
    assert "postprocess.score_treshold: unknown option; did you mean score_threshold?" in stderr
    assert stderr.count("is refused; the configuration in force stays") == 2
    assert file.frames("a.jsonl") == list(range(len(file.frames("a.jsonl"))))


def test_sighup_names_what_needs_a_restart(file: File, child: Service) -> None:
    file.write(source=file.values["source"] | {"fps": 100}, model={"name": "other.tflite"})
    assert reload(child).endswith("is in force")
    child.signal(signal.SIGTERM)
    assert child.end() == (
        0, f"warning: {file.path}: a change of source, model needs a restart\n"
    )  # fmt: skip


def test_many_sighups_at_full_flow_lose_nothing(file: File, child: Service) -> None:
    for number in range(30):
        file.write(publishers=[{"type": "jsonl", "path": "a.jsonl", "backups": number}])
        child.signal(signal.SIGHUP)
        child.manager.wait_for("READY")
    child.signal(signal.SIGTERM)
    assert child.end() == (0, "")
    assert file.frames("a.jsonl") == list(range(len(file.frames("a.jsonl"))))
