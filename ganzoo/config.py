"""What a run is: its components with every option, and how it is trained."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from ganzoo import registry
from ganzoo.component import Component, Options, complaint, validated
from ganzoo.errors import InputError, did_you_mean
from ganzoo.files import flat, read_json, user_path
from ganzoo.loss import Recipe
from ganzoo.registry import ARCHITECTURE, AUGMENTATION, DATASET, LOSS, TRACKER, Entry, Kind

if TYPE_CHECKING:
    from ganzoo.dataset import DataSpec

Config = TypeVar("Config", bound="RunConfig")

LONGEST_NAME = 200
RETRIES = 3
"""How often a run goes back to a checkpoint after it diverged."""
PREFIXES = ("arch", "loss", "data", "train", "augment", "tracker")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it holds characters that cannot be shown")
    return text


Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(_printable)]
# What is to be typed behind 'pip install' must be no more than a name, or a version.
PackageName = Annotated[Name, Field(pattern="^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]
PackageVersion = Annotated[Name, Field(pattern="^[A-Za-z0-9._!+-]+$")]


class TrainOptions(Recipe):
    """How a run is trained; what it inherits comes from the loss's recipe unless overridden."""

    steps: int = Field(1000, ge=0, description="Generator updates.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of all that is drawn.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps.")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32",
        description="Of the arithmetic; weights, averages and penalties on gradients are kept in "
        "fp32. Losses of fp16 are scaled, and it is for GPUs.",
    )
    tf32: bool = Field(
        True,
        description="Whether a GPU may compute convolutions and products of fp32 in TF32, which "
        "has 10 bits of mantissa in place of 23.",
    )
    compile: bool = Field(
        False,
        description="Whether the networks are compiled when they are first used; penalties on "
        "gradients are computed without.",
    )
    cuda_graphs: bool = Field(
        False, description="Whether a GPU replays what was compiled as CUDA graphs."
    )
    reuse_fakes: bool = Field(
        False,
        description="Whether the generator's update uses the fakes of the discriminator's last "
        "one again, which saves a pass; by default it draws anew, as algorithm 1 of Goodfellow et "
        "al. 2014 (arXiv:1406.2661) does.",
    )
    ema_decay: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="Decay of the moving average of the generator's weights; early on it is "
        "(1 + step) / (10 + step), so that short runs forget their beginning.",
    )
    log_every: int = Field(10, ge=1, description="Steps between two lines of metrics.jsonl.")
    sample_every: int = Field(100, ge=1, description="Steps between two sample pictures.")
    checkpoint_every: int = Field(500, ge=1, description="Steps between two checkpoints.")
    eval_every: int = Field(
        0,
        ge=0,
        description="Steps between two scores of the averaged generator, of which the best is "
        "kept beside the last; 0 for none.",
    )
    eval_metric: tuple[str, ...] = Field(
        (),
        description="Metrics of these scores, of which the first says what is best; by default "
        "those that rank such data by themselves.",
    )
    eval_samples: int = Field(
        1000, ge=1, description="Fakes, and reals, of each of these scores, at most."
    )
    retry_lr: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="What both learning rates are multiplied by each time that a diverged run "
        f"goes back to its last checkpoint, up to {RETRIES} times; 0 gives up at once.",
    )


class TrainSettings(TrainOptions):
    """What is set under ``train.``: the options, and names whose components stand beside them."""

    augment: tuple[str, ...] = Field(
        (),
        description="Names of augmentations, in the order in which all that the discriminator "
        "sees passes through them, reals and fakes alike; for small data.",
    )

    def options(self) -> TrainOptions:
        """Return the options alone."""
        return TrainOptions(**{name: getattr(self, name) for name in TrainOptions.model_fields})


class ComponentChoice(Options):
    """A component as files name it: never code, and with every option."""

    name: Name
    package: PackageName
    version: PackageVersion
    options: dict[str, Any]

    @classmethod
    def of(cls, entry: Entry, component: Component) -> ComponentChoice:
        """Describe a component that was found in the registry."""
        options = component.model_dump(mode="json")
        return cls(name=entry.name, package=entry.package, version=entry.version, options=options)

    def build(self, kind: Kind) -> Any:
        """Rebuild the component with the same options.

        Raises:
            ganzoo.errors.PluginError: the package that gave it is not installed, or is broken.
            InputError: the options do not fit the installed version.
        """
        entry = registry.find_from(kind, self.name, self.package, self.version)
        return validated(entry.load(), self.options, f"{kind.word} {self.name}: ")


class InitialModel(Options):
    """The model that a run started from, of which it keeps a copy."""

    name: str
    """``user/name`` of the Hub, or what its run's folder, or its own, is called."""
    revision: str | None = None
    """The commit of the Hub that it was."""
    step: int = Field(ge=0)
    generator_sha256: str
    discriminator_sha256: str


