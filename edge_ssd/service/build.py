"""A configuration to the parts it describes."""

from __future__ import annotations

from edge_ssd.checks import start_problems
from edge_ssd.config import Config
from edge_ssd.detector import Detector
from edge_ssd.errors import ConfigError, ModelError, Problem
from edge_ssd.inference import tuned
from edge_ssd.pipeline.pipeline import Outlet, Pipeline


def pipeline(options: Config) -> Pipeline:
    """Return a configuration's pipeline, not started. Raises ConfigError, RuntimeMissingError."""
    try:
        model = tuned.applied(options.model)
        detector = Detector.from_options(model, options.preprocess, options.postprocess)
    except ModelError as error:
        problem = Problem(f"model.{error.option}", error.what, error.remedy)
        raise ConfigError([problem]) from None
    publishers = [Outlet(item.make(options.name), item.queue_size) for item in options.publishers]
    return Pipeline(options.make_source(), detector, publishers, options.stall_timeout_s)


def check_start(options: Config, rights: bool = True) -> None:
    """Raise ConfigError for what keeps a configuration from starting; see ``start_problems``."""
    problems = start_problems(options.checks(), rights=rights)
    if problems:
        raise ConfigError(problems)
