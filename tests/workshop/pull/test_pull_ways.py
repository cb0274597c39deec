"""Ways to the file: mirrors, proxies, certificates, and redirections between http and https."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support import misbehaving_server as serve
from support.misbehaving_server import MisbehavingServer
from workshop.pull.pulling import MODEL, named, pull_from

from edge_ssd.errors import EdgeSsdError, UsageError
from edge_ssd.workshop.pull import DownloadError, pull


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
        pull("sized", folder, f"{server.url}/copies/")
    assert server.requests[0][0] == "/copies/file.tflite"


@pytest.mark.parametrize(
    ("mirror", "problem"),
    [
        ("http://[bad", "--mirror http://[bad cannot be used"),
        ("http://[bad@x", "--mirror http://…@x cannot be used"),
        ("http://", "--mirror http:// cannot be used"),
        ("http://host:port/", "--mirror http://host:port/ cannot be used"),
        ("pi:secret@host", "--mirror …@host cannot be used"),
        ("ftp://pi:secret@host", "--mirror ftp://…@host cannot be used"),
        ("http://pi:sec/ret@host/", "--mirror http://…@host/ cannot be used"),
        ("http://pi:secret@host/", "--mirror http://…@host/ cannot be used"),
        ("http://pi:1234@host/", "--mirror http://…@host/ cannot be used"),
        ("file://host/share", "--mirror file://host/share cannot be used"),
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
        pull("sized", folder, "http://copies.invalid")
        with pytest.raises(
            DownloadError, match=r"cannot be downloaded: Tunnel .*503.*; check .*prox"
        ):
            pull("unsized", folder)
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
        with pytest.raises(
            DownloadError, match=r"its certificate is refused: .*; check .* the date"
        ):
            pull_from(server, "sized", folder)
        assert server.requests == []
    assert named(folder) == []


def test_https_is_not_left(folder: Path, certificate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    with MisbehavingServer(MODEL, serve.good) as plain:
        away = serve.redirects_to(f"{plain.url}/file.tflite")
        here = serve.redirects_to("/moved")
        with MisbehavingServer(MODEL, away, here, serve.good, certificate=certificate) as server:
            with pytest.raises(DownloadError, match="is redirected away from https"):
                pull_from(server, "sized", folder)
            assert plain.requests == []
            assert named(folder) == []
            assert pull_from(server, "sized", folder).path.read_bytes() == MODEL
    assert [path for path, _ in server.requests] == ["/file.tflite", "/file.tflite", "/moved"]


def test_a_plain_mirror_may_lead_to_https(
    folder: Path, certificate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    with MisbehavingServer(MODEL, serve.good, certificate=certificate) as secure:
        away = serve.redirects_to(f"{secure.url}/file.tflite")
        with MisbehavingServer(MODEL, away) as plain:
            assert pull_from(plain, "sized", folder).path.read_bytes() == MODEL


@pytest.mark.parametrize(
    "proxy",
    ["http://pi:sec/ret@host:1", "http://pi:secret@[::1", "socks5://pi:secret@host", "x://"],
)
def test_a_bad_proxy_is_told_without_its_password(
    proxy: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(DownloadError, match=r"cannot be downloaded: .*; check .*prox") as caught:
        pull("sized", folder, "http://copies.invalid")
    assert "ret" not in str(caught.value)


def test_the_password_of_a_netrc_is_not_sent(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login pi password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with MisbehavingServer(MODEL, serve.good) as server:
        pull_from(server, "sized", folder)
    assert "Authorization" not in server.requests[0][1]
