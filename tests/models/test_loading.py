"""Any SSD file to a spec: with the op or without, with a manifest, with labels from anywhere."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tflite_builder import Model
from support.tflite_models import (
    FLOATS,
    POSTPROCESS_OP,
    PostprocessOptions,
    classifier_model,
    raw_heads_model,
    stock_like_model,
)

from edge_ssd.errors import ModelError
from edge_ssd.models.graph import Graph
from edge_ssd.models.loading import load
from edge_ssd.models.spec import BoxCoderScales

ANCHORS = np.array([[0.25, 0.25, 0.5, 0.5], [0.75, 0.5, 0.25, 0.125]], np.float32)


def save(folder: Path, content: bytes, **manifest: Any) -> str:
    """Write a model, and a manifest beside it where there are values for one."""
    path = folder / "m.tflite"
    path.write_bytes(content)
    if manifest:
        values = {"schema": 1, "file": {"sha256": hashlib.sha256(content).hexdigest()}} | manifest
        path.with_suffix(".json").write_text(json.dumps(values))
    return str(path)


def op_model(columns: int = 4, **options: Any) -> bytes:
    given = PostprocessOptions(**{"num_classes": 3} | options)
    return stock_like_model(ANCHORS, columns, given, FLOATS)


# --- Files with the op ---


def test_the_published_model(stock_model: Path) -> None:
    spec = load(str(stock_model))
    assert (spec.name, spec.path) == ("ssd_mobilenet_v1_coco_quant", stock_model)
    assert spec.heads == ("Squeeze", "convert_scores")
    assert (spec.background, spec.sigmoid, spec.labels) == (True, False, ())
    assert spec.iou_threshold == pytest.approx(0.6)
    assert spec.box_coder == BoxCoderScales(10, 10, 5, 5)
    assert isinstance(spec.anchors, np.ndarray)
    assert (spec.anchors.shape, spec.anchors.dtype) == ((1917, 4), np.float32)
    assert spec.content is not None
    outputs = {tensor.name: tensor.shape for tensor in Graph(spec.content).outputs}
    assert outputs == {"Squeeze": (1, 1917, 4), "convert_scores": (1, 1917, 91)}


def test_the_published_model_with_its_labels_inside(shared: Path) -> None:
    name = "ssd_mobilenet_v1_coco_quant_with_metadata.tflite"
    labels = load(str(shared / "models" / name)).labels
    assert len(labels) == 90
    assert (labels[0], labels[16], labels[89]) == ("person", "cat", "toothbrush")


def test_the_ops_options_and_anchors_are_the_models(tmp_path: Path) -> None:
    content = op_model(nms_iou_threshold=0.25, y_scale=8.0, x_scale=7.0, h_scale=4.0, w_scale=3.0)
    spec = load(save(tmp_path, content))
    assert spec.box_coder == BoxCoderScales(y=8, x=7, h=4, w=3)
    assert (spec.iou_threshold, spec.background) == (0.25, True)
    assert isinstance(spec.anchors, np.ndarray)
    np.testing.assert_array_equal(spec.anchors, ANCHORS)


def test_scores_without_a_background_column(tmp_path: Path) -> None:
    assert not load(save(tmp_path, op_model(columns=3))).background


@pytest.mark.parametrize("columns", [2, 5])
def test_scores_that_do_not_fit_the_ops_classes(columns: int, tmp_path: Path) -> None:
    expected = rf"m\.tflite: its scores are \[1, 2, {columns}\], and do not fit 3 classes"
    with pytest.raises(ModelError, match=expected):
        load(save(tmp_path, op_model(columns)))


@pytest.mark.parametrize(
    ("anchors", "inputs", "options", "expected"),
    [
        (ANCHORS[:, :3], 3, {}, r"anchors are \[2, 3\], and must be \[N, 4\]"),
        (ANCHORS, 2, {}, "has 2 inputs, and needs 3"),
        (ANCHORS, 3, {"y_scale": "big"}, "option y_scale .* is None, and not a number"),
        (ANCHORS, 3, {"h_scale": float("nan")}, "option h_scale .* is nan"),
        (ANCHORS, 3, {"w_scale": 0.0}, "scales must be positive"),
    ],
    ids=["anchors", "inputs", "text", "nan", "zero"],
)
def test_an_op_that_cannot_be_understood(
    anchors: Any, inputs: int, options: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    model = Model().tensor("boxes", (1, 2, 4)).tensor("scores", (1, 2, 4)).tensor("out", (1,))
    names = ("boxes", "scores", "anchors")[:inputs]
    model.constant("anchors", anchors).custom_op(POSTPROCESS_OP, names, ("out",), options)
    with pytest.raises(ModelError, match=rf"m\.tflite: .*{expected}"):
        load(save(tmp_path, model.build(("boxes", "scores"), ("out",))))


# --- Files that are used as they are ---


@pytest.mark.parametrize("content", [raw_heads_model(), classifier_model()])
def test_a_file_without_the_op_is_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    """Whether it is a detector shows when it is run."""
    spec = load(save(tmp_path, content))
    assert (spec.content, spec.anchors, spec.heads, spec.labels) == (None, None, None, ())


def test_a_manifest_beside_it_says_the_rest(tmp_path: Path) -> None:
    manifest = {"name": "fine", "labels": ["a", None, "c"], "score_activation": "sigmoid"}
    spec = load(save(tmp_path, raw_heads_model(), background=False, **manifest))
    assert (spec.name, spec.labels, spec.sigmoid) == ("fine", ("a", None, "c"), True)
    assert not spec.background


def test_a_manifest_of_another_file(tmp_path: Path) -> None:
    path = save(tmp_path, raw_heads_model(), name="m")
    Path(path).write_bytes(raw_heads_model(13))
    with pytest.raises(ModelError, match=r"m\.tflite is not the file it describes: sha"):
        load(path)


def test_a_model_without_inputs(tmp_path: Path) -> None:
    content = Model().constant("x", np.zeros(3, np.float32)).build((), ("x",))
    with pytest.raises(ModelError, match=r"m\.tflite: the model has no input or no output"):
        load(save(tmp_path, content))


# --- Labels ---


def packed(name: str = "labels.txt", text: str = "cat\ndog\n") -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("readme.md", "x\n")
        opened.writestr(name, text)
    return archive.getvalue()


def test_labels_come_from_the_file_given_else_the_manifest_else_the_model(tmp_path: Path) -> None:
    content = raw_heads_model() + packed()
    given = tmp_path / "mine.txt"
    given.write_text("mouse\n")
    assert load(save(tmp_path, content)).labels == ("cat", "dog")
    assert load(save(tmp_path, content, labels=["cow"])).labels == ("cow",)
    assert load(save(tmp_path, content, labels=["cow"]), given).labels == ("mouse",)


@pytest.mark.parametrize(
    "tail", [b"PK\x05\x06" + bytes(18), packed()[:40] + packed()[60:], packed("labels.md"), b"PK"]
)
def test_what_only_looks_like_packed_labels(tail: bytes, tmp_path: Path) -> None:
    assert load(save(tmp_path, raw_heads_model() + tail)).labels == ()


def test_packed_labels_that_unpack_to_very_much(tmp_path: Path) -> None:
    """Neither by their size, nor by an algorithm whose unpacking is not bounded."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.txt", "x\n" * 1_000_000, zipfile.ZIP_DEFLATED)
        archive.writestr("b.txt", "x\n", zipfile.ZIP_LZMA)
        archive.writestr("c.txt", "fine\n", zipfile.ZIP_DEFLATED)
    assert load(save(tmp_path, raw_heads_model() + content.getvalue())).labels == ("fine",)


# --- Files that cannot be read ---


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    from support.privileges import without_root_rights

    path = save(tmp_path, raw_heads_model())
    Path(path).chmod(0)
    expected = r"m\.tflite: cannot be read: Permission denied"
    with without_root_rights(), pytest.raises(ModelError, match=expected):
        load(path)
