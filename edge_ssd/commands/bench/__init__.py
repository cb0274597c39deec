"""``edge-ssd bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_ssd.commands.options import (
    json_option,
    model_option,
    path_argument,
    runtime_option,
    threads_option,
)
from edge_ssd.wording import counted

if TYPE_CHECKING:
    from edge_ssd.commands.bench.measuring import Report


@click.command()
@model_option
@click.option("--frames", type=path_argument, metavar="PATH",
              help="A video or a folder of images [default: moving shapes].")  # fmt: skip
@click.option("--count", type=click.IntRange(2), default=100, show_default=True,
              help="Maximum number of frames.")  # fmt: skip
@threads_option
@runtime_option
@json_option
def bench(
    model: str, frames: Path | None, count: int, threads: int | None, runtime: str, as_json: bool
) -> None:
    """Measure the model, each stage and the whole pipeline."""
    from edge_ssd.commands.bench.measuring import measure, options

    report = measure(options(model, frames, count, threads, runtime), count)
    click.echo(report.as_json() if as_json else _table(report))


def _table(report: Report) -> str:
    """Return a bench report for people."""
    stages = report.stages
    rows = [
        ("bare invoke", f"{report.bare_invoke_ms:.2f} ms   {report.bare_fps:.1f} fps"),
        ("pipeline", f"{report.pipeline_fps:.1f} fps   {report.pipeline_to_bare:.3f} of bare"),
        ("preprocess", f"{stages.preprocess_ms:.2f} ms"),
        ("inference", f"{stages.inference_ms:.2f} ms"),
        ("postprocess", f"{stages.postprocess_ms:.2f} ms"),
    ]
    for threshold, milliseconds in report.postprocess_ms.items():
        ratio = f"   {milliseconds / report.op_ms:.2f} of the op" if report.op_ms else ""
        rows.append((f"  at score {threshold}", f"{milliseconds:.3f} ms{ratio}"))
    if report.op_ms:
        rows.append(("the model's own op", f"{report.op_ms:.3f} ms"))
    rows.append(("memory of run", f"{report.memory_mb:.0f} MB"))
    rows.append(("cold start", f"{report.cold_start_ms:.0f} ms to the first result"))
    counts = f"{counted(report.threads, 'thread')}, {counted(report.frames, 'frame')}"
    head = f"{report.model}, {counts}"
    return "\n".join([head, *(f"{name:<20} {value}" for name, value in rows)])
