"""The ``edge-ssd`` command: its subcommands, and how an error is reported."""

from __future__ import annotations

import logging
import sys
import traceback
from importlib import import_module
from typing import Any, NoReturn

import click

from edge_ssd import __version__
from edge_ssd import log as journal
from edge_ssd.errors import EdgeSsdError, Interrupted, UsageError

COMMANDS = {
    "detect": ("detect", "detect"),
    "run": ("run", "run"),
    "check-config": ("check_config", "check_config"),
    "doctor": ("doctor", "doctor"),
    "record": ("record", "record"),
    "models": ("models", "models"),
    "bench": ("bench", "bench"),
    "tune": ("tune", "tune"),
    "eval": ("eval", "evaluate"),
}
"""Each command's module in ``edge_ssd.commands``, and its name there."""

# Before click 8.2 there is none: click exits after the help itself.
_HELP_ASKED_FOR: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())


class Commands(click.Group):
    """Imports a command when it is used; every error is one line on stderr and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"edge_ssd.commands.{module}"), name)
        _accept_verbose(command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # before click prints an empty line
            raise Interrupted("interrupted") from None

    def main(self, *args: Any, **more: Any) -> NoReturn:
        try:
            sys.exit(super().main(*args, **{**more, "standalone_mode": False}))
        except _HELP_ASKED_FOR as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            _fail(_as_usage_error(error))
        except click.Abort:
            _fail(Interrupted("interrupted"))
        except EdgeSsdError as error:
            _fail(error)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--verbose", is_flag=True, help="Log more, and show a traceback on errors.")
@click.version_option(__version__, prog_name="edge-ssd")
def main(verbose: bool) -> None:
    """Object detection with SSD MobileNet on a Raspberry Pi."""
    journal.set_up(verbose)


def _accept_verbose(command: click.Command) -> None:
    """Let a command, and those below it, take ``--verbose`` after their names, too."""
    if any(option.name == "verbose" for option in command.params):
        return
    command.params.append(
        click.Option(
            ["--verbose"], is_flag=True, expose_value=False, callback=_log_more,
            help="Log more, and show a traceback on errors.",
        )
    )  # fmt: skip
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _accept_verbose(below)


def _log_more(_context: click.Context, _parameter: click.Parameter, verbose: bool) -> None:
    if verbose:
        logging.getLogger().setLevel(logging.DEBUG)


def _as_usage_error(error: click.ClickException) -> UsageError:
    problem = error.format_message().rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    remedy = f"see `{context.command_path} --help`" if context else ""
    return UsageError(problem[:1].lower() + problem[1:], remedy)


def _fail(error: EdgeSsdError) -> NoReturn:
    if logging.getLogger().isEnabledFor(logging.DEBUG):
        traceback.print_exc()
    click.echo(journal.error_line(str(error)), err=True)
    sys.exit(error.exit_code)
