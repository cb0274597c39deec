"""``models inspect``: what a model file is, by the detector's own code, without running it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import ModelError
from edge_ssd.inference.backend import ModelFit
from edge_ssd.inference.heads import resolve
from edge_ssd.inference.tensors import of_graph
from edge_ssd.models import catalogue, embedded, labels, loading, manifest
from edge_ssd.models.graph import POSTPROCESS_OP, Graph, Tensor, custom_options
from edge_ssd.models.spec import ModelSpec
from edge_ssd.postprocess.anchors import for_model
from edge_ssd.workshop import kinds, operators
from edge_ssd.workshop.kinds import Kind
from edge_ssd.workshop.operators import EdgeTpuShare, Work

_NEAR = 0.01
"""Of the input's size: anchors that are stored in 8 bits are off by up to .0033."""


@dataclass(frozen=True, slots=True)
class TensorReport:
    """scale and zero_point: None where the tensor is not quantised; lists where per channel."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | list[float] | None
    zero_point: int | list[int] | None


@dataclass(frozen=True, slots=True)
class HeadsInfo:
    """classes: without the background."""

    boxes: TensorReport
    scores: TensorReport
    classes: int
    background: bool


@dataclass(frozen=True, slots=True)
class AnchorLayer:
    """One feature map: its grid, and how many boxes each of its cells has."""

    rows: int
    columns: int
    boxes: int


@dataclass(frozen=True, slots=True)
class AnchorsInfo:
    """layers: finest first; empty where the anchors form no grids."""

    source: str
    count: int
    layers: tuple[AnchorLayer, ...]


@dataclass(frozen=True, slots=True)
class LabelsInfo:
    """named: classes that have a name. note: how the list was matched to the classes."""

    source: str
    named: int
    first: str | None
    note: str


@dataclass(frozen=True)
class Fit:
    """What the engine makes of the file; ``problem``: why it cannot use it, or empty."""

    heads: HeadsInfo | None = None
    anchors: AnchorsInfo | None = None
    labels: LabelsInfo | None = None
    problem: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything ``models inspect`` reports; ``docs/models.md`` describes each field.

    size: in bytes. postprocess_options: None where the file has no postprocess operator.
    """

    path: Path
    size: int
    sha256: str
    catalogue: str | None
    kind: Kind
    what: str
    usable: bool
    problem: str
    remedy: str
    needs: list[str]
    gains: list[str]
    inputs: list[TensorReport]
    outputs: list[TensorReport]
    postprocess_options: Mapping[str, Any] | None
    heads: HeadsInfo | None
    anchors: AnchorsInfo | None
    labels: LabelsInfo | None
    operators: Mapping[str, int]
    weights: Mapping[str, int]
    edgetpu: EdgeTpuShare | None
    work: Work


def inspect(name_or_path: str) -> Report:
    """Return what a catalogue name or a file is.

    Raises ModelError when the file is missing, damaged, or not a TensorFlow Lite model. A
    model that the detector cannot use gives a report with the problem.
    """
    path = catalogue.find(name_or_path)
    data = loading.read(path)
    try:
        graph = Graph(embedded.without_archive(data))
        graph.check()
        return _report(path, data, graph)
    except ModelError as error:
        raise error.of(path) from None


def _report(path: Path, data: bytes, graph: Graph) -> Report:
    kind, fit = kinds.kind(graph, path.name), _fit(path, data)
    options = _options(graph)
    share, activations = operators.edgetpu_share(graph), _dtype(operators.activations(graph))
    classes = fit.heads.classes if fit.heads else 0
    unnamed = classes if fit.labels and not fit.labels.named else 0
    beside = manifest.beside(path) is not None
    gains = kinds.gains(kind, activations, bool(share), options is not None, beside)
    sha256 = hashlib.sha256(data).hexdigest()
    return Report(
        **vars(fit),
        path=path,
        size=len(data),
        sha256=sha256,
        catalogue=_catalogue_name(sha256),
        kind=kind,
        what=kinds.what(kind, activations, bool(share), kinds.segment(path.name)),
        usable=not fit.problem,
        needs=kinds.needs(kind, bool(share), unnamed),
        gains=gains if not fit.problem or kind is Kind.SEGMENT else [],
        inputs=[_tensor(tensor) for tensor in graph.inputs],
        outputs=[_tensor(tensor) for tensor in graph.outputs],
        postprocess_options=options,
        operators=dict(Counter(operator.name for operator in graph.operators).most_common()),
        weights={_dtype(dtype): size for dtype, size in operators.weights(graph).items()},
        edgetpu=share,
        work=operators.work(graph),
    )


