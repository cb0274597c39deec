"""Save each object of an image as an image of its own: python crops.py IMAGE"""

import sys

import cv2

from edge_ssd import Detector

image = cv2.imread(sys.argv[1])
for number, found in enumerate(Detector().detect(image)):
    xmin, ymin, xmax, ymax = map(int, found.box)
    cv2.imwrite(f"{number}_{found.label}.jpg", image[ymin : ymax + 1, xmin : xmax + 1])
