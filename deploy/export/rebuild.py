"""Rebuilds a TensorFlow.js graph as a TensorFlow function with static shapes.

Batch norm and the multiply-adds left of it stay as they are in the published graph: the TFLite
converter folds them into the convolutions. The graph's dynamic shapes (Shape, StridedSlice, Pack)
are replaced by what they come to at a batch of one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from deploy.export import ExportError
from deploy.export.tfjs_graph import Graph, Node, data_inputs, integers, nodes_between, text

Tensor = Any
"""A tf.Tensor (TensorFlow ships no types); maps are float32 (1, height, width, channels)."""


def rebuild(graph: Graph, feed: str, input_shape: tuple[int, ...], fetches: dict[str, str]) -> Any:
    """A concrete function from one float32 tensor of `input_shape` to a dictionary of tensors.

    `feed` names the node that the input replaces; `fetches` maps output names to node names.
    """
    plan = nodes_between(graph, feed, list(fetches.values()), OPS)

    @tf.function(input_signature=[tf.TensorSpec(input_shape, tf.float32, name="image")])
    def network(image: Tensor) -> dict[str, Tensor]:
        values: dict[str, Tensor] = {feed: image}
        for node in plan:
            inputs = [
                values[name] if name in values else graph.constants[name]
                for name in data_inputs(node)
            ]
            values[node.name] = OPS[node.op](graph, node, inputs)
        return {output: values[name] for output, name in fetches.items()}

    return network.get_concrete_function()


def _conv(_graph: Graph, node: Node, inputs: list[Tensor]) -> Tensor:
    """inputs: map, weights (height, width, channels in, channels out)."""
    features, weights = inputs
    return tf.nn.conv2d(features, weights, integers(node, "strides"), text(node, "padding"))


def _depthwise(_graph: Graph, node: Node, inputs: list[Tensor]) -> Tensor:
    """inputs: map, weights (height, width, channels, multiplier)."""
    features, weights = inputs
    return tf.nn.depthwise_conv2d(
        features, weights, integers(node, "strides"), text(node, "padding")
    )


def _batch_norm(_graph: Graph, node: Node, inputs: list[Tensor]) -> Tensor:
    """Inference batch norm: (x - mean) / sqrt(variance + epsilon) * gamma + beta, as scale, shift.

    inputs: map, gamma, beta, mean, variance; the last four (channels,).
    """
    features, gamma, beta, mean, variance = inputs
    scale = gamma / np.sqrt(variance + np.float32(node.attributes["epsilon"]["f"]))
    return features * scale + (beta - mean * scale)


def _reshape(graph: Graph, node: Node, inputs: list[Tensor]) -> Tensor:
    """A predictor's map (1, h, w, boxes x columns) to (1, h x w x boxes, columns).

    The published target is Pack(batch, boxes, [1,] columns); only its last entry is needed.
    """
    columns = int(graph.constants[graph.nodes[node.inputs[1]].inputs[-1]])
    return tf.reshape(inputs[0], (1, -1, columns))


def _concat(_graph: Graph, node: Node, inputs: list[Tensor]) -> Tensor:
    """inputs: the layers' tensors, then the axis, which must be the one that counts boxes."""
    *layers, axis = inputs
    if int(axis) != 1:
        raise ExportError(f"node {node.name}: joins axis {int(axis)}, expected 1, the boxes")
    return tf.concat(layers, axis=1)


OPS: dict[str, Callable[[Graph, Node, list[Tensor]], Tensor]] = {
    "Add": lambda _graph, _node, inputs: inputs[0] + inputs[1],
    "BiasAdd": lambda _graph, _node, inputs: inputs[0] + inputs[1],
    "ConcatV2": _concat,
    "Conv2D": _conv,
    "DepthwiseConv2dNative": _depthwise,
    "FusedBatchNorm": _batch_norm,
    "Mul": lambda _graph, _node, inputs: inputs[0] * inputs[1],
    "Relu6": lambda _graph, _node, inputs: tf.nn.relu6(inputs[0]),
    "Reshape": _reshape,
    "Sigmoid": lambda _graph, _node, inputs: tf.sigmoid(inputs[0]),
}
