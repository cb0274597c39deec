"""A .tflite file as a graph: what is read of it, and taking the postprocess op out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tflite_builder import Kind, Model, quantize
from support.tflite_models import (
    POSTPROCESS_OP,
    POSTPROCESS_OUTPUTS,
    STOCK,
    PostprocessOptions,
    add_postprocess_op,
    edgetpu_model,
    raw_heads_model,
    stock_like_model,
)

from edge_ssd.errors import ModelError
from edge_ssd.inference.runtime import load_interpreter
from edge_ssd.models.graph import EDGETPU_OP, Graph, custom_options, promote_inputs
from edge_ssd.models.spec import ModelSpec

ANCHORS = np.array([[0.25, 0.25, 0.5, 0.5], [0.75, 0.5, 0.25, 0.125]], np.float32)
OPTIONS = PostprocessOptions(num_classes=3, nms_iou_threshold=0.5, y_scale=8.0)


@pytest.fixture(scope="module")
def schema() -> Any:
    """Another reader of the format: the generated one that LiteRT brings."""
    return pytest.importorskip("ai_edge_litert.schema_py_generated")


def op_model(outputs: int = 4, follower: bool = False, reader: bool = False) -> bytes:
    """Heads as inputs, the op, and behind it another that reads the boxes (or the op)."""
    names = POSTPROCESS_OUTPUTS[:outputs]
    model = Model().tensor("boxes", (1, 2, 4)).tensor("scores", (1, 2, 4))
    model.constant("anchors", ANCHORS).constant("shape", np.array([8], np.int32))
    for name in names:
        model.tensor(name, (1,))
    model.custom_op(POSTPROCESS_OP, ("boxes", "scores", "anchors"), names, {"num_classes": 3})
    if follower or reader:
        source = "boxes" if follower else names[0]
        model.tensor("row", (8,)).op("RESHAPE", (source, "shape"), ("row",))
    graph_outputs = (*names, "row") if follower else names
    model.signature("serving_default", {"boxes": "boxes"}, {"boxes": names[0]})
    return model.metadata("about", b"kept").build(("boxes", "scores"), graph_outputs)


def without_op(data: bytes) -> bytes:
    graph = Graph(data)
    operator = graph.custom_operator(POSTPROCESS_OP)
    assert operator is not None
    return promote_inputs(graph, operator, 2)


# --- Reading ---


def test_the_published_file(stock_model: Path) -> None:
    graph = Graph(stock_model.read_bytes())
    (image,) = graph.inputs
    assert (image.name, image.shape) == ("normalized_input_image_tensor", (1, 300, 300, 3))
    assert (image.dtype, image.scales, image.zero_points) == ("u1", [1 / 128], [128])
    assert [tensor.name for tensor in graph.outputs] == list(POSTPROCESS_OUTPUTS)
    codes = [operator.code for operator in graph.operators]
    # CONV_2D 3, DEPTHWISE_CONV_2D 4, RESHAPE 22, CONCATENATION 2, LOGISTIC 14.
    counts = {"builtin 3": 34, "builtin 4": 13, "builtin 22": 13, "builtin 2": 2, "builtin 14": 1}
    assert {code: codes.count(code) for code in codes} == counts | {POSTPROCESS_OP: 1}
    assert graph.metadata("TFLITE_METADATA") is None


def test_the_published_ops_inputs_anchors_and_options(stock_model: Path) -> None:
    graph = Graph(stock_model.read_bytes())
    operator = graph.custom_operator(POSTPROCESS_OP)
    assert operator is not None
    boxes, scores, anchors = (graph.tensor(index) for index in operator.inputs)
    assert (boxes.name, boxes.shape) == ("Squeeze", (1, 1917, 4))
    assert (scores.name, scores.shape) == ("convert_scores", (1, 1917, 91))
    table = graph.constant(anchors)
    assert (table.shape, table.dtype) == ((1917, 4), np.float32)
    # The first of the 19 x 19 cells, in steps of the anchors' own quantisation.
    np.testing.assert_allclose(table[0], [1 / 38, 1 / 38, 0.1, 0.1], atol=0.0033)
    options = custom_options(operator)
    assert (options["max_detections"], options["num_classes"]) == (10, 90)
    assert (options["y_scale"], options["w_scale"]) == (10.0, 5.0)
    assert options["nms_iou_threshold"] == pytest.approx(0.6)


@pytest.mark.parametrize("name", ["", "_with_metadata", "_postprocess_segment_1_of_2_edgetpu"])
def test_every_tensor_and_operator_as_the_schemas_own_reader_has_it(
    name: str, shared: Path, schema: Any
) -> None:
    data = (shared / "models" / f"ssd_mobilenet_v1_coco_quant{name}.tflite").read_bytes()
    graph, expected = Graph(data), schema.ModelT.InitFromPackedBuf(data).subgraphs[0]
    assert len(graph.tensors) == len(expected.tensors)
    for found, told in zip(graph.tensors, expected.tensors, strict=True):
        assert found.name == told.name.decode()
        assert (list(found.shape), found.buffer) == (listed(told.shape), told.buffer)
        assert list(found.scales) == listed(getattr(told.quantization, "scale", None))
        assert list(found.zero_points) == listed(getattr(told.quantization, "zeroPoint", None))
    for operator, told in zip(graph.operators, expected.operators, strict=True):
        assert list(operator.inputs) == listed(told.inputs)
        assert list(operator.outputs) == listed(told.outputs)
        assert operator.custom_options == bytes(listed(told.customOptions))


def listed(values: Any) -> list[Any]:
    return [] if values is None else list(values)


@pytest.mark.parametrize("kind", [Kind("float32"), STOCK.anchors, Kind("int8", 0.01, -3)])
def test_a_constant_is_read_as_real_numbers(kind: Kind) -> None:
    stored = quantize(ANCHORS, kind)
    graph = Graph(Model().constant("x", stored, kind).build((), ()))
    real = (stored.astype(np.float64) - kind.zero_point) * (kind.scale or 1)
    np.testing.assert_allclose(graph.constant(graph.tensors[0]), real, rtol=1e-6)


def test_metadata_is_found_by_its_name() -> None:
    graph = Graph(op_model())
    assert graph.metadata("about") == b"kept"
    assert graph.metadata("abou") is None


def test_a_computed_tensor_is_no_constant() -> None:
    graph = Graph(op_model())
    with pytest.raises(ModelError, match=r"'boxes' should be .* holds 0 bytes"):
        graph.constant(graph.inputs[0])


# --- Surgery ---


def test_the_ops_inputs_become_the_outputs_and_all_else_stays(schema: Any) -> None:
    """As the schema's own reader sees both files: outputs, one operator and signatures differ."""
    data = op_model(follower=True)
    before = schema.ModelT.InitFromPackedBuf(data)
    after = schema.ModelT.InitFromPackedBuf(without_op(data))
    subgraph = after.subgraphs[0]
    names = [subgraph.tensors[index].name for index in subgraph.outputs]
    assert names == [b"boxes", b"scores"]
    assert [operator.opcodeIndex for operator in subgraph.operators] == [1]
    assert after.signatureDefs in (None, [])
    del before.subgraphs[0].operators[0]
    before.signatureDefs = after.signatureDefs
    before.subgraphs[0].outputs = subgraph.outputs
    assert same(before, after)


