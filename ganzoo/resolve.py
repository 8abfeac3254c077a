"""Resolves names and overrides to a run configuration with every option."""

from __future__ import annotations

import os
import shlex
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import registry
from ganzoo.arguments import require_names, require_options, require_text
from ganzoo.component import Model, is_real_number, parse_options
from ganzoo.config import (
    PREFIXES,
    ComponentChoice,
    RunConfig,
    TrainSettings,
    find_other_words,
    versions,
)
from ganzoo.errors import GanzooError, InputError, PluginError, did_you_mean, excerpt, first_line
from ganzoo.protocols.dataset import IMAGE_CHANNELS
from ganzoo.protocols.recipe import (
    IN_JUMPS,
    RESUMABLE,
    SCHEDULABLE,
    USUAL_RECIPES,
    find_tuned_recipes,
)
from ganzoo.protocols.schedule import COUNTS, N_CRITIC, Schedule
from ganzoo.registry import (
    ARCHITECTURE,
    AUGMENTATION,
    DATASET,
    LOSS,
    PENALTY,
    RECIPE,
    TRACKER,
    Kind,
)
from ganzoo.storage.paths import names_place, user_path

if TYPE_CHECKING:
    from ganzoo.protocols.architecture import Architecture
    from ganzoo.protocols.dataset import DataSpec
    from ganzoo.protocols.loss import Loss
    from ganzoo.protocols.recipe import DataKind, Recipe, RecipeName


SEVERAL = ("penalty", "augment")
"""Prefixes of the options of components that a run may have several of, which ``train.`` names."""
NAMED = (*SEVERAL, "tracker")
"""Prefixes behind which an option's full name has that of its component."""
DATA = "as data the name of a dataset, or the path of a folder or file"
"""What to give, for messages."""
OBJECTS = "or a tensor, an array or a dataset with a length"
"""What a program may give beside, for messages."""
MOST_FOLDERS, MOST_NAMES = 20, 200
"""Folders, and names in each, that are looked at to tell which dataset reads a folder."""
SCHEDULED = ("train", "loss", *SEVERAL)
"""Prefixes of options that may follow a schedule."""
MAY_FOLLOW = (
    "cannot follow a schedule: numbers of the loss, of penalties and of augmentations can, and "
    "learning rates, betas and their like of train"
)


def resolve(
    architecture: str,
    loss: str | None = None,
    data: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    trackers: Iterable[str] = (),
    like: DataSpec | None = None,
) -> RunConfig:
    """Resolve names and overrides to a configuration with every option.

    Args:
        architecture: Name of an architecture.
        loss: Name of a loss; the architecture's default if None.
        data: Name of a dataset, or the path of a folder or file that an installed dataset reads;
            the architecture's default if None, or else a dataset that declares itself default.
        settings: Overrides, such as ``{"loss.gp_weight": 5, "train.steps": 1000}``.
        trackers: Names of trackers, which receive the metrics in addition to the run's files.
        like: See :func:`choose_data`.

    Raises:
        InputError: a name, an option or a value is wrong; the message says which.
    """
    return resolve_with_recipe(architecture, loss, data, settings, trackers, like)[1]


def resolve_with_recipe(
    architecture: str,
    loss: str | None = None,
    data: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    trackers: Iterable[str] = (),
    like: DataSpec | None = None,
) -> tuple[Recipe, RunConfig]:
    """Resolve as :func:`resolve` does, and return the recipe with the configuration."""
    groups = group_settings(take_schedules(settings or {})[0])
    architecture_choice, networks = _choose(ARCHITECTURE, architecture, groups["arch"], "arch.")
    name = _parse(TrainSettings, groups["train"], "train.").recipe
    if loss is None:
        named = find_named_recipe(name, networks, architecture_choice.name)
        loss = (named.loss if named else None) or networks.default_loss
    if data is None:
        data = networks.default_data or find_default_data(architecture_choice.package)
    if loss is None:
        raise InputError(f"architecture '{architecture}' has no default loss; give --loss")
    if data is None:
        raise InputError(
            f"architecture '{architecture}' has no default data, and none is installed; give --data"
        )
    loss_choice, loss_component = _choose(LOSS, loss, groups["loss"], "loss.")
    kind = _find_data_kind(data, groups["data"])
    recipe = choose_recipe(
        name, networks, loss_component, loss_choice.name, kind, architecture_choice.name
    )
    given, schedules = take_schedules(override_settings(recipe.by_full_names(), settings or {}))
    groups = group_settings(given)
    train = _parse(TrainSettings, groups["train"], "train.")
    config = RunConfig(
        architecture=_choose(ARCHITECTURE, architecture, groups["arch"], "arch.")[0],
        loss=_choose(LOSS, loss, groups["loss"], "loss.")[0],
        data=choose_data(data, groups["data"], like),
        train=train.options(),
        augmentations=_choose_augmentations(train.augment, groups["augment"]),
        penalties=_choose_penalties(train.penalty, groups["penalty"]),
        schedules=schedules,
        trackers=_choose_trackers(trackers, groups["tracker"]),
        versions=versions(),
    )
    check_schedules(config)
    return recipe, config


