"""A configuration file that states every option, written from the JSON Schema."""

from __future__ import annotations

import textwrap
from typing import Any

import yaml

Schema = dict[str, Any]

_HEADER = """\
# yaml-language-server: $schema=edge-ssd.schema.json
# Every option with its default, made by `edge-ssd check-config --reference`.
# A configuration file needs `source`, and of the rest only what differs from the default.
# Commented out: the other kinds of source and publisher, and sections that are off by default.
# To use one, remove the first `# ` from its lines and replace the values in capitals.
"""
_TYPES = {"boolean": "true or false", "string": "text", "array": "list", "object": "mapping"}
_LIMITS = {
    "minimum": "at least {}", "exclusiveMinimum": "more than {}", "maximum": "at most {}",
    "minLength": "length at least {}", "maxLength": "at most {}", "minItems": "at least {} entries",
}  # fmt: skip


def reference(schema: Schema) -> str:
    """Return the file's text, from the JSON Schema of a whole file as pydantic makes it."""
    options = [_option(schema, name, schema["$defs"]) for name in schema["properties"]]
    return "\n".join([_HEADER, *("\n".join([*lines, ""]) for lines in options)])


def _option(section: Schema, name: str, defs: Schema) -> list[str]:
    """Return an option's lines; the first kind of section that needs no value is active."""
    option, required = section["properties"][name], name in section.get("required", ())
    kinds, default = _kinds(option, defs), option.get("default", {})
    if "const" in option:
        return [f"{name}: {option['const']}"]
    on, listed, lines = required or bool(default), "items" in option, []
    if not kinds or not on:
        example = option.get("enum") or [option.get("minimum", name.upper())]
        value = yaml.safe_dump(example[0] if required else default, default_flow_style=True)
        values = "" if kinds else f"  # {'required: ' * required}{_values(option)}"
        lines = _comment(option.get("description", ""))
        lines.append(f"{name}: {value.splitlines()[0]}{values}")
    if kinds and listed:
        lines.append(f"{'' if on else '# '}{name}:")
    chosen = [kind for kind in kinds if on and set(kind.get("required", ())) <= {"type"}][:1]
    for kind in chosen + [kind for kind in kinds if kind not in chosen]:
        block = _section(name, kind, listed, defs)
        lines += block if kind in chosen else ([""] if on else []) + _indented("# ", block)
    return lines


def _section(name: str, kind: Schema, listed: bool, defs: Schema) -> list[str]:
    """Return a section's lines: below its name, or as an entry of a list."""
    names = sorted(kind["properties"], key=lambda key: key != "type")
    body = [line for key in names for line in _option(kind, key, defs)]
    about = _comment(kind["description"])
    if not listed:
        return [*about, f"{name}:", *_indented("  ", body)]
    first = next(index for index, line in enumerate(body) if not line.startswith("#"))
    entry = [*body[:first], f"- {body[first]}", *_indented("  ", body[first + 1 :])]
    return _indented("  ", about + entry)


def _kinds(option: Schema, defs: Schema) -> list[Schema]:
    """Return the sections that an option, or an entry of its list, may be."""
    option = option.get("items", option)
    parts = option.get("oneOf") or option.get("anyOf") or [option]
    return [defs[part["$ref"].rpartition("/")[2]] for part in parts if "$ref" in part]


def _values(option: Schema) -> str:
    """Return the type, the choices and the limits of a value."""
    if "anyOf" in option:
        return ", or ".join(map(_values, option["anyOf"]))
    choices = [option["const"]] if "const" in option else option.get("enum")
    limits = [says.format(option[key]) for key, says in _LIMITS.items() if key in option]
    kind = option.get("format") or _TYPES.get(option["type"], option["type"])
    return ", ".join(map(str, choices or [kind, *limits]))


def _comment(text: str) -> list[str]:
    return _indented("# ", textwrap.wrap(text, 90, break_on_hyphens=False))


def _indented(indent: str, lines: list[str]) -> list[str]:
    return [f"{indent}{line}".rstrip() for line in lines]
