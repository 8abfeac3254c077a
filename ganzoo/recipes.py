"""Whole configurations of a run: recipes with names that packages ship, and files of one's own."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue, ValidationError

from ganzoo import registry
from ganzoo.arguments import require_text
from ganzoo.component import Options, explain_error
from ganzoo.config import PREFIXES, ComponentChoice, ModelConfig, Name, RunConfig, TrainSettings
from ganzoo.errors import GanzooError, InputError, PluginError, did_you_mean, excerpt, first_line
from ganzoo.protocols.recipe import RESUMABLE, USUAL_RECIPES
from ganzoo.registry import (
    ARCHITECTURE,
    AUGMENTATION,
    DATASET,
    LOSS,
    PENALTY,
    RECIPE,
    RECIPE_SUFFIX,
    Kind,
)
from ganzoo.requirement import PACKAGE
from ganzoo.resolve import find_data_options, override_settings, resolve
from ganzoo.storage.files import regular_size
from ganzoo.storage.json_files import JSON_LIMIT, parse_strict_json, read_json
from ganzoo.storage.paths import user_path

SUFFIXES = (".json", RECIPE_SUFFIX, ".yml", ".toml")
"""Suffixes of files that hold a configuration."""
FOLLOWS = ("image_size", "image_channels", "flip")
"""Options of a recipe's data that other data of the run take over, if they have them."""
OWN = ("train.seed", "train.device")
"""Settings that a recipe leaves to each run."""
COMPONENTS = (("architecture", "arch"), ("loss", "loss"), ("data", "data"))
"""The components that every run has, and the prefixes of their options."""


class ReportedScore(Options):
    """A score that a paper reports."""

    metric: Name
    value: float
    source: str = Field(default="", description="Where in the paper, and how it was measured.")


class ParameterCounts(Options):
    """Parameters that the networks of a published configuration are known to have."""

    shape: tuple[int, ...] = Field(description="Shape of a sample, such as 3, 32, 32.")
    classes: int | None = Field(default=None, description="Number of classes, if there are any.")
    generator: int | None = Field(default=None, description="Trainable parameters.")
    discriminator: int | None = Field(default=None, description="Trainable parameters.")
    rounded_to: int = Field(
        default=1, ge=1, description="The unit to which both numbers are rounded, if they are."
    )
    source: str = Field(default="", description="Where the numbers are from.")


class RunRecipe(Options):
    """The whole configuration of a run, what its paper reports, and what it gave."""

    title: Name = Field(default="", validate_default=False, description="What it is, in a line.")
    paper: Name | None = Field(default=None, description="The paper that it is from.")
    reported: tuple[ReportedScore, ...] = Field(
        default=(), description="Scores that the paper reports for it."
    )
    parameters: ParameterCounts | None = Field(
        default=None, description="Parameter counts that the published networks have."
    )
    results: tuple[Name, ...] = Field(default=(), description="What it gave, and at what cost.")
    architecture: Name = Field(description="Name of the architecture.")
    loss: Name | None = Field(default=None, description="Name of the loss.")
    data: Name | None = Field(
        default=None, description="Name or path of the data; None if you must give them."
    )
    settings: dict[str, JsonValue] = Field(
        default={},
        description="Options by their full names, such as train.steps, schedules among them.",
    )
    trackers: tuple[Name, ...] = Field(default=(), description="Names of trackers.")

    def resolve(
        self,
        loss: str | None = None,
        data: str | Path | None = None,
        settings: Mapping[str, Any] | None = None,
        trackers: Iterable[str] = (),
    ) -> RunConfig:
        """Resolve the recipe, and what is given beside it, to a run's configuration.

        Args:
            loss: Name of another loss; the options of the recipe's own are dropped then, and its
                penalties stay.
            data: Name or path of other data; they take over :data:`FOLLOWS` alone, or every option
                that they have of a recipe without data.
            settings: Overrides, by full names.
            trackers: Names of trackers in place of the recipe's.

        Raises:
            InputError: a name, an option or a value is wrong, or data must be given.
        """
        given = dict(settings or {})
        dropped = []
        if loss is not None and not _is_same(loss, self.loss):
            dropped.append("loss.")
        if trackers := tuple(trackers):
            dropped.append("tracker.")
        own = {
            name: value
            for name, value in self.settings.items()
            if not name.startswith(tuple(dropped))
        }
        if data is None and self.data is None:
            raise InputError("the recipe names no data: give --data")
        if data is not None and not _is_same(str(data), self.data):
            own = self._fit_to_data(own, data)
        return resolve(
            self.architecture,
            self.loss if loss is None else loss,
            self.data if data is None else data,
            override_settings(own, given),
            trackers or self.trackers,
        )

    def resolve_beside(self, config: RunConfig) -> RunConfig:
        """Resolve the recipe; to the data of a configuration, if it names none.

        Raises:
            InputError: as for :meth:`resolve`.
        """
        if self.data is not None:
            return self.resolve()
        options = {f"data.{name}": value for name, value in config.data.options.items()}
        own = {name: value for name, value in options.items() if name not in self.settings}
        return self.resolve(data=config.data.qualified, settings=own)

    def _fit_to_data(self, settings: Mapping[str, Any], data: str | Path) -> dict[str, Any]:
        """Return settings without the options of data that other data do not take over."""
        known = find_data_options(data)
        taken = known if self.data is None else known.intersection(FOLLOWS)
        return {
            name: value
            for name, value in settings.items()
            if not name.startswith("data.") or name[5:] in taken
        }


