"""The command: what it prints, and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from support.command import command, edge_ssd, environment


def write_config(folder: Path, text: str) -> Path:
    path = folder / "edge-ssd.yaml"
    path.write_text(text)
    return path


def test_it_says_whether_it_is_ready(tmp_path: Path) -> None:
    finished = edge_ssd("doctor", "--config", write_config(tmp_path, "source: {type: synthetic}"))
    assert (finished.returncode, finished.stderr) == (0, ""), finished.stdout
    lines = finished.stdout.splitlines()
    assert lines[0].startswith("ok   python ")
    assert lines[-1].startswith("Ready to run")


def test_its_json_is_the_contract(tmp_path: Path) -> None:
    path = write_config(tmp_path, "source: {type: usb, path: /dev/no-such-camera}")
    finished = edge_ssd("doctor", "--config", path, "--json")
    assert (finished.returncode, finished.stderr) == (69, "")
    told = json.loads(finished.stdout)
    assert (told["schema"], told["would_run"]) == (1, False)
    for check in told["checks"]:
        assert list(check) == ["name", "option", "verdict", "evidence", "remedy", "exit_code"]
        assert bool(check["remedy"]) == (check["verdict"] in ("warn", "fail"))
        assert "\n" not in check["evidence"] + check["remedy"]
    failed = [check["name"] for check in told["checks"] if check["verdict"] == "fail"]
    assert failed == ["camera"]


def test_a_bad_configuration_ends_with_78(tmp_path: Path) -> None:
    path = write_config(tmp_path, "source: {type: synthetic, colour: red}")
    finished = edge_ssd("doctor", "--config", path)
    assert finished.returncode == 78
    assert "FAIL configuration" in finished.stdout
    assert finished.stdout.splitlines()[-1] == "Not ready: configuration"
    assert edge_ssd("doctor", "--config", tmp_path / "none.yaml").returncode == 78


@pytest.mark.parametrize(
    ("module", "content", "says"),
    [
        ("numpy", "raise ImportError('numpy is broken')", "numpy is broken"),
        ("numpy", "import os; os.abort()", "its process was ended by SIGABRT"),
        ("ai_edge_litert", "import os; os.abort()", "its process was ended by SIGABRT"),
    ],
)
def test_a_broken_installation_still_yields_a_report(
    tmp_path: Path, module: str, content: str, says: str
) -> None:
    """A module that cannot be imported, or ends the process that does, stands in for it."""
    (tmp_path / module).mkdir()
    (tmp_path / module / "__init__.py").write_text(content)
    (tmp_path / module / "interpreter.py").write_text("")
    path = write_config(tmp_path, "source: {type: synthetic}")
    environ = environment()
    environ["PYTHONPATH"] = os.pathsep.join([str(tmp_path), environ["PYTHONPATH"]])
    finished = subprocess.run(
        command(["doctor", "--config", path, "--json"]), capture_output=True, text=True,
        check=False, timeout=120, env=environ,
    )  # fmt: skip
    told = {check["name"]: check for check in json.loads(finished.stdout)["checks"]}
    assert (finished.returncode in (69, 78), finished.stderr) == (True, "")
    for name in (*(["numpy"] if module == "numpy" else ["runtime"]), "golden detection"):
        assert told[name]["verdict"] == "fail"
        assert says in told[name]["evidence"]
    assert told["clock"]["verdict"] != "fail"
