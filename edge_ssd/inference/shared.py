"""Memory that this process and a child both see, and the tensors laid out in it."""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ssd.inference.tensors import TensorInfo


class Memory:
    """Anonymous memory that a child process is given as an open file."""

    def __init__(self, size: int) -> None:
        self.file = os.memfd_create("edge-ssd")
        os.ftruncate(self.file, size)
        self.map = mmap.mmap(self.file, size)

    def __del__(self) -> None:
        with suppress(AttributeError):
            os.close(self.file)


def room_for(tensors: Sequence[TensorInfo]) -> Memory:
    """Return memory for these tensors."""
    return Memory(sum(tensor.size * tensor.dtype.itemsize for tensor in tensors) or 1)


def views(memory: mmap.mmap, tensors: Sequence[TensorInfo]) -> list[NDArray[Any]]:
    """Return the memory as one array per tensor, one after another."""
    arrays, offset = [], 0
    for tensor in tensors:
        flat = np.frombuffer(memory, tensor.dtype, tensor.size, offset)
        arrays.append(flat.reshape(tensor.shape))
        offset += flat.nbytes
    return arrays
