"""Recording: what is saved gives the same messages again, and nothing half-written stays."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.command import command, edge_ssd, environment
from support.waiting import wait_for

from edge_ssd import config
from edge_ssd.commands.record.recording import Recording, record
from edge_ssd.errors import DeviceError, PublishError
from edge_ssd.pixels import interleaved
from edge_ssd.sources.images import read_image
from edge_ssd.types import Frame, PixelFormat

TIMES_AND_PATH = {"captured_at", "age_ms", "timing_ms", "path"}


def write_config(folder: Path, source: dict[str, Any], **sections: Any) -> Path:
    path = folder / "camera.yaml"
    path.write_text(json.dumps({"name": "front-door", "source": source, **sections}))
    return path


def messages(path: Path) -> bytes:
    """Run a configuration and return its lines without times and paths."""
    finished = edge_ssd("run", "--config", path)
    assert finished.returncode == 0, finished.stderr
    lines = [json.loads(line) for line in finished.stdout.splitlines()]
    return b"".join(
        json.dumps({k: v for k, v in line.items() if k not in TIMES_AND_PATH}).encode() + b"\n"
        for line in lines
    )


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    "sections",
    [{}, {"preprocess": {"resize": "letterbox"}, "postprocess": {"score_threshold": 0.05}}],
    ids=["defaults", "own options"],
)
def test_a_replay_gives_the_same_messages(
    tmp_path: Path, demo: Path, sections: dict[str, Any]
) -> None:
    """The bundled model, on pictures as a camera of an odd size shows them."""
    source = {
        "type": "synthetic", "live": False, "frame_limit": 12, "images": str(demo / "images"),
        "width": 641, "height": 479,
    }  # fmt: skip
    path = write_config(tmp_path, source, **sections)
    finished = edge_ssd("record", "--config", path, "--output", tmp_path / "out")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("12 frames saved; ")

    original, replayed = messages(path), messages(tmp_path / "out" / "replay.yaml")

    assert replayed == original
    assert original.count(b'"label"') > 5


def test_a_recording_made_elsewhere_knows_its_files(
    tmp_path: Path, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "labels.txt").write_text("\n".join(f"thing {n}" for n in range(90)))
    monkeypatch.chdir(tmp_path)
    source = {"type": "images", "path": str(demo / "images")}
    write_config(tmp_path, source, model={"labels": "labels.txt"})
    finished = edge_ssd("record", "--config", "camera.yaml", "--output", "deep/er", "--frames", 2)
    assert finished.returncode == 0, finished.stderr
    (tmp_path / "deep" / "er").rename(tmp_path / "moved")
    assert b"thing 0" in messages(tmp_path / "moved" / "replay.yaml")


def test_each_frame_has_its_number_and_time(tmp_path: Path) -> None:
    """A live source loses what it takes while a frame is saved; the numbers show that."""
    source = {"type": "synthetic", "fps": 200, "faults": [{"kind": "drop", "at_frame": 1}]}
    options = config.parse({"name": "door", "source": source})
    began = datetime.now(timezone.utc)
    assert record(options, tmp_path / "out", frame_limit=3) == 3

    rows = [json.loads(line) for line in (tmp_path / "out" / "frames.jsonl").open()]
    assert [row["file"] for row in rows] == ["000000.png", "000001.png", "000002.png"]
    numbers = [row["frame"] for row in rows]
    assert numbers == sorted(set(numbers))
    assert 1 not in numbers
    assert began <= datetime.fromisoformat(rows[0]["captured_at"])
    assert rows[0]["captured_ns"] < rows[2]["captured_ns"]
    assert config.load(tmp_path / "out" / "config.yaml") == options


def test_the_publishers_stay_out_of_it(tmp_path: Path) -> None:
    """A replay must not reach the broker."""
    source = {"type": "synthetic", "live": False}
    publishers = [{"type": "mqtt", "host": "broker.local"}]
    options = config.parse({"source": source, "publishers": publishers})
    record(options, tmp_path / "out", frame_limit=1)
    replay = config.load(tmp_path / "out" / "replay.yaml")
    assert [publisher.type for publisher in replay.publishers] == ["jsonl"]


def frame(pixel_format: PixelFormat) -> Frame:
    noise = np.random.default_rng(0)
    shape, size = ((30, 24), (22, 20)) if pixel_format.planar else ((20, 22, 3), None)
    image = noise.integers(0, 256, shape).astype(np.uint8)
    now = datetime.now(timezone.utc)
    return Frame(image, pixel_format, "door", 7, 0, now, size=size)


@pytest.mark.parametrize("pixel_format", list(PixelFormat))
def test_every_pixel_format_is_saved_as_the_detector_sees_it(
    tmp_path: Path, pixel_format: PixelFormat
) -> None:
    options = config.parse({"source": {"type": "synthetic"}})
    original = frame(pixel_format)
    Recording(tmp_path / "out", options).add(original)
    saved = read_image(tmp_path / "out" / "000000.png")
    seen = interleaved(original)
    rgb = seen.image[..., ::-1] if seen.pixel_format is PixelFormat.BGR else seen.image
    assert np.array_equal(cv2.cvtColor(saved, cv2.COLOR_BGR2RGB), rgb)


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    path = write_config(tmp_path, {"type": "synthetic"})
    finished = edge_ssd("record", "--config", path, "--output", tmp_path, "--frames", 1)
    assert finished.returncode == 2
    assert finished.stderr == f"error: the folder {tmp_path} is not empty; name a new one\n"
    assert [file.name for file in tmp_path.iterdir()] == ["camera.yaml"]


def test_a_camera_that_does_not_open_leaves_a_folder_to_try_again(tmp_path: Path) -> None:
    path = write_config(tmp_path, {"type": "usb", "path": "/dev/video99"})
    for _ in range(2):
        finished = edge_ssd("record", "--config", path, "--output", tmp_path / "out")
        assert finished.returncode == 69
        assert finished.stderr.startswith("error: front-door: /dev/video99 does not exist; ")


def test_a_silent_camera_ends_it_and_the_frames_stay(tmp_path: Path) -> None:
    stall = {"kind": "stall", "at_frame": 2, "duration_s": 1000}
    source = {"type": "synthetic", "fps": 500, "faults": [stall]}
    options = config.parse({"source": source, "stall_timeout_s": 0.3})
    with pytest.raises(DeviceError, match=r"no frame for \d+\.\d s; check the camera"):
        record(options, tmp_path / "out")
    rows = (tmp_path / "out" / "frames.jsonl").read_text().splitlines()
    assert len(list((tmp_path / "out").glob("*.png"))) == len(rows) > 0


def limit_file_size() -> None:
    """As on a full disk, a file takes a part of what is written and refuses the rest."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))


