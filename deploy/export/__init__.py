"""Rebuilds the bundled models from published weights; needs TensorFlow, never installed on a Pi."""

from importlib.util import find_spec


class ExportError(Exception):
    """A model cannot be rebuilt; the message names what is wrong and the remedy, in one line."""


def check_installed() -> None:
    """Raise ExportError where TensorFlow is not installed, which takes seconds to import."""
    if find_spec("tensorflow") is None:
        raise ExportError(
            "TensorFlow is not installed; install the extra: pip install -e '.[export]' in the "
            "checkout"
        )
