"""A check that crashes, hangs or raises is a verdict; the report; the command."""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import json
import os
import subprocess
import threading
from pathlib import Path

import pytest
from support.command import command, edge_ssd, environment
from support.machines import SYNTHETIC, FakeMachine, look
from support.tflite_models import raw_heads_model

from edge_ssd.commands.doctor import report, runner
from edge_ssd.commands.doctor.check import (
    Check,
    Finding,
    Situation,
    Verdict,
    fail,
    ok,
    skipped,
    warn,
)
from edge_ssd.commands.doctor.checks import CHECKS
from edge_ssd.errors import DeviceError

NAMES = [check.name for check in CHECKS]


def segfault(_: Situation) -> Finding:
    faulthandler.disable()  # pytest's
    os.write(1, b"about to crash\n")
    ctypes.string_at(0)
    raise AssertionError("unreachable")


def hang(_: Situation) -> Finding:
    threading.Event().wait()
    raise AssertionError("unreachable")


def hang_in_a_program(_: Situation) -> Finding:
    subprocess.run(["sleep", "1000"], check=True)
    raise AssertionError("unreachable")


def device_error(_: Situation) -> Finding:
    raise DeviceError("the camera is on fire", "put it out")


def bug(_: Situation) -> Finding:
    raise KeyError("oops")


def missing_module(_: Situation) -> Finding:
    raise ImportError("No module named 'numpy'")


def exit_silently(_: Situation) -> Finding:
    os._exit(3)


@pytest.mark.parametrize(
    ("look", "says"),
    [
        (
            segfault,
            "its process was ended by SIGSEGV (Segmentation fault), saying: about to crash",
        ),
        (hang, "it took longer than 0.3 s"),
        (hang_in_a_program, "it took longer than 0.3 s"),
        (device_error, "the camera is on fire"),
        (bug, "KeyError: 'oops'"),
        (missing_module, "cannot be checked: No module named 'numpy'"),
        (exit_silently, "ended with status 3"),
    ],
)
def test_whatever_a_check_does_is_a_verdict(look, says: str) -> None:
    limit_s = 0.3 if look in (hang, hang_in_a_program) else 30
    checks = [Check("bad", look, limit_s=limit_s), Check("good", lambda _: ok("well"))]
    bad, good = runner.examine(checks, Situation())
    assert bad.finding.verdict is Verdict.FAIL
    assert says in bad.finding.evidence
    assert bad.finding.remedy
    assert good.finding == ok("well")


def emulated(_: Situation) -> Finding:
    raise OSError(errno.ENOEXEC, "Exec format error")


def test_where_no_program_can_be_started_a_check_is_skipped() -> None:
    (one,) = runner.examine([Check("bad", emulated)], Situation())
    assert one.finding.verdict is Verdict.SKIPPED
    assert "no program can be started" in one.finding.evidence


def test_a_failure_of_what_is_not_needed_is_a_warning() -> None:
    for bad in (segfault, device_error):
        (one,) = runner.examine([Check("bad", bad, needed=lambda _: False)], Situation())
        assert one.finding.verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([], 0),
        ([(69, ok("")), (78, warn("", "")), (1, skipped(""))], 0),
        ([(1, fail("", "")), (1, ok(""))], 1),
        ([(69, fail("", "")), (1, fail("", ""))], 69),
        ([(69, fail("", "")), (78, fail("", ""))], 78),
    ],
)
def test_the_exit_code_is_that_of_what_failed(
    findings: list[tuple[int, Finding]], code: int
) -> None:
    examined = [
        runner.Examined(Check("x", bug, exit_code=number), finding) for number, finding in findings
    ]
    assert runner.exit_code(examined) == code


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_the_table_keeps_to_the_width(width: int) -> None:
    finding = fail("word " * 30 + "\x1b[2J", "do " * 30)
    lines = report.row(runner.Examined(CHECKS[0], finding), width).splitlines()
    assert lines[0].startswith("FAIL python  ")
    assert max(map(len, lines)) <= max(width, 40)
    assert "-> do do" in "".join(lines)
    assert "\x1b" not in "".join(lines)


def test_a_remedy_is_shown_only_where_there_is_something_to_do() -> None:
    assert report.row(runner.Examined(CHECKS[0], ok("well")), 80) == "ok   python           well"
    assert report.row(runner.Examined(CHECKS[0], ok("")), 80) == "ok   python"
    assert report.summary([]) == "It would run."
    examined = [runner.Examined(CHECKS[0], warn("a", "b"))]
    assert report.summary(examined) == "It would run; see python."


def test_a_good_configuration_is_good_and_a_bad_one_is_told_whole(
    machine: FakeMachine, tmp_path: Path
) -> None:
    assert look("configuration", machine.situation()).verdict is Verdict.SKIPPED
    assert look("configuration", machine.situation(SYNTHETIC)).verdict is Verdict.OK
    situation = machine.situation(SYNTHETIC, postprocess={"classes": ["unicorn", "dragon"]})
    found = look("configuration", situation)
    assert found.verdict is Verdict.FAIL
    assert "unicorn" in found.evidence
    assert "dragon" in found.evidence


def test_the_services_configuration_is_the_default(machine: FakeMachine) -> None:
    assert runner.situation(None, machine.system()).config is None
    path = machine.write("/etc/edge-ssd/edge-ssd.yaml", "source: {type: synthetic}\nfps: 3")
    bad = runner.situation(None, machine.system())
    assert (bad.path, bad.config) == (path, None)
    assert "fps: unknown option" in look("configuration", bad).evidence
    machine.write("/etc/edge-ssd/edge-ssd.yaml", "source: {type: synthetic}")
    good = runner.situation(None, machine.system())
    assert look("configuration", good).evidence == f"{path} is good"


