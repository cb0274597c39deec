"""A configuration file that a test changes while a service runs from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2

from support.painted import SIZE, painted
from support.tflite_models import raw_heads_model


class File:
    """A configuration file of a small network that sees one `car` of score 0.75 a frame."""

    def __init__(self, folder: Path) -> None:
        (folder / "small.tflite").write_bytes(
            raw_heads_model(75, 4, input_shape=(1, SIZE, SIZE, 3))
        )
        (folder / "labels.txt").write_text("person\nbicycle\ncar\n")
        (folder / "pictures").mkdir()
        cv2.imwrite(str(folder / "pictures" / "car.png"), painted(score=0.75))
        self.folder = folder
        self.path = folder / "edge-ssd.yaml"
        self.values: dict[str, Any] = {
            "name": "front-door",
            "source": {
                "type": "synthetic", "images": "pictures", "width": SIZE, "height": SIZE,
                "fps": 200, "live": False,
            },
            "model": {"name": str(folder / "small.tflite"), "labels": "labels.txt"},
            "publishers": [{"type": "jsonl", "path": "a.jsonl"}],
        }  # fmt: skip
        self.write()

    def write(self, **values: Any) -> None:
        """Change some options."""
        self.values |= values
        self.path.write_text(json.dumps(self.values))

    def lines(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / name
        text = path.read_text() if path.exists() else ""
        # Of a line that crosses a page of memory, the kernel may show the first part alone.
        whole, _, _ = text.rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def frames(self, name: str) -> list[int]:
        return [line["frame"] for line in self.lines(name)]
