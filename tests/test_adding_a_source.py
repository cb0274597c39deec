"""``docs/adding-a-source.md`` is followed to the letter, on a copy of the package."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import environment

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^`(\S+)`:\n\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def edited(text: str, diff: str) -> str:
    """Apply a diff whose hunks are separated by @@ lines."""
    for hunk in diff.split("@@\n"):
        lines = hunk.splitlines()
        old, new = ("\n".join(line[1:] for line in lines if line[0] != sign) for sign in "+-")
        assert text.count(old) == 1, f"the guide shows what is not there:\n{old}"
        text = text.replace(old, new)
    return text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the package in which the guide's steps are done."""
    shutil.copytree(ROOT / "edge_ssd", tmp_path / "edge_ssd")
    blocks = BLOCK.findall((ROOT / "docs/adding-a-source.md").read_text())
    assert [language for _, language, _ in blocks] == ["python", "diff", "yaml"]
    for name, language, text in blocks:
        path = tmp_path / name
        path.write_text(edited(path.read_text(), text) if language == "diff" else text)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_ssd", *arguments],
        cwd=folder, env=environment() | {"PYTHONPATH": str(folder)}, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip


def test_one_file_and_one_union_entry_are_a_source(folder: Path) -> None:
    finished = run(folder, "run", "--config", "noise.yaml")
    assert (finished.returncode, finished.stderr) == (0, "")
    lines = [json.loads(line) for line in finished.stdout.splitlines()]
    assert [(line["frame"], line["width"]) for line in lines] == [(0, 64), (1, 64), (2, 64)]


def test_its_options_are_validated_and_described(folder: Path) -> None:
    (folder / "noise.yaml").write_text("source: {type: noise, frame_limt: 3}")
    finished = run(folder, "check-config", "noise.yaml")
    assert finished.returncode == 78
    assert "source.frame_limt: unknown option; did you mean frame_limit?" in finished.stderr
    schema = json.loads(run(folder, "check-config", "--json-schema").stdout)
    described = schema["$defs"]["NoiseOptions"]["properties"]["frame_limit"]
    assert described["description"] == "Stop after this many frames."
