"""Passwords and certificates, from files or systemd credentials."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from edge_ssd.checks import Check, Finding, System, ok
from edge_ssd.errors import PublishError
from edge_ssd.files import remedy
from edge_ssd.options import Options, require

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True, slots=True)
class Password:
    """A password that stands in a file, or in a systemd credential of this name."""

    file: Path | None = None
    credential: str | None = None


class LoginOptions(Options):
    """User and password. The password is in a file or a systemd credential, never in the YAML."""

    username: str | None = None
    """null to log in without."""
    password_file: Path | None = None
    """A file whose one line is the password."""
    password_credential: str | None = Field(default=None, min_length=1)
    """The name of the systemd credential (LoadCredential=) that is the password."""

    @model_validator(mode="before")
    @classmethod
    def _no_secrets(cls, values: Any) -> Any:
        if isinstance(values, dict) and "password" in values:
            raise PydanticCustomError(
                "secret",
                "must not hold a password: put it into a file that only the service can read and "
                "give `password_file`, or `password_credential` for systemd's LoadCredential=",
            )
        return values

    @model_validator(mode="after")
    def _one_password(self) -> LoginOptions:
        twice = self.password_file and self.password_credential
        require(not twice, "password_file or password_credential, not both")
        require(self.username or not self.password_option, "a username where there is a password")
        return self

    @property
    def password_option(self) -> str:
        """The option that names the password; empty where there is none."""
        if self.password_credential:
            return "password_credential"
        return "password_file" if self.password_file else ""

    def read_password(self) -> str | None:
        """Return the password without its line end; None where none is configured.

        Raises PublishError when it cannot be read.
        """
        return read_password(Password(self.password_file, self.password_credential))

    def checks(self) -> tuple[Check, ...]:
        """Return the check that this process can read the password, where there is one."""
        option = self.password_option
        if not option:
            return ()
        return (
            Check("credentials", self._readable, option, exit_code=78, at_start=True, rights=True),
        )

    def _readable(self, _system: System) -> Finding:
        self.read_password()
        return ok(f"{self.password_option} can be read")


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
    import ssl  # noqa: PLC0415 - slow, and few need it

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
