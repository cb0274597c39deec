"""What the operators of a model cost: multiply-adds, stored bytes, the Edge TPU's share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod

from edge_ssd.errors import ModelError
from edge_ssd.models.graph import EDGETPU_OP, OMITTED, Graph, Operator

Shape = tuple[int, ...]

_FACTORS = {
    "CONV_2D": (1, (1, 2, 3)),
    "DEPTHWISE_CONV_2D": (1, (1, 2)),
    "TRANSPOSE_CONV": (1, (0, 1, 2)),
    "FULLY_CONNECTED": (1, (1,)),
    "BATCH_MATMUL": (0, (-1,)),
}
"""By operator: the input, and its axes, whose sizes give the multiply-adds per element.

Of the output; for a transposed convolution, of what it spreads, input 2.
"""


@dataclass(frozen=True, slots=True)
class Work:
    """multiply_adds: of one inference, in convolutions and matrix products alone.

    uncounted: operators that multiply, but whose shapes do not give the count.
    """

    multiply_adds: int
    uncounted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EdgeTpuShare:
    """How much of a graph was compiled for the Edge TPU.

    operators, of_operators: its custom operators, and all that are left in the graph.
    bytes, of_bytes: the compiled programs (weights included), and those and all other weights.
    """

    operators: int
    of_operators: int
    bytes: int
    of_bytes: int


def work(graph: Graph) -> Work:
    """Estimate the multiply-adds of one inference from the shapes of weights and outputs."""
    counted = [
        (operator.name, _multiply_adds(graph, operator) if operator.name in _FACTORS else 0)
        for operator in graph.operators
        if operator.name in (*_FACTORS, EDGETPU_OP)
    ]
    uncounted = {name for name, count in counted if not count}
    return Work(sum(count for _, count in counted), tuple(sorted(uncounted)))


def weights(graph: Graph) -> dict[str, int]:
    """Return the stored bytes of the constant tensors by dtype, the largest first."""
    found: Counter[str] = Counter()
    stored = graph.model.vector(4)
    dtypes = {tensor.buffer: tensor.dtype for tensor in reversed(graph.tensors)}
    for buffer, dtype in dtypes.items():
        found[dtype] += stored.table(buffer).vector(0).length
    return {dtype: count for dtype, count in found.most_common() if count}


def edgetpu_share(graph: Graph) -> EdgeTpuShare | None:
    """Return what was compiled for the Edge TPU, or None for nothing."""
    compiled = [operator for operator in graph.operators if operator.code == EDGETPU_OP]
    if not compiled:
        return None
    size, others = sum(len(op.custom_options) for op in compiled), sum(weights(graph).values())
    return EdgeTpuShare(len(compiled), len(graph.operators), size, size + others)


def activations(graph: Graph) -> str:
    """Return the dtype that convolutions compute in, or the input's where there are none."""
    for operator in graph.operators:
        if operator.name in _FACTORS and operator.inputs[:1] > (OMITTED,):
            return graph.tensor(operator.inputs[0]).dtype
    return graph.inputs[0].dtype


def _multiply_adds(graph: Graph, operator: Operator) -> int:
    """Return the multiply-adds of one operator; 0 where its shapes do not fit it."""
    source, axes = _FACTORS[operator.name]
    try:
        per_element = prod(graph.tensor(operator.inputs[source]).shape[axis] for axis in axes)
        elements = operator.inputs[2] if operator.name == "TRANSPOSE_CONV" else operator.outputs[0]
        return prod(graph.tensor(elements).shape) * per_element
    except (IndexError, ModelError):
        return 0
