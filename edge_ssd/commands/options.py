"""Options that commands share; those of the model have the names of ModelOptions."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

import edge_ssd

_MODELS = Path(edge_ssd.__file__).parent / "models" / "data"


class UserPath(click.Path):
    """A path; ``~`` is expanded, which shells do not do in ``--option=~/file``."""

    def __init__(self) -> None:
        # Not click's own check of what may be read: ours gives the remedy.
        super().__init__(path_type=Path, readable=False)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        return super().convert(os.path.expanduser(value), param, ctx)  # noqa: PTH111 (no raise)


def not_nan(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    """Refuse NaN, which click's ranges let pass."""
    if math.isnan(value):
        raise click.BadParameter("nan is not a number.")
    return value


def complete_model(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the names of models that begin so, and files; for the shell's completion."""
    # Not through edge_ssd.models: numpy takes longer than the user waits.
    offers = json.loads((_MODELS / "catalogue.json").read_text("utf-8"))["models"]
    names = {*offers, *(path.stem for path in _MODELS.glob("*.tflite"))}
    found = sorted(name for name in names if name.startswith(incomplete))
    if not found:
        return [CompletionItem(incomplete, type="file")]
    files = sorted(map(str, Path().glob("*.tflite")))
    return [CompletionItem(name) for name in found + [f for f in files if f.startswith(incomplete)]]


path_argument = UserPath()
model_option = click.option(
    "--model", "name", default=edge_ssd.DEFAULT_MODEL, show_default=True, metavar="NAME|FILE",
    shell_complete=complete_model, help="A name of `edge-ssd models list`, or a .tflite file.",
)  # fmt: skip
labels_option = click.option(
    "--labels", type=path_argument, metavar="FILE", help="A text file, one label per line."
)
threads_option = click.option(
    "--threads", type=click.IntRange(1, 64), help="Inference threads [default: one per CPU]."
)
RUNTIMES = ("auto", "litert", "tflite-runtime")
runtime_option = click.option(
    "--runtime", type=click.Choice(RUNTIMES), default="auto", show_default=True,
    metavar="NAME", help=f"{', '.join(RUNTIMES[:-1])} or {RUNTIMES[-1]}.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
config_option = click.option(
    "--config", "path", required=True, type=path_argument, metavar="FILE", help="The YAML file."
)
