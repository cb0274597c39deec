"""``edge-ssd tune``."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_ssd import DEFAULT_MODEL
from edge_ssd.commands.options import complete_model, not_nan, path_argument

if TYPE_CHECKING:
    from edge_ssd.commands.tune.candidates import Candidate
    from edge_ssd.commands.tune.report import Report
    from edge_ssd.config import Config


@click.command()
@click.option("--config", "path", type=path_argument, metavar="FILE",
              help="The YAML file of the service.")  # fmt: skip
@click.option("--model", metavar="NAME|FILE", shell_complete=complete_model,
              help=f"Without --config: the model [default: {DEFAULT_MODEL}].")  # fmt: skip
@click.option("--write", is_flag=True,
              help="Write the choice to the configuration; without --config, "
              "remember it for `runtime: auto`.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(1, 3600), callback=not_nan, default=60,
              show_default=True, metavar="S", help="About how long to measure.")  # fmt: skip
def tune(path: Path | None, model: str | None, write: bool, seconds: float) -> None:
    """Find the fastest runtime, model file and number of threads."""
    from edge_ssd.commands.tune import candidates, writing

    if path and model:
        raise click.UsageError("--model is for use without --config, which names the model.")
    options = candidates.options(path, model)
    # SIGTERM as Ctrl-C: no temporary file stays.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
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
                click.echo("the service does not read your own folders: use sudo to tune for it")


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
        click.echo("the clock was lowered: cool the board, check its power supply, tune again")
