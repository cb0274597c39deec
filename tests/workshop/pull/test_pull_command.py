"""``models pull`` as the user sees it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from click.testing import CliRunner
from support import misbehaving_server as serve
from support.command import edge_ssd, start
from support.misbehaving_server import MisbehavingServer
from workshop.pull.pulling import MODEL, ZIP, named, sha256

from edge_ssd.cli import main
from edge_ssd.models import catalogue
from edge_ssd.models.loading import load


def test_a_pulled_model_has_its_name_and_its_labels(tmp_path: Path) -> None:
    with MisbehavingServer(ZIP, serve.good) as server:
        done = CliRunner().invoke(main, ["models", "pull", "zipped", "--mirror", server.url])
        assert done.exit_code == 0, done.output
        again = CliRunner().invoke(main, ["models", "pull", "zipped", "--mirror", server.url])
    path = tmp_path / "system" / "zipped.tflite"
    assert done.stdout == (
        f"{path} is there, sha256 {sha256(MODEL)}; use it with `--model zipped`\n"
    )
    assert again.stdout == done.stdout.replace("is there", "was there already")
    spec = load("zipped")
    assert (spec.path, spec.name, spec.labels[0]) == (path, "zipped", "person")
    assert len(spec.labels) == 90


def test_another_folder_is_named_in_full(folder: Path) -> None:
    with MisbehavingServer(MODEL, serve.good) as server:
        arguments = ["models", "pull", "sized", "--mirror", server.url, "--output", str(folder)]
        done = CliRunner().invoke(main, arguments)
    assert done.stdout.endswith(f"use it with `--model {folder / 'sized.tflite'}`\n")
    assert (folder / "sized.tflite").read_bytes() == MODEL


def test_what_comes_with_the_package_needs_no_pull(folder: Path) -> None:
    done = CliRunner().invoke(main, ["models", "pull", catalogue.DEFAULT])
    assert done.exit_code == 0
    assert "was there already" in done.stdout
    assert not folder.exists()


def test_what_comes_with_the_package_goes_to_no_other_folder(folder: Path) -> None:
    done = CliRunner().invoke(main, ["models", "pull", catalogue.DEFAULT, "--output", str(folder)])
    assert done.exit_code == 2
    assert "comes with the package, and goes to no other folder; leave out --output" in done.stderr
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no_such_model"], 1, "error: no model 'no_such_model' can be pulled; see `edge-ssd mode"),
        (
            ["NAME", "--mirror", "/media/stick"],
            2,
            "error: --mirror /media/stick cannot be used; give an",
        ),
        (["NAME", "--mirror", "file:///no/such"], 69, "No such file or directory; check that th"),
        (["NAME", "--mirror", "MIRROR"], 1, "is not the published file: sha256 "),
        (["NAME_postprocess"], 1, "error: no sha256 of ssd_mobilenet_v1_coco_quant_postprocess is"),
    ],
)
def test_what_goes_wrong_is_one_line(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.zip").write_bytes(ZIP)
    given = [
        word.replace("NAME", "ssd_mobilenet_v1_coco_quant").replace("MIRROR", tmp_path.as_uri())
        for word in arguments
    ]
    finished = edge_ssd("models", "pull", *given, "--output", tmp_path / "models")
    (line,) = finished.stderr.splitlines()
    assert message in line
    assert finished.returncode == code
    assert finished.stdout == ""
    assert not list(tmp_path.glob("models/[!.]*"))


def test_ctrl_c_leaves_no_model(tmp_path: Path) -> None:
    with MisbehavingServer(ZIP, serve.stalls_midway) as server:
        process = start(
            "models", "pull", "ssd_mobilenet_v1_coco_quant", "--mirror", server.url,
            "--output", tmp_path / "models",
        )  # fmt: skip
        assert server.asked.wait(60)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (130, "error: interrupted\n")
    assert named(tmp_path / "models") == []
