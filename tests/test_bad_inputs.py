"""What goes wrong for users: one line that names it, the documented exit code, no traceback."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import command, edge_ssd, environment
from tflite_models import classifier_model, edgetpu_model, raw_heads_model

FAILED, USAGE, BAD_CONFIG, UNAVAILABLE = 1, 2, 78, 69

# Each makes its bad input in a folder that holds good.jpg and small.tflite (a detector of
# three classes) and returns the arguments.
Case = Callable[[Path], list[object]]


def one_line(finished: subprocess.CompletedProcess[str]) -> str:
    lines = finished.stderr.splitlines()
    assert len(lines) == 1, finished.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "good.jpg"), np.full((48, 64, 3), 90, np.uint8))
    (tmp_path / "small.tflite").write_bytes(raw_heads_model(75, 4, input_shape=(1, 48, 48, 3)))
    return tmp_path


def write(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def detect(folder: Path, path: str = "good.jpg", model: str = "small.tflite") -> list[object]:
    return ["detect", folder / path, "--model", folder / model]


def model_of(name: str, content: bytes) -> Case:
    return lambda folder: detect(folder, model=write(folder, name, content).name)


def input_of(name: str, content: bytes) -> Case:
    return lambda folder: detect(folder, write(folder, name, content).name)


def labels_of(content: str) -> Case:
    return lambda folder: [*detect(folder), "--labels", write(folder, "labels.txt", content)]


def an_empty_folder(folder: Path) -> list[object]:
    (folder / "empty").mkdir()
    return detect(folder, "empty")


def a_folder_as_model(folder: Path) -> list[object]:
    return ["detect", folder / "good.jpg", "--model", folder]


def a_file_where_the_pictures_should_go(folder: Path) -> list[object]:
    return [*detect(folder), "--annotate", write(folder, "taken", "")]


DETECT: dict[str, tuple[Case, int, str]] = {
    "missing picture": (lambda f: detect(f, "no.jpg"), FAILED, r"no\.jpg does not exist"),
    "empty folder": (an_empty_folder, FAILED, r"empty has no files ending in .*\.jpg"),
    "unknown extension": (input_of("a.doc", b"x"), FAILED, r"a\.doc .* known are .*\.jpg"),
    "missing model": (lambda f: detect(f, model="no.tflite"), FAILED, r"no model .*no\.tflite"),
    "misspelt model": (
        lambda f: ["detect", f / "good.jpg", "--model", "ssdlite_mobilenet_v2_cocoo"],
        FAILED,
        r"did you mean ssdlite_mobilenet_v2_coco\?",
    ),
    "folder as model": (a_folder_as_model, FAILED, r"is a folder; give the \.tflite file"),
    "text as model": (model_of("text.tflite", b"hello"), FAILED, r"text\.tflite: not a TensorFlow"),
    "truncated model": (
        model_of("cut.tflite", raw_heads_model()[:400]),
        FAILED,
        r"cut\.tflite.* (damaged|cannot be run)",
    ),
    "classifier": (
        model_of("classifier.tflite", classifier_model()),
        FAILED,
        r"no SSD heads: the outputs are scores \[1, 1001\]; expected box encodings",
    ),
    "edge tpu model": (
        model_of("m_edgetpu.tflite", edgetpu_model()),
        FAILED,
        r"compiled for the Edge TPU and needs its delegate",
    ),
    "anchors unknown": (
        model_of("odd.tflite", raw_heads_model(7, 4)),
        FAILED,
        r"predicts 7 boxes .* manifest odd\.json",
    ),
    "too few labels": (labels_of("a\nb\n"), FAILED, r"2 labels and the model 3 classes"),
    "no labels in the file": (labels_of(""), FAILED, r"labels\.txt is empty"),
    "broken video": (input_of("a.mp4", b"\0" * 500), FAILED, r"a\.mp4"),
    "taken folder": (a_file_where_the_pictures_should_go, FAILED, r"taken cannot be made"),
    "threshold below zero": (
        lambda f: [*detect(f), "--score-threshold", "-0.1"], USAGE, r"score-threshold",
    ),
    "threshold that is no number": (
        lambda f: [*detect(f), "--score-threshold", "nan"], USAGE, r"score-threshold",
    ),
    "recording to measure missing": (
        lambda f: ["bench", "--frames", f / "no.mp4"], FAILED, r"no\.mp4 does not exist",
    ),
    "no input at all": (lambda _: ["detect"], USAGE, r"Missing argument"),
    "unknown option": (lambda _: ["detect", "--fast"], USAGE, r"No such option"),
}  # fmt: skip


@pytest.mark.parametrize(("case", "code", "expected"), DETECT.values(), ids=DETECT)
def test_detect(case: Case, code: int, expected: str, folder: Path) -> None:
    finished = edge_ssd(*case(folder))
    assert finished.returncode == code, finished.stderr
    assert "Traceback" not in finished.stderr
    line = finished.stderr if code == USAGE else one_line(finished)
    assert re.search(expected, line), line


def test_a_text_renamed_jpg_is_reported_skipped_and_the_rest_is_done(folder: Path) -> None:
    write(folder, "bad.jpg", "not a picture")
    finished = edge_ssd(
        "detect", folder / "bad.jpg", folder / "good.jpg", "--model", folder / "small.tflite",
        "--json",
    )  # fmt: skip
    assert finished.returncode == 0
    assert len(finished.stdout.splitlines()) == 1
    (line,) = finished.stderr.splitlines()
    assert line.startswith("warning: ")
    assert "bad.jpg" in line


def test_nothing_but_a_text_renamed_jpg_fails(folder: Path) -> None:
    write(folder, "bad.jpg", "not a picture")
    finished = edge_ssd(*detect(folder, "bad.jpg"))
    assert finished.returncode == FAILED
    assert [line.split(":")[0] for line in finished.stderr.splitlines()] == ["warning", "error"]


SMALL = "model: {name: small.tflite}\n"
CONFIGS: dict[str, tuple[str, int, str]] = {
    "unknown key": (
        "source: {type: video, path: v.mp4}\npostprocess: {score_treshold: 0.4}\n",
        BAD_CONFIG,
        r"postprocess\.score_treshold: unknown option; did you mean score_threshold\?",
    ),
    "wrong type": (
        "source: {type: video, path: v.mp4}\nmodel: {threads: many}\n",
        BAD_CONFIG,
        r"model\.threads: .*integer",
    ),
    "negative threshold": (
        "source: {type: video, path: v.mp4}\npostprocess: {score_threshold: -1}\n",
        BAD_CONFIG,
        r"postprocess\.score_threshold: .*greater than or equal to 0",
    ),
    "zero size": ("source: {type: synthetic, width: 0}\n", BAD_CONFIG, r"source\.width: "),
    "not YAML": ("source: [\n", BAD_CONFIG, r"not YAML: line"),
    "no source": ("name: x\n", BAD_CONFIG, r"source: is missing"),
    "missing video": (
        f"source: {{type: video, path: v.mp4}}\n{SMALL}",
        BAD_CONFIG,
        r"source\.path: .*v\.mp4 does not exist",
    ),
    "empty folder of pictures": (
        f"source: {{type: images, path: empty}}\n{SMALL}",
        BAD_CONFIG,
        r"source\.path: the folder .*empty has no files",
    ),
    "folder as video": (
        f"source: {{type: video, path: empty}}\n{SMALL}",
        BAD_CONFIG,
        r"source\.path: .*empty is a folder",
    ),
    "publisher in a missing folder": (
        f"source: {{type: synthetic}}\n{SMALL}"
        "publishers: [{type: jsonl, path: no/such/out.jsonl}]\n",
        BAD_CONFIG,
        r"publishers\.0\.path: the folder .*no/such does not exist",
    ),
    "two publishers on one file": (
        f"source: {{type: synthetic}}\n{SMALL}"
        "publishers: [{type: jsonl, path: out.jsonl}, {type: jsonl, path: ./out.jsonl}]\n",
        BAD_CONFIG,
        r"publishers\.1\.path: another publisher has .*out\.jsonl already",
    ),
    "endless frame": (
        f"source: {{type: synthetic, fps: 1.0e-300}}\n{SMALL}",
        BAD_CONFIG,
        r"source\.fps: must",
    ),
    "unknown label": (
        "source: {type: synthetic}\n"
        "model: {name: small.tflite, labels: labels.txt}\npostprocess: {classes: [bicycel]}\n",
        BAD_CONFIG,
        r"postprocess\.classes: the model has no label 'bicycel'; did you mean bicycle\?",
    ),
    "no permission to write": (
        f"source: {{type: synthetic, frame_limit: 9}}\n{SMALL}"
        "publishers: [{type: jsonl, path: /proc/edge-ssd.jsonl}]\n",
        FAILED,
        r"/proc/edge-ssd\.jsonl",
    ),
}


@pytest.mark.parametrize(("text", "code", "expected"), CONFIGS.values(), ids=CONFIGS)
def test_run(text: str, code: int, expected: str, folder: Path) -> None:
    (folder / "empty").mkdir()
    write(folder, "labels.txt", "person\nbicycle\ncar\n")
    config = write(
        folder, "config.yaml", text.replace("small.tflite", str(folder / "small.tflite"))
    )
    finished = edge_ssd("run", "--config", config)
    assert finished.returncode == code, finished.stderr
    assert re.search(expected, one_line(finished))
    assert not finished.stdout


def test_check_config_prints_every_problem_on_a_line_of_its_own(folder: Path) -> None:
    config = write(
        folder, "c.yaml",
        "source: {type: video, pth: v.mp4}\nmodel: {threads: 0}\nnmae: x\n",
    )  # fmt: skip
    finished = edge_ssd("check-config", config)
    assert finished.returncode == BAD_CONFIG
    problems = {line.split(":")[0] for line in finished.stderr.splitlines()}
    assert problems == {"source.path", "source.pth", "model.threads", "nmae"}


def test_a_missing_config_file(tmp_path: Path) -> None:
    finished = edge_ssd("run", "--config", tmp_path / "no.yaml")
    assert finished.returncode == BAD_CONFIG
    assert "no.yaml: No such file" in one_line(finished)


def test_a_full_disk_drops_and_counts_and_does_not_end_the_service(folder: Path) -> None:
    config = write(
        folder, "c.yaml",
        "source: {type: synthetic, live: false, fps: null, frame_limit: 5}\n"
        f"model: {{name: {folder / 'small.tflite'}}}\n"
        "publishers: [{type: jsonl, path: /dev/full}, {type: jsonl}]\n",
    )  # fmt: skip
    finished = edge_ssd("run", "--config", config)
    assert len(finished.stdout.splitlines()) == 5
    warning, error = finished.stderr.splitlines()
    assert warning.startswith("warning: ")
    assert "/dev/full" in warning
    assert error.startswith("error: 5 results could not be delivered")
    assert finished.returncode == FAILED


def test_a_closed_stdout_is_a_sentence(folder: Path) -> None:
    run = " ".join(command([*detect(folder), "--json"]))
    finished = subprocess.run(
        ["sh", "-c", f"{run} >&-"], stderr=subprocess.PIPE, text=True, timeout=60,
        env=environment(), check=False,
    )  # fmt: skip
    assert finished.returncode == FAILED
    assert finished.stderr == "error: stdout is closed; redirect it to a file\n"


def test_a_table_on_a_full_disk_is_a_sentence(folder: Path) -> None:
    run = " ".join(command(detect(folder)))
    finished = subprocess.run(
        ["sh", "-c", f"{run} >/dev/full"], stderr=subprocess.PIPE, text=True, timeout=60,
        env=environment(), check=False,
    )  # fmt: skip
    assert finished.returncode == FAILED
    assert "Traceback" not in finished.stderr
    assert "No space left on device" in finished.stderr


def test_a_reader_that_goes_away_ends_it_quietly(folder: Path) -> None:
    config = write(
        folder, "c.yaml",
        "source: {type: synthetic, live: false, fps: null}\n"
        f"model: {{name: {folder / 'small.tflite'}}}\n",
    )  # fmt: skip
    run = " ".join(command(["run", "--config", config]))
    finished = subprocess.run(
        ["sh", "-c", f"{run} | head -n 1"], capture_output=True, text=True, timeout=60,
        env=environment(), check=False,
    )  # fmt: skip
    assert len(finished.stdout.splitlines()) == 1
    assert finished.stderr == ""


def test_no_runtime_installed_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    """The runtimes are hidden from a child, as on a machine that has none."""
    hide = tmp_path / "sitecustomize.py"
    hide.write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: (\n"
        "    None if name in ('ai_edge_litert', 'tflite_runtime') else find(name, *rest))\n"
    )
    paths = f"{tmp_path}{os.pathsep}{environment()['PYTHONPATH']}"
    finished = subprocess.run(
        command(detect(folder)), capture_output=True, text=True, timeout=60, check=False,
        env=environment() | {"PYTHONPATH": paths},
    )  # fmt: skip
    assert finished.returncode == UNAVAILABLE
    assert "no TensorFlow Lite runtime is installed; pip install" in one_line(finished)


def test_the_verbose_flag_shows_the_traceback(folder: Path) -> None:
    finished = edge_ssd("--verbose", *detect(folder, "no.jpg"))
    assert "Traceback" in finished.stderr
