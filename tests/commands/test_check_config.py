"""The command that validates configuration files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.command import edge_ssd

from edge_ssd.checks import Check, fail, ok, warn
from edge_ssd.cli import main
from edge_ssd.config import Config

GOOD = "source: {type: synthetic}\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["check-config", *map(str, arguments)])


def test_each_file_is_named_with_each_of_its_problems(tmp_path: Path) -> None:
    good = write(tmp_path, "good.yaml", GOOD)
    bad = write(tmp_path, "bad.yaml", GOOD + "postprocess: {clases: []}\nstall_timeout_s: 0")
    finished = edge_ssd("check-config", bad, good, tmp_path / "none.yaml")
    assert finished.returncode == 78
    assert finished.stdout == f"{good}: valid\n"
    lines = finished.stderr.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{bad}: postprocess.clases: unknown option")
    assert lines[1].startswith(f"{bad}: stall_timeout_s: must ")
    assert lines[2].startswith(f"{tmp_path / 'none.yaml'}: No such file or directory; ")
    assert edge_ssd("check-config", good, good).returncode == 0


def test_a_file_must_be_named() -> None:
    assert run().exit_code == 2


def test_json_is_one_line_per_file(tmp_path: Path) -> None:
    bad = write(tmp_path, "bad.yaml", "source: {type: sythetic}")
    good = write(tmp_path, "good.yaml", GOOD)
    finished = run("--json", bad, good)
    assert finished.exit_code == 78
    first, second = map(json.loads, finished.stdout.splitlines())
    (problem,) = first.pop("problems")
    assert first == {"schema": 1, "file": str(bad), "valid": False, "checks": []}
    assert problem["option"] == "source.type"
    assert "synthetic" in problem["text"]
    assert second == {
        "schema": 1, "file": str(good), "valid": True, "problems": [], "checks": [],
    }  # fmt: skip


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[Check]:
    """What the configuration's checks are."""
    checks = [
        Check("model", lambda _: ok("known"), "model.name"),
        Check("broker", lambda _: warn("mqtt://b is silent", "start it"), "publishers.0.host"),
    ]
    monkeypatch.setattr(Config, "checks", lambda _: tuple(checks))
    return checks


def test_deep_looks_at_what_the_file_names(tmp_path: Path, checked: list[Check]) -> None:
    path = write(tmp_path, "a.yaml", GOOD)
    assert run(path).output == f"{path}: valid\n"
    finished = run("--deep", path)
    assert finished.exit_code == 0
    assert finished.stdout == f"{path}: valid\n"
    assert finished.stderr == (
        f"{path}: publishers.0.host: warning: mqtt://b is silent; start it\n"
    )
    checked.append(
        Check("camera", lambda _: fail("away", "plug it in"), "source.path", exit_code=69)
    )
    finished = run("--deep", path)
    assert finished.exit_code == 69
    assert finished.stdout == ""
    assert f"{path}: source.path: away; plug it in\n" in finished.stderr
    told = json.loads(run("--deep", "--json", path).stdout)
    assert (told["valid"], told["problems"]) == (False, [])
    assert [(check["name"], check["verdict"]) for check in told["checks"]] == [
        ("model", "ok"), ("broker", "warn"), ("camera", "fail"),
    ]  # fmt: skip


def test_what_a_start_would_refuse_is_a_problem(tmp_path: Path, checked: list[Check]) -> None:
    """But for what another user may do: whoever checks the file is rarely the service's user."""
    absent = fail("no such folder", "make it")
    path = write(tmp_path, "a.yaml", GOOD)
    checked.append(Check("a", lambda _: absent, "publishers.0.path", at_start=True, rights=True))
    assert run(path).exit_code == 0
    checked.append(Check("outputs", lambda _: absent, "publishers.0.path", at_start=True))
    finished = run(path)
    assert finished.exit_code == 78
    assert finished.stderr == f"{path}: publishers.0.path: no such folder; make it\n"


def test_deep_survives_a_check_that_crashes(tmp_path: Path, checked: list[Check]) -> None:
    def crash(_: object) -> None:
        os._exit(9)

    checked.append(Check("delegate probe", crash, "model.delegate", exit_code=69))  # type: ignore[arg-type]
    finished = run("--deep", write(tmp_path, "a.yaml", GOOD))
    assert finished.exit_code == 69
    assert "model.delegate: the check gave no answer: its process ended with status 9" in (
        finished.stderr
    )
