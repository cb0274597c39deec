"""Print the COCO results of images such as 000139.jpg: python coco_results.py IMAGE..."""

import json
import sys
from pathlib import Path

from edge_ssd import Detector

detector, results = Detector(score_threshold=0.01), []
for path in map(Path, sys.argv[1:]):
    for found in detector.detect(path):
        xmin, ymin, xmax, ymax = found.box
        row = {"image_id": int(path.stem), "bbox": [xmin, ymin, xmax - xmin, ymax - ymin]}
        results.append(row | {"category_id": found.class_id + 1, "score": found.score})
print(json.dumps(results))
