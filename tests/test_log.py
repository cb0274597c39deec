"""Log lines as the systemd journal takes them: ``<N>`` first, on every line."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import command, environment

from edge_ssd.log import JournalFormatter


def stderr_of(arguments: list[str], to_journal: bool) -> str:
    """Run a command whose stderr is a pipe, which JOURNAL_STREAM names or does not."""
    reading, writing = os.pipe()
    stat = os.fstat(writing)
    stream = {"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"} if to_journal else {}
    with os.fdopen(reading) as read_end:
        subprocess.run(
            arguments, stderr=writing, stdout=subprocess.DEVNULL, check=False, timeout=60,
            env=environment() | stream,
        )  # fmt: skip
        os.close(writing)
        return read_end.read()


def test_an_error_has_its_priority_in_the_journal_alone(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.yaml")
    arguments = command(("run", "--config", missing))
    assert stderr_of(arguments, to_journal=True).startswith(f"<3>{missing}: ")
    assert stderr_of(arguments, to_journal=False).startswith(f"error: {missing}: ")


def test_every_line_of_an_unforeseen_error_has_its_priority() -> None:
    code = "from edge_ssd import log; log.set_up(False); 1 / 0"
    lines = stderr_of([sys.executable, "-c", code], to_journal=True).splitlines()
    assert len(lines) > 3
    assert all(line.startswith("<2>") for line in lines)
    assert lines[-1] == "<2>ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, 7), (logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3),
     (logging.CRITICAL, 2), (logging.WARNING + 5, 4), (1, 7)],
)  # fmt: skip
def test_levels_are_syslogs_priorities(level: int, priority: int) -> None:
    record = logging.LogRecord("x", level, "", 0, "two\nlines", None, None)
    assert JournalFormatter().format(record) == f"<{priority}>two\n<{priority}>lines"
