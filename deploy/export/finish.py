"""Two edits that the converter has no setting for: the outputs' names and the logits' scale."""

import numpy as np
from tensorflow.lite.python.schema_py_generated import BuiltinOperator
from tensorflow.lite.tools import flatbuffer_utils

LOGIT_STEP = 1 / 16
"""int8 logits then reach from -8 to 7.94, scores from .0003 to .9996. Calibration takes in the
far ends, -40 to 15, where no score changes any more, and gives steps of .05 at a score of .5."""

_MOVES_VALUES = {BuiltinOperator.RESHAPE: 1, BuiltinOperator.CONCATENATION: None}
"""Operators whose output has the quantisation of their inputs, and how many inputs hold values."""


def finish(model: bytes, output_names: list[str]) -> bytes:
    """Return an int8 .tflite file with its outputs named and the sigmoids' input scaled finer.

    The convolutions that compute the logits saturate to the new range by themselves: a runtime
    derives their rescaling from the scales in the file.
    """
    content = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
    graph = content.subgraphs[0]
    for index, name in zip(graph.outputs, output_names, strict=True):
        graph.tensors[index].name = name.encode()
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in content.operatorCodes]
    producers = {output: operator for operator in graph.operators for output in operator.outputs}
    pending = [
        operator.inputs[0]
        for operator in graph.operators
        if codes[operator.opcodeIndex] == BuiltinOperator.LOGISTIC
    ]
    while pending:
        index = pending.pop()
        quantization = graph.tensors[index].quantization
        quantization.scale = np.array([LOGIT_STEP], np.float32)
        quantization.zeroPoint = np.array([0], np.int64)
        producer = producers[index]
        code = codes[producer.opcodeIndex]
        if code in _MOVES_VALUES:
            pending.extend(producer.inputs[: _MOVES_VALUES[code]])
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content))
