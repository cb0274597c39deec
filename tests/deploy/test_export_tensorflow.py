"""The rebuilt and quantised network, run: needs TensorFlow, the extra [export]."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from deploy.export.tfjs_graph import Graph, Node

from edge_ssd.inference.runtime import load_interpreter
from edge_ssd.models.graph import Graph as File
from edge_ssd.models.spec import ModelSpec


def small_graph() -> Graph:
    """image -> 3x3 convolution with stride 2 -> batch norm -> Relu6."""
    generator = np.random.default_rng(5)
    constants = {
        "weights": generator.normal(size=(3, 3, 3, 4)).astype(np.float32),
        "gamma": generator.uniform(0.5, 2, 4).astype(np.float32),
        "beta": generator.normal(size=4).astype(np.float32),
        "mean": generator.normal(size=4).astype(np.float32),
        "variance": generator.uniform(0.5, 2, 4).astype(np.float32),
    }
    conv = {
        "strides": {"list": {"i": ["1", "2", "2", "1"]}},
        "padding": {"s": list(b"SAME")},
    }
    norm = ("conv", "gamma", "beta", "mean", "variance")
    nodes = [
        Node("conv", "Conv2D", ("image", "weights"), conv),
        Node("norm", "FusedBatchNorm", norm, {"epsilon": {"f": 0.001}}),
        Node("out", "Relu6", ("norm",), {}),
    ]
    return Graph({node.name: node for node in nodes}, constants)


@pytest.mark.tensorflow
def test_a_quantised_network_equals_its_float_graph_within_its_quanta(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    from deploy.export.quantise import quantise
    from deploy.export.rebuild import rebuild

    network = rebuild(small_graph(), "image", (1, 8, 8, 3), {"heads": "out"})
    images = np.random.default_rng(6).uniform(-1, 1, (20, 1, 8, 8, 3)).astype(np.float32)
    path = tmp_path / "small.tflite"
    path.write_bytes(quantise(network, list(images)))
    interpreter = load_interpreter(ModelSpec(name="small", path=path))
    (taken,) = interpreter.get_input_details()
    (given,) = interpreter.get_output_details()
    assert taken["dtype"] == given["dtype"] == np.int8
    scale, zero_point = taken["quantization"]
    for image in images:
        stored = np.clip(np.round(image / scale) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(taken["index"], stored)
        interpreter.invoke()
        out_scale, out_zero = given["quantization"]
        found = (interpreter.get_tensor(given["index"]).astype(np.float32) - out_zero) * out_scale
        expected = network(image)["heads"].numpy()
        assert np.abs(found - expected).max() < 6 * out_scale
        assert np.abs(found - expected).mean() < out_scale


@pytest.mark.tensorflow
def test_finishing_names_the_outputs_and_scales_every_logit_alike() -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    from deploy.export.finish import LOGIT_STEP, finish
    from deploy.export.quantise import quantise
    from deploy.export.rebuild import rebuild

    graph = small_graph()
    shape = {"attributes": {}}
    graph.constants.update(columns=np.array(2, np.int32), axis=np.array(1, np.int32))
    for node in (
        Node("target", "Pack", ("columns",), **shape),
        Node("rows", "Reshape", ("norm", "target"), **shape),
        Node("joined", "ConcatV2", ("rows", "rows", "axis"), **shape),
        Node("sigmoid", "Sigmoid", ("joined",), **shape),
    ):
        graph.nodes[node.name] = node
    network = rebuild(graph, "image", (1, 8, 8, 3), {"a": "out", "b": "sigmoid"})
    images = np.random.default_rng(6).uniform(-1, 1, (20, 1, 8, 8, 3)).astype(np.float32)
    before = File(quantise(network, list(images)))
    after = File(finish(bytes(before.data), ["boxes", "scores"]))
    assert [tensor.name for tensor in after.outputs] == ["boxes", "scores"]
    changed = [
        new.scales.tolist()
        for old, new in zip(before.tensors, after.tensors, strict=True)
        if not np.array_equal(old.scales, new.scales)
    ]
    assert changed == [[LOGIT_STEP]] * 3  # the convolution, the reshape, the concatenation
