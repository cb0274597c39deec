"""The model workshop's commands."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edge_ssd.commands.options import json_option, path_argument, reports_errors


@click.group()
def models() -> None:
    """The models this program knows."""


@models.command("list")
@json_option
@reports_errors
def list_models(as_json: bool) -> None:
    """List the models that come with the package, those pulled, and those to be had."""
    from edge_ssd.workshop.listing import listing

    listed = listing()
    if as_json:
        click.echo(json.dumps(listed))
        return
    width = max(map(len, listed))
    for name, entry in listed.items():
        size = entry["file"]["size"]
        megabytes = f"{size / 1e6:.1f} MB" if size else "? MB"
        row = f"{name:<{width}}  {entry['state']:<9}  {megabytes:>7}  {entry.get('licence', '?')}"
        click.echo(f"{row}  {entry['problem'] or entry.get('description', '')}".rstrip())


@models.command("inspect")
@click.argument("model", metavar="NAME|FILE")
@json_option
@reports_errors
def inspect_model(model: str, as_json: bool) -> None:
    """Say what a model file is, what it needs, and what `prepare` would gain; runs nothing."""
    from edge_ssd.commands.models import inspected
    from edge_ssd.workshop.inspect import inspect

    report = inspect(model)
    click.echo(inspected.as_json(report) if as_json else inspected.as_text(report))


@models.command("prepare")
@click.argument("model", metavar="NAME|FILE")
@click.option("-o", "--output", required=True, type=path_argument, metavar="FILE",
              help="The new .tflite file.")  # fmt: skip
@click.option("--int8", is_flag=True, help="Requantise a uint8 graph to int8, for speed.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@reports_errors
def prepare_model(model: str, output: Path, int8: bool, force: bool) -> None:
    """Write a model as raw heads with its manifest inside, and check that it detects the same."""
    from edge_ssd.workshop.prepare import prepare

    click.echo(prepare(model, output, int8, force))


@models.command("pull")
@click.argument("name")
@click.option("--output", "folder", type=path_argument, metavar="DIR",
              help="Where to put it [default: where `--model NAME` finds it].")  # fmt: skip
@click.option("--mirror", metavar="URL", help="Take the file from below this URL instead.")
@click.option("--trust-on-first-use", is_flag=True,
              help="Where no hash is published: take what comes, and record its hash.")  # fmt: skip
@reports_errors
def pull_model(
    name: str, folder: Path | None, mirror: str | None, trust_on_first_use: bool
) -> None:
    """Download a model of the catalogue, check it, and put it where it is found by name."""
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
