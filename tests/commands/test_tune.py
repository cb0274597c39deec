"""tune: what it measures, how it chooses, and what it writes."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.command import edge_ssd
from support.tflite_models import raw_heads_model

from edge_ssd import config
from edge_ssd.board import Health, Throttled
from edge_ssd.cli import main
from edge_ssd.commands.tune.candidates import (
    AS_IT_IS,
    INT8,
    Candidate,
    Report,
    candidates,
    options,
)
from edge_ssd.commands.tune.measuring import FINAL_ROUNDS, measure, moving
from edge_ssd.commands.tune.writing import check, write
from edge_ssd.errors import ConfigError, EdgeSsdError, PublishError, UsageError
from edge_ssd.inference import tuned
from edge_ssd.inference.runtime import clamp_threads, installed


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(raw_heads_model(75, 4, input_shape=(1, 48, 48, 3)))
    return path


def candidate(fps: float, threads: int = 1, form: str = AS_IT_IS) -> Candidate:
    return Candidate(form, Path("a.tflite"), "litert", threads, [fps] if fps else [])


def test_every_runtime_form_and_number_of_threads_is_a_candidate():
    forms = {INT8: Path("b.tflite"), AS_IT_IS: Path("a.tflite")}

    found = candidates(forms)

    assert {(each.form, each.path, each.runtime, each.threads) for each in found} == {
        (form, path, runtime, threads)
        for form, path in forms.items()
        for runtime in installed()
        for threads in range(1, clamp_threads(None) + 1)
    }
    assert len(found) == 2 * len(installed()) * clamp_threads(None)
    first = found[0]
    assert (first.form, first.runtime, first.threads) == (INT8, installed()[0], clamp_threads(None))


@pytest.mark.parametrize(
    ("found", "best"),
    [
        ([candidate(100, 4), candidate(90, 1)], 0),
        ([candidate(100, 4), candidate(98, 2), candidate(97.5, 3)], 1),
        ([candidate(100, 4), candidate(97, 2)], 0),
        ([candidate(100, 2, "int8"), candidate(98, 2)], 1),
        ([candidate(100, 2, "int8"), candidate(99, 1, "int8"), candidate(98, 2)], 1),
        ([candidate(100), candidate(0)], 0),
        ([candidate(0), candidate(50), candidate(100)], 2),
    ],
    ids=["faster", "fewer threads, same", "4 percent is not the same", "same: as it is",
         "threads first", "one did not run", "in no order"],
)  # fmt: skip
def test_the_choice(found: list[Candidate], best: int):
    assert Report(found).best is found[best]


def test_one_measured_only_once_is_not_chosen_when_the_machine_became_slower():
    early, finalist = candidate(60), candidate(100, 4)
    finalist.measured += [50, 50, 50]
    report = Report([early, finalist], [finalist])

    assert report.best is finalist
    _, first, second = report.rows()
    assert first.split()[:2] == ["60.0", "0.60"]
    assert second.split()[:3] == ["*", "50.0", "1.00"]


def stopped() -> float:
    """A clock with which there is time for everything."""
    return 0.0


def measured(model: Path, health: Callable[[], Health] = Health) -> tuple[Report, config.Config]:
    given = options(None, str(model))
    found = candidates({AS_IT_IS: model})
    return measure(given, found, budget_s=0.2, health=health, clock=stopped), given


def test_all_are_measured_and_the_fastest_more_often(model: Path):
    steps: list[tuple[int, int]] = []
    found = candidates({AS_IT_IS: model, "int8": model})

    report = measure(
        options(None, str(model)), found, 0.2, Health, lambda *step: steps.append(step), stopped
    )

    assert {len(each.measured) for each in found} <= {1, 1 + FINAL_ROUNDS}
    assert len(report.best.measured) == 1 + FINAL_ROUNDS
    figures = [float(row.split()[row[0] == "*"]) for row in list(report.rows())[1:]]
    assert figures == sorted(figures, reverse=True)
    assert steps[-1][0] == steps[-1][1] == sum(len(each.measured) for each in found)


def test_one_that_cannot_run_is_in_the_table_with_the_reason(model: Path, tmp_path: Path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"not a model, not a model")
    found = candidates({AS_IT_IS: model, "int8": broken})

    rows = list(measure(options(None, str(model)), found, 0.2, Health, clock=stopped).rows())

    assert len([row for row in rows if "not a TensorFlow Lite file" in row]) == len(found) // 2
    assert [row[0] for row in rows].count("*") == 1


def test_nothing_that_runs_is_an_error_with_the_reason(tmp_path: Path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"not a model, not a model")

    with pytest.raises(EdgeSsdError, match=r"nothing could be measured: .*not a TensorFlow Lite"):
        measure(config.parse({"source": {"type": "synthetic"}}),
                     candidates({AS_IT_IS: broken}), 0.2, Health)  # fmt: skip


def test_a_lowered_clock_is_said_and_nothing_is_written(model: Path, tmp_path: Path):
    words = iter([0, 4])  # cool at first, then throttled once

    def health() -> Health:
        return Health(82.0, Throttled(next(words, 0)))

    report, given = measured(model, health)
    path = tmp_path / "service.yaml"
    path.write_text("source: {type: synthetic}\n")

    with pytest.raises(EdgeSsdError, match="clock was lowered"):
        write(report, given, path)
    assert path.read_text() == "source: {type: synthetic}\n"
    assert "82 °C" in list(report.rows())[-1]


def test_frames_have_the_size_of_the_configurations_camera(tmp_path: Path):
    path = tmp_path / "usb.yaml"
    path.write_text("source: {type: usb, width: 1280, height: 720}\n")

    source = moving(options(path, None), 9).source

    assert (source.type, source.width, source.height) == ("synthetic", 1280, 720)
    assert (source.live, source.frame_limit) == (False, 9)


def test_an_edge_tpu_model_has_nothing_to_tune(tmp_path: Path):
    path = tmp_path / "tpu.yaml"
    path.write_text("source: {type: synthetic}\nmodel: {delegate: edgetpu}\n")

    with pytest.raises(ConfigError, match=r"model.delegate: .* nothing to tune"):
        options(path, None)


def test_the_command_writes_the_choice_into_the_configuration(model: Path, tmp_path: Path):
    path = tmp_path / "service.yaml"
    path.write_text(
        f"source: {{type: synthetic}}  # none yet\nmodel:\n  name: {model}\n  threads: null # all\n"
    )

    finished = edge_ssd("tune", "--config", path, "--write", "--seconds", "1")

    assert finished.returncode == 0, finished.stderr
    chosen = next(row for row in finished.stdout.splitlines() if row.startswith("*")).split()
    written = config.load(path)
    assert (written.model.runtime, str(written.model.threads)) == (chosen[3], chosen[4])
    assert "# none yet" in path.read_text() and "# all" in path.read_text()
    assert f"written to {path}" in finished.stdout
    assert "not as int8: " in finished.stdout
    assert edge_ssd("check-config", path).returncode == 0


def test_no_figure_is_above_the_best():
    rows = list(Report([candidate(102, 4), candidate(100, 1)]).rows())

    assert "1.00" in rows[1]
    assert "0.98" in rows[2]
    assert rows[2].startswith("*")


class SlowBoard:
    """A fake clock that goes on with every frame: a board that needs so long for one."""

    def __init__(self, frame_s: float) -> None:
        self.frame_s, self.now = frame_s, 0.0

    def clock(self) -> float:
        return self.now

    def pipeline_fps(self, _options: object, _detector: object, count: int) -> tuple[float, None]:
        self.now += count * self.frame_s
        return 1 / self.frame_s, None


@pytest.mark.parametrize("budget_s", [1, 12, 60])
def test_a_slow_board_ends_in_time_and_the_table_says_what_was_left_out(
    model: Path, monkeypatch: pytest.MonkeyPatch, budget_s: float
):
    board = SlowBoard(frame_s=1.5)
    monkeypatch.setattr("edge_ssd.commands.tune.measuring.pipeline_fps", board.pipeline_fps)
    found = [Candidate(AS_IT_IS, model, installed()[0], 1) for _ in range(16)]

    report = measure(options(None, str(model)), found, budget_s, Health, clock=board.clock)

    assert board.now <= budget_s + 4 * board.frame_s
    assert found[0].fps == report.fastest
    left_out = [row for row in report.rows() if row.endswith("not measured: out of time")]
    assert len(left_out) == len([each for each in found if not each.measured]) > 0


def test_a_fast_board_uses_its_budget(model: Path, monkeypatch: pytest.MonkeyPatch):
    board = SlowBoard(frame_s=0.01)
    monkeypatch.setattr("edge_ssd.commands.tune.measuring.pipeline_fps", board.pipeline_fps)
    found = [Candidate(AS_IT_IS, model, installed()[0], 1) for _ in range(4)]

    measure(options(None, str(model)), found, 10, Health, clock=board.clock)

    assert 9 < board.now < 11
    assert {len(each.measured) for each in found} == {1 + FINAL_ROUNDS}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where models are kept."""
    folder = tmp_path / "models"
    monkeypatch.setattr("edge_ssd.models.catalogue.folder", lambda: folder)
    return folder


