"""What all commands share: help, usage errors, --verbose, Ctrl-C, completion of model names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.command import edge_ssd, environment

from edge_ssd.cli import COMMANDS, main
from edge_ssd.commands.models import models

SUBCOMMANDS = [["models", name] for name in models.commands]
EVERY = [[], *([name] for name in COMMANDS), *SUBCOMMANDS]
HEAVY = {"numpy", "cv2", "pydantic", "yaml", "tqdm"}


def python(code: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env=environment() | more, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_help_fits_80_columns(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(main, [*command, "--help"])
    assert shown.exit_code == 0
    assert shown.output.startswith(f"Usage: main {' '.join(command)}".rstrip())
    assert max(map(len, shown.output.splitlines())) <= 80


@pytest.mark.parametrize(("group", "names"), [([], [*COMMANDS]), (["models"], [*models.commands])])
def test_help_lists_every_command_with_a_whole_sentence(group: list[str], names: list[str]) -> None:
    shown = CliRunner().invoke(main, [*group, "--help"]).output.partition("Commands:\n")[2]
    rows = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert sorted(rows) == sorted(names)
    assert all(text.endswith(".") and not text.endswith("...") for text in rows.values())


@pytest.mark.parametrize("arguments", [["--help"], ["detect", "--help"], ["detect", "--fast"]])
def test_help_and_usage_errors_import_nothing_heavy(arguments: list[str]) -> None:
    finished = python(
        f"import sys\nfrom edge_ssd.cli import main\ntry:\n    main({arguments})\n"
        f"finally:\n    print('heavy:', {HEAVY} & set(sys.modules))"
    )
    assert finished.stdout.splitlines()[-1] == "heavy: set()"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["detct"], "no such command 'detct'"),
        (["detect"], "missing argument 'PATH...'; see `edge-ssd detect --help`"),
        (["detect", "a.jpg", "--score-threshold", "2"],
         "invalid value for '--score-threshold': 2.0 is not in the range 0<=x<=1; see "
         "`edge-ssd detect --help`"),
        (["models", "prepare", "a"],
         "missing option '-o' / '--output'; see `edge-ssd models prepare --help`"),
        (["bench", "--runtime", "onnx"], "invalid value for '--runtime': 'onnx' is not one of"),
        (["record"], "missing option '--config'; see `edge-ssd record --help`"),
    ],
)  # fmt: skip
def test_a_usage_error_is_one_line(arguments: list[str], error: str) -> None:
    finished = edge_ssd(*arguments)
    assert (finished.returncode, finished.stdout) == (2, "")
    (line,) = finished.stderr.splitlines()
    assert line.startswith(f"error: {error}")


@pytest.mark.parametrize("arguments", [[], ["models"]])
def test_no_command_shows_the_help(arguments: list[str]) -> None:
    shown = CliRunner().invoke(main, arguments).output
    assert shown == CliRunner().invoke(main, [*arguments, "--help"]).output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--verbose", "models", "inspect", "none.tflite"],
        ["models", "--verbose", "inspect", "none.tflite"],
        ["models", "inspect", "none.tflite", "--verbose"],
        ["run", "--config", "none.yaml", "--verbose"],
    ],
)
def test_verbose_anywhere_shows_the_traceback(arguments: list[str]) -> None:
    finished = edge_ssd(*arguments)
    assert finished.returncode in (1, 78)
    assert "Traceback" in finished.stderr
    assert finished.stderr.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize("module", ["edge_ssd.cli", "click", "edge_ssd.detector", "numpy", "cv2"])
def test_ctrl_c_during_an_import_ends_it_with_one_line_at_most(module: str) -> None:
    finished = python(
        "import signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}:\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "sys.argv[1:] = ['detect', 'demo/images']\n"
        "from edge_ssd.__main__ import main\n"
        "main()\n"
    )
    assert finished.returncode == 130
    assert finished.stderr in ("", "error: interrupted\n")


def complete(*words: str) -> list[str]:
    """Return what click answers the shell for the last word; nothing heavy is imported."""
    finished = python(
        f"import sys\nfrom edge_ssd.cli import main\ntry:\n    main(prog_name='edge-ssd')\n"
        f"finally:\n    assert not {HEAVY} & set(sys.modules)",
        _EDGE_SSD_COMPLETE="bash_complete",
        COMP_WORDS=" ".join(("edge-ssd", *words)),
        COMP_CWORD=str(len(words)),
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.splitlines()


def test_the_shell_completes_commands_and_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ssd_mine.tflite").touch()
    assert complete("det") == ["plain,detect"]
    assert complete("models", "pu") == ["plain,pull"]
    names = complete("detect", "--model", "ssd")
    assert "plain,ssdlite_mobilenet_v2_coco" in names
    assert "plain,ssd_mobilenet_v1_coco_quant" in names
    assert "plain,ssd_mine.tflite" in names
    assert complete("detect", "--model", "./") == ["file,./"]
    assert "plain,litert" in complete("bench", "--runtime", "l")


def test_the_runtimes_offered_are_the_models_own() -> None:
    from typing import get_args

    from edge_ssd.commands.options import RUNTIMES
    from edge_ssd.inference.options import ModelOptions

    assert get_args(ModelOptions.model_fields["runtime"].annotation) == RUNTIMES
