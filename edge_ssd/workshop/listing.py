"""``edge-ssd models list``: every known model, with what is known of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_ssd.errors import ModelError
from edge_ssd.models import catalogue, embedded, loading, manifest
from edge_ssd.models.graph import Graph


def listing() -> dict[str, dict[str, Any]]:
    """Return every known model by name: its manifest without the anchors, and more.

    state: ``bundled``, ``pulled``, or ``available`` (to be pulled).
    path: of the file; None where it is to be pulled.
    problem: why the file or its manifest cannot be read, or empty.
    """
    listed: dict[str, dict[str, Any]] = {
        name: {**offer.described(), "state": "available", "path": None, "problem": ""}
        for name, offer in catalogue.offers().items()
    }
    for state, files in (("pulled", catalogue.pulled()), ("bundled", catalogue.bundled())):
        for name, path in files.items():
            values = {"name": name, **_described(path), "state": state, "path": str(path)}
            values.pop("anchors", None)  # a table may have thousands of rows
            listed[name] = values
    return dict(sorted(listed.items(), key=lambda item: (item[1]["state"] != "bundled", item[0])))


def _described(path: Path) -> dict[str, Any]:
    """Return the manifest beside a model or inside it, and its size in any case."""
    try:
        size = path.stat().st_size
    except OSError as error:
        return {"file": {"size": None}, "problem": f"{path} cannot be read: {error.strerror}"}
    beside = manifest.beside(path)
    try:
        if beside:
            entry = manifest.read(beside)
        else:
            graph = Graph(embedded.without_archive(loading.read(path)))
            entry = embedded.read(graph, path) or manifest.Entry({}, path)
        for text in ("licence", "description"):
            entry.get(text, str, "")
        file = {**entry.entry("file").values, "size": size}
    except ModelError as error:
        return {"file": {"size": size}, "problem": str(error.of(path))}
    return {**entry.values, "file": file, "problem": ""}
