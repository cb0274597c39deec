"""``models inspect``: what it says of each kind of file, as text and as JSON."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edge_ssd
from tflite_builder import FLOAT, Kind, Model
from tflite_models import (
    FLOATS,
    INT8,
    PostprocessOptions,
    classifier_model,
    edgetpu_model,
    raw_heads_model,
    stock_like_model,
)

from edge_ssd.cli import inspected
from edge_ssd.errors import ModelError
from edge_ssd.inspection import Report, inspect
from edge_ssd.models import catalogue, embedded

ANCHORS = np.array([[0.5, 0.5, 0.5, 0.5]] * 12, np.float32)
BUNDLED = catalogue.DEFAULT
GRIDS = [(19, 3), (10, 6), (5, 6), (3, 6), (2, 6), (1, 6)]


def stock_like(**options: Any) -> bytes:
    return stock_like_model(ANCHORS, 4, PostprocessOptions(num_classes=3, **options))


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


def flat(report: Report) -> str:
    """The text as one line, since where it breaks depends on the folder's name."""
    return " ".join(inspected.as_text(report).split())


# --- The real files ---


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
        "boxes a cell",
        "90 labels for 90 classes: class 0 is 'person'",
        "55 CONV_2D, 33 DEPTHWISE_CONV_2D, 12 RESHAPE, 10 ADD, 2 CONCATENATION, 1 LOGISTIC",
        "multiply-adds 749.5 million an inference",
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


# --- Every kind ---


def network(*outputs: Sequence[int], image: Sequence[int] = (1, 320, 320, 3)) -> bytes:
    """A graph of one operator with outputs of these shapes, which nothing could run."""
    model = Model().tensor("image", image)
    names = [f"out{index}" for index in range(len(outputs))]
    for name, shape in zip(names, outputs, strict=True):
        model.tensor(name, shape)
    return model.op("RESHAPE", ("image",), names).build(("image",), names)


@pytest.mark.parametrize(
    ("content", "kind", "usable", "words"),
    [
        (stock_like(), "ssd_with_op", True, "A stock SSD file with its postprocess operator"),
        (raw_heads_model(1917, 91, input_shape=(1, 300, 300, 3)), "ssd_heads", True, "raw heads"),
        (raw_heads_model(), "ssd_heads", False, "predicts 12 boxes and the usual layout"),
        (edgetpu_model(), "ssd_heads", False, "compiled for the Edge TPU"),
        (classifier_model(), "classifier", False, "A classifier: it names a picture"),
        (network((1, 25200, 85)), "yolo", False, "like YOLO"),
        (network((1, 84, 8400)), "yolo", False, "like YOLO"),
        (network((1, 13, 13, 255), (1, 26, 26, 255)), "yolo", False, "like YOLO"),
        (network((1, 896, 16), (1, 896, 1)), "keypoint_boxes", False, "like MediaPipe's"),
        (network((1, 19206, 4), (1, 19206, 90)), "efficientdet_heads", False, "EfficientDet"),
        (network((1, 257, 257, 21)), "map", False, "gives a map"),
        (network((1, 5), (1, 7)), "other", False, "Not an SSD detector"),
    ],
    ids=[
        "op",
        "heads",
        "few-heads",
        "tpu",
        "classifier",
        "yolo5",
        "yolo8",
        "yolo3",
        "mediapipe",
        "efficientdet",
        "map",
        "other",
    ],
)
def test_what_a_file_is(
    content: bytes, kind: str, usable: bool, words: str, inspect_bytes: Callable[..., Report]
) -> None:
    report = inspect_bytes(content)
    assert (report.kind.value, report.usable) == (kind, usable)
    assert words in flat(report)
    assert bool(report.problem) is not usable
    assert f"The detector can{'' if usable else 'not'} use it" in flat(report)


def test_a_whole_model_for_the_edge_tpu(inspect_bytes: Callable[..., Report]) -> None:
    layout = {"type": "table", "values_cyxhw": ANCHORS.tolist()}
    report = inspect_bytes(edgetpu_model(), anchors=layout, labels=["a", "b", "c"])
    assert report.usable
    assert report.needs == ["an Edge TPU and libedgetpu (model.delegate: edgetpu)"]
    assert report.gains[1:] == [
        "`prepare --int8` cannot: the weights are inside the compiled program"
    ]


@pytest.mark.parametrize("name", ["m_segment_0_of_3.tflite", "m_segment_2_of_3_edgetpu.tflite"])
def test_parts_of_a_split_model_by_name(name: str, inspect_bytes: Callable[..., Report]) -> None:
    report = inspect_bytes(network((1, 19, 19, 512)), name)
    number = name[10]
    last = ", the last part" if number == "2" else ""
    expected = f"segment {number} of 3 (counted from 0{last}) of a split model"
    assert report.what.startswith(expected)
    assert report.needs[0].startswith("the whole model")
    assert not report.usable


