"""Change options in the text of a YAML file; every other line of it stays as it is."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from edge_ssd.config.loading import parse
from edge_ssd.errors import ConfigError, Problem
from edge_ssd.files import beside, naming, replacing

Value = str | int


def edit(path: Path, section: str, options: Mapping[str, Value], rehearse: bool = False) -> None:
    """Set options in a configuration file, which stays whole whatever happens.

    rehearse: do everything but the last step, so that the file stays as it is.
    Raises ConfigError when its text cannot be edited, or the result would not be a valid
    configuration; PublishError when the file cannot be written.
    """
    path = path.resolve()  # the file behind a link, not the link
    try:
        with naming(path):
            found = path.stat()
            place = beside(path) if rehearse else replacing(path, stat.S_IMODE(found.st_mode))
            with place as part:
                edited = set_options(path.read_bytes().decode(), section, options)
                parse(yaml.safe_load(edited), path.parent)
                part.touch(0o600)  # it may hold passwords
                part.write_bytes(edited.encode())
                os.chown(part, found.st_uid, found.st_gid)
    except ConfigError as error:
        raise error.in_file(path) from None


def set_options(text: str, section: str, options: Mapping[str, Value]) -> str:
    """Return ``text``, a configuration, with these options of a section set.

    An existing option keeps its line and comment, a new one becomes the first of its section,
    and a new section is added at the end.
    Raises ConfigError when that cannot be done without a change to another line.
    """
    edited = text
    try:
        before = yaml.safe_load(text) or {}
        expected = {**before, section: {**(before.get(section) or {}), **options}}
        for name, value in options.items():
            quoted = DoubleQuotedScalarString(value) if isinstance(value, str) else value
            edited = _set(edited, section, name, quoted)
        # It may take more than the option's line: an anchor, a value that spans lines.
        if yaml.safe_load(edited) == expected:
            return edited
    except (yaml.YAMLError, YAMLError):
        pass
    remedy = f"set {', '.join(f'{section}.{name}' for name in options)} yourself"
    raise ConfigError([Problem(section, "it cannot be edited as it is written", remedy)])


def _set(text: str, section: str, name: str, value: Value) -> str:
    """Return ``text`` with one line changed, or a line or section added."""
    newline = "\r\n" if "\r\n" in text else "\n"
    document = _round_trip().load(text) or CommentedMap()
    if section not in document:
        gap = "\n" if text.endswith("\n") or not text else "\n\n"
        added = indent(_dump({section: {name: value}}), " " * (document.lc.col or 0))
        return text + (gap + added).replace("\n", newline)
    options, rows = document[section], text.splitlines(keepends=True)
    if not options:
        return text
    exists = name in (options.lc.data or ())
    row = options.lc.key(name)[0] if exists else options.lc.line
    if exists:
        options[name] = value
    else:
        options.insert(0, name, value)
    # ruamel.yaml reformats other lines too: only the option's line is taken from what it writes.
    written = _dump(document)
    new_row, _ = _round_trip().load(written)[section].lc.key(name)
    line = rows[row].replace(rows[row].strip(), written.splitlines()[new_row].strip())
    if exists or options.fa.flow_style():
        rows[row] = line
    else:
        rows.insert(row, line.rstrip() + newline)
    return "".join(rows)


def _dump(document: Any) -> str:
    stream = io.StringIO()
    _round_trip().dump(document, stream)
    return stream.getvalue()


def _round_trip() -> YAML:
    parser = YAML()
    parser.preserve_quotes, parser.width = True, sys.maxsize
    return parser
