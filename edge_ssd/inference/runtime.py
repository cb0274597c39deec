"""One interface to the TensorFlow Lite runtimes: ai-edge-litert and tflite-runtime."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import ModelError, RuntimeMissingError
from edge_ssd.models.spec import ModelSpec

log = logging.getLogger(__name__)

# In the order of preference: litert is the faster one on every model measured.
MODULES = {"litert": "ai_edge_litert.interpreter", "tflite-runtime": "tflite_runtime.interpreter"}
PACKAGES = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime"}


class Interpreter(Protocol):
    """What this package uses of a TensorFlow Lite interpreter. One thread at a time."""

    def get_input_details(self) -> list[dict[str, Any]]: ...
    def get_output_details(self) -> list[dict[str, Any]]: ...
    def get_signature_list(self) -> dict[str, Any]: ...
    def get_signature_runner(self, key: str) -> Any: ...
    def allocate_tensors(self) -> None: ...
    def invoke(self) -> None: ...
    def get_tensor(self, index: int) -> NDArray[Any]: ...
    def set_tensor(self, index: int, value: NDArray[Any]) -> None: ...
    def tensor(self, index: int) -> Callable[[], NDArray[Any]]: ...


def installed() -> list[str]:
    """Return the names of the runtimes that are installed, the preferred one first."""
    packages = {name: module.partition(".")[0] for name, module in MODULES.items()}
    return [name for name, package in packages.items() if importlib.util.find_spec(package)]


def choose(runtime: str) -> str:
    """Return the runtime meant (``auto``: the first that can work). Raises RuntimeMissingError."""
    found = installed()
    if runtime == "auto" and not found:
        remedy = "pip install ai-edge-litert (or tflite-runtime on 32-bit, Python 3.11 or older)"
        raise RuntimeMissingError("no TensorFlow Lite runtime is installed", remedy)
    name = found[0] if runtime == "auto" else runtime
    if name not in found:
        remedy = f"pip install {PACKAGES[name]}, or set model.runtime to auto"
        raise RuntimeMissingError(f"the runtime {name} is not installed", remedy)
    # tflite-runtime's extension was built for numpy 1 and does not declare it: with numpy 2
    # the import works and Interpreter() raises SystemError.
    if name == "tflite-runtime" and int(np.__version__.split(".")[0]) >= 2:
        raise RuntimeMissingError(
            f"tflite-runtime needs numpy older than 2, and numpy {np.__version__} is installed",
            "pip install 'numpy<2', or pip install ai-edge-litert and set model.runtime to auto",
        )
    return name


def clamp_threads(threads: int | None) -> int:
    """Return how many threads to use: never more than the CPUs this process may run on."""
    available = len(os.sched_getaffinity(0))
    if threads is not None and threads > available:
        text = "model.threads is %d, but %d CPUs are available: %d used"
        log.warning(text, threads, available, available)
    return min(threads or available, available)


def load_interpreter(
    spec: ModelSpec,
    runtime: str = "auto",
    threads: int | None = 1,
    delegates: Sequence[Any] = (),
    allocate: bool = True,
    quiet: bool = True,
) -> Interpreter:
    """Return an interpreter with the delegates given.

    allocate: without it the model can be described and not run, which needs no delegate.
    quiet: what the runtime prints of itself goes to the debug log.
    Raises RuntimeMissingError when no runtime can be used, ModelError for a file it cannot run.
    """
    model = {"model_content": spec.content} if spec.content else {"model_path": str(spec.path)}
    extra = {"experimental_delegates": list(delegates)} if delegates else {}
    with _stderr_to_log() if quiet else nullcontext():
        make = import_runtime(runtime).Interpreter
        try:
            found: Interpreter = make(**model, **extra, num_threads=clamp_threads(threads))
            if allocate:
                found.allocate_tensors()
            return found
        except (ValueError, RuntimeError) as error:
            raise _explain(spec, str(error)) from None


@contextmanager
def _stderr_to_log() -> Iterator[None]:
    """Log at debug level what the runtime's C++ prints of itself, so that errors stay one line."""
    try:
        kept = os.dup(2)
    except OSError:  # stderr is closed: there is nothing to keep clean
        yield
        return
    # In memory: the SD card may be full, and no temporary folder writable.
    with open(os.memfd_create("stderr"), "w+b") as printed:  # noqa: PTH123 - a descriptor
        os.dup2(printed.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            printed.seek(0)
            for line in printed.read().decode("utf-8", "replace").splitlines():
                log.debug("%s", line)


def import_runtime(runtime: str) -> Any:
    """Return the module of a runtime; ``auto`` is the first that imports. Raises as ``choose``."""
    name = choose(runtime)
    try:
        return importlib.import_module(MODULES[name])
    except ImportError as error:
        others = [other for other in installed() if other != name]
        if runtime == "auto" and others:
            log.warning("the runtime %s cannot be imported (%s): %s used", name, error, others[0])
            return import_runtime(others[0])
        problem = f"the runtime {name} is installed but cannot be imported: {error}"
        remedy = f"reinstall it: pip install --force-reinstall {PACKAGES[name]}"
        raise RuntimeMissingError(problem, remedy) from None


def _explain(spec: ModelSpec, reason: str) -> ModelError:
    # The inference process starts sooner without it.
    from edge_ssd.models.graph import EDGETPU_OP  # noqa: PLC0415

    if EDGETPU_OP in reason:
        return ModelError(
            "it is compiled for the Edge TPU and needs its delegate",
            "set model.delegate to edgetpu, or use the model file it was compiled from (without "
            "_edgetpu in its name)",
            spec.path,
        )
    first = next(iter(reason.strip().splitlines()), "no reason given")
    problem = f"cannot be run: {first}"
    return ModelError(problem, "the file is damaged, or needs a newer runtime", spec.path)