def override_settings(given: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings, overridden by others; without options of what these names no longer hold."""
    given = dict(given)
    for word in SEVERAL:
        if (names := settings.get(f"train.{word}")) is None:
            continue
        chosen = getattr(_parse(TrainSettings, {word: names}, "train."), word)
        kept = {name.rpartition(":")[2] for name in chosen}
        given = {
            key: value
            for key, value in given.items()
            if not key.startswith(f"{word}.") or _bare_owner(key) in kept
        }
    overridden = set(map(_bare_name, settings))
    return {
        **{key: value for key, value in given.items() if _bare_name(key) not in overridden},
        **settings,
    }


def _bare_owner(key: str) -> str:
    """Return the name in an option's full name, such as ``a`` in ``penalty.package:a.weight``."""
    return key.rpartition(".")[0].partition(".")[2].rpartition(":")[2]


def _bare_name(key: str) -> str:
    """Return an option's full name without a package in it."""
    parts = (key.partition(".")[0], _bare_owner(key), key.rpartition(".")[2])
    return ".".join(filter(None, parts))


def take_schedules(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Schedule]]:
    """Split settings into values, where a schedule's is its first one, and the schedules.

    Raises:
        InputError: a schedule cannot be read.
    """
    values = dict(settings)
    schedules: dict[str, Schedule] = {}
    for name, value in settings.items():
        if Schedule.is_written(value):
            try:
                schedule = Schedule.parse(value)
            except InputError as error:
                raise InputError(f"{name}: {error.message}") from None
            owner = name.partition(".")[0]
            if owner in PREFIXES and owner not in SCHEDULED:
                raise InputError(f"{name} {MAY_FOLLOW}")
            if name == N_CRITIC:
                if not schedule.counts:
                    raise InputError(f"{name} {COUNTS}")
                for value in schedule.values:
                    _parse(TrainSettings, {"n_critic": value}, "train.")
            schedules[_bare_name(name)] = schedule
            values[name] = schedule.values[0]
    return values, schedules


def check_schedules(config: RunConfig) -> None:
    """Check that every schedule is of a number that may change, and that its values are allowed.

    Raises:
        InputError: one is not, or its option does not allow a value.
    """
    parts: dict[str, Any] = {"train": TrainSettings}
    if any(not name.startswith("train.") for name in config.schedules):
        parts["loss"] = type(config.loss.build(LOSS))
        for word, kind, choices in (
            ("penalty", PENALTY, config.penalties),
            ("augment", AUGMENTATION, config.augmentations),
        ):
            parts |= {f"{word}.{each.name}": type(each.build(kind)) for each in choices}
    for name, schedule in config.schedules.items():
        owner, _, option = name.rpartition(".")
        model = parts.get(owner)
        field = None if model is None else model.model_fields.get(option)
        may_change = field is not None and (
            is_real_number(field)
            if owner != "train"
            else field.json_schema_extra in (SCHEDULABLE, IN_JUMPS)
        )
        if model is None or not may_change:
            raise InputError(f"{name} {MAY_FOLLOW}")
        for value in schedule.values:
            _parse(model, {option: value}, f"{owner}.")
        is_rate = option in ("generator_lr", "discriminator_lr")
        if is_rate and config.train.lr_decay != "none" and not schedule.is_in_jumps:
            raise InputError(
                f"{name} follows a schedule, and train.lr_decay={config.train.lr_decay} another: "
                "add --set train.lr_decay=none"
            )


