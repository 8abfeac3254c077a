"""The configuration of a run: its components with every option, and its training options."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypedDict, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from ganzoo import registry
from ganzoo.component import Component, Options, explain_error, parse_options, place_options
from ganzoo.errors import InputError, PluginError
from ganzoo.protocols.dataset import DataSpec
from ganzoo.protocols.progress import Progress
from ganzoo.protocols.recipe import RESUMABLE, RecipeName, RecipeOptions
from ganzoo.protocols.schedule import COUNTS, N_CRITIC, Schedule, progress_at
from ganzoo.registry import ARCHITECTURE, AUGMENTATION, DATASET, LOSS, PENALTY, Entry, Kind
from ganzoo.storage.json_files import flatten, read_json
from ganzoo.storage.paths import names_place

if TYPE_CHECKING:
    from ganzoo.protocols.objective import Objective

Config = TypeVar("Config", bound="RunConfig")

LONGEST_NAME = 200
"""Characters of the longest name in a file."""
RETRIES = 3
"""How often a run may go back to a checkpoint after it diverged."""
PREFIXES = ("arch", "loss", "data", "train", "penalty", "augment", "tracker")
"""Prefixes of option names, such as ``loss.gp_weight``."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it contains characters that cannot be printed")
    return text


Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(_printable)]
# These follow 'pip install' in messages, so they must be nothing but a name or a version.
PackageName = Annotated[Name, Field(pattern="^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]
PackageVersion = Annotated[Name, Field(pattern="^[A-Za-z0-9._!+-]+$")]


class TrainOptions(RecipeOptions):
    """Training options of a run. The inherited ones default to those of the recipe."""

    recipe: RecipeName = Field(
        default="tuned",
        description="Recipe that gives the options you do not set: tuned for short trainings, "
        "paper for that of the paper, or a name that 'ganzoo show' lists for the architecture. "
        "Without an architecture, a name of 'ganzoo list recipes'.",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of all random numbers.")
    device: str = Field(
        default="auto",
        description="auto, cpu, cuda, cuda:N or mps.",
        json_schema_extra=RESUMABLE,
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32",
        description="Numeric precision of training. Weights, averages and gradient penalties stay "
        "in fp32. fp16 is for GPUs, and scales its losses.",
    )
    tf32: bool = Field(
        default=True,
        description="Let a GPU compute fp32 convolutions and matrix products in TF32, which has a "
        "mantissa of 10 bits instead of 23.",
    )
    compile: bool = Field(
        default=False,
        description="Compile the networks at the first step. Gradient penalties are computed "
        "without compilation.",
    )
    cuda_graphs: bool = Field(
        default=False, description="Run compiled networks as CUDA graphs on a GPU."
    )
    reuse_fakes: bool = Field(
        default=False,
        description="Reuse the fakes of the last discriminator update for the generator update, "
        "which saves a pass. By default new fakes are drawn, as in algorithm 1 of Goodfellow et "
        "al. 2014 (arXiv:1406.2661).",
    )
    freeze_discriminator: int = Field(
        default=0,
        ge=0,
        description="Layers of the discriminator, from its input on, that stay as they are in the "
        "model of --init (Mo et al. 2020, arXiv:2002.10964).",
    )
    log_every: int = Field(
        default=10,
        ge=1,
        description="Steps between lines of metrics.jsonl.",
        json_schema_extra=RESUMABLE,
    )
    sample_every: int = Field(
        default=100,
        ge=1,
        description="Steps between sample pictures. Those of steps 10, 20 and 50 come in addition.",
        json_schema_extra=RESUMABLE,
    )
    checkpoint_every: int = Field(
        default=500, ge=1, description="Steps between checkpoints.", json_schema_extra=RESUMABLE
    )
    eval_every: int = Field(
        default=0,
        ge=0,
        json_schema_extra=RESUMABLE,
        description="Steps between scores of the averaged generator; 0 for no scores. The model "
        "with the best score is kept beside the last one.",
    )
    eval_metric: tuple[str, ...] = Field(
        default=(),
        json_schema_extra=RESUMABLE,
        description="Metrics of these scores; the first one decides which model is best. By "
        "default those that suit the data.",
    )
    eval_samples: int = Field(
        default=1000,
        ge=1,
        json_schema_extra=RESUMABLE,
        description="Fakes, and reals, for each score; at most as many as the data have.",
    )
    eval_features: str | None = Field(
        default=None,
        json_schema_extra=RESUMABLE,
        description="Feature extractor of these scores. By default the data's own, or the "
        "metric's.",
    )
    memorisation_below: int = Field(
        default=2000,
        ge=0,
        json_schema_extra=RESUMABLE,
        description="Watch in each sample picture whether samples repeat training images, if there "
        "are fewer images than this; 0 for never.",
    )
    retry_lr: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="Factor for both learning rates each time that a diverged run goes back to "
        f"its last checkpoint, up to {RETRIES} times; 0 gives up at once.",
    )


class TrainSettings(TrainOptions):
    """Everything that you can set under ``train.``: the training options and further components."""

    penalty: tuple[str, ...] = Field(
        default=(),
        description="Names of penalties, whose terms are added to those of the loss.",
    )

    augment: tuple[str, ...] = Field(
        default=(),
        description="Names of augmentations for small datasets. All samples that the "
        "discriminator sees, real or fake, pass through them in this order.",
    )

    def options(self) -> TrainOptions:
        """Return the training options without the components."""
        return TrainOptions(**{name: getattr(self, name) for name in TrainOptions.model_fields})


OTHER_WORDS = {
    "train.steps": "epochs epoch iterations iters iter num_steps max_steps n_iter num_iter",
    "train.batch_size": "batch bs batchsize",
    "train.generator_lr": "lr learning_rate lrate g_lr lr_g lrg glr gen_lr",
    "train.discriminator_lr": "lr learning_rate lrate d_lr lr_d lrd dlr disc_lr critic_lr",
    "train.betas": "beta beta1 beta2 beta_1 beta_2 b1 b2 adam_betas",
    "train.generator_betas": "g_betas betas_g",
    "train.discriminator_betas": "d_betas betas_d",
    "train.eps": "adam_eps adam_epsilon epsilon",
    "train.weight_decay": "wd adam_wd",
    "train.clip_norm": "grad_clip clip_grad clip_grad_norm gradient_clip gradient_clip_val "
    "max_grad_norm",
    "train.accumulate": "gradient_accumulation gradient_accumulation_steps grad_accum "
    "accumulate_grad_batches accumulation_steps num_accumulation_steps batch_gpu",
    "train.optimizer": "optim optimiser opt",
    "train.n_critic": "critic_steps critic_iters d_steps n_disc disc_iters num_d_steps",
    "train.lr_decay": "scheduler lr_schedule lr_scheduler",
    "train.device": "gpu gpus cuda cpu accelerator",
    "train.seed": "random_seed manual_seed random_state",
    "train.precision": "fp16 bf16 amp half mixed_precision dtype",
    "train.compile": "torch_compile",
    "train.ema_half_life": "ema ema_decay ema_beta ema_rate ema_kimg",
    "train.freeze_discriminator": "freezed freeze_d freeze_layers",
    "train.log_every": "log_interval log_freq print_every print_freq",
    "train.sample_every": "sample_interval sample_freq image_interval image_snap",
    "train.checkpoint_every": "save_every save_interval save_freq snap snapshot_every",
    "train.eval_every": "eval_interval eval_freq",
    "train.eval_metric": "metric metrics eval_metrics",
    "train.eval_features": "features feature_extractor",
    "train.penalty": "penalties regularizer regulariser reg r1 r1_gamma gradient_penalty pl_weight",
    "train.augment": "aug augmentation augmentations augments ada diffaug",
    "loss.gp_weight": "gp lambda_gp gp_lambda gp_coef",
    "arch.z_dim": "nz zdim latent_dim latent_size noise_dim latent",
    "arch.base_channels": "ngf ndf nf ch",
    "data.image_size": "size resolution res img_size imsize imgsize image_res",
    "data.image_channels": "img_channels nc",
    "data.flip": "mirror hflip",
    "data.path": "dataroot data_dir data_path data_root dataset_path",
}
"""Words of other programs, by the full name of the option that they stand for here."""


def find_other_words(word: str) -> tuple[str, ...]:
    """Return the full names of the options that a word may mean, such as ``train.steps``.

    Args:
        word: An option's name without its prefix, or what other programs call it.
    """
    word = word.lower().replace("-", "_")
    names = [*OTHER_WORDS, *(f"train.{name}" for name in TrainSettings.model_fields)]
    if named := [name for name in names if name.partition(".")[2] == word]:
        return tuple(dict.fromkeys(named))
    return tuple(name for name, words in OTHER_WORDS.items() if word in words.split())


class TrainKeywords(TypedDict, total=False):
    """Keyword arguments of :func:`ganzoo.train`: the fields of :class:`TrainSettings`, and more."""

    steps: int
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"]
    generator_lr: float | str
    discriminator_lr: float | str
    betas: tuple[float, float] | str
    generator_betas: tuple[float, float] | str | None
    discriminator_betas: tuple[float, float] | str | None
    eps: float | str
    weight_decay: float | str
    clip_norm: float | str
    n_critic: int | str
    batch_size: int
    accumulate: int
    lr_decay: Literal["none", "linear", "cosine"]
    lr_decay_from: float
    ema_half_life: float | str
    ema_ramp: float | str
    recipe: RecipeName
    seed: int
    device: str
    precision: Literal["fp32", "bf16", "fp16"]
    tf32: bool
    compile: bool
    cuda_graphs: bool
    reuse_fakes: bool
    freeze_discriminator: int
    log_every: int
    sample_every: int
    checkpoint_every: int
    eval_every: int
    eval_metric: tuple[str, ...]
    eval_samples: int
    eval_features: str | None
    memorisation_below: int
    retry_lr: float
    penalty: tuple[str, ...]
    augment: tuple[str, ...]
    image_size: int | str | tuple[int, int]
    image_channels: int
    flip: bool
    value_range: tuple[float, float]
    source_of: str


DATA_KEYWORDS = ("image_size", "image_channels", "flip", "value_range")
"""Those of them that are options of the data."""
ARCHITECTURE_KEYWORDS = ("source_of",)


def name_keyword(name: str) -> str:
    """Return the full name of the option that a keyword argument of :func:`ganzoo.train` sets."""
    if name in ARCHITECTURE_KEYWORDS:
        return f"arch.{name}"
    return f"{'data' if name in DATA_KEYWORDS else 'train'}.{name}"


class ComponentChoice(Options):
    """A component as files name it: by package, name and version, with every option."""

    name: Name
    package: PackageName
    version: PackageVersion
    options: dict[str, Any]

    @property
    def qualified(self) -> str:
        """The name with its package, which no other component has: ``package:name``."""
        return f"{self.package}:{self.name}"

    @classmethod
    def of(cls, entry: Entry, component: Component) -> ComponentChoice:
        """Return how files name a component that the registry found."""
        options = component.model_dump(mode="json")
        return cls(name=entry.name, package=entry.package, version=entry.version, options=options)

    def build(self, kind: Kind) -> Any:
        """Rebuild the component with the same options.

        Raises:
            ganzoo.errors.PluginError: the package that gave it is not installed, or is broken.
            InputError: the options do not fit the installed version.
        """
        entry = registry.find_in_package(kind, self.name, self.package, self.version)
        component = entry.load()
        return parse_options(component, self.options_for(component), f"{kind.word} {self.name}: ")

    def options_for(self, component: type[Component]) -> dict[str, Any]:
        """Return the options, with those that the component did not have when they were written."""
        return {**component.earlier_defaults, **self.options}

    def with_options(self, options: Mapping[str, Any]) -> ComponentChoice:
        """Return the choice with other values of some options, as JSON values."""
        return self.model_copy(update={"options": {**self.options, **options}})

    def without_places(self, kind: Kind) -> ComponentChoice:
        """Return the choice without options that are paths or URLs, which get their defaults.

        An option is one by its type, or by its value where the type does not tell. Options that the
        component does not have stay, and are refused when it is built.
        """
        try:
            component = registry.find_in_package(kind, self.name, self.package, self.version).load()
        except PluginError:  # without the component, nothing reads its options either
            return self
        typed = place_options(component)
        kept = {
            name: value
            for name, value in self.options.items()
            if name not in component.model_fields or not (name in typed or names_place(value))
        }
        return self.model_copy(update={"options": kept})


class ConverterVersion(Options):
    """The converter that weights went through."""

    name: Name
    package: PackageName
    version: PackageVersion


class Origin(Options):
    """Where the weights of an imported model come from, and whether they may be passed on."""

    file: Name
    """Name of the file that was imported."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    address: Annotated[str, Field(max_length=2000), AfterValidator(_printable)] | None = None
    """Where the person who imported it got it."""
    program: Name
    """The program that wrote it, and where that is."""
    licence: Name | None = None
    """The Hub's identifier of the weights' licence; None if it is not known."""
    may_pass_on: bool | None = None
    """Whether that licence allows others to publish the weights; None if it is not known."""
    converter: ConverterVersion
    date: Annotated[str, Field(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    """Day of the import."""

    @property
    def title(self) -> str:
        """The file and its program in a few words: ``netG.pth of the PyTorch examples``."""
        return f"{self.file} of {self.program.partition(',')[0]}"

    @property
    def terms(self) -> str:
        """What is known of the licence, in one sentence."""
        under = f"are under the licence {self.licence}" if self.licence else "name no licence"
        if self.licence == "other":  # the Hub's word
            under = "are under a licence of their own"
        if self.may_pass_on:
            return f"the weights of {self.title} {under}, and may be passed on under its terms"
        if self.may_pass_on is None:
            return f"the weights of {self.title} {under}; whether they may be passed on is not said"
        return f"the weights of {self.title} {under}, and may not be passed on"


class InitialModel(Options):
    """The model that a run started from; the run keeps a copy of it."""

    name: str
    """``user/name`` on the Hub, or the name of its run's folder or its own folder."""
    revision: str | None = None
    """Its commit on the Hub."""
    step: int = Field(ge=0)
    generator_sha256: str
    discriminator_sha256: str | None
    """None if the model has no discriminator, as some that were imported."""
    origin: Origin | None = None
    """Where its weights come from, if it or what it started from was imported. Files omit None."""

    @model_serializer(mode="wrap")
    def _omit_none(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree = serialize(self)
        if self.origin is None:
            tree.pop("origin", None)
        return tree


class ForkedState(Options):
    """The checkpoint of another run that a run started from; the run keeps a copy of it."""

    name: str
    """Name of the folder of the other run."""
    step: int = Field(ge=0, lt=2**63)
    manifest_sha256: str
    """SHA-256 of the checkpoint's manifest, which lists those of its files."""

    @property
    def place(self) -> str:
        """The checkpoint's folder, from the folder that holds the other run."""
        return f"{self.name}/checkpoints/{self.step:08d}"


class RunConfig(Options):
    """Everything that is needed to repeat a run."""

    format: Literal[1] = 1
    architecture: ComponentChoice
    loss: ComponentChoice
    data: ComponentChoice
    train: TrainOptions
    augmentations: tuple[ComponentChoice, ...] = ()
    penalties: tuple[ComponentChoice, ...] = Field(
        default=(), description="Terms beside those of the loss. Files omit an empty list."
    )
    schedules: dict[str, Schedule] = Field(
        default={},
        description="Options that change during the run, by full name; the option itself holds the "
        "first value. Files omit an empty table.",
    )
    trackers: tuple[ComponentChoice, ...] = ()
    init: InitialModel | None = None
    data_fingerprint: Name | None = Field(
        default=None, description="Hash of the data, once they were read."
    )
    versions: dict[Name, Name]
    fork: ForkedState | None = Field(
        default=None,
        description="The checkpoint of another run that this run started from. Files omit None.",
    )
    regular_until: int = Field(
        default=0,
        ge=0,
        description="Step at which the interval of checkpoints was changed; all checkpoints until "
        "then count as regular. Files omit 0.",
    )

    threads: int | None = Field(
        default=None,
        ge=1,
        lt=2**15,
        description="Threads of the CPU, if the run has another number than torch's own. Files "
        "omit None.",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_earlier(cls, values: Any) -> Any:
        """Read a file that has the decay of the average in a step, and is by a paper's recipe."""
        if not isinstance(values, dict) or not isinstance(values.get("train"), dict):
            return values
        train: dict[str, Any] = dict(values["train"])
        match train:
            case {"ema_decay": float(decay), "batch_size": int(size), "n_critic": int(updates)}:
                half_life = size * updates * math.log(0.5) / math.log(decay) if 0 < decay < 1 else 0
            case _:
                return values
        train |= {"recipe": "paper", "ema_half_life": float(half_life)}
        del train["ema_decay"]
        return {**values, "train": train}

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        """Check what :meth:`progress_at` counts by."""
        if (schedule := self.schedules.get(N_CRITIC)) is not None:
            if not schedule.counts:
                raise ValueError(f"{N_CRITIC} {COUNTS}")
            for value in schedule.values:
                try:
                    RecipeOptions(n_critic=value)
                except InputError as error:
                    raise ValueError(error.message) from None
        return self

    @model_serializer(mode="wrap")
    def _omit_defaults(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omit what few runs have, so that the files of all others stay as they are."""
        tree = serialize(self)
        for name in ("penalties", "schedules", "fork", "regular_until", "threads"):
            if not getattr(self, name):
                tree.pop(name, None)
        return tree

    def is_regular(self, step: int) -> bool:
        """Tell whether a checkpoint at a step is a regular one, and not one of an interruption."""
        return step <= self.regular_until or step % self.train.checkpoint_every == 0

    @property
    def title(self) -> str:
        """A short title: architecture, loss and data."""
        return f"{self.architecture.name} trained with {self.loss.name} on {self.data.name}"

    def without_places(self) -> Self:
        """Return the configuration without paths, URLs and trackers.

        What is not of your own run must not choose what this machine reads and writes.
        """
        return self.model_copy(
            update={
                "architecture": self.architecture.without_places(ARCHITECTURE),
                "loss": self.loss.without_places(LOSS),
                "data": self.data.without_places(DATASET),
                "augmentations": tuple(
                    each.without_places(AUGMENTATION) for each in self.augmentations
                ),
                "penalties": tuple(each.without_places(PENALTY) for each in self.penalties),
                "trackers": (),
            }
        )

    def write_schedules(self, owner: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return options with the text of a schedule in place of its first value, for people.

        Args:
            owner: Prefix of their full names: ``train``, ``loss``, ``penalty.NAME`` and so on.
            options: Their values, by name.
        """
        followed = {name: self.schedules.get(f"{owner}.{name}") for name in options}
        return {
            name: value if followed[name] is None else str(followed[name])
            for name, value in options.items()
        }

    def progress_at(self, step: int) -> Progress:
        """Return how far the training is before a step."""
        return progress_at(self.train, self.schedules, step)

    def build_objectives(self) -> list[Objective]:
        """Build the loss and the penalties.

        Raises:
            ganzoo.errors.PluginError: the package of one of them is not installed.
        """
        return [self.loss.build(LOSS), *(each.build(PENALTY) for each in self.penalties)]

    def needs_independent_samples(self) -> bool:
        """Tell whether the discriminator must judge each sample independently of its batch.

        Raises:
            ganzoo.errors.PluginError: the package of the loss, of a penalty or of the architecture
                is not installed.
        """
        needed = any(bool(each.independent_samples) for each in self.build_objectives())
        return needed and not self.architecture.build(ARCHITECTURE).mixes_batch

    def differences(self, other: RunConfig) -> list[str]:
        """List the differences to another configuration, as ``key: this -> that``."""
        return [f"{key}: {mine} -> {theirs}" for key, (mine, theirs) in self.changes(other).items()]

    def changes(self, other: RunConfig) -> dict[str, tuple[Any, Any]]:
        """Return the values that differ in another configuration, this and that, by sorted key."""
        mine, theirs = self._values_by_key(other), other._values_by_key(self)
        return {
            key: (mine.get(key), theirs.get(key))
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key) != theirs.get(key)
        }

    def _values_by_key(self, other: RunConfig) -> dict[str, Any]:
        """Return each value by its key; of several components, the options of those of both."""
        tree = self.model_dump(mode="json")
        for kind, word in (("augmentations", "augment"), ("penalties", "penalty")):
            chosen = {each["name"]: each for each in tree.pop(kind, [])}
            tree["train"][word] = ",".join(chosen) or None
            for name in chosen.keys() & {each.name for each in getattr(other, kind)}:
                about = {key: chosen[name][key] for key in ("package", "version")}
                options = self.write_schedules(f"{word}.{name}", chosen[name]["options"])
                tree[f"{word}.{name}"] = about | options
        tree["loss"]["options"] = self.write_schedules("loss", tree["loss"]["options"])
        tree["train"] = self.write_schedules("train", tree["train"])
        tree.pop("schedules", None)
        return flatten(tree)


class ModelConfig(RunConfig):
    """The configuration of a model: that of its run, its kind of samples, and its step."""

    spec: DataSpec
    step: int = Field(ge=0, lt=2**63, description="Generator updates done.")

    @classmethod
    def of(cls, config: RunConfig, spec: DataSpec, step: int) -> ModelConfig:
        """Return the configuration of a run's model at a step."""
        return cls(**dict(config), spec=spec, step=step)

    @property
    def progress(self) -> Progress:
        """How far the training was."""
        return self.progress_at(self.step)


def read_config(path: Path, kind: type[Config]) -> Config:
    """Read a configuration file, which may come from an untrusted source.

    Raises:
        InputError: the file is missing, damaged, or of another format.
    """
    try:
        return kind.model_validate(read_json(path))
    except ValidationError as error:
        what = kind.__name__.removesuffix("Config").lower()
        raise InputError(
            f"{path} is not a {what}'s configuration: {explain_error(error)}"
        ) from None


def versions() -> dict[str, str]:
    """Return the versions of the packages that results can depend on."""
    names = ("ganzoo", "torch", "torchvision", "torch-fidelity", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
