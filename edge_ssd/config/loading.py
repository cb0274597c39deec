"""A YAML file to a Config."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from edge_ssd.config.problems import problems, yaml_problem
from edge_ssd.config.schema import Config
from edge_ssd.errors import ConfigError, Problem
from edge_ssd.inference.options import ModelOptions
from edge_ssd.options import Options
from edge_ssd.publishers.jsonl import shared_files

_S = TypeVar("_S", bound=Options)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML's safe loader; a key given twice is refused, where YAML takes the last one."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice", key.start_mark
                )
        return super().construct_mapping(node, deep)


def load(path: Path) -> Config:
    """Read a configuration file; relative paths in it are relative to its folder.

    Raises ConfigError with every problem found.
    """
    try:
        text = path.read_text("utf-8")
        values = yaml.load(text, Loader=_Loader)
    except OSError as error:
        raise _unread(path, error.strerror or str(error), "give a readable YAML file") from None
    except UnicodeDecodeError:
        raise _unread(path, "not UTF-8 text", "give a YAML file") from None
    except yaml.YAMLError as error:
        raise _unread(path, f"not YAML: {yaml_problem(error)}") from None
    if not isinstance(values, dict):
        raise _unread(path, "must hold options, such as `source:`, each with its value")
    try:
        return parse(values, path.parent)
    except ConfigError as error:
        raise error.in_file(path) from None


def _unread(path: Path, problem: str, remedy: str = "") -> ConfigError:
    return ConfigError([Problem("", problem, remedy)], path)


def parse(values: dict[str, Any], folder: Path = Path()) -> Config:
    """Return the configuration that ``values`` describe. Raises ConfigError."""
    try:
        config = _anchored(Config.model_validate(values), folder)
    except ValidationError as error:
        raise ConfigError(problems(error.errors())) from None
    if shared := shared_files(config.publishers):
        raise ConfigError(shared)
    return config


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a configuration file."""
    return Config.model_json_schema(by_alias=False)


def _anchored(section: _S, folder: Path) -> _S:
    """Return the section with its relative paths joined to ``folder``."""
    changed: dict[str, Any] = {}
    for name in section.model_fields_set:
        value = getattr(section, name)
        model = isinstance(section, ModelOptions) and name in ("name", "cpu_model") and value
        if isinstance(value, Path) or (model and ("/" in value or value.endswith(".tflite"))):
            expanded = os.path.expanduser(value)  # noqa: PTH111 - Path's fails for ~nobodyhere
            changed[name] = type(value)(folder / expanded)
        elif isinstance(value, Options):
            changed[name] = _anchored(value, folder)
        elif isinstance(value, tuple) and all(isinstance(item, Options) for item in value):
            changed[name] = tuple(_anchored(item, folder) for item in value)
    return section.model_copy(update=changed)
