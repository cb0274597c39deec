"""Makes clip.mp4 from the pictures beside it: a slow zoom over each, 640x480, 25 frames a second.

Run from anywhere: ``python demo/make_clip.py``. Needs opencv-python-headless alone.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent
WIDTH, HEIGHT, FPS = 640, 480, 25
FRAMES_EACH = 25
ZOOM = 0.85
"""How much of the picture is seen at the end of its zoom."""


def main() -> None:
    writer = cv2.VideoWriter(
        str(FOLDER / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT)
    )
    for path in sorted((FOLDER / "images").glob("*.jpg")):
        picture = fitted(cv2.imread(str(path)))
        for step in range(FRAMES_EACH):
            writer.write(zoomed(picture, 1 - (1 - ZOOM) * step / (FRAMES_EACH - 1)))
    writer.release()


def fitted(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture scaled into the frame, its edges continued to fill it."""
    rows, columns = picture.shape[:2]
    scale = min(WIDTH / columns, HEIGHT / rows)
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = (HEIGHT - small.shape[0]) // 2, (WIDTH - small.shape[1]) // 2
    return cv2.copyMakeBorder(
        small, top, HEIGHT - small.shape[0] - top, left, WIDTH - small.shape[1] - left,
        cv2.BORDER_REPLICATE,
    )  # fmt: skip


def zoomed(picture: NDArray[np.uint8], part: float) -> NDArray[np.uint8]:
    """The middle ``part`` of the picture, enlarged to fill the frame."""
    matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 0, 1 / part)
    return cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)


if __name__ == "__main__":
    main()
