"""edge_ssd as ``edge-ssd run`` wires it: the threaded pipeline, JSON lines to stdout."""

from __future__ import annotations

from harness import LEAST_SCORE, Recorder, arguments

from edge_ssd import __version__
from edge_ssd.config import parse
from edge_ssd.pipeline.pipeline import Outlet, Pipeline
from edge_ssd.publishers.base import Publisher
from edge_ssd.service import build
from edge_ssd.types import FrameResult


class Recording(Publisher):
    """Records every result, and ends the pipeline once there are enough."""

    name = "recording"

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.pipeline: Pipeline | None = None

    def publish(self, result: FrameResult) -> None:
        found = result.detections
        columns = found.class_ids.tolist(), found.scores.tolist(), found.boxes_yxyx.tolist()
        rows = [(kind, score, *box) for kind, score, box in zip(*columns, strict=True)]
        self.recorder.add(rows, result.age_ms)
        if self.recorder.complete and self.pipeline:
            self.pipeline.request_stop()


def main() -> None:
    given = arguments()
    options = parse({
        "source": {"type": "video", "path": str(given.clip)},
        "model": {"name": str(given.model), "threads": 1, "runtime": given.runtime},
        "postprocess": {"score_threshold": LEAST_SCORE},
    })  # fmt: skip
    network = build.detector(options.model, options.preprocess)
    labels = build.labels_of(network)
    recording = Recording(Recorder(given.frames))
    pipeline = Pipeline(
        options.make_source(),
        network,
        build.postprocessor(network, labels, options.postprocess),
        [*(Outlet(each.make(options.name)) for each in options.publishers), Outlet(recording)],
        labels,
    )
    recording.pipeline = pipeline
    pipeline.start()
    pipeline.wait()
    recording.recorder.save(given.output, f"edge_ssd {__version__}")


if __name__ == "__main__":
    main()
