"""The TensorFlow Lite runtime."""

from __future__ import annotations

from typing import Any

from edge_ssd.checks import version_of
from edge_ssd.commands.doctor.check import Finding, Situation, fail, ok
from edge_ssd.inference.runtime import import_runtime
from edge_ssd.models import catalogue


def runtime(situation: Situation) -> Finding:
    """The runtime can be imported, and makes an interpreter with this numpy."""
    module = import_runtime(situation.model.runtime)
    name = package_of(module)
    version = version_of(name)
    try:
        _make_interpreter(module, str(catalogue.bundled()[catalogue.DEFAULT]))
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


def _make_interpreter(module: Any, model: str) -> None:
    module.Interpreter(model_path=model).get_input_details()


def package_of(module: Any) -> str:
    """Return the package that a runtime's module is from."""
    name: str = module.__name__.partition(".")[0]
    return name.replace("_", "-")
