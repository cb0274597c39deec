"""Options set in a YAML file: the value changes, every other byte stays."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from edge_ssd.config.editing import edit, set_options
from edge_ssd.config.loading import load
from edge_ssd.errors import ConfigError, PublishError

TEXT = """\
# my camera
name: porch   # as Home Assistant has it

model:
  # measured in May
  runtime: auto      # was litert
  name: 'a.tflite'
publishers: [{type: jsonl}]
"""


def test_a_value_is_replaced_in_its_place_and_its_comment_stays():
    changed = set_options(TEXT, "model", {"runtime": "tflite-runtime"})

    assert changed == TEXT.replace("auto      #", '"tflite-runtime" #')


def test_a_comment_stays_in_its_column():
    text = "model:\n  threads: 1     # for now\n  runtime: auto  # any\n"

    changed = set_options(text, "model", {"threads": 16})

    assert changed == text.replace("1     #", "16    #")


def test_an_option_that_is_not_there_becomes_the_first_of_its_section():
    changed = set_options(TEXT, "model", {"threads": 3})

    assert changed == TEXT.replace("  runtime:", "  threads: 3\n  runtime:")


def test_a_section_that_is_not_there_is_added_at_the_end():
    text = "source: {type: synthetic}  # no newline"

    changed = set_options(text, "model", {"threads": 3, "runtime": "litert"})

    assert changed.startswith(text + "\n")
    assert yaml.safe_load(changed)["model"] == {"threads": 3, "runtime": "litert"}


@pytest.mark.parametrize("value", ["/a b/ü: #x.tflite", "no", "1", 'it\'s "quoted"'])
def test_any_text_comes_back_as_it_was_given(value: str):
    assert yaml.safe_load(set_options(TEXT, "model", {"name": value}))["model"]["name"] == value


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("model:\n  threads:\n", "model:\n  threads: 4\n"),
        ("model:\n  threads:  # all\n", "model:\n  threads: 4 # all\n"),
        ("model:\n  threads: &n 2\n", "model:\n  threads: 4\n"),
        ("model:\n  x: &n 2\n  threads: *n\n", "model:\n  x: &n 2\n  threads: 4\n"),
        ("  a: 1\n  model:\n    x: 1\n", "  a: 1\n  model:\n    threads: 4\n    x: 1\n"),
        ("  a: 1\n", "  a: 1\n\n  model:\n    threads: 4\n"),
        ("model: {threads: 2} # x\n", "model: {threads: 4} # x\n"),
        ("model: {x: 1}\n", "model: {threads: 4, x: 1}\n"),
        ("a: 1\r\nmodel:\r\n  x: 1\r\n", "a: 1\r\nmodel:\r\n  threads: 4\r\n  x: 1\r\n"),
        ("a: 1\r\n", "a: 1\r\n\r\nmodel:\r\n  threads: 4\r\n"),
        ("b: &b {x: 1}\nmodel:\n  <<: *b\n", "b: &b {x: 1}\nmodel:\n  threads: 4\n  <<: *b\n"),
        ("model:\n  x: 1", "model:\n  threads: 4\n  x: 1"),
    ],
    ids=["empty", "empty, comment", "an anchor nobody uses", "a value from elsewhere", "indented",
         "indented, no section", "one line", "one line, not there", "CRLF", "CRLF, no section",
         "merged", "no newline at the end"],
)  # fmt: skip
def test_every_way_to_write_a_section(before: str, after: str):
    assert set_options(before, "model", {"threads": 4}) == after


REFUSED = {
    "empty": "model:\n",
    "empty braces": "model: {}\n",
    "a list": "model: []\n",
    "the end is marked": "source: {type: synthetic}\n...\n",
    "an anchor that is used": "model:\n  threads: &n 2\n  invoke_deadline_s: *n\n",
    "a value of many lines": "model:\n  threads: >-\n    2\n  invoke_deadline_s: 1\n",
    "one line in many": "model: {invoke_deadline_s: 1,\n  threads: 2}\n",
    "twice": "model:\n  threads: 1\n  threads: 2\n",
    "a tab": "model:\n  threads:\t2\n",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_would_change_anything_else_is_refused_with_what_to_do(text: str):
    problem = r"model: it cannot be edited.*; set model.threads yourself"
    with pytest.raises(ConfigError, match=problem):
        set_options(text, "model", {"threads": 4})


def test_what_ruamel_would_reformat_elsewhere_stays():
    text = """\
