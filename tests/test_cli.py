"""The commands as users and scripts see them: output, order, signals."""

from __future__ import annotations

import contextlib
import fcntl
import json
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import pytest
from support.command import edge_ssd, start
from support.tflite_builder import quantize
from support.tflite_models import STOCK, raw_heads_model

from edge_ssd import config

SIZE, ANCHORS, COLUMNS = 48, 75, 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small network, its labels, and three pictures; the second shows one `car`."""
    (tmp_path / "small.tflite").write_bytes(
        raw_heads_model(ANCHORS, COLUMNS, input_shape=(1, SIZE, SIZE, 3))
    )
    (tmp_path / "labels.txt").write_text("person\nbicycle\ncar\n")
    cv2.imwrite(str(tmp_path / "img10.png"), painted(score=0))
    cv2.imwrite(str(tmp_path / "img1.png"), painted(score=0))
    cv2.imwrite(str(tmp_path / "img2.png"), painted(score=0.75))
    return tmp_path


def painted(score: float) -> np.ndarray:
    """A picture whose numbers are the heads: anchor 40 of class 2 (car) has this score."""
    boxes = np.full((ANCHORS, 4), quantize(np.zeros(1), STOCK.image)[0], np.uint8)
    scores = np.full((ANCHORS, COLUMNS), quantize(np.zeros(1), STOCK.image)[0], np.uint8)
    scores[40, 3] = quantize(np.array([score]), STOCK.image)[0]
    numbers = np.full(SIZE * SIZE * 3, 128, np.uint8)
    heads = np.concatenate([boxes.ravel(), scores.ravel()])
    numbers[: len(heads)] = heads
    return numbers.reshape(SIZE, SIZE, 3)[..., ::-1]


def detect(folder: Path, *more: object) -> subprocess.CompletedProcess[str]:
    return edge_ssd(
        "detect", folder, "--model", folder / "small.tflite", "--labels", folder / "labels.txt",
        *more,
    )  # fmt: skip


def write_config(folder: Path, source: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(
        f"name: front-door\nsource: {source}\n"
        f"model: {{name: small.tflite, labels: labels.txt}}\n".replace(
            "small.tflite", str(folder / "small.tflite")
        )
    )
    return path


def test_detect_prints_a_table_in_natural_order(folder: Path) -> None:
    (folder / "small.json").unlink(missing_ok=True)
    finished = detect(folder)
    assert finished.returncode == 0, finished.stderr
    rows = finished.stdout.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["img1.png", "img2.png", "img10.png"]
    assert "car" in rows[1]
    assert "0.75" in rows[1]
    assert "nothing found" in rows[0]


def test_detect_json_is_the_contract(folder: Path) -> None:
    finished = detect(folder, "--json", "--score-threshold", "0.7")
    messages: list[dict[str, Any]] = [json.loads(line) for line in finished.stdout.splitlines()]
    assert [Path(message["path"]).name for message in messages] == [
        "img1.png", "img2.png", "img10.png",
    ]  # fmt: skip
    assert [message["frame"] for message in messages] == [0, 1, 2]
    second = messages[1]
    assert (second["schema"], second["width"], second["height"]) == (1, SIZE, SIZE)
    assert second["model"] == "small"
    (found,) = second["detections"]
    assert (found["label"], found["class_id"]) == ("car", 2)
    assert found["score"] == pytest.approx(0.75, abs=0.01)
    xmin, ymin, xmax, ymax = found["box"]
    assert 0 <= xmin < xmax <= SIZE
    assert 0 <= ymin < ymax <= SIZE
    assert [message["detections"] for message in messages[::2]] == [[], []]


def test_detect_annotates_every_picture(folder: Path) -> None:
    finished = detect(folder, "--annotate", folder / "new" / "out")
    assert finished.returncode == 0, finished.stderr
    written = sorted(path.name for path in (folder / "new" / "out").iterdir())
    assert written == ["img1.jpg", "img10.jpg", "img2.jpg"]
    assert cv2.imread(str(folder / "new" / "out" / "img2.jpg")) is not None


def test_pictures_of_the_same_name_each_get_a_file(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir()
        cv2.imwrite(str(folder / name / "x.png"), painted(score=0))
    cv2.imwrite(str(folder / "x_000001.png"), painted(score=0))
    finished = edge_ssd(
        "detect", folder / "a", folder / "b", folder / "x_000001.png",
        "--model", folder / "small.tflite", "--annotate", folder / "out",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert len(list((folder / "out").iterdir())) == 3


def test_the_inputs_are_never_drawn_over(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    finished = detect(folder, "--annotate", folder / "." / "")
    assert finished.returncode == 2
    assert "is where the inputs are; name another folder" in finished.stderr
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_detect_sums_up_what_it_read_found_and_skipped(folder: Path) -> None:
    (folder / "bad.png").write_text("not a picture")
    finished = detect(folder)
    assert finished.returncode == 0
    last = finished.stderr.splitlines()[-1]
    assert last == "3 frames, 1 detection, 1 unreadable input skipped"


def test_check_config_says_that_a_file_is_valid(folder: Path) -> None:
    path = write_config(folder, "{type: images, path: img1.png}")
    finished = edge_ssd("check-config", path)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout == f"{path}: valid\n"


def test_the_json_schema_command_prints_the_schema() -> None:
    assert json.loads(edge_ssd("check-config", "--json-schema").stdout) == config.json_schema()


def test_run_prints_one_line_a_frame_and_ends_with_its_source(folder: Path) -> None:
    path = write_config(folder, f"{{type: images, path: {folder}}}")
    finished = edge_ssd("run", "--config", path)
    assert (finished.returncode, finished.stderr) == (0, "")
    messages = [json.loads(line) for line in finished.stdout.splitlines()]
    assert [message["frame"] for message in messages] == [0, 1, 2]
    assert {message["source"] for message in messages} == {"front-door"}


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
    stdout, stderr = endless.communicate(timeout=10)
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
    before, waiting = -1, unread(process.stdout)
    while waiting < 4096 or waiting != before:
        before = waiting
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
        waiting = unread(process.stdout)
    yield process
    process.kill()
    process.communicate()


def unread(pipe: IO[str]) -> int:
    """Bytes that wait in a pipe."""
    answer = fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4)
    return int.from_bytes(answer, sys.byteorder)


def test_ctrl_c_twice_forces(blocked: subprocess.Popen[str]) -> None:
    blocked.send_signal(signal.SIGINT)
    blocked.send_signal(signal.SIGTERM)
    assert blocked.wait(10) in (128 + signal.SIGINT, 128 + signal.SIGTERM)


def test_a_blocked_stdout_does_not_hold_the_stop(blocked: subprocess.Popen[str]) -> None:
    blocked.send_signal(signal.SIGTERM)
    assert blocked.wait(10) == 1
    assert blocked.stderr is not None
    assert "jsonl stdout did not stop within 2 s" in blocked.stderr.read()


def test_models_list_names_the_bundled_model() -> None:
    finished = edge_ssd("models", "list")
    assert finished.returncode == 0, finished.stderr
    assert "ssdlite_mobilenet_v2_coco" in finished.stdout
    described = json.loads(edge_ssd("models", "list", "--json").stdout)
    assert len(described["ssdlite_mobilenet_v2_coco"]["file"]["sha256"]) == 64


def test_bench_measures_and_prints_json(folder: Path) -> None:
    video = folder / "clip.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for _ in range(12):
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    finished = edge_ssd(
        "bench", "--model", folder / "small.tflite", "--frames", video, "--threads", 1, "--json"
    )
    assert finished.returncode == 0, finished.stderr
    report = json.loads(finished.stdout)
    assert report["frames"] == 12
    assert report["op_ms"] is None
    assert report["pipeline_fps"] > 0
    assert report["pipeline_to_bare"] > 0
    assert set(report["postprocess_ms"]) == {"0.5", "0.05", "0.01"}
    assert report["memory_mb"] > 10
    assert report["cold_start_ms"] > 0