def test_the_end_of_a_split_model_without_a_telling_name(
    inspect_bytes: Callable[..., Report],
) -> None:
    options = PostprocessOptions(num_classes=3)
    content = stock_like_model(ANCHORS, 4, options, input_shape=(1, 4, 4, 512))
    report = inspect_bytes(content)
    assert report.what.startswith("the end of a split model: it takes no picture")


def test_a_float_model(inspect_bytes: Callable[..., Report]) -> None:
    report = inspect_bytes(stock_like_model(ANCHORS, 4, PostprocessOptions(num_classes=3), FLOATS))
    assert report.what == "a stock SSD file with its postprocess operator, computed in float32"
    assert "`prepare --int8` cannot" in " ".join(report.gains)
    assert report.inputs[0].scale is None


def test_a_model_whose_operator_cannot_be_understood(inspect_bytes: Callable[..., Report]) -> None:
    report = inspect_bytes(stock_like(y_scale=float("nan")))
    assert (report.kind.value, report.usable) == ("ssd_with_op", False)
    assert "the option y_scale of TFLite_Detection_PostProcess is nan" in report.problem
    assert json.loads(inspected.as_json(report))["postprocess_options"]["y_scale"] is None
    assert report.gains == []


def test_a_single_class_that_is_taken_for_the_background(
    inspect_bytes: Callable[..., Report],
) -> None:
    """As face detectors have it; it would find nothing, for ever."""
    content = raw_heads_model(1917, 1, input_shape=(1, 300, 300, 3))
    report = inspect_bytes(content)
    assert report.problem == "it has one column of scores, which is taken for the background"
    assert report.remedy.startswith('if it is its only class, write "background": false')
    assert inspect_bytes(content, background=False, labels=["face"]).usable


# --- Anchors, labels, weights ---


def test_where_anchors_come_from(inspect_bytes: Callable[..., Report]) -> None:
    heads = raw_heads_model(1917, 91, input_shape=(1, 300, 300, 3))
    usual = inspect_bytes(heads)
    assert usual.anchors
    assert (usual.anchors.source, usual.anchors.count) == ("formula", 1917)
    described = {"type": "table", "values_cyxhw": [[0.5, 0.5, 0.1, 0.1]] * 1917}
    beside = inspect_bytes(heads, anchors=described)
    assert beside.anchors
    assert beside.anchors.source == "manifest beside"
    assert [(layer.rows, layer.boxes) for layer in beside.anchors.layers] == [(1, 1917)]


def test_a_manifest_inside_the_file(inspect_bytes: Callable[..., Report]) -> None:
    table = {"type": "table", "values_cyxhw": ANCHORS.tolist()}
    described = {"schema": 1, "anchors": table, "labels": ["a", None, "c"]}
    report = inspect_bytes(embedded.write(raw_heads_model(), described))
    assert report.anchors
    assert report.labels
    assert (report.anchors.source, report.labels.source) == ("manifest inside",) * 2
    assert (report.labels.named, report.usable) == (2, True)


def test_anchors_without_grids(inspect_bytes: Callable[..., Report]) -> None:
    scattered = np.random.default_rng(1).uniform(0.1, 0.9, (12, 4)).astype(np.float32)
    report = inspect_bytes(stock_like_model(scattered, 4, PostprocessOptions(num_classes=3)))
    assert "12, stored in the file, with the operator; they form no grids" in flat(report)


def labelled(text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("labels.txt", text)
    return stock_like() + packed.getvalue()


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("a\nb\nc\n", "3 labels for 3 classes: class 0 is 'a'"),
        (
            "???\na\nb\nc\n",
            "4 labels for 3 classes and the background, which the first stands for: class 0 is 'a'",
        ),
    ],
)
def test_how_packed_labels_are_matched(
    text: str, note: str, inspect_bytes: Callable[..., Report]
) -> None:
    report = inspect_bytes(labelled(text))
    assert report.labels
    assert (report.labels.source, report.labels.note) == ("metadata inside", note)


def test_packed_labels_that_do_not_fit(inspect_bytes: Callable[..., Report]) -> None:
    report = inspect_bytes(labelled("a\nb\n"))
    assert not report.usable
    assert "2 labels and the model 3 classes: one too few" in report.problem


def test_classes_that_nothing_names(inspect_bytes: Callable[..., Report]) -> None:
    report = inspect_bytes(stock_like())
    assert report.usable
    assert report.needs == [
        "names for its 3 classes, to be read by people: a label file (model.labels), or a manifest"
    ]


