"""What a model finds in an image, through the package's own detector: its golden case."""

from pathlib import Path
from typing import Any

from edge_ssd import Detector

THRESHOLD = 0.5


def detections(model: Path, image: Path) -> dict[str, Any]:
    """Return the manifest's golden entry: boxes are ymin, xmin, ymax, xmax, normalised."""
    found = Detector(model, score_threshold=THRESHOLD, threads=1).detect(image)
    return {
        "image": image.name,
        "resize": "stretch",
        "score_threshold": THRESHOLD,
        "detections": [
            {
                "label": each.label,
                "class_id": each.class_id,
                "score": round(each.score, 4),
                "box_yxyx": [round(value, 4) for value in box],
            }
            for each, box in zip(found, found.boxes_yxyx.tolist(), strict=True)
        ],
    }
