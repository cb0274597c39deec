"""What the tests of ``pull`` share: a model, offers of a catalogue, and a pull that is watched."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

from support.misbehaving_server import MisbehavingServer
from support.tflite_models import raw_heads_model

from edge_ssd.models import catalogue
from edge_ssd.workshop.pull import Pulled, pull

FAILED, UNAVAILABLE = 1, 69
STALL_S = "edge_ssd.workshop.pull.STALL_S"
MODEL = raw_heads_model(75, 4, input_shape=(1, 48, 48, 3))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def offer(**values: Any) -> dict[str, Any]:
    return {
        "description": "of the tests", "url": "https://models.invalid/some/where/file.tflite",
        "sha256": None, "git_blob": None, "size": None, "member": None, "licence": "MIT",
        "labels_of": catalogue.DEFAULT, "map": None, "map_source": None, "notes": "",
    } | values  # fmt: skip


def packed(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    """A zip archive of these entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


ZIP = packed(("detect.tflite", MODEL), ("labelmap.txt", b"???\nperson\n"))


def offer_of_zip(content: bytes) -> dict[str, Any]:
    inside = {"name": "detect.tflite", "sha256": sha256(MODEL), "size": len(MODEL)}
    url = "https://models.invalid/file.zip"
    return offer(url=url, sha256=sha256(content), member=inside)


def pull_from(server: MisbehavingServer, name: str, folder: Path, trust: bool = False) -> Pulled:
    """Pull, and look at every step whether the name is given too early."""

    def early(_done: int, _total: int | None) -> None:
        assert not (folder / f"{name}.tflite").exists()

    return pull(name, folder, server.url, trust, early)


def named(folder: Path) -> list[str]:
    """The files there, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())
