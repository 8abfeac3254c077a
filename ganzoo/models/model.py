"""Loading a trained model and drawing samples from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from ganzoo.arguments import require_positive
from ganzoo.compute import memory
from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.config import ModelConfig
from ganzoo.errors import GanzooError, InputError, first_line, name_errors
from ganzoo.media.images import to_pil, to_uint8
from ganzoo.media.movies import WALK_FRAMES
from ganzoo.models.find import find_model
from ganzoo.models.folder import ModelFolder
from ganzoo.models.generation import build_sampler, generate
from ganzoo.models.inputs import Inputs, require_count
from ganzoo.models.mixing import draw_mix
from ganzoo.models.shown import describe_model, render_model, show_model
from ganzoo.models.size_check import MAX_TENSORS, build_on_meta, limit_tensors
from ganzoo.models.tiles import TILE, generate_in_tiles
from ganzoo.nn import fuse
from ganzoo.registry import ARCHITECTURE
from ganzoo.runs.file_names import DISCRIMINATOR_FILE, GENERATOR_FILE, ORIGIN_FILE
from ganzoo.storage.tensors import load_tensors, max_header_size, widen

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from ganzoo.protocols.architecture import Architecture, GeneratorInput
    from ganzoo.protocols.dataset import DataSpec
    from ganzoo.protocols.latent_parts import Code
    from ganzoo.protocols.styles import Styles
    from ganzoo.runs.folder import Run

SPARE_BYTES = 1 << 22
SPARE_TENSORS = 1000
"""How much a network may have beyond what the size of its file allows."""
MIN_HEADER = 48
"""Fewest bytes that each tensor adds to the header of a file of weights."""


class Model:
    """A trained model: ``model.sample(16, seed=0)`` draws samples from its generator.

    Args:
        folder: The model's files; None while it has none yet.
        config: What the model is.
        architecture: The architecture of its networks.
        generator: The averaged generator.
        truncation: What samples are drawn with; see :meth:`sample`.
    """

    def __init__(
        self,
        folder: ModelFolder | None,
        config: ModelConfig,
        architecture: Architecture,
        generator: nn.Module,
        truncation: float | None = None,
    ) -> None:
        self.folder = folder
        self.config = config
        self.architecture = architecture
        self.generator = generator
        """The averaged generator, in evaluation mode."""
        self.truncation = truncation
        self.inputs = Inputs(architecture, config.spec)
        """Builds inputs for :meth:`generate`."""

    def __repr__(self) -> str:
        return describe_model(self)

    def _repr_html_(self) -> str:
        return render_model(self)

    @cached_property
    def title(self) -> str:
        """The model in a few words: its components and its step, or where it comes from."""
        if self.folder is None:
            return f"{self.config.title}, step {self.config.step}"
        return self.folder.title()

    @property
    def is_own(self) -> bool:
        """Whether the model is of a run on this machine, so that its paths are used."""
        return self.folder is None or self.folder.run() is not None

    @property
    def conditional(self) -> bool:
        """Whether the class of a sample can be chosen."""
        return self.inputs.conditional

    @cached_property
    def sampler(self) -> nn.Module:
        """The network that draws: by default, the generator itself.

        It is what :meth:`ganzoo.Architecture.sampler` builds, on first access.
        """
        return build_sampler(self.architecture, self.generator, self.config.spec, self.truncation)

    @cached_property
    def discriminator(self) -> nn.Module:
        """The discriminator, in evaluation mode on the CPU, loaded on first access."""
        if self.folder is None:
            raise InputError("a model without files has no discriminator")
        if self.folder.lacks_discriminator:
            made = "imported" if self.folder.has(ORIGIN_FILE) else "packaged"
            raise InputError(
                f"{self.folder.name} has no discriminator: its weights were {made} without one"
            )
        independent = self.config.needs_independent_samples()
        discriminator = _build_network(
            lambda data: self.architecture.discriminator(data, independent_samples=independent),
            self.config,
            self.folder,
            DISCRIMINATOR_FILE,
        ).to(memory_format=self.architecture.memory_format)
        self.architecture.advance(discriminator, self.config.progress)
        return discriminator

    def find_files(self) -> ModelFolder:
        """Return the model's files, which hold the weights that it has now.

        Raises:
            InputError: it has no files, or its generator was changed since it was loaded.
        """
        if self.folder is None:
            raise InputError("this model has no files: load it from a run, a folder or the Hub")
        stored = load_tensors(self.folder.file(GENERATOR_FILE))
        weights = self.generator.state_dict()
        if weights.keys() != stored.keys() or not all(
            _is_same(weights[name], widen(tensor)) for name, tensor in stored.items()
        ):
            raise InputError(
                f"the generator was changed since it was loaded from {self.folder.name}",
                "its scores and card are of the weights in its files; to train it further: "
                "ganzoo.train(init=...)",
            )
        return self.folder

    def to(self, device: torch.device | str) -> Self:
        """Move the generator to a device and return the model."""
        self.generator.to(device)
        if "sampler" in vars(self):
            self.sampler.to(device)
        return self

    def sample(
        self,
        count: int,
        seed: int = 0,
        *,
        label: int | Tensor | None = None,
        truncation: float | None = None,
        codes: Mapping[str, Code] | None = None,
    ) -> Tensor:
        """Draw samples as floats on the CPU: images ``(count, C, H, W)`` in ``[-1, 1]``.

        The same seed gives the same samples, and a larger count begins with them.

        Args:
            count: Number of samples.
            seed: Seed of the latents.
            label: Class of all samples or, as a tensor ``(count,)``, of each; None cycles through
                the classes. For conditional models only.
            truncation: Trades variety for quality: the smaller, the less variety. Unless the
                architecture overrides it, latents are moved into ``[-truncation, truncation]``.
                None draws without truncation.
            codes: Values of parts of the latents by name, such as ``{"digit": 3, "tilt": 0.5}``,
                in place of drawn ones: the number of a category, a number, or as many numbers as
                the part has; or a tensor with one of these for each sample. Truncation applies to
                them too. The parts are ``architecture.latent_parts()``.

        Returns:
            Images ``(count, C, H, W)``, or vectors ``(count, D)``.

        Raises:
            InputError: the model has no such class or code, translates images, or cannot draw with
                this truncation.
        """
        inputs = self.inputs.draw(count, seed, label, codes)
        return self.with_truncation(truncation).generate(inputs)

    def images(
        self,
        count: int,
        seed: int = 0,
        *,
        label: int | Tensor | None = None,
        truncation: float | None = None,
        codes: Mapping[str, Code] | None = None,
    ) -> list[Image.Image]:
        """Draw samples as PIL images; the arguments are those of :meth:`sample`.

        Raises:
            InputError: as for :meth:`sample`, or samples are vectors.
        """
        if not self.config.spec.is_image:
            raise InputError("samples of this model are vectors: use sample, or show for a plot")
        if not self.architecture.takes_latents:
            raise InputError("this model makes images from images: use translate, or show")
        drawn = self.sample(count, seed, label=label, truncation=truncation, codes=codes)
        return [to_pil(image) for image in to_uint8(drawn)]

    def show(self, count: int | None = None, seed: int = 0) -> Image.Image:
        """Draw samples as one PIL image, which a notebook shows: a grid, or a plot of vectors.

        A model that makes images from images shows training images, and below them what it makes
        of each.

        Args:
            count: Number of samples; if None, two rows of images, or 1,000 vectors.
            seed: Seed of the latents, or of the choice of training images.

        Raises:
            InputError: as for :meth:`sample`; or the training images are needed and not here.
        """
        return show_model(self, count, seed)

    def walk(
        self,
        count: int,
        seeds: Sequence[int],
        frames: int = WALK_FRAMES,
        *,
        loop: bool = False,
        label: int | Tensor | None = None,
        truncation: float | None = None,
        codes: Mapping[str, Code] | Sequence[Mapping[str, Code]] | None = None,
    ) -> Tensor:
        """Draw samples on a walk through several seeds: floats ``(F, count, C, H, W)`` on the CPU.

        Each sample moves from its latent of one seed to its latent of the next and keeps its class.
        It moves around the sphere (see :func:`ganzoo.protocols.latents.interpolate_parts`) unless
        the architecture overrides that. The frame at a seed equals what :meth:`sample` draws from
        that seed, to the bit.

        Args:
            count: Number of samples in each frame.
            seeds: Two seeds or more.
            frames: Number of frames from one seed up to the next, without the frame at the next.
            loop: Return to the first seed, without repeating its frame.
            label: As for :meth:`sample`.
            truncation: As for :meth:`sample`.
            codes: As for :meth:`sample`, the same at all seeds; or a list with those of each seed.
                ``walk(8, [0, 0], codes=[{"tilt": -1}, {"tilt": 1}])`` moves along one code alone.

        Returns:
            Images in ``[-1, 1]``, or vectors ``(F, count, D)``. F is ``frames * len(seeds)`` for a
            loop, else ``frames * (len(seeds) - 1) + 1``.

        Raises:
            InputError: as for :meth:`sample`; or there are fewer than two seeds, or the
                architecture cannot interpolate its latents.
        """
        walk = self.inputs.walk(count, seeds, frames, loop, label, codes)
        numbers = len(walk) * require_count(count) * self.config.spec.size
        memory.require(8 * numbers, f"{len(walk)} frames of {count} samples")
        model = self.with_truncation(truncation)
        return torch.stack([model.generate(inputs) for inputs in walk])

    @property
    def styles(self) -> Styles | None:
        """The generator in two halves, a mapping to styles and a synthesis; None without styles."""
        return self.architecture.styles(self.generator)

    def mix(
        self,
        count: int,
        layers: Sequence[int],
        seed: int = 0,
        *,
        label: int | Tensor | None = None,
        truncation: float | None = None,
        codes: Mapping[str, Code] | None = None,
    ) -> Tensor:
        """Mix the styles of samples: floats ``(count + 1, count + 1, C, H, W)`` on the CPU.

        The first row holds ``count`` samples, and the first column ``count`` others: together those
        that :meth:`sample` draws from the seed. Each other image has the styles of the sample to
        its left, but for some layers, which have those of the sample above it (Karras et al. 2019,
        arXiv:1812.04948, figure 3). The image in the corner is white.

        Args:
            count: Number of samples in the first row, and in the first column.
            layers: The layers that have the styles of the sample above, from 0.
            seed: Seed of the latents.
            label: As for :meth:`sample`, of ``2 * count`` samples.
            truncation: Below 1, styles are moved towards the mean style: to this share of their
                way from it.
            codes: As for :meth:`sample`.

        Raises:
            InputError: as for :meth:`sample`; or the model has no styles, or no such layer.
        """
        inputs = self.inputs.draw(2 * require_count(count), seed, label, codes)
        return draw_mix(self.styles, inputs, layers, self.config.spec, truncation)

    def translate(
        self, sources: Tensor, label: int | Tensor | None = None, *, tile: int | None = None
    ) -> Tensor:
        """Make samples from images; for models whose architecture takes images or sources.

        Args:
            sources: Floats ``(N, C, H, W)`` in ``[-1, 1]``: images of other classes, or sources of
                the shape ``config.spec.source``, or of any height and width if the architecture
                takes these.
            label: Class of all samples or, as a tensor ``(N,)``, of each. An architecture that
                takes images needs it; None then is an error. For conditional models only.
            tile: Height and width of the tiles that larger sources are made in, in their pixels; a
                multiple of 16, and 256 if None. Smaller ones take less memory.

        Returns:
            Floats ``(N, C, H, W)`` in ``[-1, 1]``, on the CPU.

        Raises:
            InputError: the model starts from noise, or the images or the class do not fit it.
        """
        return self.generate(self.inputs.from_images(sources, label), tile=tile)

    def generate(
        self, inputs: GeneratorInput, *, stored: bool = False, tile: int | None = None
    ) -> Tensor:
        """Generate samples from inputs; see :func:`ganzoo.models.generation.generate`.

        Sources of other sizes than those of the training are made in tiles: see
        :func:`ganzoo.models.tiles.generate_in_tiles`.
        """
        spec = self.config.spec
        is_whole = tile is None and tuple(inputs.given.shape[1:]) == spec.source
        if is_whole or not self.inputs.takes_any_size:
            if tile is not None:
                raise InputError("this model takes images of one size: drop --tile")
            return generate(self.sampler, inputs, spec, stored=stored)
        return generate_in_tiles(self.sampler, inputs, spec, tile or TILE, stored=stored)

    def with_truncation(self, truncation: float | None) -> Self:
        """Return a model that draws with truncation and shares this one's weights; itself if None.

        Raises:
            InputError: the model translates images, or cannot draw with this truncation.
        """
        if truncation is None:
            return self
        if not self.architecture.takes_latents:
            does = "translates images" if self.architecture.takes_images else "has no latents"
            raise InputError(f"this model {does}: drop --truncation")
        truncation = require_positive("truncation", truncation)
        model = type(self)(self.folder, self.config, self.architecture, self.generator, truncation)
        model.sampler  # noqa: B018 - the access builds it, or raises
        return model


def load(model: str | Path | Run | None = None, revision: str | None = None) -> Model:
    """Load a model; see :func:`ganzoo.load`, whose models can be saved and published besides."""
    return load_folder(find_model(model, revision))


def load_folder(folder: ModelFolder) -> Model:
    """Load the model of a folder; see :func:`ganzoo.load`."""
    config = folder.config()
    if folder.run() is None:
        config = config.without_places()
    architecture: Architecture = config.architecture.build(ARCHITECTURE)
    generator = _build_network(architecture.generator, config, folder, GENERATOR_FILE)
    architecture.advance(generator, config.progress)
    return Model(
        folder, config, architecture, generator.to(memory_format=architecture.memory_format)
    )


def _build_network(
    build: Callable[[DataSpec], nn.Module], config: ModelConfig, folder: ModelFolder, name: str
) -> nn.Module:
    """Build a network and load its weights from a file, which must fit it and be finite.

    The size of the file limits the network, and the network limits the size of the file, before
    the file is downloaded and before memory is allocated. As a manifest may claim any size, the
    memory of the machine limits both.
    """
    data, size = config.spec, folder.size(name)
    # The file may be in half precision, and a network may need more while it is set up:
    # parametrisations hold a tensor twice.
    most = min(8 * size + SPARE_BYTES, memory.limit())
    tensors = min(4 * size // MIN_HEADER + SPARE_TENSORS, MAX_TENSORS)
    with preserve_rng_state():  # building draws weights, which the file then replaces
        with _explain_build_errors(config, folder, name):
            like = build_on_meta(lambda: build(data), most, tensors)
            if like is None:
                with limit_tensors(most, tensors):
                    like = build(data)
        wanted = like.state_dict()
        _check_size(folder, name, size, wanted)
        weights = load_tensors(folder.file(name), wanted)
        with _explain_build_errors(config, folder, name):
            network = fuse(build(data))
    if part := find_nonfinite(network, weights):
        raise InputError(f"{folder.path / name} holds numbers that are not finite, in '{part}'")
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def _is_same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one.cpu(), other)


def find_nonfinite(network: nn.Module, weights: Mapping[str, Tensor]) -> str | None:
    """Return the name of a weight that is not finite, if there is one; a buffer may be infinite."""
    parameters = {name for name, _ in network.named_parameters(remove_duplicate=False)}
    for name, tensor in weights.items():
        if not (tensor.isfinite() if name in parameters else ~tensor.isnan()).all():
            return name
    return None


@contextmanager
def _explain_build_errors(config: ModelConfig, folder: ModelFolder, name: str) -> Iterator[None]:
    try:
        with name_errors(f"architecture '{config.architecture.name}'"):
            yield
    except GanzooError:
        raise
    except Exception as error:  # options that no network can be built with
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
