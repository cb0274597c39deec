"""``models prepare``: one file with raw heads and its manifest, the same detections, or nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.command import edge_ssd
from support.inferring import changed
from support.privileges import without_root_rights
from support.tflite_models import FLOATS, raw_heads_model, stock_like_model
from support.tflite_models import PostprocessOptions as OperatorOptions

from edge_ssd.boxes import iou_yxyx
from edge_ssd.detector import Detector
from edge_ssd.errors import InputError, ModelError, UsageError
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.inference.options import ModelOptions
from edge_ssd.models import labels
from edge_ssd.models.graph import EDGETPU_OP, POSTPROCESS_OP, Graph
from edge_ssd.models.loading import load
from edge_ssd.postprocess.anchors import for_model
from edge_ssd.postprocess.box_coder import BoxDecoder, dequantize
from edge_ssd.sources.base import frames
from edge_ssd.sources.images import IMAGE_EXTENSIONS, ImageSource, list_folder
from edge_ssd.types import Frame
from edge_ssd.workshop import prepare as prepare_module
from edge_ssd.workshop.prepare import prepare

ANCHORS = np.array([[0.25, 0.25, 0.5, 0.5], [0.75, 0.5, 0.25, 0.125]], np.float32)


@pytest.fixture
def op_model(tmp_path: Path) -> Path:
    """A small float model with the op."""
    path = tmp_path / "detect.tflite"
    options = OperatorOptions(num_classes=3, y_scale=8.0, nms_iou_threshold=0.25)
    path.write_bytes(stock_like_model(ANCHORS, 4, options, FLOATS))
    return path


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- Raw heads ---


def test_one_file_that_loads_as_the_original_does(op_model: Path, tmp_path: Path) -> None:
    report = prepare(str(op_model), tmp_path / "raw.tflite")
    old, new = load(str(op_model)), load(str(tmp_path / "raw.tflite"))
    assert (new.name, new.heads, new.box_coder) == ("detect", old.heads, old.box_coder)
    assert (new.background, new.iou_threshold) == (True, 0.25)
    assert isinstance(new.anchors, np.ndarray)
    assert new.anchors.tobytes() == ANCHORS.tobytes()
    assert new.content is None  # nothing is left to be done at load
    assert report.agreement is not None
    assert report.agreement.exact
    assert files_in(tmp_path) == ["detect.tflite", "raw.tflite"]


def test_what_was_done_is_recorded_inside(op_model: Path, tmp_path: Path) -> None:
    prepare(str(op_model), tmp_path / "raw.tflite")
    text = Graph((tmp_path / "raw.tflite").read_bytes()).metadata("edge_ssd_manifest")
    assert text is not None
    values = json.loads(text)
    assert values["prepared"]["from"]["name"] == "detect.tflite"
    assert values["prepared"]["int8"] is False
    assert values["operator_options"]["max_detections"] == 10
    assert values["operator_options"]["nms_score_threshold"] == pytest.approx(1e-8)


def test_the_published_model_with_its_labels(shared: Path, tmp_path: Path) -> None:
    source = shared / "models" / "ssd_mobilenet_v1_coco_quant_with_metadata.tflite"
    out = tmp_path / "raw.tflite"
    report = prepare(str(source), out)
    assert report.agreement is not None
    assert report.agreement.exact
    assert load(str(out)).labels[16] == "cat"
    data = out.read_bytes()
    assert labels.packed_in(data) == labels.packed_in(source.read_bytes())
    graph = Graph(data)
    assert graph.metadata("TFLITE_METADATA")
    assert [tensor.name for tensor in graph.outputs] == ["Squeeze", "convert_scores"]
    assert POSTPROCESS_OP not in [operator.code for operator in graph.operators]


def test_half_a_model_for_the_edge_tpu(shared: Path, tmp_path: Path) -> None:
    """It cannot be run here, nor loaded as a detector; it is rewritten all the same."""
    (source,) = (shared / "models").glob("*_edgetpu.tflite")
    report = prepare(str(source), tmp_path / "raw_edgetpu.tflite")
    assert report.agreement is None
    assert "Edge TPU" in str(report)
    old, new = Graph(source.read_bytes()), Graph((tmp_path / "raw_edgetpu.tflite").read_bytes())
    new.check()
    compiled, kept = old.custom_operator(EDGETPU_OP), new.custom_operator(EDGETPU_OP)
    op = old.custom_operator(POSTPROCESS_OP)
    assert compiled is not None
    assert kept is not None
    assert op is not None
    assert kept.custom_options == compiled.custom_options
    assert len(kept.custom_options) > 3_000_000
    assert (kept.inputs, kept.outputs) == (compiled.inputs, compiled.outputs)
    assert tuple(tensor.index for tensor in new.outputs) == op.inputs[:2]
    assert [tensor.name for tensor in new.inputs] == [tensor.name for tensor in old.inputs]
    spec = load(str(tmp_path / "raw_edgetpu.tflite"))
    assert isinstance(spec.anchors, np.ndarray)
    np.testing.assert_array_equal(spec.anchors, old.constant(old.tensor(op.inputs[2])))


def test_a_manifest_beside_moves_inside_with_licence_and_origin(tmp_path: Path) -> None:
    prepare("ssdlite_mobilenet_v2_coco", tmp_path / "one.tflite")
    spec, bundled = load(str(tmp_path / "one.tflite")), load("ssdlite_mobilenet_v2_coco")
    assert (spec.labels, spec.normalization) == (bundled.labels, bundled.normalization)
    text = Graph((tmp_path / "one.tflite").read_bytes()).metadata("edge_ssd_manifest")
    assert text is not None
    values = json.loads(text)
    assert values["licence"] == "Apache-2.0"
    assert "file" not in values


def test_raw_heads_in_uint8_without_a_manifest_have_nothing_to_gain(tmp_path: Path) -> None:
    (tmp_path / "raw.tflite").write_bytes(raw_heads_model())
    with pytest.raises(ModelError, match="raw heads already"):
        prepare(str(tmp_path / "raw.tflite"), tmp_path / "out.tflite")
    assert files_in(tmp_path) == ["raw.tflite"]


# --- int8 ---


@pytest.fixture(scope="module")
def int8_model(shared: Path, stock_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published model in two steps: raw heads first, int8 from these."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare(str(stock_model), folder / "raw.tflite")
    report = prepare(str(folder / "raw.tflite"), folder / "int8.tflite", int8=True)
    assert report.agreement is not None
    assert report.agreement.score_difference < 0.06
    assert report.agreement.overlap > 0.96
    return folder / "int8.tflite"


def test_int8_in_one_step_is_the_same_network(stock_model: Path, int8_model: Path) -> None:
    out = int8_model.with_name("direct.tflite")
    prepare(str(stock_model), out, int8=True)
    # The manifest of the first step, 90 kB, is not in the way.
    assert abs(out.stat().st_size - int8_model.stat().st_size) < 1000
    one, other = (Graph(path.read_bytes()) for path in (out, int8_model))
    assert [t.dtype for t in one.inputs + one.outputs] == ["i1", "i1", "i1"]
    stored = [[b.vector(0).array("u1").tobytes() for b in graph.model.vector(4).tables()][:-1]
              for graph in (one, other)]  # fmt: skip
    assert stored[0] == stored[1][: len(stored[0])]
    assert load(str(out)).name == load(str(int8_model)).name == stock_model.stem


@pytest.mark.slow
def test_int8_detects_what_the_original_does(
    shared: Path, stock_model: Path, int8_model: Path, runtime_name: str
) -> None:
    """On COCO's photos, anchor by anchor: suppression may choose another of two equal boxes.

    A box of the published model moves by up to .0079 of its anchor from one stored value to
    the next, which can be an eighth of a small box.
    """
    options = changed(ModelOptions(), runtime=runtime_name)
    old, new = (CpuBackend(load(str(path)), options) for path in (stock_model, int8_model))
    anchors = for_model(old.spec, 1917, 300, 300)
    decode = BoxDecoder(anchors, old.spec.box_coder)
    differences, overlaps = [], []
    # tflite-runtime needs ten times as long.
    count = 66 if runtime_name == "litert" else 12
    for frame in photos(shared / "coco66" / "images", count):
        old_scores, old_boxes = heads(old, frame, decode)
        new_scores, new_boxes = heads(new, frame, decode)
        anchor, label = np.nonzero(old_scores > 0.5)
        differences.extend(np.abs(old_scores - new_scores)[anchor, label])
        overlaps.extend(np.diag(iou_yxyx(old_boxes[anchor], new_boxes[anchor])))
    assert len(overlaps) > 10 * count
    assert max(differences) < 0.05
    assert np.mean(overlaps) > 0.98
    assert np.mean(np.array(overlaps) < 0.9) < 0.02
    assert min(overlaps) > 0.8


@pytest.mark.slow
def test_int8_keeps_the_map(shared: Path, stock_model: Path, int8_model: Path) -> None:
    pytest.importorskip("pycocotools")
    from edge_ssd.commands.eval.annotations import read_annotations
    from edge_ssd.commands.eval.evaluation import evaluate

    both = [ModelOptions(name=str(path), threads=1) for path in (stock_model, int8_model)]
    annotations = read_annotations(shared / "coco66" / "instances.json")
    old, new = evaluate(both, shared / "coco66" / "images", annotations)
    assert new.summary["AP"] == pytest.approx(old.summary["AP"], abs=0.01)


def test_int8_on_the_picture_the_model_is_published_with(
    shared: Path, int8_model: Path, runtime_name: str
) -> None:
    detector = Detector(int8_model, runtime=runtime_name, score_threshold=0.45)
    found = detector.detect(shared / "images" / "cats_and_dogs.jpg")
    assert [each.label for each in found][:4] == ["cat", "cat", "cat", "dog"]
    np.testing.assert_allclose(found.scores[:4], [0.6445, 0.6094, 0.5625, 0.505], atol=0.03)


def photos(folder: Path, count: int) -> Iterator[Frame]:
    return frames(ImageSource("photos", list_folder(folder, IMAGE_EXTENSIONS)[:count]))


def heads(
    network: CpuBackend, frame: Frame, decode: BoxDecoder
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(1917, 90) scores and (1917, 4) boxes."""
    network.set_frame(frame)
    raw = network.invoke()
    scores = dequantize(raw.scores.values[:, 1:], raw.scores.scale, raw.scores.zero_point)
    return scores, decode(raw.boxes, np.arange(1917))


