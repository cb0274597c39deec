"""The ``edge-ssd`` command: parse, call, print. One file for each group of commands.

A command imports what it needs when it runs: `--help` and usage errors answer at once on a
Pi Zero.
"""

from __future__ import annotations

import click

from edge_ssd import __version__
from edge_ssd import log as journal
from edge_ssd.commands.bench import bench
from edge_ssd.commands.check_config import check_config
from edge_ssd.commands.doctor import doctor
from edge_ssd.commands.eval import evaluate
from edge_ssd.commands.models import models
from edge_ssd.commands.stream import detect, record_frames, run
from edge_ssd.commands.tune import tune


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--verbose", is_flag=True, help="Log more, and show a traceback on errors.")
@click.version_option(__version__, prog_name="edge-ssd")
def main(verbose: bool) -> None:
    """Object detection with SSD MobileNet on a Raspberry Pi."""
    journal.set_up(verbose)


for command in (detect, run, record_frames, check_config, bench, evaluate, tune, models, doctor):
    main.add_command(command)