class RunConfig(Options):
    """All that is needed to run it again."""

    format: Literal[1] = 1
    architecture: ComponentChoice
    loss: ComponentChoice
    data: ComponentChoice
    train: TrainOptions
    augmentations: tuple[ComponentChoice, ...] = ()
    trackers: tuple[ComponentChoice, ...] = ()
    init: InitialModel | None = None
    data_fingerprint: Name | None = Field(None, description="Hash of the data, once it was read.")
    versions: dict[Name, Name]

    @property
    def title(self) -> str:
        """What the run is, in a few words."""
        return f"{self.architecture.name} trained with {self.loss.name} on {self.data.name}"

    def changed(self, names: Mapping[str, str], settings: Mapping[str, Any]) -> RunConfig:
        """Return the configuration with other component names or options.

        Args:
            names: By ``architecture``, ``loss`` or ``data``.
            settings: As for :func:`resolve`; what is not named stays.
        """
        groups = _grouped(settings)
        if groups["tracker"]:
            raise InputError("trackers and their options are chosen when a run is started")
        own = {f"{mine.package}:{mine.name}": mine for mine in self.augmentations}
        train = {**dict(self.train), "augment": tuple(own), **groups["train"]}
        chosen = validated(TrainSettings, train, "train.")
        update: dict[str, Any] = {
            "train": chosen.options(),
            "augmentations": _augmentations(chosen.augment, groups["augment"], own),
        }
        for word, prefix, kind in (
            ("architecture", "arch", ARCHITECTURE),
            ("loss", "loss", LOSS),
            ("data", "data", DATASET),
        ):
            mine: ComponentChoice = getattr(self, word)
            path: dict[str, str] = {}
            if word not in names:
                entry = registry.find_from(kind, mine.name, mine.package, mine.version)
            elif word == "data":
                name, path = _named_data(names[word])
                entry = registry.find(kind, name)
            else:
                entry = registry.find(kind, names[word])
            same = (entry.package, entry.name) == (mine.package, mine.name)
            options = {**(mine.options if same else {}), **path, **groups[prefix]}
            update[word] = ComponentChoice.of(entry, validated(entry.load(), options, f"{prefix}."))
        return self.model_copy(update=update)

    def differences(self, other: RunConfig) -> list[str]:
        """Say what differs in another configuration, one ``key: this -> that`` an item."""
        shared = {mine.name for mine in self.augmentations}
        shared &= {theirs.name for theirs in other.augmentations}
        mine, theirs = self._by_key(shared), other._by_key(shared)
        return [
            f"{key}: {mine.get(key)} -> {theirs.get(key)}"
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key) != theirs.get(key)
        ]

    def _by_key(self, augmentations: set[str]) -> dict[str, Any]:
        """Return each value by its key, of the named augmentations as they are set."""
        tree = self.model_dump(mode="json")
        chosen = {each["name"]: each for each in tree.pop("augmentations")}
        tree["train"]["augment"] = ",".join(chosen) or None
        for name in augmentations:
            about = {key: chosen[name][key] for key in ("package", "version")}
            tree[f"augment.{name}"] = about | chosen[name]["options"]
        return flat(tree)


def read_config(path: Path, kind: type[Config]) -> Config:
    """Read a configuration that may come from anywhere.

    Raises:
        InputError: it is missing, damaged, or of another format.
    """
    try:
        return kind.model_validate(read_json(path))
    except ValidationError as error:
        what = kind.__name__.removesuffix("Config").lower()
        raise InputError(f"{path} is not a {what}'s configuration: {complaint(error)}") from None


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
    groups = _grouped(settings or {})
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
    train = validated(TrainSettings, {**recipe.model_dump(), **groups["train"]}, "train.")
    return RunConfig(
        architecture=architecture_choice,
        loss=loss_choice,
        data=choose_data(data, groups["data"], like),
        train=train.options(),
        augmentations=_augmentations(train.augment, groups["augment"]),
        trackers=_several(TRACKER, trackers, groups["tracker"], ("tracker", "--tracker NAME")),
        versions=versions(),
    )


def _augmentations(
    names: Iterable[str],
    settings: Mapping[str, Any],
    known: Mapping[str, ComponentChoice] | None = None,
) -> tuple[ComponentChoice, ...]:
    return _several(AUGMENTATION, names, settings, ("augment", "--set train.augment=NAME"), known)


def _several(
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
            entry = registry.find_from(kind, mine.name, mine.package, mine.version)
        else:
            entry = registry.find(kind, name)
        before = known[entry.qualified].options if entry.qualified in known else {}
        component = validated(entry.load(), {**before, **given}, f"{prefix}.{bare}.")
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
    name, path = _named_data(data)
    if path and "path" in options:
        raise InputError(f"the path of the data is given twice: {data}, and by data.path")
    choice = _choose(DATASET, name, {**path, **options}, "data.")[0]
    if like is None or not like.is_image:
        return choice
    wanted = {"image_size": like.image_size, "image_channels": like.image_channels}
    fit = {key: value for key, value in wanted.items() if key in choice.options}
    return choose_data(data, {**fit, **options})


def _named_data(data: str) -> tuple[str, dict[str, str]]:
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


def versions() -> dict[str, str]:
    """Return the versions that numbers can depend on."""
    names = ("ganzoo", "torch", "torchvision", "torch-fidelity", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _choose(
    kind: Kind, name: str, options: Mapping[str, Any], prefix: str
) -> tuple[ComponentChoice, Any]:
    entry = registry.find(kind, name)
    component = validated(entry.load(), options, prefix)
    return ComponentChoice.of(entry, component), component


def _grouped(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
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