# --- Nothing is written unless it is the same ---


def test_a_file_that_would_detect_otherwise_is_not_written(
    stock_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(data: bytes) -> bytes:
        good = bytearray(convert(data))
        weights = max(Graph(good).model.vector(4).tables(), key=lambda b: b.vector(0).length)
        stored = weights.vector(0)
        good[stored.position : stored.position + stored.length] = bytes(stored.length)
        return bytes(good)

    convert = prepare_module.requantise
    monkeypatch.setattr(prepare_module, "requantise", spoilt)
    with pytest.raises(ModelError, match="does not detect the same"):
        prepare(str(stock_model), tmp_path / "out.tflite", int8=True)
    assert files_in(tmp_path) == []


def test_a_file_that_is_there_is_kept_without_force(op_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tflite"
    out.write_bytes(b"mine")
    with pytest.raises(UsageError, match="--force"):
        prepare(str(op_model), out)
    assert out.read_bytes() == b"mine"
    prepare(str(op_model), out, force=True)
    assert load(str(out)).name == "detect"
    assert files_in(tmp_path) == ["detect.tflite", "out.tflite"]


def test_the_original_is_never_replaced(op_model: Path, tmp_path: Path) -> None:
    before = op_model.read_bytes()
    link = tmp_path / "link.tflite"
    link.symlink_to(op_model)
    for same in (op_model, link):
        with pytest.raises(UsageError, match="the original itself"):
            prepare(str(op_model), same, force=True)
    assert op_model.read_bytes() == before


def test_where_nothing_can_be_written(op_model: Path, tmp_path: Path) -> None:
    for out, message in (
        (tmp_path / "no" / "out.tflite", "does not exist"),
        (tmp_path / "out.bin", "ending .tflite"),
    ):
        with pytest.raises(UsageError, match=message):
            prepare(str(op_model), out)
    with pytest.raises(InputError, match="cannot be written"):
        prepare(str(op_model), tmp_path / f"{'x' * 243}.tflite")
    assert files_in(tmp_path) == ["detect.tflite"]


@pytest.mark.quick_cases(2)
@pytest.mark.parametrize("out", [".", "", "..", "/"])
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_folder_is_refused_in_one_line(out: str, force: list[str], op_model: Path) -> None:
    done = edge_ssd("models", "prepare", op_model, "-o", out, *force, cwd=op_model.parent)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "would not be found as a model; give it the ending .tflite" in line
    assert files_in(op_model.parent) == ["detect.tflite"]


def test_a_folder_is_not_replaced_and_force_not_advised(op_model: Path, tmp_path: Path) -> None:
    (tmp_path / "d.tflite").mkdir()
    for force in (False, True):
        with pytest.raises(UsageError, match="is a folder; give the name of a file"):
            prepare(str(op_model), tmp_path / "d.tflite", force=force)


def test_a_place_that_cannot_be_is_refused_before_the_model_is_read(tmp_path: Path) -> None:
    (tmp_path / "damaged.tflite").write_bytes(b"damaged")
    with pytest.raises(UsageError, match="does not exist"):
        prepare(str(tmp_path / "damaged.tflite"), tmp_path / "no" / "out.tflite")


def test_a_folder_that_may_not_be_looked_into(op_model: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir(mode=0)
    expected = r"out\.tflite cannot be written: Permission denied"
    with without_root_rights(), pytest.raises(InputError, match=expected):
        prepare(str(op_model), secret / "out.tflite")


def test_every_user_may_read_what_is_written(op_model: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        prepare(str(op_model), tmp_path / "out.tflite")
    finally:
        os.umask(before)
    assert (tmp_path / "out.tflite").stat().st_mode & 0o777 == 0o644


def test_a_manifest_of_another_model_is_not_taken_over(op_model: Path, tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("{}")
    with pytest.raises(UsageError, match="describes another model"):
        prepare(str(op_model), tmp_path / "out.tflite", force=True)


# --- The command ---


def test_the_command_says_in_one_line_what_it_did(op_model: Path, tmp_path: Path) -> None:
    done = edge_ssd("models", "prepare", op_model, "-o", tmp_path / "out.tflite")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{tmp_path / 'out.tflite'}: 0.0 MB, postprocess operator removed")
    assert line.endswith("the same to the bit on 6 images")


def test_the_command_refuses_in_one_line(shared: Path, op_model: Path, tmp_path: Path) -> None:
    edgetpu = shutil.copy(next((shared / "models").glob("*_edgetpu.tflite")), tmp_path)
    for source, message in ((edgetpu, "compiled for the Edge TPU"), (op_model, "SLICE")):
        done = edge_ssd("models", "prepare", source, "-o", tmp_path / "out.tflite", "--int8")
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: model ")
        assert message in line
    assert not (tmp_path / "out.tflite").exists()
