"""Change options in the text of a YAML file; every other byte of it stays, comments included."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from edge_ssd.config.loading import load
from edge_ssd.errors import ConfigError, PublishError

Value = str | int


def edit(path: Path, section: str, options: Mapping[str, Value]) -> None:
    """Set options in a configuration file, which stays whole whatever happens.

    Raises ConfigError when the outcome would be no good configuration, PublishError when the
    file cannot be written.
    """
    path = path.resolve()  # the file behind a link, not the link
    partial = path.with_name(f"{path.name}.part")
    try:
        partial.write_text(set_options(path.read_text("utf-8"), section, options), "utf-8")
        load(partial)
        shutil.copymode(path, partial)
        os.chown(partial, path.stat().st_uid, path.stat().st_gid)
        partial.replace(path)
    except OSError as error:
        raise PublishError(f"{path} cannot be written: {error.strerror}", "run as root") from None
    finally:
        partial.unlink(missing_ok=True)


def set_options(text: str, section: str, options: Mapping[str, Value]) -> str:
    """Return ``text`` with these options of a top-level section set.

    An option that is there gets the value in its place, one that is not becomes the section's
    first line, and a section that is not there is added at the end.
    Raises ConfigError when the section is no mapping in block style, as after ``model: {...}``.
    """
    for name, value in options.items():
        text = _set(text, section, name, json.dumps(value, ensure_ascii=False))
    return text


def _set(text: str, section: str, name: str, value: str) -> str:
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    found = _value_of(document, section)
    if found is None:
        gap = "" if text.endswith("\n") or not text else "\n"
        return f"{text}{gap}\n{section}:\n  {name}: {value}\n"
    if not isinstance(found, yaml.MappingNode) or found.flow_style or not found.value:
        raise ConfigError(
            [f"{section}: cannot be edited where it is written as one line"],
            f"write its options on lines of their own, and {name}: {value} among them",
        )
    option = _value_of(found, name)
    if option is None:
        first = found.value[0][0].start_mark
        return f"{text[: first.index]}{name}: {value}\n{' ' * first.column}{text[first.index :]}"
    return text[: option.start_mark.index] + value + text[option.end_mark.index :]


def _value_of(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """Return the value below ``key`` of a mapping, or None."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for name, value in pairs if name.value == key), None)
