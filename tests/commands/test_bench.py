"""``edge-ssd bench``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command import edge_ssd
from support.painted import paint


@pytest.mark.parametrize("as_json", [True, False])
def test_it_measures_a_folder_of_images(folder: Path, as_json: bool) -> None:
    (folder / "frames").mkdir()
    for number in range(12):
        paint(folder / "frames" / f"{number}.png", 0.75)
    finished = edge_ssd(
        "bench", "--model", folder / "small.tflite", "--frames", folder / "frames", "--count", 9,
        "--threads", 1, *(["--json"] if as_json else []),
    )  # fmt: skip
    assert (finished.returncode, finished.stderr) == (0, "")
    if not as_json:
        assert finished.stdout.startswith("small, 1 thread, 9 frames\n")
        assert finished.stdout.splitlines()[-1].endswith(" ms to the first result")
        return
    report = json.loads(finished.stdout)
    assert report["frames"] == 9
    assert report["op_ms"] is None
    assert report["pipeline_fps"] > 0
    assert report["pipeline_to_bare"] > 0
    assert set(report["postprocess_ms"]) == {"0.5", "0.05", "0.01"}
    assert report["memory_mb"] > 10
    assert report["cold_start_ms"] > 0