@pytest.fixture
def service(model: Path, tmp_path: Path) -> Path:
    """A configuration with the model."""
    path = tmp_path / "service.yaml"
    path.write_text(f"source: {{type: synthetic}}\nmodel:\n  name: {model}\n")
    return path


def converted(place: Path, classes: int = 4) -> list[Candidate]:
    """Return a model that stands for an int8 one, as the only candidate."""
    place.mkdir(exist_ok=True)
    made = place / "small_int8.tflite"
    made.write_bytes(raw_heads_model(75, classes, input_shape=(1, 48, 48, 3)))
    return [Candidate(INT8, made, installed()[0], 1, [100.0])]


def test_an_int8_file_that_wins_is_kept_where_models_are(
    service: Path, folder: Path, tmp_path: Path
):
    found = converted(tmp_path / "made")

    for _ in range(2):  # again is no error
        written = write(Report(found), options(service, None), service)

    kept = Path(config.load(service).model.name)
    assert written == [service, kept]
    assert kept.read_bytes() == found[0].path.read_bytes()
    assert list(folder.iterdir()) == [kept]


def test_models_of_one_name_do_not_take_each_others_place(
    service: Path, folder: Path, tmp_path: Path
):
    write(Report(converted(tmp_path / "one")), options(service, None), service)
    first = Path(config.load(service).model.name)
    before = first.read_bytes()
    write(Report(converted(tmp_path / "two", classes=3)), options(service, None), service)

    assert first.read_bytes() == before
    assert Path(config.load(service).model.name) != first
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("suffix", [".tflite", ".json"])
def test_somebody_elses_file_in_its_place_is_refused_before_anything_is_measured(
    service: Path, folder: Path, tmp_path: Path, suffix: str
):
    found = converted(tmp_path / "made")
    kept = write(Report(found), options(service, None), service)[1]
    kept.with_suffix(suffix).write_text("{}")
    before = service.read_text()

    with pytest.raises(UsageError, match=rf"{kept.stem}\{suffix} .*; move it away"):
        check(found, service)
    with pytest.raises(UsageError, match="move it away"):
        write(Report(found), options(service, None), service)
    assert (service.read_text(), kept.with_suffix(suffix).read_text()) == (before, "{}")


