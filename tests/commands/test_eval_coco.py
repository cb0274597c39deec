"""mAP on 66 COCO images reproduces the published figures, on every runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_ssd.inference.options import ModelOptions
from edge_ssd.models.catalogue import DEFAULT


@pytest.mark.parametrize(("model", "published"), [(DEFAULT, 0.313), ("stock", 0.256)])
def test_map_of_the_deployed_path(
    model: str, published: float, shared: Path, stock_model: Path, runtime_name: str
) -> None:
    pytest.importorskip("pycocotools")
    from edge_ssd.commands.eval.annotations import read_annotations
    from edge_ssd.commands.eval.evaluation import evaluate

    name = str(stock_model) if model == "stock" else model
    options = ModelOptions(name=name, runtime=runtime_name, threads=1)
    annotations = read_annotations(shared / "coco66" / "instances.json")
    (report,) = evaluate([options], shared / "coco66" / "images", annotations)
    found = report.score.summary["AP"]
    print(f"{model} on {runtime_name}: mAP {found:.4f}")
    assert found == pytest.approx(published, abs=0.005)
