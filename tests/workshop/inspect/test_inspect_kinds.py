"""What kind of model a file is, and whether the detector can use it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest
from support.inspecting import ANCHORS, flat, stock_like
from support.tflite_builder import Model
from support.tflite_models import (
    FLOATS,
    PostprocessOptions,
    classifier_model,
    edgetpu_model,
    raw_heads_model,
    stock_like_model,
)

from edge_ssd.commands.models import inspected
from edge_ssd.workshop.inspect import Report


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
        (classifier_model(), "classifier", False, "A classifier: it names an image"),
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
    assert report.what.startswith("the end of a split model: its input is another")


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
