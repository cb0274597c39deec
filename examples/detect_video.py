"""Print what each frame of a video shows: python detect_video.py VIDEO"""

import sys

from edge_ssd import stream

for result in stream(sys.argv[1]):
    labels = ", ".join(found.label for found in result.detections)
    print(f"{result.frame.position_s:.2f} s: {labels or 'nothing'}")
