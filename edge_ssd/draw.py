"""Annotated images: boxes, labels and scores drawn on a copy of the frame."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import PublishError
from edge_ssd.files import replacing
from edge_ssd.types import Detections

Image = NDArray[np.uint8]
Boxes = NDArray[np.int_]  # (N, 4) xmin, ymin, xmax, ymax in pixels
Color = tuple[int, int, int]  # blue, green, red

_READABLE_PIXELS = 480  # of the longer side; a smaller image is enlarged for its text
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAPITAL_PIXELS = 21  # height of a capital letter of this font at scale 1
_SMALLEST_CAPITAL = 8
_TEXT_SIZES = (1.0, 0.75, 0.5)  # of the usual one, tried until every label has a place
_MAX_HIDDEN = 0.1  # share of a box that all labels together may cover
_OPACITY = 0.6  # of a label that covers a part of a box
_JPEG_QUALITY = 90


def annotate(image: Image, detections: Detections) -> Image:
    """Return a copy of a (height, width, 3) uint8 BGR image with boxes, labels and scores drawn.

    Lines and letters grow with the image; an image too small for text is enlarged by a whole
    factor. A class has the same colour in every image. In a crowded image the text is smaller,
    and a label for which no place is left is omitted: labels never cover each other, nor
    together more than a tenth of any box.
    """
    image, factor = _canvas(image)
    boxes = np.rint(detections.boxes_xyxy_pixels() * factor).astype(int)
    colors = [class_color(class_id) for class_id in detections.class_ids.tolist()]
    for box, color in zip(boxes[::-1], colors[::-1], strict=True):  # the best one on top
        _draw_box(image, box, color)
    texts = [f"{_drawable(found.label)} {found.score:.0%}" for found in detections]
    for plate in _layout(texts, colors, boxes, image):
        plate.draw(image)
    return image


def save(path: Path, image: Image) -> None:
    """Write a (height, width, 3) uint8 BGR image in the format of its extension.

    The file appears whole or not at all; its folder is made where missing. Raises
    PublishError when it cannot be written or the extension is unknown.
    """
    try:
        _, data = cv2.imencode(path.suffix, image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, sync=False) as part:
            part.write_bytes(data.tobytes())
    except cv2.error as error:
        raise PublishError(f"{path}: {error.err}", "use a name that ends in .jpg") from error
    except OSError as error:
        raise PublishError(f"{path}: {error.strerror}", "choose another folder") from error


def class_color(class_id: int) -> Color:
    """Return the colour of a class: bright, and unlike that of any class near in number."""
    # The steps were searched for: the least difference (CIE76) of any two among the first
    # ten classes is 34, among 90 it is 6.
    hue = (0.2 + class_id * 0.46047) % 1.0
    lightness, saturation = (0.7, 0.46)[class_id % 2], (1.0, 0.8, 0.65)[class_id % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
    return round(blue * 255), round(green * 255), round(red * 255)


@dataclass(frozen=True, slots=True)
class _Plate:
    """A label's text and the filled rectangle behind it, pixels."""

    text: str
    color: Color
    font_scale: float
    pad: int
    corners: Boxes  # (4,)
    opacity: float

    def draw(self, image: Image) -> None:
        left, top, right, bottom = self.corners.tolist()
        behind = image[top:bottom, left:right]
        behind[:] = np.rint(np.array(self.color) * self.opacity + behind * (1 - self.opacity))
        # A little high in its plate, for the tails of letters such as p.
        origin = (left + self.pad, bottom - self.pad - self.pad // 5)
        ink, thickness = _readable_on(behind.mean((0, 1))), _thickness(self.font_scale)
        cv2.putText(image, self.text, origin, _FONT, self.font_scale, ink, thickness, cv2.LINE_AA)


def _draw_box(image: Image, box: Boxes, color: Color) -> None:
    """Draw the outline of xmin, ymin, xmax, ymax, wholly inside the image."""
    line = _line(image)
    last = np.array(image.shape[1::-1]) - 1 - line // 2
    low, high = np.clip(box.reshape(2, 2), line // 2, last).tolist()
    # A dark rim keeps the line visible on a background of its own colour.
    dark = (color[0] // 4, color[1] // 4, color[2] // 4)
    cv2.rectangle(image, low, high, dark, line + max(2, line // 2), cv2.LINE_AA)
    cv2.rectangle(image, low, high, color, line, cv2.LINE_AA)


def _layout(
    texts: Sequence[str], colors: Sequence[Color], boxes: Boxes, image: Image
) -> list[_Plate]:
    """Return the labels that have a place, in the largest letters in which all have one."""
    usual = max(10, round(_side(image) / 50))
    for size in _TEXT_SIZES:
        capital = max(_SMALLEST_CAPITAL, round(usual * size))
        plates = _place(texts, colors, boxes, image, capital)
        if len(plates) == len(texts):
            break
    return plates


def _place(
    texts: Sequence[str], colors: Sequence[Color], boxes: Boxes, image: Image, capital: int
) -> list[_Plate]:
    """Place each label, the first ones first, where it covers least, or not at all."""
    pad = round(capital * 0.45)
    areas = np.maximum(1, np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    hidden, taken = np.zeros(len(boxes)), np.zeros((0, 4), int)
    plates = []
    for text, color, box in zip(texts, colors, boxes, strict=True):
        scale, room = capital / _CAPITAL_PIXELS, max(1, image.shape[1] - 2 * pad)
        usual = cv2.getTextSize(text, _FONT, scale, _thickness(scale))[0][0]
        scale, width = scale * min(1.0, room / usual), min(usual, room)
        places = _places(box, width + 2 * pad, capital + 2 * pad, image)
        shares = _overlaps(places, boxes) / areas
        allowed = ~_overlaps(places, taken).any(1) & (hidden + shares <= _MAX_HIDDEN).all(1)
        if allowed.any():
            best = np.where(allowed, shares.sum(1), np.inf).argmin()
            opacity = _OPACITY if shares[best].any() else 1.0
            plates.append(_Plate(text, color, scale, pad, places[best], opacity))
            hidden += shares[best]
            taken = np.vstack([taken, places[best]])
    return plates


def _places(box: Boxes, width: int, height: int, image: Image) -> Boxes:
    """(K, 4) places of a plate inside the image, best first: above, inside, below, beside."""
    left, top, right, bottom = box.tolist()
    edge, (rows, columns) = _line(image) // 2, image.shape[:2]
    lefts = (left - edge, right + edge - width, (left + right - width) // 2)
    tops = (top - edge - height + 1, max(0, top - edge), bottom + edge, bottom - height)
    beside = [(x, y) for x in (right, left - width) for y in (top, bottom - height)]
    corners = np.array([(x, y) for y in tops for x in lefts] + beside)
    corners[:, 0] = np.clip(corners[:, 0], 0, max(0, columns - width))
    corners = corners[(corners[:, 1] >= 0) & (corners[:, 1] + height <= rows)]
    return np.hstack([corners, corners + np.array([width, height])])


def _overlaps(some: Boxes, others: Boxes) -> Boxes:
    """(S, O) pixels that each two of (S, 4) and (O, 4) have in common."""
    low = np.maximum(some[:, None, :2], others[:, :2])
    high = np.minimum(some[:, None, 2:], others[:, 2:])
    return cast("Boxes", np.maximum(0, high - low).prod(axis=2))


def _thickness(font_scale: float) -> int:
    return max(1, round(font_scale * 2))


def _line(image: Image) -> int:
    return max(2, round(_side(image) / 280))


def _side(image: Image) -> float:
    """Side of a square as large as the image, pixels."""
    return float((image.shape[0] * image.shape[1]) ** 0.5)


def _canvas(image: Image) -> tuple[Image, int]:
    """A copy, enlarged where needed, and the factor."""
    factor = max(1, -(-_READABLE_PIXELS // max(image.shape[:2])))
    copy = np.array(image, order="C")
    if factor > 1:
        size = (image.shape[1] * factor, image.shape[0] * factor)
        copy = cast("Image", cv2.resize(copy, size, interpolation=cv2.INTER_CUBIC))
    return copy, factor


def _drawable(text: str) -> str:
    """What the font can draw: accents are taken off, other scripts become question marks."""
    bare = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(bare).encode("ascii", "replace").decode("ascii")


def _readable_on(color: Sequence[float] | NDArray[np.float64]) -> Color:
    """Black or white ink, by WCAG 2 relative luminance; contrast 3.5 at least.

    WCAG would change to black at 0.18, but on strong reds and blues the eye prefers white.
    """
    blue, green, red = ((channel / 255) ** 2.2 for channel in color)
    luminance = 0.0722 * blue + 0.7152 * green + 0.2126 * red
    return (0, 0, 0) if luminance > 0.25 else (255, 255, 255)
