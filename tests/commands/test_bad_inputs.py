"""What goes wrong for users: one line that names it, the documented exit code, no traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.command import command, edge_ssd, environment
from support.privileges import give_up_root_rights
from support.tflite_builder import Model
from support.tflite_models import classifier_model, edgetpu_model, raw_heads_model

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


def a_model_without_an_input(folder: Path) -> list[object]:
    """litert 2.3 crashes on it, which would end `detect` without a word."""
    model = Model().tensor("image", (1, 48, 48, 3)).constant("begin", np.zeros(4, np.int32))
    model.tensor("boxes", (1, 12, 4)).tensor("scores", (1, 12, 4))
    for name in ("boxes", "scores"):
        model.op("SLICE", ("image", "begin"), (name,))
    content = model.build(("image",), ("boxes", "scores"))
    return detect(folder, model=write(folder, "m.tflite", content).name)


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
    "model that lacks an input": (
        a_model_without_an_input,
        FAILED,
        r"m\.tflite: the model file is damaged: operator 0, SLICE, has 2 of the 3 inputs it needs",
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
    "too few labels": (labels_of("a\nb\n"), FAILED, r"2 labels do not fit the model's 3 classes"),
    "no labels in the file": (labels_of(""), FAILED, r"labels\.txt: (it )?is empty"),
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
    "no input at all": (lambda _: ["detect"], USAGE, r"missing argument"),
    "unknown option": (lambda _: ["detect", "--fast"], USAGE, r"no such option"),
}  # fmt: skip


@pytest.mark.quick_cases(4)
@pytest.mark.parametrize(("case", "code", "expected"), DETECT.values(), ids=DETECT)
def test_detect(case: Case, code: int, expected: str, folder: Path) -> None:
    finished = edge_ssd(*case(folder))
    assert finished.returncode == code, finished.stderr
    assert "Traceback" not in finished.stderr
    assert re.search(expected, one_line(finished)), finished.stderr


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


@pytest.mark.quick_cases(4)
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


# --- What this user may not read: a folder below which nothing may be seen ---


@pytest.fixture
def secret(folder: Path) -> Iterator[Path]:
    """A folder with everything good in it, which only its owner's superior may enter."""
    secret = folder / "secret"
    (secret / "pictures").mkdir(parents=True)
    for name in ("good.jpg", "pictures/good.jpg"):
        (secret / name).write_bytes((folder / "good.jpg").read_bytes())
    (secret / "small.tflite").write_bytes((folder / "small.tflite").read_bytes())
    (secret / "labels.txt").write_text("person\nbicycle\ncar\n")
    annotations = {
        "images": [{"id": 1, "file_name": "good.jpg"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]}],
        "categories": [{"id": 1, "name": "person"}],
    }
    for place in (folder, secret):
        (place / "coco.json").write_text(json.dumps(annotations))
        (place / "c.yaml").write_text("source: {type: synthetic}\n")
    secret.chmod(0)
    yield secret
    secret.chmod(0o700)


def refused(*arguments: object) -> tuple[int, str]:
    """Run as a user who is not root; return the exit code, and the one line of the error.

    check-config's line begins with the file. Warnings may precede it.
    """
    finished = subprocess.run(
        command(arguments), capture_output=True, text=True, check=False, timeout=60,
        env=environment(), preexec_fn=give_up_root_rights,
    )  # fmt: skip
    *before, line = finished.stderr.splitlines() or [""]
    assert all(each.startswith("warning: ") for each in before), finished.stderr
    return finished.returncode, line.removeprefix("error: ")


HIDDEN_OPTIONS: dict[str, tuple[str, str]] = {
    "source.path": ("source: {type: video, path: secret/v.mp4}\n", "v.mp4"),
    "source.path of pictures": ("source: {type: images, path: secret/pictures}\n", "pictures"),
    "source.path of one picture": ("source: {type: images, path: secret/good.jpg}\n", "good.jpg"),
    "source.path itself": ("source: {type: images, path: secret}\n", "secret"),
    "source.images": ("source: {type: synthetic, images: secret/pictures}\n", "pictures"),
    "source.password_file": (
        "source: {type: rtsp, url: 'rtsp://h/s', username: u, password_file: secret/p}\n", "p",
    ),
    "model.name": (
        "source: {type: synthetic}\nmodel: {name: secret/small.tflite}\n", "small.tflite",
    ),
    "model.labels": (
        "source: {type: synthetic}\nmodel: {name: small.tflite, labels: secret/labels.txt}\n",
        "labels.txt",
    ),
}  # fmt: skip


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("case", HIDDEN_OPTIONS)
def test_an_option_whose_file_this_user_may_not_see(case: str, secret: Path, folder: Path) -> None:
    text, name = HIDDEN_OPTIONS[case]
    config = write(folder, "config.yaml", f"{text}{'' if 'model:' in text else SMALL}")
    option, path = case.partition(" ")[0], secret / name if name != "secret" else secret
    record = ("record", "--config", config, "--output", folder / "recording")
    commands: list[tuple[object, ...]] = [("run", "--config", config)]
    if option != "source.password_file":  # that is the service's alone
        commands.append(("check-config", config))
    for arguments in [*commands, *([record] if option.startswith("source") else [])]:
        code, line = refused(*arguments)
        assert code == BAD_CONFIG, line
        assert line.removeprefix(f"{config}: ").startswith(f"{option}: ")
        assert f"{path}" in line
        assert "Permission denied; let the user that runs this read " in line


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("place", ["secret/out.jsonl", "others/new.jsonl", "others/old.jsonl"])
def test_a_publishers_file_that_this_user_may_not_write(
    place: str, secret: Path, folder: Path
) -> None:
    """The service does not start; whether it may, somebody else who checks its file cannot say."""
    (folder / "others").mkdir()
    write(folder, "others/old.jsonl", "").chmod(0o444)
    (folder / "others").chmod(0o555)
    text = f"source: {{type: synthetic}}\n{SMALL}publishers: [{{type: jsonl, path: {place}}}]\n"
    config = write(folder, "config.yaml", text)
    assert refused("check-config", config)[0] == 0
    assert refused("run", "--config", config) == (
        BAD_CONFIG,
        f"publishers.0.path: {folder / place} may not be written by this user; choose a "
        "folder where it may",
    )


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("password_file: secret/password", "secret/password: Permission denied; let the user "),
        ("password_credential: broker", "there is no systemd credential 'broker' here; give the "),
        ("tls: {ca_file: secret/ca.pem}", "secret/ca.pem: Permission denied; let the user "),
    ],
)
def test_a_brokers_secret_that_this_user_may_not_read(
    option: str, expected: str, secret: Path, folder: Path
) -> None:
    mqtt = f"{{type: mqtt, host: localhost, username: me, {option}}}"
    text = f"source: {{type: synthetic}}\n{SMALL}publishers: [{mqtt}]\n"
    config = write(folder, "config.yaml", text)
    assert refused("check-config", config)[0] == 0
    code, line = refused("run", "--config", config)
    assert code == BAD_CONFIG
    assert line.startswith(f"publishers.0.{option.partition(':')[0]}: ")
    assert expected in line


