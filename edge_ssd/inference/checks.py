"""Checks of the TensorFlow Lite runtime, of the model, and of the Edge TPU."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from edge_ssd.checks import Finding, System, fail, ok, skipped, version_of, warn
from edge_ssd.errors import DeviceError
from edge_ssd.files import may
from edge_ssd.holders import holders
from edge_ssd.inference.child import probe
from edge_ssd.inference.child_main import Job
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.inference.delegate import NOT_FOUND, PLUG_IN, USB_IDS, Tpu, check_library, find
from edge_ssd.inference.options import ModelOptions
from edge_ssd.inference.owner_lock import OwnerLock
from edge_ssd.inference.runtime import import_runtime
from edge_ssd.models import catalogue
from edge_ssd.models import labels as label_lists
from edge_ssd.models.loading import load
from edge_ssd.units import unseen_units

_USB_3_MBPS = 5000
_RULE_FOLDERS = ("/etc", "/run", "/usr/lib", "/lib")
_NOT_WANTED = "no Edge TPU is connected, and model.delegate asks for none"
# Coral's own build can crash with TFLite newer than 2.11 (google-coral/edgetpu#812).
_LAST_OF_CORAL = 11


def runtime(options: ModelOptions, _system: System) -> Finding:
    """The runtime can be imported, and makes an interpreter with this numpy."""
    module = import_runtime(options.runtime)
    name = package_of(module)
    version = version_of(name)
    try:
        bundled = str(catalogue.bundled()[catalogue.DEFAULT])
        module.Interpreter(model_path=bundled).get_input_details()
    except SystemError as error:
        problem = f"{name} {version} was built for another numpy: {error}"
        return fail(problem, "pip install 'numpy<2', or pip install ai-edge-litert")
    except (ValueError, RuntimeError) as error:
        problem = f"{name} {version} cannot load the bundled model: {error}"
        return fail(problem, f"pip install --force-reinstall {name}")
    return ok(f"{name} {version}")


def model(options: ModelOptions, _system: System) -> Finding:
    """The model is the file its manifest describes, is an SSD, and has its labels."""
    names = filter(None, [options.name, options.cpu_model])
    described = [_describe_model(options, name) for name in names]
    evidence = "; ".join(text for text, _ in described)
    if not all(labels for _, labels in described):
        return warn(f"{evidence}: classes will have numbers for names", "set model.labels")
    return ok(evidence)


def package_of(module: Any) -> str:
    """Return the package that a runtime's module is from."""
    return str(module.__name__).partition(".")[0].replace("_", "-")


def connected(options: ModelOptions, system: System) -> Finding:
    """An Edge TPU is on USB 3 or PCIe, and this user may use it."""
    found = find(system.root)
    if not found:
        return fail(NOT_FOUND, PLUG_IN) if options.delegate else skipped(_NOT_WANTED)
    evidence = "; ".join(map(_describe_tpu, found))
    for tpu in found:
        if not may(tpu.node):
            problem = f"{evidence}; this user may not use {tpu.node}"
            return fail(problem, "install the udev rules, join the group plugdev, plug it in again")
        if (tpu.speed_mbps or _USB_3_MBPS) < _USB_3_MBPS:
            problem = f"{evidence}: not USB 3"
            return warn(problem, "use a blue (USB 3) port and the cable that came with it")
    return ok(evidence)


def library(options: ModelOptions, system: System) -> Finding:
    """libedgetpu can be loaded, and was built for the runtime."""
    if not options.delegate and not find(system.root):
        return skipped(_NOT_WANTED)
    check_library(options.delegate_library)
    package = _package(system)
    runtime = package_of(import_runtime(options.runtime))
    version = version_of(runtime)
    evidence = f"{options.delegate_library} ({package or 'of no package'}) with {runtime} {version}"
    if package and not _built_for(package, runtime, version):
        problem = f"{evidence}: not built for each other, it may crash"
        return warn(problem, "install the libedgetpu that fits the runtime (docs/coral.md)")
    return ok(evidence)


