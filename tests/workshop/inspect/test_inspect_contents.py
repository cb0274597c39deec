"""What a model file holds: anchors, labels, a manifest, weights and arithmetic."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.inspecting import ANCHORS, flat, stock_like
from support.tflite_builder import FLOAT, Kind, Model
from support.tflite_models import INT8, PostprocessOptions, raw_heads_model, stock_like_model

from edge_ssd.models import embedded
from edge_ssd.workshop.inspect import Report, inspect


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


def test_anchors_without_grids(inspect_bytes: Callable[..., Report]) -> None:
    scattered = np.random.default_rng(1).uniform(0.1, 0.9, (12, 4)).astype(np.float32)
    report = inspect_bytes(stock_like_model(scattered, 4, PostprocessOptions(num_classes=3)))
    assert "12, stored in the file, with the operator; they form no grids" in flat(report)


def test_a_manifest_inside_the_file(inspect_bytes: Callable[..., Report]) -> None:
    table = {"type": "table", "values_cyxhw": ANCHORS.tolist()}
    described = {"schema": 1, "anchors": table, "labels": ["a", None, "c"]}
    report = inspect_bytes(embedded.write(raw_heads_model(), described))
    assert report.anchors
    assert report.labels
    assert (report.anchors.source, report.labels.source) == ("manifest inside",) * 2
    assert (report.labels.named, report.usable) == (2, True)


def test_a_prepared_file_has_no_manifest_to_be_packed(
    inspect_bytes: Callable[..., Report],
) -> None:
    content = embedded.write(raw_heads_model(1917, 91, input_shape=(1, 300, 300, 3)), {"schema": 1})
    assert "packs the manifest inside" not in flat(inspect_bytes(content))


def test_a_manifest_of_another_file(inspect_bytes: Callable[..., Report]) -> None:
    report = inspect_bytes(raw_heads_model(kinds=INT8), file={"sha256": "0" * 64})
    assert report.kind.value == "ssd_heads"
    assert "is not the file it describes" in report.problem


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
    assert "2 labels do not fit the model's 3 classes: one too few" in report.problem


def test_classes_that_nothing_names(inspect_bytes: Callable[..., Report]) -> None:
    report = inspect_bytes(stock_like())
    assert report.usable
    assert report.needs == ["names for its 3 classes: a label file (model.labels) or a manifest"]


def test_one_class_is_no_classes(inspect_bytes: Callable[..., Report]) -> None:
    content = raw_heads_model(1917, 2, input_shape=(1, 300, 300, 3))
    assert ": 1 class, and the background" in flat(inspect_bytes(content))
    assert "names for its 1 class: a" in flat(inspect_bytes(content))


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
