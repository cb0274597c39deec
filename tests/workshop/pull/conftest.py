"""A catalogue of the tests' own, no proxy between them and their server, and no waiting."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from workshop.pull.pulling import MODEL, ZIP, offer, offer_of_zip, sha256

from edge_ssd.models import catalogue


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy between the tests and their server."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that would have been waited between the attempts."""
    seconds: list[float] = []
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=seconds.append))
    return seconds


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


@pytest.fixture(autouse=True)
def offers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Replaces the catalogue; the function adds to it. Models are pulled to tmp_path/system."""
    known = {
        "sized": offer(sha256=sha256(MODEL), size=len(MODEL)),
        "unsized": offer(sha256=sha256(MODEL)),
        "unknown": offer(),
        "zipped": offer_of_zip(ZIP),
    }

    def add(**more: dict[str, Any]) -> None:
        known.update(more)
        (tmp_path / "catalogue.json").write_text(json.dumps({"schema": 1, "models": known}))
        catalogue.offers.cache_clear()

    monkeypatch.setattr(catalogue, "OFFERS", tmp_path / "catalogue.json")
    monkeypatch.setattr(catalogue, "SYSTEM", tmp_path / "system")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "own"))
    add()
    yield add
    catalogue.offers.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"
