"""Every script of examples/ does what its first line says; the README shows one of them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import pytest
from support.command import environment
from support.painted import LABELS, paint, write_model

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
FAKE_CAMERA = """
import runpy, sys
from pathlib import Path
import cv2
from support.fake_camera import BGR, FakeCamera, FakeVideoCapture
example, folder = sys.argv[1:]
camera = FakeCamera(Path(folder))
cv2.VideoCapture = lambda path, api: FakeVideoCapture(camera, path, api)
camera.send(BGR, BGR)
sys.argv = [example, str(camera.node)]
runpy.run_path(example, run_name="__main__")
"""
FAKE_SUPERVISION = """
from dataclasses import dataclass
import numpy as np
@dataclass
class Detections:
    xyxy: np.ndarray
    confidence: np.ndarray
    class_id: np.ndarray
    def __post_init__(self):
        count = len(self.xyxy)
        assert self.xyxy.shape == (count, 4)
        assert self.confidence.shape == self.class_id.shape == (count,)
"""


def run(name: str, *arguments: object, cwd: Path | None = None, **more: str) -> list[str]:
    """Run an example to its end; return the lines it prints."""
    finished = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)], check=False, cwd=cwd,
        capture_output=True, text=True, timeout=120, env=environment() | more,
    )  # fmt: skip
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout.splitlines()


@pytest.fixture
def astronaut(demo: Path) -> Path:
    return demo / "images" / "astronaut.jpg"


def test_there_are_ten_and_each_is_short_and_tested() -> None:
    names = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert len(names) == 10
    tested = Path(__file__).read_text()
    for name in names:
        assert len((EXAMPLES / name).read_text().splitlines()) <= 15
        assert f'"{name}"' in tested


def test_the_readme_shows_one_of_them() -> None:
    assert (EXAMPLES / "detect_image.py").read_text() in (ROOT / "README.md").read_text()


def test_detect_image(astronaut: Path) -> None:
    (line,) = run("detect_image.py", astronaut)
    assert line.startswith("person 0.")


def test_detect_video(demo: Path) -> None:
    lines = run("detect_video.py", demo / "clip.mp4")
    assert len(lines) == 100
    assert lines[0] == "0.00 s: person"
    assert lines[-1].startswith("3.96 s: ")


def test_usb_camera(tmp_path: Path) -> None:
    tests = environment()["PYTHONPATH"] + os.pathsep + str(ROOT / "tests")
    process = subprocess.Popen(
        [sys.executable, "-c", FAKE_CAMERA, EXAMPLES / "usb_camera.py", tmp_path],
        stdout=subprocess.PIPE, text=True, env=environment() | {"PYTHONPATH": tests},
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    process.kill()
    process.communicate()
    assert line.endswith(" ms ago: nothing\n")


def test_only_persons(demo: Path, astronaut: Path) -> None:
    cat = demo / "images" / "chelsea.jpg"
    assert run("only_persons.py", astronaut, cat) == [f"{astronaut} 1", f"{cat} 0"]


def test_draw(astronaut: Path, tmp_path: Path) -> None:
    run("draw.py", astronaut, tmp_path / "drawn.jpg")
    drawn, original = cv2.imread(str(tmp_path / "drawn.jpg")), cv2.imread(str(astronaut))
    assert drawn.shape == original.shape
    assert cv2.absdiff(drawn, original).max() > 100


def test_crops(astronaut: Path, tmp_path: Path) -> None:
    run("crops.py", astronaut, cwd=tmp_path)
    (crop,) = tmp_path.iterdir()
    assert crop.name == "0_person.jpg"
    assert min(cv2.imread(str(crop)).shape[:2]) > 200


def test_coco_results(astronaut: Path, tmp_path: Path) -> None:
    shutil.copy(astronaut, tmp_path / "000139.jpg")
    (line,) = run("coco_results.py", tmp_path / "000139.jpg")
    best = max(json.loads(line), key=lambda row: row["score"])
    assert (best["image_id"], best["category_id"]) == (139, 1)
    assert all(value > 0 for value in best["bbox"][2:])


def test_supervision_detections(astronaut: Path, tmp_path: Path) -> None:
    """A class stands for supervision's and checks as it does; the package brings much with it."""
    (tmp_path / "supervision.py").write_text(FAKE_SUPERVISION)
    paths = f"{environment()['PYTHONPATH']}{os.pathsep}{tmp_path}"
    lines = run("supervision_detections.py", astronaut, PYTHONPATH=paths)
    assert lines[0].startswith("Detections(xyxy=")


def test_mqtt_by_hand(demo: Path) -> None:
    received = bytearray()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1024)
            connection.sendall(b"\x20\x02\x00\x00")  # CONNACK: accepted
            while data := connection.recv(65536):
                received.extend(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        broker = threading.Thread(target=serve, args=(listener,), daemon=True)
        broker.start()
        run("mqtt_by_hand.py", demo / "clip.mp4", "127.0.0.1", listener.getsockname()[1])
        broker.join(10)
    assert received.count(b"camera/labels") == 100
    assert b"camera/labelsperson" in received


def test_own_model(tmp_path: Path) -> None:
    write_model(tmp_path / "own.tflite")
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    paint(tmp_path / "a.png", score=0.75)
    lines = run("own_model.py", tmp_path / "own.tflite", tmp_path / "labels.txt",
                tmp_path / "a.png")  # fmt: skip
    assert lines[0] == f"own finds {LABELS}"
    assert lines[1].startswith("car 0.75 [")
