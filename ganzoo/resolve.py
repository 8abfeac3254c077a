"""Turns names and overrides into a complete run configuration."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ganzoo import registry
from ganzoo.component import parse_options
from ganzoo.errors import InputError, did_you_mean
from ganzoo.protocols.dataset import DataSpec
from ganzoo.registry import ARCHITECTURE, AUGMENTATION, DATASET, LOSS, TRACKER, Kind
from ganzoo.storage.paths import user_path

if TYPE_CHECKING:
    from ganzoo.protocols.dataset import DataSpec
from ganzoo.config import PREFIXES, ComponentChoice, RunConfig, TrainSettings, versions


def resolve(
    architecture: str,
    loss: str | None = None,
    data: str | None = None,
    settings: Mapping[str, Any] | None = None,
    trackers: Iterable[str] = (),
    like: DataSpec | None = None,
) -> RunConfig:
    """Turn names and overrides into a configuration with every option.

    Args:
        architecture: Name of an architecture.
        loss: Name of a loss; the architecture's own default if None.
        data: Name of a dataset, or a path to a folder or a file that an installed dataset reads;
            the architecture's own default if None.
        settings: Overrides, such as ``{"loss.gp_weight": 5, "train.steps": 1000}``.
        trackers: Names of what follows the run beside its own files.
        like: As for :func:`choose_data`.

    Raises:
        InputError: a name, an option or a value is wrong; the message says which.
    """
    groups = _group_settings(settings or {})
    architecture_choice, chosen = _choose(ARCHITECTURE, architecture, groups["arch"], "arch.")
    loss = loss or chosen.default_loss
    data = data or chosen.default_data
    for word, name in (("loss", loss), ("data", data)):
        if name is None:
            raise InputError(f"architecture '{architecture}' has no default {word}; give --{word}")
    loss_choice, loss_component = _choose(LOSS, loss, groups["loss"], "loss.")
    recipe = loss_component.recipe
    if chosen.recipe and loss_choice.name == chosen.default_loss:
        recipe = chosen.recipe
    train = parse_options(TrainSettings, {**recipe.model_dump(), **groups["train"]}, "train.")
    return RunConfig(
        architecture=architecture_choice,
        loss=loss_choice,
        data=choose_data(data, groups["data"], like),
        train=train.options(),
        augmentations=_choose_augmentations(train.augment, groups["augment"]),
        trackers=_choose_several(
            TRACKER, trackers, groups["tracker"], ("tracker", "--tracker NAME")
        ),
        versions=versions(),
    )


def change_config(
    config: RunConfig, names: Mapping[str, str], settings: Mapping[str, Any]
) -> RunConfig:
    """Return the configuration with other component names or options.

    Args:
        config: What is changed; it stays as it is.
        names: By ``architecture``, ``loss`` or ``data``.
        settings: As for :func:`resolve`; what is not named stays.
    """
    groups = _group_settings(settings)
    if groups["tracker"]:
        raise InputError("trackers and their options are chosen when a run is started")
    own = {f"{mine.package}:{mine.name}": mine for mine in config.augmentations}
    train = {**dict(config.train), "augment": tuple(own), **groups["train"]}
    chosen = parse_options(TrainSettings, train, "train.")
    update: dict[str, Any] = {
        "train": chosen.options(),
        "augmentations": _choose_augmentations(chosen.augment, groups["augment"], own),
    }
    for word, prefix, kind in (
        ("architecture", "arch", ARCHITECTURE),
        ("loss", "loss", LOSS),
        ("data", "data", DATASET),
    ):
        mine: ComponentChoice = getattr(config, word)
        path: dict[str, str] = {}
        if word not in names:
            entry = registry.find_in_package(kind, mine.name, mine.package, mine.version)
        elif word == "data":
            name, path = _parse_data_name(names[word])
            entry = registry.find(kind, name)
        else:
            entry = registry.find(kind, names[word])
        same = (entry.package, entry.name) == (mine.package, mine.name)
        options = {**(mine.options if same else {}), **path, **groups[prefix]}
        update[word] = ComponentChoice.of(entry, parse_options(entry.load(), options, f"{prefix}."))
    return config.model_copy(update=update)


def _choose_augmentations(
    names: Iterable[str],
    settings: Mapping[str, Any],
    known: Mapping[str, ComponentChoice] | None = None,
) -> tuple[ComponentChoice, ...]:
    return _choose_several(
        AUGMENTATION, names, settings, ("augment", "--set train.augment=NAME"), known
    )


def _choose_several(
    kind: Kind,
    names: Iterable[str],
    settings: Mapping[str, Any],
    words: tuple[str, str],
    known: Mapping[str, ComponentChoice] | None = None,
) -> tuple[ComponentChoice, ...]:
    """Choose components of a kind of which a run may have several.

    Args:
        kind: Their kind.
        names: Their names, with or without their packages.
        settings: Their options, as ``NAME.OPTION``.
        words: How messages call the prefix of their options, and the way to name one.
        known: What a run has of them, as ``package:name``; what is not set of these stays.
    """
    names, (prefix, way), known = tuple(names), words, known or {}
    options: dict[str, dict[str, Any]] = {name.rpartition(":")[2]: {} for name in names}
    if len(options) < len(names):
        raise InputError(f"two {kind.plural} of this run are called the same: {', '.join(names)}")
    for key, value in settings.items():
        owner, dot, option = key.partition(".")
        bare = owner.rpartition(":")[2]
        if not dot or bare not in options or owner not in (bare, *names):
            raise InputError(
                f"'{prefix}.{key}' is an option of no {kind.word} of this run; "
                f"write {prefix}.NAME.OPTION beside {way}"
            )
        options[bare][option] = value
    chosen = []
    for name, (bare, given) in zip(names, options.items(), strict=True):
        if name in known:
            mine = known[name]
            entry = registry.find_in_package(kind, mine.name, mine.package, mine.version)
        else:
            entry = registry.find(kind, name)
        before = known[entry.qualified].options if entry.qualified in known else {}
        component = parse_options(entry.load(), {**before, **given}, f"{prefix}.{bare}.")
        chosen.append(ComponentChoice.of(entry, component))
    return tuple(chosen)


def choose_data(
    data: str, options: Mapping[str, Any], like: DataSpec | None = None
) -> ComponentChoice:
    """Choose a dataset by name, or by the path of what it reads.

    A folder is read by the dataset called ``folder``, a file by the one called as its suffix;
    either has an option ``path``.

    Args:
        data: The name or the path.
        options: Its options.
        like: Images whose size and channels it is to give, where it has options for them that
            are not given.

    Raises:
        InputError: it is neither an installed name nor an existing path.
    """
    name, path = _parse_data_name(data)
    if path and "path" in options:
        raise InputError(f"the path of the data is given twice: {data}, and by data.path")
    choice = _choose(DATASET, name, {**path, **options}, "data.")[0]
    if like is None or not like.is_image:
        return choice
    wanted = {"image_size": like.image_size, "image_channels": like.image_channels}
    fit = {key: value for key, value in wanted.items() if key in choice.options}
    return choose_data(data, {**fit, **options})


def _parse_data_name(data: str) -> tuple[str, dict[str, str]]:
    """Return the name of a dataset, and its option "path" where a path was given."""
    path = user_path(data)
    named = any(entry.name == data.rpartition(":")[2] for entry in registry.entries(DATASET))
    is_path = path.exists() or path.suffix or data.startswith(("~", ".")) or os.sep in data
    if named or not is_path:
        return data, {}
    if not path.exists():
        raise InputError(f"there is no folder or file {data}; give a path or a name")
    reader = "folder" if path.is_dir() else path.suffix.lower().lstrip(".")
    if not any(entry.name == reader for entry in registry.entries(DATASET)):
        raise InputError(f"no installed dataset reads {data}: give a folder or a zip of images")
    return reader, {"path": str(path.resolve())}


def _choose(
    kind: Kind, name: str, options: Mapping[str, Any], prefix: str
) -> tuple[ComponentChoice, Any]:
    entry = registry.find(kind, name)
    component = parse_options(entry.load(), options, prefix)
    return ComponentChoice.of(entry, component), component


def _group_settings(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    groups: dict[str, dict[str, Any]] = {prefix: {} for prefix in PREFIXES}
    for key, value in settings.items():
        prefix, dot, name = key.partition(".")
        if not dot or not name or prefix not in PREFIXES:
            hint = did_you_mean(prefix, PREFIXES) or ";"
            raise InputError(
                f"'{key}' does not say whose option it is{hint} "
                f"write {', '.join(f'{known}.OPTION' for known in PREFIXES)}"
            )
        groups[prefix][name] = value
    return groups


def parse_settings(items: Iterable[str]) -> dict[str, str]:
    """Read ``KEY=VALUE`` items as the command line gives them.

    Raises:
        InputError: an item has no ``=``, or a key is given twice.
    """
    settings: dict[str, str] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise InputError(f"--set {item}: write KEY=VALUE, such as train.steps=1000")
        if key in settings:
            raise InputError(f"--set {key} is given twice")
        settings[key] = value
    return settings
