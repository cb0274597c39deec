"""What flows from sources to publishers: Frame, RawHeads, Detections, FrameResult.

All are frozen and validated once, when made. Arrays are shared, never modified in place.
``N`` is the number of anchors, ``D`` the number of detections.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

import numpy as np
from numpy.typing import NDArray


class PixelFormat(str, Enum):
    """How the bytes of an image lie in memory; ``Frame.image`` gives the shape of each."""

    RGB = "RGB"
    BGR = "BGR"
    YUV420 = "YUV420"
    NV12 = "NV12"

    @property
    def planar(self) -> bool:
        """Whether brightness and colour lie in planes of their own."""
        return self in (PixelFormat.YUV420, PixelFormat.NV12)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image and where it came from.

    image: uint8, laid out by ``pixel_format``. RGB, BGR: (height, width, 3), rows may be
        padded (any strides). YUV420, NV12: (height * 3 / 2, stride), contiguous, with rows
        padded to ``stride`` bytes: ``height`` rows of Y, below them for NV12 rows of U and V in
        turn, for YUV420 all of U and then all of V, two of their rows to one of the image. The
        colours are BT.601 in video range (16 to 235).
    number: counts from 0 within the source, for still images the images.
    captured_ns: monotonic clock, nanoseconds, when the image was taken; for intervals.
    captured_at: UTC wall time of the same moment; for display only.
    path: the file it was read from, or None.
    position_s: seconds from the beginning of that file, where it is a video; otherwise None.
    size: width and height in pixels, both even, of a YUV420 or NV12 image; otherwise None.

    Raises ValueError when the image has another shape or dtype, or no pixels.
    """

    image: NDArray[np.uint8]
    pixel_format: PixelFormat
    source: str
    number: int
    captured_ns: int
    captured_at: datetime
    path: str | None = None
    size: tuple[int, int] | None = None
    position_s: float | None = None

    def __post_init__(self) -> None:
        image = self.image
        if self.pixel_format.planar:
            self._check_planes()
            return
        pixels = image.ndim == 3 and image.shape[2] == 3 and image.size > 0
        if not pixels or image.dtype != np.uint8 or self.size is not None:
            raise ValueError(
                f"an RGB or BGR image must be (height, width, 3) uint8 with at least one pixel, "
                f"and no size given beside it, not {image.shape} {image.dtype}"
            )

    @property
    def height(self) -> int:
        """Rows, in pixels."""
        return self.size[1] if self.size else int(self.image.shape[0])

    @property
    def width(self) -> int:
        """Columns, in pixels."""
        return self.size[0] if self.size else int(self.image.shape[1])

    def _check_planes(self) -> None:
        image = self.image
        width, height = self.size or (0, 0)
        rows, stride = image.shape if image.ndim == 2 else (0, 0)
        even = width % 2 == height % 2 == stride % 2 == 0
        fits = 0 < width <= stride and height > 0 and rows == height * 3 // 2
        if not (even and fits and image.dtype == np.uint8 and image.flags.c_contiguous):
            raise ValueError(
                f"a {self.pixel_format.value} frame must have an even size and be "
                f"(height * 3 / 2, stride) contiguous uint8, not {width}x{height} in "
                f"{image.shape} {image.dtype}"
            )


@dataclass(frozen=True, slots=True)
class Geometry:
    """How preprocessing laid the frame into the model's input; both sides normalised to 0-1.

    ``model = frame * scale + offset`` on each axis. Stretching is scale 1, offset 0;
    letterboxing shrinks one axis and centres it.

    size: width and height of the frame, in pixels.
    """

    scale_y: float = 1.0
    scale_x: float = 1.0
    offset_y: float = 0.0
    offset_x: float = 0.0
    size: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedTensor:
    """A tensor as the interpreter left it: ``real = (values - zero_point) * scale``.

    values: uint8, int8 or float32; for float32, scale is 1 and zero_point 0.
    Raises ValueError for another dtype or a scale that is not positive.
    """

    values: NDArray[np.uint8] | NDArray[np.int8] | NDArray[np.float32]
    scale: float = 1.0
    zero_point: int = 0

    def __post_init__(self) -> None:
        if self.values.dtype not in (np.uint8, np.int8, np.float32):
            raise ValueError(f"a head must be uint8, int8 or float32, not {self.values.dtype}")
        if not 0 < self.scale < math.inf:
            raise ValueError(f"a quantisation scale must be positive, not {self.scale}")

    @property
    def quantized(self) -> bool:
        """False when the values are real numbers already."""
        return self.values.dtype != np.float32


