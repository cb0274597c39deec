"""Every command that docs/install.md shows is run by a test of the installation."""

from __future__ import annotations

import re
from pathlib import Path

from support.installed import CONFIG, GUIDE


def test_every_command_is_run() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    shown = {line for block in blocks for line in block.splitlines() if line}
    assert len(shown) > 8
    files = Path(__file__).parents[1].glob("s*/*install*.py")  # system/ and support/
    tests = "".join(path.read_text() for path in files)
    run = set(re.findall(r'guide\(f?"([^"]+)"\)', tests))
    assert shown - {line.replace("{CONFIG}", CONFIG) for line in run} == set()
