"""The systemd units, as systemd itself reads and rates them."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
ANALYZE = shutil.which("systemd-analyze")
MOST_EXPOSURE = 15  # tenths, as --threshold takes them; docs/service.md explains what is left

pytestmark = pytest.mark.system
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


class Unit(configparser.RawConfigParser):
    """A unit file; an option given more than once keeps its last value."""

    optionxform = staticmethod(str)  # type: ignore[assignment]

    def __init__(self, path: Path) -> None:
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#",))
        self.read(path)


@pytest.fixture
def installed(tmp_path: Path) -> list[Path]:
    """Both units, with a program that exists on this machine."""
    paths = []
    for source, name in (("edge-ssd", "edge-ssd"), ("edge-ssd@", "edge-ssd@front-door")):
        text = (UNITS / f"{source}.service").read_text()
        paths.append(tmp_path / f"{name}.service")
        paths[-1].write_text(text.replace("/opt/edge-ssd/bin/edge-ssd", sys.executable))
    return paths


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


def test_the_template_is_the_unit_but_for_the_name() -> None:
    unit, template = Unit(UNITS / "edge-ssd.service"), Unit(UNITS / "edge-ssd@.service")
    assert unit.sections() == template.sections()
    differing = {
        (key, value, template[section][key])
        for section in unit.sections()
        for key, value in unit[section].items()
        if template[section][key] != value
    }
    run = "/opt/edge-ssd/bin/edge-ssd run --config /etc/edge-ssd"
    python = "PYTHONDONTWRITEBYTECODE=1"
    assert differing == {
        ("Description", "edge_ssd object detection", "edge_ssd object detection, camera %i"),
        ("ExecStart", f"{run}/edge-ssd.yaml", f"{run}/%i.yaml"),
        ("RuntimeDirectory", "edge-ssd", "edge-ssd-%i"),
        ("Environment", f"TMPDIR=%t/edge-ssd {python}", f"TMPDIR=%t/edge-ssd-%i {python}"),
    }


def test_nothing_is_kept_on_the_card() -> None:
    service = Unit(UNITS / "edge-ssd.service")["Service"]
    assert not {"StateDirectory", "CacheDirectory", "LogsDirectory"} & set(service)
    assert service["ReadWritePaths"] == "-/run/lock/edge-ssd"  # in memory
    assert service["ProtectSystem"] == "strict"