---
publishers: [{type:   jsonl}]   # one
model:
    name:  'a.tflite'
    # threads: 1
    threads: 2
lists:
- a
-   b
flow: [1,
  2]
null: ~
yes: 0x10
"""

    assert set_options(text, "model", {"threads": 4}) == text.replace("threads: 2", "threads: 4")


def test_every_shipped_configuration_can_be_edited():
    for path in sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")):
        before = path.read_text("utf-8")
        after = set_options(before, "model", {"threads": 2, "runtime": "litert"})
        expected = yaml.safe_load(before)
        expected["model"] = expected.get("model", {}) | {"threads": 2, "runtime": "litert"}
        assert yaml.safe_load(after) == expected
        assert comments(after) == comments(before)


def comments(text: str) -> list[str]:
    return [line.partition("#")[2] for line in text.splitlines() if "#" in line]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "edge-ssd.yaml"
    path.write_text("source: {type: synthetic}\nmodel:\n  threads: 1  # for now\n")
    return path


def test_a_file_keeps_its_mode_and_the_link_to_it(file: Path, tmp_path: Path):
    file.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(file)

    edit(link, "model", {"threads": 2})

    assert file.read_text() == "source: {type: synthetic}\nmodel:\n  threads: 2  # for now\n"
    assert (link.is_symlink(), file.stat().st_mode & 0o777) == (True, 0o640)
    assert sorted(tmp_path.iterdir()) == [file, link]


def test_what_would_be_no_good_configuration_is_not_written(file: Path, tmp_path: Path):
    before = file.read_text()

    with pytest.raises(ConfigError, match=r"model.threads"):
        edit(file, "model", {"threads": 0})

    assert (file.read_text(), list(tmp_path.iterdir())) == (before, [file])


def test_a_rehearsal_finds_what_is_wrong_and_changes_nothing(file: Path, tmp_path: Path):
    before = file.read_text()

    edit(file, "model", {"threads": 2}, rehearse=True)
    with pytest.raises(ConfigError, match=r"model.threads"):
        edit(file, "model", {"threads": 0}, rehearse=True)

    assert (file.read_text(), list(tmp_path.iterdir())) == (before, [file])


def test_line_ends_of_a_file_stay(file: Path):
    file.write_bytes(b"source: {type: synthetic}\r\nmodel:\r\n  threads: 1\r\n")

    edit(file, "model", {"threads": 2})

    assert file.read_bytes() == b"source: {type: synthetic}\r\nmodel:\r\n  threads: 2\r\n"


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_an_error_names_the_file_that_was_given(file: Path, tmp_path: Path, text: str):
    file.write_text(text)

    with pytest.raises(ConfigError, match=rf"^{file}: model: it cannot be edited"):
        edit(file, "model", {"threads": 4})
    assert (file.read_text(), list(tmp_path.iterdir())) == (text, [file])


@pytest.mark.parametrize("rehearse", [False, True])
def test_a_full_disk_leaves_the_file_whole_and_nothing_beside_it(
    file: Path, tmp_path: Path, rehearse: bool
):
    before = file.read_text()

    with full_disk(), pytest.raises(PublishError, match=f"{file} cannot be written: File too"):
        edit(file, "model", {"threads": 2}, rehearse)

    assert (file.read_text(), list(tmp_path.iterdir())) == (before, [file])
    assert load(file).model.threads == 1


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of this process grow past a few bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
