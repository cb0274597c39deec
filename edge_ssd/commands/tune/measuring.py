"""Measure candidates within a budget of time.

The whole pipeline runs, on moving shapes of the camera's size. All candidates are measured
briefly, then the fastest again, in turn: fair to each, even when the machine's speed drifts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from edge_ssd.board import Health, Sensors
from edge_ssd.commands.tune.candidates import Candidate, Report
from edge_ssd.config import Config, parse
from edge_ssd.detector import Detector
from edge_ssd.errors import EdgeSsdError
from edge_ssd.pipeline.lifecycle import moving_shapes, pipeline_fps

FINAL_ROUNDS = 3
CONTENDER = 1.5  # candidates within this factor of the fastest are measured again
OUT_OF_TIME = "not measured: out of time"
_BRIEF, _BRIEF_AT_MOST = 0.4, 0.7  # shares of the budget for measuring all briefly
_FEWEST_FRAMES = 4
_LONGEST_S = 2.0

Clock = Callable[[], float]


def measure(
    options: Config,
    found: list[Candidate],
    budget_s: float,
    health: Callable[[], Health] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
    clock: Clock = time.monotonic,
) -> Report:
    """Measure candidates, which get their figures, in about ``budget_s`` seconds.

    The first that can run is measured in any case; none is begun when the time is over.
    options: the rest of the pipeline; of the source only the size is used.
    progress: called with the number of measurements done, and of all. clock: in seconds.
    Raises the error of the first candidate when none can run.
    """
    health = health or Sensors().read
    report = Report(found)
    begun = clock()
    report.watch(health())
    for number, candidate in enumerate(found):
        if report.fastest and clock() - begun >= _BRIEF_AT_MOST * budget_s:
            candidate.problem = OUT_OF_TIME
            continue
        _try(options, candidate, _BRIEF * budget_s / len(found), clock)
        report.watch(health())
        progress(number + 1, len(found))
    if not report.fastest:
        raise EdgeSsdError(f"nothing could be measured: {found[0].problem}", "fix that first")
    report.finalists = [each for each in found if each.fps * CONTENDER >= report.fastest]
    finals = report.finalists * FINAL_ROUNDS
    for number, candidate in enumerate(finals):
        left = begun + budget_s - clock()
        if left <= 0:
            break
        _try(options, candidate, left / (len(finals) - number), clock)
        report.watch(health())
        progress(len(found) + number + 1, len(found) + len(finals))
    return report


def _try(options: Config, candidate: Candidate, seconds: float, clock: Clock) -> None:
    """Add one measurement of about ``seconds``, loading included, or of the fewest frames."""
    begun = clock()
    try:
        run = {"name": str(candidate.path), "runtime": candidate.runtime}
        model = options.model.model_copy(update=run | {"threads": candidate.threads})
        detector = Detector.from_options(model, options.preprocess, options.postprocess)
        fps = _fps(options, detector, _FEWEST_FRAMES)  # the first inference packs weights, too
        count = round((min(seconds, _LONGEST_S) - (clock() - begun)) * fps)
        if count > _FEWEST_FRAMES:
            fps = _fps(options, detector, count)
        candidate.measured.append(fps)
    except EdgeSsdError as error:
        candidate.problem = str(error)


def _fps(options: Config, detector: Detector, count: int) -> float:
    return pipeline_fps(moving(options, count).make_source(), detector, count)[0]


def moving(options: Config, count: int) -> Config:
    """Return the configuration with moving shapes of its camera's size as the source."""
    section: Any = options.source
    width = getattr(section, "lores_width", None) or getattr(section, "width", None) or 640
    height = getattr(section, "lores_height", None) or getattr(section, "height", None) or 480
    moving = parse({"source": moving_shapes(count, width=width, height=height)}).source
    return options.model_copy(update={"source": moving})
