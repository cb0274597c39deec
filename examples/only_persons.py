"""Count the persons in images: python only_persons.py IMAGE..."""

import sys

from edge_ssd import Detector

detector = Detector(classes=["person"], score_threshold=0.4)
for path in sys.argv[1:]:
    print(path, len(detector.detect(path)))
