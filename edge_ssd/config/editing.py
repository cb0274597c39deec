"""Change options in the text of a YAML file; every other byte of it stays, comments included."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from edge_ssd.config.loading import parse
from edge_ssd.errors import ConfigError, Problem
from edge_ssd.files import beside, naming, replacing

Value = str | int


def edit(path: Path, section: str, options: Mapping[str, Value]) -> None:
    """Set options in a configuration file, which stays whole whatever happens.

    Raises ConfigError when its text cannot be edited, or the outcome would be no good
    configuration; PublishError when the file cannot be written.
    """
    path = path.resolve()  # the file behind a link, not the link
    with _naming(path), replacing(path, stat.S_IMODE(path.stat().st_mode)) as part:
        _write_edited(path, part, section, options)


def rehearse(path: Path, section: str, options: Mapping[str, Value]) -> None:
    """Do all that ``edit`` does but the last step; the file stays as it is. Raises as it does."""
    path = path.resolve()
    with _naming(path), beside(path) as part:
        _write_edited(path, part, section, options)


def set_options(text: str, section: str, options: Mapping[str, Value]) -> str:
    """Return ``text``, which is a configuration, with these options of a section set.

    An option that is there gets the value in its place, one that is not becomes the section's
    first, and a section that is not there is added at the end.
    Raises ConfigError when that cannot be done without a change to anything else.
    """
    edited = text
    try:
        before = yaml.safe_load(text) or {}
        for name, value in options.items():
            edited = _set(edited, section, name, json.dumps(value, ensure_ascii=False))
        # Anchors, tags and the like may mean more than the one place that was changed.
        expected = {**before, section: {**(before.get(section) or {}), **options}}
        if yaml.safe_load(edited) == expected:
            return edited
    except yaml.YAMLError:
        pass
    raise ConfigError(
        [
            Problem(
                section,
                "it cannot be edited as it is written",
                f"set {', '.join(f'{section}.{name}' for name in options)} yourself",
            )
        ]
    )


def _set(text: str, section: str, name: str, value: str) -> str:
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    newline = "\r\n" if "\r\n" in text else "\n"
    found = _value_of(document, section)
    if found is None:
        gap = "" if text.endswith("\n") or not text else newline
        indent = " " * document.value[0][0].start_mark.column if document else ""
        return f"{text}{gap}{newline}{indent}{section}:{newline}{indent}  {name}: {value}{newline}"
    option = _value_of(found, name)
    if option is not None:
        return _replaced(text, option, value)
    if not found.value or not isinstance(found, yaml.MappingNode):
        return text
    first = found.value[0][0].start_mark
    separator = ", " if found.flow_style else newline + " " * first.column
    return f"{text[: first.index]}{name}: {value}{separator}{text[first.index :]}"


def _replaced(text: str, node: yaml.Node, value: str) -> str:
    start, end = node.start_mark.index, node.end_mark.index
    old = text[start:end]
    if not old:  # nothing behind the colon
        value = f" {value}"
    # A block (`>-`) ends with its line's end.
    return text[:start] + value + old[len(old.rstrip()) :] + text[end:]


def _value_of(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """Return the value below ``key`` of a mapping, or None."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for name, value in pairs if name.value == key), None)


def _write_edited(path: Path, part: Path, section: str, options: Mapping[str, Value]) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        edited = set_options(file.read(), section, options)
    parse(yaml.safe_load(edited), path.parent)
    part.touch(0o600)  # it may hold passwords
    with part.open("w", encoding="utf-8", newline="") as file:
        file.write(edited)
    os.chown(part, path.stat().st_uid, path.stat().st_gid)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in what goes wrong with it, and in what is wrong with what it says."""
    try:
        with naming(path):
            yield
    except ConfigError as error:
        raise error.in_file(path) from None
