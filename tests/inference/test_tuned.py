"""What tune found is used by the service, and by nothing it was not measured for."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest
from support.tflite_models import raw_heads_model

from edge_ssd.errors import PublishError
from edge_ssd.inference import tuned
from edge_ssd.inference.backends import make_backend
from edge_ssd.inference.options import ModelOptions
from edge_ssd.inference.runtime import installed
from edge_ssd.inference.tuned import Choice, applied, fingerprint, remember


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "given.tflite"
    path.write_bytes(raw_heads_model(75, 4, input_shape=(1, 48, 48, 3)))
    return path


@pytest.fixture
def choice(tmp_path: Path, model: Path) -> Choice:
    """A choice that differs from every default, kept in tuned.json."""
    other = tmp_path / "faster.tflite"
    other.write_bytes(model.read_bytes())
    choice = Choice(installed()[-1], 1, str(other), fingerprint(other))
    remember(model, choice, tmp_path / "state" / "tuned.json")
    return choice


def used(tmp_path: Path, options: ModelOptions) -> ModelOptions:
    return applied(options, (tmp_path / "absent.json", tmp_path / "state" / "tuned.json"))


def test_the_choice_is_used_where_the_configuration_leaves_it_open(tmp_path, model, choice):
    options = used(tmp_path, ModelOptions(name=str(model)))

    assert (options.name, options.runtime, options.threads) == (
        choice.file, choice.runtime, choice.threads,
    )  # fmt: skip


@pytest.mark.parametrize(
    "given", [{"runtime": installed()[0]}, {"threads": 1}, {"delegate": "edgetpu"}], ids=str
)
def test_what_the_configuration_says_stays(tmp_path, model, choice, given):
    options = ModelOptions(name=str(model), **given)

    assert used(tmp_path, options) == options


def test_another_model_is_left_alone(tmp_path, model, choice):
    model.write_bytes(raw_heads_model(75, 3, input_shape=(1, 48, 48, 3)))
    options = ModelOptions(name=str(model))

    assert used(tmp_path, options) == options


def test_a_card_moved_to_another_board_is_measured_again(tmp_path, model, choice, caplog):
    change(tmp_path, lambda known: known["machine"].update(board="Raspberry Pi Zero 2 W"))
    options = ModelOptions(name=str(model))

    assert used(tmp_path, options) == options
    assert "made on another machine" in caplog.text


def change(tmp_path: Path, edit) -> None:
    path = tmp_path / "state" / "tuned.json"
    known = json.loads(path.read_text())
    edit(known)
    path.write_text(json.dumps(known))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', '{"schema": 2, "models": 3}'])
def test_a_damaged_file_is_a_warning_and_not_used(tmp_path, model, choice, caplog, text):
    (tmp_path / "state" / "tuned.json").write_text(text)
    options = ModelOptions(name=str(model))

    assert used(tmp_path, options) == options
    assert "cannot be used" in caplog.text


def test_a_file_that_is_gone_is_a_warning_and_not_used(tmp_path, model, choice, caplog):
    Path(choice.file).unlink()
    options = ModelOptions(name=str(model))

    assert used(tmp_path, options) == options
    assert "faster.tflite is gone" in caplog.text


def test_a_file_that_was_replaced_is_a_warning_and_not_used(tmp_path, model, choice, caplog):
    Path(choice.file).write_bytes(raw_heads_model(75, 3, input_shape=(1, 48, 48, 3)))
    options = ModelOptions(name=str(model))

    assert used(tmp_path, options) == options
    assert "faster.tflite is not the file that was measured" in caplog.text


@pytest.mark.parametrize("of", ["given.json", "faster.json"])
def test_a_manifest_added_later_makes_it_another_model(tmp_path, model, choice, of):
    (tmp_path / of).write_text('{"schema": 1, "labels": ["cat"]}')
    options = ModelOptions(name=str(model))

    assert used(tmp_path, options) == options


def test_the_models_own_file_may_be_a_copy_anywhere(tmp_path, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    remember(Path("given.tflite"), Choice("litert", 1), tmp_path / "state" / "tuned.json")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy = model.rename(elsewhere / "copy.tflite")
    monkeypatch.chdir("/")

    options = used(tmp_path, ModelOptions(name=str(copy)))

    assert (options.name, options.runtime, options.threads) == (str(copy), "litert", 1)


def test_a_model_that_is_missing_is_left_to_whoever_loads_it(tmp_path, choice, caplog):
    options = ModelOptions(name=str(tmp_path / "absent.tflite"))

    assert used(tmp_path, options) == options
    assert not caplog.text


def test_a_choice_can_be_read_by_the_service_whatever_the_umask(tmp_path, model):
    before = os.umask(0o077)
    try:
        remember(model, Choice("litert", 1), tmp_path / "state" / "tuned.json")
    finally:
        os.umask(before)

    kept = tmp_path / "state" / "tuned.json"
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o644, 0o755)
    assert list(kept.parent.iterdir()) == [kept]


def test_a_place_that_cannot_be_looked_at_holds_no_choice(tmp_path, model):
    options = ModelOptions(name=str(model))

    assert applied(options, (tmp_path / ("n" * 300) / "tuned.json",)) == options


def test_choices_for_several_models_stand_beside_each_other(tmp_path, model, choice):
    second = tmp_path / "second.tflite"
    second.write_bytes(raw_heads_model(75, 3, input_shape=(1, 48, 48, 3)))
    remember(second, Choice("litert", 3), tmp_path / "state" / "tuned.json")

    assert used(tmp_path, ModelOptions(name=str(second))).threads == 3
    assert used(tmp_path, ModelOptions(name=str(model))).name == choice.file


def test_a_place_that_cannot_be_written_is_an_error_that_names_it(tmp_path, model):
    (tmp_path / "file").write_text("")

    with pytest.raises(PublishError, match=r"tuned.json cannot be written: .*; run as root"):
        remember(model, Choice("litert", 1), tmp_path / "file" / "tuned.json")


def test_the_service_runs_the_chosen_file(tmp_path, model, choice, monkeypatch, caplog):
    monkeypatch.setattr(tuned, "state_file", lambda: tmp_path / "state" / "tuned.json")
    caplog.set_level(logging.INFO)

    found = make_backend(tuned.applied(ModelOptions(name=str(model))))

    assert str(found.spec.path) == choice.file
    assert f"tuned: {choice.file} on {choice.runtime}, 1 thread(s)" in caplog.text
