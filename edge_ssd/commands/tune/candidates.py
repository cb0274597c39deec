"""What there is to choose from, for a configuration on this machine."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from pathlib import Path

from edge_ssd import config
from edge_ssd.config import Config, parse
from edge_ssd.errors import ConfigError, InputError, ModelError, Problem
from edge_ssd.inference.runtime import clamp_threads, installed
from edge_ssd.models import catalogue
from edge_ssd.workshop.prepare import prepare

AS_IT_IS = "as it is"
INT8 = "int8"


@dataclass(slots=True)
class Candidate:
    """One way to run the model, and the frames a second of the whole pipeline with it.

    form: what the file at ``path`` is, for people. problem: why it was not measured.
    """

    form: str
    path: Path
    runtime: str
    threads: int
    measured: list[float] = field(default_factory=list)
    problem: str = ""

    @property
    def fps(self) -> float:
        """The median of what was measured, 0 for nothing."""
        return statistics.median(self.measured) if self.measured else 0.0


def options(path: Path | None, model: str | None) -> Config:
    """Return the configuration to tune, or without one the model alone. Raises ConfigError."""
    if path is None:
        named = {"name": model} if model else {}
        return parse({"source": {"type": "synthetic"}, "model": named})
    found = config.load(path)
    if found.model.delegate:
        problem = "the Edge TPU runs this model, not the processor"
        raise ConfigError([Problem("model.delegate", problem, "there is nothing to tune")], path)
    return found


def forms(options: Config, folder: Path) -> tuple[dict[str, Path], str]:
    """Return the forms of the model file by name, and why there is none as int8.

    Raw heads are not among them: the postprocess op is taken out whenever a file is loaded.
    folder: where the int8 file is written. Raises ModelError when there is no such model.
    """
    given = catalogue.find(options.model.name).absolute()
    converted = folder / f"{given.stem}_int8.tflite"
    try:
        prepare(str(given), converted, int8=True)
    except (ModelError, InputError) as error:
        return {AS_IT_IS: given}, error.problem
    return {INT8: converted, AS_IT_IS: given}, ""


def candidates(forms: dict[str, Path]) -> list[Candidate]:
    """Return every installed runtime with every form of the file and number of threads.

    What is likely to be the fastest comes first.
    """
    return [
        Candidate(form, path, runtime, threads)
        for threads in range(clamp_threads(None), 0, -1)
        for runtime in installed()
        for form, path in forms.items()
    ]
