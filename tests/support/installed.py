"""The service as it is installed in a booted container, and what its guide says to type."""

from __future__ import annotations

import json
from typing import Any

import yaml

from support.booted import CHECKOUT, Finished, Machine, wait_for

CONFIG = "/etc/edge-ssd/edge-ssd.yaml"
LINES = "/run/edge-ssd/detections.jsonl"
GUIDE = (CHECKOUT / "docs" / "install.md").read_text()


def recorded(lines: str = LINES, **more: Any) -> dict[str, Any]:
    """Return the configuration of a camera that shows recorded pictures, ten a second."""
    source = {"type": "synthetic", "images": "/srv/demo/images", "fps": 10}
    publishers = [{"type": "jsonl", "path": lines}]
    return {"name": "recorded", "source": source, "publishers": publishers, **more}


def configure(machine: Machine, config: dict[str, Any], path: str = CONFIG) -> None:
    file = machine.path(path)
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump(config))


def guide(line: str) -> str:
    """Return a line that the guide shows, as root types it; test_install_guide.py wants all."""
    assert line in GUIDE.splitlines(), f"docs/install.md does not show: {line}"
    return line.replace("sudo ", "")


def install(
    machine: Machine, checkout: str = "first", *options: str, **environment: str
) -> Finished:
    """Install offline, as the guide says, from a checkout in /srv."""
    line = guide("sudo deploy/install.sh --wheels wheels")
    variables = [f"{name}={value}" for name, value in environment.items()]
    return machine.run("env", "-C", f"/srv/{checkout}", *variables, *line.split(), *options)


def restart(machine: Machine) -> None:
    """Begin again, with whatever configuration there is, and be ready."""
    machine.run("systemctl", "reset-failed", "edge-ssd")
    machine.run("systemctl", "restart", "edge-ssd", check=True)


def messages(machine: Machine, path: str = LINES) -> list[dict[str, Any]]:
    """Return what was published since the service started."""
    found = machine.run("cat", path)
    lines = found.stdout.splitlines() if found.returncode == 0 else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def wait_for_more(machine: Machine, count: int = 3, path: str = LINES) -> list[dict[str, Any]]:
    """Wait until so many more were published; return those."""
    seen = len(messages(machine, path))
    wait_for(lambda: len(messages(machine, path)) >= seen + count, f"{count} more messages")
    return messages(machine, path)[seen:]
