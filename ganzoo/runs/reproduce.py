"""How a run is trained again: the names and options that its configuration follows from."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ganzoo import registry
from ganzoo.component import parse_options
from ganzoo.config import TrainSettings
from ganzoo.errors import escape_text
from ganzoo.registry import ARCHITECTURE, AUGMENTATION, DATASET, LOSS, TRACKER, Kind
from ganzoo.resolve import resolve
from ganzoo.storage.paths import strip_folders

if TYPE_CHECKING:
    from ganzoo.config import ComponentChoice, RunConfig

WIDTH = 88
"""Characters of a command before it is broken into lines."""


@dataclass(frozen=True)
class Reproduction:
    """What is given to train a run again."""

    architecture: str
    loss: str
    data: str
    steps: int
    seed: int
    settings: Mapping[str, Any]
    """Options by their full names, as far as they are not the defaults."""
    init: str | None = None
    """The model that it starts from, as the run's configuration names it."""
    trackers: tuple[str, ...] = ()


def build_reproduction(config: RunConfig, *, whole: bool = True) -> Reproduction:
    """Find what a run was given that is not the default.

    Args:
        config: What the run is.
        whole: Whether paths are whole, and what changes no number is named too. If not, paths are
            shortened to their last names: where files lie is nobody's business.

    Raises:
        ganzoo.errors.GanzooError: the package of a part is not installed, so that its defaults are
            not known.
    """
    architecture, loss, data = _names(config)
    settings: dict[str, Any] = {}
    # What is not said of a run that starts from a model is the model's, and not the default.
    every = whole and config.init is not None
    for prefix, choice, kind in (
        ("arch", config.architecture, ARCHITECTURE),
        ("loss", config.loss, LOSS),
        ("data", config.data, DATASET),
    ):
        settings |= _options(prefix, choice, kind, every)
    for each in config.augmentations:
        settings |= _options(f"augment.{each.name}", each, AUGMENTATION)
    settings |= _train_options(config)
    if not whole:
        return Reproduction(
            architecture, loss, data, *_steps_and_seed(config), strip_folders(settings)
        )
    for each in config.trackers:
        settings |= _options(f"tracker.{each.name}", each, TRACKER)
    trackers = tuple(_shortest_name(TRACKER, each) for each in config.trackers)
    init = config.init
    name = None if init is None else "@".join(filter(None, (init.name, init.revision)))
    return Reproduction(
        architecture, loss, data, *_steps_and_seed(config), settings, name, trackers
    )


def train_command(config: RunConfig, *, whole: bool = False) -> str:
    """Return the command that trains a run again, in lines that a terminal shows whole.

    The arguments are those of :func:`build_reproduction`.
    """
    found = build_reproduction(config, whole=whole)
    parts = [
        _quote(["ganzoo", "train", found.architecture]),
        _quote(["--loss", found.loss]),
        _quote(["--data", found.data]),
        *([] if found.init is None else [_quote(["--init", found.init])]),
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
    """Return a value as the command line takes it."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(_is_plain(item) for item in value):
        return ",".join(map(format_argument, value))
    return json.dumps(value, ensure_ascii=False)


def _is_plain(item: Any) -> bool:
    return isinstance(item, (int, float)) or (isinstance(item, str) and "," not in item)


def _steps_and_seed(config: RunConfig) -> tuple[int, int]:
    return config.train.steps, config.train.seed


def _names(config: RunConfig) -> list[str]:
    return [
        _shortest_name(kind, choice)
        for kind, choice in (
            (ARCHITECTURE, config.architecture),
            (LOSS, config.loss),
            (DATASET, config.data),
        )
    ]


def _shortest_name(kind: Kind, choice: ComponentChoice) -> str:
    """Return what the command line calls a part: by the package too where it must."""
    alone = len(registry.find_all(kind, choice.name)) == 1
    return choice.name if alone else f"{choice.package}:{choice.name}"


def _quote(words: Iterable[str]) -> str:
    return shlex.join(escape_text(word) for word in words)


def _options(
    prefix: str, choice: ComponentChoice, kind: Kind, every: bool = False
) -> dict[str, Any]:
    """Return the options of a component that are not its defaults, or every one."""
    entry = registry.find_in_package(kind, choice.name, choice.package, choice.version)
    built = parse_options(entry.load(), choice.options)
    chosen = built.model_dump(mode="json", exclude_defaults=not every)
    return {f"{prefix}.{name}": value for name, value in chosen.items()}


def _train_options(config: RunConfig) -> dict[str, Any]:
    """Return the options of the training that are not those of the parts' recipe."""
    options = {
        f"{prefix}.{name}": value
        for prefix, choice in (
            ("arch", config.architecture),
            ("loss", config.loss),
            ("data", config.data),
        )
        for name, value in choice.options.items()
    }
    plain = resolve(*_names(config), options).train
    usual = plain.model_dump(mode="json")
    chosen = {
        f"train.{name}": value
        for name, value in config.train.model_dump(mode="json").items()
        if value != usual[name] and name not in ("steps", "seed")
    }
    names = [each.name for each in config.augmentations]
    default = list(TrainSettings.model_fields["augment"].default)
    return {**({"train.augment": names} if names != default else {}), **chosen}


def _wrap(parts: Sequence[str]) -> str:
    """Join the parts of a command, in lines that a terminal shows whole where that can be."""
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) < WIDTH:
            lines[-1] += f" {part}"
        else:
            lines.append(f"  {part}")
    return " \\\n".join(lines)
