"""Python, processor, numpy: what passes, and what does not."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from support.machines import FakeMachine

from edge_ssd.checks import Verdict
from edge_ssd.commands.doctor import machine as checks

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