def test_a_credential_that_only_the_service_gets_is_no_problem(machine: FakeMachine) -> None:
    source = {
        "type": "rtsp", "url": "rtsp://localhost/x", "username": "a", "password_credential": "b",
    }  # fmt: skip
    assert look("configuration", machine.situation(source)).verdict is Verdict.OK


def test_a_recording_that_the_service_cannot_read_fails(
    machine: FakeMachine, tmp_path: Path
) -> None:
    machine.unit()
    video = tmp_path / "v.mp4"
    video.write_bytes(b"")
    machine.write("/etc/edge-ssd/edge-ssd.yaml", f"source: {{type: video, path: {video}}}")
    video.chmod(0o600)
    found = look("configuration", runner.situation(None, machine.system()))
    assert (found.verdict, str(video) in found.evidence) == (Verdict.FAIL, True)


def test_what_the_service_cannot_read_fails(machine: FakeMachine) -> None:
    machine.unit()
    path = machine.write("/etc/edge-ssd/edge-ssd.yaml", "source: {type: synthetic}")
    situation = runner.situation(None, machine.system())
    assert look("configuration", situation).verdict is Verdict.OK
    path.chmod(0o640)
    found = look("configuration", situation)
    assert (found.verdict, str(path) in found.evidence) == (Verdict.FAIL, True)
    assert "readable by all" in found.remedy
    path.chmod(0o644)
    path.parent.chmod(0o700)
    assert look("configuration", situation).verdict is Verdict.FAIL
    draft = machine.write("/home/pi/garden.yaml", "source: {type: synthetic}")
    situation = runner.situation(draft, machine.system())
    assert look("configuration", situation).verdict is Verdict.WARN  # may be run by hand
    machine.unit(LoadState="not-found")
    assert look("configuration", situation).verdict is Verdict.OK


def test_a_model_that_the_service_cannot_read_fails(machine: FakeMachine) -> None:
    machine.unit()
    model = machine.write("/root/small.tflite")
    model.write_bytes(raw_heads_model(75, 4, input_shape=(1, 48, 48, 3)))
    text = f"source: {{type: synthetic}}\nmodel: {{name: {model}}}"
    machine.write("/etc/edge-ssd/edge-ssd.yaml", text)
    found = look("model", runner.situation(None, machine.system()))
    assert (found.verdict, found.evidence) == (Verdict.FAIL, f"the service cannot read {model}")


def test_a_file_that_is_none_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", tmp_path):
        assert runner.situation(path).problem == "is no regular file"


def write_config(folder: Path, text: str) -> Path:
    path = folder / "edge-ssd.yaml"
    path.write_text(text)
    return path


def test_the_command_says_that_it_would_run(tmp_path: Path) -> None:
    finished = edge_ssd("doctor", "--config", write_config(tmp_path, "source: {type: synthetic}"))
    assert (finished.returncode, finished.stderr) == (0, ""), finished.stdout
    lines = finished.stdout.splitlines()
    assert lines[0].startswith("ok   python ")
    assert lines[-1].startswith("It would run")
    shown = [line[5:22].strip() for line in lines[:-1] if line[5:6] not in ("", " ")]
    assert shown == NAMES


def test_the_commands_json_is_the_contract(tmp_path: Path) -> None:
    path = write_config(tmp_path, "source: {type: usb, path: /dev/no-such-camera}")
    finished = edge_ssd("doctor", "--config", path, "--json")
    assert (finished.returncode, finished.stderr) == (69, "")
    told = json.loads(finished.stdout)
    assert (told["schema"], told["would_run"]) == (1, False)
    assert [check["name"] for check in told["checks"]] == NAMES
    for check in told["checks"]:
        assert list(check) == ["name", "verdict", "evidence", "remedy"]
        assert bool(check["remedy"]) == (check["verdict"] in ("warn", "fail"))
        assert "\n" not in check["evidence"] + check["remedy"]
    failed = [check["name"] for check in told["checks"] if check["verdict"] == "fail"]
    assert failed == ["camera"]


def test_a_bad_configuration_ends_with_78(tmp_path: Path) -> None:
    path = write_config(tmp_path, "source: {type: synthetic, colour: red}")
    finished = edge_ssd("doctor", "--config", path)
    assert finished.returncode == 78
    assert "FAIL configuration" in finished.stdout
    assert edge_ssd("doctor", "--config", tmp_path / "none.yaml").returncode == 78


@pytest.mark.parametrize(
    ("module", "content", "says"),
    [
        ("numpy", "raise ImportError('numpy is broken')", "numpy is broken"),
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
    environ = environment()
    environ["PYTHONPATH"] = os.pathsep.join([str(tmp_path), environ["PYTHONPATH"]])
    finished = subprocess.run(
        command(["doctor", "--json"]), capture_output=True, text=True, check=False, timeout=120,
        env=environ,
    )  # fmt: skip
    told = {check["name"]: check for check in json.loads(finished.stdout)["checks"]}
    assert list(told) == NAMES
    assert (finished.returncode, finished.stderr) == (69, "")
    for name in ("runtime", "golden detection"):
        assert told[name]["verdict"] == "fail"
        assert says in told[name]["evidence"]
    assert told["clock"]["verdict"] != "fail"
