"""edge_ssd as ``edge-ssd run`` wires it: the threaded pipeline, JSON lines to stdout."""

from __future__ import annotations

from harness import SCORE_THRESHOLD, Recorder, arguments

from edge_ssd import Detector, __version__
from edge_ssd.pipeline.pipeline import Outlet, Pipeline
from edge_ssd.publishers.base import Publisher
from edge_ssd.publishers.jsonl import JsonLinesOptions
from edge_ssd.sources.recorded import open_paths
from edge_ssd.types import FrameResult


class Recording(Publisher):
    """Records every result, and ends the pipeline once there are enough."""

    name = "recording"

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.pipeline: Pipeline | None = None

    def publish(self, result: FrameResult) -> None:
        found = result.detections
        boxes = found.boxes_yxyx.tolist()
        rows = [(one.class_id, one.score, *box) for one, box in zip(found, boxes, strict=True)]
        self.recorder.add(rows, result.age_ms)
        if self.recorder.complete and self.pipeline:
            self.pipeline.request_stop()


def main() -> None:
    given = arguments()
    recording = Recording(Recorder(given.frames))
    detector = Detector(
        given.model, score_threshold=SCORE_THRESHOLD, runtime=given.runtime, threads=1
    )
    publishers = [JsonLinesOptions().make("edge-ssd"), recording]
    source = open_paths([given.clip])
    recording.pipeline = Pipeline(source, detector, [Outlet(each) for each in publishers])
    recording.pipeline.start()
    recording.pipeline.wait()
    recording.recorder.save(given.output, f"edge_ssd {__version__}")


if __name__ == "__main__":
    main()
