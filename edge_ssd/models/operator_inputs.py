"""Operators that lack an input: the runtimes crash on some of them, and refuse others."""

from __future__ import annotations

from edge_ssd.models.flatbuffer import damaged
from edge_ssd.models.graph import OMITTED, Graph
from edge_ssd.wording import counted

_TWO = """
ADD CONV_2D DEPTHWISE_CONV_2D EMBEDDING_LOOKUP FULLY_CONNECTED MUL RESIZE_BILINEAR PAD GATHER
TRANSPOSE MEAN SUB DIV TOPK_V2 SPLIT PRELU MAXIMUM ARG_MAX MINIMUM LESS GREATER GREATER_EQUAL
LESS_EQUAL TILE EXPAND_DIMS EQUAL NOT_EQUAL SUM POW ARG_MIN REDUCE_PROD REDUCE_MAX LOGICAL_OR
LOGICAL_AND REDUCE_MIN FLOOR_DIV REDUCE_ANY FILL FLOOR_MOD RESIZE_NEAREST_NEIGHBOR
SQUARED_DIFFERENCE MIRROR_PAD REVERSE_V2 GATHER_ND REVERSE_SEQUENCE MATRIX_SET_DIAG SEGMENT_SUM
BATCH_MATMUL CUMSUM BROADCAST_TO REDUCE_ALL BROADCAST_ARGS ATAN2 BITWISE_XOR RIGHT_SHIFT RFFT2D
CONV_3D
"""
_THREE = """
PADV2 BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND SPLIT_V SELECT SELECT_V2 SLICE TRANSPOSE_CONV RANGE
SCATTER_ND DYNAMIC_UPDATE_SLICE UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM
UNSORTED_SEGMENT_MIN CONV_3D_TRANSPOSE HASHTABLE_LOOKUP
"""
_REQUIRED = dict.fromkeys(_TWO.split(), 2) | dict.fromkeys(_THREE.split(), 3)
_REQUIRED |= {"STRIDED_SLICE": 4, "ONE_HOT": 4, "SPARSE_TO_DENSE": 4}
_REQUIRED |= {"NON_MAX_SUPPRESSION_V4": 5, "NON_MAX_SUPPRESSION_V5": 6}
"""How many of the first inputs are required; one for operators not listed."""

# They need every input that they list.
_ALL = {"ADD_N", "CONCATENATION", "PACK"}
# They may have no input or no output: what calls, and what is kept from one run to the next.
_FREE = {
    "ASSIGN_VARIABLE", "CALL", "CALL_ONCE", "DELEGATE", "HASHTABLE", "HASHTABLE_IMPORT", "IF",
    "VAR_HANDLE", "WHILE",
}  # fmt: skip


def check(graph: Graph) -> None:
    """Raise ModelError for an operator without an input that it needs, or without outputs.

    Custom operators, and those newer than the schema known here, are not checked.
    """
    for operator in graph.operators:
        if operator.code == operator.name or operator.name in _FREE:
            continue
        count = len(operator.inputs) or 1
        required = count if operator.name in _ALL else _REQUIRED.get(operator.name, 1)
        there = sum(index != OMITTED for index in operator.inputs[:required])
        where = f"operator {operator.index}, {operator.name}"
        if there < required:
            raise damaged(f"{where}, has {there} of the {counted(required, 'input')} it needs")
        if not operator.outputs:
            raise damaged(f"{where}, has no output")
