"""A model file described as an interpreter would, by reading it: nothing runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_ssd.models.graph import Graph, Tensor


class FileDescription:
    """What an interpreter says of a model's inputs, outputs and signatures."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._signatures = graph.signature_outputs()

    def get_input_details(self) -> list[dict[str, Any]]:
        return [self._details(tensor) for tensor in self._graph.inputs]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [self._details(tensor) for tensor in self._graph.outputs]

    def get_signature_list(self) -> dict[str, Any]:
        return {key: {"outputs": list(names)} for key, names in self._signatures.items()}

    def get_signature_runner(self, key: str) -> SignatureDescription:
        return SignatureDescription(self._signatures[key])

    def _details(self, tensor: Tensor) -> dict[str, Any]:
        one = len(tensor.scales) == len(tensor.zero_points) == 1
        scale = (float(tensor.scales[0]), int(tensor.zero_points[0])) if one else (0.0, 0)
        parameters = {"scales": tensor.scales, "zero_points": tensor.zero_points}
        return {
            "name": tensor.name,
            "index": tensor.index,
            "shape": np.array(tensor.shape, np.int32),
            "shape_signature": np.array(self._graph.shape_signature(tensor), np.int32),
            "dtype": _dtype(tensor),
            "quantization": scale,
            "quantization_parameters": parameters,
        }


class SignatureDescription:
    """What an interpreter says of one signature's outputs."""

    def __init__(self, outputs: dict[str, int]) -> None:
        self._outputs = outputs

    def get_output_details(self) -> dict[str, dict[str, Any]]:
        return {name: {"index": index} for name, index in self._outputs.items()}


def _dtype(tensor: Tensor) -> type[Any]:
    try:
        return np.dtype(tensor.dtype).type
    except TypeError:  # one that numpy has not, such as 4-bit integers
        return np.object_
