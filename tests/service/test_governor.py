"""The governor's rule, on fake sysfs trees and a clock that the test turns."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from support.pipelines import Recorder, make_pipeline, small_spec, synthetic

from edge_ssd.board import Health, Sensors, Throttled
from edge_ssd.config import GovernorOptions
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.pipeline.capture import Pace
from edge_ssd.service.governor import Governor

THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"
THROTTLED_PI_5 = "devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"


class FakeBoard:
    """A /sys as a Pi has it."""

    def __init__(self, folder: Path, throttled: str = THROTTLED) -> None:
        self.sys = folder
        self._throttled = folder / throttled
        self._throttled.parent.mkdir(parents=True)
        self.zone(0, "cpu-thermal", 50_000)
        self.throttled("0")

    def zone(self, number: int, kind: str, millidegrees: object) -> None:
        zone = self.sys / f"class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "type").write_text(f"{kind}\n")
        (zone / "temp").write_text(f"{millidegrees}\n")

    def temperature(self, celsius: float) -> None:
        self.zone(0, "cpu-thermal", round(celsius * 1000))

    def throttled(self, word: str) -> None:
        self._throttled.write_text(f"{word}\n")


class Bench:
    """A governor on a fake board; ``at`` lets it look once, at a time."""

    def __init__(self, folder: Path, live: bool = True, **options: object) -> None:
        self.board = FakeBoard(folder)
        self.pace = Pace()
        self.now_s = 0.0
        self.governor = Governor(
            GovernorOptions.model_validate(options),
            self.pace if live else None,
            Sensors(folder, vcgencmd=None).read,
            lambda: self.now_s,
        )

    def at(self, now_s: float, inferred_fps: float = 20.0) -> float | None:
        self.now_s = now_s
        self.governor.step(inferred_fps)
        return self.pace.limit_fps


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("throttled", [THROTTLED, THROTTLED_PI_5])
def test_sensors_read_the_kernels_files(tmp_path: Path, throttled: str) -> None:
    board = FakeBoard(tmp_path, throttled)
    board.temperature(61.3)
    board.throttled("50005")
    health = Sensors(tmp_path, vcgencmd=None).read()
    assert health == Health(61.3, Throttled(0x50005))
    assert health.throttled is not None
    assert (health.throttled.undervoltage, health.throttled.slowed) == (True, True)


def test_what_was_since_boot_is_not_now() -> None:
    word = Throttled(0x50000)
    assert (word.undervoltage, word.slowed) == (False, False)
    assert (word.undervoltage_since_boot, word.slowed_since_boot) == (True, True)


def test_the_hottest_processor_zone_counts_and_no_other_does(tmp_path: Path) -> None:
    board = FakeBoard(tmp_path)
    board.zone(1, "soc-thermal", 64_000)
    board.zone(2, "iwlwifi_1", 99_000)
    board.zone(3, "cpu2-thermal", "")
    assert Sensors(tmp_path, vcgencmd=None).read().temperature_c == 64


def test_a_machine_without_sensors_says_nothing(tmp_path: Path) -> None:
    assert Sensors(tmp_path, vcgencmd=None).read() == Health(None, None)
    pace = Pace()
    governor = Governor(GovernorOptions(), pace, Sensors(tmp_path, vcgencmd=None).read)
    governor.step(30)
    assert (governor.report(), pace.limit_fps) == ("", None)


def test_vcgencmd_is_asked_where_the_kernel_has_no_file(tmp_path: Path) -> None:
    command = tmp_path / "vcgencmd"
    command.write_text('#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x50001\n')
    command.chmod(0o755)
    health = Sensors(tmp_path / "sys", str(command)).read()
    assert health.throttled == Throttled(0x50001)


def test_a_vcgencmd_that_may_not_reach_the_firmware_is_asked_once(tmp_path: Path) -> None:
    command = tmp_path / "vcgencmd"
    command.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/log\nexit 1\n")
    command.chmod(0o755)
    sensors = Sensors(tmp_path / "sys", str(command))
    assert [sensors.read().throttled for _ in range(3)] == [None] * 3
    assert (tmp_path / "log").read_text() == "asked\n"


def test_a_cool_board_is_not_limited(bench: Bench) -> None:
    bench.board.temperature(74.9)
    assert bench.at(0) is None
    assert bench.governor.report() == "75 °C"


def test_heat_takes_a_quarter_each_ten_seconds(bench: Bench) -> None:
    bench.board.temperature(75)
    limits = [bench.at(t, inferred_fps=20 if t == 0 else 15) for t in (0, 5, 10, 15, 20)]
    assert limits == [15, 15, 11.25, 11.25, 8.4375]
    assert bench.governor.report() == "75 °C, limited to 8.4 fps"


def test_between_the_two_limits_the_rate_stays(bench: Bench) -> None:
    bench.board.temperature(80)
    assert bench.at(0) == 15
    bench.board.temperature(70)
    assert bench.at(100) == 15


def test_steps_are_taken_back_one_by_one_until_the_limit_is_gone(bench: Bench) -> None:
    bench.board.temperature(80)
    bench.at(0)
    bench.at(10)
    bench.board.temperature(69.9)
    assert [bench.at(t) for t in (15, 20, 25, 30, 40)] == [11.25, 15, 15, None, None]
    assert bench.governor.report() == "70 °C"


def test_the_rate_never_falls_below_the_least(tmp_path: Path) -> None:
    bench = Bench(tmp_path, min_fps=10)
    bench.board.temperature(90)
    assert [bench.at(t) for t in (0, 10, 20, 30)] == [15, 11.25, 10, 10]
    bench.board.temperature(50)
    assert [bench.at(t) for t in (40, 50, 60)] == [11.25, 15, None]


def test_a_network_slower_than_the_least_rate_is_left_alone(bench: Bench) -> None:
    bench.board.temperature(90)
    assert bench.at(0, inferred_fps=0.8) is None
    assert bench.at(10, inferred_fps=0.0) is None


@pytest.mark.parametrize(
    ("word", "limit", "says"),
    [("1", 15, "undervoltage"), ("50005", 15, "undervoltage, throttled"), ("2", 15, "throttled"),
     ("50000", None, ""), ("80008", None, "")],
)  # fmt: skip
def test_a_weak_supply_or_throttling_now_lowers_the_rate(
    bench: Bench, word: str, limit: float | None, says: str
) -> None:
    bench.board.throttled(word)
    assert bench.at(0) == limit
    expected = ", ".join(part for part in ("50 °C", says) if part)
    assert bench.governor.report().removesuffix(", limited to 15.0 fps") == expected


def test_strain_and_its_end_are_said_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    bench.board.throttled("1")
    bench.at(0)
    bench.board.throttled("0")
    bench.at(5)
    bench.board.throttled("1")
    bench.at(10)
    bench.board.throttled("0")
    for now_s in range(15, 60, 5):
        bench.at(now_s)
    assert caplog.messages == [
        "the power supply is too weak (undervoltage)", "the board has recovered",
    ]  # fmt: skip


def test_switched_off_it_only_reports(tmp_path: Path) -> None:
    bench = Bench(tmp_path, enabled=False)
    bench.board.temperature(90)
    assert bench.at(0) is None
    assert bench.governor.report() == "90 °C"


def test_new_options_hold_from_the_next_look_on(bench: Bench) -> None:
    bench.board.temperature(72)
    assert bench.at(0) is None
    bench.governor.options = GovernorOptions(max_temperature_c=72)
    assert bench.at(5) == 15
    bench.governor.options = GovernorOptions(enabled=False)
    assert bench.at(6) is None


def test_a_recorded_source_is_never_slowed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, live=False)
    bench.board.temperature(90)
    bench.board.throttled("5")
    assert bench.at(0) is None
    assert bench.governor.report() == "90 °C, undervoltage, throttled"


@pytest.mark.parametrize(("limit_fps", "admitted"), [(None, 300), (20, 200), (7.5, 75), (60, 300)])
def test_a_pace_is_kept_on_average(limit_fps: float | None, admitted: int) -> None:
    """Ten seconds of a camera of 30 fps."""
    pace = Pace()
    pace.limit_fps = limit_fps
    count = sum(pace.admits(1000 + frame / 30) for frame in range(300))
    assert count == pytest.approx(admitted, abs=2)


def test_a_camera_that_was_away_does_not_catch_up() -> None:
    pace = Pace()
    pace.limit_fps = 1
    assert pace.admits(0)
    later = [pace.admits(3600 + frame / 30) for frame in range(90)]
    assert sum(later) == 3


@pytest.mark.parametrize(("live", "inferred"), [(True, 1), (False, 40)])
def test_held_back_frames_are_counted_and_recorded_ones_are_not_held_back(
    tmp_path: Path, live: bool, inferred: int
) -> None:
    """Forty frames at a rate that the network keeps up with, and the pace admits one of."""
    recorder = Recorder()
    source = synthetic(live=live, frame_limit=40, fps=200)
    pipeline = make_pipeline(source, CpuBackend(small_spec(tmp_path)), [recorder])
    pipeline.capture.pace.limit_fps = 0.001
    pipeline.start()
    assert pipeline.wait(30)
    stats = pipeline.stats.snapshot()
    assert stats.captured == stats.dropped + stats.inferred
    assert len(recorder.results) == stats.inferred == inferred
