"""Full-integer TFLite conversion: int8 weights per output channel, int8 input and outputs."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf


def concrete(model: Any) -> Any:
    """A concrete function of a Keras model with one input and a dictionary of outputs."""
    signature = [tf.TensorSpec(model.inputs[0].shape, tf.float32, name="image")]
    network = tf.function(lambda image: model(image, training=False), signature)
    return network.get_concrete_function()


def quantise(function: Any, inputs: Iterable[np.ndarray]) -> bytes:
    """A .tflite file of a concrete function, calibrated on `inputs` (float32, as it takes them).

    Method: post-training full-integer quantisation as in TensorFlow Lite's quantisation
    specification: activations asymmetric per tensor, weights symmetric per output channel.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([array] for array in inputs)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    model: bytes = converter.convert()
    return model
