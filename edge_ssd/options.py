"""What every class of options is: frozen, checked when made, described beside each option."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

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
