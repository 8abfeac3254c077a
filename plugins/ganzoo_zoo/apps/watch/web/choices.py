"""The runs that can be started from the page: names and options from the registry, but no paths."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from ganzoo import registry
from ganzoo.component import parse_options
from ganzoo.config import ComponentChoice, RunConfig, TrainSettings
from ganzoo.errors import GanzooError, InputError, excerpt
from ganzoo.models.named import NamedFolder
from ganzoo.registry import (
    ARCHITECTURE,
    AUGMENTATION,
    DATASET,
    LOSS,
    MODEL,
    PENALTY,
    TRACKER,
    Entry,
    Kind,
)
from ganzoo.resolve import resolve
from ganzoo.runs.reproduce import format_argument
from ganzoo.training.warm_start import StartingWeights
from ganzoo_zoo.apps.watch.points import tracker
from ganzoo_zoo.apps.watch.presets import read_presets
from ganzoo_zoo.apps.watch.web.sketches import make_sketch
from ganzoo_zoo.apps.watch.web.words import WORDS
from ganzoo_zoo.data.points import drawn

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

DEFAULTS = {"architecture": "mlp", "data": "ring"}
"""Preselected components, if they are installed."""
IMAGE_SETTINGS = {"train.log_every": 1, "train.sample_every": 20}
POINT_SETTINGS = {"train.log_every": 1, "train.sample_every": 50}
"""How often runs from the page are shown. What is trained is what ``ganzoo train`` would train."""
MOST_SETTINGS = 100
PLAIN_TEXT = re.compile("[A-Za-z0-9][A-Za-z0-9_:, -]*")
"""A list of names, which cannot be a path."""
PLAIN_NUMBERS = re.compile(r"(?=\D*\d)[\d+.,;\s-]+", re.ASCII)
"""Numbers with signs, commas and the like between them, such as strokes that somebody has drawn."""
PATHS = ("a", "a/b", "/a", "\\a")
"""Texts that an option that demands numbers refuses."""
POINTS = ("vectors", "points")
"""Kinds of data that lie in the plane, or may."""
SEVERAL = {"augment": AUGMENTATION, "penalty": PENALTY}
KINDS = {
    "arch": (ARCHITECTURE, "architecture"),
    "loss": (LOSS, "loss"),
    "data": (DATASET, "data"),
}


def list_choices() -> dict[str, Any]:
    """Return all choices as JSON: components, models and options, each with a description."""
    return {
        "first": DEFAULTS,
        "architectures": list(_list_usable(ARCHITECTURE)),
        "losses": list(_list_usable(LOSS)),
        "data": sorted(_list_usable(DATASET), key=lambda each: not each["points"]),
        "presets": [each.model_dump() for each in read_presets()],
        "drawn": _find_name(DATASET, drawn.Drawn),
        "models": [_describe_model(name, model) for name, model in find_models().items()],
        "options": [
            {"name": name, "label": label, "about": about} for name, (label, about) in WORDS.items()
        ],
    }


def resolve_choices(
    architecture: str,
    loss: str | None,
    data: str | None,
    settings: Mapping[str, str],
    init: str | None = None,
) -> RunConfig:
    """Return the configuration of a run that the page requests.

    Args:
        architecture: Name of an architecture.
        loss: Name of a loss; that of :func:`find_default_loss`, or of the model, if None.
        data: Name of a dataset; the architecture's own default, or the model's, if None.
        settings: Options by their full names, with values as for ``--set``.
        init: Name of a model to start from, one of :func:`find_models`.

    Raises:
        InputError: a name or an option is wrong, or may not be set from the page.
    """
    _require_names(architecture, loss, data)
    if len(settings) > MOST_SETTINGS:
        raise InputError(f"at most {MOST_SETTINGS} options can be set here")
    resolve_from = resolve if init is None else _require_model(init).resolve
    plain = resolve_from(architecture, loss, data)
    for key, value in settings.items():
        _require_plain(key, value, plain)
    is_plane = find_class(DATASET, plain.data).holds in POINTS
    defaults = POINT_SETTINGS if is_plane else IMAGE_SETTINGS
    return resolve_from(architecture, loss, data, {**defaults, **settings}, [_tracker_name()])


@cache
def find_models() -> dict[str, StartingWeights]:
    """Return the models that came with installed packages and that the page can train on, by name.

    All of their files are here, and the page offers their architecture and data.
    """
    usable = {
        (kind, choice.package, choice.name)
        for kind in (ARCHITECTURE, DATASET)
        for choice in registry.entries(kind)
        if _is_usable(kind, choice)
    }
    found = {}
    for entry in registry.entries(MODEL):
        try:
            folder = NamedFolder(entry)
            model = None if folder.place else StartingWeights.describe(folder)
        except GanzooError:
            continue  # it is damaged, or for another version, as 'ganzoo list models' says
        if (
            model is not None
            and {
                (ARCHITECTURE, model.config.architecture.package, model.config.architecture.name),
                (DATASET, model.config.data.package, model.config.data.name),
            }
            <= usable
        ):
            found[folder.reference] = model
    return found


def find_fitting_models(config: RunConfig) -> list[str]:
    """Return the names of the models of a run's architecture that were trained on such data."""
    holds = find_class(DATASET, config.data).holds
    return [
        name
        for name, model in find_models().items()
        if model.config.architecture.qualified == config.architecture.qualified
        and find_class(DATASET, model.config.data).holds == holds
    ]


