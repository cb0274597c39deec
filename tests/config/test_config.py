"""Mistakes in a configuration file are named by their place, and what a good one means."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from edge_ssd import config
from edge_ssd.errors import ConfigError
from edge_ssd.inference.options import ModelOptions
from edge_ssd.sources.synthetic import SyntheticOptions

VIDEO = "source: {type: video, path: v.mp4}\n"
SOURCES = get_args(get_args(config.AnySource)[0])
TYPES = ", ".join(get_args(source.model_fields["type"].annotation)[0] for source in SOURCES)


def problems(folder: Path, text: str | bytes) -> list[str]:
    """Return what is wrong with a file of this text."""
    path = folder / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert caught.value.exit_code == 78
    found = [str(problem) for problem in caught.value.problems]
    assert str(caught.value) == f"{path}: " + "; ".join(found)
    return found


ONE_MISTAKE = {
    "unknown": ("nmae: x", "nmae: unknown option; did you mean name?"),
    "unknown, nothing near": ("zzz: x", "zzz: unknown option"),
    "unknown, nested": (
        "postprocess: {score_treshold: 0.4}",
        "postprocess.score_treshold: unknown option; did you mean score_threshold?",
    ),
    "unknown, in a list": (
        "publishers: [{type: jsonl}, {type: jsonl, pth: x}]",
        "publishers.1.pth: unknown option; did you mean path?",
    ),
    "a number as key": ("1: x", "1: unknown option"),
    "text for a number": (
        "model: {threads: many}",
        "model.threads: must be an integer (it is 'many')",
    ),
    "yes for a number": (
        "model: {threads: yes}",
        "model.threads: must be an integer (it is 'true')",
    ),
    "off for a threshold": (
        "postprocess: {iou_threshold: off}",
        "postprocess.iou_threshold: must be a number (it is 'false')",
    ),
    "half a thread": ("model: {threads: 1.5}", "model.threads: must be an integer (it is 1.5)"),
    "unit in a number": ("stall_timeout_s: 10s", "stall_timeout_s: must be a number (it is '10s')"),
    "a number for a text": (
        "model: {name: 5}",
        "model.name: must be text (in quotes where it looks like something else) (it is 5)",
    ),
    "negative": (
        "postprocess: {score_threshold: -0.1}",
        "postprocess.score_threshold: must be greater than or equal to 0 (it is -0.1)",
    ),
    "percent": (
        "postprocess: {class_score_thresholds: {person: 60}}",
        "postprocess.class_score_thresholds.person: must be less than or equal to 1 (it is 60)",
    ),
    "not a number": (
        "postprocess: {iou_threshold: .nan}",
        "postprocess.iou_threshold: must be less than or equal to 1 (it is nan)",
    ),
    "unknown choice": (
        "model: {runtime: lite}",
        "model.runtime: must be one of auto, litert, tflite-runtime (it is 'lite');"
        " did you mean litert?",
    ),
    "one for a list": (
        "postprocess: {classes: person}",
        "postprocess.classes: must be a list (it is 'person')",
    ),
    "list for a mapping": (
        "postprocess: {class_score_thresholds: [0.5]}",
        "postprocess.class_score_thresholds: must be a mapping, such as {person: 0.6}",
    ),
    "nothing after the colon": (
        "model:",
        "model: must be a section of options (nothing is given)",
    ),
    "text for a section": ("model: x", "model: must be a section of options (it is 'x')"),
    "text in a list": (
        "publishers: [jsonl]",
        "publishers.0: must be a section of options (it is 'jsonl')",
    ),
    "no publisher": ("publishers: []", "publishers: must have at least one entry"),
    "spaces in the name": (
        "name: front door",
        "name: must have no spaces, and none of / + # (it is 'front door')",
    ),
}


@pytest.mark.parametrize(("text", "expected"), ONE_MISTAKE.values(), ids=ONE_MISTAKE)
def test_one_mistake_is_one_line_with_its_place(text: str, expected: str, tmp_path: Path) -> None:
    assert problems(tmp_path, VIDEO + text) == [expected]


IN_THE_SOURCE = {
    "none": ("name: x", "source: is missing"),
    "empty": ("source:", "source: must be a section of options (nothing is given)"),
    "no type": (
        "source: {path: v.mp4}",
        f"source.type: must be one of {TYPES} (nothing is given)",
    ),
    "misspelt type": (
        "source: {type: vidoe, path: v.mp4}",
        f"source.type: must be one of {TYPES} (it is 'vidoe'); did you mean video?",
    ),
    "option of another type": (
        "source: {type: video, path: v.mp4, fps: 3}",
        "source.fps: unknown option",
    ),
    "no path": ("source: {type: images, path: }", "source.path: must be a path (nothing is given)"),
    "zero size": (
        "source: {type: synthetic, width: 0}",
        "source.width: must be greater than or equal to 32 (it is 0)",
    ),
    "nested list": (
        "source: {type: synthetic, faults: [{kind: stall, at_frame: 3, evry: 5}]}",
        "source.faults.0.evry: unknown option; did you mean every?",
    ),
    "text for yes or no": (
        "source: {type: synthetic, live: maybe}",
        "source.live: must be true or false (it is 'maybe')",
    ),
}


@pytest.mark.parametrize(("text", "expected"), IN_THE_SOURCE.values(), ids=IN_THE_SOURCE)
def test_mistakes_in_the_source_do_not_show_how_it_is_read(
    text: str, expected: str, tmp_path: Path
) -> None:
    """No word of the library that reads it, such as the union's tags."""
    assert problems(tmp_path, text) == [expected]


