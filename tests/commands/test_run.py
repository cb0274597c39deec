"""``edge-ssd run``: its output, and how signals end it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import edge_ssd, start
from support.terminal import at_terminal


def write_config(folder: Path, source: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(
        f"name: front-door\nsource: {source}\nmodel: {{name: small.tflite, labels: labels.txt}}\n"
    )
    return path


def test_it_prints_one_line_per_frame_and_ends_with_its_source(folder: Path) -> None:
    path = write_config(folder, "{type: images, path: .}")
    finished = edge_ssd("run", "--config", path)
    assert (finished.returncode, finished.stderr) == (0, "")
    messages = [json.loads(line) for line in finished.stdout.splitlines()]
    assert [message["frame"] for message in messages] == [0, 1, 2]
    assert {message["source"] for message in messages} == {"front-door"}


def test_at_a_terminal_it_says_connected_ready_and_what_was_done(folder: Path) -> None:
    path = write_config(folder, "{type: synthetic, images: ., fps: 50, frame_limit: 6}")
    code, stdout, shown = at_terminal("run", "--config", path)
    assert code == 0
    lines = shown.splitlines()
    assert "info: front-door: connected" in lines
    assert "info: ready: the first frame was inferred" in lines
    messages = [json.loads(line) for line in stdout.splitlines()]
    found = sum(len(message["detections"]) for message in messages)
    counted = f"{found} detection{'' if found == 1 else 's'}"
    assert lines[-1].startswith(f"{len(messages)} frame")
    assert counted in lines[-1]


@pytest.fixture
def endless(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """An ``edge-ssd run`` that has printed its first line."""
    process = start("run", "--config", write_config(folder, "{type: synthetic, fps: 200}"))
    assert process.stdout is not None
    assert process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(endless: subprocess.Popen[str], number: int) -> None:
    endless.send_signal(number)
    stdout, stderr = endless.communicate(timeout=60)
    assert (endless.returncode, stderr) == (0, "")
    assert stdout.endswith("\n")
    numbers = [json.loads(line)["frame"] for line in stdout.splitlines()]
    assert numbers == sorted(set(numbers))


@pytest.fixture
def blocked(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """An ``edge-ssd run`` whose stdout is full, since its reader stopped reading."""
    source = "{type: synthetic, live: false, fps: null}"
    process = start("run", "--config", write_config(folder, source))
    assert process.stdout is not None
    assert process.stdout.readline()
    fill(f"/proc/{process.pid}/fd/1")
    yield process
    process.kill()
    process.communicate()


def fill(pipe: str) -> None:
    """Write to a pipe until it takes not one byte more, from anybody."""
    end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(end, b"\n")
    os.close(end)


def test_ctrl_c_twice_forces(blocked: subprocess.Popen[str]) -> None:
    blocked.send_signal(signal.SIGINT)
    blocked.send_signal(signal.SIGTERM)
    assert blocked.wait(60) in (128 + signal.SIGINT, 128 + signal.SIGTERM)


def test_a_blocked_stdout_does_not_hold_the_stop(blocked: subprocess.Popen[str]) -> None:
    blocked.send_signal(signal.SIGTERM)
    assert blocked.wait(60) == 1
    assert blocked.stderr is not None
    assert "jsonl stdout did not stop within 2 s" in blocked.stderr.read()