def same(a: Any, b: Any) -> bool:
    """Compare two trees of the schema's objects."""
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if hasattr(a, "__dict__"):
        return type(a) is type(b) and all(same(vars(a)[key], vars(b)[key]) for key in vars(a))
    return bool(a == b)


@pytest.mark.parametrize("name", ["", "_with_metadata", "_postprocess_segment_1_of_2_edgetpu"])
def test_bytes_change_only_where_the_outputs_and_operators_are_listed(
    name: str, shared: Path
) -> None:
    data = (shared / "models" / f"ssd_mobilenet_v1_coco_quant{name}.tflite").read_bytes()
    edited = without_op(data)
    operators = Graph(data).subgraph.vector(3)
    outputs = Graph(data).subgraph.field(2)
    assert outputs is not None
    listed_at = range(operators.position - 4, operators.position + 4 * operators.length)
    allowed = {*listed_at, *range(outputs, outputs + 4)}
    old, new = (np.frombuffer(content, "u1", len(data)) for content in (data, edited))
    changed = np.flatnonzero(old != new).tolist()
    assert changed
    assert set(changed) <= allowed
    # Behind the old bytes: alignment, and the new list of two outputs.
    assert len(data) + 12 <= len(edited) < len(data) + 12 + 16
    assert len(Graph(edited).operators) == len(Graph(data).operators) - 1


