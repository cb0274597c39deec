"""The base of every class of options: frozen, validated when made, each option described."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError

Unit = Annotated[float, Field(ge=0, le=1)]
"""A number from 0 to 1."""


class Options(BaseModel):
    """Unknown options are refused; a docstring below an option describes it in the schema."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    def __get_pydantic_json_schema__(
        cls, core_schema: Any, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        # pydantic's use_attribute_docstrings reads every source file at each start: 30 ms.
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema)["properties"]
        for name, text in _descriptions(cls).items():
            properties[name]["description"] = text
        return schema

    @classmethod
    def _is_number(cls, name: Any) -> bool:
        kind = cls.model_fields[name].annotation if name in cls.model_fields else None
        kinds = {part for each in (kind, *get_args(kind)) for part in (each, *get_args(each)[:1])}
        return bool(kinds & {int, float})


def require(met: object, what: str) -> None:
    """Raise the problem that a section ``must have`` something, unless the rule is met."""
    if not met:
        raise PydanticCustomError("options", "must have {what}", {"what": what})


def _descriptions(options: type[Options]) -> dict[str, str]:
    """Return the docstring below each option."""
    found = {}
    for each in reversed(options.__mro__):
        if not issubclass(each, Options):
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        assert isinstance(definition, ast.ClassDef)
        for field, below in pairwise(definition.body):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                found[ast.unparse(field.target)] = inspect.cleandoc(ast.literal_eval(below.value))
    return found