def change_from_step(config: RunConfig, options: Mapping[str, Any], step: int) -> RunConfig:
    """Return a run's configuration with other values of training options from a step on.

    They follow schedules then, which jump at this step; what these said of later steps is dropped.

    Args:
        config: The configuration.
        options: The new values, by full names.
        step: Finished steps.

    Raises:
        InputError: an option may not change so, or a value is not allowed.
    """
    train, schedules = config.train, dict(config.schedules)
    for name, given in options.items():
        owner, _, option = name.rpartition(".")
        field = TrainSettings.model_fields.get(option) if owner == "train" else None
        if field is None or field.json_schema_extra not in (SCHEDULABLE, IN_JUMPS):
            raise InputError(f"{name} cannot change while the run trains; learning rates can")
        if Schedule.is_written(given):
            raise InputError(f"{name} changes to a value while the run trains, not to a schedule")
        value = getattr(_parse(TrainSettings, {option: given}, "train."), option)
        before, schedule = getattr(train, option), schedules.pop(name, None)
        if before is None or value is None:
            raise InputError(f"{name} cannot change while the run trains: it has no value")
        segments = [(0, _as_number(before))]
        if schedule is not None:
            if not schedule.is_in_jumps or schedule.over == "images":
                raise InputError(f"{name} follows {schedule}, and so cannot be changed by hand")
            segments = [*schedule.segments(train.steps)]
        segments = [each for each in segments if each[0] < step]
        if not segments or segments[-1][1] != _as_number(value):
            segments.append((step if segments else 0, _as_number(value)))
        if len(segments) > 1:
            schedules[name] = Schedule.of_segments(segments)
        elif step == 0:
            train = train.model_copy(update={option: value})
    changed = config.model_copy(update={"train": train, "schedules": schedules})
    check_schedules(changed)
    return changed


def _as_number(value: Any) -> Any:
    """Return a value as schedules hold it."""
    return tuple(map(float, value)) if isinstance(value, tuple) else float(value)


def choose_recipe(
    name: RecipeName,
    architecture: Architecture,
    loss: Loss,
    loss_name: str,
    data: DataKind,
    architecture_name: str,
) -> Recipe:
    """Choose the recipe of a run, which it takes whole.

    It is the first of these that is for the loss and the kind of data: the architecture's tuned
    recipes, the architecture's own, which is for its default loss unless it names another, the
    loss's tuned recipes, and the loss's own. With ``--recipe paper``, tuned recipes do not count,
    nor do those that a component inherits beside a recipe of its own. Any other name is that of a
    recipe of the architecture, which counts alone.

    Args:
        name: Tuned for short trainings, the paper's, or a name of the architecture's.
        architecture: The architecture, with its options.
        loss: The loss, with its options.
        loss_name: Its bare name.
        data: The kind of the data.
        architecture_name: Its bare name, for messages.

    Raises:
        InputError: the architecture has no recipe of this name, or it is not for the loss or data.
    """
    if name not in USUAL_RECIPES:
        named = find_named_recipe(name, architecture, architecture_name)
        assert named is not None, "or it is one of the usual ones"
        if not named.suits(loss_name, data):
            wanted = " and ".join(filter(None, [named.loss, named.data]))
            raise InputError(f"recipe '{name}' of '{architecture_name}' is for {wanted} alone")
        return named
    is_tuned = name == "tuned"
    own = architecture.recipe
    candidates = [
        *(find_tuned_recipes(architecture) if is_tuned else ()),
        *([own] if own and (own.loss or architecture.default_loss) == loss_name else ()),
        *(find_tuned_recipes(loss) if is_tuned else ()),
    ]
    return next((each for each in candidates if each.suits(loss_name, data)), loss.recipe)


def find_named_recipe(
    name: RecipeName, architecture: Architecture, architecture_name: str
) -> Recipe | None:
    """Return the recipe of the architecture that a name says; None if it may be of the loss.

    Args:
        name: ``paper``, or a name of the architecture's.
        architecture: The architecture.
        architecture_name: Its bare name, for messages.

    Raises:
        InputError: there is no such recipe.
    """
    if name in USUAL_RECIPES:
        return architecture.recipe if name == "paper" else None
    named = architecture.named_recipes
    if name not in named:
        if registry.find_all(RECIPE, name):
            raise InputError(
                f"'{name}' is a whole recipe, and none of '{architecture_name}': give it to "
                "'ganzoo train' or 'ganzoo bench' without an architecture"
            )
        known = [*USUAL_RECIPES, *named]
        hint = did_you_mean(name, known) or f"; it has {', '.join(known)}"
        raise InputError(f"'{architecture_name}' has no recipe '{name}'{hint}")
    return named[name]


