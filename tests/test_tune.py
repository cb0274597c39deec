"""tune: what it measures, how it chooses, and what it writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command import edge_ssd
from tflite_models import raw_heads_model

from edge_ssd import config, tune
from edge_ssd.detector.runtime import clamp_threads, installed
from edge_ssd.errors import ConfigError, EdgeSsdError
from edge_ssd.service.sensors import Health, Throttled
from edge_ssd.service.tuned import Choice
from edge_ssd.tune import AS_IT_IS, Candidate, Report


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(raw_heads_model(75, 4, input_shape=(1, 48, 48, 3)))
    return path


def candidate(fps: float, threads: int = 1, form: str = AS_IT_IS) -> Candidate:
    return Candidate(form, Choice("a.tflite", "litert", threads), [fps] if fps else [])


def test_every_runtime_form_and_number_of_threads_is_a_candidate():
    found = tune.candidates({AS_IT_IS: Path("a.tflite"), "int8": Path("b.tflite")})

    assert {(each.form, each.choice) for each in found} == {
        (form, Choice(path, runtime, threads))
        for form, path in ((AS_IT_IS, "a.tflite"), ("int8", "b.tflite"))
        for runtime in installed()
        for threads in range(1, clamp_threads(None) + 1)
    }
    assert len(found) == 2 * len(installed()) * clamp_threads(None)


@pytest.mark.parametrize(
    ("found", "best"),
    [
        ([candidate(100, 4), candidate(90, 1)], 0),
        ([candidate(100, 4), candidate(98, 2), candidate(97.5, 3)], 1),
        ([candidate(100, 4), candidate(97, 2)], 0),
        ([candidate(100, 2, "int8"), candidate(98, 2)], 1),
        ([candidate(100, 2, "int8"), candidate(99, 1, "int8"), candidate(98, 2)], 1),
        ([candidate(100), candidate(0)], 0),
    ],
    ids=["faster", "fewer threads, same", "4 percent is not the same", "same: as it is",
         "threads first", "one did not run"],
)  # fmt: skip
def test_the_choice(found: list[Candidate], best: int):
    assert Report(found).best is found[best]


def measured(model: Path, health: Callable[[], Health] = Health) -> tuple[Report, config.Config]:
    options = tune.options(None, str(model))
    found = tune.candidates({AS_IT_IS: model})
    return tune.measure(options, found, budget_s=0.2, health=health), options


def test_all_are_measured_and_the_fastest_more_often(model: Path):
    steps: list[tuple[int, int]] = []
    found = tune.candidates({AS_IT_IS: model, "int8": model})

    report = tune.measure(
        tune.options(None, str(model)), found, 0.2, Health, lambda *step: steps.append(step)
    )

    assert {len(each.measured) for each in found} <= {1, 1 + tune.FINAL_ROUNDS}
    assert len(report.best.measured) == 1 + tune.FINAL_ROUNDS
    assert [each.fps for each in report.candidates] == sorted(
        (each.fps for each in found), reverse=True
    )
    assert steps[-1][0] == steps[-1][1] == sum(len(each.measured) for each in found)


def test_one_that_cannot_run_is_in_the_table_with_the_reason(model: Path, tmp_path: Path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"not a model, not a model")
    found = tune.candidates({AS_IT_IS: model, "int8": broken})

    rows = list(tune.rows(tune.measure(tune.options(None, str(model)), found, 0.2, Health)))

    assert len([row for row in rows if "not a TensorFlow Lite file" in row]) == len(found) // 2
    assert [row[0] for row in rows].count("*") == 1


def test_nothing_that_runs_is_an_error_with_the_reason(tmp_path: Path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"not a model, not a model")

    with pytest.raises(EdgeSsdError, match=r"nothing could be measured: .*not a TensorFlow Lite"):
        tune.measure(config.parse({"source": {"type": "synthetic"}}),
                     tune.candidates({AS_IT_IS: broken}), 0.2, Health)  # fmt: skip


def test_a_lowered_clock_is_said_and_nothing_is_written(model: Path, tmp_path: Path):
    words = iter([0, 4])  # cool at first, then throttled once

    def health() -> Health:
        return Health(82.0, Throttled(next(words, 0)))

    report, options = measured(model, health)
    path = tmp_path / "service.yaml"
    path.write_text("source: {type: synthetic}\n")

    with pytest.raises(EdgeSsdError, match="clock was lowered"):
        tune.write(report, options, path)
    assert path.read_text() == "source: {type: synthetic}\n"
    assert "82 °C" in list(tune.rows(report))[-1]


def test_frames_have_the_size_of_the_configurations_camera(tmp_path: Path):
    path = tmp_path / "usb.yaml"
    path.write_text("source: {type: usb, width: 1280, height: 720}\n")

    source = tune.moving(tune.options(path, None), 9).source

    assert (source.type, source.width, source.height) == ("synthetic", 1280, 720)
    assert (source.live, source.frame_limit) == (False, 9)


def test_an_edge_tpu_model_has_nothing_to_tune(tmp_path: Path):
    path = tmp_path / "tpu.yaml"
    path.write_text("source: {type: synthetic}\nmodel: {delegate: edgetpu}\n")

    with pytest.raises(ConfigError, match=r"model.delegate: .* nothing to tune"):
        tune.options(path, None)


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


def test_an_int8_file_that_wins_is_kept_where_models_are(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("edge_ssd.models.catalogue.folder", lambda: tmp_path / "models")
    path = tmp_path / "service.yaml"
    path.write_text(f"source: {{type: synthetic}}\nmodel:\n  name: {model}\n")
    made = tmp_path / "small_int8.tflite"
    made.write_bytes(model.read_bytes())
    report = Report([Candidate("int8", Choice(str(made), installed()[0], 1), [100.0])])

    tune.write(report, tune.options(path, None), path)

    kept = tmp_path / "models" / "small_int8.tflite"
    assert kept.read_bytes() == made.read_bytes()
    assert list(kept.parent.iterdir()) == [kept]
    assert config.load(path).model.name == str(kept)
