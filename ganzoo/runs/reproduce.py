"""Reproduction of a run: the command, and the names and options, that train it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ganzoo import registry
from ganzoo.config import TrainSettings
from ganzoo.errors import escape_text
from ganzoo.registry import ARCHITECTURE, AUGMENTATION, DATASET, LOSS, PENALTY, TRACKER, Kind
from ganzoo.resolve import resolve_with_recipe
from ganzoo.storage.paths import strip_folders

if TYPE_CHECKING:
    from ganzoo.config import ComponentChoice, RunConfig

    Part: TypeAlias = tuple[str, ComponentChoice, Kind, bool]
    """A component: the prefix of its options, how files name it, its kind, and whether defaults
    count."""

WIDTH = 88
"""Characters of a line before a command is continued on the next one."""


@dataclass(frozen=True)
class Reproduction:
    """The arguments that train a run again."""

    architecture: str
    loss: str
    data: str
    steps: int
    seed: int
    settings: Mapping[str, Any]
    """Options that are not the defaults, by their full names."""
    init: str | None = None
    """The model that the run starts from, as its configuration names it."""
    trackers: tuple[str, ...] = ()
    fork: str | None = None
    """The checkpoint of another run that the run starts from, from the folder that holds the run.
    """


def build_reproduction(config: RunConfig, *, whole: bool = True) -> Reproduction:
    """Build the arguments that train a run again; options that are the defaults are omitted.

    Args:
        config: What the run is.
        whole: Whether to include full paths, trackers and the model that the run starts from. If
            not, paths are shortened to their last names, so that the result can be published.

    Raises:
        ganzoo.errors.GanzooError: the package of a component is not installed, so that its
            defaults are not known.
    """
    architecture, loss, data = _find_names(config)
    steps, seed = config.train.steps, config.train.seed
    fork = None if config.fork is None else config.fork.place
    # A run that starts from a model or a fork inherits its options in place of the defaults.
    every = fork is not None or (whole and config.init is not None)
    parts: list[Part] = [
        ("arch", config.architecture, ARCHITECTURE, every),
        ("loss", config.loss, LOSS, every),
        ("data", config.data, DATASET, every),
        *_name_several("augment", config.augmentations, AUGMENTATION, fork is not None),
        *_name_several("penalty", config.penalties, PENALTY, fork is not None),
    ]
    settings: dict[str, Any] = {}
    for part in parts:
        settings |= _find_options(*part)
    settings |= _find_recipe_differences(config, parts)
    if not whole:
        settings = strip_folders(settings)
        return Reproduction(architecture, loss, data, steps, seed, settings, fork=fork)
    for part in _name_several("tracker", config.trackers, TRACKER, fork is not None):
        settings |= _find_options(*part)
    trackers = tuple(_shorten_name(TRACKER, each) for each in config.trackers)
    init = config.init if fork is None else None
    name = None if init is None else "@".join(filter(None, (init.name, init.revision)))
    return Reproduction(architecture, loss, data, steps, seed, settings, name, trackers, fork)


def train_command(config: RunConfig, *, whole: bool = False) -> str:
    """Return the command that trains a run again, in lines that fit a terminal.

    The arguments are those of :func:`build_reproduction`, as are the errors.
    """
    found = build_reproduction(config, whole=whole)
    parts = [
        _quote(["ganzoo", "train", found.architecture]),
        _quote(["--loss", found.loss]),
        _quote(["--data", found.data]),
        *([] if found.init is None else [_quote(["--init", found.init])]),
        *([] if found.fork is None else [_quote(["--fork", found.fork])]),
        _quote(["--steps", str(found.steps)]),
        _quote(["--seed", str(found.seed)]),
        *(_quote(["--tracker", name]) for name in found.trackers),
        *(
            _quote(["--set", f"{key}={format_argument(value)}"])
            for key, value in found.settings.items()
        ),
    ]
    return _wrap(parts)


def format_argument(value: Any) -> str:
    """Format the value of an option as the command line takes it."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(_is_plain(item) for item in value):
        return ",".join(map(format_argument, value))
    return json.dumps(value, ensure_ascii=False)


