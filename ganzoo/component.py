"""Components and their options.

A component is a frozen pydantic model that forbids unknown keys. Its fields are its options: their
one declaration serves ``--set``, ``ganzoo show``, ``config.json`` and the loading of a model.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo

from ganzoo.errors import MAX_MESSAGE, InputError, did_you_mean, excerpt, first_line
from ganzoo.storage.paths import user_path

Model = TypeVar("Model", bound=BaseModel)

PLACE_FORMATS = ("path", "file-path", "directory-path", "uri", "multi-host-uri")
"""Formats of paths and URLs in a JSON schema."""


def _make_absolute(text: str) -> str:
    # A run that is resumed from another folder must still find its data.
    try:
        absolute = str(user_path(text).resolve())
        absolute.encode("utf-8")  # config.json must be able to hold it
    except Exception as error:  # a circle of links, for example, is a RuntimeError
        raise ValueError(f"{text!r} is not a usable path: {first_line(error)}") from None
    return absolute


AbsolutePath = Annotated[
    str, AfterValidator(_make_absolute), WithJsonSchema({"type": "string", "format": "path"})
]
"""Type of an option that is a path, which is made absolute. A model that is not your own run
cannot choose the value of such an option."""


class Options(BaseModel):
    """A frozen set of named values, which refuses unknown names, NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, /, **data: Any) -> None:
        """Build from keyword arguments.

        Raises:
            ganzoo.errors.InputError: a name is unknown, or a value is missing or invalid.
        """
        cls = type(self)
        _check_names_and_types(cls, data, f"{cls.__name__}.")
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise InputError(_explain_option_error(error, f"{cls.__name__}.")) from None

    # Only calls of the class come here: pydantic would explain an error inside a file by its place.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]


class Component(Options):
    """Base of all components that a plugin can add, except commands. Its fields are its options.

    Give each field a default and a description:
    ``width: int = Field(default=64, gt=0, description="Units in a hidden layer.")``.
    """

    paper: ClassVar[str | None] = None
    """The paper that introduced the component, as ``Author et al. year, arXiv:id``."""
    earlier_defaults: ClassVar[Mapping[str, Any]] = {}
    """Values of options that files from before these options lack, if they are not the defaults: so
    that models and runs of then stay what they were."""

    @classmethod
    def summary(cls) -> str:
        """Return the first paragraph of the docstring, which ``ganzoo show`` prints."""
        return inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def parse_options(model: type[Model], values: Mapping[str, Any], prefix: str = "") -> Model:
    """Build a pydantic model from plain values, with readable errors.

    Args:
        model: The pydantic model to build.
        values: Its values by name. Strings are parsed like values of ``--set``.
        prefix: Prefix of an option's name in messages, such as ``"loss."``.

    Raises:
        InputError: a name is unknown or a value is invalid; the message names the option.
    """
    _check_names_and_types(model, values, prefix)
    fields = model.model_fields
    parsed = {
        name: _parse_text(fields[name], value) if isinstance(value, str) else value
        for name, value in values.items()
    }
    try:
        return model.model_validate(parsed)
    except ValidationError as error:
        raise InputError(_explain_option_error(error, prefix)) from None
    except Exception as error:  # a plugin's validator may not expect every value
        raise InputError(f"{prefix.rstrip('.: ')} options: {first_line(error)}".lstrip()) from error


