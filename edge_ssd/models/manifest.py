"""The manifest of a model: ``NAME.json`` next to ``NAME.tflite``, or inside it (``embedded``).

It holds what the graph does not: anchors, scales, input normalisation, labels, origin and
licence. ``docs/models.md`` describes every key.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import ModelError
from edge_ssd.files import is_file
from edge_ssd.models.flatbuffer import Data
from edge_ssd.models.spec import BoxCoderScales, InputNormalization, ModelSpec, SsdAnchorLayout

SCHEMA = 1

_REMEDY = "correct it, or remove it"
_T = TypeVar("_T")
_WORDS = {
    str: "text", int: "a whole number", float: "a number", bool: "true or false", list: "a list",
}  # fmt: skip


class ManifestError(ModelError):
    """A manifest that cannot be used; names the file and the key."""

    noun = "manifest"


class Entry:
    """One object of the manifest; every look-up names its place when it fails."""

    def __init__(self, values: Any, path: Path, place: str = "") -> None:
        self.path, self.place = path, place
        if not isinstance(values, dict):
            raise self.error("", "must be an object")
        self.values: dict[str, Any] = values

    def error(self, key: str, problem: str) -> ManifestError:
        """Return the error for one key."""
        where = f"{self.place}{key}".rstrip(".") or "it"
        remedy = "correct it, or remove the manifest if it belongs to another model"
        return ManifestError(f"{where} {problem}", remedy, self.path)

    @contextmanager
    def placed(self) -> Iterator[None]:
        """Name this place in the errors of what is made of it."""
        try:
            yield
        except ManifestError:
            raise
        except (TypeError, ValueError, OverflowError) as error:
            problem = error.problem if isinstance(error, ModelError) else error
            raise self.error("", f"cannot be used: {problem}") from None

    def get(self, key: str, kind: type[_T], default: _T | None = None) -> _T:
        """Return ``values[key]``, which must be of this kind (an integer is a float too)."""
        value = self.values.get(key, default)
        if kind is float and type(value) is int and abs(value) < 1 << 53:
            value = float(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(key, "is too large a number")
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            found = "is missing" if key not in self.values else f"is {json.dumps(value)[:40]}"
            raise self.error(key, f"{found}, and must be {_WORDS[kind]}")
        return value

    def made(self, kind: Callable[..., _T], **numbers: float) -> _T:
        """Return what ``kind`` makes of these numbers in this order, given by key and default."""
        with self.placed():
            return kind(*(self.get(key, float, default) for key, default in numbers.items()))

    def entry(self, key: str) -> Entry:
        """Return the object below ``key``; an absent one is empty."""
        return Entry(self.values.get(key, {}), self.path, f"{self.place}{key}.")


def beside(path: Path) -> Path | None:
    """Return where the manifest beside a model file is, or None."""
    place = path.with_suffix(".json")
    return place if is_file(place) else None


def read(path: Path) -> Entry:
    """Read a manifest. Raises ManifestError when it is not one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"cannot be read: {error.strerror}", _REMEDY, path) from None
    return parse(content, path)


