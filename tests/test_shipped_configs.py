"""The files in configs/ are valid, short, and fit the schema; the reference states every option."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import edge_ssd

from edge_ssd import config

CONFIGS = Path(__file__).parents[1] / "configs"
REFERENCE = CONFIGS / "reference.yaml"
SHIPPED = sorted(CONFIGS.glob("*.yaml"))
SCHEMA = config.json_schema()

shipped = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
short = pytest.mark.parametrize(
    "path", [path for path in SHIPPED if path != REFERENCE], ids=lambda path: path.name
)


def test_there_are_shipped_files() -> None:
    assert len(SHIPPED) >= 4


@shipped
def test_a_shipped_file_is_valid(path: Path) -> None:
    finished = edge_ssd("check-config", path)
    assert (finished.returncode, finished.stderr) == (0, "")


@short
def test_a_file_for_one_use_is_short(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 15
    assert any("reference.yaml" in line for line in lines)  # where the other options are


@pytest.mark.parametrize(
    ("name", "option"),
    [("edge-ssd.schema.json", "--json-schema"), ("reference.yaml", "--reference")],
)
def test_what_is_made_from_the_code_is_current(name: str, option: str) -> None:
    printed = edge_ssd("check-config", option).stdout
    current = (CONFIGS / name).read_text() == printed
    assert current, f"run: edge-ssd check-config {option} > configs/{name}"


def test_every_option_has_a_description() -> None:
    sections = [SCHEMA, *SCHEMA["$defs"].values()]
    options = [(s["title"], key, o) for s in sections for key, o in s["properties"].items()]
    assert len(options) > 30
    unions = {"type", "source", "publishers"}  # described where their sections are
    bare = [
        (section, key)
        for section, key, option in options
        if "description" not in option and "$ref" not in option and key not in unions
    ]
    assert bare == []


def test_the_reference_states_every_option_with_its_default() -> None:
    values = yaml.safe_load(REFERENCE.read_text())
    for place, section, given in sections_of(SCHEMA, values):
        assert set(given) == set(section["properties"]), place
        for key, option in section["properties"].items():
            if "default" in option:
                assert given[key] == option["default"], f"{place}{key}"


def kinds_in_reference() -> Iterator[str]:
    """Yield each kind of source and publisher, put to use as the reference's first lines say."""
    for block in REFERENCE.read_text().split("\n\n"):
        off = all(line.startswith("#") for line in block.splitlines())
        text = re.sub("(?m)^# ", "", block) if off else block
        kind = re.search(r"(?m)^ *(?:- )?type: (\w+)", text)
        if kind:
            # The name of a list is in the block of its first entry.
            whole = f"publishers:\n{text}" if text.startswith(" ") else text
            yield whole.replace("PATH", "clip.mp4").replace("URL", f"{kind[1]}://camera.local")


def test_the_reference_shows_every_kind_whole_and_valid() -> None:
    found = []
    for text in kinds_in_reference():
        values = yaml.safe_load(text)
        config.parse({"source": {"type": "synthetic"}} | values)
        ((name, section),) = values.items()
        (given,) = section if isinstance(section, list) else [section]
        found.append(given["type"])
        (kind,) = (kind for kind in kinds_of(name) if tag_of(kind) == given["type"])
        assert set(given) == set(kind["properties"])
    assert sorted(found) == sorted(
        tag_of(kind) for name in ("source", "publishers") for kind in kinds_of(name)
    )


@pytest.mark.parametrize(("name", "title"), [("tls", "TlsOptions"), ("faults", "FaultOptions")])
def test_the_reference_shows_what_is_off_by_default(name: str, title: str) -> None:
    text = "\n".join(kinds_in_reference())
    block = re.search(rf"(?m)^( *)# {name}:\n((\1#   .*\n)+)", text)
    assert block
    section = yaml.safe_load(re.sub("(?m)^ *# ", "", block[0]))[name]
    (given,) = section if isinstance(section, list) else [section]
    assert set(given) == set(SCHEMA["$defs"][title]["properties"])


