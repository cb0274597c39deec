"""``edge-ssd models``: work on model files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from edge_ssd import DEFAULT_MODEL
from edge_ssd.commands.options import complete_model, json_option, path_argument

model_argument = click.argument("model", metavar="NAME|FILE", shell_complete=complete_model)


@click.group()
def models() -> None:
    """List, inspect, download and prepare models."""


@models.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """List bundled, downloaded and available models."""
    from edge_ssd.workshop.listing import listing

    listed = listing()
    click.echo(json.dumps(listed) if as_json else "\n".join(_table(listed)))


def _table(listed: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield two lines for each model: what fits 80 columns, and its description."""
    width = max(map(len, listed))
    yield f"  {'name':<{width}}  {'state':<9}  {'size':>7}  licence"
    for name, entry in listed.items():
        size = entry["file"]["size"]
        megabytes = f"{size / 1e6:.1f} MB" if size else "? MB"
        mark = "*" if name == DEFAULT_MODEL else " "
        row = f"{mark} {name:<{width}}  {entry['state']:<9}  {megabytes:>7}"
        yield f"{row}  {entry.get('licence', '?')}"
        yield f"    {entry['problem'] or entry.get('description', '')}".rstrip()
    yield "* is used where no model is named"


@models.command("inspect")
@model_argument
@json_option
def inspect_model(model: str, as_json: bool) -> None:
    """Describe a model file without running it.

    Says what it needs, and what `prepare` would gain.
    """
    from edge_ssd.commands.models import inspected
    from edge_ssd.workshop.inspect import inspect

    report = inspect(model)
    click.echo(inspected.as_json(report) if as_json else inspected.as_text(report))


@models.command("prepare")
@model_argument
@click.option("-o", "--output", required=True, type=path_argument, metavar="FILE",
              help="The new .tflite file.")  # fmt: skip
@click.option("--int8", is_flag=True, help="Requantise a uint8 graph to int8, for speed.")
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def prepare_model(model: str, output: Path, int8: bool, force: bool) -> None:
    """Write a model as raw heads with its manifest inside.

    The new file is run, to check that it gives the same detections.
    """
    from edge_ssd.workshop.prepare import prepare

    click.echo(prepare(model, output, int8, force))


@models.command("pull")
@click.argument("name", shell_complete=complete_model)
@click.option("--output", "folder", type=path_argument, metavar="DIR",
              help="The folder for it [default: where `--model NAME` finds it].")  # fmt: skip
@click.option("--mirror", metavar="URL", help="Take the file from below this URL instead.")
@click.option("--trust-on-first-use", is_flag=True,
              help="Where no hash is published: accept the file and record its hash.")  # fmt: skip
def pull_model(
    name: str, folder: Path | None, mirror: str | None, trust_on_first_use: bool
) -> None:
    """Download a model of the catalogue and check it."""
    from tqdm import tqdm

    from edge_ssd.models import catalogue
    from edge_ssd.workshop.pull import pull

    with tqdm(unit="B", unit_scale=True, disable=None, leave=False) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        got = pull(name, folder, mirror, trust_on_first_use, progress)
    known = catalogue.pulled() | catalogue.bundled()
    use = name if known.get(name) == got.path else got.path
    how = "is there" if got.fresh else "was there already"
    click.echo(f"{got.path} {how}, sha256 {got.sha256}; use it with `--model {use}`")