def _fit(path: Path, data: bytes) -> Fit:
    """Go as far as the engine does; what was found until then stays."""
    fit = Fit()
    try:
        spec = loading.load(path)
        if isinstance(spec.anchors, np.ndarray):
            fit = replace(fit, anchors=_anchors(spec, spec.anchors))
        graph = Graph(spec.content or embedded.without_archive(data))
        tensors = of_graph(graph)
        heads = resolve(tensors.outputs, spec.heads)
        boxes, scores = (_tensor(graph.tensor(head.index)) for head in (heads.boxes, heads.scores))
        classes = heads.scores.columns - spec.background
        fit = replace(fit, heads=HeadsInfo(boxes, scores, classes, spec.background))
        model = ModelFit(spec, tensors)
        size = model.preprocess.tensor.height, model.preprocess.tensor.width
        fit = replace(fit, anchors=_anchors(spec, for_model(spec, heads.anchors, *size)))
        return replace(fit, labels=_labels(model, data))
    except ModelError as error:
        problem = error.problem if error.path == path else error.what
        return replace(fit, problem=problem, remedy=error.remedy)


def _anchors(spec: ModelSpec, table: NDArray[np.float32]) -> AnchorsInfo:
    source = "operator" if spec.content else _manifest_of(spec.path)
    source = "formula" if spec.anchors is None else source
    layers = _layers(table) if np.isfinite(table).all() else ()
    return AnchorsInfo(source, len(table), layers)


def _layers(anchors: NDArray[np.float32]) -> tuple[AnchorLayer, ...]:
    """Return the layers of (N, 4) finite ycenter, xcenter, h, w; empty where they form no grids.

    Expected as TensorFlow has them: layer after layer, row by row, the boxes of a cell together.
    """
    starts = _starts(np.any(np.abs(np.diff(anchors[:, :2], axis=0)) > 1e-6, axis=1))
    boxes = np.diff([*starts, len(anchors)])
    cells = anchors[starts, :2]
    bounds = [*_starts(np.diff(cells[:, 0]) < -1e-6), len(cells)]
    layers = [_layer(cells[first:last], boxes[first:last]) for first, last in pairwise(bounds)]
    return tuple(layer for layer in layers if layer) if all(layers) else ()


def _starts(changes: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return where runs begin, given whether each element differs from the one before."""
    return np.concatenate([[0], np.flatnonzero(changes) + 1])


def _layer(cells: NDArray[np.float32], boxes: NDArray[np.intp]) -> AnchorLayer | None:
    """Return the grid whose cell centres, (cells, 2) y and x, are these; or None."""
    rows = len(_starts(np.diff(cells[:, 0]) > 1e-6))
    columns = len(cells) // rows
    if len(cells) != rows * columns or boxes.min() != boxes.max():
        return None
    centres = [(np.arange(count) + 0.5) / count for count in (rows, columns)]
    expected = np.stack(np.meshgrid(*centres, indexing="ij"), axis=-1).reshape(-1, 2)
    if np.abs(cells - expected).max() > _NEAR:
        return None
    return AnchorLayer(rows, columns, int(boxes[0]))


def _labels(model: ModelFit, data: bytes) -> LabelsInfo:
    """Raises ModelError when the labels do not fit the heads."""
    spec, names = model.spec, labels.of_model(model.spec, model.classes)
    named = [name for name in names if name]
    source, note = "none", ""
    if spec.labels:
        packed = tuple(labels.packed_in(data)) == spec.labels
        source = "metadata inside" if packed else _manifest_of(spec.path)
        note = labels.match(spec.labels, model.classes)[1]
    elif named:
        source, note = "assumed", f"none in the file; its {len(names)} classes are taken for COCO's"
    return LabelsInfo(source, len(named), names[0] if names else None, note)


def _manifest_of(path: Path) -> str:
    return "manifest beside" if manifest.beside(path) else "manifest inside"


def _options(graph: Graph) -> Mapping[str, Any] | None:
    operator = graph.custom_operator(POSTPROCESS_OP)
    if operator is None:
        return None
    try:
        return custom_options(operator)
    except ModelError:  # the engine's problem with it is reported with the rest
        return {}


def _catalogue_name(sha256: str) -> str | None:
    """Return the name of the known model that this is, byte for byte."""
    bundled = {name: catalogue.bundled_sha256(name) for name in catalogue.bundled()}
    offered = {name: offer.model_sha256 for name, offer in catalogue.offers().items()}
    return next((name for name, known in (offered | bundled).items() if known == sha256), None)


def _tensor(tensor: Tensor) -> TensorReport:
    scale, zero_point = _one_or_list(tensor.scales), _one_or_list(tensor.zero_points)
    return TensorReport(tensor.name, tensor.shape, _dtype(tensor.dtype), scale, zero_point)


def _one_or_list(values: NDArray[Any]) -> Any:
    return values.item() if len(values) == 1 else values.tolist() or None


def _dtype(stored: str) -> str:
    """Return numpy's name of a tensor's type."""
    try:
        return str(np.dtype(stored).name)
    except TypeError:  # one that numpy has not, such as 4-bit integers
        return stored
