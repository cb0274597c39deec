"""A virtual environment for each peer that needs one, kept in a cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-ssd-peers"

# tflite-runtime has no wheel for a newer Python, and was built for numpy 1.
TFLITE_RUNTIME = ("tflite-runtime==2.14.0", "numpy<2", "opencv-python-headless<4.12")


class PeerError(Exception):
    """This peer cannot be measured here; says why."""


def with_packages(name: str, packages: tuple[str, ...], python: str = sys.executable) -> str:
    """Return the Python of an environment that has the packages, made if it is not there yet."""
    folder = CACHE / name
    interpreter = folder / "bin" / "python"
    complete = folder / "complete"
    if not complete.exists():
        print(f"making an environment for {name}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        _run(python, "-m", "venv", str(folder))
        _run(str(interpreter), "-m", "pip", "install", "--quiet",
             "--disable-pip-version-check", *packages)  # fmt: skip
        complete.touch()
    return str(interpreter)


def python_for_tflite_runtime() -> str:
    """Return a Python that tflite-runtime has a wheel for."""
    if sys.version_info < (3, 12):
        return sys.executable
    found = shutil.which("python3.11") or shutil.which("python3.10")
    if found is None:
        raise PeerError("tflite-runtime needs Python 3.11 or older, which is not installed")
    return found


def _run(*command: str) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise PeerError(_last_line(finished.stderr) or f"{command[0]} failed")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
