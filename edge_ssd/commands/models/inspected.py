"""How a model's inspection is printed: as text of 80 columns, and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable
from dataclasses import asdict

from pydantic_core import to_jsonable_python

from edge_ssd.wording import counted
from edge_ssd.workshop.inspect import AnchorsInfo, LabelsInfo, Report, TensorReport
from edge_ssd.workshop.operators import EdgeTpuShare, Work

SCHEMA = 1  # of the JSON; ``docs/models.md`` describes every key
_INDENT = 13
_NAME_LENGTH = 60
_SOURCES = {
    "operator": "stored in the file, with the operator",
    "manifest beside": "from the manifest beside the file",
    "manifest inside": "from the manifest inside the file",
    "metadata inside": "from the metadata inside the file",
    "formula": "by TensorFlow's formula for this input",
}


def as_json(report: Report) -> str:
    """Return the whole report; a number that JSON has not (infinity) is null."""
    values = to_jsonable_python({"schema": SCHEMA, **asdict(report)}, inf_nan_mode="null")
    return json.dumps(values, indent=2)


def as_text(report: Report) -> str:
    """Return the report for people, in 80 columns."""
    why_not = "; ".join(filter(None, [report.problem, report.remedy]))
    verdict = "can use it" if report.usable else f"cannot use it: {why_not}"
    summary = f"{report.what[0].upper()}{report.what[1:]}. The detector {verdict}."
    rows = (line for title, texts in _rows(report) for line in _row(title, list(texts)))
    return "\n".join([_printable(str(report.path)), *_wrap(summary, 80), "", *rows])


def _rows(report: Report) -> Iterable[tuple[str, Iterable[str]]]:
    """Yield each title with its paragraphs."""
    yield "needs", report.needs or (["nothing else"] if report.usable else [])
    yield "prepare", report.gains
    yield "input", map(_tensor, report.inputs)
    if report.heads:
        heads, classes = report.heads, counted(report.heads.classes, "class")
        background = "and the background" if heads.background else "no background"
        yield "boxes", [_tensor(heads.boxes)]
        yield "scores", [f"{_tensor(heads.scores)}: {classes}, {background}"]
    else:
        yield "outputs", map(_tensor, report.outputs)
    yield "anchors", [_anchors(report.anchors)] if report.anchors else []
    yield "labels", [_labels(report.labels)] if report.labels else []
    if report.postprocess_options is not None:
        options = (
            f"{key} {value:.6g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in sorted(report.postprocess_options.items())
        )
        yield "postprocess", [", ".join(options)]
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
    lines = []
    for text in texts:
        first, *more = _wrap(text, 79 - _INDENT - len(bullet))
        lines += [f"{bullet}{first}", *(f"{' ' * len(bullet)}{line}" for line in more)]
    titles = [title] + [""] * len(lines)
    return [f"{head:<{_INDENT}} {line}" for head, line in zip(titles, lines, strict=False)]


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(_printable(text), width, break_on_hyphens=False) or [""]


def _tensor(tensor: TensorReport) -> str:
    text = f"{_short(tensor.name)} {list(tensor.shape)} {tensor.dtype}"
    if tensor.scale is None:
        return text
    if isinstance(tensor.scale, list) or not isinstance(tensor.zero_point, int):
        return f"{text}, a scale per channel"
    return f"{text}, scale {tensor.scale:.6g}, zero point {tensor.zero_point}"


def _anchors(anchors: AnchorsInfo) -> str:
    text = f"{anchors.count}, {_SOURCES[anchors.source]}"
    if not anchors.layers:
        return f"{text}; they form no grids"
    grids = (
        str(a.rows) if a.rows == a.columns else f"{a.rows}x{a.columns}" for a in anchors.layers
    )
    boxes = (str(layer.boxes) for layer in anchors.layers)
    return f"{text}; grids {', '.join(grids)} with {', '.join(boxes)} boxes per cell"


def _labels(labels: LabelsInfo) -> str:
    return ": ".join(filter(None, [_SOURCES.get(labels.source), labels.note])) or "none"


def _share(share: EdgeTpuShare) -> str:
    percent = 100 * share.bytes / share.of_bytes if share.of_bytes else 0
    return (
        f"{share.operators} of {share.of_operators} operators; {_bytes(share.bytes)} of "
        f"{_bytes(share.of_bytes)} of programs and weights ({percent:.1f} %)"
    )


def _work(work: Work) -> str:
    millions = f"{work.multiply_adds / 1e6:,.1f} million per inference"
    names = ", ".join(map(_short, work.uncounted))
    if not work.multiply_adds:
        return f"those of {names}: not known" if names else "none"
    return f"{millions} and those of {names}" if names else millions


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"


def _short(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"


def _printable(text: str) -> str:
    """Return text that cannot move the cursor: a file names its tensors as it likes."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
