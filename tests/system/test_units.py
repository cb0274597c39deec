"""The systemd units, as systemd itself reads and rates them."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
TEMPLATE = UNITS / "edge-ssd@.service"
ANALYZE = shutil.which("systemd-analyze")
MOST_EXPOSURE = 15  # tenths, as --threshold takes them; docs/service.md explains what is left

pytestmark = pytest.mark.system
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


class Unit(configparser.RawConfigParser):
    """A unit file; an option given more than once keeps its last value."""

    optionxform = staticmethod(str)  # type: ignore[assignment]

    def __init__(self, text: str) -> None:
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#",))
        self.read_string(text)


def single() -> str:
    """Return the unit of a single camera, made as docs/service.md says."""
    command = re.search("(?m)^sed -f .*", (UNITS.parent / "docs" / "service.md").read_text())
    assert command
    return subprocess.run(
        command[0].split(), cwd=UNITS.parent, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def installed(tmp_path: Path) -> list[Path]:
    """Both units, with a program that exists on this machine."""
    units = {"edge-ssd": single(), "edge-ssd@front-door": TEMPLATE.read_text()}
    for name, text in units.items():
        path = tmp_path / f"{name}.service"
        path.write_text(text.replace("/opt/edge-ssd/bin/edge-ssd", sys.executable))
    return [tmp_path / f"{name}.service" for name in units]


def analyze(*arguments: object) -> tuple[int, str]:
    finished = subprocess.run(
        [str(ANALYZE), *map(str, arguments)], capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    return finished.returncode, finished.stdout + finished.stderr


@needs_systemd
def test_systemd_finds_no_mistake_in_them(installed: list[Path]) -> None:
    assert analyze("verify", *installed) == (0, "")


@needs_systemd
def test_systemd_does_find_mistakes(installed: list[Path]) -> None:
    installed[0].write_text(installed[0].read_text().replace("WatchdogSec=20", "WatchdogSec=soon"))
    assert "soon" in analyze("verify", installed[0])[1]


@needs_systemd
def test_their_exposure_is_low(installed: list[Path]) -> None:
    for path in installed:
        code, table = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE}", path)
        assert code == 0, table


def test_each_camera_has_its_own_configuration_and_folder() -> None:
    run = "/opt/edge-ssd/bin/edge-ssd run --config /etc/edge-ssd"
    for text, config, folder in (
        (single(), "edge-ssd", "edge-ssd"),
        (TEMPLATE.read_text(), "%i", "edge-ssd-%i"),
    ):
        service = Unit(text)["Service"]
        assert service["ExecStart"] == f"{run}/{config}.yaml"
        assert service["RuntimeDirectory"] == folder
        assert service["Environment"] == f"TMPDIR=%t/{folder} PYTHONDONTWRITEBYTECODE=1"
    assert "%i" not in single()


def test_nothing_is_kept_on_the_card() -> None:
    service = Unit(single())["Service"]
    assert not {"StateDirectory", "CacheDirectory", "LogsDirectory"} & set(service)
    assert service["ReadWritePaths"] == "-/run/lock/edge-ssd"  # in memory
    assert service["ProtectSystem"] == "strict"