def resolve_run(
    architecture: str | None,
    loss: str | None = None,
    data: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    trackers: Iterable[str] = (),
    config: str | Path | None = None,
) -> RunConfig:
    """Resolve a run's configuration from an architecture, a recipe with a name, or a file.

    Args:
        architecture: Name of an architecture. Without one, ``train.recipe`` names a whole recipe.
        loss: As for :func:`ganzoo.resolve.resolve`, as are ``data``, ``settings`` and ``trackers``.
        data: See ``loss``.
        settings: See ``loss``.
        trackers: See ``loss``.
        config: A file of a whole configuration, in place of an architecture.

    Raises:
        InputError: a name, an option or a value is wrong, or one is given beside a file that has
            it.
    """
    given = dict(settings or {})
    name = given.get("train.recipe")
    if config is not None:
        for what, other in (("architecture", architecture), ("recipe", name)):
            if other is not None:
                raise InputError(f"the file of --config says which {what}: drop '{other}'")
        return read_recipe(user_path(config)).resolve(loss, data, given, trackers)
    if architecture is not None:
        return resolve(architecture, loss, data, given, trackers)
    if name is None:
        raise InputError("name an architecture to train, such as those of 'ganzoo list'")
    del given["train.recipe"]
    recipe = find_recipe(require_text("the name of a recipe", name))
    return recipe.resolve(loss, data, given, trackers)


def find_recipe(name: str) -> RunRecipe:
    """Read the recipe that a package ships under a name.

    Args:
        name: ``name`` or ``package:name``.

    Raises:
        InputError: there is none of this name.
        PluginError: several packages claim the name, its file is damaged, or its package is made
            for another ganzoo.
    """
    if name in USUAL_RECIPES:
        raise InputError(f"the recipe '{name}' is one of each architecture: name an architecture")
    entry = registry.find(RECIPE, name)
    entry.require_fitting()
    path = entry.locate(RECIPE_SUFFIX)
    try:
        return read_recipe(path)
    except InputError as error:
        raise PluginError(f"{entry.title} is damaged: {error.message}") from None


def read_recipe(path: Path) -> RunRecipe:
    """Read a recipe, or the ``config.json`` of a run or a model, which is one too.

    Raises:
        InputError: the file is missing or damaged, or has an unknown form.
    """
    tree = _read_tree(path)
    if "format" in tree:
        return _read_config(path, tree)
    _refuse_unknown_names(path, tree)
    try:
        return RunRecipe.model_validate(tree)
    except ValidationError as error:
        raise InputError(f"{path} is not a recipe: {explain_error(error)}") from None


def _refuse_unknown_names(path: Path, names: Iterable[str]) -> None:
    for name in names:
        if name in RunRecipe.model_fields:
            continue
        hint = did_you_mean(name, RunRecipe.model_fields)
        if name.partition(".")[0] in PREFIXES:
            hint = "; options stand under settings, by full names such as train.steps"
        known = f"; known: {', '.join(RunRecipe.model_fields)}"
        raise InputError(f"{path} is not a recipe: unknown key '{excerpt(name)}'{hint or known}")