def udev_rules(options: ModelOptions, system: System) -> Finding:
    """udev lets users write to the stick under both of its USB ids."""
    on_usb = any(tpu.speed_mbps for tpu in find(system.root))
    if not on_usb and not options.delegate:
        return skipped(_NOT_WANTED)
    if not on_usb and system.exists("/dev/apex_0"):
        return skipped("the Edge TPU is on PCIe")
    rules = [
        line
        for folder in _RULE_FOLDERS
        for path in system.glob(f"{folder}/udev/rules.d/*.rules")
        for line in system.read(path).splitlines()
        if not line.lstrip().startswith("#")
    ]
    missing = [
        usb_id
        for usb_id in USB_IDS
        if not any(all(part in line for part in usb_id.split(":")) for line in rules)
    ]
    if missing:
        return fail(
            f"no udev rule for {' and '.join(missing)}",
            "install deploy/udev/60-edge-ssd.rules, then `sudo udevadm control --reload` "
            "and plug it in again",
        )
    return ok(f"rules for {' and '.join(USB_IDS)}")


def probed(options: ModelOptions, system: System) -> Finding:
    """The model infers on the Edge TPU, tried in a process of its own."""
    if not options.delegate:
        return skipped("model.delegate is null")
    held_by = holders(*(tpu.node for tpu in find(system.root))) or unseen_units(system)
    if held_by:
        return skipped(f"not touched: {', '.join(held_by)} may have it")
    lock = OwnerLock(options.delegate_device)
    try:
        lock.acquire()
    except DeviceError as error:
        return skipped(f"not touched: {error.problem}")
    try:
        spec = load(options.name, options.labels)
        probe(Job.of(spec, CpuBackend(spec, options, allocate=False).tensors, options))
    finally:
        lock.release()
    return ok(f"{spec.name} infers on the Edge TPU ({options.delegate_device or 'any'})")


def _describe_model(options: ModelOptions, name: str) -> tuple[str, int]:
    """Return what a model is, and how many of its classes have names."""
    spec = load(name, options.labels)
    # One for the Edge TPU is described, not run: the delegate's check does that.
    backend = CpuBackend(spec, options, allocate=not options.delegate)
    heads = backend.heads
    names = label_lists.of_model(spec, backend.classes)
    labels = sum(name is not None for name in names)
    # ``load`` has compared the hash with the manifest's, where there is one.
    digest = hashlib.sha256(spec.path.read_bytes()).hexdigest()[:12]
    known = " as in its manifest" if spec.path.with_suffix(".json").exists() else ""
    return (
        f"{spec.name}, sha256 {digest}{known}, boxes {heads.anchors}x4, "
        f"scores {heads.anchors}x{heads.scores.columns}, {labels} labels",
        labels,
    )


def _describe_tpu(tpu: Tpu) -> str:
    """Return an Edge TPU with its link, what it may draw, and who has it."""
    speed = f"{tpu.speed_mbps} Mbit/s" if tpu.speed_mbps else ""
    power = f"up to {tpu.max_power}" if tpu.max_power else ""
    held_by = ", ".join(holders(tpu.node))
    used = f"in use by {held_by}" if held_by else ""
    return ", ".join(filter(None, [tpu.name, speed, power, used]))


def _package(system: System) -> str:
    """Return name and version of the Debian package that brought libedgetpu; empty for none."""
    answer = system.run(
        "dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package} ${Version}\\n", "libedgetpu*"
    )
    installed = [line.split() for line in (answer or "").splitlines() if line.startswith("ii")]
    return " ".join(installed[0][1:]) if installed else ""


def _built_for(package: str, runtime: str, version: str) -> bool:
    """Whether a libedgetpu fits a runtime, from their versions.

    github.com/feranick/libedgetpu names the TensorFlow it was built with, as in 16.0tf2.17.1;
    Coral's own has no such name. LiteRT's versions are not TensorFlow's: any such build may do.
    """
    built = re.search(r"tf-?2\.(\d+)", package)
    if runtime == "ai-edge-litert":
        return built is not None
    wanted = re.match(r"2\.(\d+)", version)
    if wanted is None:
        return True
    minor = int(wanted[1])
    return abs(minor - int(built[1])) <= 1 if built else minor <= _LAST_OF_CORAL