def _find_data_kind(data: str | Path, options: Mapping[str, Any]) -> DataKind:
    name, _ = _parse_data_name(data, options)
    kind: DataKind = registry.get(DATASET, name).holds
    return kind


def change_config(
    config: RunConfig,
    names: Mapping[str, str],
    settings: Mapping[str, Any],
    trackers: Iterable[str] | None = None,
) -> RunConfig:
    """Return a configuration with other components or options.

    Args:
        config: The configuration, which is not modified.
        names: Names of other components, by ``architecture``, ``loss`` or ``data``.
        settings: Overrides as for :func:`resolve`; options without one stay.
        trackers: Names of trackers in place of the present ones; None keeps these.

    Raises:
        InputError: a name, an option or a value is wrong.
    """
    given_values, new_schedules = take_schedules(settings)
    groups = group_settings(given_values)
    followed = {choice.qualified: choice for choice in config.trackers}
    present = {choice.qualified: choice for choice in config.augmentations}
    penalties = {choice.qualified: choice for choice in config.penalties}
    own = {"augment": tuple(present), "penalty": tuple(penalties)}
    given = {**dict(config.train), **own, **groups["train"]}
    train = _parse(TrainSettings, given, "train.")
    if train.recipe != config.train.recipe:
        raise InputError("a recipe is chosen when a run starts: drop --recipe")
    update: dict[str, Any] = {
        "train": train.options(),
        "augmentations": _choose_augmentations(train.augment, groups["augment"], present),
        "penalties": _choose_penalties(train.penalty, groups["penalty"], penalties),
        "trackers": _choose_trackers(
            followed if trackers is None else trackers, groups["tracker"], followed
        ),
    }
    for word, prefix, kind in (
        ("architecture", "arch", ARCHITECTURE),
        ("loss", "loss", LOSS),
        ("data", "data", DATASET),
    ):
        update[word] = _change_component(
            getattr(config, word), kind, names.get(word), groups[prefix], f"{prefix}."
        )
    changed = config.model_copy(update=update)
    overridden = set(map(_bare_name, given_values))
    kept = {  # in their order, so that the same ones give the same file
        name: new_schedules.get(name, schedule)
        for name, schedule in config.schedules.items()
        if name in new_schedules or (name not in overridden and _has_owner(name, changed, config))
    }
    changed = changed.model_copy(update={"schedules": {**kept, **new_schedules}})
    check_schedules(changed)
    return changed


def _has_owner(option: str, config: RunConfig, before: RunConfig) -> bool:
    """Tell whether the component whose option follows a schedule is still in a run."""
    owner = option.rpartition(".")[0]
    if owner == "loss":
        return config.loss.qualified == before.loss.qualified
    named = {
        *(f"penalty.{each.name}" for each in config.penalties),
        *(f"augment.{each.name}" for each in config.augmentations),
    }
    return owner == "train" or owner in named


def _change_component(
    choice: ComponentChoice,
    kind: Kind,
    name: str | None,
    overrides: Mapping[str, Any],
    prefix: str,
) -> ComponentChoice:
    """Return a choice of another name, or of the same component with other options."""
    path: dict[str, Any] = {}
    if name is None:
        entry = registry.find_in_package(kind, choice.name, choice.package, choice.version)
    else:
        if kind is DATASET:
            name, path = _parse_data_name(name, overrides)
        entry = registry.find(kind, name)
    component = entry.load()
    is_same = (entry.package, entry.name) == (choice.package, choice.name)
    options = {**(choice.options_for(component) if is_same else {}), **path, **overrides}
    return ComponentChoice.of(entry, _parse(component, options, prefix))


