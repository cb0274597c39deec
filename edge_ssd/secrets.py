"""Options that name passwords and certificates, and how these are read."""

from __future__ import annotations

import os
from collections.abc import Callable
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
        both = self.password_file and self.password_credential
        require(not both, "password_file or password_credential, not both")
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
        path, credential = self.password_file, self.password_credential
        if credential:
            folder = os.environ.get("CREDENTIALS_DIRECTORY")
            if folder is None:
                raise PublishError(
                    f"there is no systemd credential {credential!r} here",
                    f"give the unit LoadCredential={credential}:FILE, or use password_file",
                )
            path = Path(folder) / credential
        return _read(path).rstrip("\r\n") if path else None

    def checks(self) -> tuple[Check, ...]:
        """Return the check that this process can read the password, where there is one."""
        option = self.password_option
        return (readable(option, self.read_password),) if option else ()


class TlsOptions(Options):
    """Encryption. `tls: {}` turns it on with the system's certificate authorities."""

    ca_file: Path | None = None
    """The authority that signed the server's certificate (PEM); null for the system's."""
    certificate_file: Path | None = None
    """This client's certificate (PEM), for servers that ask for one."""
    key_file: Path | None = None
    """Its key, not encrypted; null where the certificate's file holds it."""

    @model_validator(mode="after")
    def _key_has_certificate(self) -> TlsOptions:
        met = self.certificate_file or not self.key_file
        require(met, "certificate_file where there is key_file")
        return self

    def context(self) -> ssl.SSLContext:
        """Return a context that trusts the authority and checks the server's name.

        Raises PublishError that names the file at fault.
        """
        import ssl  # noqa: PLC0415 - slow, and few need it

        for path in filter(None, (self.ca_file, self.certificate_file, self.key_file)):
            _read(path)
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except ssl.SSLError as error:
            problem = f"{self.ca_file} holds no certificate (PEM)"
            raise PublishError(problem, _reason(error)) from error
        try:
            if self.certificate_file:
                # With no password given, an encrypted key would be asked for on the terminal.
                context.load_cert_chain(self.certificate_file, self.key_file, password="")
        except ssl.SSLError as error:
            raise PublishError(
                f"{self.certificate_file} and its key cannot be used: {_reason(error)}",
                "give a PEM certificate and its own key, not encrypted",
            ) from error
        return context


def readable(option: str, read: Callable[[], object]) -> Check:
    """Return the check that this process can read what an option names."""

    def look(_system: System) -> Finding:
        read()
        return ok(f"{option} can be read")

    return Check("credentials", look, option, exit_code=78, at_start=True, rights=True)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise PublishError(f"{path}: {error.strerror}", remedy(path, error)) from error
    except UnicodeDecodeError as error:
        raise PublishError(f"{path} is not text", "give a text file (UTF-8)") from error


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")
