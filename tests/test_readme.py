"""Every command that the README and CONTRIBUTING show is run: here, or by .ci/run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from support.command import edge_ssd

ROOT = Path(__file__).parents[1]
# What takes seconds: measuring, and encoding a video.
SLOW = {"bench", "--annotate"}
# Set-up of a shell; there is nothing to check.
SHELL = {". .venv/bin/activate"}


def commands(document: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


ALL = sorted({*commands("README.md"), *commands("CONTRIBUTING.md")} - SHELL)


def test_the_readme_shows_commands() -> None:
    assert len(ALL) > 8


@pytest.mark.parametrize(
    "line",
    [pytest.param(line, marks=[pytest.mark.slow] * bool(SLOW & {*line.split()})) for line in ALL],
)
def test_command(line: str, tmp_path: Path) -> None:
    words = shlex.split(line)
    if words[0] == "make":
        script = (ROOT / ".ci" / "run").read_text()
        assert re.search(rf"^{re.escape(line)}\b", script, re.MULTILINE), "not run by .ci/run"
        return
    if words[0] == "sudo":  # tests/system runs every command of this guide
        assert line in (ROOT / "docs" / "install.md").read_text()
        return
    arguments = [str(tmp_path) if word == "demo-output" else word for word in words[1:]]
    finished = edge_ssd(*arguments, cwd=ROOT, timeout_s=300)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout


def test_links_lead_somewhere() -> None:
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path}: {target}"
