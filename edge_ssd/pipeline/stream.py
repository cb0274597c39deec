"""``stream``: the results of a camera, a video or images, for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from edge_ssd.channels import Channel, Closed
from edge_ssd.config import parse
from edge_ssd.detector import Detector
from edge_ssd.pipeline.pipeline import Outlet, Pipeline
from edge_ssd.pipeline.worker import POLL_S
from edge_ssd.publishers.base import Publisher
from edge_ssd.sources.base import Source
from edge_ssd.sources.recorded import open_paths
from edge_ssd.types import FrameResult

_WAITING = 4


def stream(
    source: str | PathLike[str] | Mapping[str, Any], detector: Detector | None = None
) -> Iterator[FrameResult]:
    """Return an iterator over the result of each frame; threads of its own read and infer them.

    source: the URL of an IP camera (rtsp, http), the path of a video, an image or a folder, or
        the options of a source, such as ``{"type": "usb", "path": "/dev/video0"}``.
    detector: None for the bundled model. It belongs to the stream until that ends.

    A camera gives its newest frame, and results that nobody takes in time are dropped; a
    recording gives every frame, in order. Leaving the loop stops the threads. Raises ConfigError
    for options that are not valid and InputError for a missing file; the iterator raises
    InputError or DeviceError when the source fails later. A camera that fails is retried for
    five minutes first.

        for result in edge_ssd.stream("clip.mp4"):
            print(result.frame.number, [found.label for found in result.detections])
    """
    opened = _source(source)
    outbox = _Outbox(lossy=opened.live)
    return _results(Pipeline(opened, detector or Detector(), [Outlet(outbox, _WAITING)]), outbox)


def _results(pipeline: Pipeline, outbox: _Outbox) -> Iterator[FrameResult]:
    pipeline.start()
    try:
        while True:
            result = outbox.results.get(POLL_S)
            if result is not None:
                yield result
            else:
                pipeline.wait(0)  # raises the error of a worker, even where another one is blocked
    except Closed:
        pass
    finally:
        outbox.results.abort()
        pipeline.stop()


class _Outbox(Publisher):
    """Passes results to the caller of ``stream``."""

    name = "stream"

    def __init__(self, lossy: bool) -> None:
        self.results: Channel[FrameResult] = Channel(_WAITING, lossy)

    def publish(self, result: FrameResult) -> None:
        self.results.put(result)

    def close(self) -> None:
        self.results.close()


def _source(source: str | PathLike[str] | Mapping[str, Any]) -> Source:
    if not isinstance(source, Mapping):
        text = fspath(source)
        if "://" not in text:
            return open_paths([Path(text)])
        source = {"type": text.partition(":")[0].rstrip("s"), "url": text}
    return parse({"source": dict(source)}).make_source()
