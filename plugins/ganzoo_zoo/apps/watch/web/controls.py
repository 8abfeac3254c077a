"""Controls of the form, made from the options of the chosen components.

Kinds, bounds, values and descriptions are those of the options themselves. Only some words
for a class are added: :data:`~ganzoo_zoo.apps.watch.web.words.WORDS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from ganzoo.config import TrainSettings
from ganzoo.registry import ARCHITECTURE, DATASET, LOSS
from ganzoo.runs.reproduce import format_argument
from ganzoo_zoo.apps.watch.web.choices import can_be_text, find_allowed_texts, find_class
from ganzoo_zoo.apps.watch.web.words import WORDS

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from ganzoo.config import RunConfig

INTEGER, NUMBER, CHOICE, SWITCH, WIDTHS, TEXT = (
    *("integer", "number", "choice", "switch", "widths", "text"),
)
"""Kinds of controls."""
GROUPS = (
    ("data", "data", DATASET),
    ("architecture", "arch", ARCHITECTURE),
    ("loss", "loss", LOSS),
)


def list_controls(config: RunConfig) -> list[dict[str, Any]]:
    """Return the controls of a run's options as JSON.

    Each has ``key``, the option's full name; ``group``: data, architecture, loss or train;
    ``label``; ``about``; ``kind``; ``value``, as the recipe gives it, written as for ``--set`` and
    empty for none; ``least`` and ``most``, or null; ``choices``; ``optional``, whether none is a
    value; and ``front``, whether :data:`WORDS` has it. Options that may name files are left out.
    """
    found: list[dict[str, Any]] = []
    for group, prefix, kind in GROUPS:
        choice = getattr(config, group)
        values = config.write_schedules(prefix, choice.options_for(find_class(kind, choice)))
        found += _list_group(group, prefix, find_class(kind, choice), values)
    several = {
        "penalty": [each.name for each in config.penalties],
        "augment": [each.name for each in config.augmentations],
    }
    train = config.write_schedules("train", config.train.model_dump(mode="json"))
    found += _list_group("train", "train", TrainSettings, train | several)
    order = list(WORDS)
    return sorted(found, key=lambda each: order.index(each["key"]) if each["front"] else len(order))


def _list_group(
    group: str, prefix: str, component: Any, values: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    for name, field in component.model_fields.items():
        key = f"{prefix}.{name}"
        parts = _without_none(field.annotation)
        described = _describe(parts[0], field) if len(parts) == 1 else None
        if described is None and can_be_text(field.annotation) and _holds_texts(parts):
            described = {"kind": TEXT} if find_allowed_texts(prefix, field) else None
        if described is None:
            continue
        value = values.get(name, field.default)
        label, about = WORDS.get(key, (name.replace("_", " ").capitalize(), field.description))
        yield {
            "key": key,
            "group": group,
            "label": label,
            "about": about or "",
            "value": "" if value in (None, [], ()) else format_argument(value),
            "least": None,
            "most": None,
            "choices": [],
            "optional": NoneType in get_args(field.annotation),
            "front": key in WORDS,
            **described,
        }


def _without_none(annotation: Any) -> list[Any]:
    """Return the types that an annotation joins, but for None."""
    if get_origin(annotation) is Annotated:
        return _without_none(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [
            part
            for each in get_args(annotation)
            if each is not NoneType
            for part in _without_none(each)
        ]
    return [annotation]


def _describe(annotation: Any, field: FieldInfo) -> dict[str, Any] | None:
    """Return the kind of control of a type without texts, and its bounds; None if none fits."""
    if get_origin(annotation) is Literal:
        return {"kind": CHOICE, "choices": list(map(format_argument, get_args(annotation)))}
    if annotation is bool:
        return {"kind": SWITCH, "choices": ["true", "false"]}
    if annotation is int:
        return {"kind": INTEGER, **_find_bounds(field.metadata, 1)}
    if annotation is float:
        return {"kind": NUMBER, **_find_bounds(field.metadata, 0)}
    if get_origin(annotation) is not tuple or can_be_text(annotation):
        return None
    first, *rest = get_args(annotation)
    inner, *about = get_args(first) or (first,)
    if rest == [...] and inner is int:
        metadata = [part for each in about for part in getattr(each, "metadata", [each])]
        return {"kind": WIDTHS, **_find_bounds(metadata, 1)}
    return {"kind": TEXT}


def _holds_texts(parts: list[Any]) -> bool:
    """Tell whether types are texts, or lists of texts, and not tables."""
    return all(
        part is str or (get_origin(part) is tuple and str in get_args(part)) for part in parts
    )


def _find_bounds(metadata: list[Any], unit: int) -> dict[str, Any]:
    """Return the least and the most value; ``unit`` is 1 for whole numbers, and 0 for others."""
    found: dict[str, Any] = {}
    for each in metadata:
        for word, bound, inwards in (
            *(("ge", "least", 0), ("gt", "least", unit)),
            *(("le", "most", 0), ("lt", "most", -unit)),
        ):
            if (value := getattr(each, word, None)) is not None:
                found[bound] = value + inwards
    return found
