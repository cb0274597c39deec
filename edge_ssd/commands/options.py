"""What the commands share: options, and how an error is reported."""

from __future__ import annotations

import math
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from edge_ssd import DEFAULT_MODEL
from edge_ssd import log as journal
from edge_ssd.errors import EdgeSsdError

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
                traceback.print_exc()
            click.echo(journal.error_line(str(error)), err=True)
            sys.exit(error.exit_code)

    return wrapped


def not_nan(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    """Refuse NaN, which click's ranges let pass."""
    if math.isnan(value):
        raise click.BadParameter("nan is not a number.")
    return value


model_option = click.option(
    "--model", default=DEFAULT_MODEL, show_default=True, metavar="NAME|FILE",
    help="A name of `edge-ssd models list`, or a .tflite file.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
# Not click's own check of what may be read: ours says what to do.
path_argument = click.Path(path_type=Path, readable=False)
config_option = click.option(
    "--config", "path", required=True, type=path_argument, help="The YAML file."
)
