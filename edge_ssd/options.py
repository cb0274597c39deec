"""What every class of options is: frozen, checked when made, described beside each option."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Unit = Annotated[float, Field(ge=0, le=1)]
"""A number from 0 to 1."""


class Options(BaseModel):
    """Unknown options are refused; a docstring below an option describes it in the schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _yes_is_no_number(cls, values: Any) -> Any:
        """As text, true and false are refused for a number; pydantic would take 1 and 0."""
        if not isinstance(values, dict):
            return values
        return {
            name: str(value).lower() if isinstance(value, bool) and cls._is_number(name) else value
            for name, value in values.items()
        }

    @classmethod
    def _is_number(cls, name: Any) -> bool:
        kind = cls.model_fields[name].annotation if name in cls.model_fields else None
        kinds = {part for each in (kind, *get_args(kind)) for part in (each, *get_args(each)[:1])}
        return bool(kinds & {int, float})


class Login(Options):
    """A user name, and where the password is."""

    username: str | None = None
    """null to log in without."""
    password_file: Path | None = None
    """A file whose one line is the password."""
    password_credential: str | None = None
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
    def _fits_together(self) -> Login:
        passwords = sum(p is not None for p in (self.password_file, self.password_credential))
        require(passwords < 2, "password_file or password_credential, not both")
        require(not passwords or self.username, "a username where there is a password")
        return self


def require(met: object, what: str) -> None:
    """Raise the problem of a section that ``must have`` something, unless the rule is met."""
    if not met:
        raise PydanticCustomError("options", "must have {what}", {"what": what})