@cache
def place_options(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the options that are paths or URLs, or have some in them.

    The types of the options tell, and not their names: ``pathlib.Path``, pydantic's types of paths
    and URLs, and :data:`AbsolutePath`.
    """
    return frozenset(name for name, field in model.model_fields.items() if _is_place(field))


def _is_place(field: FieldInfo) -> bool:
    annotation: Any = field.annotation
    try:
        schema = TypeAdapter(Annotated[annotation, field]).json_schema()
    except Exception:  # a type of a plugin that has no schema may be anything
        return True
    return _has_place(schema)


def _has_place(schema: Any) -> bool:
    if isinstance(schema, dict):
        return schema.get("format") in PLACE_FORMATS or any(map(_has_place, schema.values()))
    return isinstance(schema, list) and any(map(_has_place, schema))


def is_real_number(field: FieldInfo) -> bool:
    """Tell whether an option is a number that need not be whole, or a few of them."""

    def holds_numbers(schema: Any) -> bool:
        if not isinstance(schema, dict):
            return False
        inner = [*schema.get("anyOf", ()), *schema.get("prefixItems", ()), schema.get("items")]
        return schema.get("type") == "number" or any(map(holds_numbers, inner))

    try:
        return holds_numbers(_adapter(field).json_schema())
    except Exception:  # a type of a plugin that has no schema may be anything
        return False


def _check_names_and_types(model: type[BaseModel], values: Mapping[str, Any], prefix: str) -> None:
    """Refuse unknown names, and True and False for numbers, which pydantic takes for 1 and 0."""
    fields = model.model_fields
    for name, value in values.items():
        if name not in fields:
            known = did_you_mean(name, fields) or f"; known: {', '.join(fields) or 'none'}"
            raise InputError(f"unknown option '{prefix}{excerpt(name)}'{known}")
        if (
            isinstance(value, bool)
            and fields[name].annotation is not bool
            and _error_type(_adapter(fields[name]), value) is None
            and _error_type(_adapter(fields[name]), value, strict=True) is not None
        ):
            raise InputError(f"option '{prefix}{name}' must be a number, not {value}")


def _adapter(field: FieldInfo) -> TypeAdapter[Any]:
    annotation: Any = field.annotation
    return TypeAdapter(Annotated[annotation, field])


def _parse_text(field: FieldInfo, text: str) -> Any:
    """Parse a command-line value for a field: as text, as JSON, or as a list with commas."""
    adapter = _adapter(field)
    items = [part.strip() for part in text.split(",") if part.strip()]
    # Try text before JSON, so that a name may look like a number. null means None if that is valid.
    readings = [*([None] if text == "null" else []), text, *_parse_json(text), items]
    for value in readings:
        if _error_type(adapter, value) is None:
            return value
    if _error_type(adapter, text) in ("tuple_type", "list_type"):
        # Return a list, so that the error is about one of its items and not about the whole text.
        lists = [value for value in readings if isinstance(value, list)]
        return lists[0] if len(lists) > 1 or len(items) > 1 else text
    return text


def _parse_json(text: str) -> list[Any]:
    """Parse JSON into a list of one value; empty for invalid JSON and for true and false.

    A field of type int would accept true and false as 1 and 0.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [] if isinstance(value, bool) else [value]


def _error_type(adapter: TypeAdapter[Any], value: Any, strict: bool | None = None) -> str | None:
    try:
        adapter.validate_python(value, strict=strict)
    except ValidationError as error:
        return error.errors(include_url=False)[0]["type"]
    except Exception:  # a plugin's validator may not expect every value
        return "type_error"
    return None


def _explain_option_error(error: ValidationError, prefix: str) -> str:
    first = error.errors(include_url=False)[0]
    where = excerpt(".".join(str(part) for part in first["loc"] if isinstance(part, str)))
    subject = f"option '{prefix}{where}'" if where else f"{prefix.rstrip('.: ')} options".lstrip()
    message = " ".join(first["msg"].removeprefix("Value error, ").split())
    message = message[:1].lower() + message[1:]
    if first["type"] == "missing" and isinstance(first["loc"][-1], int):
        message = "a value is missing"
    if first["type"] not in ("missing", "value_error"):
        message += f", got {excerpt(repr(first['input']))}"
    return f"{subject}: {excerpt(message, MAX_MESSAGE)}"


def explain_error(error: ValidationError) -> str:
    """Describe in one line the first invalid value of a file: ``train.steps: Field required``."""
    first = error.errors(include_url=False)[0]
    where = excerpt(".".join(str(part) for part in first["loc"]))
    message = excerpt(" ".join(first["msg"].split()), MAX_MESSAGE)
    return f"{where}: {message}" if where else message
