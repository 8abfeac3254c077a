"""The runs that can be started from the page: names and options from the registry, but no paths."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from ganzoo import registry
from ganzoo.component import parse_options
from ganzoo.config import ComponentChoice, RunConfig, TrainOptions, TrainSettings
from ganzoo.errors import GanzooError, InputError, excerpt
from ganzoo.registry import ARCHITECTURE, AUGMENTATION, DATASET, LOSS, PENALTY, TRACKER, Kind
from ganzoo.resolve import resolve
from ganzoo.runs.reproduce import format_argument
from ganzoo_zoo.apps.watch.points import tracker

DEFAULTS = {"architecture": "mlp", "data": "ring"}
"""Preselected components, if they are installed."""
OPTION_LABELS = {
    "steps": "Steps",
    "batch_size": "Batch size",
    "n_critic": "Critic steps",
    "generator_lr": "Generator's learning rate",
    "discriminator_lr": "Discriminator's learning rate",
    "sample_every": "Steps between pictures",
    "seed": "Seed",
}
"""Training options with their own form fields, and their labels; other options are set by name."""
IMAGE_SETTINGS = {"train.log_every": 1, "train.sample_every": 20}
POINT_SETTINGS = {"train.log_every": 1, "train.sample_every": 50}
"""How often runs from the page are shown. What is trained is what ``ganzoo train`` would train."""
MOST_SETTINGS = 100
PLAIN_TEXT = re.compile("[A-Za-z0-9][A-Za-z0-9_:, -]*")
"""A list of names, which cannot be a path."""
SEVERAL = {"augment": AUGMENTATION, "penalty": PENALTY}
KINDS = {
    "arch": (ARCHITECTURE, "architecture"),
    "loss": (LOSS, "loss"),
    "data": (DATASET, "data"),
}


def list_choices() -> dict[str, Any]:
    """Return all choices as JSON: components and options, each with a description."""
    fields = TrainOptions.model_fields
    return {
        "first": DEFAULTS,
        "architectures": list(_list_usable(ARCHITECTURE)),
        "losses": list(_list_usable(LOSS)),
        "data": sorted(_list_usable(DATASET), key=lambda each: not each["points"]),
        "options": [
            {"name": f"train.{name}", "label": label, "about": str(fields[name].description)}
            for name, label in OPTION_LABELS.items()
        ],
    }


def resolve_choices(
    architecture: str, loss: str | None, data: str | None, settings: Mapping[str, str]
) -> RunConfig:
    """Return the configuration of a run that the page requests.

    Args:
        architecture: Name of an architecture.
        loss: Name of a loss; that of :func:`find_default_loss` if None.
        data: Name of a dataset; the architecture's own default if None.
        settings: Options by their full names, with values as for ``--set``.

    Raises:
        InputError: a name or an option is wrong, or may not be set from the page.
    """
    _require_names(architecture, loss, data)
    if len(settings) > MOST_SETTINGS:
        raise InputError(f"at most {MOST_SETTINGS} options can be set here")
    plain = resolve(architecture, loss, data)
    for key, value in settings.items():
        _require_plain(key, value, plain)
    holds = _find_class(DATASET, plain.data).holds
    defaults = POINT_SETTINGS if holds in ("vectors", "points") else IMAGE_SETTINGS
    return resolve(architecture, loss, data, {**defaults, **settings}, [_tracker_name()])


def find_default_loss(architecture: str, data: str | None) -> str | None:
    """Return the loss that a run gets if none is chosen; None if one must be chosen."""
    try:
        return resolve(architecture, None, data).loss.name
    except InputError:
        return None


def placeholders(config: RunConfig) -> dict[str, str]:
    """Return the values of the options with form fields, written as for ``--set``."""
    values = {name: getattr(config.train, name) for name in OPTION_LABELS}
    shown = config.write_schedules("train", values)
    return {f"train.{name}": format_argument(value) for name, value in shown.items()}


def _list_usable(kind: Kind) -> Iterator[dict[str, Any]]:
    """Yield the installed components of a kind that need no options, such as paths."""
    listed = registry.entries(kind)
    twice = registry.conflicts(listed)
    for entry in listed:
        try:
            component = parse_options(entry.load(), {})
        except GanzooError:
            continue
        if kind == DATASET and component.is_given:
            continue
        yield {
            "name": entry.qualified if entry.name in twice else entry.name,
            "about": type(component).summary().replace("``", ""),
            "paper": component.paper,
            "points": kind == DATASET and component.holds in ("vectors", "points"),
            "data": getattr(component, "default_data", None),
        }


def _tracker_name() -> str:
    """Return the registered name of this package's tracker."""
    target = f"{tracker.__name__}:{tracker.WatchTracker.__name__}"
    (entry,) = [entry for entry in registry.entries(TRACKER) if entry.target == target]
    return entry.qualified


def _require_names(architecture: str, loss: str | None, data: str | None) -> None:
    """Refuse anything but registered names: elsewhere data may be a path, but not here."""
    for kind, name in ((ARCHITECTURE, architecture), (LOSS, loss), (DATASET, data)):
        if name is not None:
            parse_options(registry.find(kind, name).load(), {}, f"{kind.word} {excerpt(name)}: ")


def _require_plain(key: str, value: str, config: RunConfig) -> None:
    """Refuse an option whose value may be a path; unknown options are refused later."""
    owner, _, name = key.partition(".")
    if not _can_be_text(_find_annotation(owner, name, config)):
        return
    if owner == "data" or not PLAIN_TEXT.fullmatch(value):
        raise InputError(f"'{excerpt(key)}' may name a file: set it with ganzoo train instead")


def _find_annotation(owner: str, name: str, config: RunConfig) -> Any:
    """Return the type of an option; None if the option is unknown, which is refused later."""
    component: Any = None
    if owner == "train":
        component = TrainSettings
    elif owner in SEVERAL:
        whose, _, name = name.partition(".")
        component = registry.get(SEVERAL[owner], whose)
    elif owner == "tracker":
        component, name = tracker.WatchTracker, name.partition(".")[2]
    elif owner in KINDS:
        kind, word = KINDS[owner]
        component = _find_class(kind, getattr(config, word))
    field = component and component.model_fields.get(name)
    return field.annotation if field else None


def _find_class(kind: Kind, choice: ComponentChoice) -> Any:
    return registry.get(kind, f"{choice.package}:{choice.name}")


def _can_be_text(annotation: Any) -> bool:
    """Tell whether an option accepts any text, and not only numbers, booleans and fixed words."""
    if get_origin(annotation) is Literal:
        return False
    if parts := get_args(annotation):
        return any(map(_can_be_text, parts))
    if inspect.isclass(annotation):
        return not issubclass(annotation, (int, float, NoneType))
    return annotation is Any
