"""The manifest beside a model: what it says, and what it says wrongly is named by its key."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ssd.errors import ModelError
from edge_ssd.models import manifest
from edge_ssd.models.spec import BoxCoderScales, InputNormalization, ModelSpec, SsdAnchorLayout

DATA = b"a model"
SHA256 = hashlib.sha256(DATA).hexdigest()
RATIOS = [1.0, 2.0, 0.5]


def spec(folder: Path, **values: Any) -> ModelSpec:
    path = folder / "m.json"
    path.write_text(json.dumps({"schema": 1, "file": {"sha256": SHA256}} | values))
    entry = manifest.read(path)
    manifest.verify(entry, DATA)
    return manifest.spec(entry, folder / "m.tflite")


def problem(folder: Path, **values: Any) -> str:
    with pytest.raises(ModelError) as caught:
        spec(folder, **values)
    assert caught.value.remedy
    assert caught.value.path == folder / "m.json"
    return caught.value.problem


def test_what_is_not_said_is_as_tensorflows_detectors_have_it(tmp_path: Path) -> None:
    found = spec(tmp_path)
    assert (found.name, found.path) == ("m", tmp_path / "m.tflite")
    assert (found.anchors, found.heads, found.labels) == (None, None, ())
    assert (found.background, found.sigmoid, found.iou_threshold) == (True, False, 0.6)
    assert found.normalization == InputNormalization(127.5, 127.5)
    assert found.box_coder == BoxCoderScales(10, 10, 5, 5)


def test_all_that_can_be_said(tmp_path: Path) -> None:
    found = spec(
        tmp_path,
        name="mine",
        input={"mean": 0, "std": 255},
        box_coder={"y_scale": 8, "x_scale": 7.5, "h_scale": 4, "w_scale": 3},
        heads={"boxes": "b", "scores": "s"},
        labels=["cat", None],
        background=False,
        score_activation="sigmoid",
        postprocess={"iou_threshold": 0.5},
    )
    assert (found.name, found.heads, found.labels) == ("mine", ("b", "s"), ("cat", None))
    assert (found.background, found.sigmoid, found.iou_threshold) == (False, True, 0.5)
    assert found.normalization == InputNormalization(0.0, 255.0)
    assert found.box_coder == BoxCoderScales(8.0, 7.5, 4.0, 3.0)


def test_anchors_as_a_table(tmp_path: Path) -> None:
    rows = [[0.5, 0.25, 0.1, 0.2], [0.5, 0.75, 1, 1]]
    anchors = spec(tmp_path, anchors={"type": "table", "values_cyxhw": rows}).anchors
    assert isinstance(anchors, np.ndarray)
    assert anchors.dtype == np.float32
    np.testing.assert_array_equal(anchors, np.array(rows, np.float32))


def test_anchors_as_a_layout_with_scales_that_are_even_where_none_are_given(tmp_path: Path) -> None:
    grids = [[4, 4], [2, 2], [1, 1]]
    given = {"type": "ssd", "grids": grids, "min_scale": 0.25, "max_scale": 0.75}
    layout = spec(tmp_path, anchors=given | {"aspect_ratios": RATIOS}).anchors
    assert layout == SsdAnchorLayout(
        grids=((4, 4), (2, 2), (1, 1)),
        scales=(0.25, 0.5, 0.75, 1.0),
        aspect_ratios=((1.0, 2.0, 0.5),) * 3,
    )
    own = {"scales": [0.1, 0.2, 0.3, 0.4], "aspect_ratios": [[1.0], [2.0], [3.0]]}
    own |= {"interpolated_scale_aspect_ratio": 0, "reduce_boxes_in_lowest_layer": False}
    assert spec(tmp_path, anchors=given | own).anchors == SsdAnchorLayout(
        grids=((4, 4), (2, 2), (1, 1)),
        scales=(0.1, 0.2, 0.3, 0.4),
        aspect_ratios=((1.0,), (2.0,), (3.0,)),
        interpolated=False,
        reduce_boxes_in_lowest_layer=False,
    )


def ssd(**values: Any) -> dict[str, Any]:
    return {"type": "ssd", "grids": [[2, 2], [1, 1]], "aspect_ratios": RATIOS} | values


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "schema": ({"schema": 2}, "schema must be 1"),
    "schema is missing": ({"schema": None}, "schema is null, and must be a whole number"),
    "yes for a whole number": ({"schema": True}, "schema is true, and must be a whole number"),
    "no sha256": ({"file": {}}, "file.sha256 is missing, and must be text"),
    "file is no object": ({"file": "x"}, "file must be an object"),
    "number for a text": ({"name": 5}, "name is 5, and must be text"),
    "text for a number": ({"input": {"std": "1"}}, 'input.std is "1", and must be a number'),
    "yes for a number": ({"input": {"mean": True}}, "input.mean is true, and must be a number"),
    "text for yes": ({"background": "no"}, 'background is "no", and must be true or false'),
    "text for a list": ({"labels": "cat"}, 'labels is "cat", and must be a list'),
    "numbers as labels": ({"labels": ["cat", 2]}, "labels must be texts"),
    "one head": ({"heads": {"boxes": "b"}}, "heads.scores is missing, and must be text"),
    "activation": ({"score_activation": "softmax"}, "score_activation is 'softmax', and must be"),
    "zero std": ({"input": {"std": 0}}, "input cannot be used: pixels cannot be normalised"),
    "zero scale": ({"box_coder": {"h_scale": 0}}, "box_coder cannot be used: the box coder's"),
    "percent": (
        {"postprocess": {"iou_threshold": 60}},
        "postprocess.iou_threshold is 60.0, and must be from 0 to 1",
    ),
    "unknown anchors": (
        {"anchors": {"type": "yolo"}},
        "anchors.type is 'yolo', and must be ssd or table",
    ),
    "anchors of no type": ({"anchors": {"x": 1}}, "anchors.type is missing, and must be text"),
    "ragged table": (
        {"anchors": {"type": "table", "values_cyxhw": [[1, 2, 3, 4], [1]]}},
        "anchors cannot be used: ",
    ),
    "table of threes": (
        {"anchors": {"type": "table", "values_cyxhw": [[1, 2, 3]]}},
        "anchors cannot be used: ",
    ),
    "no grids": ({"anchors": ssd(grids=[])}, "anchors cannot be used: "),
    "flat grids": ({"anchors": ssd(grids=[2, 1])}, "anchors cannot be used: "),
    "empty grid": ({"anchors": ssd(grids=[[2, 2], [0, 1]])}, "anchors cannot be used: each grid"),
    "endless grid": (
        {"anchors": ssd(grids=[[9**9, 9**9], [1, 1]])},
        "anchors cannot be used: each",
    ),
    "few scales": ({"anchors": ssd(scales=[0.2, 0.9])}, "anchors cannot be used: anchors of 2"),
    "no ratios": ({"anchors": ssd(aspect_ratios=[[1.0], [-1]])}, "anchors cannot be used: the sc"),
    "no ratio list": ({"anchors": {"type": "ssd", "grids": [[1, 1]]}}, "anchors.aspect_ratios is"),
}


@pytest.mark.parametrize(("values", "expected"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_named_by_its_key(
    values: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    assert problem(tmp_path, **values).startswith(expected)


def test_another_file_than_the_one_it_was_written_for(tmp_path: Path) -> None:
    expected = rf"m\.tflite is not the file .* sha256 {SHA256[:12]}…, expected 0000.*replaced"
    with pytest.raises(ModelError, match=expected):
        spec(tmp_path, file={"sha256": "0" * 64})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"{", r"m\.json: cannot be read: Expecting property name"),
        (b"\xff{}", r"m\.json: cannot be read: .*utf-8"),
        (b"[" * 100_000, r"m\.json: cannot be read: maximum recursion"),
        (b'{"schema": Infinity}', r"m\.json: cannot be read: Infinity is not a number of JSON"),
        (b"[1]", r"m\.json: it must be an object"),
        (b"{}", r"m\.json: schema must be 1"),
    ],
)
def test_what_is_no_manifest(content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=expected):
        manifest.read(path)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(b'\xef\xbb\xbf{"schema": 1, "name": "x"}')
    assert manifest.read(path).get("name", str) == "x"