@dataclass(frozen=True, slots=True, eq=False)
class RawHeads:
    """The model's outputs for one frame, before anchors: still quantised, owned copies.

    boxes: (N, 4) box encodings in the order ty, tx, th, tw.
    scores: (N, columns) class scores; column 0 is the background if the model has one.

    Raises ValueError when the shapes do not belong together.
    """

    boxes: QuantizedTensor
    scores: QuantizedTensor

    def __post_init__(self) -> None:
        boxes, scores = self.boxes.values.shape, self.scores.values.shape
        if len(boxes) != 2 or boxes[1] != 4 or len(scores) != 2 or scores[0] != boxes[0]:
            raise ValueError(f"heads must be (N, 4) and (N, columns), not {boxes} and {scores}")


@dataclass(frozen=True, slots=True)
class Detection:
    """One object found in a frame.

    label: the class's name, or ``class N`` where it has none. class_id: counts from 0 without
    background. score: 0 to 1. box: xmin, ymin, xmax, ymax in pixels of the frame, clipped to it.
    """

    label: str
    class_id: int
    score: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The objects found in one frame, columnar, best score first; iterating gives Detection.

    boxes_yxyx: (D, 4) float32, ymin, xmin, ymax, xmax, normalised to the frame.
    scores: (D,) float32, 0 to 1.
    class_ids: (D,) int32, counted without background: 0 is the first label.
    labels: one name per class id; None where the class id is not used.
    size: width and height of the frame, in pixels.

    The columns become read-only. Raises ValueError when they differ in length, or have
    other dtypes.

        for found in detections:
            print(found.label, found.score, found.box)
    """

    boxes_yxyx: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    labels: tuple[str | None, ...] = ()
    size: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        columns = (self.boxes_yxyx, self.scores, self.class_ids)
        dtypes = [column.dtype for column in columns]
        if dtypes != [np.float32, np.float32, np.int32]:
            found = ", ".join(map(str, dtypes))
            raise ValueError(f"columns must be float32, float32 and int32, not {found}")
        for column in columns:
            column.flags.writeable = False
        count = len(self.scores)
        if self.boxes_yxyx.shape != (count, 4) or self.class_ids.shape != (count,):
            raise ValueError(
                f"columns differ: boxes {self.boxes_yxyx.shape}, scores {self.scores.shape}, "
                f"classes {self.class_ids.shape}"
            )

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        columns = self.class_ids.tolist(), self.scores.tolist(), self.boxes_xyxy_pixels().tolist()
        for class_id, score, box in zip(*columns, strict=True):
            yield Detection(self.label(class_id), class_id, score, tuple(box))

    def label(self, class_id: int) -> str:
        """Return the name of a class, or ``class N`` where the labels have none."""
        name = self.labels[class_id] if 0 <= class_id < len(self.labels) else None
        return name or f"class {class_id}"

    def boxes_xyxy_pixels(self) -> NDArray[np.float64]:
        """Return (D, 4) xmin, ymin, xmax, ymax in pixels of the frame, clipped to it."""
        unit = np.clip(self.boxes_yxyx.astype(np.float64), 0.0, 1.0)
        return unit[:, [1, 0, 3, 2]] * np.array(self.size * 2, np.float64)


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds one frame spent in each stage (waiting between stages not included)."""

    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """A frame, what was found in it, and what it cost.

    model: the model's catalogue name or file stem.
    finished_ns: monotonic clock, nanoseconds, when the detections were ready.
    """

    frame: Frame
    detections: Detections
    model: str
    timing: Timing
    finished_ns: int

    @property
    def age_ms(self) -> float:
        """Milliseconds from capture to finished detections."""
        return (self.finished_ns - self.frame.captured_ns) / 1e6