def make_recipe(config: RunConfig, title: str = "") -> RunRecipe:
    """Make a recipe of a configuration: all of it but :data:`OWN`, and what lies on this machine.

    Args:
        config: The configuration of a run or a model.
        title: What it is, in a line; the title of the configuration if empty.

    Raises:
        InputError: the run started from a model or another run.
    """
    _refuse_start(config, "this configuration")
    shared = config.without_places()
    data, settings = shared.data, _gather_all(shared)
    settings["train.penalty"] = [_shortest_name(each) for each in shared.penalties]
    settings["train.augment"] = [_shortest_name(each) for each in shared.augmentations]
    return RunRecipe(
        title=title or config.title,
        architecture=_shortest_name(shared.architecture),
        loss=_shortest_name(shared.loss),
        data=_shortest_name(data) if is_complete(data) else None,
        settings={name: value for name, value in settings.items() if name not in OWN},
    )


def write_recipe(recipe: RunRecipe) -> str:
    """Return the text of a recipe's YAML file, without what is empty."""
    import yaml

    tree = recipe.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=100)


def is_complete(data: ComponentChoice) -> bool:
    """Tell whether a dataset has all the options that it needs.

    Raises:
        ganzoo.errors.PluginError: its package is not installed, or is broken.
    """
    entry = registry.find_in_package(DATASET, data.name, data.package, data.version)
    fields = entry.load().model_fields
    return not any(each.is_required() and name not in data.options for name, each in fields.items())


def _shortest_name(choice: ComponentChoice) -> str:
    """Return a component's name, with its package unless that is ganzoo itself."""
    return choice.name if choice.package == PACKAGE else choice.qualified


def gather_options(config: RunConfig) -> dict[str, Any]:
    """Return every option of a configuration by its full name, and the schedules."""
    found: dict[str, Any] = {}
    for word, prefix in COMPONENTS:
        options = getattr(config, word).options
        found |= {f"{prefix}.{name}": value for name, value in options.items()}
    train = config.train.model_dump(mode="json")
    for word, choices in (("penalty", config.penalties), ("augment", config.augmentations)):
        train[word] = [each.qualified for each in choices]
        for each in choices:
            found |= {f"{word}.{each.name}.{key}": value for key, value in each.options.items()}
    found |= {f"train.{name}": value for name, value in train.items()}
    return found | {name: str(schedule) for name, schedule in config.schedules.items()}


def hash_recipe(config: RunConfig) -> str:
    """Hash what decides what a run learns, but for its seed, its machine and where its data are.

    An option at its value of before it existed does not count: it was added since, and changes
    nothing about what a recipe is.

    Returns:
        Twelve hexadecimal digits.
    """
    shared = config.without_places()
    tree: dict[str, Any] = {
        "architecture": _identify(shared.architecture, ARCHITECTURE),
        "loss": _identify(shared.loss, LOSS),
        "data": _identify(shared.data, DATASET),
        "penalties": [_identify(each, PENALTY) for each in shared.penalties],
        "augmentations": [_identify(each, AUGMENTATION) for each in shared.augmentations],
    }
    tree["train"] = {
        name: value
        for name, value in config.train.model_dump(mode="json").items()
        if name not in ("seed", "recipe")
        and (name == "steps" or TrainSettings.model_fields[name].json_schema_extra != RESUMABLE)
    }
    tree["schedules"] = {name: str(each) for name, each in config.schedules.items()}
    tree["starts"] = [
        config.init and [config.init.generator_sha256, config.init.discriminator_sha256],
        config.fork and config.fork.manifest_sha256,
    ]
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:12]


def find_recipe_name(config: RunConfig) -> str | None:
    """Find the installed recipe that a configuration is of, but for what :func:`hash_recipe` omits.

    Returns:
        Its name, as ``--recipe`` takes it; None if there is none.
    """
    for entry in registry.entries(RECIPE):
        try:
            path = entry.locate(RECIPE_SUFFIX)
            # Few are of this architecture, and reading all of them would take a while.
            if config.architecture.name not in path.read_text(encoding="utf-8"):
                continue
            if _is_of(config, read_recipe(path)):
                return registry.shorten_name(RECIPE, entry.name, entry.package)
        except (GanzooError, OSError, ValueError):  # damaged, or of a package that is not here
            continue
    return None


def _is_of(config: RunConfig, recipe: RunRecipe) -> bool:
    """Tell whether a configuration is that of a recipe; with data that it does not name, if any."""
    if recipe.settings.get("train.steps", config.train.steps) != config.train.steps:
        return False  # without resolving it, which takes longer
    return hash_recipe(recipe.resolve_beside(config)) == hash_recipe(config)


