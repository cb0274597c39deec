"""``edge-ssd bench``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_ssd.commands import options as common
from edge_ssd.wording import counted

if TYPE_CHECKING:
    from edge_ssd.commands.bench.measuring import Report


@click.command()
@common.model_option
@click.option("--frames", type=common.path_argument, metavar="PATH",
              help="A video or a folder of images [default: moving shapes].")  # fmt: skip
@click.option("--count", type=click.IntRange(2), default=100, show_default=True,
              help="Maximum number of frames.")  # fmt: skip
@common.threads_option
@common.runtime_option
@common.json_option
def bench(frames: Path | None, count: int, as_json: bool, **model: Any) -> None:
    """Measure the model, each stage and the whole pipeline."""
    from edge_ssd.commands.bench.measuring import configuration, measure

    report = measure(configuration(model, frames, count), count)
    click.echo(json.dumps(asdict(report)) if as_json else _table(report))


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
    rows += [("the model's own op", f"{report.op_ms:.3f} ms")] if report.op_ms else []
    rows += [
        ("memory of run", f"{report.memory_mb:.0f} MB"),
        ("cold start", f"{report.cold_start_ms:.0f} ms to the first result"),
    ]
    threads, frames = counted(report.threads, "thread"), counted(report.frames, "frame")
    lines = (f"{name:<20} {value}" for name, value in rows)
    return "\n".join([f"{report.model}, {threads}, {frames}", *lines])
