"""Detect with a model of your own: python own_model.py MODEL.tflite LABELS.txt IMAGE"""

import sys

from edge_ssd import Detector

model, labels, image = sys.argv[1:]
detector = Detector(model, labels=labels, threads=2)
print(detector.backend.spec.name, "finds", list(detector.labels))
for found in detector.detect(image):
    print(found.label, round(found.score, 2), [round(corner) for corner in found.box])
