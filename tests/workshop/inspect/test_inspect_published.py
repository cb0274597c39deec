"""What ``models inspect`` says of the files that people have, as text and as JSON."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from support.command import edge_ssd
from support.inspecting import flat

from edge_ssd.commands.models import inspected
from edge_ssd.models import catalogue
from edge_ssd.workshop.inspect import inspect

BUNDLED = catalogue.DEFAULT
GRIDS = [(19, 3), (10, 6), (5, 6), (3, 6), (2, 6), (1, 6)]


def test_the_bundled_model_through_the_command() -> None:
    done = edge_ssd("models", "inspect", BUNDLED)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert all(len(line) <= 80 for line in lines[1:])
    text = " ".join(done.stdout.split())
    for expected in (
        "An SSD with raw heads, computed in int8. The detector can use it.",
        "`models prepare` packs the manifest inside: one file is all it takes",
        "`prepare --int8` has nothing to gain: it is int8 already",
        "image [1, 300, 300, 3] int8, scale 0.00784314, zero point -1",
        "scores [1, 1917, 91] int8, scale 0.00390625, zero point -128: 90 classes, and the "
        "background",
        "1917, from the manifest beside the file; grids 19, 10, 5, 3, 2, 1 with 3, 6, 6, 6, 6, 6 "
        "boxes per cell",
        "90 labels for 90 classes: class 0 is 'person'",
        "55 CONV_2D, 33 DEPTHWISE_CONV_2D, 12 RESHAPE, 10 ADD, 2 CONCATENATION, 1 LOGISTIC",
        "multiply-adds 749.5 million per inference",
        f"catalogue {BUNDLED}",
    ):
        assert expected in text


def test_the_json_of_the_bundled_model() -> None:
    done = edge_ssd("models", "inspect", BUNDLED, "--json")
    report = json.loads(done.stdout)
    assert list(report) == [
        "schema",
        "path",
        "size",
        "sha256",
        "catalogue",
        "kind",
        "what",
        "usable",
        "problem",
        "remedy",
        "needs",
        "gains",
        "inputs",
        "outputs",
        "postprocess_options",
        "heads",
        "anchors",
        "labels",
        "operators",
        "weights",
        "edgetpu",
        "work",
    ]
    file = catalogue.bundled()[BUNDLED]
    content = file.read_bytes()
    assert (report["schema"], report["path"], report["size"]) == (1, str(file), len(content))
    assert report["sha256"] == hashlib.sha256(content).hexdigest()
    assert (report["kind"], report["usable"], report["problem"]) == ("ssd_heads", True, "")
    assert report["heads"]["classes"] == 90
    assert report["heads"]["background"] is True
    assert report["anchors"]["layers"][0] == {"rows": 19, "columns": 19, "boxes": 3}
    assert report["edgetpu"] is None
    assert report["postprocess_options"] is None


def test_the_published_model(stock_model: Path) -> None:
    report = inspect(str(stock_model))
    assert (report.kind.value, report.usable, report.needs) == ("ssd_with_op", True, [])
    assert report.catalogue
    assert report.sha256.startswith("e4b118e5")
    assert report.anchors
    assert report.anchors.source == "operator"
    assert [(layer.rows, layer.boxes) for layer in report.anchors.layers] == GRIDS
    assert report.postprocess_options
    assert report.postprocess_options["max_detections"] == 10
    assert report.postprocess_options["nms_score_threshold"] == pytest.approx(1e-8)
    assert report.operators["CONV_2D"] == 34
    # MobileNet V1 at width 0.75, and the heads of 91 columns.
    assert report.work.multiply_adds == 728_036_496
    assert "none in the file; its 90 classes are taken for COCO's" in flat(report)
    assert "`prepare --int8` makes it 2 to 3 times faster on x86-64" in flat(report)


def test_the_published_model_with_its_labels_inside(shared: Path) -> None:
    name = "ssd_mobilenet_v1_coco_quant_with_metadata.tflite"
    report = inspect(str(shared / "models" / name))
    assert report.labels
    assert (report.labels.source, report.labels.named) == ("metadata inside", 80)
    assert report.labels.note == "90 labels for 90 classes: class 0 is 'person'"


def test_the_second_half_of_a_split_model(shared: Path) -> None:
    name = "ssd_mobilenet_v1_coco_quant_postprocess_segment_1_of_2_edgetpu.tflite"
    report = inspect(str(shared / "models" / name))
    text = flat(report)
    assert "Segment 1 of 2 (counted from 0, the last part) of a split model" in text
    assert "compiled for the Edge TPU. The detector cannot use it: it takes Feature" in text
    assert "an Edge TPU and libedgetpu" in text
    assert "`prepare --int8` cannot: the weights are inside the compiled program" in text
    assert report.edgetpu
    assert (report.edgetpu.operators, report.edgetpu.of_operators) == (1, 4)
    assert (report.edgetpu.bytes, report.edgetpu.of_bytes) == (3_895_380, 3_926_052)
    assert report.work.uncounted == ("edgetpu-custom-op",)
    assert report.heads
    assert report.heads.boxes.name == "Squeeze2"
    assert report.anchors
    assert [(layer.rows, layer.boxes) for layer in report.anchors.layers] == GRIDS
    assert all(len(line) <= 80 for line in inspected.as_text(report).splitlines()[1:])
