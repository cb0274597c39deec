"""A YAML file to a Config, or to what is wrong with it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import ValidationError

from edge_ssd.config.schema import Config
from edge_ssd.errors import ConfigError, Problem
from edge_ssd.inference.options import ModelOptions
from edge_ssd.options import Options
from edge_ssd.publishers.jsonl import shared_files
from edge_ssd.wording import did_you_mean

_S = TypeVar("_S", bound=Options)

# Our words for pydantic's kinds of error; in others, "should" becomes "must".
_SAYS = {
    "missing": "is missing",
    "model_type": "must be a section of options",
    "model_attributes_type": "must be a section of options",
    "tuple_type": "must be a list",
    "too_short": "must have at least one entry",
    "dict_type": "must be a mapping, such as {person: 0.6}",
    "string_type": "must be text (in quotes where it looks like something else)",
    "path_type": "must be a path",
    "bool_parsing": "must be true or false",
    "int_parsing": "must be an integer",
    "int_from_float": "must be an integer",
    "float_parsing": "must be a number",
    "string_pattern_mismatch": "must have no spaces, and none of / + #",  # only ``name`` has one
}


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
    """Read a file; its relative paths start at its folder. Raises ConfigError with all problems."""
    try:
        text = path.read_text("utf-8")
        values = yaml.load(text, Loader=_Loader)
    except OSError as error:
        raise _unread(path, error.strerror or str(error), "give a readable YAML file") from None
    except UnicodeDecodeError:
        raise _unread(path, "not UTF-8 text", "give a YAML file") from None
    except yaml.YAMLError as error:
        raise _unread(path, f"not YAML: {_yaml_problem(error)}") from None
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
        raise ConfigError(_problems(error.errors())) from None
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


def _problems(errors: Sequence[Any]) -> list[Problem]:
    """Return pydantic's errors as problems."""
    # Faulty entries of a list are reported themselves, and again as missing from its length.
    faulty = {item["loc"][:depth] for item in errors for depth in range(len(item["loc"]))}
    return [_problem(e) for e in errors if e["type"] != "too_short" or e["loc"] not in faulty]


def _problem(item: Any) -> Problem:
    place, beside, sections = _resolve(item["loc"])
    dotted, kind, context = ".".join(place), item["type"], item.get("ctx", {})
    given, choices = item.get("input"), re.findall("'([^']*)'", context.get("expected", ""))
    if kind in ("extra_forbidden", "invalid_key"):
        return Problem(dotted, f"unknown option{did_you_mean(place[-1], beside)}")
    if kind.startswith("union_tag"):
        dotted, given = f"{dotted}.type", context.get("tag")
        choices = [str(_tag(section)) for section in sections]
    says = f"must be one of {', '.join(choices)}" if choices else _SAYS.get(kind)
    says = says or re.sub(r"^\w+ should ", "must ", item["msg"])
    secret = kind == "url" or "://" in str(given)  # an address may hold a password
    plain = isinstance(given, (str, int, float)) and not secret
    shown = f" (it is {given!r})" if plain else ""
    shown = " (nothing is given)" if given is None else shown
    return Problem(dotted, f"{says}{shown}{did_you_mean(str(given), choices)}")


def _resolve(location: tuple[int | str, ...]) -> tuple[list[str], list[str], list[Any]]:
    """Return a pydantic location without union tags, its last key's siblings, and its sections."""
    sections: list[type[Options]] = [Config]
    place: list[str] = []
    beside: list[str] = []
    for part in location:
        tagged = [section for section in sections if part == _tag(section)]
        if len(sections) > 1 and tagged:
            sections = tagged
            continue
        if part != "[key]":
            place.append(str(part))
        if isinstance(part, str):
            beside = sorted({key for section in sections for key in section.model_fields})
            inner = [section.model_fields.get(part) for section in sections]
            sections = [found for key in inner if key for found in _sections(key.annotation)]
    return place, beside, sections


def _tag(section: type[Options]) -> str | None:
    kind = section.model_fields.get("type")
    return str(get_args(kind.annotation)[0]) if kind else None


def _sections(annotation: Any) -> list[type[Options]]:
    """Return the sections that an annotation mentions, however nested."""
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _sections(inner)]


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}: " if mark else ""
    problem = str(getattr(error, "problem", None) or error)
    tab = " (a tab? indent with spaces)" if "cannot start any token" in problem else ""
    return place + problem + tab
