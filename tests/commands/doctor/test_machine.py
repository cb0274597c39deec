"""Python, processor, numpy, runtime, model: what passes, and what does not."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from support.machines import SYNTHETIC, FakeMachine, look
from support.tflite_models import raw_heads_model

from edge_ssd.commands.doctor.check import Verdict
from edge_ssd.models import catalogue, golden

PI_4 = "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
PI_5 = "processor\t: 0\nFeatures\t: fp asimd evtstrm aes asimdhp cpuid asimdrdm asimddp\n"


@pytest.mark.parametrize(
    ("processor", "version", "verdict"),
    [
        ("aarch64", (3, 13), Verdict.OK),
        ("x86_64", (3, 14), Verdict.OK),
        ("armv7l", (3, 11), Verdict.OK),
        ("armv7l", (3, 13), Verdict.FAIL),
        ("aarch64", (3, 15), Verdict.FAIL),
        ("armv6l", (3, 11), Verdict.FAIL),
        ("riscv64", (3, 11), Verdict.FAIL),
    ],
)
def test_python_needs_a_published_runtime(
    machine: FakeMachine, processor: str, version: tuple[int, int], verdict: Verdict
) -> None:
    machine.changes = {"machine": processor, "python": version}
    assert look("python", machine.situation()).verdict is verdict


@pytest.mark.parametrize(
    ("processor", "cpuinfo", "verdict", "says"),
    [
        ("aarch64", PI_5 + PI_5, Verdict.OK, "asimddp"),
        ("armv6l", "Features\t: half thumb vfp edsp\n", Verdict.FAIL, "no NEON"),
        ("aarch64", PI_4, Verdict.WARN, "no int8 dot product"),
        ("aarch64", PI_5 + PI_4, Verdict.WARN, "no int8 dot product"),
        ("x86_64", "flags\t\t: fpu avx2 avx512_vnni\n", Verdict.OK, "avx512_vnni"),
        ("x86_64", "flags\t\t: fpu avx2 avx_vnni\n", Verdict.OK, "avx_vnni"),
        ("x86_64", "flags\t\t: fpu avx2\n", Verdict.WARN, "(AVX2)"),
        ("x86_64", "flags\t\t: fpu sse2\n", Verdict.WARN, "nor AVX2"),
        ("aarch64", "flags\t\t: fpu avx2\n", Verdict.SKIPPED, "emulated"),
        ("x86_64", "", Verdict.SKIPPED, "tells nothing"),
    ],
)
def test_the_processors_dot_product(
    machine: FakeMachine, processor: str, cpuinfo: str, verdict: Verdict, says: str
) -> None:
    machine.changes = {"machine": processor}
    machine.write("/proc/cpuinfo", cpuinfo)
    found = look("processor", machine.situation())
    assert (found.verdict, says in found.evidence) == (verdict, True), found


def test_numpy_is_named_with_its_version(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look("numpy", machine.situation()).evidence == f"numpy {np.__version__}"
    monkeypatch.setitem(sys.modules, "numpy", None)  # Python's way to make an import fail
    found = look("numpy", machine.situation())
    assert found.verdict is Verdict.FAIL
    assert "--force-reinstall numpy" in found.remedy


def test_the_runtime_is_named_with_its_version(machine: FakeMachine, runtime_name: str) -> None:
    found = look("runtime", machine.situation(SYNTHETIC, model={"runtime": runtime_name}))
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
    found = look("runtime", machine.situation(SYNTHETIC, model={"runtime": runtime_name}))
    assert found.verdict is Verdict.FAIL
    assert "numpy<2" in found.remedy


def test_a_missing_runtime_fails(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_ssd.inference.runtime.installed", list)
    found = look("runtime", machine.situation())
    assert found.verdict is Verdict.FAIL
    assert found.evidence == "no TensorFlow Lite runtime is installed"


def test_the_golden_detection_is_found_by_each_runtime(
    machine: FakeMachine, runtime_name: str
) -> None:
    found = look("golden detection", machine.situation(SYNTHETIC, model={"runtime": runtime_name}))
    assert found.verdict is Verdict.OK, found
    assert found.evidence.startswith("cup 0.9")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"label": "dog"}, "expected dog"),
        ({"score": 0.5}, "expected cup 0.50"),
        ({"box_yxyx": [0.3, 0.3, 0.9, 0.7]}, "overlap by 0."),
        ({}, "found nothing"),
    ],
)
def test_another_detection_than_the_golden_one_fails(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    change: dict[str, object], says: str,
) -> None:  # fmt: skip
    """What a runtime that computes wrongly looks like: numbers and expectation differ."""
    grey = tmp_path / "grey.png"
    cv2.imwrite(str(grey), np.full((200, 300, 3), 128, np.uint8))
    wanted = json.loads(golden.EXPECTED.read_text()) | change
    (tmp_path / "golden.json").write_text(json.dumps(wanted))
    monkeypatch.setattr(golden, "EXPECTED", tmp_path / "golden.json")
    if not change:
        monkeypatch.setattr(golden, "PHOTO", grey)
    found = look("golden detection", machine.situation())
    assert found.verdict is Verdict.FAIL
    assert says in found.evidence


def test_the_golden_picture_is_what_its_manifest_says() -> None:
    import hashlib

    wanted = json.loads(golden.EXPECTED.read_text())
    data = golden.PHOTO.read_bytes()
    assert wanted["file"] == golden.PHOTO.name
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (wanted["sha256"], wanted["size"])
    assert wanted["licence"] == "CC0-1.0"


def test_the_model_is_named_with_hash_heads_and_labels(machine: FakeMachine) -> None:
    found = look("model", machine.situation())
    assert found.verdict is Verdict.OK
    for part in ("as in its manifest", "boxes 1917x4", "scores 1917x91", "80 labels"):
        assert part in found.evidence


def test_a_damaged_model_fails(machine: FakeMachine, tmp_path: Path) -> None:
    original = catalogue.bundled()[catalogue.DEFAULT]
    copy = tmp_path / "copy.tflite"
    copy.write_bytes(original.read_bytes()[:-1] + b"\x55")
    shutil.copy(original.with_suffix(".json"), copy.with_suffix(".json"))
    found = look("model", machine.situation(SYNTHETIC, model={"name": str(copy)}))
    assert found.verdict is Verdict.FAIL
    assert "not the file its manifest describes" in found.evidence


def test_a_model_without_labels_is_a_warning(machine: FakeMachine, tmp_path: Path) -> None:
    model = tmp_path / "small.tflite"
    model.write_bytes(raw_heads_model(75, 4, input_shape=(1, 48, 48, 3)))
    found = look("model", machine.situation(SYNTHETIC, model={"name": str(model)}))
    assert found.verdict is Verdict.WARN
    assert found.remedy == "set model.labels"
    labels = tmp_path / "labels.txt"
    labels.write_text(os.linesep.join(["person", "car", "cat"]))
    options = {"name": str(model), "labels": str(labels)}
    assert look("model", machine.situation(SYNTHETIC, model=options)).verdict is Verdict.OK
