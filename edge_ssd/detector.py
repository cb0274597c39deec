"""``Detector``: an inference backend, a postprocessor and labels. The one place that joins them."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ssd import DEFAULT_MODEL, draw
from edge_ssd.errors import DeviceError
from edge_ssd.inference.backend import Backend, InvokeLost
from edge_ssd.inference.backends import make_backend
from edge_ssd.inference.options import ModelOptions
from edge_ssd.inference.preprocess import PreprocessOptions
from edge_ssd.models import labels as label_lists
from edge_ssd.postprocess import PostprocessOptions, Postprocessor
from edge_ssd.postprocess.anchors import for_model
from edge_ssd.sources.base import capture_times
from edge_ssd.sources.images import read_image
from edge_ssd.types import Detections, Frame, PixelFormat

Image = NDArray[np.uint8]


class Detector:
    """Finds objects in images with one model. One thread at a time.

    model: a name of ``edge-ssd models list``, or the path of a .tflite file.
    score_threshold: minimum score to report, 0 to 1. classes: the labels to report; None for all.
    labels: a label file; None for the labels that come with the model.
    runtime: auto, litert or tflite-runtime. threads: None for one per CPU.

    Raises ModelError for a file that cannot be used, RuntimeMissingError, ConfigError for a class
    that the model does not have, and ValueError for any other value that is not valid.

        detector = Detector("detect.tflite", score_threshold=0.5)
        for found in detector.detect("a.jpg"):
            print(found.label, found.score, found.box)
    """

    def __init__(
        self,
        model: str | PathLike[str] = DEFAULT_MODEL,
        *,
        score_threshold: float = 0.5,
        classes: Sequence[str] | None = None,
        labels: str | PathLike[str] | None = None,
        runtime: str = "auto",
        threads: int | None = None,
    ) -> None:
        run = {"labels": labels, "runtime": runtime, "threads": threads}
        wanted = {"score_threshold": score_threshold, "classes": classes}
        self._join(
            make_backend(ModelOptions.model_validate({"name": fspath(model), **run})),
            PostprocessOptions.model_validate(wanted),
        )

    @classmethod
    def from_options(
        cls,
        model: ModelOptions,
        preprocess: PreprocessOptions | None = None,
        postprocess: PostprocessOptions | None = None,
    ) -> Detector:
        """Return the detector that sections of a configuration describe. Raises as the class."""
        return cls.from_backend(make_backend(model, preprocess), postprocess)

    @classmethod
    def from_backend(
        cls, backend: Backend, postprocess: PostprocessOptions | None = None
    ) -> Detector:
        """Return a detector around a backend that is loaded already. Raises as the class."""
        detector = cls.__new__(cls)
        detector._join(backend, postprocess or PostprocessOptions())
        return detector

    def _join(self, backend: Backend, postprocess: PostprocessOptions) -> None:
        self.backend = backend
        spec, tensor = backend.spec, backend.preprocess.tensor
        self.labels = label_lists.of_model(spec, backend.classes)
        size = tensor.height, tensor.width
        self._anchors_cyxhw = for_model(spec, backend.heads.anchors, *size)
        self.postprocess = self.postprocessor(postprocess)
        self._opened = False

    def postprocessor(self, options: PostprocessOptions) -> Postprocessor:
        """Return another postprocessing of this model. Raises ConfigError for unknown labels."""
        return Postprocessor(self.backend.spec, self._anchors_cyxhw, self.labels, options)

    def detect(self, image: Image | str | PathLike[str] | Frame) -> Detections:
        """Return the objects in an image, best first.

        image: (height, width, 3) uint8 BGR, as ``cv2.imread`` gives it; or the path of an image;
        or a Frame. Raises InputError for a file that cannot be read, ValueError for an array of
        another shape, DeviceError when the device that runs the model fails.
        """
        if not isinstance(image, Frame):
            path = None if isinstance(image, np.ndarray) else str(image)
            image = Frame(_bgr(image), PixelFormat.BGR, "image", 0, *capture_times(), path=path)
        self.open()
        geometry = self.backend.set_frame(image)
        try:
            return self.postprocess(self.backend.invoke(), geometry)
        except InvokeLost:
            raise DeviceError("the inference failed", "try again; see the log") from None

    def annotate(
        self, image: Image | str | PathLike[str], detections: Detections | None = None
    ) -> Image:
        """Return a BGR copy of an image or its file with detections drawn.

        detections: None for those of ``detect``. Raises as ``detect``.
        """
        pixels = _bgr(image)
        return draw.annotate(pixels, self.detect(pixels) if detections is None else detections)

    def open(self) -> None:
        """Take the device that runs the model; ``detect`` does so itself. Raises DeviceError."""
        if not self._opened:
            self.backend.open()
            self._opened = True

    def close(self) -> None:
        """Give the device back; it may be opened again."""
        if self._opened:
            self.backend.close()
        self._opened = False

    def __enter__(self) -> Detector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _bgr(image: Image | str | PathLike[str]) -> Image:
    """Return an image's pixels, read from its file where a path is given."""
    if image is None:
        raise ValueError("there is no image: cv2.imread gives None for a file it cannot read")
    return image if isinstance(image, np.ndarray) else read_image(Path(image))