def change_resumed_config(
    config: RunConfig,
    changes: Mapping[str, Any],
    trackers: Iterable[str] | None = None,
    place: Path | None = None,
) -> RunConfig:
    """Return a run's configuration with changes that leave its finished steps as they are.

    These are training options that are marked :data:`~ganzoo.config.RESUMABLE`, trackers, and where
    the data are. Whether those are the same data, their fingerprint must tell.

    Args:
        config: The configuration that the run was started with.
        changes: Component names, by ``architecture``, ``loss`` or ``data``, and overrides.
        trackers: Names of trackers in place of the run's own; None keeps these.
        place: The run's folder, for messages.

    Raises:
        InputError: a change would make it another run; the message lists the differences.
    """
    changed = change_config(config, *split_changes(changes), trackers)
    # Options that are newer than the run have their defaults.
    present = change_config(config, {}, {})
    refused = [
        f"{key}: {mine} -> {theirs}"
        for key, (mine, theirs) in present.changes(changed).items()
        if not _may_change(config, key, mine, theirs)
    ]
    if not refused:
        return changed
    message = f"the run was started under other options: {'; '.join(refused)}"
    is_longer = all(each.startswith("train.steps: ") for each in refused) and (
        changed.train.steps > config.train.steps
    )
    if place is None or not is_longer:
        raise InputError(f"{message}; train a new run")
    words = ["ganzoo", "train", "--fork", str(place), "--steps", str(changed.train.steps)]
    raise InputError(
        f"{message}, which its finished steps depend on",
        f"to go on from there as a new run: {shlex.join(words)}",
    )


