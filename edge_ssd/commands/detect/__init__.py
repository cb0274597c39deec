"""``edge-ssd detect``: recorded files through the pipeline."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_ssd.commands import options as common
from edge_ssd.errors import ConfigError, Interrupted, PublishError, UsageError

if TYPE_CHECKING:
    from edge_ssd.detector import Detector
    from edge_ssd.sources.base import Source


_FINISH_VIDEO_S = 60.0  # how long an interrupt waits for an encoder, which holds frames back


class _Input(common.UserPath):
    """The path of a file or folder; a camera is refused."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        scheme, separator, _ = str(value).partition("://")
        if separator or str(value).startswith("/dev/"):
            camera = f"{scheme}://…" if separator else value
            raise UsageError(
                f"detect reads files, not {camera}",
                "for a camera use `edge-ssd run --config FILE` (docs/camera.md)",
            )
        return super().convert(value, param, ctx)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=_Input(), metavar="PATH...")
@common.model_option
@common.labels_option
@click.option(
    "--score-threshold", type=click.FloatRange(0, 1), callback=common.not_nan, default=0.5,
    show_default=True, metavar="S", help="Minimum score to report.",
)  # fmt: skip
@click.option("--classes", metavar="A,B", help="The labels to report [default: all].")
@common.threads_option
@common.runtime_option
@common.json_option
@click.option("--every-frame", is_flag=True, help="Print every detection of every frame.")
@click.option("--annotate", "folder", type=common.path_argument, metavar="DIR",
              help="Save images and videos with boxes here.")  # fmt: skip
def detect(
    paths: tuple[Path, ...],
    score_threshold: float,
    classes: str | None,
    as_json: bool,
    every_frame: bool,
    folder: Path | None,
    **model: Any,
) -> None:
    """Detect objects in images, folders and videos."""
    from edge_ssd.detector import Detector
    from edge_ssd.inference.options import ModelOptions
    from edge_ssd.postprocess import PostprocessOptions
    from edge_ssd.sources.recorded import open_paths

    source = open_paths(paths)
    inputs = {(path if path.is_dir() else path.parent).resolve() for path in paths}
    if folder and folder.resolve() in inputs:
        raise UsageError(f"--annotate {folder} is where the inputs are", "name another folder")
    wanted = None if classes is None else [label.strip() for label in classes.split(",")]
    postprocess = {"score_threshold": score_threshold, "classes": wanted}
    try:
        detector = Detector.from_options(
            ModelOptions.model_validate(model),
            postprocess=PostprocessOptions.model_validate(postprocess),
        )
    except ConfigError as error:
        problem = error.problems[0]
        raise UsageError(f"--classes: {problem.text}", problem.remedy) from None
    _run(source, detector, as_json, every_frame, folder)


def _run(
    source: Source, detector: Detector, as_json: bool, every_frame: bool, folder: Path | None
) -> None:
    """Detect in files, and print what is found. Raises Interrupted after the summary."""
    from edge_ssd.commands.detect.printed import Rows, Summary
    from edge_ssd.commands.progress import ProgressBar
    from edge_ssd.pipeline.lifecycle import run_until_done
    from edge_ssd.pipeline.pipeline import STOP_S, Outlet, Pipeline
    from edge_ssd.publishers.base import Publisher
    from edge_ssd.publishers.jsonl import JsonLinesOptions

    summary = Summary(source)
    publishers: list[Publisher] = [ProgressBar(source), summary]
    queue_size, stop_s = 64, STOP_S
    if as_json:
        publishers.append(JsonLinesOptions().make(source.name))
    elif every_frame:
        publishers.append(Rows(_print))
    if folder:
        from edge_ssd.commands.detect.annotated import AnnotatedFiles

        publishers.append(AnnotatedFiles(folder))
        queue_size, stop_s = 2, _FINISH_VIDEO_S
    interrupted = False
    try:
        outlets = [Outlet(each, queue_size) for each in publishers]
        interrupted = run_until_done(Pipeline(source, detector, outlets), stop_s)
    finally:
        if summary.frames and (not as_json or sys.stderr.isatty()):
            saved = map(str, publishers[-1:] if folder else ())
            _print("\n".join([*summary.lines(), *saved]), err=as_json)
    if interrupted:
        raise Interrupted("interrupted before everything was read")


def _print(text: str, err: bool = False) -> None:
    """Print above the progress bar. Raises PublishError when stdout cannot take it."""
    from tqdm import tqdm

    stream = sys.stderr if err else sys.stdout
    try:
        tqdm.write(text, file=stream)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise PublishError(f"stdout: {error.strerror}", "free some space") from None
