"""The command that finds what is fastest on this machine."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_ssd import DEFAULT_MODEL
from edge_ssd.commands.options import not_nan, path_argument, reports_errors

if TYPE_CHECKING:
    from edge_ssd.commands.tune.candidates import Candidate
    from edge_ssd.commands.tune.report import Report
    from edge_ssd.config import Config


@click.command()
@click.option("--config", "path", type=path_argument, help="The YAML file of the service.")
@click.option("--model", metavar="NAME|FILE",
              help=f"Without --config: the model [default: {DEFAULT_MODEL}].")  # fmt: skip
@click.option("--write", is_flag=True,
              help="Set it in the configuration; without --config, keep it for `runtime: auto`.",
)  # fmt: skip
@click.option("--seconds", type=click.FloatRange(1, 3600), callback=not_nan, default=60,
              show_default=True, help="About how long to measure.")  # fmt: skip
@reports_errors
def tune(path: Path | None, model: str | None, write: bool, seconds: float) -> None:
    """Measure which runtime, model file and threads are fastest here."""
    from edge_ssd.commands.tune import candidates, writing

    if path and model:
        raise click.UsageError("--model is for use without --config, which names the model.")
    options = candidates.options(path, model)
    with _exit_at_sigterm(), tempfile.TemporaryDirectory() as folder:
        forms, why_not = candidates.forms(options, Path(folder))
        found = candidates.candidates(forms)
        if write:
            writing.check(found, path)
        report = _measured(options, found, seconds)
        _print(report, why_not)
        if write:
            written = writing.write(report, options, path)
            click.echo(f"written to {' and '.join(map(str, written))}")
            if os.geteuid() and (path is None or len(written) > 1):
                click.echo("the service does not read your own folders: for it, use sudo")


def _measured(options: Config, found: list[Candidate], seconds: float) -> Report:
    from tqdm import tqdm

    from edge_ssd.commands.tune.measuring import measure

    with tqdm(total=len(found), disable=None, leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return measure(options, found, seconds, progress=progress)


def _print(report: Report, why_not: str) -> None:
    for row in report.rows():
        click.echo(row)
    if why_not:
        click.echo(f"not as int8: {why_not}")
    if report.slowed:
        click.echo("the clock was lowered meanwhile: cool the board, check its supply, tune again")


@contextmanager
def _exit_at_sigterm() -> Iterator[None]:
    """Let SIGTERM end the process as an error does, so that no temporary file stays."""
    previous = signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
