"""What the runtime needs of the machine, a known detection, the board's power and clock."""

from __future__ import annotations

import json
import re
from functools import partial
from importlib import import_module
from typing import Literal

from edge_ssd.board import Sensors
from edge_ssd.checks import Check, Finding, System, fail, ok, skipped, warn

_LAST_PYTHON = {"x86_64": (3, 14), "aarch64": (3, 14), "armv7l": (3, 11)}
_HOT_C = 80.0  # the firmware throttles here
_COOLER = "give it a heat sink or a fan"
_SUPPLY = "use the board's official supply and a short, thick cable"
_ARM = ("aarch64", "armv7l", "armv6l")
Runtime = Literal["auto", "litert", "tflite-runtime"]
# The two runtimes differ by about one step of 1/256, decoders and resizers by a few.
_SCORE_TOLERANCE = 0.1
_MIN_IOU = 0.8
_WRONG = "the runtime computes wrongly: reinstall it, or try the other one (model.runtime)"


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


def golden_detection(runtime: Runtime, _system: System) -> Finding:
    """The bundled model finds in a known image what it should."""
    # Here, since these fail where numpy or OpenCV is broken.
    import numpy as np

    from edge_ssd.boxes import iou_yxyx
    from edge_ssd.detector import Detector
    from edge_ssd.inference.options import ModelOptions
    from edge_ssd.models import golden

    wanted = json.loads(golden.EXPECTED.read_text("utf-8"))
    options = ModelOptions(name=wanted["model"], runtime=runtime, threads=1)
    found = Detector.from_options(options).detect(golden.PHOTO)
    expected = f"expected {wanted['label']} {wanted['score']:.2f}"
    if not len(found):
        return fail(f"nothing detected in a known image, {expected}", _WRONG)
    label, score = found.label(int(found.class_ids[0])), float(found.scores[0])
    box = np.array([wanted["box_yxyx"]], np.float32)
    overlap = float(iou_yxyx(found.boxes_yxyx[:1], box)[0, 0])
    evidence = f"{label} {score:.2f}, {expected}; the boxes overlap by {overlap:.2f}"
    near = abs(score - wanted["score"]) <= _SCORE_TOLERANCE and overlap >= _MIN_IOU
    return ok(evidence) if near and label == wanted["label"] else fail(evidence, _WRONG)


def golden_check(runtime: Runtime = "auto") -> Check:
    """Return the check of a TensorFlow Lite runtime with a known detection."""
    return Check("golden detection", partial(golden_detection, runtime), limit_s=120)


def power(system: System) -> Finding:
    """The supply is strong enough and the processor cool enough, now and since the boot."""
    health = Sensors(system.path("/sys"), system.vcgencmd).read()
    temperature_c, throttled = health.temperature_c, health.throttled
    heat = [] if temperature_c is None else [f"{temperature_c:.0f} °C"]
    if throttled is None:
        if temperature_c is None:
            return skipped("this board reports neither its power nor its temperature")
        if temperature_c >= _HOT_C:
            return warn(heat[0], _COOLER)
        return ok(f"{heat[0]}; only a Raspberry Pi reports its power")
    evidence = ", ".join([*heat, f"throttling word {throttled.word:#x}"])
    if throttled.undervoltage or throttled.undervoltage_since_boot:
        when = "now" if throttled.undervoltage else "since the boot"
        return warn(f"undervoltage {when} ({evidence})", _SUPPLY)
    if throttled.slowed or throttled.slowed_since_boot:
        when = "now" if throttled.slowed else "since the boot"
        return warn(f"the firmware slowed the processor {when} ({evidence})", _COOLER)
    return ok(f"no undervoltage and no throttling since the boot ({evidence})")


def clock(system: System) -> Finding:
    """The clock is synchronised, so that times in messages are right."""
    if system.exists("/run/systemd/timesync/synchronized"):
        return ok("synchronised by systemd-timesyncd")
    synchronised = system.synchronised()
    if synchronised is None:
        return skipped("the kernel does not report it")
    if not synchronised:
        return warn(
            "not synchronised: the times in messages may be wrong",
            "sudo timedatectl set-ntp true, and let it reach a time server",
        )
    return ok("synchronised, according to the kernel")


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
BOARD = (Check("power", power, required=False), Check("clock", clock, required=False))
