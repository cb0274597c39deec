"""Read a flatbuffer with every offset checked, and patch it.

The format: https://flatbuffers.dev/internals. Offsets to tables and vectors are unsigned and
point forward from where they stand, so new data can be appended and an old field pointed at
it, or a new root put in front; everything else keeps its bytes and its distances.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flatbuffers import Builder
from numpy.typing import NDArray

from edge_ssd.errors import ModelError

Data = bytes | bytearray | memoryview

MAX_TABLES = 50_000
"""In one vector; SSD models have some hundred tensors, and the largest known ones 10,000."""
MAX_NAME = 20_000
"""Bytes of one name; TensorFlow joins the names of what it fuses, a thousand of them at most."""


def damaged(what: str) -> ModelError:
    """Return the error of a file that is not as it was written."""
    return ModelError(f"the model file is damaged: {what}", "copy or download the file again")


def _unpack(fmt: str, data: Data, position: int) -> Any:
    try:
        if position < 0:
            raise struct.error
        return struct.unpack_from(fmt, data, position)[0]
    except struct.error:
        raise damaged(f"an offset points to byte {position} of {len(data)}") from None


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
            end = len(self.data)
            raise damaged(f"{size} bytes at {self.position} reach past its end at {end}")
        view = np.frombuffer(self.data, dtype, self.length, self.position)
        view.flags.writeable = False
        return view

    def tables(self) -> Iterator[Table]:
        """Yield the tables that the elements point to."""
        # Zeros read as an empty table, so a wrong length in front of them could go on for ever.
        if self.length > MAX_TABLES:
            raise damaged(f"it states {self.length} tables in a row, of at most {MAX_TABLES}")
        yield from map(self.table, range(self.length))

    def table(self, index: int) -> Table:
        """Return the table that element ``index`` points to."""
        if not 0 <= index < self.length:
            raise damaged(f"element {index} of {self.length} is asked for")
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

    def place(self, slot: int) -> int:
        """Return the byte position of a field that must be there, to write to it."""
        place = self.field(slot)
        if place is None:
            raise ModelError(f"the model file has no field in slot {slot} to change")
        return place

    def scalar(self, slot: int, fmt: str, default: int = 0) -> Any:
        """Return a scalar field; ``fmt`` is its ``struct`` letter."""
        place = self.field(slot)
        return default if place is None else _unpack("<" + fmt, self.data, place)

    def table(self, slot: int) -> Table | None:
        """Return the table that a field points to, or None."""
        target = self._target(slot)
        return None if target is None else Table(self.data, target)

    def vector(self, slot: int) -> Vector:
        """Return the vector that a field points to; an absent one is empty."""
        start = self._target(slot)
        if start is None:
            return Vector(self.data, 0, 0)
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
        text = self.vector(slot)
        if text.length > MAX_NAME:
            raise damaged(f"a name in it has {text.length} bytes")
        try:
            return text.array("u1").tobytes().decode("utf-8")
        except UnicodeDecodeError:  # the runtimes raise it too, from deep inside
            raise damaged("a name in it is not UTF-8 text") from None

    def _target(self, slot: int) -> int | None:
        place = self.field(slot)
        return None if place is None else place + int(_unpack("<I", self.data, place))


def root(data: Data) -> Table:
    """Return the root table."""
    return Table(data, _unpack("<I", data, 0))


def built(fields: Mapping[int, bytes | str | NDArray[Any] | int]) -> bytes:
    """Return a flatbuffer that is one table: vectors, strings and 4-byte numbers, by slot."""
    builder = Builder(64)
    create: dict[type, Callable[[Any], int]] = {
        bytes: builder.CreateByteVector,
        str: builder.CreateString,
        np.ndarray: builder.CreateNumpyVector,
    }
    offsets = {
        slot: create[type(value)](value)
        for slot, value in fields.items()
        if not isinstance(value, int)
    }
    builder.StartObject(max(fields) + 1)
    for slot, value in fields.items():
        if slot in offsets:
            builder.PrependUOffsetTRelativeSlot(slot, offsets[slot], 0)
        else:
            builder.PrependInt32Slot(slot, value, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def append(data: bytearray, piece: bytes) -> int:
    """Put a finished flatbuffer at the end of ``data``; return where its root table is then."""
    data.extend(bytes(-len(data) % 16))
    start = len(data)
    data.extend(piece)
    return start + int(_unpack("<I", data, start))


def append_vector(data: bytearray, table: Table, slot: int, values: NDArray[Any]) -> None:
    """Point a present field of ``table`` at a new vector at the end of ``data``."""
    data.extend(bytes(-len(data) % 16))
    point(data, table.place(slot), len(data))
    data.extend(struct.pack("<I", len(values)) + values.tobytes())


def point(data: bytearray, place: int, target: int) -> None:
    """Let the offset at ``place`` point to what stands at ``target``, behind it."""
    struct.pack_into("<I", data, place, target - place)


def prepend_root(data: Data, fields: int, vectors: Mapping[int, Sequence[int]]) -> bytes:
    """Return ``data`` behind a copy of its root table in which some vectors of tables differ.

    Offsets point forward only, so a longer vector of old tables has to stand before them.
    fields: how many the root table has: a 4-byte number, then nothing but vectors and strings.
    vectors: the positions of the tables in ``data``, by slot.
    """
    old = root(data)
    present = [slot in vectors or old.field(slot) is not None for slot in range(fields)]
    vtable = [4 + 2 * fields, 4 + 4 * fields]
    vtable += [4 + 4 * slot if present[slot] else 0 for slot in range(fields)]
    place = 12 + 4 * fields
    vtable_at = place + sum(4 + 4 * len(tables) for tables in vectors.values())
    shift = _aligned(vtable_at + 2 * len(vtable))  # every alignment stays what it was
    front = bytearray(shift)
    struct.pack_into("<I4siI", front, 0, 8, bytes(data[4:8]), 8 - vtable_at, old.scalar(0, "I"))
    struct.pack_into(f"<{len(vtable)}H", front, vtable_at, *vtable)
    for slot in range(1, fields):
        if slot in vectors:
            point(front, 12 + 4 * slot, place)
            struct.pack_into("<I", front, place, len(vectors[slot]))
            for position in vectors[slot]:
                place += 4
                point(front, place, shift + position)
            place += 4
        elif present[slot]:
            point(front, 12 + 4 * slot, shift + old.vector(slot).position - 4)
    return bytes(front) + bytes(data)


def end_of_root(data: Data) -> int:
    """Return where what ``prepend_root`` was given begins, in what it returned."""
    table = root(data)
    vtable = table.position - _unpack("<i", data, table.position)
    return _aligned(int(vtable + _unpack("<H", data, vtable)))


def _aligned(position: int) -> int:
    return -(-position // 16) * 16


def remove_element(data: bytearray, vector: Vector, index: int) -> None:
    """Take one table out of a vector of tables; the elements behind it move up."""
    for place in range(vector.position + 4 * index, vector.position + 4 * (vector.length - 1), 4):
        struct.pack_into("<I", data, place, _unpack("<I", data, place + 4) + 4)
    truncate(data, vector, vector.length - 1)


def truncate(data: bytearray, vector: Vector, length: int) -> None:
    """Shorten a vector to its first ``length`` elements."""
    struct.pack_into("<I", data, vector.position - 4, length)
