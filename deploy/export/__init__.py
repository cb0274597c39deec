"""Rebuilds the bundled models from published weights; needs TensorFlow, never installed on a Pi."""


class ExportError(Exception):
    """A model cannot be rebuilt; the message names what is wrong and the remedy, in one line."""
