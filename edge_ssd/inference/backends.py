"""The ``model`` section to the backend it describes."""

from __future__ import annotations

from edge_ssd.errors import ConfigError, ModelError, Problem
from edge_ssd.inference.backend import Backend
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.inference.edgetpu import EdgeTpuBackend
from edge_ssd.inference.fallback import FallbackBackend
from edge_ssd.inference.options import ModelOptions
from edge_ssd.inference.preprocess import PreprocessOptions
from edge_ssd.inference.subprocess import SubprocessBackend
from edge_ssd.models.graph import EDGETPU_OP, Graph
from edge_ssd.models.loading import load


def make_backend(model: ModelOptions, preprocess: PreprocessOptions | None = None) -> Backend:
    """Return what runs a model, loaded, or described until ``open`` takes its device.

    Raises ConfigError for a model that its delegate does not fit, ModelError, RuntimeMissingError.
    """
    spec = load(model.name, model.labels)
    if model.delegate:
        graph = Graph(spec.content or spec.path.read_bytes())
        if graph.custom_operator(EDGETPU_OP) is None:
            text = f"{model.name} holds nothing compiled for the Edge TPU"
            remedy = "give the file that edgetpu_compiler made of it, or set model.delegate to null"
            raise ConfigError([Problem("model.delegate", text, remedy)])
    resize = (preprocess or PreprocessOptions()).resize
    in_process = EdgeTpuBackend if model.delegate else CpuBackend
    kind = SubprocessBackend if model.isolation == "process" else in_process
    backend = kind(spec, model, resize)
    if not model.cpu_model:
        return backend
    try:
        cpu = load(model.cpu_model, model.labels)
        return FallbackBackend(backend, CpuBackend(cpu, model, resize))
    except ModelError as error:
        error.option = "cpu_model"
        raise