def _require_model(name: str) -> StartingWeights:
    if (found := find_models().get(name)) is None:
        known = ", ".join(find_models()) or "none"
        raise InputError(f"no model to start from is called '{excerpt(name)}'; known: {known}")
    return found


def _describe_model(name: str, model: StartingWeights) -> dict[str, Any]:
    config = model.config
    return {
        "name": name,
        "title": f"{config.title}, {config.step:,} steps",
        "architecture": config.architecture.name,
        "data": config.data.name,
    }


def find_default_loss(architecture: str, data: str | None) -> str | None:
    """Return the loss that a run gets if none is chosen; None if one must be chosen."""
    try:
        return resolve(architecture, None, data).loss.name
    except InputError:
        return None


def placeholders(config: RunConfig) -> dict[str, str]:
    """Return the values of the training options that stand in front, written as for ``--set``."""
    fronted = [name.removeprefix("train.") for name in WORDS if name.startswith("train.")]
    shown = config.write_schedules("train", {name: getattr(config.train, name) for name in fronted})
    return {f"train.{name}": format_argument(value) for name, value in shown.items()}


def _list_usable(kind: Kind) -> Iterator[dict[str, Any]]:
    """Yield the installed components of a kind that need no options, such as paths."""
    listed = registry.entries(kind)
    twice = registry.conflicts(listed)
    for entry in listed:
        if not _is_usable(kind, entry):
            continue
        component = parse_options(entry.load(), {})
        is_points = kind == DATASET and component.holds in POINTS
        yield {
            "name": entry.qualified if entry.name in twice else entry.name,
            "about": type(component).summary().replace("``", ""),
            "paper": component.paper,
            "points": is_points,
            "data": getattr(component, "default_data", None),
            "sketch": make_sketch(component) if is_points else None,
        }


def _is_usable(kind: Kind, entry: Entry) -> bool:
    try:
        component = parse_options(entry.load(), {})
    except GanzooError:
        return False
    return not (kind == DATASET and component.is_given)


def _find_name(kind: Kind, component: type) -> str | None:
    """Return the registered name of a component of this package; None if it is not registered."""
    target = f"{component.__module__}:{component.__name__}"
    found = (entry for entry in registry.entries(kind) if entry.target == target)
    return next((registry.shorten_name(kind, each.name, each.package) for each in found), None)


def _tracker_name() -> str:
    """Return the registered name of this package's tracker."""
    name = _find_name(TRACKER, tracker.WatchTracker)
    assert name is not None, "it is registered with this module"
    return name


def _require_names(architecture: str, loss: str | None, data: str | None) -> None:
    """Refuse anything but registered names: elsewhere data may be a path, but not here."""
    for kind, name in ((ARCHITECTURE, architecture), (LOSS, loss), (DATASET, data)):
        if name is not None:
            parse_options(registry.find(kind, name).load(), {}, f"{kind.word} {excerpt(name)}: ")


def _require_plain(key: str, value: str, config: RunConfig) -> None:
    """Refuse an option whose value may be a path; unknown options are refused later."""
    owner, _, name = key.partition(".")
    field = _find_field(owner, name, config)
    if field is None or not can_be_text(field.annotation):
        return
    allowed = find_allowed_texts(owner, field)
    if allowed is None or not allowed.fullmatch(value):
        raise InputError(f"'{excerpt(key)}' may name a file: set it with ganzoo train instead")


def _find_field(owner: str, name: str, config: RunConfig) -> FieldInfo | None:
    """Return the field of an option; None if the option is unknown, which is refused later."""
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
        component = find_class(kind, getattr(config, word))
    return component and component.model_fields.get(name)


def find_class(kind: Kind, choice: ComponentChoice) -> Any:
    """Return the class of a component."""
    return registry.get(kind, choice.qualified)


def find_allowed_texts(owner: str, field: FieldInfo) -> re.Pattern[str] | None:
    """Return the form of the texts to which an option that can be text may be set from the page.

    A text could be a path. So it is a list of names; for data it is numbers, and only where the
    option itself demands a form that no name has. None if no text may be given.

    Args:
        owner: Prefix of the option's full name.
        field: The option.
    """
    if owner != "data":
        return PLAIN_TEXT
    forms = [each.pattern for each in field.metadata if getattr(each, "pattern", None)]
    demands_numbers = any(not any(re.search(form, path) for path in PATHS) for form in forms)
    return PLAIN_NUMBERS if demands_numbers else None


def can_be_text(annotation: Any) -> bool:
    """Tell whether an option accepts any text, and not only numbers, booleans and fixed words."""
    if get_origin(annotation) is Literal:
        return False
    if parts := get_args(annotation):
        return any(map(can_be_text, parts))
    if inspect.isclass(annotation):
        return not issubclass(annotation, (int, float, NoneType))
    return annotation is Any
