"""``python -m deploy.export NAME --output DIR``: build a model and its manifest."""

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from deploy.export import ExportError, check_installed
from deploy.export.recipes import MODELS, recipe

_PICTURES = Path(__file__).parents[2] / "demo" / "images"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.export", description=__doc__)
    parser.add_argument("name", choices=MODELS)
    parser.add_argument("--output", type=Path, required=True, help="an existing folder")
    arguments = parser.parse_args()
    if not arguments.output.is_dir():
        parser.error(f"--output: {arguments.output} is no folder, make it first")
    try:
        check_installed()
        export(arguments.name, arguments.output)
    except ExportError as error:
        sys.exit(f"error: {error}")


def export(name: str, output: Path) -> None:
    """Write NAME.tflite and NAME.json."""
    from deploy.export.golden import detections  # noqa: PLC0415 - needs the package's own needs

    wanted = recipe(name)
    with tempfile.TemporaryDirectory() as folder:
        content = wanted.build(Path(folder))
    path = output / f"{name}.tflite"
    path.write_bytes(content)
    described = wanted.manifest(content)
    beside = path.with_suffix(".json")
    _write(beside, described)
    if wanted.golden:
        _write(beside, described | {"golden": detections(path, _PICTURES / wanted.golden)})
    print(f"{path}: {len(content)} bytes, sha256 {described['file']['sha256']}")


def _write(path: Path, described: dict[str, Any]) -> None:
    text = json.dumps(described, indent=1, ensure_ascii=False)
    # A box or a grid is one line.
    text = re.sub(r"\[\s+([-\d.e,\s]+?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", text)
    path.write_text(f"{text}\n", "utf-8")


main()
