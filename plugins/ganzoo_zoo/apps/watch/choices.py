"""What may be trained from a page: names and options as the registry has them, and no paths."""

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
from ganzoo.protocols.dataset import ImageDataset
from ganzoo.registry import ARCHITECTURE, AUGMENTATION, DATASET, LOSS, TRACKER, Kind
from ganzoo.resolve import resolve
from ganzoo.runs.reproduce import format_argument
from ganzoo_zoo.apps.watch import tracker

DEFAULTS = {"architecture": "mlp", "data": "ring"}
"""What a page offers first, where it is installed."""
OPTION_LABELS = {
    "steps": "Steps",
    "batch_size": "Batch size",
    "n_critic": "Critic steps",
    "generator_lr": "Generator's learning rate",
    "discriminator_lr": "Discriminator's learning rate",
    "sample_every": "Steps between pictures",
    "seed": "Seed",
}
"""Options of training that have fields of their own, as these are labelled; any other is set by
name."""
IMAGE_SETTINGS = {"train.log_every": 1, "train.sample_every": 20}
POINT_SETTINGS = {"train.log_every": 1, "train.sample_every": 50, "train.steps": 20_000}
"""How closely a page looks at what it trains, unless it is asked for otherwise, and how long points
are trained: a step of theirs takes a moment, and whoever has seen enough stops it."""
MOST_SETTINGS = 100
PLAIN_TEXT = re.compile("[A-Za-z0-9][A-Za-z0-9_:, -]*")
"""Text that is a name or a few, and leads to no file or folder."""
KINDS = {
    "arch": (ARCHITECTURE, "architecture"),
    "loss": (LOSS, "loss"),
    "data": (DATASET, "data"),
}


def list_choices() -> dict[str, Any]:
    """Return what can be chosen, as JSON: names with what they are, and options with theirs."""
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
    """Return the configuration of a run that a page asks for.

    Args:
        architecture: Name of an architecture.
        loss: Name of a loss; the architecture's own default if None.
        data: Name of a dataset; the architecture's own default if None.
        settings: Options as ``--set`` takes them, by their full names.

    Raises:
        InputError: a name or an option is wrong, or is none that a page may set.
    """
    _require_names(architecture, loss, data)
    if len(settings) > MOST_SETTINGS:
        raise InputError(f"at most {MOST_SETTINGS} options can be set here")
    plain = resolve(architecture, loss, data)
    for key, value in settings.items():
        _require_plain(key, value, plain)
    usual = POINT_SETTINGS if _has_points(_find_class(DATASET, plain.data)) else IMAGE_SETTINGS
    return resolve(architecture, loss, data, {**usual, **settings}, [_tracker_name()])


def placeholders(config: RunConfig) -> dict[str, str]:
    """Return what the options that have fields are, as ``--set`` takes them."""
    return {f"train.{name}": format_argument(getattr(config.train, name)) for name in OPTION_LABELS}


def _list_usable(kind: Kind) -> Iterator[dict[str, Any]]:
    """Yield what is installed of a kind and needs no option, such as a path, to be used."""
    listed = registry.entries(kind)
    twice = registry.conflicts(listed)
    for entry in listed:
        try:
            component = parse_options(entry.load(), {})
        except GanzooError:
            continue
        yield {
            "name": entry.qualified if entry.name in twice else entry.name,
            "about": type(component).summary().replace("``", ""),
            "paper": component.paper,
            "points": kind == DATASET and _has_points(type(component)),
            "loss": getattr(component, "default_loss", None),
            "data": getattr(component, "default_data", None),
        }


def _has_points(component: type) -> bool:
    return not issubclass(component, ImageDataset)


def _tracker_name() -> str:
    """Return what this package's tracker is called here."""
    target = f"{tracker.__name__}:{tracker.WatchTracker.__name__}"
    (entry,) = [entry for entry in registry.entries(TRACKER) if entry.target == target]
    return entry.qualified


def _require_names(architecture: str, loss: str | None, data: str | None) -> None:
    """Refuse what is no name: data may be a path elsewhere, and not here."""
    for kind, name in ((ARCHITECTURE, architecture), (LOSS, loss), (DATASET, data)):
        if name is not None:
            parse_options(registry.find(kind, name).load(), {}, f"{kind.word} {excerpt(name)}: ")


def _require_plain(key: str, value: str, config: RunConfig) -> None:
    """Refuse an option that is or may hold a path; one that is unknown is refused elsewhere."""
    owner, _, name = key.partition(".")
    if not _can_be_text(_find_annotation(owner, name, config)):
        return
    if owner == "data" or not PLAIN_TEXT.fullmatch(value):
        raise InputError(f"'{excerpt(key)}' can name a file, and is not set here: use ganzoo train")


def _find_annotation(owner: str, name: str, config: RunConfig) -> Any:
    """Return what an option may be; None if there is none of that name, which is refused later."""
    component: Any = None
    if owner == "train":
        component = TrainSettings
    elif owner == "augment":
        augmentation, _, name = name.partition(".")
        component = registry.get(AUGMENTATION, augmentation)
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
    """Tell whether an option's values may be anything but numbers, yes and no, and fixed words."""
    if get_origin(annotation) is Literal:
        return False
    if parts := get_args(annotation):
        return any(map(_can_be_text, parts))
    if inspect.isclass(annotation):
        return not issubclass(annotation, (int, float, NoneType))
    return annotation is Any
