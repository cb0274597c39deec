"""``edge-ssd eval``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_ssd.commands.options import (
    complete_model,
    json_option,
    labels_option,
    model_option,
    not_nan,
    path_argument,
    runtime_option,
    threads_option,
)
from edge_ssd.wording import counted

if TYPE_CHECKING:
    from edge_ssd.commands.eval.evaluation import Report

LINES = (
    " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ]",
    " Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ]",
    " Average Precision  (AP) @[ IoU=0.75      | area=   all | maxDets=100 ]",
    " Average Precision  (AP) @[ IoU=0.50:0.95 | area= small | maxDets=100 ]",
    " Average Precision  (AP) @[ IoU=0.50:0.95 | area=medium | maxDets=100 ]",
    " Average Precision  (AP) @[ IoU=0.50:0.95 | area= large | maxDets=100 ]",
    " Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=  1 ]",
    " Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets= 10 ]",
    " Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ]",
    " Average Recall     (AR) @[ IoU=0.50:0.95 | area= small | maxDets=100 ]",
    " Average Recall     (AR) @[ IoU=0.50:0.95 | area=medium | maxDets=100 ]",
    " Average Recall     (AR) @[ IoU=0.50:0.95 | area= large | maxDets=100 ]",
)
"""COCO's summary, in the words of its own tools."""


@click.command("eval")
@click.option("--images", "folder", required=True, type=path_argument, metavar="DIR",
              help="The folder of the annotated images.")  # fmt: skip
@click.option("--annotations", "path", required=True, type=path_argument, metavar="FILE",
              help="COCO's, such as instances_val2017.json.")  # fmt: skip
@model_option
@click.option("--compare", metavar="NAME|FILE", shell_complete=complete_model,
              help="Another model, shown in the next column.")  # fmt: skip
@labels_option
@click.option("--fail-under", type=click.FloatRange(0, 1), callback=not_nan, default=0.0,
              metavar="MAP", help="Exit 1 when the model's mAP is below this.")  # fmt: skip
@threads_option
@runtime_option
@json_option
def evaluate(
    folder: Path,
    path: Path,
    model: str,
    compare: str | None,
    labels: Path | None,
    fail_under: float,
    threads: int | None,
    runtime: str,
    as_json: bool,
) -> None:
    """Measure a model's COCO mAP on annotated images."""
    from edge_ssd.commands.eval.annotations import read_annotations
    from edge_ssd.commands.eval.evaluation import evaluate as scored
    from edge_ssd.errors import ModelError
    from edge_ssd.inference.options import ModelOptions

    run = {"labels": labels, "threads": threads, "runtime": runtime}
    models = [ModelOptions.model_validate({"name": n, **run}) for n in (model, compare) if n]
    reports = scored(models, folder, read_annotations(path))
    click.echo(_as_json(reports) if as_json else "\n".join(_table(reports)))
    reached = reports[0].score.summary["AP"] or 0.0
    if reached < fail_under:
        raise ModelError(
            f"{model} has mAP {reached:.4f}, below {fail_under:g}",
            "its report above has the score of every class",
        )


def _as_json(reports: Sequence[Report]) -> str:
    """Return the model's report, and within it the other's as ``compared``, with the difference."""
    first, *others = reports
    printed = _plain(first)
    for other in others:
        printed["compared"] = _plain(other)
        printed["difference"] = {
            key: _difference(value, other.score.summary[key])
            for key, value in first.score.summary.items()
        }
    return json.dumps(printed)


def _plain(report: Report) -> dict[str, Any]:
    values = asdict(report)
    scored: dict[str, Any] = values.pop("score")
    return values | scored


def _table(reports: Sequence[Report]) -> Iterator[str]:
    """Yield the lines for people: COCO's summary, then every class."""
    names = "AB" if len(reports) > 1 else ("",)
    for name, report in zip(names, reports, strict=True):
        boxes = sum(each.boxes for each in report.score.classes.values())
        counts = f"{counted(report.images, 'image')}, {counted(boxes, 'box')}"
        yield f"{name}  {report.model}: {counts}".strip()
    yield _row("", [*names, "B - A"] if len(reports) > 1 else [])
    summaries = [report.score.summary for report in reports]
    for line, key in zip(LINES, summaries[0], strict=True):
        yield _row(line, _figures([summary[key] for summary in summaries]))
    yield ""
    yield _row(f" {'AP by class':<40} {'boxes':>29}", [])
    for name, first in reports[0].score.classes.items():
        scores = [report.score.classes[name].ap for report in reports]
        yield _row(f" {name:<40} {first.boxes:>29}", _figures(scores))


def _row(head: str, cells: Sequence[str]) -> str:
    return f"{head:<72}{''.join(f'{cell:>8}' for cell in cells)}".rstrip()


def _figures(values: Sequence[float | None]) -> list[str]:
    """Return the cells of one line: a figure for each model, and with two the difference."""
    cells = ["-" if value is None else f"{value:.3f}" for value in values]
    if len(values) > 1:
        difference = _difference(values[0], values[1])
        cells.append("-" if difference is None else f"{difference:+.3f}")
    return cells


def _difference(first: float | None, other: float | None) -> float | None:
    return None if first is None or other is None else other - first
