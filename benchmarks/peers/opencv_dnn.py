"""OpenCV's own network module, cv2.dnn: says why it cannot load the file.

No OpenCV up to 5.0 loads a quantised SSD. One that does will need a loop here, which could not
be tried before.
"""

from __future__ import annotations

import cv2
from harness import arguments


def main() -> None:
    try:
        cv2.dnn.readNetFromTFLite(str(arguments().model))
    except cv2.error as error:
        raise SystemExit(f"cv2.dnn {cv2.__version__} cannot load it: {error.err}") from None
    raise SystemExit(f"cv2.dnn {cv2.__version__} loads it: add its loop to opencv_dnn.py")


if __name__ == "__main__":
    main()