def test_the_edge_tpus_op_is_kept_byte_for_byte(shared: Path) -> None:
    name = "ssd_mobilenet_v1_coco_quant_postprocess_segment_1_of_2_edgetpu.tflite"
    data = (shared / "models" / name).read_bytes()
    before, after = (Graph(d).custom_operator(EDGETPU_OP) for d in (data, without_op(data)))
    assert before is not None
    assert len(before.custom_options) > 1000
    assert after == before


def test_an_op_with_a_single_output() -> None:
    graph = Graph(without_op(op_model(outputs=1)))
    assert [tensor.name for tensor in graph.outputs] == ["boxes", "scores"]
    assert graph.operators == []


def test_an_op_that_others_read_cannot_be_taken_out() -> None:
    with pytest.raises(ModelError, match="cannot be removed: builtin 22 reads its outputs"):
        without_op(op_model(reader=True))


@pytest.mark.parametrize("last", [True, False])
def test_what_is_left_runs_and_gives_the_heads(runtime_name: str, last: bool) -> None:
    model = Model().tensor("image", (1, 8), STOCK.boxes).tensor("scores", (1, 2, 4), STOCK.scores)
    model.constant("shape", np.array([1, 2, 4], np.int32)).tensor("boxes", (1, 2, 4), STOCK.boxes)
    before, after = ("image", "scores"), ("boxes",)
    model.op("RESHAPE", (before[0], "shape"), after)
    add_postprocess_op(model, ("boxes", "scores"), ANCHORS, OPTIONS, STOCK)
    if not last:
        model.tensor("again", (1, 2, 4), STOCK.boxes).op("RESHAPE", ("boxes", "shape"), ("again",))
    content = without_op(model.build(before, POSTPROCESS_OUTPUTS))

    interpreter = load_interpreter(ModelSpec("m", Path("m"), content), runtime_name)
    values = np.arange(8, dtype=np.uint8)
    fed = {"image": values.reshape(1, 8), "scores": 2 * values.reshape(1, 2, 4)}
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], fed[detail["name"]])
    interpreter.invoke()

    boxes, scores = interpreter.get_output_details()
    assert (boxes["name"], scores["name"]) == ("boxes", "scores")
    assert (interpreter.get_tensor(boxes["index"]).ravel() == values).all()
    assert (interpreter.get_tensor(scores["index"]).ravel() == 2 * values).all()


def test_the_options_of_a_custom_op() -> None:
    graph = Graph(stock_like_model(ANCHORS, 4, OPTIONS))
    operator = graph.custom_operator(POSTPROCESS_OP)
    assert operator is not None
    options = custom_options(operator)
    assert (options["num_classes"], options["nms_iou_threshold"], options["y_scale"]) == (
        3, pytest.approx(0.5), 8.0,
    )  # fmt: skip


def test_options_that_are_no_map() -> None:
    operator = Graph(edgetpu_model()).custom_operator(EDGETPU_OP)
    assert operator is not None
    assert custom_options(operator) == {}
    without = Graph(raw_heads_model()).operators[0]
    with pytest.raises(ModelError, match="options of builtin 22 cannot be read"):
        custom_options(without)


def test_what_is_no_model_at_all() -> None:
    for content in (b"", b"TFL3", b"hello, this is text", bytes(100)):
        with pytest.raises(ModelError, match="not a TensorFlow Lite file"):
            Graph(content)
