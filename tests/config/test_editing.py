"""Options set in a YAML file: the value changes, every other byte stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from edge_ssd.config.editing import edit, set_options
from edge_ssd.errors import ConfigError

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

    assert changed == TEXT.replace("auto  ", '"tflite-runtime"  ')


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


@pytest.mark.parametrize("section", ["model: {threads: 2}", "model:", "model: []", "model: 3"])
def test_a_section_on_one_line_is_refused_with_what_to_write(section: str):
    with pytest.raises(ConfigError, match=r"model: cannot be edited.*threads: 4 among them"):
        set_options(f"{section}\n", "model", {"threads": 4})


def test_every_shipped_configuration_can_be_edited():
    for path in sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")):
        before = path.read_text("utf-8")
        after = set_options(before, "model", {"threads": 2, "runtime": "litert"})
        expected = yaml.safe_load(before)
        expected["model"] |= {"threads": 2, "runtime": "litert"}
        assert yaml.safe_load(after) == expected
        assert comments(after) == comments(before)


def comments(text: str) -> list[str]:
    return [line.partition("#")[2] for line in text.splitlines()]


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
