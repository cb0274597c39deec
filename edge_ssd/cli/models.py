"""The model workshop's commands."""

from __future__ import annotations

import json

import click

from edge_ssd.cli.options import json_option, reports_errors


@click.group()
def models() -> None:
    """The models this program knows."""


@models.command("list")
@json_option
@reports_errors
def list_models(as_json: bool) -> None:
    """List the bundled models."""
    from edge_ssd.models import catalogue

    described = {name: catalogue.describe(name) for name in catalogue.bundled()}
    if as_json:
        click.echo(json.dumps({name: entry.values for name, entry in described.items()}))
        return
    for name, entry in described.items():
        megabytes = entry.entry("file").get("size", int) / 1e6
        size = entry.entry("input")
        click.echo(
            f"{name:<28} {size.get('width', int)}x{size.get('height', int)} "
            f"{megabytes:.1f} MB  {entry.get('licence', str)}  {entry.get('description', str)}"
        )