def test_a_full_disk_ends_it_and_leaves_no_half_file(tmp_path: Path) -> None:
    large = {"kind": "wrong-size", "at_frame": 3}  # too large for a file here
    source = {"type": "synthetic", "live": False, "faults": [large]}
    path = write_config(tmp_path, source)
    finished = subprocess.run(
        command(["record", "--config", path, "--output", tmp_path / "out"]),
        capture_output=True, text=True, check=False, env=environment(), preexec_fn=limit_file_size,
    )  # fmt: skip
    assert finished.returncode == 1
    assert "cannot be written: File too large; whole frames saved: 3" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == [
        "000000.png", "000001.png", "000002.png", "config.yaml", "frames.jsonl", "replay.yaml",
    ]  # fmt: skip
    assert len((tmp_path / "out" / "frames.jsonl").read_text().splitlines()) == 3
    for number in range(3):
        assert read_image(tmp_path / "out" / f"{number:06d}.png").shape == (480, 640, 3)


def test_a_full_disk_at_the_list_takes_the_frame_back(tmp_path: Path) -> None:
    recording = Recording(tmp_path, config.parse({"source": {"type": "synthetic"}}))
    recording.add(frame(PixelFormat.BGR))
    listed = b"{}\n" * 19_999
    (tmp_path / "frames.jsonl").write_bytes(listed)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, before[1]))
    try:
        with pytest.raises(PublishError, match="cannot be written: File too large"):
            recording.add(frame(PixelFormat.BGR))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [file.name for file in tmp_path.glob("*.png")] == ["000000.png"]
    assert (tmp_path / "frames.jsonl").read_bytes() == listed


def test_ctrl_c_ends_it_with_whole_files(tmp_path: Path) -> None:
    path = write_config(tmp_path, {"type": "synthetic", "width": 320, "height": 240})
    process = subprocess.Popen(
        command(["record", "--config", path, "--output", tmp_path / "out"]),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    wait_for((tmp_path / "out" / "000002.png").exists)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, "")
    saved = int(stdout.split()[0])
    pictures = sorted((tmp_path / "out").glob("*"))
    assert [file.name for file in pictures[:saved]] == [f"{n:06d}.png" for n in range(saved)]
    assert all(read_image(file).shape == (240, 320, 3) for file in pictures[:saved])
    assert len(pictures) == saved + 3
