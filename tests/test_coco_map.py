"""mAP on 66 COCO images, with the settings of the published figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_ssd.config import ModelOptions, PostprocessSection
from edge_ssd.models.catalogue import DEFAULT

SETTINGS = PostprocessSection(score_threshold=0.01, iou_threshold=0.6, max_detections=100)


@pytest.mark.parametrize(("model", "least"), [(DEFAULT, 0.305), ("stock", 0.250)])
def test_map_of_the_deployed_path(
    model: str, least: float, shared: Path, stock_model: Path, runtime_name: str
) -> None:
    pytest.importorskip("pycocotools")
    from coco_map import coco_map

    name = str(stock_model) if model == "stock" else model
    options = ModelOptions(name=name, runtime=runtime_name, threads=1)
    found = coco_map(options, SETTINGS, shared / "coco66")
    print(f"{model} on {runtime_name}: mAP {found:.4f}")
    assert found >= least
