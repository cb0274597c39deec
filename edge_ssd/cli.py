"""The ``edge-ssd`` command: parse, call, print."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from edge_ssd import __version__
from edge_ssd.errors import ConfigError, EdgeSsdError
from edge_ssd.service import journal

if TYPE_CHECKING:
    from edge_ssd.bench import Report
    from edge_ssd.service.pipeline import Pipeline

# Each command imports what it needs: `--help` and usage errors answer at once on a Pi Zero.

DEFAULT_MODEL = "ssdlite_mobilenet_v2_coco"

P = ParamSpec("P")
R = TypeVar("R")


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the package's errors into one line on stderr and their exit code."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except EdgeSsdError as error:
            if click.get_current_context().find_root().params["verbose"]:
                raise
            click.echo(journal.error_line(str(error)), err=True)
            sys.exit(error.exit_code)

    return wrapped


def not_nan(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    """Refuse NaN, which click's ranges let pass."""
    if math.isnan(value):
        raise click.BadParameter("nan is not in the range 0<=x<=1.")
    return value


model_option = click.option(
    "--model", default=DEFAULT_MODEL, show_default=True, metavar="NAME|FILE",
    help="A name of `edge-ssd models list`, or a .tflite file.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
path_argument = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--verbose", is_flag=True, help="Log more, and show a traceback on errors.")
@click.version_option(__version__, prog_name="edge-ssd")
def main(verbose: bool) -> None:
    """Object detection with SSD MobileNet on a Raspberry Pi."""
    journal.set_up(verbose)


@main.command()
@click.argument("paths", nargs=-1, required=True, type=path_argument, metavar="PATH...")
@model_option
@click.option("--labels", type=path_argument, help="A text file, one label a line.")
@click.option(
    "--score-threshold", type=click.FloatRange(0, 1), callback=not_nan,
    default=0.5, show_default=True, help="Least score of a detection.",
)  # fmt: skip
@json_option
@click.option("--annotate", type=path_argument, metavar="DIR", help="Save pictures with boxes.")
@reports_errors
def detect(
    paths: tuple[Path, ...],
    model: str,
    labels: Path | None,
    score_threshold: float,
    as_json: bool,
    annotate: Path | None,
) -> None:
    """Detect objects in pictures, folders of pictures, and videos."""
    from edge_ssd.config import ModelOptions, PostprocessSection
    from edge_ssd.detect import pipeline

    run_until_done(
        pipeline(
            paths,
            ModelOptions(name=model, labels=labels),
            PostprocessSection(score_threshold=score_threshold),
            as_json,
            annotate,
        )
    )


@main.command()
@click.option("--config", "path", required=True, type=path_argument, help="The YAML file.")
@reports_errors
def run(path: Path) -> None:
    """Run the service that a configuration describes."""
    from edge_ssd.service.supervisor import serve

    serve(path)


@main.command("record")
@click.option("--config", "path", required=True, type=path_argument, help="The YAML file.")
@click.option("--output", "folder", required=True, type=path_argument, metavar="DIR",
              help="A new folder for the frames.")  # fmt: skip
@click.option("--frames", type=click.IntRange(1), help="End after so many [default: at Ctrl-C].")
@reports_errors
def record_frames(path: Path, folder: Path, frames: int | None) -> None:
    """Save a configuration's frames, to detect in them again later."""
    from edge_ssd import config
    from edge_ssd.record import record
    from edge_ssd.service.signals import stop_on_signals

    # Absolute, so that the options saved with the frames are right in their new place.
    options = config.load(path.absolute())
    with stop_on_signals(lambda: None) as received:
        saved = record(options, folder, frames, stopped=lambda: bool(received))
    click.echo(f"{saved} frames saved; `edge-ssd run --config {folder}/replay.yaml` replays them")


@main.command("check-config")
@click.argument("path", type=path_argument, metavar="FILE", required=False)
@click.option("--json-schema", is_flag=True, help="Print the JSON Schema of the file instead.")
def check_config(path: Path | None, json_schema: bool) -> None:
    """Say whether a configuration would run: exit 0, or 78 with each error."""
    from edge_ssd import config

    if json_schema:
        click.echo(json.dumps(config.json_schema(), indent=2))
        return
    if path is None:
        raise click.UsageError("Missing argument 'FILE'.")
    _check(path)


@reports_errors
def _check(path: Path) -> None:
    from edge_ssd import config
    from edge_ssd.service import build

    try:
        build.pipeline(config.load(path))
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(error.exit_code)
    click.echo(f"{path}: good")


@main.command()
@model_option
@click.option("--frames", type=path_argument, help="A video or folder; else moving shapes.")
@click.option("--count", type=click.IntRange(2), default=100, show_default=True, help="Frames.")
@click.option("--threads", type=click.IntRange(1), help="Inference threads [default: one a CPU].")
@json_option
@reports_errors
def bench(model: str, frames: Path | None, count: int, threads: int | None, as_json: bool) -> None:
    """Measure the network, each stage and the whole pipeline on this machine."""
    from edge_ssd.bench import measure, options

    report = measure(options(model, frames, count, threads), count)
    click.echo(report.as_json() if as_json else _table(report))


@main.group()
def models() -> None:
    """The models this program knows."""


@models.command("list")
@json_option
@reports_errors
def list_models(as_json: bool) -> None:
    """List the bundled models."""
    from edge_ssd.models import catalogue

    described = {name: catalogue.describe(name) for name in catalogue.bundled()}
    if as_json:
        click.echo(json.dumps({name: entry.values for name, entry in described.items()}))
        return
    for name, entry in described.items():
        megabytes = entry.entry("file").get("size", int) / 1e6
        size = entry.entry("input")
        click.echo(
            f"{name:<28} {size.get('width', int)}x{size.get('height', int)} "
            f"{megabytes:.1f} MB  {entry.get('licence', str)}  {entry.get('description', str)}"
        )


def run_until_done(pipeline: Pipeline) -> None:
    """Run a pipeline to its source's end, or to the first SIGINT or SIGTERM.

    Raises PublishError when it came to its end and not every result could be delivered.
    """
    from edge_ssd.service.publishing import check_delivered
    from edge_ssd.service.signals import stop_on_signals

    with stop_on_signals(pipeline.request_stop) as received:
        pipeline.start()
        while not pipeline.wait(0.2):
            if received:
                pipeline.stop()
                return
    if not received:
        check_delivered(pipeline.stats)


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
    head = f"{report.model}, {report.threads} thread(s), {report.frames} frames"
    return "\n".join([head, *(f"{name:<20} {value}" for name, value in rows)])
