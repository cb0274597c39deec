"""Ways to the file: mirrors, proxies, certificates, and redirections between http and https."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from models.pull.pulling import HURRIED, MODEL, named, pull_from
from support import misbehaving_server as serve
from support.misbehaving_server import MisbehavingServer

from edge_ssd.errors import EdgeSsdError, UsageError
from edge_ssd.models.download import DownloadError, redirected
from edge_ssd.models.pull import pull


def test_a_mirror_on_a_disk(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "stick of mine").mkdir()
    (tmp_path / "stick of mine" / "file.tflite").write_bytes(MODEL)
    mirror = (tmp_path / "stick of mine").as_uri()
    assert pull("sized", folder, f"{mirror}/").path.read_bytes() == MODEL
    (tmp_path / "stick of mine" / "file.tflite").write_bytes(MODEL[:-1] + b"!")
    with pytest.raises(EdgeSsdError, match="not the published file"):
        pull("unsized", folder, mirror)
    assert named(folder) == ["sized.json", "sized.tflite"]


def test_a_mirror_keeps_the_name_of_the_file(folder: Path) -> None:
    with MisbehavingServer(MODEL, serve.good) as server:
        pull("sized", folder, f"{server.url}/copies/", patience=HURRIED)
    assert server.requests[0][0] == "/copies/file.tflite"


@pytest.mark.parametrize(
    ("mirror", "problem"),
    [
        ("http://[bad", "--mirror http://[bad is no URL"),
        ("http://[bad@x", "--mirror http://…@x is no URL"),
        ("http://", "--mirror http:// is no URL"),
        ("http://host:port/", "--mirror http://host:port/ is no URL"),
        ("pi:secret@host", "--mirror …@host is no URL"),
        ("ftp://pi:secret@host", "--mirror ftp://…@host is no URL"),
        ("http://pi:sec/ret@host/", "--mirror http://…@host/ is no URL"),
        (
            "http://pi:secret@host/",
            "--mirror http://…@host/ has a user or a password in it, and no",
        ),
    ],
)
def test_a_mirror_that_cannot_be_used_is_told_without_its_password(
    mirror: str, problem: str, folder: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        pull("sized", folder, mirror)
    assert caught.value.problem.startswith(problem)
    assert caught.value.remedy
    assert not folder.exists()


def test_the_proxy_is_used_and_its_refusal_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MisbehavingServer(MODEL, serve.good, serve.status(503)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("https_proxy", proxy.url)
        pull("sized", folder, "http://copies.invalid", patience=HURRIED)
        with pytest.raises(DownloadError, match=r"cannot be reached: Tunnel .*503.*; check .*prox"):
            pull("unsized", folder, patience=HURRIED)
    asked = [path for path, _ in proxy.requests]
    assert asked == ["http://copies.invalid/file.tflite", *["models.invalid:443"] * 3]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A certificate of 127.0.0.1, signed by itself, with its key."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-days", "2", "-keyout", path, "-out", path.with_suffix(".crt")],
        check=True, capture_output=True,
    )  # fmt: skip
    with path.open("a") as file:
        file.write(path.with_suffix(".crt").read_text())
    return str(path)


def test_a_certificate_of_nobody_is_refused(folder: Path, certificate: str) -> None:
    with MisbehavingServer(MODEL, serve.good, certificate=certificate) as server:
        with pytest.raises(DownloadError, match=r"its certificate is refused: .*; check the date"):
            pull_from(server, "sized", folder)
        assert server.requests == []
    assert named(folder) == []


def test_https_is_not_left(folder: Path, certificate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    with MisbehavingServer(MODEL, serve.good) as plain:
        away = serve.redirects_to(f"{plain.url}/file.tflite")
        here = serve.redirects_to("/moved")
        with MisbehavingServer(MODEL, away, here, serve.good, certificate=certificate) as server:
            with pytest.raises(DownloadError, match="only https is followed"):
                pull_from(server, "sized", folder)
            assert plain.requests == []
            assert named(folder) == []
            assert pull_from(server, "sized", folder).path.read_bytes() == MODEL
    assert [path for path, _ in server.requests] == ["/file.tflite", "/file.tflite", "/moved"]


def test_a_plain_mirror_may_lead_to_https() -> None:
    assert redirected("http://a/b/c", "https://d/e") == "https://d/e"
    assert redirected("http://a/b/c", "../e") == "http://a/e"
