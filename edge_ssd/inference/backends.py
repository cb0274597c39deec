"""The ``model`` section to the backend it describes."""

from __future__ import annotations

from edge_ssd.errors import ConfigError, ModelError, Problem
from edge_ssd.inference.backend import Backend
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.inference.delegate import Delegate
from edge_ssd.inference.edgetpu import EdgeTpuBackend
from edge_ssd.inference.fallback import FallbackBackend
from edge_ssd.inference.options import EdgeTpuOptions, ModelOptions
from edge_ssd.inference.preprocess import PreprocessOptions
from edge_ssd.inference.subprocess import SubprocessBackend
from edge_ssd.models.graph import EDGETPU_OP, Graph
from edge_ssd.models.loading import load
from edge_ssd.models.spec import ModelSpec


def make_backend(model: ModelOptions, preprocess: PreprocessOptions | None = None) -> Backend:
    """Return what runs a model, loaded, or described until ``open`` takes its device.

    Raises ConfigError for options that do not fit together, ModelError, RuntimeMissingError.
    """
    chosen = delegate(model)
    spec = load(model.name, model.labels)
    if chosen:
        _check_compiled(spec, model)
    resize = (preprocess or PreprocessOptions()).resize
    run = model.runtime, model.threads, resize
    found: Backend
    if model.isolation == "process":
        found = SubprocessBackend(spec, chosen, *run, deadline_s=model.invoke_deadline_s)
    elif chosen:
        found = EdgeTpuBackend(spec, chosen, *run)
    else:
        found = CpuBackend(spec, *run)
    if model.on_delegate_failure == "cpu" and model.cpu_model:
        try:
            cpu = load(model.cpu_model, model.labels)
            found = FallbackBackend(found, CpuBackend(cpu, *run))
        except ModelError as error:
            error.option = "cpu_model"
            raise
    return found


def delegate(model: ModelOptions) -> Delegate | None:
    """Return the delegate a model is to be run with.

    Raises ConfigError for options that need another, ModelError for those libedgetpu ignores.
    """
    options = _options(model.delegate_options)
    cpu = model.on_delegate_failure == "cpu"
    problems = {
        "delegate_device: has a value, and model.delegate is null": (
            model.delegate_device and not model.delegate
        ),
        "delegate_options: has values, and model.delegate is null": options and not model.delegate,
        "on_delegate_failure: is cpu, and model.delegate is null": cpu and not model.delegate,
        "cpu_model: is missing; a model compiled for the Edge TPU cannot run on the CPU, so "
        "on_delegate_failure: cpu needs the file it was compiled from": (
            cpu and model.delegate and not model.cpu_model
        ),
        "cpu_model: is used with on_delegate_failure: cpu only": model.cpu_model and not cpu,
    }
    found = [problem.split(": ", 1) for problem, wrong in problems.items() if wrong]
    if found:
        raise ConfigError([Problem(f"model.{option}", text) for option, text in found])
    if not model.delegate:
        return None
    return Delegate(model.delegate_library, model.delegate_device, options)


def _options(section: EdgeTpuOptions) -> dict[str, str]:
    """Return the options that are set, under libedgetpu's names and as it spells values."""
    values = {
        "Performance": section.performance,
        "Usb.AlwaysDfu": section.usb_always_dfu,
        "Usb.MaxBulkInQueueLength": section.usb_max_bulk_in_queue_length,
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def _check_compiled(spec: ModelSpec, model: ModelOptions) -> None:
    data = spec.content or spec.path.read_bytes()
    if Graph(data).custom_operator(EDGETPU_OP) is None:
        raise ConfigError(
            [
                Problem(
                    "model.delegate",
                    f"{model.name} holds nothing compiled for the Edge TPU",
                    "give the file that edgetpu_compiler made of it, or set model.delegate to null",
                )
            ]
        )
