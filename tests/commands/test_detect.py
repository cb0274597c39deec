"""``edge-ssd detect`` as users and scripts see it."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.command import edge_ssd, start
from support.painted import SIZE, paint
from support.terminal import at_terminal

from edge_ssd.commands.detect.places import Places, clock
from edge_ssd.commands.detect.summary import Summary
from edge_ssd.sources.base import capture_times
from edge_ssd.sources.images import ImageSource
from edge_ssd.sources.quiet import quiet_opencv
from edge_ssd.types import Detections, Frame, FrameResult, PixelFormat, Timing


def arguments(folder: Path, *more: object) -> tuple[object, ...]:
    return ("detect", folder, "--model", folder / "small.tflite",
            "--labels", folder / "labels.txt", *more)  # fmt: skip


def detect(folder: Path, *more: object) -> subprocess.CompletedProcess[str]:
    return edge_ssd(*arguments(folder, *more))


def test_the_summary_has_a_line_per_file_in_natural_order_then_the_counts(folder: Path) -> None:
    (folder / "bad.png").write_text("no image")
    finished = detect(folder)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines() == [
        "img1.png: nothing found",
        "img2.png: 1 car",
        "img10.png: nothing found",
        "3 frames, 1 detection, 1 unreadable input skipped",
    ]
    (warning,) = finished.stderr.splitlines()
    assert "bad.png" in warning


def test_every_frame_has_rows_above_the_summary(folder: Path) -> None:
    rows = detect(folder, "--every-frame").stdout.splitlines()
    assert " ".join(rows[0].split()) == "frame label score xmin, ymin, xmax, ymax in pixels"
    assert [row.split()[0] for row in rows[1:4]] == ["img1.png", "img2.png", "img10.png"]
    assert rows[1].endswith("nothing found")
    assert rows[2].split()[1:3] == ["car", "0.75"]
    assert rows[-1] == "3 frames, 1 detection"


def test_frame_numbers_and_times_are_the_files_own(demo: Path) -> None:
    """The clip comes after an image, and starts at 0; JSON counts through, as ever."""
    inputs = (demo / "images" / "chelsea.jpg", demo / "clip.mp4")
    rows = edge_ssd("detect", *inputs, "--every-frame", "--classes", "person,cat").stdout
    assert "\nclip.mp4 #0 0:00.0" in rows
    assert "\nclip.mp4 #74 0:03.0" in rows
    file, clip, counts = rows.splitlines()[-3:]
    assert file == "chelsea.jpg: 1 cat"
    assert clip.startswith("clip.mp4: person 0:00.0-0:02.0; cat 0:02.0-0:0")
    assert "cup" not in clip
    assert counts.startswith("101 frames, ")
    lines = edge_ssd("detect", *inputs, "--json").stdout.splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(101))


def test_json_is_the_contract_and_alone_on_stdout(folder: Path) -> None:
    finished = detect(folder, "--json", "--score-threshold", "0.7")
    assert finished.stderr == ""
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


def test_at_a_terminal_the_summary_of_json_is_on_stderr(folder: Path) -> None:
    code, stdout, shown = at_terminal(*arguments(folder, "--json"))
    assert code == 0
    assert all(line.startswith('{"schema":1,') for line in stdout.splitlines())
    assert shown.endswith("img10.png: nothing found\n3 frames, 1 detection\n")


def test_classes_are_the_labels_to_report(folder: Path) -> None:
    assert "img2.png: nothing found" in detect(folder, "--classes", "person, bicycle").stdout
    assert "img2.png: 1 car" in detect(folder, "--classes", "person,car").stdout
    finished = detect(folder, "--classes", "caar")
    assert finished.returncode == 2
    assert finished.stderr == (
        "error: --classes: the model has no label 'caar'; did you mean car?\n"
    )


def test_threads_and_runtime_are_taken(folder: Path, runtime_name: str) -> None:
    finished = detect(folder, "--threads", 1, "--runtime", runtime_name)
    assert "img2.png: 1 car" in finished.stdout


@pytest.mark.parametrize("camera", ["rtsp://user:secret@camera/stream", "/dev/video0"])
def test_a_camera_is_refused_with_the_command_that_takes_it(camera: str) -> None:
    finished = edge_ssd("detect", camera)
    assert finished.returncode == 2
    assert "use `edge-ssd run --config FILE` (docs/camera.md)" in finished.stderr
    assert "secret" not in finished.stderr


def test_every_image_is_annotated(folder: Path) -> None:
    finished = detect(folder, "--annotate", folder / "new" / "out")
    assert finished.returncode == 0, finished.stderr
    last = finished.stdout.splitlines()[-1]
    assert last == f"3 annotated images saved in {folder / 'new' / 'out'}"
    written = sorted(path.name for path in (folder / "new" / "out").iterdir())
    assert written == ["img1.jpg", "img10.jpg", "img2.jpg"]
    assert cv2.imread(str(folder / "new" / "out" / "img2.jpg")) is not None


def write_video(path: Path, frames: int) -> None:
    quiet_opencv()  # OpenCV reads its environment once, and other tests want it quiet
    path.parent.mkdir()
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (64, 48))
    for _ in range(frames):
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()


def test_a_video_is_annotated_to_a_video(folder: Path) -> None:
    write_video(folder / "a" / "clip.avi", frames=6)
    write_video(folder / "b" / "clip.avi", frames=2)
    inputs = (folder / "a", folder / "img2.png", folder / "b")
    model = ("--model", folder / "small.tflite")
    finished = edge_ssd("detect", *inputs, *model, "--annotate", folder / "out")
    assert finished.returncode == 0, finished.stderr
    last = finished.stdout.splitlines()[-1]
    assert last == f"1 annotated image and 2 annotated videos saved in {folder / 'out'}"
    names = sorted(path.name for path in (folder / "out").iterdir())
    assert names == ["clip.mp4", "clip_000007.mp4", "img2.jpg"]
    video = cv2.VideoCapture(str(folder / "out" / "clip.mp4"))
    assert video.get(cv2.CAP_PROP_FPS) == 12.5
    frames = 0
    while video.read()[0]:
        frames += 1
    assert frames == 6


def test_images_of_the_same_name_each_get_a_file_and_their_path_in_the_summary(
    folder: Path,
) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir()
        paint(folder / name / "x.png", score=0)
    paint(folder / "x_000001.png", score=0)
    finished = edge_ssd(
        "detect", folder / "a", folder / "b", folder / "x_000001.png",
        "--model", folder / "small.tflite", "--annotate", folder / "out",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert len(list((folder / "out").iterdir())) == 3
    assert [line.partition(": ")[0] for line in finished.stdout.splitlines()[:3]] == [
        str(folder / "a" / "x.png"), str(folder / "b" / "x.png"), "x_000001.png",
    ]  # fmt: skip


def test_the_inputs_are_never_drawn_over(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    finished = detect(folder, "--annotate", folder / "." / "")
    assert finished.returncode == 2
    assert "is where the inputs are; name another folder" in finished.stderr
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_ctrl_c_ends_it_with_the_summary_so_far(folder: Path) -> None:
    (folder / "many").mkdir()
    for number in range(5000):
        (folder / "many" / f"{number}.png").hardlink_to(folder / "img2.png")
    process = start("detect", folder / "many", "--model", folder / "small.tflite", "--every-frame")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("frame ")
    assert process.stdout.readline().startswith("0.png ")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr == "error: interrupted before everything was read\n"
    frames = int(stdout.splitlines()[-1].split()[0])
    assert 0 < frames < 5000


def result(path: str, labels: str, time_s: float | None) -> FrameResult:
    """Return a result of one frame; labels: a letter for each detection."""
    names = ("a", "b")
    frame = Frame(np.zeros((4, 4, 3), np.uint8), PixelFormat.BGR, "recorded", 0, *capture_times(),
                  path, position_s=time_s)  # fmt: skip
    count = len(labels)
    ids = np.array([names.index(label) for label in labels], np.int32)
    found = Detections(np.zeros((count, 4), np.float32), np.ones(count, np.float32), ids, names)
    return FrameResult(frame, found, "m", Timing(1, 1, 1), 0)


def test_a_gap_shorter_than_a_second_does_not_end_a_span() -> None:
    summary = Summary(ImageSource("recorded", []))
    times = {0.0: "a", 0.5: "", 0.9: "aab", 3.0: "a", 3.1: "a", 3599.97: "b"}
    for time_s, labels in times.items():
        summary.publish(result("v.mp4", labels, time_s))
    assert summary.lines() == [
        "v.mp4: a 0:00.0-0:00.9, 0:03.0-0:03.1; b 0:00.9, 1:00:00.0",
        "6 frames, 7 detections",
    ]


def test_the_same_file_twice_is_two_files() -> None:
    places = Places()
    given = [("v.mp4", 0.0), ("v.mp4", 0.1), ("v.mp4", 0.0), ("a.png", None), ("a.png", None)]
    numbers = [places.of(result(path, "", time_s).frame).number for path, time_s in given]
    assert numbers == [0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.04, "0:00.0"), (59.96, "1:00.0"), (754.32, "12:34.3")]
)
def test_times_are_minutes_and_tenths(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown
