"""uint8 to int8: every operator against the uint8 kernel and against real numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.tflite_builder import FLOAT, Kind, Model, quantize
from support.tflite_models import edgetpu_model, raw_heads_model

from edge_ssd.errors import ModelError
from edge_ssd.inference.runtime import load_interpreter
from edge_ssd.models.graph import Graph
from edge_ssd.models.loading import load
from edge_ssd.models.spec import ModelSpec
from edge_ssd.workshop.requantise import per_channel, requantise, rescaled_bias

IMAGE = Kind("uint8", 1 / 128, 128)
RELU6 = Kind("uint8", 6 / 255, 0)
WEIGHTS = Kind("uint8", 0.01, 120)
LINEAR = Kind("uint8", 0.05, 140)
SCORES = Kind("uint8", 1 / 256, 0)
SAME, RELU6_CODE = 0, 3
SHAPE = (1, 6, 6, 4)
Run = Callable[[bytes, NDArray[np.uint8]], NDArray[Any]]


@pytest.fixture
def run(runtime_name: str) -> Run:
    """Runs a model with one input and one output; an int8 one as if it were uint8."""

    def run_model(content: bytes, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        network = load_interpreter(ModelSpec("m", Path("m"), content=content), runtime_name)
        (entry,), (out,) = network.get_input_details(), network.get_output_details()
        int8 = entry["dtype"] == np.int8
        network.set_tensor(entry["index"], (pixels ^ 0x80).view(np.int8) if int8 else pixels)
        network.invoke()
        values = network.get_tensor(out["index"])
        return values.view(np.uint8) ^ 0x80 if values.dtype == np.int8 else values

    return run_model


def levels(low: int, high: int, shape: tuple[int, ...], seed: int = 7) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(low, high, shape, np.uint8)


def pixels() -> NDArray[np.uint8]:
    return levels(0, 256, SHAPE, seed=1)


# --- The arithmetic ---


def test_weights_within_127_of_their_zero_point_are_kept_exactly() -> None:
    stored = levels(0, 248, (5, 3, 3, 2))
    values, steps = per_channel(stored, 120, axis=0)
    np.testing.assert_array_equal(values, stored.astype(int) - 120)
    np.testing.assert_array_equal(steps, 1)
    assert values.dtype == np.int8


@pytest.mark.parametrize("axis", [0, 3])
def test_a_channel_beyond_127_alone_gets_longer_steps(axis: int) -> None:
    stored = levels(1, 256, (4, 3, 3, 4))
    moved = np.moveaxis(stored, axis, 0)  # a view
    moved[2] = 0
    moved[2].flat[0], moved[2].flat[1] = 190, 1
    moved[np.arange(4) != 2] = np.clip(moved[np.arange(4) != 2], 0, 127)
    values, steps = per_channel(stored, 0, axis)
    assert list(steps[[0, 1, 3]]) == [1, 1, 1]
    assert steps[2] == pytest.approx(190 / 127)
    lost = np.moveaxis(values, axis, 0)[2] * steps[2] - moved[2]
    assert np.abs(lost).max() < 1
    assert values.min() >= -127


def test_a_channel_of_zeros_has_a_step() -> None:
    values, steps = per_channel(np.full((2, 1, 1, 3), 77, np.uint8), 77, axis=0)
    assert not values.any()
    assert (steps == 1).all()


def test_biases_follow_the_steps() -> None:
    assert list(rescaled_bias(np.array([1000, -1000, 7]), np.array([1.0, 2.0, 1.5]))) == [
        1000, -500, 5,
    ]  # fmt: skip


# --- Each operator, on each runtime ---


def conv(code: str, weights: NDArray[np.uint8], bias: NDArray[np.int32], out: Kind) -> bytes:
    """image -> one convolution of this kind -> out."""
    depthwise = code == "DEPTHWISE_CONV_2D"
    channels = weights.shape[3 if depthwise else 0]
    model = Model().tensor("image", SHAPE, IMAGE).constant("weights", weights, WEIGHTS)
    model.constant("bias", bias, Kind("int32", IMAGE.scale * WEIGHTS.scale))
    model.tensor("out", (*SHAPE[:3], channels), out)
    extra = {"depth_multiplier": channels // SHAPE[3]} if depthwise else {}
    table = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
    activation = RELU6_CODE if out is RELU6 else 0
    model.op_with_options(
        code, ("image", "weights", "bias"), ("out",), table,
        padding=SAME, stride_w=1, stride_h=1, activation=activation, **extra,
    )  # fmt: skip
    return model.build(("image",), ("out",))


def real_conv(
    code: str, image: NDArray[np.uint8], weights: NDArray[np.uint8], bias: NDArray[np.int32]
) -> NDArray[np.float64]:
    """The same in real numbers: (H, W, channels)."""
    x = np.pad((image[0].astype(float) - IMAGE.zero_point) * IMAGE.scale, ((1, 1), (1, 1), (0, 0)))
    w = (weights.astype(float) - WEIGHTS.zero_point) * WEIGHTS.scale
    if code == "DEPTHWISE_CONV_2D":
        repeats = w.shape[3] // x.shape[2]
        x = np.repeat(x, repeats, axis=2)
        taps = [(w[0, i, j] * x[i : i + 6, j : j + 6]) for i in range(3) for j in range(3)]
    else:
        taps = [x[i : i + 6, j : j + 6] @ w[:, i, j].T for i in range(3) for j in range(3)]
    return np.sum(taps, axis=0) + bias * IMAGE.scale * WEIGHTS.scale


@pytest.mark.parametrize("out", [RELU6, LINEAR], ids=["relu6", "linear"])
@pytest.mark.parametrize(
    ("code", "shape"),
    [
        ("CONV_2D", (5, 3, 3, 4)),
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 4)),
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 8)),
    ],
)
def test_a_convolution(code: str, shape: tuple[int, ...], out: Kind, run: Run) -> None:
    """One channel is all zeros, one has levels beyond 127; the others are exact."""
    weights = levels(0, 247, shape)
    channels = np.moveaxis(weights, 3 if shape[0] == 1 else 0, 0)
    channels[0], channels[1].flat[3] = WEIGHTS.zero_point, 255
    bias = np.random.default_rng(2).integers(-3000, 3000, len(channels), np.int32)
    content, image = conv(code, weights, bias, out), pixels()
    old, new = run(content, image).astype(int), run(requantise(content), image).astype(int)
    expected = quantize(real_conv(code, image, weights, bias), out)[None].astype(int)
    exact = np.arange(len(channels)) != 1
    assert np.abs(new - expected)[..., exact].max() <= 1
    assert np.abs(new - old)[..., exact].max() <= 1
    # Each weight may be off by half a step of 135 / 127, but nobody is so unlucky 36 times.
    assert np.abs(new - expected)[..., 1].max() <= 3
    assert np.unique(new).size > 20


def add_pointwise(
    model: Model, weights: NDArray[np.uint8], out: str, source: tuple[str, Kind], kind: Kind
) -> None:
    """Adds a 1x1 convolution (out channels, 4) of ``source``, with a bias of zeros."""
    channels = len(weights)
    model.constant(f"{out}/w", weights.reshape(channels, 1, 1, 4), WEIGHTS)
    bias = Kind("int32", source[1].scale * WEIGHTS.scale)
    model.constant(f"{out}/b", np.zeros(channels, np.int32), bias)
    model.tensor(out, (*SHAPE[:3], channels), kind)
    model.op_with_options(
        "CONV_2D", (source[0], f"{out}/w", f"{out}/b"), (out,), "Conv2DOptions",
        stride_w=1, stride_h=1,
    )  # fmt: skip


def unary(code: str, shape: tuple[int, ...], kinds: tuple[Kind, Kind], *options: Any) -> bytes:
    """image of the first kind -> the operator -> out of the second."""
    model = Model().tensor("image", SHAPE, kinds[0]).tensor("out", shape, kinds[1])
    if options:
        model.op_with_options(code, ("image",), ("out",), options[0], **options[1])
    else:
        model.op(code, ("image",), ("out",))
    return beside_a_convolution(model, kinds[0])


def beside_a_convolution(model: Model, image: Kind) -> bytes:
    """Requantisation is of networks with convolutions: here is one, which nobody reads."""
    add_pointwise(model, np.full((1, 4), 130, np.uint8), "unread", ("image", image), LINEAR)
    return model.build(("image",), ("out",))


POOL = {"padding": 1, "stride_w": 2, "stride_h": 2, "filter_width": 2, "filter_height": 2}


@pytest.mark.parametrize(
    ("content", "tolerance"),
    [
        # Int8 averages that end in a half are rounded away from zero, uint8 ones up.
        (unary("AVERAGE_POOL_2D", (1, 3, 3, 4), (RELU6, RELU6), "Pool2DOptions", POOL), 1),
        (unary("MAX_POOL_2D", (1, 3, 3, 4), (RELU6, RELU6), "Pool2DOptions", POOL), 0),
        # Exponentials are tabled differently.
        (unary("LOGISTIC", SHAPE, (LINEAR, SCORES)), 1),
        (unary("SOFTMAX", SHAPE, (LINEAR, SCORES), "SoftmaxOptions", {"beta": 1.0}), 1),
    ],
    ids=["AVERAGE_POOL_2D", "MAX_POOL_2D", "LOGISTIC", "SOFTMAX"],
)
def test_an_operator_gives_what_it_gave(content: bytes, tolerance: int, run: Run) -> None:
    image = pixels()
    old, new = run(content, image).astype(int), run(requantise(content), image).astype(int)
    assert np.abs(new - old).max() <= tolerance
    assert np.unique(new).size > 5


def test_dequantize_gives_the_same_real_numbers(run: Run) -> None:
    content = unary("DEQUANTIZE", SHAPE, (LINEAR, FLOAT))
    image = pixels()
    # On arm64 it multiplies first and takes the zero point's share off after.
    np.testing.assert_allclose(run(requantise(content), image), run(content, image), atol=1e-6)


def test_squeeze_and_reshape_keep_the_values(run: Run) -> None:
    model = Model().tensor("image", SHAPE, LINEAR).tensor("row", (1, 144, 1, 1), LINEAR)
    model.constant("shape", np.array([1, 144, 1, 1], np.int32)).tensor("out", (144,), LINEAR)
    model.op("RESHAPE", ("image", "shape"), ("row",)).op("SQUEEZE", ("row",), ("out",))
    content, image = beside_a_convolution(model, LINEAR), pixels()
    np.testing.assert_array_equal(run(requantise(content), image), image.ravel())


@pytest.mark.parametrize("constant", [False, True])
def test_adding_tensors_of_different_scales(constant: bool, run: Run) -> None:
    """As in the residual blocks of MobileNet V2; one may be a constant."""
    model = Model().tensor("image", SHAPE, LINEAR)
    other = Kind("uint8", 0.03, 90)
    if constant:
        model.constant("other", levels(0, 256, SHAPE), other)
    else:
        weights = levels(0, 247, (4, 4))
        add_pointwise(model, weights, "other", ("image", LINEAR), other)
    model.tensor("out", SHAPE, Kind("uint8", 0.08, 120)).op("ADD", ("image", "other"), ("out",))
    content, image = beside_a_convolution(model, LINEAR), pixels()
    old, new = run(content, image).astype(int), run(requantise(content), image).astype(int)
    assert np.abs(new - old).max() <= 1
    assert np.unique(new).size > 50


def heads_of_two_scales(between: str = "RESHAPE") -> bytes:
    """Two convolutions, each reshaped to rows, joined to one tensor of a third scale."""
    joined = Kind("uint8", 0.06, 130)
    model = Model().tensor("image", SHAPE, IMAGE)
    model.constant("shape", np.array([1, 36, 2], np.int32))
    for name, kind in (("a", LINEAR), ("b", Kind("uint8", 0.02, 100)), ("c", joined)):
        weights = levels(60, 180, (2, 4))
        add_pointwise(model, weights, name, ("image", IMAGE), kind)
        shaped = name
        if between != "RESHAPE":
            shaped = f"{name}/passed"
            model.tensor(shaped, (1, 6, 6, 2), kind)
            pool = POOL | {"stride_w": 1, "stride_h": 1, "filter_width": 1, "filter_height": 1}
            model.op_with_options(between, (name,), (shaped,), "Pool2DOptions", **pool)
        model.tensor(f"{name}/rows", (1, 36, 2), kind)
        model.op("RESHAPE", (shaped, "shape"), (f"{name}/rows",))
    model.tensor("out", (1, 108, 2), joined)
    rows = ("a/rows", "b/rows", "c/rows")
    model.op_with_options("CONCATENATION", rows, ("out",), "ConcatenationOptions", axis=1)
    return model.build(("image",), ("out",))


def test_what_is_joined_gets_one_scale(run: Run) -> None:
    content, image = heads_of_two_scales(), pixels()
    old, new = run(content, image).astype(int), run(requantise(content), image).astype(int)
    assert np.abs(new - old).max() <= 1
    assert np.unique(new).size > 20
    kinds = {
        (round(float(t.scales[0]), 6), int(t.zero_points[0]))
        for t in Graph(requantise(content)).tensors
        if t.name in ("a", "a/rows", "b", "b/rows", "c", "c/rows", "out")
    }
    assert kinds == {(0.06, 2)}


# --- What is refused ---


def float_conv() -> bytes:
    model = Model().tensor("image", SHAPE).tensor("out", (*SHAPE[:3], 1))
    model.constant("w", np.ones((1, 1, 1, 4), np.float32))
    return model.op("CONV_2D", ("image", "w"), ("out",)).build(("image",), ("out",))


def shared_bias() -> bytes:
    """One bias tensor for two convolutions whose weights differ beyond 127."""
    model = Model().tensor("image", SHAPE, IMAGE)
    model.constant("bias", np.array([1000], np.int32), Kind("int32", 0.01 / 128))
    for name, level in (("a", 255), ("b", 130)):
        model.constant(f"{name}/w", np.full((1, 1, 1, 4), level, np.uint8), WEIGHTS)
        model.tensor(name, (*SHAPE[:3], 1), LINEAR)
        model.op_with_options(
            "CONV_2D", ("image", f"{name}/w", "bias"), (name,), "Conv2DOptions",
            stride_w=1, stride_h=1,
        )  # fmt: skip
    return model.build(("image",), ("a", "b"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (edgetpu_model(), "Edge TPU"),
        (float_conv(), "float32"),
        (raw_heads_model(), "QUANTIZE, SLICE are not known"),
        (unary("RESHAPE", SHAPE, (LINEAR, LINEAR)).replace(b"TFL3", b"TFL2"), "TFL3"),
        (heads_of_two_scales("MAX_POOL_2D"), "MAX_POOL_2D cannot give it"),
        (shared_bias(), "'bias' shares its values"),
        (conv("CONV_2D", levels(0, 9, (5, 3, 3, 4)), np.zeros(4, np.int32), LINEAR), "damaged"),
    ],
    ids=["edgetpu", "float", "unknown", "no model", "concatenation", "shared", "damaged"],
)
def test_refused_with_the_reason(content: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        requantise(content)


def test_an_int8_model_is_refused() -> None:
    weights, bias = np.full((1, 3, 3, 4), 99, np.uint8), np.zeros(1, np.int32)
    content = requantise(conv("CONV_2D", weights, bias, LINEAR))
    with pytest.raises(ModelError, match="int8 already"):
        requantise(content)


# --- The published model ---


def test_the_published_file_in_int8_as_the_schemas_own_reader_has_it(stock_model: Path) -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    content = load(str(stock_model)).content
    assert content is not None
    old = schema.ModelT.InitFromPackedBuf(content)
    new = schema.ModelT.InitFromPackedBuf(requantise(content))
    # CONV_2D 3, CONCATENATION 2, DEPTHWISE_CONV_2D 4, LOGISTIC 14, RESHAPE 22, the op's own.
    assert [(c.deprecatedBuiltinCode, c.version) for c in new.operatorCodes] == [
        (3, 3), (2, 2), (4, 3), (14, 2), (22, 1), (32, 1),
    ]  # fmt: skip
    assert [c.builtinCode for c in new.operatorCodes[:5]] == [3, 2, 4, 14, 22]
    (before,), (after,) = old.subgraphs, new.subgraphs
    for was, now in zip(before.operators, after.operators, strict=True):
        assert list(was.inputs) == list(now.inputs)
        assert vars(was.builtinOptions or was).keys() == vars(now.builtinOptions or now).keys()
        if was.opcodeIndex in (0, 2):
            weights = after.tensors[now.inputs[1]]
            axis = 0 if was.opcodeIndex == 0 else 3
            assert (weights.type, weights.quantization.quantizedDimension) == (9, axis)
            assert len(weights.quantization.scale) == weights.shape[axis]
            assert not np.any(weights.quantization.zeroPoint)
            bias = after.tensors[now.inputs[2]].quantization
            scale = after.tensors[now.inputs[0]].quantization.scale[0]
            np.testing.assert_allclose(bias.scale, scale * weights.quantization.scale, rtol=1e-6)
    for was, now in zip(old.buffers, new.buffers, strict=True):
        assert np.size(was.data) == np.size(now.data)
