"""``edge-ssd record``."""

from __future__ import annotations

from pathlib import Path

import click

from edge_ssd.commands.options import config_option, path_argument
from edge_ssd.wording import counted


@click.command()
@config_option
@click.option("--output", "folder", required=True, type=path_argument, metavar="DIR",
              help="A new folder for the frames.")  # fmt: skip
@click.option("--frames", type=click.IntRange(1), help="How many frames [default: until Ctrl-C].")
def record(path: Path, folder: Path, frames: int | None) -> None:
    """Save the frames of a configuration's source.

    `edge-ssd run --config DIR/replay.yaml` detects in them again.
    """
    from edge_ssd import config
    from edge_ssd.commands.record.recording import record as save
    from edge_ssd.pipeline.lifecycle import stop_on_signals

    # Absolute, so that the options saved with the frames are right in their new place.
    options = config.load(path.absolute())
    with stop_on_signals(lambda: None) as received:
        saved = save(options, folder, frames, stopped=lambda: bool(received))
    done = f"{counted(saved, 'frame')} saved"
    click.echo(f"{done}; `edge-ssd run --config {folder}/replay.yaml` replays the recording")
