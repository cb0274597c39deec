"""The Edge TPU's checks, on a fake bus and with the stand-in for libedgetpu."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from support.inferring import changed, look
from support.machines import FakeMachine, held
from support.privileges import without_root_rights

from edge_ssd.checks import Verdict
from edge_ssd.inference.options import ModelOptions
from edge_ssd.inference.owner_lock import OwnerLock
from edge_ssd.models.spec import ModelSpec

RULE = 'SUBSYSTEM=="usb", ATTR{{idVendor}}=="{}", ATTR{{idProduct}}=="{}", GROUP="plugdev"\n'
CHECKS = ("edge tpu", "libedgetpu", "udev rules", "delegate probe")


CPU = ModelOptions()
TPU = ModelOptions(delegate="edgetpu")


@pytest.mark.parametrize("name", CHECKS)
def test_nothing_is_said_where_there_is_none_and_none_is_wanted(
    machine: FakeMachine, name: str
) -> None:
    assert look(name, CPU, machine).verdict is Verdict.SKIPPED


def test_it_is_there_or_not(machine: FakeMachine) -> None:
    found = look("edge tpu", TPU, machine)
    assert found.verdict is Verdict.FAIL
    assert "none is on USB" in found.evidence
    machine.stick()
    found = look("edge tpu", TPU, machine)
    assert (found.verdict, found.evidence) == (
        Verdict.OK, "USB 18d1:9302, 5000 Mbit/s, up to 896mA",
    )  # fmt: skip


def test_a_card_is_an_edge_tpu_without_usb_rules(machine: FakeMachine) -> None:
    machine.write("/dev/apex_0")
    assert look("edge tpu", TPU, machine).evidence == "PCIe apex_0"
    assert look("udev rules", TPU, machine).verdict is Verdict.SKIPPED


def test_usb_2_is_a_warning(machine: FakeMachine) -> None:
    machine.stick(speed=480)
    found = look("edge tpu", CPU, machine)
    assert found.verdict is Verdict.WARN
    assert "480 Mbit/s" in found.evidence


def test_a_stick_that_this_user_may_not_use_fails(machine: FakeMachine) -> None:
    machine.stick().chmod(0)
    with without_root_rights():
        found = look("edge tpu", TPU, machine)
    assert found.verdict is Verdict.FAIL
    assert "udev rules" in found.remedy


def test_who_has_it_is_named_and_it_is_not_touched(
    machine: FakeMachine, stand_in: ModelOptions
) -> None:
    with held(machine.stick(), "edge-ssd"):
        assert "in use by edge-ssd (pid " in look("edge tpu", TPU, machine).evidence
        found = look("delegate probe", stand_in, machine)
    assert found.verdict is Verdict.SKIPPED
    assert "not touched: edge-ssd (pid " in found.evidence


def test_the_library_must_be_there_and_be_one(machine: FakeMachine, stand_in: ModelOptions) -> None:
    found = look("libedgetpu", changed(TPU, delegate_library="libnone.so.1"), machine)
    assert found.verdict is Verdict.FAIL
    assert "libnone.so.1" in found.evidence
    found = look("libedgetpu", changed(TPU, delegate_library="libm.so.6"), machine)
    assert found.verdict is Verdict.FAIL
    assert "not a TensorFlow Lite delegate" in found.evidence
    found = look("libedgetpu", stand_in, machine)
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
    machine: FakeMachine, stand_in: ModelOptions, monkeypatch: pytest.MonkeyPatch,
    package: str, runtime: str, verdict: Verdict,
) -> None:  # fmt: skip
    versions = {"ai-edge-litert": "2.3.0", "tflite-runtime": "2.14.0"}
    module = {"litert": "ai_edge_litert.interpreter", "tflite-runtime": "tflite_runtime.x"}
    monkeypatch.setattr("edge_ssd.inference.checks.version_of", versions.get)
    monkeypatch.setattr(
        "edge_ssd.inference.checks.import_runtime", lambda name: ModuleType(module[name])
    )
    machine.answers["dpkg-query"] = f"un libedgetpu-dev \nii  {package}\n"
    found = look("libedgetpu", changed(stand_in, runtime=runtime), machine)
    assert (found.verdict, package in found.evidence) == (verdict, True)


def test_both_usb_ids_need_a_rule(machine: FakeMachine) -> None:
    machine.stick()
    rules = RULE.format("1a6e", "089a")
    machine.write("/usr/lib/udev/rules.d/60-edge-ssd.rules", rules)
    found = look("udev rules", TPU, machine)
    assert (found.verdict, found.evidence) == (Verdict.FAIL, "no udev rule for 18d1:9302")
    assert look("udev rules", CPU, machine).verdict is Verdict.WARN
    machine.write("/etc/udev/rules.d/99-tpu.rules", "#" + RULE.format("18d1", "9302"))
    assert look("udev rules", TPU, machine).verdict is Verdict.FAIL
    machine.write("/etc/udev/rules.d/99-tpu.rules", RULE.format("18d1", "9302"))
    assert look("udev rules", TPU, machine).verdict is Verdict.OK


def test_the_shipped_rules_are_enough(machine: FakeMachine) -> None:
    shipped = Path(__file__).parents[2] / "deploy/udev/60-edge-ssd.rules"
    machine.write("/usr/lib/udev/rules.d/60-edge-ssd.rules", shipped.read_text())
    assert look("udev rules", TPU, machine).verdict is Verdict.OK


@pytest.fixture
def compiled(stand_in: ModelOptions, tpu_spec: ModelSpec) -> ModelOptions:
    """A compiled model on the stand-in."""
    return changed(stand_in, name=str(tpu_spec.path))


def test_the_delegate_is_probed(compiled: ModelOptions, machine: FakeMachine) -> None:
    found = look("delegate probe", compiled, machine)
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
    compiled: ModelOptions, machine: FakeMachine, fault: str, says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("STAND_IN_FAULT", fault)
    for _ in range(2):  # the first one gives the lock back
        found = look("delegate probe", compiled, machine)
        assert found.verdict is Verdict.FAIL
        assert says in found.evidence


def test_a_delegate_that_the_lock_says_is_used_is_not_touched(
    compiled: ModelOptions, machine: FakeMachine
) -> None:
    lock = OwnerLock("usb:0")
    lock.acquire()
    found = look("delegate probe", compiled, machine)
    lock.release()
    assert found.verdict is Verdict.SKIPPED
    assert "is in use by " in found.evidence


def test_a_user_leaves_a_running_service_alone(
    compiled: ModelOptions, machine: FakeMachine
) -> None:
    machine.unit()
    machine.changes = {"uid": 1000}
    found = look("delegate probe", compiled, machine)
    assert found.evidence == "not touched: edge-ssd.service may have it"


def test_the_service_needs_an_edge_tpu_unless_the_cpu_takes_over(machine: FakeMachine) -> None:
    missing = changed(TPU, delegate_library="libno-such-thing.so.1")
    either = changed(missing, on_delegate_failure="cpu", cpu_model="ssdlite_mobilenet_v2_coco")
    for name in CHECKS:
        assert look(name, missing, machine).verdict is Verdict.FAIL, name
        found = look(name, either, machine)
        assert found.verdict is Verdict.WARN, name
        assert found.evidence.endswith("; the model runs on the CPU")
