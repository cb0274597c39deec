"""Load any SSD model file: raw heads with a manifest, or a stock file with its own op."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_ssd.errors import ModelError
from edge_ssd.files import remedy
from edge_ssd.models import catalogue, embedded, labels, manifest, operator_inputs
from edge_ssd.models.flatbuffer import Data
from edge_ssd.models.graph import (
    POSTPROCESS_OP,
    Graph,
    Operator,
    check_mark,
    custom_options,
    promote_inputs,
)
from edge_ssd.models.spec import BoxCoderScales, ModelSpec

MOST_BYTES = 512 << 20
"""Of a model file that is read; the largest SSDs have some 250 MB, in float32."""


def load(name_or_path: str | Path, labels_path: Path | None = None) -> ModelSpec:
    """Return the spec of a catalogue name or a .tflite file; a Path is never taken for a name.

    A manifest beside the file is used when there is one, else the one inside it. Labels come
    from ``labels_path``, else from the manifest, else from the metadata inside the file, else
    none. Raises ModelError when the file is missing, damaged or does not fit its manifest.
    """
    path = name_or_path if isinstance(name_or_path, Path) else catalogue.find(name_or_path)
    data = read(path)
    entry = beside(path, data)
    try:
        graph = Graph(embedded.without_archive(data))
        graph.check()
        operator_inputs.check(graph)
        entry = entry or embedded.read(graph, path)
        spec = manifest.spec(entry, path) if entry else ModelSpec(name=path.stem, path=path)
        operator = graph.custom_operator(POSTPROCESS_OP)
        if operator:
            spec = _without_op(spec, graph, operator)
    except ModelError as error:
        raise error.of(path) from None
    if labels_path:
        return replace(spec, labels=tuple(labels.read(labels_path)), labels_path=labels_path)
    return spec if spec.labels else replace(spec, labels=tuple(labels.packed_in(data)))


def read(path: Path) -> bytes:
    """Return a model file's bytes.

    Raises ModelError, without reading on, for another kind of file or an enormous one.
    """
    try:
        with path.open("rb") as file:
            check_mark(file.read(8))
            size = os.fstat(file.fileno()).st_size
            if size > MOST_BYTES:
                raise ModelError(
                    f"it has {size / 1e6:,.0f} MB, and at most {MOST_BYTES / 1e6:,.0f} MB are read",
                    "give a smaller model",
                )
            file.seek(0)
            return file.read()
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", remedy(path, error), path) from None
    except ModelError as error:
        raise error.of(path) from None


def beside(path: Path, data: Data) -> manifest.Entry | None:
    """Return the manifest beside a model file, or None. Raises ManifestError."""
    place = manifest.beside(path)
    if not place:
        return None
    entry = manifest.read(place)
    manifest.verify(entry, data)
    return entry


def _without_op(spec: ModelSpec, graph: Graph, operator: Operator) -> ModelSpec:
    """Promote the op's box and score inputs to outputs; keep its anchors and options."""
    if len(operator.inputs) != 3:
        raise ModelError(f"{POSTPROCESS_OP} has {len(operator.inputs)} inputs, and needs 3")
    boxes, scores, anchors = (graph.tensor(index) for index in operator.inputs)
    if anchors.shape[-1:] != (4,):
        raise ModelError(f"its anchors are {list(anchors.shape)}, and must be [N, 4]")
    options = custom_options(operator)
    columns = scores.shape[-1] if scores.shape else 0
    classes = _option(options, "num_classes", columns - 1)
    if columns not in (classes, classes + 1):
        raise ModelError(f"its scores are {list(scores.shape)}, and do not fit {classes:g} classes")
    return replace(
        spec,
        content=promote_inputs(graph, operator, 2),
        anchors=graph.constant(anchors).reshape(-1, 4),
        box_coder=BoxCoderScales(
            *(_option(options, f"{axis}_scale", 10.0) for axis in "yx"),
            *(_option(options, f"{axis}_scale", 5.0) for axis in "hw"),
        ),
        heads=(boxes.name, scores.name),
        background=columns != classes,
        iou_threshold=_option(options, "nms_iou_threshold", 0.6),
    )


def _option(options: Mapping[str, Any], name: str, default: float) -> float:
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ModelError(f"the option {name} of {POSTPROCESS_OP} is {value!r}, and not a number")
    if not math.isfinite(value):
        raise ModelError(f"the option {name} of {POSTPROCESS_OP} is {value}")
    return float(value)
