"""YUV420 and NV12 frames, padded rows included: colours held to ITU-R BT.601 itself."""

from __future__ import annotations

from datetime import datetime, timezone

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support.fake_picamera2 import paint, yuv_video_range

from edge_ssd.draw import annotate
from edge_ssd.inference.preprocess import InputTensor, Preprocessor
from edge_ssd.models.spec import InputNormalization
from edge_ssd.pixels import bgr, interleaved
from edge_ssd.types import Detections, Frame, PixelFormat

PLANAR = [PixelFormat.YUV420, PixelFormat.NV12]
SIZES = [(64, 48, 64), (64, 48, 128), (62, 46, 64), (2, 2, 64), (568, 320, 576)]
OPENCV = {
    PixelFormat.YUV420: cv2.COLOR_YUV2RGB_I420,
    PixelFormat.NV12: cv2.COLOR_YUV2RGB_NV12,
}


def frame(
    image: NDArray[np.uint8], pixel_format: PixelFormat, size: tuple[int, int] | None
) -> Frame:
    return Frame(image, pixel_format, "s", 0, 0, datetime.now(timezone.utc), size=size)


def bars(pixel_format: PixelFormat, width: int, height: int, stride: int) -> Frame:
    image = paint(pixel_format.value, width, height, stride).reshape(-1, stride)
    return frame(image, pixel_format, (width, height))


@pytest.mark.parametrize("pixel_format", PLANAR)
def test_every_colour_is_converted_as_the_standard_says(pixel_format: PixelFormat) -> None:
    """Each colour fills blocks of 2x2 pixels, which share their U and V."""
    levels = np.array([0, 64, 128, 192, 255], np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
    rgb = np.repeat(np.repeat(colours, 2, axis=0), 2, axis=1)
    y, u, v = (np.round(plane).astype(np.uint8) for plane in yuv_video_range(rgb))
    u, v = u[::2, ::2], v[::2, ::2]
    chroma = np.dstack([u, v]) if pixel_format is PixelFormat.NV12 else np.stack([u, v])
    width = rgb.shape[1]
    image = np.concatenate([y.ravel(), chroma.ravel()]).reshape(3, width)
    converted = interleaved(frame(image, pixel_format, (width, 2)))
    assert converted.pixel_format is PixelFormat.RGB
    # Rounding Y, U and V to bytes can move a colour by two.
    assert np.abs(converted.image.astype(int) - rgb).max() <= 2


@pytest.mark.parametrize(("width", "height", "stride"), SIZES)
@pytest.mark.parametrize("pixel_format", PLANAR)
def test_padding_is_left_out_and_moves_nothing(
    pixel_format: PixelFormat, width: int, height: int, stride: int
) -> None:
    converted = interleaved(bars(pixel_format, width, height, stride))
    assert (converted.width, converted.height) == (width, height)
    tight = paint(pixel_format.value, width, height, width).reshape(-1, width)
    reference = cv2.cvtColor(tight, OPENCV[pixel_format])
    assert np.array_equal(converted.image, reference)


@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
@pytest.mark.parametrize("pixel_format", PLANAR)
def test_the_networks_input_is_that_of_the_same_picture_in_rgb(
    pixel_format: PixelFormat, resize: str
) -> None:
    tensor = InputTensor(300, 300, np.dtype(np.uint8))
    preprocess = Preprocessor(tensor, InputNormalization(), resize)
    planes = bars(pixel_format, 568, 320, 576)
    tight = paint(pixel_format.value, 568, 320, 568).reshape(-1, 568)
    rgb = frame(cv2.cvtColor(tight, OPENCV[pixel_format]), PixelFormat.RGB, None)
    outputs = [np.zeros((300, 300, 3), np.uint8) for _ in range(2)]
    geometries = [preprocess(f, out) for f, out in zip((planes, rgb), outputs, strict=True)]
    assert geometries[0] == geometries[1]
    assert np.array_equal(*outputs)
    assert outputs[0].std() > 50


@pytest.mark.parametrize("pixel_format", PLANAR)
def test_an_annotated_picture_has_its_size_and_colours(pixel_format: PixelFormat) -> None:
    nothing = Detections(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32)
    )
    planes = bars(pixel_format, 568, 320, 576)
    drawn = annotate(bgr(planes), nothing)
    assert drawn.shape == (320, 568, 3)
    assert np.array_equal(drawn[..., ::-1], interleaved(planes).image)


@pytest.mark.parametrize("pixel_format", PLANAR)
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((72, 64), None),
        ((72, 64), (66, 48)),
        ((72, 64), (64, 50)),
        ((72, 64), (63, 48)),
        ((72, 65), (64, 48)),
        ((0, 0), (0, 0)),
        ((48, 64, 3), (64, 48)),
    ],
)
def test_planes_that_do_not_fit_their_size_are_no_frame(
    pixel_format: PixelFormat, shape: tuple[int, ...], size: tuple[int, int] | None
) -> None:
    with pytest.raises(ValueError, match=f"a {pixel_format.value} frame must have an even size"):
        frame(np.zeros(shape, np.uint8), pixel_format, size)


def test_planes_must_be_contiguous() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        frame(np.zeros((72, 128), np.uint8)[:, :64], PixelFormat.NV12, (64, 48))
