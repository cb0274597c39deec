"""Pictures for people: boxes, labels and scores drawn on a copy of the frame."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import PublishError
from edge_ssd.types import Detections

Image = NDArray[np.uint8]
Box = NDArray[np.int_]  # xmin, ymin, xmax, ymax in pixels
Color = tuple[int, int, int]  # blue, green, red

# A picture whose longer side is shorter than this is enlarged, or its text would be unreadable.
_READABLE_PIXELS = 480

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAPITAL_PIXELS = 21  # height of a capital letter of this font at scale 1
_JPEG_QUALITY = 90


def annotate(image: Image, detections: Detections) -> Image:
    """Return a copy of a (height, width, 3) uint8 BGR image with boxes, labels and scores drawn.

    Lines and letters grow with the picture; a picture too small for text is enlarged by a
    whole factor. A class has the same colour in every picture.
    """
    image, factor = _canvas(image)
    pen = _Pen.for_picture(image)
    boxes = np.rint(detections.boxes_xyxy_pixels() * factor).astype(int)
    class_ids = detections.class_ids.tolist()
    # Best last, so that it lies on top; but its label chooses its place first.
    for box, class_id in zip(boxes[::-1], class_ids[::-1], strict=True):
        pen.draw_box(image, box, class_color(class_id))
    plates: list[_Plate] = []
    for box, class_id, score in zip(boxes, class_ids, detections.scores.tolist(), strict=True):
        text = f"{_drawable(detections.label(class_id))} {score:.0%}"
        plates.append(pen.place(text, box, plates))
    for plate, class_id in zip(plates[::-1], class_ids[::-1], strict=True):
        pen.draw_plate(image, plate, class_color(class_id))
    return image


def save(path: Path, image: Image) -> None:
    """Write a (height, width, 3) uint8 BGR picture in the format that the extension says.

    The file appears whole or not at all; its folder is made where missing. Raises
    PublishError when it cannot be written or the extension is unknown.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        _, data = cv2.imencode(path.suffix, image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data.tobytes())
        part.replace(path)
    except cv2.error as error:
        raise PublishError(f"{path}: {error.err}", "use a name that ends in .jpg") from error
    except OSError as error:
        with suppress(OSError):
            part.unlink()
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
    font_scale: float
    x: int
    y: int
    width: int
    height: int

    def overlap(self, other: _Plate) -> int:
        """Pixels that both cover."""
        width = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        height = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return max(0, width) * max(0, height)


@dataclass(frozen=True, slots=True)
class _Pen:
    """Draws on pictures of one size; line width, letter height and padding in pixels."""

    picture_width: int
    picture_height: int
    line: int
    capital: int
    pad: int

    @classmethod
    def for_picture(cls, image: Image) -> _Pen:
        height, width = image.shape[:2]
        size = (height * width) ** 0.5
        capital = max(10, round(size / 50))
        return cls(width, height, max(2, round(size / 280)), capital, round(capital * 0.45))

    def draw_box(self, image: Image, box: Box, color: Color) -> None:
        """Draw the outline of xmin, ymin, xmax, ymax, wholly inside the picture."""
        inset = self.line // 2
        low = np.maximum(box[:2], inset)
        last = np.array([self.picture_width, self.picture_height]) - 1 - inset
        high = np.minimum(box[2:], last)
        corners = low.tolist(), np.maximum(low, high).tolist()
        # A dark rim keeps the line visible on a background of its own colour.
        rim = self.line + max(2, self.line // 2)
        cv2.rectangle(image, *corners, _darker(color), rim, cv2.LINE_AA)
        cv2.rectangle(image, *corners, color, self.line, cv2.LINE_AA)

    def place(self, text: str, box: Box, taken: Sequence[_Plate]) -> _Plate:
        """Find the place at the box where the label covers least of those that are taken."""
        scale, text_width = self._fit(text)
        width, height = text_width + 2 * self.pad, self.capital + 2 * self.pad
        plates = [
            _Plate(text, scale, max(0, min(x, self.picture_width - width)), y, width, height)
            for x, y in self._places(box, width, height)
            if 0 <= y <= self.picture_height - height
        ] or [_Plate(text, scale, 0, 0, width, height)]
        return min(plates, key=lambda plate: sum(map(plate.overlap, taken)))

    def draw_plate(self, image: Image, plate: _Plate, color: Color) -> None:
        """Fill the plate and write its text in black or white, whichever can be read."""
        corner = (plate.x + plate.width - 1, plate.y + plate.height - 1)
        cv2.rectangle(image, (plate.x, plate.y), corner, color, cv2.FILLED)
        # A little high in its plate, for the tails of letters such as p.
        origin = (plate.x + self.pad, plate.y + self.capital + self.pad - self.pad // 5)
        thickness, ink = _thickness(plate.font_scale), _readable_on(color)
        cv2.putText(image, plate.text, origin, _FONT, plate.font_scale, ink, thickness, cv2.LINE_AA)

    def _fit(self, text: str) -> tuple[float, int]:
        """Font scale and width of a text, smaller than usual where the picture is narrow."""
        scale = self.capital / _CAPITAL_PIXELS
        width = _text_width(text, scale)
        room = max(1, self.picture_width - 2 * self.pad)
        if width > room:
            scale *= room / width
            width = min(room, _text_width(text, scale))
        return scale, width

    def _places(self, box: Box, width: int, height: int) -> list[tuple[int, int]]:
        """Top left corners for a plate, best first: above, inside, below, beside the box."""
        left, top, right, bottom = box.tolist()
        edge = self.line // 2
        lefts = (left - edge, right + edge - width, (left + right - width) // 2)
        tops = (top - edge - height + 1, max(0, top - edge), bottom + edge, bottom - height)
        return [(x, y) for y in tops for x in lefts] + [(right, top), (left - width, top)]


def _text_width(text: str, font_scale: float) -> int:
    return int(cv2.getTextSize(text, _FONT, font_scale, _thickness(font_scale))[0][0])


def _thickness(font_scale: float) -> int:
    return max(1, round(font_scale * 2))


def _canvas(image: Image) -> tuple[Image, int]:
    """A copy, enlarged where needed, and the factor."""
    height, width = image.shape[:2]
    factor = max(1, -(-_READABLE_PIXELS // max(width, height)))
    copy = np.array(image, order="C")
    if factor > 1:
        size = (width * factor, height * factor)
        copy = cast("Image", cv2.resize(copy, size, interpolation=cv2.INTER_CUBIC))
    return copy, factor


def _drawable(text: str) -> str:
    """What the font can draw: accents are taken off, other scripts become question marks."""
    bare = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(bare).encode("ascii", "replace").decode("ascii")


def _darker(color: Color) -> Color:
    blue, green, red = (channel // 4 for channel in color)
    return blue, green, red


def _readable_on(color: Color) -> Color:
    """Black or white ink, by WCAG 2 relative luminance; contrast 3.5 at least.

    WCAG would change to black at 0.18, but on strong reds and blues the eye prefers white.
    """
    blue, green, red = ((channel / 255) ** 2.2 for channel in color)
    luminance = 0.0722 * blue + 0.7152 * green + 0.2126 * red
    return (0, 0, 0) if luminance > 0.25 else (255, 255, 255)