def split_changes(changes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split changes of a run into names of components, by their kind, and overrides."""
    names = {word: changes[word] for word in ("architecture", "loss", "data") if word in changes}
    return names, {key: value for key, value in changes.items() if key not in names}


def _may_change(config: RunConfig, key: str, mine: Any, theirs: Any) -> bool:
    """Tell whether a value of a run's configuration may change when the run is resumed."""
    prefix, _, name = key.partition(".")
    if prefix == "train":
        if name == "steps" and depends_on_steps(config):
            return False
        field = TrainSettings.model_fields.get(name)
        return field is not None and field.json_schema_extra == RESUMABLE
    if key.startswith("data.options."):
        return all(value is None or _is_place(value) for value in (mine, theirs))
    return key == "trackers" or key.endswith(".version")


def depends_on_steps(config: RunConfig) -> bool:
    """Tell whether a finished step would have been another one in a longer run."""
    if config.train.lr_decay != "none":
        return True
    if any(each.over == "run" for each in config.schedules.values()):
        return True
    built = [config.architecture.build(ARCHITECTURE), *config.build_objectives()]
    return any(each.depends_on_steps for each in built)


def list_places(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the options that say where data are on this machine: those that hold a path."""
    return {name: value for name, value in options.items() if _is_place(value)}


def _is_place(value: Any) -> bool:
    return isinstance(value, str) and names_place(value)


def _choose_trackers(
    names: Iterable[str],
    settings: Mapping[str, Any],
    known: Mapping[str, ComponentChoice] | None = None,
) -> tuple[ComponentChoice, ...]:
    return _choose_several(TRACKER, names, settings, ("tracker", "--tracker NAME"), known)


def _choose_augmentations(
    names: Iterable[str],
    settings: Mapping[str, Any],
    known: Mapping[str, ComponentChoice] | None = None,
) -> tuple[ComponentChoice, ...]:
    return _choose_several(
        AUGMENTATION, names, settings, ("augment", "--set train.augment=NAME"), known
    )


def _choose_penalties(
    names: Iterable[str],
    settings: Mapping[str, Any],
    known: Mapping[str, ComponentChoice] | None = None,
) -> tuple[ComponentChoice, ...]:
    return _choose_several(PENALTY, names, settings, ("penalty", "--penalty NAME"), known)


def _choose_several(
    kind: Kind,
    names: Iterable[str],
    settings: Mapping[str, Any],
    words: tuple[str, str],
    known: Mapping[str, ComponentChoice] | None = None,
) -> tuple[ComponentChoice, ...]:
    """Choose components of a kind that a run may have several of.

    Args:
        kind: Their kind.
        names: Their names, with or without their packages.
        settings: Their options, as ``NAME.OPTION``.
        words: For messages: the prefix of their options, and how to name one.
        known: The run's present ones, by ``package:name``; their options stay unless overridden.

    Raises:
        InputError: two share a name, or an option belongs to none of them.
    """
    names, (prefix, way), known = require_names(kind.plural, names), words, known or {}
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
            present = known[name]
            entry = registry.find_in_package(kind, present.name, present.package, present.version)
        else:
            entry = registry.find(kind, name)
        model = entry.load()
        is_known = entry.qualified in known
        before = known[entry.qualified].options_for(model) if is_known else {}
        component = parse_options(model, {**before, **given}, f"{prefix}.{bare}.")
        chosen.append(ComponentChoice.of(entry, component))
    return tuple(chosen)


def find_default_data(package: str) -> str | None:
    """Find a dataset that declares itself default, and return its name with its package.

    Args:
        package: The package of the architecture, whose own dataset goes before others.
    """
    for entry in sorted(registry.entries(DATASET), key=lambda each: each.package != package):
        with suppress(PluginError):  # nobody has named it
            if entry.load().is_default:
                return entry.qualified
    return None


def choose_data(
    data: str | Path, options: Mapping[str, Any], like: DataSpec | None = None
) -> ComponentChoice:
    """Choose a dataset by its name, or by the path of a folder or file.

    The dataset named as a file's suffix reads the file, and a folder of such files if it says so;
    the one named ``folder`` reads any other folder. All have an option ``path``. ``NAME:ADDRESS``
    names a dataset and what it is to read; see :meth:`ganzoo.Dataset.parse_address`.

    Args:
        data: The name, the path, or both.
        options: The dataset's options.
        like: Images whose size and channels the dataset takes over, if it has options for them
            and you do not set these; the channels of its sources and the length of signals
            likewise.

    Raises:
        InputError: it is neither an installed name nor an existing path.
    """
    name, path = _parse_data_name(data, options)
    choice = _choose(DATASET, name, {**path, **options}, "data.")[0]
    if like is None:
        return choice
    wanted: dict[str, Any] = {}
    if like.is_signal:
        wanted["length"] = like.shape[1]
    if like.is_image:
        wanted = {"image_size": like.image_size, "image_channels": like.image_channels}
    if like.source is not None and like.source[0] in IMAGE_CHANNELS:
        wanted["source_channels"] = like.source[0]
    fit = {key: value for key, value in wanted.items() if key in choice.options}
    return choose_data(data, {**fit, **options})


def hold_data(given: object, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Let an installed dataset hold data that a program has at hand.

    Args:
        given: The data, which are no path and no name.
        options: Options of the dataset, by their names; those of the run, if it has the data.

    Returns:
        The dataset's name, and the options that tell what the data were.

    Raises:
        InputError: no dataset takes such data, or they have a wrong form.
    """
    for entry in registry.entries(DATASET):
        try:
            component = entry.load()
        except PluginError:  # nobody has named it
            continue
        try:
            held = component.hold(given, options)
        except GanzooError:
            raise
        except Exception as error:  # of a plugin, or of somebody's data
            raise PluginError(f"{entry.title} cannot hold the data: {first_line(error)}") from error
        if held is not None:
            return entry.qualified, held.model_dump(mode="json", exclude_unset=True)
    if isinstance(given, Mapping) and given:
        parts = ", ".join(map(str, given))
        raise InputError(f"the data have the parts {excerpt(parts)}: give one of them as data")
    raise InputError(
        f"data of the type {type(given).__name__} are not read: give {DATA}, {OBJECTS}"
    )


def find_data_options(data: str | Path) -> frozenset[str]:
    """Return the names of the options of the dataset that reads some data.

    Raises:
        InputError: no dataset does.
    """
    name, _ = _parse_data_name(data, {})
    return frozenset(registry.get(DATASET, name).model_fields)


def _find_folder_reader(path: Path) -> str:
    """Return the name of the dataset that reads a folder: by the suffix of most of its files."""
    found = Counter(name.rpartition(".")[2].lower() for name in _list_few_names(path))
    suffix = max(found, key=lambda each: found[each], default="")
    if any(entry.name == suffix for entry in registry.entries(DATASET)):
        with suppress(PluginError):  # nobody has named it
            if registry.get(DATASET, suffix).reads_folder:
                return suffix
    return "folder"


def _list_few_names(path: Path) -> Iterator[str]:
    """Yield names of some files of a folder, and of the first folders in it."""
    folders = deque([path])
    for _ in range(MOST_FOLDERS):
        if not folders:
            return
        with suppress(OSError), os.scandir(folders.popleft()) as entries:  # reading it says why
            for entry in islice(entries, MOST_NAMES):
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                else:
                    yield entry.name


def _parse_data_name(data: str | Path, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a dataset's name, and the options that ``data`` gives beside it, such as its path.

    Raises:
        InputError: no dataset reads the path, or it is also among the options.
    """
    data = require_text(DATA, data)
    reader, given = _split_data_name(data) or _find_reader(data)
    for name in given.keys() & options.keys():
        raise InputError(f"the {name} of the data is given twice: {data}, and by data.{name}")
    return reader, given


def _split_data_name(data: str) -> tuple[str, dict[str, Any]] | None:
    """Split ``NAME:ADDRESS``; None if it is something else, such as ``package:name``."""
    if ":" not in data or registry.find_all(DATASET, data):
        return None
    for entry in registry.entries(DATASET):
        for name in (entry.qualified, entry.name):
            if data.startswith(f"{name}:"):
                component = registry.get(DATASET, name)
                given = component.parse_address(data[len(name) + 1 :])
                return None if given is None else (name, given)
    return None


def _find_reader(data: str) -> tuple[str, dict[str, Any]]:
    """Return the dataset that reads a path, and the path; or a name as it is."""
    path = user_path(data)
    named = any(entry.name == data.rpartition(":")[2] for entry in registry.entries(DATASET))
    is_path = path.exists() or path.suffix or data.startswith(("~", ".")) or os.sep in data
    if named or not is_path:
        return data, {}
    if not path.exists():
        raise InputError(f"there is no folder or file {data}; give a path or a name")
    reader = _find_folder_reader(path) if path.is_dir() else path.suffix.lower().lstrip(".")
    if not any(entry.name == reader for entry in registry.entries(DATASET)):
        raise InputError(f"no installed dataset reads {data}: give a folder or a zip of images")
    return reader, {"path": str(path.resolve())}


def _choose(
    kind: Kind, name: str, options: Mapping[str, Any], prefix: str
) -> tuple[ComponentChoice, Any]:
    """Return a component with its options, and how files name it."""
    entry = registry.find(kind, name)
    component = _parse(entry.load(), options, prefix)
    return ComponentChoice.of(entry, component), component


def _parse(model: type[Model], values: Mapping[str, Any], prefix: str) -> Model:
    """Parse options, and answer the words of other programs with the names of the options here.

    Raises:
        InputError: a name is unknown or a value is invalid.
    """
    for name in values:
        if name in model.model_fields:
            continue
        if prefix + name == "arch.source_of":
            raise InputError(
                "this architecture does not make sources of images, and has no option "
                "'arch.source_of': drop --source-of, or choose another architecture"
            )
        meant = [
            full
            for full in find_other_words(name)
            if not full.startswith(prefix) or full.removeprefix(prefix) in model.model_fields
        ]
        if meant:
            hint = _ask(full.removeprefix(prefix) for full in meant)
            raise InputError(f"unknown option '{prefix}{excerpt(name)}'{hint}")
    return parse_options(model, values, prefix)


def _ask(names: Iterable[str]) -> str:
    return f"; did you mean {' and '.join(repr(name) for name in names)}?"


def group_settings(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Group overrides by their prefix: ``loss.gp_weight`` is ``gp_weight`` under ``loss``.

    Raises:
        InputError: a key has no prefix, or an unknown one.
    """
    groups: dict[str, dict[str, Any]] = {prefix: {} for prefix in PREFIXES}
    for key, value in require_options("settings", settings).items():
        prefix, dot, name = key.partition(".")
        if not dot or not name or prefix not in PREFIXES:
            if meant := find_other_words(key):
                raise InputError(f"'{key}' does not say whose option it is{_ask(meant)}")
            hint = did_you_mean(prefix, PREFIXES) or ";"
            ways = [f"{each}{'.NAME' * (each in NAMED)}.OPTION" for each in PREFIXES]
            raise InputError(
                f"'{key}' does not say whose option it is{hint} write {', '.join(ways)}"
            )
        groups[prefix][name] = value
    return groups


def parse_settings(items: Iterable[str]) -> dict[str, str]:
    """Parse ``KEY=VALUE`` items from the command line.

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
