"""``models prepare``: write a model as raw heads with its manifest inside, on request in int8."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ssd.boxes import iou_yxyx
from edge_ssd.errors import EdgeSsdError, InputError, ModelError, UsageError
from edge_ssd.files import replacing
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.inference.options import ModelOptions
from edge_ssd.models import catalogue, embedded, golden, loading, manifest
from edge_ssd.models.graph import EDGETPU_OP, POSTPROCESS_OP, Graph, custom_options
from edge_ssd.models.spec import ModelSpec
from edge_ssd.postprocess.anchors import for_model
from edge_ssd.postprocess.box_coder import BoxDecoder, dequantize
from edge_ssd.sources.base import capture_times, frames
from edge_ssd.sources.images import read_image
from edge_ssd.sources.synthetic import SyntheticOptions, SyntheticSource
from edge_ssd.types import Frame, PixelFormat, RawHeads
from edge_ssd.workshop.requantise import requantise

SCORE_TOLERANCE = 0.1
"""How much any score may change by --int8; without it, nothing may change at all."""
OVERLAP_TOLERANCE = 0.9
"""What the boxes of the best anchors must overlap with the original's by on average (IoU)."""

_SHAPES = 4
_BEST = 20


@dataclass(frozen=True, slots=True)
class Agreement:
    """How close the new file is to the original, on ``frames`` images.

    exact: both heads are the same to the bit.
    score_difference: the largest of all anchors and classes.
    overlap: mean IoU of the boxes of each image's best anchors.
    """

    frames: int
    exact: bool
    score_difference: float
    overlap: float

    def __str__(self) -> str:
        if self.exact:
            return f"the same to the bit on {self.frames} images"
        return (
            f"on {self.frames} images scores differ by at most {self.score_difference:.3f} "
            f"(allowed {SCORE_TOLERANCE}) and boxes overlap by {self.overlap:.3f} on average "
            f"(at least {OVERLAP_TOLERANCE})"
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What was written; its text is one line.

    size: in bytes. agreement: None where the file cannot be run without an Edge TPU.
    """

    output: Path
    size: int
    operator_removed: bool
    int8: bool
    agreement: Agreement | None

    def __str__(self) -> str:
        done = ["postprocess operator removed"] if self.operator_removed else []
        done += ["requantised to int8"] if self.int8 else []
        agreement = self.agreement or "not run: that takes an Edge TPU"
        size = f"{self.size / 1e6:.1f} MB"
        return f"{self.output}: {size}, {', '.join([*done, 'manifest inside'])}; {agreement}"


def prepare(name_or_path: str, output: Path, int8: bool = False, force: bool = False) -> Report:
    """Write the model as raw heads with its manifest inside to ``output``.

    int8: requantise a uint8 graph to int8, too. force: replace a file that is there.
    Raises ModelError when the model cannot be prepared so, or would not be the same;
    UsageError when ``output`` may not be written, InputError when it cannot be.
    """
    source = catalogue.find(name_or_path)
    try:
        _check_place(source, output, force)
        spec = loading.load(source)
        content = _converted(spec, loading.read(source), int8)
        with replacing(output) as part:
            part.write_bytes(content)
            agreement = _verify(spec, part, int8)
            _check_place(source, output, force)
    except ModelError as error:
        raise error.of(source) from None
    except EdgeSsdError:
        raise
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror}") from None
    return Report(output, len(content), spec.content is not None, int8, agreement)


def _check_place(source: Path, output: Path, force: bool) -> None:
    """Raise UsageError unless ``output`` may be written."""
    if output.suffix != ".tflite":
        raise UsageError(f"{output} would not be found as a model", "give it the ending .tflite")
    if not output.parent.is_dir():
        raise UsageError(f"the folder {output.parent} does not exist", "make it first")
    if output.exists() and output.samefile(source):
        raise UsageError(f"{output} is the original itself", "write to another file")
    if output.is_dir():
        raise UsageError(f"{output} is a folder", "give the name of a file")
    if output.exists() and not force:
        raise UsageError(f"{output} exists", "give another name, or --force")
    record = output.with_suffix(".json")
    if record.exists():
        problem = f"{record} describes another model, and would be taken for the new one's manifest"
        raise UsageError(problem, "give another name")


def _converted(spec: ModelSpec, data: bytes, int8: bool) -> bytes:
    """Return the new file's bytes."""
    graph = Graph(embedded.without_archive(data))
    found = loading.beside(spec.path, data)
    if not (spec.content or found or int8):
        raise ModelError("it has raw heads already, and nothing would change", "use it as it is")
    found = found or embedded.read(graph, spec.path)
    # Licence and origin travel on.
    values = (found.values if found else {}) | manifest.describe(spec)
    values.pop("file", None)
    values["prepared"] = {
        "from": {"name": spec.path.name, "sha256": hashlib.sha256(data).hexdigest()},
        "int8": int8,
    }
    operator = graph.custom_operator(POSTPROCESS_OP)
    if operator:
        # Without the numbers that JSON has not; the engine uses none of them.
        values["operator_options"] = {
            key: value
            for key, value in custom_options(operator).items()
            if value is None or math.isfinite(value)
        }
    content = spec.content or embedded.without_manifest(bytes(graph.data))
    content = embedded.write(requantise(content) if int8 else content, values)
    return embedded.with_archive_of(data, content)


def _verify(spec: ModelSpec, part: Path, int8: bool) -> Agreement | None:
    """Raise ModelError unless the new file is the same model as far as can be seen here."""
    new = loading.load(part)
    if manifest.describe(new) != manifest.describe(spec):
        raise ModelError("the new file would not load as the original does")
    if Graph(loading.read(part)).custom_operator(EDGETPU_OP):
        return None
    agreement = _compare(spec, new)
    scores_agree = agreement.score_difference <= SCORE_TOLERANCE
    boxes_agree = agreement.overlap >= OVERLAP_TOLERANCE
    if not (agreement.exact or (int8 and scores_agree and boxes_agree)):
        raise ModelError(
            "the new file does not detect the same: scores differ by up to "
            f"{agreement.score_difference:.3f}, boxes overlap by {agreement.overlap:.3f}",
            "nothing was written; use the file as it is",
        )
    return agreement


def _compare(spec: ModelSpec, new: ModelSpec) -> Agreement:
    options = ModelOptions(threads=1)
    backends = CpuBackend(spec, options), CpuBackend(new, options)
    tensor = backends[0].preprocess.tensor
    anchors = for_model(spec, backends[0].heads.anchors, tensor.height, tensor.width)
    decode = BoxDecoder(anchors, spec.box_coder)
    exact, differences, overlaps = True, [], []
    for frame in _images():
        for backend in backends:
            backend.set_frame(frame)
        old_heads, new_heads = (backend.invoke() for backend in backends)
        exact = exact and _equal(old_heads, new_heads)
        old_scores, new_scores = _scores(old_heads, spec), _scores(new_heads, spec)
        differences.append(np.abs(old_scores - new_scores).max())
        best = np.argsort(-old_scores.max(axis=1), kind="stable")[:_BEST]
        old_boxes, new_boxes = decode(old_heads.boxes, best), decode(new_heads.boxes, best)
        overlaps.append(np.diag(iou_yxyx(old_boxes, new_boxes)).mean())
    return Agreement(len(overlaps), exact, float(max(differences)), float(np.mean(overlaps)))


def _equal(one: RawHeads, other: RawHeads) -> bool:
    pairs = (one.boxes.values, other.boxes.values), (one.scores.values, other.scores.values)
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)


def _scores(heads: RawHeads, spec: ModelSpec) -> NDArray[np.float32]:
    """Return real scores, (N, classes), without the background."""
    tensor = heads.scores
    real = dequantize(tensor.values[:, int(spec.background) :], tensor.scale, tensor.zero_point)
    return np.asarray(1 / (1 + np.exp(-real)), np.float32) if spec.sigmoid else real


def _images() -> Iterator[Frame]:
    """Yield a photo, its mirror image, and moving shapes."""
    photo = read_image(golden.PHOTO)
    for number, image in enumerate((photo, photo[:, ::-1].copy())):
        yield Frame(image, PixelFormat.BGR, "prepare", number, *capture_times())
    shapes = SyntheticSource("prepare", SyntheticOptions(fps=None, live=False))
    yield from islice(frames(shapes), 0, 30 * _SHAPES, 30)
