"""Inside a model file: our manifest, a named metadata buffer; behind it: TFLite's zip of labels."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

from edge_ssd.errors import ModelError
from edge_ssd.models import flatbuffer, manifest
from edge_ssd.models.flatbuffer import Data
from edge_ssd.models.graph import Graph

NAME = "edge_ssd_manifest"

_MODEL_FIELDS = 8
_FILE_HEADER = b"PK\x03\x04"
_MOST_FILES_BYTES = 50_000_000


def read(graph: Graph, path: Path) -> manifest.Entry | None:
    """Return the manifest inside the model file at ``path``, or None.

    Raises ModelError when it is damaged.
    """
    content = graph.metadata(NAME)
    return None if content is None else manifest.parse(content, path)


def write(data: Data, values: dict[str, Any]) -> bytes:
    """Return the model file with this manifest inside, in place of one that it has.

    The old one is not read any more, but its bytes stay: see ``without_manifest``.
    Raises ModelError for a number that JSON has not.
    """
    try:
        content = json.dumps(values, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        problem = "its anchors or scales are not all finite numbers"
        raise ModelError(problem, "the file is damaged") from None
    model = flatbuffer.root(data)
    buffers = [buffer.position for buffer in model.vector(4).tables()]
    others = [entry.position for entry in model.vector(6).tables() if entry.string(0) != NAME]
    longer = bytearray(data)
    buffers.append(flatbuffer.append(longer, flatbuffer.built({0: content})))
    entry = flatbuffer.append(longer, flatbuffer.built({0: NAME, 1: len(buffers) - 1}))
    vectors = {4: buffers, 6: [*others, entry]}
    return flatbuffer.prepend_root(longer, _MODEL_FIELDS, vectors)


def without_manifest(data: bytes) -> bytes:
    """Return what ``write`` was given, where ``data`` is what it gave; else the same bytes."""
    content = Graph(data).metadata(NAME)
    if content is None:
        return data
    original = data[flatbuffer.end_of_root(data) : data.rfind(flatbuffer.built({0: content}))]
    try:
        same = write(original, json.loads(content)) == data
    except (ValueError, RecursionError, struct.error):  # not as ``write`` has them
        return data
    return original if same else data


def without_archive(data: bytes) -> bytes:
    """Return the model file without the archive behind it; the same bytes if there is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            begin = min(info.header_offset for info in archive.infolist())
    except Exception:  # zipfile raises whatever damaged bytes lead it to: they are no archive
        return data
    return data[:begin] if data[begin : begin + 4] == _FILE_HEADER else data


def with_archive_of(original: bytes, data: bytes) -> bytes:
    """Return ``data`` with the archive behind ``original`` put behind it.

    Raises ModelError when a file in it cannot be read.
    """
    if len(without_archive(original)) == len(original):
        return data
    longer = io.BytesIO(data)
    try:
        with zipfile.ZipFile(io.BytesIO(original)) as old, zipfile.ZipFile(longer, "a") as new:
            if sum(info.file_size for info in old.infolist()) > _MOST_FILES_BYTES:
                raise ValueError(f"it unpacks to more than {_MOST_FILES_BYTES} bytes")
            for info in old.infolist():
                new.writestr(info, old.read(info))
    except Exception as error:  # as above
        problem = f"the archive behind the model cannot be read: {error}"
        raise ModelError(problem, "copy or download the file again") from None
    return longer.getvalue()
