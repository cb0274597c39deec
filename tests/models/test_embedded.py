"""The manifest inside a model file, and the archive of labels behind it."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tflite_models import raw_heads_model

from edge_ssd.errors import ModelError
from edge_ssd.models import embedded, manifest
from edge_ssd.models.graph import Graph
from edge_ssd.models.loading import load
from edge_ssd.models.spec import BoxCoderScales, InputNormalization, ModelSpec, SsdAnchorLayout

PATH = Path("m.tflite")
# Numbers that need all their digits, and such that are no float64's shortest.
ANCHORS = np.array([[0.1, 1 / 3, 0.2, 1e-7], [0.7, 0.30000001, 0.5, 16777216]], np.float32)
LAYOUT = SsdAnchorLayout(((3, 2), (1, 1)), (0.2, 0.5, 1.0), ((1.0, 2.0), (1.0,)), False, False)
SPEC = ModelSpec(
    name="mine",
    path=PATH,
    anchors=ANCHORS,
    normalization=InputNormalization(128, 64),
    box_coder=BoxCoderScales(8, 7, 4, 3),
    heads=("boxes", "scores"),
    labels=("cat", None, "dög"),
    background=False,
    sigmoid=True,
    iou_threshold=0.25,
)


def with_manifest(content: bytes, **values: Any) -> bytes:
    return embedded.write(content, {"schema": 1} | values)


def with_archive(content: bytes, **files: str) -> bytes:
    """As TensorFlow's own tool adds it: behind the model, with places counted from its start."""
    whole = io.BytesIO(content)
    with zipfile.ZipFile(whole, "a") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.txt", text)
    return whole.getvalue()


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "m.tflite"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "spec", [SPEC, replace(SPEC, anchors=LAYOUT), ModelSpec("bare", PATH)], ids=lambda s: s.name
)
def test_a_manifest_says_all_of_a_spec(spec: ModelSpec) -> None:
    text = json.dumps(manifest.describe(spec)).encode()
    again = manifest.spec(manifest.parse(text, PATH), PATH)
    if isinstance(spec.anchors, np.ndarray):
        assert isinstance(again.anchors, np.ndarray)
        assert again.anchors.dtype == np.float32
        assert again.anchors.tobytes() == spec.anchors.tobytes()
        again = replace(again, anchors=None)
        spec = replace(spec, anchors=None)
    for name in ModelSpec.__slots__:
        assert getattr(again, name) == getattr(spec, name), name


def test_one_file_brings_its_manifest(tmp_path: Path) -> None:
    spec = load(str(saved(tmp_path, embedded.write(raw_heads_model(), manifest.describe(SPEC)))))
    assert (spec.name, spec.labels, spec.iou_threshold) == ("mine", ("cat", None, "dög"), 0.25)
    assert spec.box_coder == BoxCoderScales(8, 7, 4, 3)
    np.testing.assert_array_equal(spec.anchors, ANCHORS)


def test_a_manifest_beside_the_file_comes_first(tmp_path: Path) -> None:
    path = saved(tmp_path, with_manifest(raw_heads_model(), name="inside", background=False))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    beside = {"schema": 1, "name": "beside", "file": {"sha256": sha256}}
    path.with_suffix(".json").write_text(json.dumps(beside))
    spec = load(str(path))
    assert (spec.name, spec.background) == ("beside", True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schema": 2}, r"m\.tflite: schema must be 1"),
        ({"labels": "cat"}, r"m\.tflite: labels is"),
    ],
)
def test_a_wrong_manifest_inside(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = saved(tmp_path, with_manifest(raw_heads_model(), **values))
    with pytest.raises(ModelError, match=message):
        load(str(path))


def test_a_damaged_manifest_inside(tmp_path: Path) -> None:
    content = with_manifest(raw_heads_model(), name="x").replace(b'"schema"', b'"schema\xff')
    with pytest.raises(ModelError, match=r"manifest .*m\.tflite: cannot be read"):
        load(str(saved(tmp_path, content)))


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ModelError, match="finite"):
        with_manifest(raw_heads_model(), iou=float("nan"))


