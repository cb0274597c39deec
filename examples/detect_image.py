"""Print the objects in an image: python detect_image.py IMAGE"""

import sys

from edge_ssd import Detector

detector = Detector(score_threshold=0.5)
for found in detector.detect(sys.argv[1]):
    xmin, ymin, xmax, ymax = found.box  # pixels
    print(f"{found.label} {found.score:.2f} at {xmin:.0f}, {ymin:.0f}, {xmax:.0f}, {ymax:.0f}")
