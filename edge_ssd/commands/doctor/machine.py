"""What the runtime needs of the machine: Python, the processor, numpy."""

from __future__ import annotations

import re
from importlib import import_module

from edge_ssd.checks import Check, Finding, System, fail, ok, skipped, warn

_LAST_PYTHON = {"x86_64": (3, 14), "aarch64": (3, 14), "armv7l": (3, 11)}
_ARM = ("aarch64", "armv7l", "armv6l")


def python(system: System) -> Finding:
    """A TensorFlow Lite runtime is published for this Python on this processor."""
    last = _LAST_PYTHON.get(system.machine)
    evidence = f"Python {_dotted(system.python)} on {system.machine}"
    if last is None:
        return fail(
            f"{evidence}: no runtime is made for this processor",
            "use a Raspberry Pi 2 or newer (64-bit: 3 or newer), or x86-64",
        )
    if system.python > last:
        return fail(
            f"{evidence}: the last Python a runtime is made for is {_dotted(last)}",
            "use a 64-bit system, or an older Python",
        )
    return ok(evidence)


def processor(system: System) -> Finding:
    """The processor has the instructions that int8 models need, and those that make them fast."""
    arm = system.machine in _ARM
    has = _features(system.read("/proc/cpuinfo"), "Features" if arm else "flags")
    if not has:
        return skipped("/proc/cpuinfo does not list this processor's features; emulated?")
    if arm and not has & {"neon", "asimd"}:
        return fail("no NEON, which every runtime needs", "use a Raspberry Pi 2 or newer")
    wanted = {"asimddp"} if arm else {"avx512_vnni", "avx_vnni"}
    if has & wanted:
        return ok(f"int8 dot product ({', '.join(sorted(has & wanted))})")
    older = "as on every Pi before the Pi 5" if arm else "AVX2" if "avx2" in has else "nor AVX2"
    return warn(
        f"no int8 dot product, {' or '.join(sorted(wanted))} ({older}): int8 models gain less",
        "nothing to repair; `edge-ssd bench` measures the speed",
    )


def numpy(_system: System) -> Finding:
    """numpy can be imported and computes."""
    try:
        np = import_module("numpy")
        np.ones((2, 2), np.float32).sum()
    except Exception as error:  # a broken one raises whatever its parts do
        return fail(
            f"numpy cannot be used: {error}",
            "pip install --force-reinstall numpy, in the program's environment",
        )
    return ok(f"numpy {np.__version__}")


def _features(cpuinfo: str, key: str) -> set[str]:
    """Return the features that every processor in ``/proc/cpuinfo`` has."""
    lines = re.findall(rf"^{key}\s*:(.*)$", cpuinfo, re.MULTILINE)
    return set.intersection(*(set(line.split()) for line in lines)) if lines else set()


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


CHECKS = (
    Check("python", python, exit_code=69),
    Check("processor", processor, exit_code=69),
    Check("numpy", numpy, exit_code=69),
)