def test_multiply_adds_of_each_operator_that_has_them(
    inspect_bytes: Callable[..., Report],
) -> None:
    model = Model().tensor("image", (1, 8, 8, 3), Kind("uint8", 0.1))
    model.constant("conv/w", np.zeros((16, 3, 3, 3), np.uint8)).tensor("conv", (1, 4, 4, 16))
    model.op("CONV_2D", ("image", "conv/w"), ("conv",))
    model.constant("dw/w", np.zeros((1, 3, 3, 16), np.uint8)).tensor("dw", (1, 4, 4, 16))
    model.op("DEPTHWISE_CONV_2D", ("conv", "dw/w"), ("dw",))
    model.constant("up/w", np.zeros((5, 2, 2, 16), np.uint8)).tensor("up", (1, 8, 8, 5))
    model.constant("up/shape", np.array([1, 8, 8, 5], np.int32))
    model.op("TRANSPOSE_CONV", ("up/shape", "up/w", "dw"), ("up",))
    model.constant("fc/w", np.zeros((10, 320), np.uint8)).tensor("fc", (1, 10), FLOAT)
    model.op("FULLY_CONNECTED", ("up", "fc/w"), ("fc",))
    report = inspect_bytes(model.build(("image",), ("fc",)))
    expected = 4 * 4 * 16 * 27 + 4 * 4 * 16 * 9 + 4 * 4 * 16 * 4 * 5 + 10 * 320
    assert (report.work.multiply_adds, report.work.uncounted) == (expected, ())
    assert report.weights == {"uint8": 432 + 144 + 320 + 3200, "int32": 16}
    assert report.what.endswith("computed in uint8")


def test_a_convolution_whose_shapes_do_not_tell(inspect_bytes: Callable[..., Report]) -> None:
    model = Model().tensor("image", (1, 8, 8, 3)).tensor("weights", ()).tensor("out", (1, 9))
    model.op("CONV_2D", ("image", "weights"), ("out",))
    report = inspect_bytes(model.build(("image",), ("out",)))
    assert report.work.uncounted == ("CONV_2D",)
    assert "multiply-adds those of CONV_2D: not known" in flat(report)


# --- What is no model, and what would harm the terminal ---


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip archive", raw_heads_model()[:-300]])
def test_what_is_damaged_or_no_model_is_an_error_of_one_line(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    done = edge_ssd("models", "inspect", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"error: model {re.escape(str(path))}: .*; .*\n", done.stderr)


def test_a_missing_file() -> None:
    with pytest.raises(ModelError, match="neither a file nor a name in the catalogue"):
        inspect("no.tflite")


def test_names_cannot_move_the_cursor(inspect_bytes: Callable[..., Report]) -> None:
    report = inspect_bytes(raw_heads_model(names=("\x1b[2Jboxes", "scores\r")))
    text = inspected.as_text(report)
    assert "\x1b" not in text
    assert "\r" not in text
    assert "?[2Jboxes" in text


def test_a_file_of_the_folder_is_not_taken_for_the_model_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = raw_heads_model(1917, 4, input_shape=(1, 300, 300, 3))
    (tmp_path / "ssd_mobilenet_v1_face").write_bytes(content)
    report = inspect("./ssd_mobilenet_v1_face")
    assert report.anchors
    assert report.labels
    assert (report.anchors.source, report.labels.source) == ("formula", "none")
    assert report.sha256 == hashlib.sha256(content).hexdigest()


def test_one_class_is_no_classes(inspect_bytes: Callable[..., Report]) -> None:
    content = raw_heads_model(1917, 2, input_shape=(1, 300, 300, 3))
    assert ": 1 class, and the background" in flat(inspect_bytes(content))
    assert "names for its 1 class, to" in flat(inspect_bytes(content))


def test_a_prepared_file_has_no_manifest_to_be_packed(
    inspect_bytes: Callable[..., Report],
) -> None:
    content = embedded.write(raw_heads_model(1917, 91, input_shape=(1, 300, 300, 3)), {"schema": 1})
    assert "packs the manifest inside" not in flat(inspect_bytes(content))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"\0\0\0\x20ftypisom", "not a TensorFlow Lite file"),
        (raw_heads_model(), r"it has 2,147 MB, and at most 537 MB are read; give a smaller model"),
    ],
    ids=["video", "model"],
)
def test_a_huge_file_is_not_read(start: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "huge.tflite"
    path.write_bytes(start)
    os.truncate(path, 1 << 31)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=message):
            inspect(str(path))
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_a_manifest_of_another_file(inspect_bytes: Callable[..., Report]) -> None:
    report = inspect_bytes(raw_heads_model(kinds=INT8), file={"sha256": "0" * 64})
    assert report.kind.value == "ssd_heads"
    assert "is not the file its manifest describes" in report.problem
