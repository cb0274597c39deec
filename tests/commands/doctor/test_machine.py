"""Python, processor, numpy, a known detection, power, clock: what passes, and what does not."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.machines import FakeMachine

from edge_ssd import checks as kernel
from edge_ssd.checks import Verdict
from edge_ssd.commands.doctor import machine as checks
from edge_ssd.commands.doctor.machine import golden_check
from edge_ssd.models import golden

PI_4 = "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
PI_5 = "processor\t: 0\nFeatures\t: fp asimd evtstrm aes asimdhp cpuid asimdrdm asimddp\n"
THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"
ZONE = "/sys/class/thermal/thermal_zone0"


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
    assert checks.python(machine.system()).verdict is verdict


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
        ("x86_64", "", Verdict.SKIPPED, "does not list"),
    ],
)
def test_the_processors_dot_product(
    machine: FakeMachine, processor: str, cpuinfo: str, verdict: Verdict, says: str
) -> None:
    machine.changes = {"machine": processor}
    machine.write("/proc/cpuinfo", cpuinfo)
    found = checks.processor(machine.system())
    assert (found.verdict, says in found.evidence) == (verdict, True), found


def test_numpy_is_named_with_its_version(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checks.numpy(machine.system()).evidence == f"numpy {np.__version__}"
    monkeypatch.setitem(sys.modules, "numpy", None)  # Python's way to make an import fail
    found = checks.numpy(machine.system())
    assert found.verdict is Verdict.FAIL
    assert "--force-reinstall numpy" in found.remedy


def test_the_golden_detection_is_found_by_each_runtime(
    machine: FakeMachine, runtime_name: str
) -> None:
    found = golden_check(runtime_name).judge(machine.system())
    assert found.verdict is Verdict.OK, found
    assert found.evidence.startswith("cup 0.9")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"label": "dog"}, "expected dog"),
        ({"score": 0.5}, "expected cup 0.50"),
        ({"box_yxyx": [0.3, 0.3, 0.9, 0.7]}, "overlap by 0."),
        ({}, "nothing detected"),
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
    found = golden_check().judge(machine.system())
    assert found.verdict is Verdict.FAIL
    assert says in found.evidence


def test_the_golden_picture_is_what_its_manifest_says() -> None:
    wanted = json.loads(golden.EXPECTED.read_text())
    data = golden.PHOTO.read_bytes()
    assert wanted["file"] == golden.PHOTO.name
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (wanted["sha256"], wanted["size"])
    assert wanted["licence"] == "CC0-1.0"


@pytest.mark.parametrize(
    ("word", "verdict", "says"),
    [
        ("0", Verdict.OK, "no undervoltage"),
        ("50005", Verdict.WARN, "undervoltage now"),
        ("50000", Verdict.WARN, "undervoltage since the boot"),
        ("e0000", Verdict.WARN, "slowed the processor since the boot"),
        ("20002", Verdict.WARN, "slowed the processor now"),
    ],
)
def test_power(machine: FakeMachine, word: str, verdict: Verdict, says: str) -> None:
    machine.write(THROTTLED, word)
    found = checks.power(machine.system())
    assert (found.verdict, says in found.evidence) == (verdict, True), found


def test_heat_on_other_boards(machine: FakeMachine) -> None:
    assert checks.power(machine.system()).verdict is Verdict.SKIPPED
    machine.write(f"{ZONE}/type", "cpu-thermal")
    machine.write(f"{ZONE}/temp", "61000")
    assert checks.power(machine.system()).evidence.startswith("61 °C")
    machine.write(f"{ZONE}/temp", "85000")
    assert checks.power(machine.system()).verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("told", "verdict"), [(True, Verdict.OK), (False, Verdict.WARN), (None, Verdict.SKIPPED)]
)
def test_clock(machine: FakeMachine, told: bool | None, verdict: Verdict) -> None:
    machine.changes = {"synchronised": lambda: told}
    assert checks.clock(machine.system()).verdict is verdict
    machine.write("/run/systemd/timesync/synchronized")
    assert checks.clock(machine.system()).verdict is Verdict.OK


def test_the_kernel_tells_of_its_clock() -> None:
    assert kernel.synchronised() in (True, False)


def test_neither_keeps_the_service_from_running() -> None:
    assert [(check.name, check.required) for check in checks.BOARD] == [
        ("power", False), ("clock", False),
    ]  # fmt: skip