def parse(content: bytes, path: Path) -> Entry:
    """Read a manifest's text. path: the file it is of. Raises ManifestError when it is none."""
    try:
        values = json.loads(content.decode("utf-8-sig"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"cannot be read: {error}", _REMEDY, path) from None
    manifest = Entry(values, path)
    if manifest.get("schema", int, 0) != SCHEMA:
        raise manifest.error("schema", f"must be {SCHEMA}")
    return manifest


def verify(manifest: Entry, data: Data) -> None:
    """Raise ManifestError unless ``data`` is the very file the manifest was written for."""
    expected = manifest.entry("file").get("sha256", str)
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise ManifestError(
            f"{manifest.path.with_suffix('.tflite').name} is not the file it describes: "
            f"sha256 {found[:12]}…, expected {expected[:12]}…",
            "the file is damaged or was replaced: install it again, or correct the manifest",
            manifest.path,
        )


def spec(manifest: Entry, path: Path) -> ModelSpec:
    """Return what the engine needs of a manifest, for the model file at ``path``."""
    heads, postprocess = manifest.entry("heads"), manifest.entry("postprocess")
    labels = manifest.get("labels", list, [])
    if not all(name is None or isinstance(name, str) for name in labels):
        raise manifest.error("labels", "must be texts (null for a class id that is not used)")
    threshold = postprocess.get("iou_threshold", float, 0.6)
    if not 0 <= threshold <= 1:
        raise postprocess.error("iou_threshold", f"is {threshold}, and must be from 0 to 1")
    activation = manifest.get("score_activation", str, "none")
    if activation not in ("none", "sigmoid"):
        raise manifest.error("score_activation", f"is {activation!r}, and must be none or sigmoid")
    return ModelSpec(
        name=manifest.get("name", str, path.stem),
        path=path,
        anchors=_anchors(manifest.entry("anchors")),
        normalization=manifest.entry("input").made(InputNormalization, mean=127.5, std=127.5),
        box_coder=manifest.entry("box_coder").made(
            BoxCoderScales, y_scale=10.0, x_scale=10.0, h_scale=5.0, w_scale=5.0
        ),
        heads=(heads.get("boxes", str), heads.get("scores", str)) if heads.values else None,
        labels=tuple(labels),
        background=manifest.get("background", bool, True),
        sigmoid=activation == "sigmoid",
        iou_threshold=threshold,
    )


def describe(model: ModelSpec) -> dict[str, Any]:
    """Return the values of a manifest that ``spec`` makes the same of again."""
    pixel, coder = model.normalization, model.box_coder
    values = {
        "schema": SCHEMA,
        "name": model.name,
        "input": {"mean": pixel.mean, "std": pixel.std},
        "box_coder": {
            "y_scale": coder.y, "x_scale": coder.x, "h_scale": coder.h, "w_scale": coder.w,
        },
        "score_activation": "sigmoid" if model.sigmoid else "none",
        "background": model.background,
        "labels": list(model.labels),
        "postprocess": {"iou_threshold": model.iou_threshold},
    }  # fmt: skip
    if model.heads:
        values["heads"] = dict(zip(("boxes", "scores"), model.heads, strict=True))
    if model.anchors is not None:
        values["anchors"] = _described_anchors(model.anchors)
    return values


def _described_anchors(anchors: NDArray[np.float32] | SsdAnchorLayout) -> dict[str, Any]:
    if isinstance(anchors, np.ndarray):
        # The shortest decimal that is this float32, and no other.
        rows = [[float(str(number)) for number in row] for row in anchors]
        return {"type": "table", "values_cyxhw": rows}
    return {
        "type": "ssd",
        "grids": anchors.grids,
        "scales": anchors.scales,
        "aspect_ratios": anchors.aspect_ratios,
        "interpolated_scale_aspect_ratio": float(anchors.interpolated),
        "reduce_boxes_in_lowest_layer": anchors.reduce_boxes_in_lowest_layer,
    }


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _anchors(entry: Entry) -> NDArray[np.float32] | SsdAnchorLayout | None:
    if not entry.values:
        return None
    kind = entry.get("type", str)
    with entry.placed(), np.errstate(over="ignore"):
        if kind == "ssd":
            return _layout(entry)
        if kind == "table":
            return np.array(entry.get("values_cyxhw", list), np.float32).reshape(-1, 4)
    raise entry.error("type", f"is {kind!r}, and must be ssd or table")


def _layout(entry: Entry) -> SsdAnchorLayout:
    grids = tuple((int(rows), int(columns)) for rows, columns in entry.get("grids", list))
    low, high = entry.get("min_scale", float, 0.2), entry.get("max_scale", float, 0.95)
    even = [*np.linspace(low, high, len(grids)).tolist(), 1.0]
    ratios = entry.get("aspect_ratios", list)
    per_layer = ratios if ratios and isinstance(ratios[0], list) else [ratios] * len(grids)
    return SsdAnchorLayout(
        grids=grids,
        scales=tuple(float(scale) for scale in entry.get("scales", list, even)),
        aspect_ratios=tuple(tuple(float(ratio) for ratio in layer) for layer in per_layer),
        interpolated=entry.get("interpolated_scale_aspect_ratio", float, 1.0) > 0,
        reduce_boxes_in_lowest_layer=entry.get("reduce_boxes_in_lowest_layer", bool, True),
    )
