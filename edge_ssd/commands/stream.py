"""The commands that run frames through the pipeline: detect, run, record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_ssd.commands.options import (
    config_option,
    json_option,
    model_option,
    not_nan,
    path_argument,
    reports_errors,
)
from edge_ssd.wording import counted

if TYPE_CHECKING:
    from edge_ssd.pipeline.pipeline import Pipeline


@click.command()
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
    from edge_ssd.commands.detect.pipeline import pipeline
    from edge_ssd.inference.options import ModelOptions
    from edge_ssd.postprocess import PostprocessOptions

    run_until_done(
        pipeline(
            paths,
            ModelOptions(name=model, labels=labels),
            PostprocessOptions(score_threshold=score_threshold),
            as_json,
            annotate,
        )
    )


@click.command()
@config_option
@reports_errors
def run(path: Path) -> None:
    """Run the service that a configuration describes."""
    from edge_ssd.service.supervisor import serve

    serve(path)


@click.command("record")
@config_option
@click.option("--output", "folder", required=True, type=path_argument, metavar="DIR",
              help="A new folder for the frames.")  # fmt: skip
@click.option("--frames", type=click.IntRange(1), help="End after so many [default: at Ctrl-C].")
@reports_errors
def record_frames(path: Path, folder: Path, frames: int | None) -> None:
    """Save a configuration's frames, to detect in them again later."""
    from edge_ssd import config
    from edge_ssd.commands.record import record
    from edge_ssd.service.signals import stop_on_signals

    # Absolute, so that the options saved with the frames are right in their new place.
    options = config.load(path.absolute())
    with stop_on_signals(lambda: None) as received:
        saved = record(options, folder, frames, stopped=lambda: bool(received))
    done = f"{counted(saved, 'frame')} saved"
    click.echo(f"{done}; `edge-ssd run --config {folder}/replay.yaml` replays the recording")


def run_until_done(pipeline: Pipeline) -> None:
    """Run a pipeline to its source's end, or to the first SIGINT or SIGTERM.

    Raises PublishError when it came to its end and not every result could be delivered.
    """
    from edge_ssd.pipeline.publishing import check_delivered
    from edge_ssd.service.signals import stop_on_signals

    with stop_on_signals(pipeline.request_stop) as received:
        pipeline.start()
        while not pipeline.wait(0.2):
            if received:
                pipeline.stop()
                return
    if not received:
        check_delivered(pipeline.stats)
