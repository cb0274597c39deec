"""A configuration to the parts it describes."""

from __future__ import annotations

from edge_ssd.config import Config
from edge_ssd.detector import Detector
from edge_ssd.errors import ConfigError, ModelError, Problem
from edge_ssd.inference import tuned
from edge_ssd.pipeline.pipeline import Pipeline
from edge_ssd.service import outlets


def pipeline(options: Config) -> Pipeline:
    """Return the pipeline that a configuration describes, ready to start.

    Raises ConfigError that names the option at fault, RuntimeMissingError when no runtime
    can run the model.
    """
    try:
        model = tuned.applied(options.model)
        detector = Detector.from_options(model, options.preprocess, options.postprocess)
    except ModelError as error:
        problem = Problem(f"model.{error.option}", error.what, error.remedy)
        raise ConfigError([problem]) from None
    outlets.check(options.publishers)
    publishers = [outlets.outlet(item, options.name) for item in options.publishers]
    in_thread = options.model.isolation == "thread"
    return Pipeline(
        options.make_source(),
        detector,
        publishers,
        options.stall_timeout_s,
        invoke_deadline_s=options.model.invoke_deadline_s if in_thread else None,
    )
