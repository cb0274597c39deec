"""Inspects bytes as a file, with a manifest beside it if one is given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_ssd.workshop.inspect import Report, inspect


@pytest.fixture
def inspect_bytes(tmp_path: Path) -> Callable[..., Report]:
    def inspect_them(content: bytes, name: str = "m.tflite", **manifest: Any) -> Report:
        path = tmp_path / name
        path.write_bytes(content)
        if manifest:
            sha256 = hashlib.sha256(content).hexdigest()
            described = {"schema": 1, "file": {"sha256": sha256}, **manifest}
            path.with_suffix(".json").write_text(json.dumps(described))
        return inspect(str(path))

    return inspect_them
