"""SIGHUP on a pipeline that runs: what changes, what needs a restart, no frame lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.config_file import File
from support.notified import Service, service
from support.waiting import wait_for

from edge_ssd import config
from edge_ssd.errors import ConfigError, PublishError
from edge_ssd.pipeline.pipeline import Pipeline
from edge_ssd.service import build
from edge_ssd.service.reload import Reloader


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


@pytest.mark.parametrize(
    ("publisher", "problem"),
    [
        ({"type": "jsonl", "path": "a.jsonl"}, "another publisher has"),
        ({"type": "jsonl", "path": "no-such/b.jsonl"}, "does not exist"),
        ({"type": "jsonl", "path": "pictures"}, "may not be written"),
        ({"type": "mqtt", "host": "h", "username": "u", "password_file": "none"}, "No such file"),
    ],
)
def test_what_would_not_start_is_refused_and_nothing_changes(
    publisher: dict[str, Any], problem: str, file: File, running: Running
) -> None:
    """Else the file would keep the service down after the next boot."""
    file.write(
        postprocess={"score_threshold": 0.8}, publishers=[file.values["publishers"][0], publisher]
    )
    with pytest.raises(ConfigError, match=problem):
        running.reloader.reload()
    count = len(file.frames("a.jsonl"))
    wait_for(lambda: len(file.frames("a.jsonl")) > count)
    assert file.lines("a.jsonl")[-1]["detections"], "the threshold is the old one"


def test_what_needs_a_restart_is_named_and_stays(file: File, running: Running) -> None:
    file.write(
        name="back-door", stall_timeout_s=3, preprocess={"resize": "letterbox"},
        source=file.values["source"] | {"fps": 10}, postprocess={"score_threshold": 0.8},
        publishers=[{"type": "jsonl", "path": "b.jsonl"}],
    )  # fmt: skip
    later = ["name", "source", "preprocess", "publishers", "stall_timeout_s"]
    assert running.reloader.reload() == later
    wait_for(lambda: not file.lines("a.jsonl")[-1]["detections"])
    assert running.options.name == running.reloader.options.name == "front-door"
    assert running.reloader.reload() == later, "it is told again until the restart"
    running.pipeline.stop()
    assert not (file.folder / "b.jsonl").exists()
    assert file.frames("a.jsonl") == list(range(len(file.frames("a.jsonl"))))


def test_classes_of_another_model_wait_with_it_for_the_restart(
    file: File, running: Running
) -> None:
    before = running.pipeline.postprocessing.postprocess
    file.write(model={"name": "ssd_mobilenet_v1_face"}, postprocess={"classes": ["face"]})
    assert running.reloader.reload() == ["model", "postprocess"]
    assert running.pipeline.postprocessing.postprocess is before


BAD = {
    "an unknown option": {"postprocess": {"score_treshold": 0.8}},
    "a label the model has not": {"postprocess": {"classes": ["unicorn"]}},
    "a publisher of an unknown kind": {
        "postprocess": {"score_threshold": 0.8}, "publishers": [{"type": "pigeon"}]
    },
}  # fmt: skip


@pytest.mark.parametrize("values", BAD.values(), ids=BAD)
def test_a_bad_file_changes_nothing(file: File, running: Running, values: dict[str, Any]) -> None:
    before = running.pipeline.postprocessing.postprocess
    good = dict(file.values)
    file.write(**values)
    with pytest.raises(ConfigError):
        running.reloader.reload()
    count = len(file.frames("a.jsonl"))
    wait_for(lambda: len(file.frames("a.jsonl")) > count + 3)
    assert running.pipeline.postprocessing.postprocess is before
    assert running.reloader.options == running.options
    file.values = good
    file.write()
    assert running.reloader.reload() == []


def test_an_error_of_the_first_publishers_still_ends_the_service(file: File) -> None:
    file.write(publishers=[{"type": "jsonl", "path": "/proc/a.jsonl"}])
    with pytest.raises(PublishError, match=r"/proc/a\.jsonl"):
        Running(file).pipeline.wait(60)


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
    file.write(postprocess={"score_threshold": 0.8})
    assert reload(child) == f"{file.path} applied"
    wait_for(lambda: not file.lines("a.jsonl")[-1]["detections"])
    child.signal(signal.SIGTERM)
    assert child.end() == (0, "")
    assert file.lines("a.jsonl")[0]["detections"]
    assert file.frames("a.jsonl") == list(range(len(file.frames("a.jsonl"))))


def test_sighup_with_a_bad_file_changes_nothing(file: File, child: Service) -> None:
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
    assert stderr.count("is refused; keeping the current configuration") == 2
    assert file.frames("a.jsonl") == list(range(len(file.frames("a.jsonl"))))


def test_sighup_names_what_needs_a_restart(file: File, child: Service) -> None:
    file.write(source=file.values["source"] | {"fps": 100}, model={"name": "other.tflite"})
    assert reload(child) == f"{file.path} applied; restart needed for source, model"
    child.signal(signal.SIGTERM)
    assert child.end() == (
        0, f"warning: {file.path}: restart needed for the change of source, model\n"
    )  # fmt: skip


@pytest.mark.slow
def test_many_sighups_at_full_flow_lose_nothing(file: File, child: Service) -> None:
    for number in range(30):
        file.write(postprocess={"score_threshold": 0.1 + number / 100})
        child.signal(signal.SIGHUP)
        child.manager.wait_for("READY")
    child.signal(signal.SIGTERM)
    assert child.end() == (0, "")
    assert file.frames("a.jsonl") == list(range(len(file.frames("a.jsonl"))))
