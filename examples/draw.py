"""Draw boxes, labels and scores: python draw.py IMAGE OUTPUT"""

import sys

import cv2

from edge_ssd import Detector

image = cv2.imread(sys.argv[1])
cv2.imwrite(sys.argv[2], Detector().annotate(image))
