"""A trained model: how it is loaded, and what is drawn from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganzoo import distributed
from ganzoo.compute import memory
from ganzoo.compute.seeding import make_rng, preserve_rng_state
from ganzoo.config import ModelConfig
from ganzoo.errors import GanzooError, InputError, first_line
from ganzoo.media import images
from ganzoo.models.find import find_model
from ganzoo.models.folder import ModelFolder
from ganzoo.models.size_check import MAX_TENSORS, build_on_meta, limit_tensors
from ganzoo.models.walk import WALK_FRAMES, Walk
from ganzoo.protocols.architecture import GeneratorInput
from ganzoo.registry import ARCHITECTURE, LOSS
from ganzoo.runs.file_names import DISCRIMINATOR_FILE, GENERATOR_FILE
from ganzoo.storage.tensors import load_tensors, max_header_size

if TYPE_CHECKING:
    from pathlib import Path

    from ganzoo.protocols.architecture import Architecture
    from ganzoo.protocols.dataset import DataSpec
    from ganzoo.runs.folder import Run

LATENT_BLOCK = 256
"""Latents are drawn in blocks of this many, so that more samples begin with the same ones."""
CPU_PASS = 64
"""Samples that a CPU makes at once; what layers make of more does not stay in its caches."""
MAX_NUMBERS = 1 << 26
"""Numbers that a generator gives at once, at most, unless it is one sample."""
SPARE_BYTES = 1 << 22
SPARE_TENSORS = 1000
"""What a network may have beside four times what its file holds."""
MIN_HEADER = 48
"""Bytes that a file of weights has for each tensor beside its numbers, at least."""


class Model:
    """A trained model: ``model.sample(16, seed=0)`` draws from its generator."""

    def __init__(
        self,
        folder: ModelFolder | None,
        config: ModelConfig,
        architecture: Architecture,
        generator: nn.Module,
    ) -> None:
        self.folder = folder
        """Its files, if it has any yet."""
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
        if self.folder is None:
            raise InputError("a model that has no files has no discriminator")
        independent = self.config.loss.build(LOSS).independent_samples
        return _build_network(
            lambda data: self.architecture.discriminator(data, independent_samples=independent),
            self.config.spec,
            self.folder,
            DISCRIMINATOR_FILE,
        ).to(memory_format=self.architecture.memory_format)

    def to(self, device: torch.device | str) -> Model:
        """Move the generator to a device and return the model."""
        self.generator.to(device)
        return self

    @property
    def conditional(self) -> bool:
        """Whether a sample has a class, which can be asked for."""
        return self.architecture.takes_labels(self.config.spec)

    def sample(
        self,
        count: int,
        seed: int = 0,
        *,
        label: int | Tensor | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """Draw samples as floats on the CPU: images ``(count, C, H, W)`` in ``[-1, 1]``.

        The same seed gives the same samples, and a larger count begins with them.

        Args:
            count: Number of samples.
            seed: Seed of the latents.
            label: Class of all of them or, as a tensor ``(count,)``, of each; every class in turn
                if None. Only for conditional models.
            truncation: Trades variety for quality, the more so the smaller it is: unless the
                architecture does otherwise, latents keep to ``[-truncation, truncation]``. None
                leaves them as they are drawn.

        Raises:
            InputError: the model has no such class, or translates images, or cannot draw with this
                truncation.
        """
        inputs = self.inputs(count, seed, label)
        return generate_raw(self.truncated(truncation), inputs, self.config.spec)

    def walk(
        self,
        count: int,
        seeds: Sequence[int],
        frames: int = WALK_FRAMES,
        *,
        loop: bool = False,
        label: int | Tensor | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """Draw samples on a walk through several seeds: floats ``(F, count, C, H, W)`` on the CPU.

        Each sample goes from its latent of a seed to its latent of the next, round the sphere
        unless the architecture does otherwise (see :func:`ganzoo.protocols.latents.slerp`), and
        keeps its class. The frame at a seed is what :meth:`sample` draws from that seed, to the
        bit.

        Args:
            count: Number of samples in each frame.
            seeds: Two seeds or more.
            frames: Number of frames from one seed to the next, of which that of the next is none.
            loop: Whether to go back to the first seed, whose frame is not given again.
            label: As for :meth:`sample`.
            truncation: As for :meth:`sample`.

        Returns:
            Images in ``[-1, 1]``, or vectors ``(F, count, D)``. F is ``frames * len(seeds)`` for a
            loop, else ``frames * (len(seeds) - 1) + 1``.

        Raises:
            InputError: as for :meth:`sample`; or there are fewer than two seeds, or no way between
                latents of this architecture.
        """
        spec, walk = self.config.spec, self.walk_inputs(count, seeds, frames, loop, label)
        memory.require(8 * len(walk) * count * spec.size, f"{len(walk)} frames of {count} samples")
        generator = self.truncated(truncation)
        return torch.stack([generate_raw(generator, inputs, spec) for inputs in walk])

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
        return generate_raw(self.generator, self.translated(sources, label), self.config.spec)

    def translate_stored(self, sources: Tensor, label: int | Tensor) -> Tensor:
        """Translate images as :meth:`translate` does, to uint8 images."""
        return generate_stored(self.generator, self.translated(sources, label), self.config.spec)

    def sample_stored(
        self,
        count: int,
        seed: int = 0,
        *,
        label: int | Tensor | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """Draw samples as they are stored and judged: uint8 images, or float32 vectors."""
        inputs = self.inputs(count, seed, label)
        return generate_stored(self.truncated(truncation), inputs, self.config.spec)

    def truncated(self, truncation: float | None) -> nn.Module:
        """Return the generator as it draws with a truncation; as it is if None.

        Raises:
            InputError: the model translates images, or cannot draw with this truncation.
        """
        if truncation is None:
            return self.generator
        if self.architecture.takes_images:
            raise InputError("this model translates images: it has no use for --truncation")
        if not 0 < truncation < math.inf:
            raise InputError(f"truncation must be a number above 0, not {truncation}")
        return self.architecture.truncate(self.generator, truncation)

    def inputs(self, count: int, seed: int, label: int | Tensor | None = None) -> GeneratorInput:
        """Draw what the generator makes samples from, with labels where it takes them."""
        if self.architecture.takes_images:
            raise InputError("this model translates images: give it some by --source")
        return GeneratorInput(self.latents(count, seed), self._labels(count, label))

    def walk_inputs(
        self,
        count: int,
        seeds: Sequence[int],
        frames: int = WALK_FRAMES,
        loop: bool = False,
        label: int | Tensor | None = None,
    ) -> Walk:
        """Return what the generator makes the frames of a walk from; see :meth:`walk`."""
        if self.architecture.takes_images:
            raise InputError("this model translates images: there is no walk through them")
        labels = self._labels(count, label)
        return Walk(
            self.architecture, lambda seed: self.latents(count, seed), labels, seeds, frames, loop
        )

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
            return cycle_classes(count, classes)
        labels = torch.as_tensor(label).expand(count)
        if not bool(((labels >= 0) & (labels < classes)).all()):
            raise InputError(f"this model's classes are 0 to {classes - 1}")
        return labels

    def latents(self, count: int, seed: int) -> Tensor:
        """Draw latents ``(count, z_dim)`` on the CPU."""
        if count < 1:
            raise InputError(f"the number of samples must be at least 1, not {count}")
        rng = make_rng(seed, "sample")
        blocks = -(-count // LATENT_BLOCK)
        latents = blocks * LATENT_BLOCK * getattr(self.architecture, "z_dim", 0)
        memory.require(4 * (count * self.config.spec.size + latents), f"{count} samples")
        return torch.cat([self.architecture.latents(LATENT_BLOCK, rng) for _ in range(blocks)])[
            :count
        ]


def load(model: str | Path | Run | None = None, revision: str | None = None) -> Model:
    """Load a model from a run, a folder or the Hub; from the newest run if None.

    It is built from the registry alone: nothing in its files can name code to import. They are
    verified by their hashes, and its weights must be those of its networks, and finite.

    Args:
        model: A run, its folder, a model folder, or ``user/name`` or ``user/name@revision`` of the
            Hub.
        revision: Branch, tag or commit of the Hub. It becomes one commit first, of which all files
            are; a commit that the cache has needs no network.

    Raises:
        InputError: there is no model there, or its files do not fit each other.
        ganzoo.errors.PluginError: a package that gave one of its components is not installed.
        GanzooError: the Hub cannot be reached, or refuses.
    """
    return load_folder(find_model(model, revision))


def load_folder(folder: ModelFolder) -> Model:
    """Load the model of a folder; see :func:`load`."""
    config = folder.config()
    architecture: Architecture = config.architecture.build(ARCHITECTURE)
    generator = _build_network(architecture.generator, config.spec, folder, GENERATOR_FILE)
    return Model(
        folder, config, architecture, generator.to(memory_format=architecture.memory_format)
    )


def cycle_classes(count: int, classes: int) -> Tensor:
    """Return labels ``(count,)`` that go through the classes again and again."""
    return torch.arange(count) % classes


def generate_stored(generator: nn.Module, inputs: GeneratorInput, spec: DataSpec) -> Tensor:
    """Return a generator's samples on the CPU as they are stored: uint8, or float32 vectors.

    Raises:
        ganzoo.errors.GanzooError: a number is not finite.
    """
    stored = images.to_uint8 if spec.is_image else images.require_finite
    return generate_raw(generator, inputs, spec, stored)


def generate_raw(
    generator: nn.Module,
    inputs: GeneratorInput,
    spec: DataSpec,
    stored: Callable[[Tensor], Tensor] = lambda samples: samples,
) -> Tensor:
    """Return a generator's float samples on the CPU, made in evaluation mode.

    Each block of them is given to ``stored``, which may make it smaller.
    """
    device = next(generator.parameters()).device
    most = CPU_PASS if device.type == "cpu" else LATENT_BLOCK
    block = max(1, min(most, MAX_NUMBERS // spec.size))
    with evaluation_mode(generator), torch.inference_mode():
        parts = distributed.current().map_items(
            inputs.parts(block, device),
            # Put in order while it is in the caches.
            lambda part: stored(part.through(generator).float().cpu()).contiguous(),
        )
    # What is put together outside inference mode may take part in a caller's gradients.
    return torch.cat(parts)


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, and each of its modules back as it was."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _build_network(
    build: Callable[[DataSpec], nn.Module], data: DataSpec, folder: ModelFolder, name: str
) -> nn.Module:
    """Build a network with the weights of a file, which must be its own, and finite.

    How large the network may be says the size of the file, and how large the file may be says the
    network, before it is downloaded or memory is taken for either. A manifest may claim any size,
    so neither is more than the memory.
    """
    size = folder.size(name)
    # Set up, a network may have more for a while: parametrisations keep a tensor twice.
    most = min(4 * size + SPARE_BYTES, memory.limit())
    tensors = min(4 * size // MIN_HEADER + SPARE_TENSORS, MAX_TENSORS)
    with preserve_rng_state():  # building draws weights that the file then replaces
        with _explain_build_errors(folder, name):
            like = build_on_meta(lambda: build(data), most, tensors)
            if like is None:
                with limit_tensors(most, tensors):
                    like = build(data)
        wanted = like.state_dict()
        _check_size(folder, name, size, wanted)
        weights = load_tensors(folder.file(name), wanted)
        with _explain_build_errors(folder, name):
            network = build(data)
    parameters = {part for part, _ in network.named_parameters(remove_duplicate=False)}
    for part, tensor in weights.items():  # a buffer may well be infinite
        if not (tensor.isfinite() if part in parameters else ~tensor.isnan()).all():
            raise InputError(f"{folder.path / name} holds numbers that are not finite, in '{part}'")
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


@contextmanager
def _explain_build_errors(folder: ModelFolder, name: str) -> Iterator[None]:
    try:
        yield
    except GanzooError:
        raise
    except Exception as error:  # of options that fit no network of any weights
        raise InputError(
            f"the network of {folder.path / name} cannot be built: {type(error).__name__}: "
            f"{first_line(error)}"
        ) from error


def _check_size(folder: ModelFolder, name: str, size: int, wanted: Mapping[str, Tensor]) -> None:
    numbers = sum(tensor.numel() * tensor.element_size() for tensor in wanted.values())
    if size > numbers + max_header_size(len(wanted)):
        raise InputError(
            f"{folder.path / name} does not fit its network: it has {size:,} bytes, and the "
            f"network has {numbers:,}"
        )
