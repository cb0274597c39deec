"""``edge-ssd run``."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from edge_ssd.commands.options import config_option
from edge_ssd.wording import counted


@click.command()
@config_option
def run(path: Path) -> None:
    """Run the service that a configuration file describes."""
    from edge_ssd.service.supervisor import serve

    at_terminal = sys.stderr.isatty()
    log = logging.getLogger("edge_ssd")
    if at_terminal and not log.isEnabledFor(logging.INFO):
        log.setLevel(logging.INFO)
    counts = serve(path)
    if at_terminal:
        done = f"{counted(counts.inferred, 'frame')}, {counted(counts.detections, 'detection')}"
        dropped = f"; {counted(counts.dropped, 'frame')} dropped" if counts.dropped else ""
        click.echo(f"{done}{dropped}", err=True)
