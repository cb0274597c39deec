"""Passwords and certificates: read from files, or from what systemd hands to a service."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from edge_ssd.errors import PublishError
from edge_ssd.files import remedy


@dataclass(frozen=True, slots=True)
class Password:
    """A password that stands in a file, or in a systemd credential of this name."""

    file: Path | None = None
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What encryption needs; ca: None for the system's authorities; key: may be in certificate."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def read_password(password: Password) -> str | None:
    """Return the password without its line end; None when there is none to read.

    Raises PublishError when it cannot be read.
    """
    path = password.file
    if password.credential is not None:
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if folder is None:
            raise PublishError(
                f"there is no systemd credential {password.credential!r} here",
                f"give the unit LoadCredential={password.credential}:FILE, or use password_file",
            )
        path = Path(folder) / password.credential
    return None if path is None else _read(path).rstrip("\r\n")


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context that trusts the authority and checks the server's name.

    Raises PublishError that names the file at fault.
    """
    for path in (files.ca, files.certificate, files.key):
        if path is not None:
            _read(path)
    try:
        context = ssl.create_default_context(cafile=files.ca)
    except ssl.SSLError as error:
        raise PublishError(f"{files.ca} holds no certificate (PEM)", _reason(error)) from error
    if files.certificate is not None:
        try:
            # With no password given, an encrypted key would be asked for on the terminal.
            context.load_cert_chain(files.certificate, files.key, password="")
        except ssl.SSLError as error:
            raise PublishError(
                f"{files.certificate} and its key cannot be used: {_reason(error)}",
                "give a PEM certificate and its own key, not encrypted",
            ) from error
    return context


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise PublishError(f"{path}: {error.strerror}", remedy(path, error)) from error
    except UnicodeDecodeError as error:
        raise PublishError(f"{path} is not text", "give a text file (UTF-8)") from error


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")
