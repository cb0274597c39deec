"""How a model's inspection is printed: as text of 80 columns, and as JSON."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

from edge_ssd.wording import counted
from edge_ssd.workshop.inspect import AnchorsInfo, HeadsInfo, LabelsInfo, Report, TensorReport
from edge_ssd.workshop.operators import EdgeTpuShare, Work

SCHEMA = 1
"""Of the JSON; ``docs/models.md`` describes every key."""

_INDENT = 13
_NAME_LENGTH = 60


def as_json(report: Report) -> str:
    """Return the whole report; a number that JSON has not (infinity) is null."""
    return json.dumps({"schema": SCHEMA, **_plain(asdict(report))}, indent=2)


def as_text(report: Report) -> str:
    """Return the report for people, in 80 columns."""
    summary = f"{report.what[0].upper()}{report.what[1:]}. The detector can"
    if report.usable:
        summary += " use it."
    else:
        summary += f"not use it: {'; '.join(filter(None, [report.problem, report.remedy]))}."
    lines = [_printable(str(report.path)), *_wrap(summary, 80), ""]
    for title, texts in _rows(report):
        lines += _row(title, list(texts))
    return "\n".join(lines)


def _rows(report: Report) -> Iterable[tuple[str, Iterable[str]]]:
    """Yield each title with its paragraphs."""
    yield "needs", report.needs or (["nothing else"] if report.usable else [])
    yield "prepare", report.gains
    yield "input", map(_tensor, report.inputs)
    if report.heads:
        yield from _heads(report.heads)
    yield "outputs", [] if report.heads else map(_tensor, report.outputs)
    yield "anchors", [_anchors(report.anchors)] if report.anchors else []
    yield "labels", [_labels(report.labels)] if report.labels else []
    if report.postprocess_options is not None:
        options = sorted(report.postprocess_options.items())
        yield "postprocess", [", ".join(f"{key} {_number(value)}" for key, value in options)]
    yield "operators", [", ".join(f"{n} {name}" for name, n in report.operators.items())]
    yield "Edge TPU", [_share(report.edgetpu)] if report.edgetpu else []
    yield "multiply-adds", [_work(report.work)]
    weights = (f"{_bytes(size)} {dtype}" for dtype, size in report.weights.items())
    yield "weights", [", ".join(weights) or "none"]
    yield "size", [f"{report.size:,} bytes"]
    yield "sha256", [report.sha256]
    yield "catalogue", [report.catalogue or "not a model of the catalogue"]


def _row(title: str, texts: list[str]) -> list[str]:
    bullet = "- " if len(texts) > 1 else ""
    wrapped = [
        f"{bullet if not number else ' ' * len(bullet)}{line}"
        for text in texts
        for number, line in enumerate(_wrap(text, 79 - _INDENT - len(bullet)))
    ]
    return [
        f"{title if not number else '':<{_INDENT}} {line}" for number, line in enumerate(wrapped)
    ]


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(_printable(text), width, break_on_hyphens=False) or [""]


def _tensor(tensor: TensorReport) -> str:
    return f"{_short(tensor.name)} {list(tensor.shape)} {tensor.dtype}{_quantisation(tensor)}"


def _quantisation(tensor: TensorReport) -> str:
    if tensor.scale is None:
        return ""
    if isinstance(tensor.scale, list) or not isinstance(tensor.zero_point, int):
        return ", a scale per channel"
    return f", scale {tensor.scale:.6g}, zero point {tensor.zero_point}"


def _heads(heads: HeadsInfo) -> Iterable[tuple[str, Iterable[str]]]:
    background = "and the background" if heads.background else "no background"
    yield "boxes", [_tensor(heads.boxes)]
    yield "scores", [f"{_tensor(heads.scores)}: {counted(heads.classes, 'class')}, {background}"]


def _anchors(anchors: AnchorsInfo) -> str:
    sources = {
        "operator": "stored in the file, with the operator",
        "manifest beside": "from the manifest beside the file",
        "manifest inside": "from the manifest inside the file",
        "formula": "by TensorFlow's formula for this input",
    }
    text = f"{anchors.count}, {sources[anchors.source]}"
    if not anchors.layers:
        return f"{text}; they form no grids"
    grids = (
        str(a.rows) if a.rows == a.columns else f"{a.rows}x{a.columns}" for a in anchors.layers
    )
    boxes = (str(layer.boxes) for layer in anchors.layers)
    return f"{text}; grids {', '.join(grids)} with {', '.join(boxes)} boxes per cell"


def _labels(labels: LabelsInfo) -> str:
    sources = {
        "manifest beside": "from the manifest beside the file",
        "manifest inside": "from the manifest inside the file",
        "metadata inside": "from the metadata inside the file",
    }
    return ": ".join(filter(None, [sources.get(labels.source), labels.note])) or "none"


def _share(share: EdgeTpuShare) -> str:
    percent = 100 * share.bytes / share.of_bytes if share.of_bytes else 0
    return (
        f"{share.operators} of {share.of_operators} operators; {_bytes(share.bytes)} of "
        f"{_bytes(share.of_bytes)} of programs and weights ({percent:.1f} %)"
    )


def _work(work: Work) -> str:
    known = (
        f"{work.multiply_adds / 1e6:,.1f} million per inference" if work.multiply_adds else "none"
    )
    if not work.uncounted:
        return known
    names = ", ".join(map(_short, work.uncounted))
    return f"{known} and those of {names}" if work.multiply_adds else f"those of {names}: not known"


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _short(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"


def _printable(text: str) -> str:
    """Return text that cannot move the cursor: a file names its tensors as it likes."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
