"""MediaPipe Tasks' ObjectDetector in image mode, as its guide has it."""

from __future__ import annotations

import cv2
import mediapipe as mp
from harness import SCORE_THRESHOLD, Detection, arguments, measure
from mediapipe.tasks.python import BaseOptions, vision


def main() -> None:
    options = vision.ObjectDetectorOptions(
        base_options=BaseOptions(model_asset_path=str(arguments().model)),
        running_mode=vision.RunningMode.IMAGE,
        score_threshold=SCORE_THRESHOLD,
    )
    with vision.ObjectDetector.create_from_options(options) as detector:

        def detect(frame: cv2.typing.MatLike) -> list[Detection]:
            rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            image = mp.Image(image_format=mp.ImageFormat.SRGB, data=rgb)
            height, width = frame.shape[:2]
            return [_row(each, height, width) for each in detector.detect(image).detections]

        measure(detect, f"mediapipe {mp.__version__}")


def _row(found: mp.tasks.components.containers.Detection, height: int, width: int) -> Detection:
    box, best = found.bounding_box, found.categories[0]
    ymin, xmin = box.origin_y / height, box.origin_x / width
    ymax, xmax = ymin + box.height / height, xmin + box.width / width
    return best.category_name, best.score, ymin, xmin, ymax, xmax


if __name__ == "__main__":
    main()
