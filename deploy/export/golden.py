"""What a model finds in a picture, through the package's own detector: its golden case."""

from pathlib import Path
from typing import Any

from edge_ssd.config import ModelOptions, PostprocessSection, PreprocessOptions
from edge_ssd.service import build
from edge_ssd.sources.base import frames
from edge_ssd.sources.images import ImageSource

THRESHOLD = 0.5


def detections(model: Path, picture: Path) -> dict[str, Any]:
    """Return the manifest's golden entry: boxes are ymin, xmin, ymax, xmax, normalised."""
    network = build.detector(ModelOptions(name=str(model), threads=1), PreprocessOptions())
    labels = build.labels_of(network)
    section = PostprocessSection(score_threshold=THRESHOLD)
    (frame,) = frames(ImageSource("golden", [picture]))
    geometry = network.set_frame(frame)
    found = build.postprocessor(network, labels, section)(network.invoke(), geometry)
    rows = zip(found.class_ids, found.scores, found.boxes_yxyx, strict=True)
    return {
        "image": picture.name,
        "resize": "stretch",
        "score_threshold": THRESHOLD,
        "detections": [
            {
                "label": labels[class_id],
                "class_id": int(class_id),
                "score": round(float(score), 4),
                "box_yxyx": [round(float(value), 4) for value in box],
            }
            for class_id, score, box in rows
        ],
    }
