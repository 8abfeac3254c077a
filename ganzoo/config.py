"""What a run is: its components with every option, and how it is trained."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from ganzoo import registry
from ganzoo.component import Component, Options, explain_error, parse_options
from ganzoo.errors import InputError
from ganzoo.protocols.dataset import DataSpec
from ganzoo.protocols.loss import Recipe
from ganzoo.registry import Entry, Kind
from ganzoo.storage.json_files import flatten, read_json

if TYPE_CHECKING:
    from ganzoo.protocols.dataset import DataSpec

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

    steps: int = Field(default=1000, ge=0, description="Generator updates.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of all that is drawn.")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:N or mps.")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32",
        description="Of the arithmetic; weights, averages and penalties on gradients are kept in "
        "fp32. Losses of fp16 are scaled, and it is for GPUs.",
    )
    tf32: bool = Field(
        default=True,
        description="Whether a GPU may compute convolutions and products of fp32 in TF32, which "
        "has 10 bits of mantissa in place of 23.",
    )
    compile: bool = Field(
        default=False,
        description="Whether the networks are compiled when they are first used; penalties on "
        "gradients are computed without.",
    )
    cuda_graphs: bool = Field(
        default=False, description="Whether a GPU replays what was compiled as CUDA graphs."
    )
    reuse_fakes: bool = Field(
        default=False,
        description="Whether the generator's update uses the fakes of the discriminator's last "
        "one again, which saves a pass; by default it draws anew, as algorithm 1 of Goodfellow et "
        "al. 2014 (arXiv:1406.2661) does.",
    )
    ema_decay: float = Field(
        default=0.999,
        ge=0,
        lt=1,
        description="Decay of the moving average of the generator's weights; early on it is "
        "(1 + step) / (10 + step), so that short runs forget their beginning.",
    )
    log_every: int = Field(
        default=10, ge=1, description="Steps between two lines of metrics.jsonl."
    )
    sample_every: int = Field(default=100, ge=1, description="Steps between two sample pictures.")
    checkpoint_every: int = Field(default=500, ge=1, description="Steps between two checkpoints.")
    eval_every: int = Field(
        default=0,
        ge=0,
        description="Steps between two scores of the averaged generator, of which the best is "
        "kept beside the last; 0 for none.",
    )
    eval_metric: tuple[str, ...] = Field(
        default=(),
        description="Metrics of these scores, of which the first says what is best; by default "
        "those that rank such data by themselves.",
    )
    eval_samples: int = Field(
        default=1000, ge=1, description="Fakes, and reals, of each of these scores, at most."
    )
    retry_lr: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="What both learning rates are multiplied by each time that a diverged run "
        f"goes back to its last checkpoint, up to {RETRIES} times; 0 gives up at once.",
    )


class TrainSettings(TrainOptions):
    """What is set under ``train.``: the options, and names whose components stand beside them."""

    augment: tuple[str, ...] = Field(
        default=(),
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
        entry = registry.find_in_package(kind, self.name, self.package, self.version)
        return parse_options(entry.load(), self.options, f"{kind.word} {self.name}: ")


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
    data_fingerprint: Name | None = Field(
        default=None, description="Hash of the data, once it was read."
    )
    versions: dict[Name, Name]

    @property
    def title(self) -> str:
        """What the run is, in a few words."""
        return f"{self.architecture.name} trained with {self.loss.name} on {self.data.name}"

    def differences(self, other: RunConfig) -> list[str]:
        """Say what differs in another configuration, one ``key: this -> that`` an item."""
        shared = {mine.name for mine in self.augmentations}
        shared &= {theirs.name for theirs in other.augmentations}
        mine, theirs = self._values_by_key(shared), other._values_by_key(shared)
        return [
            f"{key}: {mine.get(key)} -> {theirs.get(key)}"
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key) != theirs.get(key)
        ]

    def _values_by_key(self, augmentations: set[str]) -> dict[str, Any]:
        """Return each value by its key, of the named augmentations as they are set."""
        tree = self.model_dump(mode="json")
        chosen = {each["name"]: each for each in tree.pop("augmentations")}
        tree["train"]["augment"] = ",".join(chosen) or None
        for name in augmentations:
            about = {key: chosen[name][key] for key in ("package", "version")}
            tree[f"augment.{name}"] = about | chosen[name]["options"]
        return flatten(tree)


class ModelConfig(RunConfig):
    """The run that made a model, what its samples are, and how long it was trained."""

    spec: DataSpec
    step: int = Field(ge=0, lt=2**63, description="Generator updates done.")

    @classmethod
    def of(cls, config: RunConfig, spec: DataSpec, step: int) -> ModelConfig:
        """Describe the model that a run has at a step."""
        return cls(**dict(config), spec=spec, step=step)


def read_config(path: Path, kind: type[Config]) -> Config:
    """Read a configuration that may come from anywhere.

    Raises:
        InputError: it is missing, damaged, or of another format.
    """
    try:
        return kind.model_validate(read_json(path))
    except ValidationError as error:
        what = kind.__name__.removesuffix("Config").lower()
        raise InputError(
            f"{path} is not a {what}'s configuration: {explain_error(error)}"
        ) from None


def versions() -> dict[str, str]:
    """Return the versions that numbers can depend on."""
    names = ("ganzoo", "torch", "torchvision", "torch-fidelity", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
