"""Print what a USB camera sees, until Ctrl-C: python usb_camera.py /dev/video0"""

import sys

from edge_ssd import stream

camera = {"type": "usb", "path": sys.argv[1], "width": 640, "height": 480}
for result in stream(camera):
    labels = ", ".join(found.label for found in result.detections)
    print(f"{result.age_ms:.0f} ms ago: {labels or 'nothing'}", flush=True)
