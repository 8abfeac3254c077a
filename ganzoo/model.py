"""A model is a folder: weights as safetensors, and a configuration that names components."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import Tensor, nn

from ganzoo import images, memory
from ganzoo.architecture import GeneratorInput
from ganzoo.card import card
from ganzoo.config import RunConfig, read_config
from ganzoo.dataset import DataSpec
from ganzoo.errors import GanzooError, InputError, first_line
from ganzoo.files import (
    atomic_folder,
    load_tensors,
    save_tensors,
    tensor_shapes,
    to_json,
    user_path,
    write_text,
)
from ganzoo.registry import ARCHITECTURE, LOSS
from ganzoo.run import Run, newest_run
from ganzoo.scores import ScoreRow, write_scores
from ganzoo.seeding import generator_for, kept_randomness

if TYPE_CHECKING:
    from ganzoo.architecture import Architecture

GENERATOR_FILE = "model.safetensors"
DISCRIMINATOR_FILE = "discriminator.safetensors"
CONFIG_FILE = "config.json"
CARD_FILE = "README.md"
PICTURE_FILE = "samples.png"
BLOCK = 256
"""Latents are drawn in blocks of this many, so that more samples begin with the same ones."""
BLOCK_NUMBERS = 1 << 26
"""Numbers that a generator gives at once, at most, unless it is one sample."""
SPARE_BYTES = 1 << 22
SPARE_TENSORS = 1000
"""What a network may have beside four times what its file holds."""


class ModelConfig(RunConfig):
    """The run that made a model, what its samples are, and how long it was trained."""

    spec: DataSpec
    step: int = Field(ge=0, description="Generator updates done.")

    @classmethod
    def of(cls, config: RunConfig, spec: DataSpec, step: int) -> ModelConfig:
        """Describe the model that a run has at a step."""
        return cls(**dict(config), spec=spec, step=step)


class Model:
    """A trained model: ``model.sample(16, seed=0)`` draws from its generator."""

    def __init__(
        self,
        folder: Path,
        config: ModelConfig,
        architecture: Architecture,
        generator: nn.Module,
    ) -> None:
        self.folder = folder
        self.config = config
        self.architecture = architecture
        self.generator = generator
        """The averaged generator, in evaluation mode."""

    @property
    def title(self) -> str:
        """What the model is, in a few words."""
        return f"{self.config.title}, step {self.config.step}"

    @cached_property
    def discriminator(self) -> nn.Module:
        """The discriminator, in evaluation mode on the CPU; read when it is first asked for."""
        independent = self.config.loss.build(LOSS).independent_samples
        return _with_weights(
            lambda data: self.architecture.discriminator(data, independent_samples=independent),
            self.config.spec,
            self.folder / DISCRIMINATOR_FILE,
        )

    def to(self, device: torch.device | str) -> Model:
        """Move the generator to a device and return the model."""
        self.generator.to(device)
        return self

    @property
    def conditional(self) -> bool:
        """Whether a sample has a class, which can be asked for."""
        return self.architecture.takes_labels(self.config.spec)

    def sample(self, count: int, seed: int = 0, *, label: int | Tensor | None = None) -> Tensor:
        """Draw samples as floats on the CPU: images ``(count, C, H, W)`` in ``[-1, 1]``.

        The same seed gives the same samples, and a larger count begins with them.

        Args:
            count: Number of samples.
            seed: Seed of the latents.
            label: Class of all of them or, as a tensor ``(count,)``, of each; every class in turn
                if None. Only for conditional models.

        Raises:
            InputError: the model has no such class, or translates images.
        """
        return raw_samples(self.generator, self.inputs(count, seed, label), self.config.spec)

    def translate(self, sources: Tensor, label: int | Tensor) -> Tensor:
        """Translate images to a class; for models whose architecture takes images.

        Args:
            sources: Floats ``(N, C, H, W)`` in ``[-1, 1]``, of other classes.
            label: Class that they are translated to or, as a tensor ``(N,)``, that of each.

        Returns:
            Floats ``(N, C, H, W)`` in ``[-1, 1]``, on the CPU.

        Raises:
            InputError: the model starts from noise, or the images or the class do not fit it.
        """
        return raw_samples(self.generator, self.translated(sources, label), self.config.spec)

    def translate_stored(self, sources: Tensor, label: int | Tensor) -> Tensor:
        """Translate images as :meth:`translate` does, to uint8 images."""
        return generated(self.generator, self.translated(sources, label), self.config.spec)

    def sample_stored(
        self, count: int, seed: int = 0, *, label: int | Tensor | None = None
    ) -> Tensor:
        """Draw samples as they are stored and judged: uint8 images, or float32 vectors."""
        return generated(self.generator, self.inputs(count, seed, label), self.config.spec)

    def inputs(self, count: int, seed: int, label: int | Tensor | None = None) -> GeneratorInput:
        """Draw what the generator makes samples from, with labels where it takes them."""
        if self.architecture.takes_images:
            raise InputError("this model translates images: give it some by --source")
        return GeneratorInput(self.latents(count, seed), self._labels(count, label))

    def translated(self, sources: Tensor, label: int | Tensor) -> GeneratorInput:
        """Return what the generator translates images from; see :meth:`translate`."""
        if not self.architecture.takes_images:
            raise InputError("this model starts from noise: it has no use for --source")
        if tuple(sources.shape[1:]) != self.config.spec.shape:
            raise InputError(
                f"this model translates images of {self.config.spec.size_in_words}, not of "
                f"{' x '.join(map(str, sources.shape[1:]))}"
            )
        return GeneratorInput(sources, self._labels(len(sources), label))

    def _labels(self, count: int, label: int | Tensor | None) -> Tensor | None:
        classes = self.config.spec.classes
        if not self.conditional or classes is None:
            if label is not None:
                raise InputError("this model has no classes to choose from")
            return None
        if label is None:
            return classes_in_turn(count, classes)
        labels = torch.as_tensor(label).expand(count)
        if not bool(((labels >= 0) & (labels < classes)).all()):
            raise InputError(f"this model's classes are 0 to {classes - 1}")
        return labels

    def latents(self, count: int, seed: int) -> Tensor:
        """Draw latents ``(count, z_dim)`` on the CPU."""
        if count < 1:
            raise InputError(f"the number of samples must be at least 1, not {count}")
        rng = generator_for(seed, "sample")
        numbers = self.config.spec.size + getattr(self.architecture, "z_dim", 0)
        memory.require(4 * count * numbers, f"{count} samples")
        blocks = [self.architecture.latents(BLOCK, rng) for _ in range(-(-count // BLOCK))]
        return torch.cat(blocks)[:count]


def load(model: str | Path | Run | None = None) -> Model:
    """Load a model from a run, a run's folder or a model folder; from the newest run if None.

    It is built from the registry alone: nothing in the folder can name code to import.

    Raises:
        InputError: there is no model there, or its files do not fit each other.
        ganzoo.errors.PluginError: a package that gave one of its components is not installed.
    """
    folder = find_model(model)
    config = read_config(folder / CONFIG_FILE, ModelConfig)
    architecture: Architecture = config.architecture.build(ARCHITECTURE)
    generator = _with_weights(architecture.generator, config.spec, folder / GENERATOR_FILE)
    return Model(folder, config, architecture, generator)


def find_model(model: str | Path | Run | None) -> Path:
    """Return the model folder that a reference means.

    Raises:
        InputError: there is none.
    """
    if model is None:
        model = newest_run()
    path = model.path if isinstance(model, Run) else user_path(model)
    if not path.exists():
        raise InputError(f"there is no run or model folder {path}")
    if (path / GENERATOR_FILE).is_file():
        return path
    run = Run(path)
    if (run.model / GENERATOR_FILE).is_file():
        return run.model
    if run.is_run():
        raise InputError(
            f"the run {path} has no model yet: it did not finish; "
            f"go on with: ganzoo train --resume {path}"
        )
    raise InputError(f"{path} holds no model: there is no {GENERATOR_FILE} in it")


def write_model(
    folder: Path,
    config: ModelConfig,
    generator: nn.Module,
    discriminator: nn.Module,
    picture: Path,
    scores: Iterable[ScoreRow] = (),
) -> None:
    """Write a model folder, whole or not at all; one that was there is replaced."""
    with atomic_folder(folder) as beside:
        save_tensors(beside / GENERATOR_FILE, generator.state_dict())
        save_tensors(beside / DISCRIMINATOR_FILE, discriminator.state_dict())
        write_text(beside / CONFIG_FILE, to_json(config.model_dump(mode="json")))
        rows = list(scores)
        write_text(beside / CARD_FILE, card(config, rows))
        shutil.copyfile(picture, beside / PICTURE_FILE)
        if rows:
            write_scores(beside, rows)


def classes_in_turn(count: int, classes: int) -> Tensor:
    """Return labels ``(count,)`` that go through the classes again and again."""
    return torch.arange(count) % classes


def generated(generator: nn.Module, inputs: GeneratorInput, spec: DataSpec) -> Tensor:
    """Return a generator's samples on the CPU as they are stored: uint8, or float32 vectors.

    Raises:
        ganzoo.errors.GanzooError: a number is not finite.
    """
    stored = images.to_uint8 if spec.is_image else images.finite
    return raw_samples(generator, inputs, spec, stored)


def raw_samples(
    generator: nn.Module,
    inputs: GeneratorInput,
    spec: DataSpec,
    stored: Callable[[Tensor], Tensor] = lambda samples: samples,
) -> Tensor:
    """Return a generator's float samples on the CPU, made in evaluation mode.

    Each block of them is given to ``stored``, which may make it smaller.
    """
    device = next(generator.parameters()).device
    block = max(1, min(BLOCK, BLOCK_NUMBERS // spec.size))
    with evaluating(generator), torch.inference_mode():
        parts = [
            stored(part.through(generator).float().cpu()) for part in inputs.parts(block, device)
        ]
    # A copy outside inference mode may take part in a caller's gradients.
    return torch.cat(parts).contiguous().clone()


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, and each of its modules back as it was."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _with_weights(build: Callable[[DataSpec], nn.Module], data: DataSpec, path: Path) -> nn.Module:
    """Build a network with the weights of a file, which must be its own, and finite.

    The file says how large the network may be before memory is taken for it.
    """
    shapes = tensor_shapes(path).values()
    # Set up, a network may have more for a while: parametrisations keep a tensor twice.
    size = 4 * sum(8 * math.prod(shape) for shape in shapes) + SPARE_BYTES
    with kept_randomness():  # building draws weights that the file then replaces
        try:
            outline = memory.outlined(lambda: build(data), size, 4 * len(shapes) + SPARE_TENSORS)
            like = build(data) if outline is None else outline
            tensors = load_tensors(path, like.state_dict())
            network = build(data)
        except GanzooError:
            raise
        except Exception as error:  # of options that fit no network of any weights
            raise InputError(
                f"the network of {path} cannot be built: {type(error).__name__}: "
                f"{first_line(error)}"
            ) from error
    network.load_state_dict(tensors)
    for name, parameter in network.named_parameters():  # a buffer may well be infinite
        if not parameter.isfinite().all():
            raise InputError(f"{path} holds numbers that are not finite, in '{name}'")
    return network.eval().requires_grad_(False)
