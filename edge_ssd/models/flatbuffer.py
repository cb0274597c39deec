"""Read a flatbuffer with every offset checked, and patch it in place.

The format: https://flatbuffers.dev/internals. Offsets to tables and vectors are unsigned and
point forward from where they stand, so new data can be appended and an old field pointed at
it; everything else keeps its bytes and its place.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import ModelError

Data = bytes | bytearray | memoryview


def _unpack(fmt: str, data: Data, position: int) -> Any:
    try:
        if position < 0:
            raise struct.error
        return struct.unpack_from(fmt, data, position)[0]
    except struct.error:
        raise ModelError(
            f"the model file is damaged: an offset points to byte {position} of {len(data)}",
            "copy or download the file again",
        ) from None


@dataclass(frozen=True, slots=True)
class Vector:
    """``length`` elements that begin at byte ``position`` of ``data``."""

    data: Data
    position: int
    length: int

    def array(self, dtype: str) -> NDArray[Any]:
        """Return the elements as a read-only view of ``dtype`` (little-endian)."""
        size = np.dtype(dtype).itemsize * self.length
        if self.position + size > len(self.data):
            raise ModelError(
                f"the model file is damaged: {size} bytes at {self.position} "
                f"reach past its end at {len(self.data)}",
                "copy or download the file again",
            )
        view = np.frombuffer(self.data, dtype, self.length, self.position)
        view.flags.writeable = False
        return view

    def tables(self) -> Iterator[Table]:
        """Yield the tables that the elements point to."""
        for index in range(self.length):
            yield self.table(index)

    def table(self, index: int) -> Table:
        """Return the table that element ``index`` points to."""
        if not 0 <= index < self.length:
            raise ModelError(
                f"the model file is damaged: element {index} of {self.length} is asked for",
                "copy or download the file again",
            )
        place = self.position + 4 * index
        return Table(self.data, place + _unpack("<I", self.data, place))


@dataclass(frozen=True, slots=True)
class Table:
    """The table at byte ``position`` of ``data``; fields are named by their schema slot."""

    data: Data
    position: int

    def field(self, slot: int) -> int | None:
        """Return the byte position of a field, or None where the file leaves it out."""
        vtable = self.position - _unpack("<i", self.data, self.position)
        entry = 4 + 2 * slot
        if entry >= _unpack("<H", self.data, vtable):
            return None
        offset = _unpack("<H", self.data, vtable + entry)
        return self.position + offset if offset else None

    def scalar(self, slot: int, fmt: str, default: int = 0) -> Any:
        """Return a scalar field; ``fmt`` is its ``struct`` letter."""
        place = self.field(slot)
        return default if place is None else _unpack("<" + fmt, self.data, place)

    def table(self, slot: int) -> Table | None:
        """Return the table that a field points to, or None."""
        place = self.field(slot)
        return None if place is None else Table(self.data, self._target(place))

    def vector(self, slot: int) -> Vector:
        """Return the vector that a field points to; an absent one is empty."""
        place = self.field(slot)
        if place is None:
            return Vector(self.data, 0, 0)
        start = self._target(place)
        length = _unpack("<I", self.data, start)
        if start + 4 + length > len(self.data):
            raise ModelError(
                f"the model file is damaged or cut short: {length} elements at byte {start} "
                f"do not fit into its {len(self.data)} bytes",
                "copy or download the file again",
            )
        return Vector(self.data, start + 4, length)

    def string(self, slot: int) -> str:
        """Return a string field; an absent one is empty."""
        return self.vector(slot).array("u1").tobytes().decode("utf-8", "replace")

    def _target(self, place: int) -> int:
        target: int = place + _unpack("<I", self.data, place)
        return target


def root(data: Data) -> Table:
    """Return the root table."""
    return Table(data, _unpack("<I", data, 0))


def append_vector(data: bytearray, table: Table, slot: int, values: NDArray[Any]) -> None:
    """Point a present field of ``table`` at a new vector at the end of ``data``."""
    place = table.field(slot)
    if place is None:
        raise ModelError(f"the model file has no field in slot {slot} to point elsewhere")
    data.extend(bytes(-len(data) % 16))
    struct.pack_into("<I", data, place, len(data) - place)
    data.extend(struct.pack("<I", len(values)) + values.tobytes())


def remove_element(data: bytearray, vector: Vector, index: int) -> None:
    """Take one table out of a vector of tables; the elements behind it move up."""
    for place in range(vector.position + 4 * index, vector.position + 4 * (vector.length - 1), 4):
        struct.pack_into("<I", data, place, _unpack("<I", data, place + 4) + 4)
    truncate(data, vector, vector.length - 1)


def truncate(data: bytearray, vector: Vector, length: int) -> None:
    """Shorten a vector to its first ``length`` elements."""
    struct.pack_into("<I", data, vector.position - 4, length)
