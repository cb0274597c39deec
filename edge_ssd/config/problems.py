"""What pydantic and YAML say of a configuration, as problems."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, get_args

import yaml

from edge_ssd.config.schema import Config
from edge_ssd.errors import Problem
from edge_ssd.options import Options
from edge_ssd.wording import did_you_mean

# What pydantic's kinds of error say here; "should" becomes "must" in those not listed.
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


def problems(errors: Sequence[Any]) -> list[Problem]:
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


def yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}: " if mark else ""
    problem = str(getattr(error, "problem", None) or error)
    tab = " (a tab? indent with spaces)" if "cannot start any token" in problem else ""
    return place + problem + tab
