"""Runs ``edge-ssd`` as a user does: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

COMMAND = (sys.executable, "-m", "edge_ssd")


def edge_ssd(
    *arguments: object, cwd: Path | None = None, timeout_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run to the end; stdout and stderr are text."""
    return subprocess.run(
        command(arguments), capture_output=True, text=True, check=False, cwd=cwd,
        timeout=timeout_s, env=environment(),
    )  # fmt: skip


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start it; stdout and stderr are pipes of text."""
    return subprocess.Popen(
        command(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(),
    )  # fmt: skip


def command(arguments: Sequence[object]) -> list[str]:
    return [*COMMAND, *map(str, arguments)]


def environment() -> dict[str, str]:
    """Return this environment, with the checkout importable from any folder."""
    root = str(Path(__file__).parents[2])
    return os.environ | {"PYTHONPATH": root}
