"""The Edge TPU's checks, on a fake bus and with the stand-in for libedgetpu."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.machines import SYNTHETIC, FakeMachine, held, look
from support.privileges import without_root_rights
from support.tflite_models import edgetpu_model

from edge_ssd.commands.doctor.check import Situation, Verdict
from edge_ssd.inference.delegate import Delegate
from edge_ssd.inference.owner_lock import OwnerLock

RULE = 'SUBSYSTEM=="usb", ATTR{{idVendor}}=="{}", ATTR{{idProduct}}=="{}", GROUP="plugdev"\n'
CHECKS = ("edge tpu", "libedgetpu", "udev rules", "delegate probe")


def with_tpu(machine: FakeMachine, **options: Any) -> Situation:
    return machine.situation(SYNTHETIC, model={"delegate": "edgetpu", **options})


@pytest.mark.parametrize("name", CHECKS)
def test_nothing_is_said_where_there_is_none_and_none_is_wanted(
    machine: FakeMachine, name: str
) -> None:
    assert look(name, machine.situation(SYNTHETIC)).verdict is Verdict.SKIPPED


def test_it_is_there_or_not(machine: FakeMachine) -> None:
    found = look("edge tpu", with_tpu(machine))
    assert found.verdict is Verdict.FAIL
    assert "none is on USB" in found.evidence
    machine.stick()
    found = look("edge tpu", with_tpu(machine))
    assert (found.verdict, found.evidence) == (
        Verdict.OK, "USB 18d1:9302, 5000 Mbit/s, up to 896mA",
    )  # fmt: skip


def test_a_card_is_an_edge_tpu_without_usb_rules(machine: FakeMachine) -> None:
    machine.write("/dev/apex_0")
    assert look("edge tpu", with_tpu(machine)).evidence == "PCIe apex_0"
    assert look("udev rules", with_tpu(machine)).verdict is Verdict.SKIPPED


def test_usb_2_is_a_warning(machine: FakeMachine) -> None:
    machine.stick(speed=480)
    found = look("edge tpu", machine.situation(SYNTHETIC))
    assert found.verdict is Verdict.WARN
    assert "480 Mbit/s" in found.evidence


def test_a_stick_that_this_user_may_not_use_fails(machine: FakeMachine) -> None:
    machine.stick().chmod(0)
    with without_root_rights():
        found = look("edge tpu", with_tpu(machine))
    assert found.verdict is Verdict.FAIL
    assert "udev rules" in found.remedy


def test_who_has_it_is_named_and_it_is_not_touched(
    machine: FakeMachine, stand_in: Delegate
) -> None:
    with held(machine.stick(), "edge-ssd"):
        assert "in use by edge-ssd (pid " in look("edge tpu", with_tpu(machine)).evidence
        found = look("delegate probe", with_tpu(machine, delegate_library=stand_in.library))
    assert found.verdict is Verdict.SKIPPED
    assert "not touched: edge-ssd (pid " in found.evidence


def test_the_library_must_be_there_and_be_one(machine: FakeMachine, stand_in: Delegate) -> None:
    found = look("libedgetpu", with_tpu(machine, delegate_library="libnone.so.1"))
    assert found.verdict is Verdict.FAIL
    assert "libnone.so.1" in found.evidence
    found = look("libedgetpu", with_tpu(machine, delegate_library="libm.so.6"))
    assert found.verdict is Verdict.FAIL
    assert "no TensorFlow Lite delegate" in found.evidence
    found = look("libedgetpu", with_tpu(machine, delegate_library=stand_in.library))
    assert found.verdict is Verdict.OK


@pytest.mark.parametrize(
    ("package", "runtime", "verdict"),
    [
        ("libedgetpu1-std 16.0", "litert", Verdict.WARN),
        ("libedgetpu1-std 16.0", "tflite-runtime", Verdict.WARN),
        ("libedgetpu1-max 16.0tf2.17.1-1.bookworm", "litert", Verdict.OK),
        ("libedgetpu1-max 16.0tf2.17.1-1.bookworm", "tflite-runtime", Verdict.WARN),
        ("libedgetpu1-std 16.0tf2.15.0-1.bookworm", "tflite-runtime", Verdict.OK),
    ],
)
def test_the_librarys_package_must_fit_the_runtime(
    machine: FakeMachine, stand_in: Delegate, monkeypatch: pytest.MonkeyPatch,
    package: str, runtime: str, verdict: Verdict,
) -> None:  # fmt: skip
    versions = {"ai-edge-litert": "2.3.0", "tflite-runtime": "2.14.0"}
    module = {"litert": "ai_edge_litert.interpreter", "tflite-runtime": "tflite_runtime.x"}
    monkeypatch.setattr("edge_ssd.commands.doctor.tpu.version_of", versions.get)
    monkeypatch.setattr(
        "edge_ssd.commands.doctor.tpu.import_runtime", lambda name: ModuleType(module[name])
    )
    machine.answers["dpkg-query"] = f"un libedgetpu-dev \nii  {package}\n"
    options = {"delegate_library": stand_in.library, "runtime": runtime}
    found = look("libedgetpu", with_tpu(machine, **options))
    assert (found.verdict, package in found.evidence) == (verdict, True)


def test_both_usb_ids_need_a_rule(machine: FakeMachine) -> None:
    machine.stick()
    rules = RULE.format("1a6e", "089a")
    machine.write("/usr/lib/udev/rules.d/60-edge-ssd.rules", rules)
    found = look("udev rules", with_tpu(machine))
    assert (found.verdict, found.evidence) == (Verdict.FAIL, "no udev rule for 18d1:9302")
    assert look("udev rules", machine.situation(SYNTHETIC)).verdict is Verdict.WARN
    machine.write("/etc/udev/rules.d/99-tpu.rules", "#" + RULE.format("18d1", "9302"))
    assert look("udev rules", with_tpu(machine)).verdict is Verdict.FAIL
    machine.write("/etc/udev/rules.d/99-tpu.rules", RULE.format("18d1", "9302"))
    assert look("udev rules", with_tpu(machine)).verdict is Verdict.OK


def test_the_shipped_rules_are_enough(machine: FakeMachine) -> None:
    shipped = Path(__file__).parents[3] / "deploy/udev/60-edge-ssd.rules"
    machine.write("/usr/lib/udev/rules.d/60-edge-ssd.rules", shipped.read_text())
    assert look("udev rules", with_tpu(machine)).verdict is Verdict.OK


@pytest.fixture
def probed(machine: FakeMachine, stand_in: Delegate, tmp_path: Path) -> Situation:
    model = tmp_path / "small_edgetpu.tflite"
    model.write_bytes(edgetpu_model())
    return with_tpu(
        machine, name=str(model), delegate_library=stand_in.library, delegate_device="usb:0"
    )


def test_the_delegate_is_probed(probed: Situation) -> None:
    found = look("delegate probe", probed)
    assert (found.verdict, found.evidence) == (
        Verdict.OK, "small_edgetpu infers on the Edge TPU (usb:0)",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("create-fails", "told to fail"),
        ("create-aborts", "SIGABRT"),
        ("segfaults@1", "SIGSEGV"),
    ],
)
def test_a_delegate_that_fails_is_told_in_words(
    probed: Situation, fault: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", fault)
    for _ in range(2):  # the first one gives the lock back
        found = look("delegate probe", probed)
        assert found.verdict is Verdict.FAIL
        assert says in found.evidence


def test_a_delegate_that_the_lock_says_is_used_is_not_touched(probed: Situation) -> None:
    lock = OwnerLock("usb:0")
    lock.acquire()
    found = look("delegate probe", probed)
    lock.release()
    assert found.verdict is Verdict.SKIPPED
    assert "is in use by process" in found.evidence


def test_a_user_leaves_a_running_service_alone(machine: FakeMachine, probed: Situation) -> None:
    machine.unit()
    machine.changes = {"uid": 1000}
    unseen = Situation(machine.system(), probed.path, probed.config)
    assert look("delegate probe", unseen).evidence == "not touched: edge-ssd.service may have it"


def test_a_missing_edge_tpu_is_a_warning_where_the_cpu_takes_over(machine: FakeMachine) -> None:
    model = {
        "delegate": "edgetpu", "delegate_library": "libno-such-thing.so.1",
        "on_delegate_failure": "cpu", "cpu_model": "ssdlite_mobilenet_v2_coco",
    }  # fmt: skip
    for name in ("edge tpu", "libedgetpu", "udev rules", "delegate probe"):
        found = look(name, machine.situation(SYNTHETIC, model=model))
        assert found.verdict is Verdict.WARN, name
        assert found.evidence.endswith("; the model runs on the CPU")
        strict = model | {"on_delegate_failure": "error", "cpu_model": None}
        assert look(name, machine.situation(SYNTHETIC, model=strict)).verdict is Verdict.FAIL
