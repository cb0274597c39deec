"""The checks of the runtime and of the model: what passes, and what does not."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
from support.inferring import changed, look
from support.machines import FakeMachine
from support.tflite_models import raw_heads_model

from edge_ssd.checks import Verdict
from edge_ssd.inference.options import ModelOptions
from edge_ssd.models import catalogue

BUNDLED = ModelOptions()


def test_the_runtime_is_named_with_its_version(machine: FakeMachine, runtime_name: str) -> None:
    found = look("runtime", changed(BUNDLED, runtime=runtime_name), machine)
    assert found.verdict is Verdict.OK
    assert runtime_name in found.evidence


def test_a_runtime_built_for_another_numpy_fails(
    machine: FakeMachine, runtime_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As tflite-runtime does with numpy 2: the import works, Interpreter() does not."""

    def interpreter(**_: object) -> None:
        raise SystemError("initialization of _pywrap raised unreported exception")

    broken = ModuleType(f"{runtime_name.replace('litert', 'ai_edge_litert')}.interpreter")
    broken.Interpreter = interpreter  # type: ignore[attr-defined]
    name = {"litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}[runtime_name]
    monkeypatch.setitem(sys.modules, f"{name}.interpreter", broken)
    found = look("runtime", changed(BUNDLED, runtime=runtime_name), machine)
    assert found.verdict is Verdict.FAIL
    assert "numpy<2" in found.remedy


def test_a_missing_runtime_fails(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_ssd.inference.runtime.installed", list)
    found = look("runtime", BUNDLED, machine)
    assert found.verdict is Verdict.FAIL
    assert found.evidence == "no TensorFlow Lite runtime is installed"


def test_the_model_is_named_with_hash_heads_and_labels(machine: FakeMachine) -> None:
    found = look("model", BUNDLED, machine)
    assert found.verdict is Verdict.OK
    for part in ("as in its manifest", "boxes 1917x4", "scores 1917x91", "80 labels"):
        assert part in found.evidence


def test_a_damaged_model_fails(machine: FakeMachine, tmp_path: Path) -> None:
    original = catalogue.bundled()[catalogue.DEFAULT]
    copy = tmp_path / "copy.tflite"
    copy.write_bytes(original.read_bytes()[:-1] + b"\x55")
    shutil.copy(original.with_suffix(".json"), copy.with_suffix(".json"))
    found = look("model", changed(BUNDLED, name=str(copy)), machine)
    assert found.verdict is Verdict.FAIL
    assert "copy.tflite is not the file it describes" in found.evidence


def test_a_model_without_labels_is_a_warning(machine: FakeMachine, tmp_path: Path) -> None:
    model = tmp_path / "small.tflite"
    model.write_bytes(raw_heads_model(75, 4, input_shape=(1, 48, 48, 3)))
    found = look("model", changed(BUNDLED, name=str(model)), machine)
    assert found.verdict is Verdict.WARN
    assert found.remedy == "set model.labels"
    labels = tmp_path / "labels.txt"
    labels.write_text(os.linesep.join(["person", "car", "cat"]))
    labelled = changed(BUNDLED, name=str(model), labels=labels)
    assert look("model", labelled, machine).verdict is Verdict.OK
