"""Of an archive the model alone is taken, and of a bad one nothing."""

from __future__ import annotations

import io
import re
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support import misbehaving_server as serve
from support.misbehaving_server import MisbehavingServer
from workshop.pull.pulling import FAILED, MODEL, ZIP, named, offer_of_zip, packed, pull_from

from edge_ssd.errors import EdgeSsdError


def symlink(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def encrypted(content: bytes) -> bytes:
    """Sets the flag that says so, in both of an entry's headers."""
    changed = bytearray(content)
    changed[6] |= 1
    changed[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(changed)


def lying_bomb() -> bytes:
    """An entry that unpacks to 50 MB and says it has the model's size."""
    content = packed(("detect.tflite", bytes(50 << 20)))
    return content.replace((50 << 20).to_bytes(4, "little"), len(MODEL).to_bytes(4, "little"))


def other_compression() -> bytes:
    entry = zipfile.ZipInfo("detect.tflite")
    entry.compress_type = zipfile.ZIP_LZMA
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(entry, MODEL)
    return buffer.getvalue()


def twice() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return packed(("detect.tflite", MODEL), ("detect.tflite", MODEL))


ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "bomb": (
        lambda: packed(("detect.tflite", bytes(50 << 20))), "unpacks to 52428800 bytes"
    ),
    "lying bomb": (lying_bomb, "not the expected archive: Bad CRC"),
    "traversal": (
        lambda: packed(("detect.tflite", MODEL), ("../../evil", b"x")), r"unsafe entry '\.\./\.\.",
    ),
    "traversal of Windows": (
        lambda: packed(("detect.tflite", MODEL), ("..\\evil", b"x")), "unsafe entry"
    ),
    "absolute": (lambda: packed(("detect.tflite", MODEL), ("/tmp/evil", b"x")), "unsafe entry"),
    "symlink": (lambda: packed((symlink("detect.tflite"), b"/etc/passwd")), "unsafe entry"),
    "without the model": (
        lambda: packed(("sub/detect.tflite", MODEL)), r"archive: 0 entries detect\.tflite",
    ),
    "twice": (twice, "archive: 2 entries"),
    "another model": (
        lambda: packed(("detect.tflite", MODEL[:-1] + b"!")), "not the published one: sha256",
    ),
    "encrypted": (
        lambda: encrypted(packed(("detect.tflite", MODEL))), "the expected archive: .*encrypted",
    ),
    "another compression": (other_compression, "unpacks to"),
    "no archive": (lambda: b"PK, but no archive", "not the expected archive"),
    "cut short": (lambda: ZIP[:-30], "not the expected archive"),
}  # fmt: skip


@pytest.mark.parametrize("case", ARCHIVES)
def test_a_bad_archive_leaves_nothing(
    case: str, folder: Path, tmp_path: Path, offers: Callable[..., None]
) -> None:
    """Even if its hash were right."""
    make, message = ARCHIVES[case]
    content = make()
    offers(bad=offer_of_zip(content))
    around = {path.name for path in tmp_path.iterdir()} | {"models"}
    with MisbehavingServer(content, serve.good) as server, pytest.raises(EdgeSsdError) as caught:
        pull_from(server, "bad", folder)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert caught.value.exit_code == FAILED
    assert named(folder) == []
    assert {path.name for path in tmp_path.iterdir()} == around


def test_the_model_of_an_archive(folder: Path) -> None:
    with MisbehavingServer(ZIP, serve.truncates, serve.good) as server:
        pulled = pull_from(server, "zipped", folder)
    assert server.requests[0][0] == "/file.zip"
    assert pulled.path.read_bytes() == MODEL
    assert named(folder) == ["zipped.json", "zipped.tflite"]
