"""Pass detections on to supervision: python supervision_detections.py IMAGE"""

import sys

import supervision as sv

from edge_ssd import Detector

found = Detector().detect(sys.argv[1])
detections = sv.Detections(
    xyxy=found.boxes_xyxy_pixels(), confidence=found.scores, class_id=found.class_ids
)
print(detections)
