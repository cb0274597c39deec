"""Measure what is fastest on this machine: which runtime, form of the model file, threads.

The whole pipeline runs while the network is measured, as it will later, on moving shapes of the
camera's size. All candidates are measured briefly, then the fastest of them again, in turn, so
that a machine whose speed drifts is still fair to each.
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_ssd import config
from edge_ssd.bench import pipeline_fps
from edge_ssd.config import Config, parse
from edge_ssd.config.editing import edit
from edge_ssd.detector import Detector
from edge_ssd.detector.runtime import clamp_threads, installed
from edge_ssd.errors import ConfigError, EdgeSsdError, ModelError, PublishError
from edge_ssd.models import catalogue
from edge_ssd.models.loading import load
from edge_ssd.prepare import prepare
from edge_ssd.service import tuned
from edge_ssd.service.sensors import Health, Sensors
from edge_ssd.service.tuned import Choice

AS_IT_IS = "as it is"
FINAL_ROUNDS = 3
CONTENDER = 1.5
"""How many times slower than the fastest a candidate may be to be measured again."""
SAME = 1.03
"""Candidates this near to the fastest count as equal; the one with fewest threads wins."""
_FEWEST_FRAMES = 4
_LONGEST_S = 2.0


@dataclass(slots=True)
class Candidate:
    """One way to run the model, and the frames a second of the whole pipeline with it.

    form: what the file is, for people. problem: why it could not be measured.
    """

    form: str
    choice: Choice
    measured: list[float] = field(default_factory=list)
    problem: str = ""

    @property
    def fps(self) -> float:
        """The median of what was measured, 0 for nothing."""
        return statistics.median(self.measured) if self.measured else 0.0


@dataclass(slots=True)
class Report:
    """All candidates, the fastest first, and how the board stood it.

    hottest_c: the highest temperature seen, or None. slowed: the firmware lowered the clock, so
    the figures cannot be trusted.
    """

    candidates: list[Candidate]
    hottest_c: float | None = None
    slowed: bool = False

    @property
    def best(self) -> Candidate:
        """The fastest; among equals the one with fewest threads, then the given file."""
        return min(
            (each for each in self.candidates if each.fps * SAME >= self.candidates[0].fps),
            key=lambda each: (each.choice.threads, each.form != AS_IT_IS, -each.fps),
        )

    def watch(self, health: Health) -> None:
        """Take in one look at the board."""
        seen = [c for c in (self.hottest_c, health.temperature_c) if c is not None]
        self.hottest_c = max(seen, default=None)
        self.slowed |= bool(health.throttled and health.throttled.slowed)


def options(path: Path | None, model: str | None) -> Config:
    """Return the configuration to tune, or without one the model alone. Raises ConfigError."""
    if path is None:
        named = {"name": model} if model else {}
        return parse({"source": {"type": "synthetic"}, "model": named})
    found = config.load(path)
    if found.model.delegate:
        raise ConfigError(
            ["model.delegate: the Edge TPU runs this model, not the processor"],
            "there is nothing to tune",
        )
    return found


def forms(options: Config, folder: Path) -> tuple[dict[str, Path], str]:
    """Return the forms of the model file by name, and why there is none as int8.

    Raw heads are not among them: the postprocess op is taken out whenever a file is loaded.
    folder: where the int8 file is written.
    """
    given = catalogue.find(options.model.name)
    converted = folder / f"{given.stem}_int8.tflite"
    try:
        prepare(str(given), converted, int8=True)
    except ModelError as error:
        return {AS_IT_IS: given}, error.problem
    return {AS_IT_IS: given, "int8": converted}, ""


def write(report: Report, options: Config, path: Path | None) -> Path:
    """Set the best candidate in the configuration at ``path``, or keep it for ``auto``.

    Returns the file that was changed. Raises EdgeSsdError when the firmware lowered the clock
    meanwhile, ConfigError and PublishError when the file cannot be changed; it is whole then.
    """
    if report.slowed:
        raise EdgeSsdError("nothing is written: the clock was lowered", "cool the board first")
    choice = report.best.choice
    if report.best.form != AS_IT_IS:
        choice = replace(choice, file=str(_kept(Path(choice.file))))
    if path is None:
        tuned.remember(catalogue.find(options.model.name), choice, tuned.state_file())
        return tuned.state_file()
    changes: dict[str, str | int] = {"runtime": choice.runtime, "threads": choice.threads}
    if report.best.form != AS_IT_IS:
        changes["name"] = choice.file
    edit(path, "model", changes)
    return path


def _kept(made: Path) -> Path:
    """Copy the converted model to where pulled ones are; return its new place."""
    target = catalogue.folder() / made.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, target.with_suffix(".part"))
        target.with_suffix(".part").replace(target)
    except OSError as error:
        raise PublishError(f"{target} cannot be written: {error.strerror}") from None
    return target


def candidates(forms: dict[str, Path]) -> list[Candidate]:
    """Return every installed runtime with every form of the file and number of threads."""
    return [
        Candidate(form, Choice(str(path), runtime, threads))
        for threads in range(clamp_threads(None), 0, -1)
        for runtime in installed()
        for form, path in forms.items()
    ]


def measure(
    options: Config,
    found: list[Candidate],
    budget_s: float,
    health: Callable[[], Health] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Report:
    """Measure candidates, which get their figures, in about ``budget_s`` seconds.

    options: what the pipeline does besides; their source's size is used, never the source.
    progress: told how many of how many measurements are done.
    Raises the error of the first candidate when none can run.
    """
    health = health or Sensors().read
    report = Report(found)
    report.watch(health())
    for number, candidate in enumerate(found):
        _try(options, candidate, 0.4 * budget_s / len(found))
        report.watch(health())
        progress(number + 1, len(found))
    fastest = max(candidate.fps for candidate in found)
    if not fastest:
        raise EdgeSsdError(f"nothing could be measured: {found[0].problem}", "mend that first")
    again = [each for each in found if each.fps * CONTENDER >= fastest]
    total = len(again) * FINAL_ROUNDS
    for number, candidate in enumerate(again * FINAL_ROUNDS):
        _try(options, candidate, 0.6 * budget_s / total)
        report.watch(health())
        progress(len(found) + number + 1, len(found) + total)
    report.candidates = sorted(found, key=lambda each: -each.fps)
    return report


def _try(options: Config, candidate: Candidate, seconds: float) -> None:
    """Add one measurement of about so many seconds, loading included."""
    choice = candidate.choice
    try:
        spec = load(choice.file, options.model.labels)
        detector = Detector(spec, choice.runtime, choice.threads, options.preprocess.resize)
        rough = _fps(options, detector, _FEWEST_FRAMES)  # the first inference packs weights, too
        count = max(_FEWEST_FRAMES, round(min(seconds, _LONGEST_S) * rough))
        candidate.measured.append(_fps(options, detector, count))
    except EdgeSsdError as error:
        candidate.problem = str(error)


def _fps(options: Config, detector: Detector, count: int) -> float:
    return pipeline_fps(moving(options, count), detector, count)[0]


def moving(options: Config, count: int) -> Config:
    """Return the configuration with moving shapes of its camera's size as the source."""
    section: Any = options.source
    width = getattr(section, "lores_width", None) or getattr(section, "width", None) or 640
    height = getattr(section, "lores_height", None) or getattr(section, "height", None) or 480
    source = {
        "type": "synthetic", "width": width, "height": height,
        "live": False, "fps": None, "frame_limit": count,
    }  # fmt: skip
    moving = parse({"source": source}).source
    return options.model_copy(update={"source": moving})


def rows(report: Report) -> Iterator[str]:
    """Yield the table for people, the fastest first, the choice marked."""
    yield f"  {'fps':>7}  {'of best':>7}  runtime         threads  file"
    best = report.best
    for each in report.candidates:
        mark = "*" if each is best else " "
        figures = (
            f"{each.fps:7.1f}  {each.fps / best.fps:7.2f}" if each.fps else f"{'-':>7}  {'':7}"
        )
        line = f"{mark} {figures}  {each.choice.runtime:<14}  {each.choice.threads:7}  {each.form}"
        yield f"{line}: {each.problem}" if each.problem else line
    if report.hottest_c is not None:
        yield f"the processor reached {report.hottest_c:.0f} °C"
