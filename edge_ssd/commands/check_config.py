"""The command that checks a configuration."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from edge_ssd.commands.options import path_argument
from edge_ssd.errors import ConfigError


@click.command("check-config")
@click.argument("path", type=path_argument, metavar="FILE", required=False)
@click.option("--json-schema", is_flag=True, help="Print the JSON Schema of the file instead.")
@click.option("--reference", is_flag=True, help="Print a file that explains every option instead.")
def check_config(path: Path | None, json_schema: bool, reference: bool) -> None:
    """Validate configuration files.

    Exits with 0, or with 78 and every problem.
    """
    from edge_ssd import config

    if json_schema:
        click.echo(json.dumps(config.json_schema(), indent=2))
        return
    if reference:
        click.echo(config.reference(config.json_schema()), nl=False)
        return
    if path is None:
        raise click.UsageError("Missing argument 'FILE'.")
    _check(path)


def _check(path: Path) -> None:
    from edge_ssd import config
    from edge_ssd.service import build

    try:
        build.pipeline(config.load(path))
    except ConfigError as error:
        for line in (error if error.path else error.in_file(path)).lines:
            click.echo(line, err=True)
        sys.exit(error.exit_code)
    click.echo(f"{path}: valid")
