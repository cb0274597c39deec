"""Checks of the TensorFlow Lite runtime and of the model."""

from __future__ import annotations

import hashlib
from typing import Any

from edge_ssd.checks import Finding, System, fail, ok, version_of, warn
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.inference.options import ModelOptions
from edge_ssd.inference.runtime import import_runtime
from edge_ssd.models import catalogue
from edge_ssd.models import labels as label_lists
from edge_ssd.models.loading import load


def runtime(options: ModelOptions, _system: System) -> Finding:
    """The runtime can be imported, and makes an interpreter with this numpy."""
    module = import_runtime(options.runtime)
    name = package_of(module)
    version = version_of(name)
    try:
        bundled = str(catalogue.bundled()[catalogue.DEFAULT])
        module.Interpreter(model_path=bundled).get_input_details()
    except SystemError as error:
        return fail(
            f"{name} {version} was built for another numpy: {error}",
            "pip install 'numpy<2', or pip install ai-edge-litert",
        )
    except (ValueError, RuntimeError) as error:
        return fail(
            f"{name} {version} cannot load the bundled model: {error}",
            f"pip install --force-reinstall {name}",
        )
    return ok(f"{name} {version}")


def model(options: ModelOptions, _system: System) -> Finding:
    """The model is the file its manifest describes, is an SSD, and has its labels."""
    names = filter(None, [options.name, options.cpu_model])
    described = [_describe(options, name) for name in names]
    evidence = "; ".join(text for text, _ in described)
    if not all(labels for _, labels in described):
        return warn(f"{evidence}: classes will have numbers for names", "set model.labels")
    return ok(evidence)


def package_of(module: Any) -> str:
    """Return the package that a runtime's module is from."""
    name: str = module.__name__.partition(".")[0]
    return name.replace("_", "-")


def _describe(options: ModelOptions, name: str) -> tuple[str, int]:
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