def test_the_rest_of_the_file_is_as_it_was_as_the_schemas_own_reader_has_it(
    shared: Path,
) -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    name = "ssd_mobilenet_v1_coco_quant_with_metadata.tflite"
    data = embedded.without_archive((shared / "models" / name).read_bytes())
    first = with_manifest(data, name="first")
    old, new = (schema.ModelT.InitFromPackedBuf(content) for content in (data, first))
    entries = [(entry.name, bytes(new.buffers[entry.buffer].data)) for entry in new.metadata]
    assert entries[1] == (b"edge_ssd_manifest", b'{"schema":1,"name":"first"}')
    assert entries[0] == (b"TFLITE_METADATA", bytes(old.buffers[old.metadata[0].buffer].data))
    assert (new.version, new.description) == (old.version, old.description)
    assert len(new.buffers) == len(old.buffers) + 1
    for was, now in zip(old.buffers, new.buffers, strict=False):
        assert np.array_equal(was.data, now.data)
    for was, now in zip(old.subgraphs[0].tensors, new.subgraphs[0].tensors, strict=True):
        assert (was.name, was.buffer, list(was.shape)) == (now.name, now.buffer, list(now.shape))
    assert [code.version for code in new.operatorCodes] == [c.version for c in old.operatorCodes]
    # The kernels read whole vectors of weights at a time: no alignment is lost.
    places = [
        [table.vector(0).position % 16 for table in Graph(content).model.vector(4).tables()]
        for content in (data, first)
    ]
    assert places[1][:-1] == places[0]


def test_a_second_manifest_replaces_the_first() -> None:
    twice = Graph(with_manifest(with_manifest(raw_heads_model(), name="first"), name="second"))
    assert [table.string(0) for table in twice.model.vector(6).tables()] == [embedded.NAME]
    entry = embedded.read(twice, PATH)
    assert entry is not None
    assert entry.values["name"] == "second"


@pytest.mark.parametrize("size", range(6))
def test_without_its_manifest_it_is_the_file_that_was(size: int, stock_model: Path) -> None:
    for original in (raw_heads_model(), stock_model.read_bytes()):
        whole = with_manifest(original, name="x" * size)
        content = embedded.without_manifest(whole)
        assert content.rstrip(b"\0") == original.rstrip(b"\0")
        assert embedded.without_manifest(content) == content


def test_a_manifest_that_another_program_put_in_is_left() -> None:
    whole = with_manifest(raw_heads_model(), name="x")
    for other in (
        whole + b"more",
        whole.replace(b'"name":"x"', b'"name": 12'),
        whole.replace(b'"name":"x"', b"not a JSON"),
    ):
        assert embedded.without_manifest(other) == other


def test_an_archive_moves_behind_the_changed_file(tmp_path: Path) -> None:
    original = with_archive(raw_heads_model(), labels="cat\ndog\n", readme="x\n")
    changed = with_manifest(embedded.without_archive(original), name="x")
    whole = embedded.with_archive_of(original, changed)
    assert whole.startswith(changed)
    assert load(str(saved(tmp_path, whole))).labels == ("cat", "dog")
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        for info in archive.infolist():
            assert whole[info.header_offset :].startswith(b"PK\x03\x04")
        # Readers that do not search count from the file's own start.
        assert archive.start_dir == int.from_bytes(whole[-6:-2], "little")


def test_without_an_archive_nothing_is_cut_off_or_added() -> None:
    content = raw_heads_model()
    assert embedded.without_archive(content) == content
    assert embedded.with_archive_of(content, b"other") == b"other"


def test_an_archive_that_unpacks_to_very_much_is_refused() -> None:
    whole = io.BytesIO(raw_heads_model())
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", bytes(60_000_000))
    with pytest.raises(ModelError, match="50000000 bytes"):
        embedded.with_archive_of(whole.getvalue(), b"")
