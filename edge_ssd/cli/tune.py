"""The command that finds what is fastest on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_ssd.cli.options import DEFAULT_MODEL, path_argument, reports_errors

if TYPE_CHECKING:
    from edge_ssd.tune import Report


@click.command()
@click.option("--config", "path", type=path_argument, help="The YAML file of the service.")
@click.option("--model", metavar="NAME|FILE",
              help=f"Without --config: the model [default: {DEFAULT_MODEL}].")  # fmt: skip
@click.option("--write", is_flag=True,
              help="Set it in the configuration; without --config, keep it for `runtime: auto`.",
)  # fmt: skip
@click.option("--seconds", type=click.FloatRange(1, 3600), default=60, show_default=True,
              help="About how long to measure.")  # fmt: skip
@reports_errors
def tune(path: Path | None, model: str | None, write: bool, seconds: float) -> None:
    """Measure which runtime, model file and threads are fastest here."""
    from tqdm import tqdm

    from edge_ssd import tune as tuning

    if path and model:
        raise click.UsageError("--model is for use without --config, which names the model.")
    options = tuning.options(path, model)
    with tempfile.TemporaryDirectory() as folder:
        forms, why_not = tuning.forms(options, Path(folder))
        found = tuning.candidates(forms)
        with tqdm(total=len(found), disable=None, leave=False) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            report = tuning.measure(options, found, seconds, progress=progress)
        _print(report, why_not)
        if write:
            click.echo(f"written to {tuning.write(report, options, path)}")


def _print(report: Report, why_not: str) -> None:
    from edge_ssd.tune import rows

    for row in rows(report):
        click.echo(row)
    if why_not:
        click.echo(f"not as int8: {why_not}")
    if report.slowed:
        click.echo("the clock was lowered meanwhile: cool the board, check its supply, tune again")
