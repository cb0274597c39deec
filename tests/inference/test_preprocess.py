"""A frame in the model's input: every pixel where and what it should be."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ssd.inference.preprocess import InputTensor, Preprocessor, pixel_table
from edge_ssd.models.spec import InputNormalization
from edge_ssd.postprocess.postprocess import undo
from edge_ssd.types import Frame, Geometry, PixelFormat

UINT8, INT8, FLOAT32 = np.dtype(np.uint8), np.dtype(np.int8), np.dtype(np.float32)
AS_IS = InputNormalization()
RGB, BGR = PixelFormat.RGB, PixelFormat.BGR


def frame(image: NDArray[Any], pixel_format: PixelFormat = RGB) -> Frame:
    return Frame(image, pixel_format, "test", 0, 0, datetime.now(timezone.utc))


def grey(rows: Any) -> NDArray[np.uint8]:
    """(height, width) as an image of three equal channels."""
    return np.repeat(np.array(rows, np.uint8)[:, :, None], 3, axis=2)


def run(
    image: NDArray[Any],
    height: int,
    width: int,
    resize: str = "stretch",
    pixel_format: PixelFormat = RGB,
) -> tuple[NDArray[Any], Geometry]:
    """Return the pixels that a plain uint8 model would be given."""
    out = np.full((height, width, 3), 77, np.uint8)
    preprocess = Preprocessor(InputTensor(height, width, UINT8), AS_IS, resize)
    return out, preprocess(frame(image, pixel_format), out)


# --- Where the pixels go ---

STRETCHED = {
    "same size": ([[1, 2], [3, 4]], 2, 2, [[1, 2], [3, 4]]),
    # Half a pixel in from the edge, as TensorFlow's half_pixel_centers.
    "wider": ([[0, 100]], 1, 4, [[0, 25, 75, 100]]),
    "higher": ([[0], [200]], 4, 1, [[0], [50], [150], [200]]),
    "both": ([[0, 100], [100, 200]], 3, 3, [[0, 50, 100], [50, 100, 150], [100, 150, 200]]),
    "half": ([[0, 100, 40, 80]], 1, 2, [[50, 60]]),
    "one pixel": ([[9]], 2, 3, [[9, 9, 9], [9, 9, 9]]),
}


@pytest.mark.parametrize(("rows", "height", "width", "expected"), STRETCHED.values(), ids=STRETCHED)
def test_stretching_fills_the_input(rows: Any, height: int, width: int, expected: Any) -> None:
    out, geometry = run(grey(rows), height, width)
    np.testing.assert_array_equal(out, grey(expected))
    assert geometry == Geometry(size=(len(rows[0]), len(rows)))


P = 128  # the padding: 127.5, the mean, in whole pixels
LETTERBOXED = {
    "same shape": ([[1, 2], [3, 4]], 2, 2, [[1, 2], [3, 4]], Geometry()),
    "wide": (
        [[8, 8, 8, 8], [8, 8, 8, 8]], 4, 4,
        [[P, P, P, P], [8, 8, 8, 8], [8, 8, 8, 8], [P, P, P, P]],
        Geometry(scale_y=0.5, offset_y=0.25),
    ),
    "high": ([[8], [8]], 2, 4, [[P, 8, P, P]] * 2, Geometry(scale_x=0.25, offset_x=0.25)),
    "odd rest": ([[8, 8]], 2, 2, [[8, 8], [P, P]], Geometry(scale_y=0.5)),
    "very wide": ([[8] * 100], 3, 3, [[P] * 3, [8] * 3, [P] * 3], Geometry(1 / 3, 1, 1 / 3, 0)),
    "one pixel": ([[9]], 2, 2, [[9, 9], [9, 9]], Geometry()),
}  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "height", "width", "expected", "geometry"), LETTERBOXED.values(), ids=LETTERBOXED
)
def test_letterboxing_keeps_the_shape_and_pads_with_the_mean(
    rows: Any, height: int, width: int, expected: Any, geometry: Geometry
) -> None:
    out, found = run(grey(rows), height, width, "letterbox")
    np.testing.assert_array_equal(out, grey(expected))
    assert found == replace(geometry, size=(len(rows[0]), len(rows)))


def test_padding_is_nought_to_the_model() -> None:
    normalization = InputNormalization(mean=0, std=255)
    out = np.empty((4, 4, 3), np.float32)
    preprocess = Preprocessor(InputTensor(4, 4, FLOAT32), normalization, "letterbox")
    preprocess(frame(grey([[255, 255]])), out)
    np.testing.assert_array_equal(out[:, 0, 0], [0, 1, 1, 0])


SIZES = [(1, 1), (1, 300), (300, 1), (7, 5000), (480, 640), (301, 299), (1080, 1920), (2, 3)]


@pytest.mark.parametrize(("rows", "columns"), SIZES)
@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
@pytest.mark.parametrize(("height", "width"), [(300, 300), (33, 47)])
def test_undoing_the_geometry_finds_the_frame_again(
    rows: int, columns: int, resize: str, height: int, width: int
) -> None:
    """The rectangle the frame covers in the input is, undone, the whole frame."""
    out, geometry = run(np.full((rows, columns, 3), 250, np.uint8), height, width, resize)
    covered_rows = np.flatnonzero((out == 250).any(axis=(1, 2)))
    covered_columns = np.flatnonzero((out == 250).any(axis=(0, 2)))
    corners = np.array(
        [
            covered_rows[0] / height,
            covered_columns[0] / width,
            (covered_rows[-1] + 1) / height,
            (covered_columns[-1] + 1) / width,
        ],
        np.float32,
    )
    np.testing.assert_allclose(undo(geometry, corners[None]), [[0, 0, 1, 1]], atol=1e-5)
    if resize == "letterbox":
        assert min(out.shape[0] - len(covered_rows), out.shape[1] - len(covered_columns)) == 0
        shape = len(covered_columns) / len(covered_rows)
        assert shape == pytest.approx(columns / rows, rel=0.05) or 1 in (
            len(covered_rows), len(covered_columns),
        )  # fmt: skip


@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
@pytest.mark.parametrize(("rows", "columns"), [(480, 640), (640, 360)])
def test_an_object_is_found_where_it_is_in_the_frame(rows: int, columns: int, resize: str) -> None:
    image = np.zeros((rows, columns, 3), np.uint8)
    top, left, bottom, right = rows // 8, columns // 4, rows // 2, columns // 2
    image[top:bottom, left:right] = 255
    out, geometry = run(image, 200, 200, resize)
    ys, xs = np.nonzero(out[:, :, 0] > 191)  # brighter than the padding
    box = np.array([[ys.min(), xs.min(), ys.max() + 1, xs.max() + 1]], np.float32) / 200
    expected = [[top / rows, left / columns, bottom / rows, right / columns]]
    np.testing.assert_allclose(undo(geometry, box), expected, atol=1 / 100)


# --- Colours and memory ---

COLOURS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


def test_the_model_is_given_rgb() -> None:
    rgb, _ = run(COLOURS, 4, 4)
    bgr, _ = run(COLOURS, 4, 4, pixel_format=BGR)
    np.testing.assert_array_equal(rgb, COLOURS)
    np.testing.assert_array_equal(bgr, COLOURS[:, :, ::-1])


def padded(image: NDArray[Any]) -> NDArray[Any]:
    wide = np.full((image.shape[0], image.shape[1] + 3, 3), 255, np.uint8)
    wide[:, :-3] = image
    return wide[:, :-3]


LAYOUTS = {
    "padded rows": padded,
    "upside down": lambda image: image[::-1].copy()[::-1],
    "mirrored": lambda image: image[:, ::-1].copy()[:, ::-1],
    "every other": lambda image: np.repeat(np.repeat(image, 2, 0), 2, 1)[::2, ::2],
    "swapped channels": lambda image: image[:, :, ::-1].copy()[:, :, ::-1],
    "columns first": np.asfortranarray,
    "read-only": lambda image: np.frombuffer(image.tobytes(), np.uint8).reshape(image.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("size", [(4, 4), (3, 7)])
@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
@pytest.mark.parametrize("pixel_format", [RGB, BGR])
def test_the_frames_layout_in_memory_does_not_matter(
    layout: Any, size: tuple[int, int], resize: str, pixel_format: PixelFormat
) -> None:
    given = layout(COLOURS.copy())
    found, _ = run(given, *size, resize, pixel_format)
    expected, _ = run(COLOURS, *size, resize, pixel_format)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(given, COLOURS)  # frames are shared, and never written to


# --- Normalisation and quantisation ---

QUANTISED = {
    "stock uint8": (UINT8, 1 / 128, 128, AS_IS),
    "-1 to 1 exactly": (UINT8, 1 / 127.5, 127, AS_IS),
    "0 to 1": (UINT8, 1 / 255, 0, InputNormalization(0, 255)),
    "two steps off at the ends": (UINT8, 1 / 126, 128, AS_IS),
    "coarse": (UINT8, 0.0235, 114, AS_IS),
    "saturating": (UINT8, 0.004, 0, AS_IS),
    "ImageNet": (UINT8, 0.0186584, 114, InputNormalization(123.675, 58.395)),
    "stock int8": (INT8, 1 / 128, 0, AS_IS),
    "int8 of TFLite's converter": (INT8, 0.007843137718737125, -1, AS_IS),
    "int8 0 to 1": (INT8, 1 / 255, -128, InputNormalization(0, 255)),
    "int8 coarse": (INT8, 0.031, 5, AS_IS),
    "int8 saturating": (INT8, 0.002, -7, AS_IS),
    "float": (FLOAT32, 0.0, 0, AS_IS),
    "float of another range": (FLOAT32, 0.0, 0, InputNormalization(0, 255)),
}
PIXELS_AS_THEY_ARE = {"stock uint8", "-1 to 1 exactly", "0 to 1"}
ALL_PIXELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize("case", QUANTISED)
@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("pixel_format", [RGB, BGR])
def test_every_pixel_becomes_the_value_of_the_formula(
    case: str, strided: bool, pixel_format: PixelFormat
) -> None:
    """In float64, and to one step where the input is so nearly the pixels that these are used."""
    dtype, scale, zero_point, normalization = QUANTISED[case]
    real = (ALL_PIXELS.astype(np.float64) - normalization.mean) / normalization.std
    expected, tolerance = real, 1e-6
    if scale:
        limits = np.iinfo(dtype)
        expected = np.clip(np.rint(real / scale) + zero_point, limits.min, limits.max)
        same = ALL_PIXELS.astype(int) + limits.min
        tolerance = 1.0 if np.abs(np.rint(real / scale) + zero_point - same).max() <= 1 else 0.0
    out = np.empty((16, 32 if strided else 16, 3), dtype)[:, :: 2 if strided else 1]
    tensor = InputTensor(16, 16, dtype, scale, zero_point)
    Preprocessor(tensor, normalization)(frame(grey(ALL_PIXELS), pixel_format), out)
    np.testing.assert_allclose(out, np.repeat(expected[:, :, None], 3, 2), rtol=0, atol=tolerance)
    if case in PIXELS_AS_THEY_ARE:
        np.testing.assert_array_equal(out, grey(ALL_PIXELS))


def test_stock_int8_is_the_pixel_with_its_sign_flipped() -> None:
    table = pixel_table(InputTensor(1, 1, INT8, 1 / 128, 0), AS_IS)
    np.testing.assert_array_equal(table, np.arange(-128, 128))


@pytest.mark.parametrize("dtype", [UINT8, INT8])
def test_an_input_without_a_scale_takes_pixels(dtype: np.dtype[Any]) -> None:
    """Such a model normalises them itself."""
    table = pixel_table(InputTensor(1, 1, dtype), InputNormalization(0, 255))
    np.testing.assert_array_equal(table, np.arange(256) + np.iinfo(dtype).min)


def test_nothing_of_one_frame_is_left_in_the_next() -> None:
    """Neither where the next one is padded."""
    preprocess = Preprocessor(InputTensor(8, 8, UINT8), AS_IS, "letterbox")
    out, fresh = np.empty((8, 8, 3), np.uint8), np.empty((8, 8, 3), np.uint8)
    preprocess(frame(grey([[255]])), out)
    preprocess(frame(grey([[10, 10]])), out)
    preprocess(frame(grey([[10, 10]])), fresh)
    np.testing.assert_array_equal(out, fresh)
    assert out.max() == P