def test_the_reference_shows_units_limits_and_choices() -> None:
    text = REFERENCE.read_text()
    for line in (
        "threads: null  # integer, at least 1, at most 64, or null",
        "open_timeout_s: 5.0  # number, more than 0, at most 60",
        "resize: stretch  # stretch, letterbox",
        "path: PATH  # required: path",
    ):
        assert line in text


@shipped
def test_a_shipped_file_fits_the_schema(path: Path) -> None:
    """What an editor that reads the file's first line would check."""
    assert path.read_text().startswith("# yaml-language-server: $schema=edge-ssd.schema.json\n")
    values = yaml.safe_load(path.read_text())
    assert misfits(SCHEMA, values) == []
    assert misfits(SCHEMA, values | {"nmae": 1}) == [".nmae"]
    assert misfits(SCHEMA, values | {"model": {"threads": "two"}}) == [".model.threads"]


@pytest.mark.parametrize("folder", ["/run/edge-ssd", "/run/edge-ssd-garden"])
def test_the_services_own_folder_need_not_be_there_yet(tmp_path: Path, folder: str) -> None:
    """systemd makes it when the service starts; a folder that nobody makes is a mistake."""
    shipped = (CONFIGS / "service.yaml").read_text().replace("/run/edge-ssd", folder)
    path = tmp_path / "service.yaml"
    path.write_text(shipped)
    assert not Path(folder).exists()
    finished = edge_ssd("check-config", path)
    assert (finished.returncode, finished.stderr) == (0, "")
    path.write_text(shipped.replace(folder, "/run/egde-ssd"))
    finished = edge_ssd("check-config", path)
    assert finished.returncode == 78
    assert "the folder /run/egde-ssd does not exist" in finished.stderr


def kinds_of(name: str) -> list[dict[str, Any]]:
    """Return the sections that an option at the top, or an entry of its list, may be."""
    option = SCHEMA["properties"][name]
    return alternatives(option.get("items", option))


def tag_of(section: dict[str, Any]) -> str:
    return str(section["properties"]["type"]["const"])


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference into the schema's definitions."""
    return SCHEMA["$defs"][schema["$ref"].split("/")[-1]] if "$ref" in schema else schema


def alternatives(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [resolved(s) for s in schema.get("oneOf") or schema.get("anyOf") or [schema]]


def sections_of(
    schema: dict[str, Any], values: dict[str, Any], place: str = ""
) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield every section of a file: its place, its schema and what the file says."""
    yield place, schema, values
    for key, option in schema["properties"].items():
        given = values.get(key)
        entries = given if isinstance(given, list) else [given]
        for entry in entries:
            for kind in alternatives(resolved(option.get("items", option))):
                own_tag = kind.get("properties", {}).get("type", {}).get("const")
                told = "properties" in kind and isinstance(entry, dict)
                if told and own_tag == entry.get("type"):
                    yield from sections_of(kind, entry, f"{place}{key}.")


def misfits(schema: dict[str, Any], value: Any, place: str = "") -> list[str]:
    """Return the places where a value leaves the schema: types, constants and unknown keys."""
    schema = resolved(schema)
    if "oneOf" in schema or "anyOf" in schema:
        found = [misfits(kind, value, place) for kind in alternatives(schema)]
        return min(found, key=len)
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    kinds |= {"integer": int, "number": (int, float)}
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return [place]
    if value != schema.get("const", value) or value not in schema.get("enum", [value]):
        return [place]
    found = []
    if isinstance(value, dict) and "properties" in schema:
        for key in {*value, *schema.get("required", [])}:
            inner = schema["properties"].get(key)
            known = inner is not None and key in value
            found += misfits(inner, value[key], f"{place}.{key}") if known else [f"{place}.{key}"]
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += misfits(schema["items"], item, f"{place}.{index}")
    return found
