"""Frame to model input: resize, channel order, normalisation, quantisation.

A pixel has 256 values, so normalising and quantising is one table of 256 entries for any
input type; where that table is the identity or a sign flip, nothing but the resize is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ssd.models.spec import InputNormalization
from edge_ssd.options import Options
from edge_ssd.pixels import interleaved
from edge_ssd.types import Frame, Geometry, PixelFormat


class PreprocessOptions(Options):
    """How a frame becomes the model's input."""

    resize: Literal["stretch", "letterbox"] = "stretch"
    """Fill the input, as SSD models are trained; or keep the aspect ratio and pad."""


@dataclass(frozen=True, slots=True)
class InputTensor:
    """The model's input: height and width in pixels, three RGB channels.

    dtype: uint8, int8 or float32.
    scale: 0 where the input is not quantised: float32, or pixels as they are.
    """

    height: int
    width: int
    dtype: np.dtype[Any]
    scale: float = 0.0
    zero_point: int = 0


class Preprocessor:
    """Turns frames into input tensors, without state; ``letterbox`` pads with the mean colour."""

    def __init__(
        self, tensor: InputTensor, normalization: InputNormalization, resize: str = "stretch"
    ) -> None:
        self.tensor = tensor
        self.resize = resize
        self.table = pixel_table(tensor, normalization)
        self.padding = int(np.clip(round(normalization.mean), 0, 255))
        self._sign_flip = tensor.dtype == np.int8 and np.array_equal(
            self.table.view(np.uint8), np.arange(256, dtype=np.uint8) ^ 0x80
        )
        self._identity = tensor.dtype == np.uint8 and np.array_equal(self.table, np.arange(256))

    def __call__(self, frame: Frame, out: NDArray[Any]) -> Geometry:
        """Write the frame as RGB into ``out``, (height, width, 3) of the input's dtype."""
        direct = out.dtype != np.float32 and out.flags.c_contiguous
        pixels = out.view(np.uint8) if direct else np.empty(out.shape, np.uint8)
        frame = interleaved(frame)
        geometry = self._resize(frame.image, pixels)
        if frame.pixel_format is PixelFormat.BGR:
            cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)
        if self._sign_flip:
            np.bitwise_xor(pixels, 0x80, out=out.view(np.uint8))
        elif not self._identity:
            out[...] = cv2.LUT(pixels, self.table)
        elif not direct:
            out[...] = pixels
        return geometry

    def _resize(self, image: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> Geometry:
        height, width = self.tensor.height, self.tensor.width
        if self.resize == "stretch":
            cv2.resize(image, (width, height), dst=pixels)
            return Geometry(size=(image.shape[1], image.shape[0]))
        rows, columns = image.shape[:2]
        ratio = min(height / rows, width / columns)
        inner_height, inner_width = max(1, round(rows * ratio)), max(1, round(columns * ratio))
        top, left = (height - inner_height) // 2, (width - inner_width) // 2
        pixels[...] = self.padding
        pixels[top : top + inner_height, left : left + inner_width] = cv2.resize(
            image, (inner_width, inner_height)
        )
        scale, offset = (inner_height / height, inner_width / width), (top / height, left / width)
        return Geometry(*scale, *offset, size=(columns, rows))


def pixel_table(tensor: InputTensor, normalization: InputNormalization) -> NDArray[Any]:
    """Return the (256,) input values of the pixels 0 to 255, in the input's dtype.

    ``real = (pixel - mean) / std`` and ``quantised = round(real / scale) + zero_point``
    (Jacob et al. 2018, equation 1). Where a quantised input's own scale maps every pixel to
    within one step of itself, as in models trained with fake quantisation, or where it has no
    scale, the pixel is used as it is.
    """
    real = (np.arange(256) - normalization.mean) / normalization.std
    if tensor.dtype == np.float32:
        return real.astype(np.float32)
    limits = np.iinfo(tensor.dtype)
    quantised = same = np.arange(256) + limits.min
    if tensor.scale:
        quantised = np.round(real / tensor.scale) + tensor.zero_point
    if np.abs(quantised - same).max() <= 1:
        quantised = same
    table: NDArray[Any] = np.clip(quantised, limits.min, limits.max).astype(tensor.dtype)
    return table
