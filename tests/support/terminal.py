"""Runs ``edge-ssd`` with a terminal as its stderr."""

from __future__ import annotations

import os
import pty
import subprocess

from support.command import command, environment


def at_terminal(*arguments: object, timeout_s: float = 60) -> tuple[int, str, str]:
    """Run to the end; return the exit code, stdout, and what the terminal shows."""
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        command(arguments), stdout=subprocess.PIPE, stderr=terminal, text=True, env=environment()
    )
    os.close(terminal)
    stdout, _ = process.communicate(timeout=timeout_s)
    os.set_blocking(master, False)
    shown = os.read(master, 1 << 16).decode()
    os.close(master)
    return process.returncode, stdout, shown.replace("\r\n", "\n")
