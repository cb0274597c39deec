"""Mutants of model files: each is made from its number alone."""

from __future__ import annotations

import io
import random
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np

from edge_ssd.models import catalogue, embedded, flatbuffer
from edge_ssd.workshop import inspect as inspection
from support.tflite_models import (
    FLOATS,
    INT8,
    PostprocessOptions,
    classifier_model,
    edgetpu_model,
    raw_heads_model,
    stock_like_model,
)

SHARED = Path(__file__).parents[3] / "shared" / "models"
# Mutants of the published files take ten times as long as those of the small ones.
LARGE_SHARE = 0.2
TELLING = (0, 1, 2, 4, 127, 128, 255, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutant(number: int) -> bytes:
    """Return mutant ``number``: the same bytes for the same checkout and files beside it."""
    rng = random.Random(number)
    small, large = sources()
    name = rng.choice(sorted(large if rng.random() < LARGE_SHARE else small))
    data = bytearray((small | large)[name])
    for _ in range(rng.choice((1, 1, 1, 1, 2, 4))):
        _mutate(data, name, rng)
    return bytes(data)


@cache
def sources() -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the small files, made in memory, and the large ones that are here."""
    anchors = np.array([[0.25, 0.25, 0.5, 0.5]] * 12, np.float32)
    options = PostprocessOptions(num_classes=3)
    described = {
        "schema": 1,
        "anchors": {"type": "table", "values_cyxhw": anchors.tolist()},
        "labels": ["person", None, "car"],
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", "person\nbicycle\ncar\n")
    small = {
        "raw": raw_heads_model(),
        "raw-int8": raw_heads_model(kinds=INT8, signature=True),
        "raw-float": raw_heads_model(kinds=FLOATS, names=("a", "b")),
        "usual anchors": raw_heads_model(1917, 91, input_shape=(1, 300, 300, 3)),
        "manifest inside": embedded.write(raw_heads_model(), described),
        "op": stock_like_model(anchors, 4, options),
        "op-labels": stock_like_model(anchors, 4, options) + packed.getvalue(),
        "op-float": stock_like_model(anchors, 4, options, FLOATS),
        "edgetpu": edgetpu_model(),
        "classifier": classifier_model(),
    }
    files = [*catalogue.bundled().values(), *sorted(SHARED.glob("*.tflite"))]
    return small, {path.stem: path.read_bytes() for path in files}


@cache
def places(name: str) -> list[int]:
    """Return every byte position that inspect reads a number of the format from."""
    small, large = sources()
    data, found = (small | large)[name], set()
    unpack = flatbuffer._unpack

    def noted(fmt: str, data: flatbuffer.Data, position: int) -> object:
        found.add(position)
        return unpack(fmt, data, position)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.tflite")
        path.write_bytes(data)
        with mock.patch.object(flatbuffer, "_unpack", noted):
            inspection.inspect(str(path))
    return sorted(place for place in found if 0 <= place < len(data))


def _mutate(data: bytearray, name: str, rng: random.Random) -> None:
    size = max(len(data), 1)
    kind = rng.randrange(12)
    start, length = rng.randrange(size), rng.choice((1, 4, 4, 16, 64, 1024, size))
    if kind in (0, 8, 9, 10, 11):
        for _ in range(rng.choice((1, 2, 4, 16))):
            place = rng.randrange(size)
            data[place : place + 1] = bytes([rng.randrange(256)])
    elif kind <= 3:  # the numbers of the format: offsets, lengths, indices, shapes
        for _ in range(rng.choice((1, 1, 3))):
            place = rng.choice(places(name))
            old = int.from_bytes(data[place : place + 4], "little")
            near = old + rng.randint(-8, 8)
            new = rng.choice((near, near, *TELLING, size, rng.randrange(size)))
            width = rng.choice((1, 2, 4, 4))
            data[place : place + width] = (new & (256**width - 1)).to_bytes(width, "little")
    elif kind == 4:
        del data[start : rng.choice((size, start + length))]
    elif kind == 5:
        small, large = sources()
        other = rng.choice([*small.values(), *large.values()])
        there = start if rng.random() < 0.5 else rng.randrange(len(other))
        end = rng.choice((start + length, len(data)))
        data[start:end] = other[there : there + max(end - start, length)]
    elif kind == 6:
        there = rng.randrange(size)
        data[there : there + length] = data[start : start + length]
    else:
        data[start : start + length] = bytes(min(length, 2_000_000))
