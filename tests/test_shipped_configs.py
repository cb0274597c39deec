"""Every file in configs/ loads, states every option with its default, and fits the schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import edge_ssd

from edge_ssd import config

CONFIGS = Path(__file__).parents[1] / "configs"
SHIPPED = sorted(CONFIGS.glob("*.yaml"))
SCHEMA = config.json_schema()

shipped = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)


def test_there_are_shipped_files() -> None:
    assert len(SHIPPED) >= 3


@shipped
def test_a_shipped_file_loads(path: Path) -> None:
    assert config.load(path).name


def test_the_schema_beside_them_is_the_one_of_the_code() -> None:
    assert json.loads((CONFIGS / "edge-ssd.schema.json").read_text()) == SCHEMA


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


@shipped
def test_a_shipped_file_states_every_option_with_its_default(path: Path) -> None:
    """It is the reference that users copy from; only names and files are its own."""
    values = yaml.safe_load(path.read_text())
    for place, section, given in sections_of(SCHEMA, values):
        assert set(given) == set(section["properties"]), f"{path.name}: {place}"
        for key, option in section["properties"].items():
            own = (not place and key == "name") or "path" in formats(option)
            if "default" in option and not own and key != "publishers":
                assert given[key] == option["default"], f"{path.name}: {place}{key}"


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


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference into the schema's definitions."""
    return SCHEMA["$defs"][schema["$ref"].split("/")[-1]] if "$ref" in schema else schema


def formats(option: dict[str, Any]) -> set[str]:
    return {part.get("format", "") for part in [option, *option.get("anyOf", [])]}


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
