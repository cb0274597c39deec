"""What the operators of a model cost: multiply-adds, stored bytes, the Edge TPU's share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from edge_ssd.errors import ModelError
from edge_ssd.models.graph import EDGETPU_OP, Graph, Operator

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """multiply_adds: of one inference, in convolutions and matrix products alone.

    uncounted: operators that surely multiply and whose shapes do not tell how often.
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


def counts(graph: Graph) -> dict[str, int]:
    """Return how often each operator occurs, the most frequent first."""
    return dict(Counter(operator.name for operator in graph.operators).most_common())


def work(graph: Graph) -> Work:
    """Estimate the multiply-adds of one inference from the shapes of weights and outputs."""
    total, uncounted = 0, set()
    for operator in graph.operators:
        estimate = _ESTIMATES.get(operator.name)
        count = _estimated(estimate, graph, operator) if estimate else None
        total += count or 0
        if count is None and (estimate or operator.name == EDGETPU_OP):
            uncounted.add(operator.name)
    return Work(total, tuple(sorted(uncounted)))


def weights(graph: Graph) -> dict[str, int]:
    """Return the stored bytes of the constant tensors by dtype, the largest first."""
    found: Counter[str] = Counter()
    seen = set()
    stored = graph.model.vector(4)
    for tensor in graph.tensors:
        if tensor.buffer not in seen:
            seen.add(tensor.buffer)
            found[tensor.dtype] += stored.table(tensor.buffer).vector(0).length
    return {dtype: count for dtype, count in found.most_common() if count}


def edgetpu_share(graph: Graph) -> EdgeTpuShare | None:
    """Return what was compiled for the Edge TPU, or None for nothing."""
    compiled = [operator for operator in graph.operators if operator.code == EDGETPU_OP]
    if not compiled:
        return None
    size = sum(len(operator.custom_options) for operator in compiled)
    return EdgeTpuShare(
        len(compiled), len(graph.operators), size, size + sum(weights(graph).values())
    )


def activations(graph: Graph) -> str:
    """Return the dtype that convolutions compute in, or the input's where there are none."""
    for operator in graph.operators:
        if operator.name in _ESTIMATES and operator.inputs[:1] > (-1,):
            return graph.tensor(operator.inputs[0]).dtype
    return graph.inputs[0].dtype


def _estimated(
    estimate: Callable[[list[Shape], Shape], int], graph: Graph, operator: Operator
) -> int | None:
    """Return the multiply-adds of one operator, or None where its shapes do not fit it."""
    try:
        inputs = [graph.tensor(i).shape if i >= 0 else () for i in operator.inputs]
        count = estimate(inputs, graph.tensor(operator.outputs[0]).shape)
    except (IndexError, ValueError, ZeroDivisionError, ModelError):
        return None
    return count if count > 0 else None


def _conv(inputs: list[Shape], output: Shape) -> int:
    _, height, width, channels = inputs[1]
    return prod(output) * height * width * channels


def _depthwise(inputs: list[Shape], output: Shape) -> int:
    _, height, width, _ = inputs[1]
    return prod(output) * height * width


def _transposed(inputs: list[Shape], _output: Shape) -> int:
    channels, height, width, _ = inputs[1]
    return prod(inputs[2]) * height * width * channels


def _fully_connected(inputs: list[Shape], output: Shape) -> int:
    return prod(output) * inputs[1][1]


def _matrix_product(inputs: list[Shape], output: Shape) -> int:
    return prod(output) * inputs[0][-1]


_ESTIMATES: dict[str, Callable[[list[Shape], Shape], int]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _matrix_product,
}
