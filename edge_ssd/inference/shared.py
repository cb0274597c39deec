"""Memory that this process and a child both see, and the tensors laid out in it."""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TensorLayout:
    """A tensor of the interpreter: its index, its full shape and its dtype."""

    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return int(np.prod(self.shape))


class Memory:
    """Anonymous memory that a child process is given as an open file."""

    def __init__(self, size: int) -> None:
        self.file = os.memfd_create("edge-ssd")
        os.ftruncate(self.file, size)
        self.map = mmap.mmap(self.file, size)

    def __del__(self) -> None:
        with suppress(AttributeError):
            os.close(self.file)


def holding(content: bytes) -> Memory:
    """Return memory that holds ``content``."""
    memory = Memory(len(content))
    memory.map[:] = content
    return memory


def room_for(tensors: Sequence[TensorLayout]) -> Memory:
    """Return memory for these tensors."""
    return Memory(sum(tensor.size * tensor.dtype.itemsize for tensor in tensors) or 1)


def views(memory: mmap.mmap, tensors: Sequence[TensorLayout]) -> list[NDArray[Any]]:
    """Return the memory as one array per tensor, one after another."""
    found, offset = [], 0
    for tensor in tensors:
        flat = np.frombuffer(memory, tensor.dtype, tensor.size, offset)
        found.append(flat.reshape(tensor.shape))
        offset += flat.nbytes
    return found