def _identify(choice: ComponentChoice, kind: Kind) -> dict[str, Any]:
    """Return a component's name, and its options but for those at their earlier defaults."""
    tree = choice.model_dump(mode="json", exclude={"version"})
    try:
        entry = registry.find_in_package(kind, choice.name, choice.package, choice.version)
        earlier = entry.load().earlier_defaults
    except PluginError:  # it is not installed here, so nothing tells which options are newer
        return tree
    missing = object()
    tree["options"] = {
        name: value
        for name, value in tree["options"].items()
        if value != earlier.get(name, missing)
    }
    return tree


def _is_same(name: str, known: str | None) -> bool:
    """Tell whether two names are the same, of which either may be written with its package."""
    (package, _, bare), (known_package, _, known_bare) = (
        each.rpartition(":") for each in (name, known or "")
    )
    return bare == known_bare and (package == known_package or not package or not known_package)


def _read_tree(path: Path) -> dict[str, Any]:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        known = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise InputError(f"{path} is no configuration: its name must end in {known}")
    if suffix == ".json":
        tree = read_json(path)
    else:
        size = regular_size(path)
        if size > JSON_LIMIT:
            raise InputError(f"{path} is larger than 1 MiB, so it is no configuration")
        tree = _parse(path, suffix)
    if not isinstance(tree, dict):
        raise InputError(f"{path} holds no names and values")
    return tree


def _parse(path: Path, suffix: str) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        tree = tomllib.loads(text) if suffix == ".toml" else _parse_yaml(text)
        return parse_strict_json(json.dumps(tree, allow_nan=False).encode())
    except Exception as error:  # of three parsers, and of values that JSON does not have
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or first_line(error)
        raise InputError(f"{path} cannot be read{where}: {reason}") from None


def _parse_yaml(text: str) -> Any:
    """Parse YAML in which each value is written out, and each name stands once."""
    import yaml

    def check(node: yaml.Node, seen: set[int]) -> None:
        flaw = "a value stands for another one (*); write it out" if id(node) in seen else ""
        seen.add(id(node))
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        if isinstance(node, yaml.MappingNode):
            names = [name.value for name, _ in children if isinstance(name, yaml.ScalarNode)]
            twice = [name for name in names if names.count(name) > 1]
            flaw = flaw or (f"'{excerpt(twice[0])}' stands there twice" if twice else "")
            children = [child for pair in children for child in pair]
        if flaw:
            raise yaml.MarkedYAMLError(problem=flaw, problem_mark=node.start_mark)
        for child in children:
            check(child, seen)

    loader = yaml.SafeLoader(text)
    node = loader.get_single_node()
    if node is None:
        return None
    check(node, set())
    return loader.construct_document(node)


def _read_config(path: Path, tree: dict[str, Any]) -> RunRecipe:
    kind: type[RunConfig] = ModelConfig if "spec" in tree else RunConfig
    try:
        config = kind.model_validate(tree)
    except ValidationError as error:
        raise InputError(f"{path} is not a configuration: {explain_error(error)}") from None
    _refuse_start(config, path)
    return RunRecipe(
        title=config.title,
        architecture=config.architecture.qualified,
        loss=config.loss.qualified,
        data=config.data.qualified,
        settings=_gather_all(config),
        trackers=tuple(each.qualified for each in config.trackers),
    )


def _refuse_start(config: RunConfig, what: object) -> None:
    for word, option, start in (
        ("model", "--init", config.init),
        ("checkpoint", "--fork", config.fork),
    ):
        if start is not None:
            raise InputError(
                f"{what} is of a run that started from the {word} {start.name}: use {option}"
            )


def _gather_all(config: RunConfig) -> dict[str, Any]:
    """Return every option of a stored configuration, those of its trackers and newer ones too.

    Raises:
        PluginError: the package of a component is not installed.
    """

    def fill(choice: ComponentChoice, kind: Kind) -> ComponentChoice:
        entry = registry.find_in_package(kind, choice.name, choice.package, choice.version)
        return choice.with_options(choice.options_for(entry.load()))

    filled = config.model_copy(
        update={
            "architecture": fill(config.architecture, ARCHITECTURE),
            "loss": fill(config.loss, LOSS),
            "data": fill(config.data, DATASET),
            "penalties": tuple(fill(each, PENALTY) for each in config.penalties),
            "augmentations": tuple(fill(each, AUGMENTATION) for each in config.augmentations),
        }
    )
    found = gather_options(filled)
    for name in config.schedules:  # in their own order, in which a run's file lists them
        found[name] = found.pop(name)
    return found | {
        f"tracker.{each.name}.{name}": value
        for each in config.trackers
        for name, value in each.options.items()
    }
