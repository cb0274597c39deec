"""Reads a TensorFlow.js graph model (model.json and its weight shards) into plain numpy.

Also the weights alone, of a model that is published without its graph. model.json holds a
TensorFlow GraphDef in protobuf's JSON form, without the constants' values (`modelTopology`), and
where each constant lies in the shards (`weightsManifest`).
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deploy.export import ExportError

_DTYPES = {"float32": np.dtype("<f4"), "int32": np.dtype("<i4")}


class Node(NamedTuple):
    """One operation: `inputs` are node names, `attributes` the GraphDef's own JSON."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: dict[str, Any]


class Graph(NamedTuple):
    """A whole graph: every node by name, and the value of every constant by its node's name."""

    nodes: dict[str, Node]
    constants: dict[str, np.ndarray]


def read_graph(model_json: Path) -> Graph:
    """Read model.json and the shards beside it."""
    model = json.loads(model_json.read_text(encoding="utf-8"))
    nodes = {
        entry["name"]: Node(entry["name"], entry["op"], tuple(entry["input"]), entry["attr"])
        for entry in model["modelTopology"]["node"]
    }
    constants: dict[str, np.ndarray] = {}
    for group in model["weightsManifest"]:
        shards = b"".join((model_json.parent / path).read_bytes() for path in group["paths"])
        constants.update(split_shards(group["weights"], shards))
    return Graph(nodes, constants)


def split_shards(entries: list[dict[str, Any]], shards: bytes) -> dict[str, np.ndarray]:
    """Cut one group's concatenated shards into its constants, which lie one after another.

    entries: the group's part of the weights manifest. Those packed as uint8 come back as float32
    or int32, as real = stored x scale + min.
    """
    constants = {}
    offset = 0
    for entry in entries:
        name, dtype, packed = entry["name"], _DTYPES.get(entry["dtype"]), entry.get("quantization")
        if dtype is None or (packed is not None and packed.get("dtype") != "uint8"):
            raise ExportError(
                f"constant {name}: only float32 and int32 weights, plain or packed as uint8, "
                "can be read"
            )
        stored = dtype if packed is None else np.dtype(np.uint8)
        count = int(np.prod(entry["shape"], dtype=np.int64))
        end = offset + count * stored.itemsize
        if end > len(shards):
            raise ExportError(f"constant {name}: the weight shards end too early, fetch them again")
        values = np.frombuffer(shards, stored, count, offset).reshape(entry["shape"])
        if packed is not None:
            values = values * np.float32(packed["scale"]) + np.float32(packed["min"])
        constants[name] = values.astype(dtype)
        offset = end
    if offset != len(shards):
        raise ExportError(f"the weight shards hold {len(shards)} bytes, model.json lists {offset}")
    return constants


def bias_before_skip(graph: Graph) -> Graph:
    """The same graph with each residual block's bias back on its convolution.

    TensorFlow's graph optimiser had turned (convolution + bias) + skip into
    bias + (convolution + skip), which keeps the converter from putting the bias into the
    convolution and costs one more quantised addition a block.
    """
    nodes = dict(graph.nodes)
    for outer in graph.nodes.values():
        inner = graph.nodes[outer.inputs[-1]] if outer.op == "Add" else outer
        if inner.op == "AddN" and outer.inputs[0] in graph.constants:
            bias, (convolution, skip) = outer.inputs[0], inner.inputs
            nodes[inner.name] = Node(inner.name, "BiasAdd", (convolution, bias), {})
            nodes[outer.name] = Node(outer.name, "Add", (inner.name, skip), {})
    return Graph(nodes, graph.constants)


def nodes_between(
    graph: Graph, feed: str, fetches: Collection[str], allowed_ops: Collection[str]
) -> list[Node]:
    """The nodes that compute `fetches` from `feed`, each after its inputs, constants left out.

    A node whose op is not in `allowed_ops` is refused by name.
    """
    ordered: dict[str, Node] = {}
    pending = [(name, False) for name in reversed(list(fetches))]
    while pending:
        name, inputs_done = pending.pop()
        if name in ordered or name == feed or name in graph.constants:
            continue
        node = graph.nodes.get(name)
        if node is None:
            raise ExportError(f"node {name} is missing from the graph, is this the right model?")
        if node.op not in allowed_ops:
            raise ExportError(f"node {name}: op {node.op} is not one of {', '.join(allowed_ops)}")
        if inputs_done:
            ordered[name] = node
        else:
            pending.append((name, True))
            pending.extend((data_input, False) for data_input in reversed(data_inputs(node)))
    return list(ordered.values())


def data_inputs(node: Node) -> tuple[str, ...]:
    """The inputs a node computes with; a Reshape's second one is only its target shape."""
    return node.inputs[:1] if node.op == "Reshape" else node.inputs


def text(node: Node, attribute: str) -> str:
    """A string attribute, which the JSON holds as a list of byte values."""
    return bytes(node.attributes[attribute]["s"]).decode("ascii")


def integers(node: Node, attribute: str) -> list[int]:
    """A list-of-integers attribute, which the JSON holds as decimal strings."""
    return [int(value) for value in node.attributes[attribute]["list"]["i"]]
