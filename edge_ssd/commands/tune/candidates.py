"""The candidates for a configuration on this machine, the choice among them, and their table."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edge_ssd import DEFAULT_MODEL, config
from edge_ssd.board import Health
from edge_ssd.config import Config, parse
from edge_ssd.errors import ConfigError, InputError, ModelError, Problem
from edge_ssd.inference.runtime import clamp_threads, installed
from edge_ssd.models import catalogue
from edge_ssd.workshop.prepare import prepare

AS_IT_IS = "as it is"
INT8 = "int8"
SAME = 1.03  # candidates this near to the fastest are equal; the one with fewest threads wins


@dataclass(slots=True)
class Candidate:
    """One way to run the model, and the frames per second of the whole pipeline with it.

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
        return parse({"source": {"type": "synthetic"}, "model": {"name": model or DEFAULT_MODEL}})
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
    """Return every installed runtime, form of the file and thread count, likely fastest first."""
    return [
        Candidate(form, path, runtime, threads)
        for threads in range(clamp_threads(None), 0, -1)
        for runtime in installed()
        for form, path in forms.items()
    ]


@dataclass(slots=True)
class Report:
    """All candidates, and the readings of the board.

    finalists: those measured again; none before that. One measured only once, when the machine
    may have been faster, is not compared with them.
    hottest_c: the highest temperature seen, or None. slowed: the firmware lowered the clock, so
    the figures cannot be trusted.
    """

    candidates: list[Candidate]
    finalists: list[Candidate] = field(default_factory=list)
    hottest_c: float | None = None
    slowed: bool = False

    @property
    def fastest(self) -> float:
        """The most frames per second of any that are compared."""
        return max(each.fps for each in self.finalists or self.candidates)

    @property
    def best(self) -> Candidate:
        """The fastest; among equals the one with fewest threads, then the given file."""
        return min(
            (each for each in self.finalists or self.candidates if each.fps * SAME >= self.fastest),
            key=lambda each: (each.threads, each.form != AS_IT_IS, -each.fps),
        )

    def watch(self, health: Health) -> None:
        """Take one reading of the board into account."""
        seen = [c for c in (self.hottest_c, health.temperature_c) if c is not None]
        self.hottest_c = max(seen, default=None)
        self.slowed |= bool(health.throttled and health.throttled.slowed)

    def rows(self) -> Iterator[str]:
        """Yield the table for people, the fastest first, the choice marked."""
        yield f"  {'fps':>7}  {'of best':>7}  runtime         threads  file"
        for each in sorted(self.candidates, key=lambda each: -each.fps):
            mark = "*" if each is self.best else " "
            figures = f"{each.fps:7.1f}  {self._share(each):7.2f}"
            figures = figures if each.fps else f"{'-':>7}  {'':7}"
            line = f"{mark} {figures}  {each.runtime:<14}  {each.threads:7}  {each.form}"
            yield f"{line}: {each.problem}" if each.problem else line
        if self.hottest_c is not None:
            yield f"the processor reached {self.hottest_c:.0f} °C"

    def _share(self, candidate: Candidate) -> float:
        """Return its part of the fastest's speed, of figures measured one soon after the other."""
        if self.finalists and candidate not in self.finalists:
            return candidate.fps / max(each.measured[0] for each in self.finalists)
        return candidate.fps / self.fastest