NOT_OPTIONS = {
    "empty": ("", "must hold options, such as `source:`, each with its value"),
    "a list": ("- a", "must hold options, such as `source:`, each with its value"),
    "not YAML": ("name: x\nsource: {type\n", "not YAML: line 3: did not find expected"),
    "a tab": ("source:\n\ttype: video", "not YAML: line 2: found character that cannot"),
    "a key twice": (
        f"{VIDEO}model: {{threads: 1, threads: 2}}",
        "not YAML: line 2: the key 'threads' is given twice",
    ),
    "code": ("name: !!python/object:os.system x", "not YAML: line 1: could not determine"),
    "bytes": (b"name: \xff", "not UTF-8 text"),
}


@pytest.mark.parametrize(("text", "expected"), NOT_OPTIONS.values(), ids=NOT_OPTIONS)
def test_what_is_no_configuration_at_all(text: str, expected: str, tmp_path: Path) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith(expected)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yaml: No such file or directory; give a readable"):
        config.load(tmp_path / "no.yaml")
    with pytest.raises(ConfigError, match="Is a directory"):
        config.load(tmp_path)


def test_all_mistakes_are_listed_at_once(tmp_path: Path) -> None:
    text = (
        "nmae: x\nsource: {type: video, pth: v.mp4}\nmodel: {threads: 0}\n"
        "publishers: [{type: jsonl, max_bytes: 1}, {type: jsonl, backups: few}]\n"
    )
    assert {line.split(":")[0] for line in problems(tmp_path, text)} == {
        "nmae",
        "source.path",
        "source.pth",
        "model.threads",
        "publishers.0.max_bytes",
        "publishers.1.backups",
    }


# --- What a good file means ---


def load(folder: Path, text: str) -> config.Config:
    path = folder / "c.yaml"
    path.write_bytes(text.encode("utf-8-sig").replace(b"\n", b"\r\n"))
    return config.load(path)


def test_relative_paths_belong_to_the_folder_of_the_file(tmp_path: Path) -> None:
    """Wherever the service is started from; Windows line ends and a byte order mark are fine."""
    found = load(
        tmp_path,
        "source: {type: synthetic, images: ../frames}\n"
        "model: {name: mine.tflite, labels: /etc/labels.txt}\n"
        "publishers: [{type: jsonl}, {type: jsonl, path: out/d.jsonl}]\n",
    )
    assert isinstance(found.source, SyntheticOptions)
    assert found.source.images == tmp_path / "../frames"
    assert found.model.name == str(tmp_path / "mine.tflite")
    assert found.model.labels == Path("/etc/labels.txt")
    assert [item.path for item in found.publishers] == [None, tmp_path / "out/d.jsonl"]


def test_home_and_catalogue_names_are_no_relative_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/pi")
    found = load(tmp_path, "source: {type: video, path: ~/v.mp4}\nmodel: {name: some_name}\n")
    assert found.source.path == Path("/home/pi/v.mp4")
    assert found.model.name == "some_name"
    assert load(tmp_path, VIDEO).model == ModelOptions()
