"""The command that looks at everything the service needs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from edge_ssd.commands.options import json_option, path_argument


@click.command()
@click.option(
    "--config", "path", type=path_argument,
    help="The YAML file [default: /etc/edge-ssd/edge-ssd.yaml, where there is one].",
)  # fmt: skip
@json_option
def doctor(path: Path | None, as_json: bool) -> None:
    """Check the machine, its devices and a configuration.

    Exits with 0 when the service is ready to run.
    """
    from edge_ssd.checks import System
    from edge_ssd.commands.doctor import report, runner, table

    width, examined = shutil.get_terminal_size().columns, []
    for one in table.rows(path, System()):
        examined.append(one)
        if not as_json:
            click.echo(report.row(one, width))
    click.echo(report.as_json(examined) if as_json else f"\n{report.summary(examined)}")
    sys.exit(runner.exit_code(examined))
