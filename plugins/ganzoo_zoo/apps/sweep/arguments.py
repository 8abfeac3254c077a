"""Parsing the command-line arguments of a grid."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from ganzoo import registry
from ganzoo.config import TrainSettings
from ganzoo.errors import InputError
from ganzoo.registry import ARCHITECTURE, AUGMENTATION, DATASET, LOSS, PENALTY
from ganzoo.resolve import choose_data, find_default_data, parse_settings
from ganzoo.storage.paths import user_path

SEVERAL = {"augment": AUGMENTATION, "penalty": PENALTY}
"""Kinds of components that a run may have several of, by the prefixes of their options."""
WHOLE = (tuple, list, set, frozenset, dict)
"""Types whose values contain commas."""
COMMA = re.compile(r",(?![^(\[]*[)\]])")
"""A comma that is not within brackets, as those of a schedule are."""


def read_names(text: str, option: str) -> tuple[str, ...]:
    """Read a comma-separated list; commas within brackets separate nothing.

    Raises:
        InputError: a part is empty.
    """
    parts = tuple(part.strip() for part in COMMA.split(text))
    if not all(parts):
        raise InputError(f"{option} {text}: a value is missing beside a comma")
    return parts


def read_data(text: str | None) -> str | None:
    """Return the name of a dataset unchanged, and a path as an absolute path."""
    if text is None or registry.find_all(DATASET, text) or not user_path(text).exists():
        return text
    return str(user_path(text).resolve())


def read_settings(
    items: Iterable[str],
    architectures: Sequence[str],
    losses: Sequence[str],
    data: str | None,
) -> dict[str, tuple[str, ...]]:
    """Read ``KEY=VALUE`` items; each adds values to its key.

    Commas separate values, except for options whose value is itself a list: there, each further
    item gives another value.

    Args:
        items: Items from the command line.
        architectures: Architectures that ``arch.`` keys belong to.
        losses: Losses that ``loss.`` keys belong to; if empty, the architectures' defaults.
        data: Dataset or path that ``data.`` keys belong to; if None, the architectures' defaults.

    Raises:
        InputError: an item has no ``=``, a value is missing, or a name is unknown.
    """
    settings: dict[str, tuple[str, ...]] = {}
    for item in items:
        ((key, text),) = parse_settings([item]).items()
        models = option_models(key, architectures, losses, data)
        name = key.rpartition(".")[2]
        fields = [model.model_fields[name] for model in models if name in model.model_fields]
        whole = any(_has_commas(field.annotation) for field in fields)
        values = (text,) if whole or not COMMA.search(text) else read_names(text, f"--set {key}")
        settings[key] = settings.get(key, ()) + values
    return settings


def option_models(
    key: str, architectures: Sequence[str], losses: Sequence[str], data: str | None
) -> Iterator[Any]:
    """Yield the models that may have an option: component classes, or the training settings."""
    prefix, _, rest = key.partition(".")
    if prefix == "train":
        yield TrainSettings
    elif prefix in SEVERAL and (name := rest.rpartition(".")[0]):
        yield registry.get(SEVERAL[prefix], name)
    elif prefix in ("arch", "loss", "data"):
        classes = [registry.get(ARCHITECTURE, name) for name in architectures]
        if prefix == "arch":
            yield from classes
        elif prefix == "loss":
            own = [each.default_loss for each in classes if each.default_loss]
            yield from (registry.get(LOSS, name) for name in losses or own)
        else:
            packages = (registry.find(ARCHITECTURE, name).package for name in architectures)
            own = [
                each.default_data or find_default_data(package)
                for each, package in zip(classes, packages, strict=True)
            ]
            yield from map(_dataset, [data] if data else filter(None, own))


def is_integer(annotation: Any) -> bool:
    """Tell whether an option of this type is a whole number."""
    if get_origin(annotation) in (Union, UnionType, Annotated):
        members = get_args(annotation)
        return float not in members and any(map(is_integer, members))
    return annotation is int


def _dataset(data: str) -> Any:
    if not registry.find_all(DATASET, data):
        chosen = choose_data(data, {})  # a path
        data = f"{chosen.package}:{chosen.name}"
    return registry.get(DATASET, data)


def _has_commas(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in (Union, UnionType, Annotated):
        return any(map(_has_commas, get_args(annotation)))
    return (origin or annotation) in WHOLE
