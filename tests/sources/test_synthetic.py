"""The synthetic camera, on a clock that the test turns."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_ssd.errors import DeviceError, InputError
from edge_ssd.sources.base import EndOfStream, frames
from edge_ssd.sources.synthetic import (
    FaultOptions,
    SyntheticOptions,
    SyntheticSource,
    frame_number,
)
from edge_ssd.types import Frame

MS = 1_000_000


class FakeClock:
    """Time passes only by waiting or by ``pass_ms``."""

    def __init__(self) -> None:
        self.ns = 5_000_000_000

    def __call__(self) -> int:
        return self.ns

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if not event.is_set():
            self.ns += round(seconds * 1e9)
        return event.is_set()

    def pass_ms(self, milliseconds: float) -> None:
        self.ns += round(milliseconds * MS)


def camera(
    clock: FakeClock,
    *faults: FaultOptions,
    fps: float | None = 10,
    live: bool = True,
    **options: Any,
) -> SyntheticSource:
    """A 64x48 camera, opened; a frame each 100 ms unless told otherwise."""
    values = SyntheticOptions(width=64, height=48, fps=fps, live=live, faults=faults, **options)
    source = SyntheticSource("cam", values, clock, clock.wait)
    source.open()
    return source


def recorded(**options: Any) -> list[Frame]:
    """All frames of a 64x48 recording, as fast as they are taken."""
    values = {"width": 64, "height": 48, "fps": None, "live": False, **options}
    return list(frames(SyntheticSource("cam", SyntheticOptions(**values))))


def numbers(source: SyntheticSource, count: int) -> list[int]:
    seen = [source.read(1) for _ in range(count)]
    return [frame_number(frame.image) for frame in seen if frame is not None]


def must_read(source: SyntheticSource) -> Frame:
    frame = source.read(1)
    assert frame is not None
    return frame


def test_frames_carry_their_number_in_their_pixels() -> None:
    for frame in recorded(width=40, height=30, frame_limit=300):
        assert frame_number(frame.image) == frame.number
        assert (frame.width, frame.height) == (40, 30)


def test_a_torn_or_foreign_image_has_no_number() -> None:
    first, second = recorded(frame_limit=2)
    torn = np.concatenate([first.image[:24], second.image[24:]])
    with pytest.raises(ValueError, match="torn"):
        frame_number(torn)
    with pytest.raises(ValueError, match="no frame number"):
        frame_number(np.full((48, 64, 3), 7, np.uint8))


def test_two_cameras_with_the_same_options_give_the_same_moving_images() -> None:
    one, two = (recorded(frame_limit=9) for _ in "ab")
    assert all(np.array_equal(a.image, b.image) for a, b in zip(one, two, strict=True))
    assert not np.array_equal(one[0].image[4:-4], one[5].image[4:-4])


def test_images_are_shown_in_turn_at_the_size_of_the_camera(tmp_path: Path) -> None:
    paths = [tmp_path / "black.png", tmp_path / "grey.png"]
    for path, value in zip(paths, (0, 90), strict=True):
        cv2.imwrite(str(path), np.full((20, 30, 3), value, np.uint8))
    seen = recorded(frame_limit=4, images=tmp_path)
    assert [int(frame.image[20, 20, 0]) for frame in seen] == [0, 90, 0, 90]
    assert [frame_number(frame.image) for frame in seen] == [0, 1, 2, 3]


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no")
    with pytest.raises(InputError, match=r"bad\.png: not an image"):
        recorded(images=tmp_path)


def test_too_small_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="width"):
        SyntheticOptions(width=31)


def test_frames_come_at_the_cameras_pace() -> None:
    clock = FakeClock()
    source = camera(clock)
    start = clock.ns
    captured = [must_read(source).captured_ns - start for _ in range(4)]
    assert captured == [0, 100 * MS, 200 * MS, 300 * MS]
    assert clock.ns - start == 300 * MS


def test_a_reader_that_does_not_wait_long_enough_gets_none_and_loses_nothing() -> None:
    clock = FakeClock()
    source = camera(clock)
    must_read(source)
    assert source.read(0.04) is None
    assert source.read(0.04) is None
    assert must_read(source).number == 1


def test_a_late_reader_of_a_live_camera_gets_the_newest_frame_and_its_true_age() -> None:
    clock = FakeClock()
    source = camera(clock)
    must_read(source)
    clock.pass_ms(350)
    frame = must_read(source)
    assert (frame.number, source.skipped) == (3, 2)
    assert clock.ns - frame.captured_ns == 50 * MS


def test_a_late_reader_of_a_recording_gets_every_frame() -> None:
    clock = FakeClock()
    source = camera(clock, live=False, frame_limit=5)
    must_read(source)
    clock.pass_ms(10_000)
    assert numbers(source, 4) == [1, 2, 3, 4]
    assert source.skipped == 0


def test_the_stream_ends_at_its_limit_even_for_a_late_reader() -> None:
    clock = FakeClock()
    source = camera(clock, frame_limit=5)
    assert source.frame_count == 5
    must_read(source)
    clock.pass_ms(10_000)
    assert must_read(source).number == 4
    assert source.skipped == 3
    for _ in range(2):
        with pytest.raises(EndOfStream):
            source.read(1)


def test_closing_wakes_a_reader_that_waits() -> None:
    waiting = threading.Event()

    def wait(event: threading.Event, seconds: float) -> bool:
        waiting.set()
        return event.wait(seconds)

    source = SyntheticSource("cam", SyntheticOptions(fps=0.001), wait=wait)
    source.open()
    must_read(source)
    seen: list[Frame | None] = []
    reader = threading.Thread(target=lambda: seen.append(source.read(600)))
    reader.start()
    assert waiting.wait(30)
    source.close()
    reader.join(30)
    assert seen == [None]


def test_a_stall_gives_nothing_and_then_goes_on_where_it_stopped() -> None:
    clock = FakeClock()
    source = camera(clock, FaultOptions(kind="stall", at_frame=2, duration_s=3))
    assert numbers(source, 2) == [0, 1]
    assert [source.read(1) for _ in range(3)] == [None] * 3
    assert numbers(source, 2) == [2, 3]
    assert source.skipped == 0


def test_a_dropped_frame_leaves_a_gap() -> None:
    source = camera(FakeClock(), FaultOptions(kind="drop", at_frame=1, every=2), fps=None)
    assert numbers(source, 3) == [0, 2, 4]
    assert source.skipped == 2


def test_an_error_strikes_once_and_reopening_goes_on_after_it() -> None:
    source = camera(FakeClock(), FaultOptions(kind="error", at_frame=1))
    must_read(source)
    with pytest.raises(DeviceError, match="cam: the camera failed at frame 1"):
        source.read(1)
    source.close()
    source.open()
    assert numbers(source, 2) == [2, 3]


def test_a_lasting_error_is_over_after_its_time_even_when_the_reader_is_late() -> None:
    clock = FakeClock()
    source = camera(clock, FaultOptions(kind="error", at_frame=1, duration_s=5))
    clock.pass_ms(1000)
    with pytest.raises(DeviceError):
        source.read(1)
    source.close()
    with pytest.raises(DeviceError, match="still broken"):
        source.open()
    clock.pass_ms(5000)
    source.open()
    assert numbers(source, 2) == [2, 3]


def test_a_frame_of_another_size_is_whole() -> None:
    source = camera(FakeClock(), FaultOptions(kind="wrong-size", at_frame=1))
    sizes = [must_read(source).image.shape for _ in range(3)]
    assert sizes == [(48, 64, 3), (96, 128, 3), (48, 64, 3)]
