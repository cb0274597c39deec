"""``python -m deploy.export NAME --output DIR``: rebuild a bundled model and its manifest."""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from deploy.export import ExportError
from deploy.export.golden import detections

MODELS = ("ssdlite_mobilenet_v2_coco",)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.export", description=__doc__)
    parser.add_argument("name", choices=MODELS)
    parser.add_argument("--output", type=Path, required=True, help="an existing folder")
    parser.add_argument("--golden", type=Path, default=Path("demo/images/coffee.jpg"))
    arguments = parser.parse_args()
    if not arguments.output.is_dir():
        parser.error(f"--output: {arguments.output} is no folder, make it first")
    try:
        export(arguments.output, arguments.golden)
    except ExportError as error:
        sys.exit(f"error: {error}")


def export(output: Path, picture: Path) -> None:
    """Write NAME.tflite and NAME.json; the golden detections are those on ``picture``."""
    from deploy.export import ssdlite_coco as model  # noqa: PLC0415 - imports TensorFlow

    with tempfile.TemporaryDirectory() as folder:
        content = model.build(Path(folder))
    path = output / f"{model.NAME}.tflite"
    path.write_bytes(content)
    described = model.manifest(content)
    beside = path.with_suffix(".json")
    _write(beside, described)
    _write(beside, described | {"golden": detections(path, picture)})
    print(f"{path}: {len(content)} bytes, sha256 {described['file']['sha256']}")


def _write(path: Path, described: dict[str, Any]) -> None:
    path.write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", "utf-8")


main()