def _eval(folder: Path, secret: Path, given: str) -> list[object]:
    arguments = {
        "--images": folder, "--annotations": folder / "coco.json",
        "--model": folder / "small.tflite",
    }  # fmt: skip
    hidden = {"--images": secret, "--annotations": secret / "coco.json",
              "--model": secret / "small.tflite", "--labels": secret / "labels.txt"}  # fmt: skip
    return ["eval", *chain.from_iterable((arguments | {given: hidden[given]}).items())]


HIDDEN_ARGUMENTS: dict[str, Callable[[Path, Path], list[object]]] = {
    "good.jpg": lambda f, s: [*detect(f), s / "good.jpg"],
    "pictures": lambda f, s: [*detect(f), s / "pictures"],
    "secret": lambda f, s: [*detect(f), s],
    "small.tflite": lambda f, s: detect(f, model="secret/small.tflite"),
    "labels.txt": lambda f, s: [*detect(f), "--labels", s / "labels.txt"],
    "v.mp4": lambda f, s: ["bench", "--model", f / "small.tflite", "--frames", s / "v.mp4"],
    "secret ": lambda f, s: ["bench", "--model", f / "small.tflite", "--frames", s],
    "small.tflite ": lambda f, s: ["models", "inspect", s / "small.tflite"],
    "small.tflite  ": lambda f, s: ["models", "prepare", s / "small.tflite", "-o", f / "n.tflite"],
    "small.tflite   ": lambda f, s: ["tune", "--model", s / "small.tflite"],
    "secret  ": lambda f, s: _eval(f, s, "--images"),
    "coco.json": lambda f, s: _eval(f, s, "--annotations"),
    "small.tflite    ": lambda f, s: _eval(f, s, "--model"),
    "labels.txt ": lambda f, s: _eval(f, s, "--labels"),
}


@pytest.mark.quick_cases(3)
@pytest.mark.parametrize("case", HIDDEN_ARGUMENTS)
def test_an_argument_that_this_user_may_not_see(case: str, secret: Path, folder: Path) -> None:
    code, line = refused(*HIDDEN_ARGUMENTS[case](folder, secret))
    assert code == FAILED, line
    assert case.strip() in line
    assert line.endswith(
        "Permission denied; let the user that runs this read it, and enter the folders above it"
    )


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("name", ["secret", "secret/new"])
def test_a_folder_for_pictures_that_this_user_may_not_write(
    name: str, secret: Path, folder: Path
) -> None:
    assert refused(*detect(folder), "--annotate", folder / name) == (
        FAILED,
        f"{folder / name} cannot be made or written to: Permission denied; name another folder",
    )


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("command", ["run", "record", "tune"])
def test_a_configuration_that_this_user_may_not_see(
    command: str, secret: Path, folder: Path
) -> None:
    output = ["--output", folder / "new"] if command == "record" else []
    assert refused(command, "--config", secret / "c.yaml", *output) == (
        BAD_CONFIG,
        f"{secret}/c.yaml: Permission denied; give a readable YAML file",
    )


def test_check_config_prints_every_problem_on_a_line_of_its_own(folder: Path) -> None:
    config = write(
        folder, "c.yaml",
        "source: {type: video, pth: v.mp4}\nmodel: {threads: 0}\nnmae: x\n",
    )  # fmt: skip
    finished = edge_ssd("check-config", config)
    assert finished.returncode == BAD_CONFIG
    named = [line.split(": ")[:2] for line in finished.stderr.splitlines()]
    assert {name for name, _ in named} == {str(config)}
    assert {option for _, option in named} == {"source.path", "source.pth", "model.threads", "nmae"}


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
