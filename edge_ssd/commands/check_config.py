"""Validate configuration files; with ``--deep``, also what they name on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_ssd.checks import System
from edge_ssd.commands.options import json_option, path_argument
from edge_ssd.errors import ConfigError, EdgeSsdError, Problem

if TYPE_CHECKING:
    from edge_ssd.commands.doctor.runner import Examined
    from edge_ssd.config import Config


@click.command("check-config")
@click.argument("paths", type=path_argument, metavar="FILE...", nargs=-1)
@click.option(
    "--deep", is_flag=True,
    help="Also check the model, devices, hosts, passwords and outputs that it names.",
)  # fmt: skip
@json_option
@click.option("--json-schema", is_flag=True, help="Print the JSON Schema of such a file instead.")
@click.option("--reference", is_flag=True, help="Print a file that explains every option instead.")
def check_config(
    paths: tuple[Path, ...], deep: bool, as_json: bool, json_schema: bool, reference: bool
) -> None:
    """Validate configuration files.

    Exits with 0, or with 78 and every problem.
    """
    if json_schema:
        from edge_ssd import config

        click.echo(json.dumps(config.json_schema(), indent=2))
        return
    if reference:
        from edge_ssd import config

        click.echo(config.reference(config.json_schema()), nl=False)
        return
    if not paths:
        raise click.UsageError("Missing argument 'FILE...'.")
    sys.exit(max([_check(path, deep, as_json) for path in paths]))


def _check(path: Path, deep: bool, as_json: bool) -> int:
    """Check one file and print what was found; return the exit code."""
    from edge_ssd import config

    examined: list[Examined] = []
    try:
        options = config.load(path)
        error = fault(options, quick_checks=not deep)
        examined = _examined(options) if deep else []
    except ConfigError as unusable:
        error = unusable
    code = max([error.exit_code if error else 0, *(e.exit_code for e in examined if e.failed)])
    problems = problems_of(error) if error else []
    if as_json:
        checks = [one.as_json() for one in examined]
        told = {"schema": 1, "file": str(path), "valid": not code, "problems": problems}
        click.echo(json.dumps(told | {"checks": checks}, default=asdict))
    else:
        _print(path, [*problems, *_findings(examined)], valid=not code)
    return code


def fault(options: Config, quick_checks: bool = False) -> EdgeSsdError | None:
    """Return why a configuration's pipeline cannot be built, as far as its own files tell.

    quick_checks: with the checks of every start but those of this user's rights.
    """
    from edge_ssd.service import build

    try:
        if quick_checks:
            build.check_start(options, rights=False)
        build.pipeline(options)
    except EdgeSsdError as error:
        return error
    return None


def problems_of(error: EdgeSsdError) -> list[Problem]:
    """Return an error as problems of a configuration."""
    if isinstance(error, ConfigError):
        return list(error.problems)
    return [Problem("", error.problem, error.remedy)]


def _examined(options: Config) -> list[Examined]:
    from edge_ssd.commands.doctor.runner import examine

    return list(examine(options.checks(), System()))


def _findings(examined: Iterable[Examined]) -> Iterable[Problem]:
    for one in examined:
        if one.finding.remedy:  # the others need none
            warning = "" if one.failed else "warning: "
            yield Problem(one.option, f"{warning}{one.finding.evidence}", one.finding.remedy)


def _print(path: Path, problems: Iterable[Problem], valid: bool) -> None:
    for problem in problems:
        click.echo(f"{path}: {problem}", err=True)
    if valid:
        click.echo(f"{path}: valid")
