"""Components and their options.

A component is a frozen pydantic model that forbids unknown keys. Its fields are its options: from
their one declaration come ``--set``, ``ganzoo show``, ``config.json`` and the rebuilt model.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ganzoo.errors import InputError, did_you_mean

Model = TypeVar("Model", bound=BaseModel)


class Options(BaseModel):
    """A frozen set of named values: unknown names are errors, and so are NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Component(Options):
    """Base of everything that a plugin can add; its fields are its options.

    Give each field a default and a description:
    ``width: int = Field(64, gt=0, description="Units in a hidden layer.")``.
    """

    paper: ClassVar[str | None] = None
    """The paper that the component comes from, as ``Author et al. year, arXiv:id``."""

    @classmethod
    def summary(cls) -> str:
        """Return the first paragraph of the docstring, as ``ganzoo show`` prints it."""
        return inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def validated(model: type[Model], values: Mapping[str, Any], prefix: str = "") -> Model:
    """Build a model from plain values, turning its complaints into one readable line.

    Args:
        model: The pydantic model to build.
        values: Its values; strings are parsed as a command line would give them.
        prefix: What to put before an option's name in messages, such as ``"loss."``.

    Raises:
        InputError: a name is unknown or a value does not fit; the message names the option.
    """
    fields = model.model_fields
    for name in values:
        if name not in fields:
            known = did_you_mean(name, fields) or f"; known: {', '.join(fields) or 'none'}"
            raise InputError(f"unknown option '{prefix}{name}'{known}")
    parsed = {
        name: _parsed(fields[name], value) if isinstance(value, str) else value
        for name, value in values.items()
    }
    try:
        return model.model_validate(parsed)
    except ValidationError as error:
        raise InputError(_explained(error, prefix)) from None


def _parsed(field: FieldInfo, text: str) -> Any:
    """Read a command-line value as its field's type: as text, as JSON, or as a comma list."""
    adapter = TypeAdapter(Annotated[field.annotation, field])
    for reading in (lambda: text, lambda: json.loads(text), lambda: _comma_list(text)):
        try:
            value = reading()
            adapter.validate_python(value)
        except (ValidationError, ValueError):
            continue
        return value
    return text


def _comma_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _explained(error: ValidationError, prefix: str) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"] if isinstance(part, str)) or "the values"
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    given = "" if first["type"] in ("missing", "value_error") else f", got {first['input']!r}"
    return f"option '{prefix}{where}': {message}{given}"