def _is_plain(item: Any) -> bool:
    return isinstance(item, (int, float)) or (isinstance(item, str) and "," not in item)


def _find_names(config: RunConfig) -> tuple[str, str, str]:
    """Return the names of the architecture, the loss and the dataset."""
    return (
        _shorten_name(ARCHITECTURE, config.architecture),
        _shorten_name(LOSS, config.loss),
        _shorten_name(DATASET, config.data),
    )


def _shorten_name(kind: Kind, choice: ComponentChoice) -> str:
    """Return a component's name, with its package if other packages have the name too."""
    return registry.shorten_name(kind, choice.name, choice.package)


def _quote(words: Iterable[str]) -> str:
    return shlex.join(escape_text(word) for word in words)


def _name_several(
    word: str, choices: Iterable[ComponentChoice], kind: Kind, every: bool
) -> list[Part]:
    """Return the arguments of :func:`_find_options` for components of a kind."""
    return [(f"{word}.{each.name}", each, kind, every) for each in choices]


def _find_options(prefix: str, choice: ComponentChoice, kind: Kind, every: bool) -> dict[str, Any]:
    """Return the options of a component that are not its defaults, or all of them."""
    chosen = choice.build(kind).model_dump(mode="json", exclude_defaults=not every)
    return {f"{prefix}.{name}": value for name, value in chosen.items()}


def _find_recipe_differences(config: RunConfig, parts: Iterable[Part]) -> dict[str, Any]:
    """Return what the run's recipe would give otherwise, and the recipe if it is not the usual."""
    name = config.train.recipe
    is_usual = name == TrainSettings.model_fields["recipe"].default
    changed: dict[str, Any] = {} if is_usual else {"train.recipe": name}
    own: dict[str, Any] = {}
    for prefix, choice, kind, _ in parts:
        own |= _find_options(prefix, choice, kind, every=True)
    named = ("arch.", "loss.", "data.")  # the others belong to what the recipe may not have
    fixed = {key: value for key, value in own.items() if key.startswith(named)}
    recipe, usual = resolve_with_recipe(*_find_names(config), {**fixed, **changed})
    # Defaults, too, of which the recipe gives other values.
    changed |= {key: own[key] for key in recipe.settings if key in own}
    for word, mine, theirs, kind in (
        ("augment", config.augmentations, usual.augmentations, AUGMENTATION),
        ("penalty", config.penalties, usual.penalties, PENALTY),
    ):
        if config.fork or [each.name for each in mine] != [each.name for each in theirs]:
            changed[f"train.{word}"] = [_shorten_name(kind, each) for each in mine]
    train = usual.train.model_dump(mode="json")
    changed |= {
        f"train.{key}": value
        for key, value in config.train.model_dump(mode="json").items()
        if (config.fork or value != train[key]) and key not in ("steps", "seed")
    }
    return {**changed, **_find_schedules(config, usual)}


def _find_schedules(config: RunConfig, usual: RunConfig) -> dict[str, Any]:
    """Return the schedules that the recipe does not give, and what is constant in their place."""
    train = config.train.model_dump(mode="json")
    constant = {
        name: train[name.removeprefix("train.")]
        for name in usual.schedules
        if name.startswith("train.") and name not in config.schedules
    }
    return constant | {
        name: str(each)
        for name, each in config.schedules.items()
        # The options of components are listed with their first values.
        if config.fork or not name.startswith("train.") or usual.schedules.get(name) != each
    }


def _wrap(parts: Sequence[str]) -> str:
    """Join the parts of a command in lines that fit a terminal, where they can."""
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) < WIDTH:
            lines[-1] += f" {part}"
        else:
            lines.append(f"  {part}")
    return " \\\n".join(lines)
