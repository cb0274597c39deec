"""Validate configuration files; with ``--deep``, also what they name on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
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
    from edge_ssd import config

    if json_schema:
        click.echo(json.dumps(config.json_schema(), indent=2))
        return
    if reference:
        click.echo(config.reference(config.json_schema()), nl=False)
        return
    if not paths:
        raise click.UsageError("Missing argument 'FILE...'.")
    sys.exit(max([_check(path, deep, as_json) for path in paths]))


def _check(path: Path, deep: bool, as_json: bool) -> int:
    """Check one file and print its problems; return the exit code."""
    examined: list[Examined] = []
    options, error = attempt(path, quick_checks=not deep)
    if deep and options:
        from edge_ssd.commands.doctor.runner import examine

        examined = list(examine(options.checks(), System()))
    code = max([error.exit_code if error else 0, *(e.exit_code for e in examined if e.failed)])
    problems = list(error.problems) if error else []
    if as_json:
        report = {"schema": 1, "file": str(path), "valid": not code, "problems": problems}
        checks = [one.as_json() for one in examined]
        click.echo(json.dumps(report | {"checks": checks}, default=asdict))
        return code
    for one in examined:
        if one.finding.remedy:  # the others need none
            evidence = f"{'' if one.failed else 'warning: '}{one.finding.evidence}"
            problems.append(Problem(one.option, evidence, one.finding.remedy))
    for problem in dict.fromkeys(problems):
        click.echo(f"{path}: {problem}", err=True)
    if not code:
        click.echo(f"{path}: valid")
    return code


def attempt(path: Path, quick_checks: bool = False) -> tuple[Config | None, EdgeSsdError | None]:
    """Return a configuration, and why its pipeline cannot be built, as far as its own files show.

    quick_checks: with the checks of every start but those of this user's rights.
    """
    from edge_ssd import config

    try:
        options = config.load(path)
    except EdgeSsdError as error:
        return None, error
    from edge_ssd.service import build

    errors: list[EdgeSsdError] = []
    steps: list[Callable[[Config], object]] = [build.pipeline]
    if quick_checks:
        steps.insert(0, partial(build.check_start, rights=False))
    for step in steps:
        try:
            step(options)
        except EdgeSsdError as error:
            errors.append(error)
    if len(errors) < 2:
        return options, errors[0] if errors else None
    return options, ConfigError([problem for error in errors for problem in error.problems])