def test_places_that_cannot_be_written_are_found_before_anything_is_measured(
    service: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    found = converted(tmp_path / "made")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(tuned, "state_file", lambda: tmp_path / "file" / "tuned.json")
    with pytest.raises(PublishError, match=r"tuned.json cannot be written"):
        check(found, None)

    folder.rmdir()
    folder.write_text("")
    with pytest.raises(PublishError, match=r"models/small_int8-\w+.tflite cannot be written"):
        check(found, service)


def test_a_configuration_that_cannot_be_edited_is_refused_at_once(model: Path, tmp_path: Path):
    path = tmp_path / "service.yaml"
    path.write_text("source: {type: synthetic}\n...\n")

    finished = edge_ssd("tune", "--config", path, "--write", "--seconds", "3600")

    assert finished.returncode == ConfigError.exit_code
    assert "set model.runtime, model.threads" in finished.stderr
    assert finished.stdout == ""  # no table: nothing was measured


def test_a_full_disk_leaves_nothing_in_the_models_folder(
    service: Path, folder: Path, tmp_path: Path
):
    found = converted(tmp_path / "made")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = service.read_text()

    resource.setrlimit(resource.RLIMIT_FSIZE, (8, limits[1]))
    try:
        with pytest.raises(PublishError, match="cannot be written: File too large"):
            write(Report(found), options(service, None), service)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert (list(folder.iterdir()), service.read_text()) == ([], before)


def test_the_service_uses_the_int8_file_that_was_kept(
    model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tuned, "state_file", lambda: tmp_path / "state" / "tuned.json")
    given = options(None, str(model))

    written = write(Report(converted(tmp_path / "made")), given, None)

    state, kept = written
    assert state == tmp_path / "state" / "tuned.json"
    assert tuned.applied(given.model).name == str(kept)


def test_the_file_as_it_is_stays_the_models_own(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tuned, "state_file", lambda: tmp_path / "state" / "tuned.json")
    monkeypatch.chdir(tmp_path)

    write(Report([candidate(100)]), options(None, model.name), None)

    assert str(tmp_path) not in (tmp_path / "state" / "tuned.json").read_text()
    monkeypatch.chdir("/")
    assert tuned.applied(options(None, str(model)).model).threads == 1


@pytest.mark.parametrize(("user", "said"), [(0, False), (1000, True)])
def test_who_is_not_root_is_told_that_the_service_reads_nothing_of_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, said: bool
):
    monkeypatch.setattr(tuned, "state_file", lambda: tmp_path / "state" / "tuned.json")
    monkeypatch.setattr(os, "geteuid", lambda: user)

    ended = CliRunner().invoke(main, ["tune", "--model", str(model), "--write", "--seconds", "1"])

    assert ended.exit_code == 0, ended.output
    assert ("use sudo" in ended.output) == said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_no_temporary_file(
    number: int, stock_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made: list[Path] = []

    def terminated(_options: object, found: list[Candidate], *_: object, **__: object) -> None:
        made.append(found[0].path)
        assert found[0].path.is_file()
        signal.raise_signal(number)

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("edge_ssd.commands.tune.measuring.measure", terminated)
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        ended = CliRunner().invoke(main, ["tune", "--model", str(stock_model)])
    finally:
        signal.signal(signal.SIGTERM, before)

    assert (ended.exit_code, ended.stderr) == (130, "error: interrupted\n")
    assert made[0].is_relative_to(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nan_seconds_are_a_usage_error():
    finished = edge_ssd("tune", "--seconds", "nan")

    assert finished.returncode == 2
    assert "nan is not a number" in finished.stderr
