"""Inputs of a generator: latents of a seed, the frames of a walk, or images to start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganzoo.arguments import require_int
from ganzoo.compute import memory
from ganzoo.compute.seeding import derive_seed, make_rng, preserve_rng_state
from ganzoo.errors import InputError
from ganzoo.media.movies import WALK_FRAMES
from ganzoo.models.code_range import CodeRange
from ganzoo.models.walk import Walk, require_stops
from ganzoo.protocols.architecture import Architecture, GeneratorInput
from ganzoo.protocols.latent_parts import LatentPart, set_codes

if TYPE_CHECKING:
    from ganzoo.protocols.dataset import DataSpec, Samples
    from ganzoo.protocols.latent_parts import Code

LATENT_BLOCK = 256
"""Latents are drawn in blocks of this many, so that a larger count begins with the same ones."""
SOURCE_BLOCK = 256
"""Sources are made of this many samples at once."""


class Inputs:
    """Builds the inputs of a model's generator, and refuses those that the model cannot take.

    Args:
        architecture: The model's architecture.
        spec: The data that the model was trained on.
    """

    def __init__(self, architecture: Architecture, spec: DataSpec) -> None:
        self._architecture = architecture
        self._spec = spec

    @property
    def conditional(self) -> bool:
        """Whether the class of a sample can be chosen."""
        return self._architecture.takes_labels(self._spec)

    @property
    def codes(self) -> tuple[LatentPart, ...]:
        """The parts of a latent, which a person can set; none if there are no latents."""
        architecture = self._architecture
        is_own = type(architecture).latents is not Architecture.latents
        return architecture.latent_parts() if architecture.takes_latents and not is_own else ()

    def draw(
        self,
        count: int,
        seed: int,
        label: int | Tensor | None = None,
        codes: Mapping[str, Code] | None = None,
    ) -> GeneratorInput:
        """Draw the inputs of ``count`` samples from a seed.

        Args:
            count: Number of samples.
            seed: Seed of the latents.
            label: Class of all samples or, as a tensor ``(count,)``, of each; None cycles through
                the classes.
            codes: Values of parts of the latents; see :meth:`ganzoo.Model.sample`.

        Raises:
            InputError: the model translates images or has no such class or code, or the samples
                would not fit into memory.
        """
        if self._architecture.takes_images:
            raise InputError("this model translates images: pass some with --source")
        if self._architecture.takes_sources:
            raise InputError(
                "this model makes each sample from a source: pass images of "
                f"{self._spec.source_in_words} with --source"
            )
        count = require_count(count)
        latents = set_codes(self.codes, self.latents(count, seed), codes or {})
        return GeneratorInput(latents, self._choose_labels(count, label))

    def walk(
        self,
        count: int,
        seeds: Sequence[int],
        frames: int = WALK_FRAMES,
        loop: bool = False,
        label: int | Tensor | None = None,
        codes: Mapping[str, Code] | Sequence[Mapping[str, Code]] | None = None,
    ) -> Walk:
        """Draw the inputs of each frame of a walk; see :meth:`ganzoo.Model.walk`.

        Raises:
            InputError: as for :meth:`draw`; or there are fewer than two seeds, or the architecture
                cannot interpolate its latents.
        """
        if self._architecture.takes_images:
            raise InputError("this model translates images and cannot walk between seeds")
        if self._architecture.takes_sources:
            raise InputError("this model makes samples from sources and has no seeds to walk to")
        count = require_count(count)
        labels = self._choose_labels(count, label)
        stops = require_stops(seeds)
        each = list(codes) if isinstance(codes, Sequence) else [codes or {}] * len(stops)
        if len(each) != len(stops):
            raise InputError(f"give codes for each of the {len(stops)} seeds, or once for all")

        def draw(stop: int) -> Tensor:
            return set_codes(self.codes, self.latents(count, stops[stop]), each[stop])

        return Walk(self._architecture, draw, labels, len(stops), frames, loop)

    def walk_along(
        self,
        count: int,
        along: CodeRange,
        seed: int = 0,
        frames: int = WALK_FRAMES,
        loop: bool = False,
        label: int | Tensor | None = None,
        codes: Mapping[str, Code] | None = None,
    ) -> Walk:
        """Draw the inputs of each frame of a walk along one code, with all else as it is.

        Args:
            count: Number of samples.
            along: The code and its values.
            seed: Seed of the rest of the latents.
            frames: Frames from the first number to the last, or of each category.
            loop: Whether numbers go back to the first, without repeating its frame.
            label: As for :meth:`draw`.
            codes: Values of other parts.

        Raises:
            InputError: as for :meth:`draw`; or there are no frames, or not such values.
        """
        frames = require_int("the number of frames", frames, 1)
        values = along.values(self.codes, frames + 1)
        if along.is_category(self.codes):
            values = [value for value in values for _ in range(frames)]
        elif loop:
            values += values[-2:0:-1]
        stops = [{**(codes or {}), along.name: value} for value in values]
        return self.walk(count, [seed] * len(stops), 1, label=label, codes=stops)

    def vary(
        self,
        count: int,
        along: CodeRange,
        steps: int,
        seed: int = 0,
        label: int | Tensor | None = None,
        codes: Mapping[str, Code] | None = None,
    ) -> GeneratorInput:
        """Draw the inputs of a row for each of ``count`` samples, along which one code changes.

        Args:
            count: Number of rows.
            along: The code and its values.
            steps: Values of a code that is numbers.
            seed: Seed of the rest of the latents.
            label: As for :meth:`draw`.
            codes: Values of other parts.

        Raises:
            InputError: as for :meth:`draw`; or there are not such values.
        """
        values = along.values(self.codes, steps)
        rows = self.draw(count, seed, label, codes)
        taken = torch.tensor(values, dtype=torch.float64).repeat(count)
        given = rows.given.repeat_interleave(len(values), 0)
        labels = None if rows.labels is None else rows.labels.repeat_interleave(len(values))
        return GeneratorInput(set_codes(self.codes, given, {along.name: taken}), labels)

    @property
    def takes_any_size(self) -> bool:
        """Whether sources may have any height and width."""
        return bool(self._architecture.takes_sources and self._architecture.takes_any_size)

    @property
    def source_shape(self) -> tuple[int, ...]:
        """Shape of what a sample is made from, where the model needs more than a seed.

        Raises:
            InputError: the model starts from noise.
        """
        if self._architecture.takes_latents:
            raise InputError("this model starts from noise: drop --source")
        if self._architecture.takes_images:
            return self._spec.shape
        if self._spec.source is None:
            raise InputError("the model's configuration does not tell the shape of its sources")
        return self._spec.source

    def from_images(self, sources: Tensor, label: int | Tensor | None = None) -> GeneratorInput:
        """Return the inputs of what is made from images; see :meth:`ganzoo.Model.translate`.

        Raises:
            InputError: the model starts from noise, or the images or the class do not fit it.
        """
        wanted = self.source_shape
        fits = tuple(sources.shape[1:]) == wanted
        if self.takes_any_size and sources.dim() == 4:
            fits = sources.shape[1] == wanted[0] and bool(sources.numel())
        if not fits:
            verb = "translates images" if self._architecture.takes_images else "takes sources"
            size = " x ".join(map(str, wanted))
            if self.takes_any_size:
                size = f"{wanted[0]} channels and any height and width"
            raise InputError(
                f"this model {verb} of {size}, not of {' x '.join(map(str, sources.shape[1:]))}"
            )
        if label is None and self._architecture.takes_images:
            raise InputError("this model translates to a class: give one")
        return GeneratorInput(sources, self._choose_labels(len(sources), label))

    def latents(self, count: int, seed: int) -> Tensor:
        """Draw latents ``(count, z_dim)`` on the CPU.

        Raises:
            InputError: the count is below 1, the seed below 0, or so many samples would not fit
                into memory.
        """
        count = require_count(count)
        rng = make_rng(seed, "sample")
        blocks = -(-count // LATENT_BLOCK)
        length = sum(part.size for part in self._architecture.latent_parts())
        numbers = blocks * LATENT_BLOCK * length
        memory.require(4 * (count * self._spec.size + numbers), f"{count} samples")
        drawn = [self._architecture.latents(LATENT_BLOCK, rng) for _ in range(blocks)]
        return torch.cat(drawn)[:count]

    def _choose_labels(self, count: int, label: int | Tensor | None) -> Tensor | None:
        classes = self._spec.classes
        if not self.conditional or classes is None:
            if label is not None:
                raise InputError("this model has no classes to choose from")
            return None
        if label is None:
            return cycle_classes(count, classes)
        labels = _parse_labels(label, count).expand(count)
        if not bool(((labels >= 0) & (labels < classes)).all()):
            raise InputError(f"this model's classes are 0 to {classes - 1}")
        return labels


def find_sources(
    architecture: Architecture, samples: Samples, indices: Tensor, seed: int
) -> Tensor:
    """Return the sources ``(M, *data.source)`` of samples, as a generator takes them.

    Args:
        architecture: An architecture that takes sources.
        samples: Samples of its kind of data.
        indices: Which samples ``(M,)``.
        seed: Seed of the random numbers of sources that are made.

    Raises:
        InputError: the samples have no sources, or these would not fit into memory.
    """
    if not architecture.makes_sources:
        if samples.sources is None:
            raise InputError(
                "the model makes each sample from its source, and these data have none; "
                "give paired data with --data"
            )
        memory.require(4 * len(indices) * samples.sources[0].numel(), f"{len(indices):,} sources")
        found = samples.sources_of(indices)
        assert found is not None, "they were looked at above"
        return found
    with preserve_rng_state(), torch.no_grad():
        torch.manual_seed(derive_seed(seed, "sources"))
        parts = [
            architecture.make_source(samples.batch(part).cpu())
            for part in indices.split(SOURCE_BLOCK)
        ]
    return torch.cat(parts)


def require_count(count: int) -> int:
    """Return a number of samples as an int.

    Raises:
        InputError: it is not a whole number, or below 1.
    """
    return require_int("the number of samples", count, 1)


def _parse_labels(label: int | Tensor, count: int) -> Tensor:
    """Return the class of all samples ``()``, or of each ``(count,)``."""
    if not isinstance(label, Tensor):
        return torch.tensor(require_int("a class", label))
    if (
        label.dtype == torch.bool
        or label.is_floating_point()
        or label.shape
        not in (
            (),
            (1,),
            (count,),
        )
    ):
        raise InputError(
            f"give a class, or a whole number for each of {count} samples, and not "
            f"{label.dtype} of shape {tuple(label.shape)}"
        )
    return label


def cycle_classes(count: int, classes: int) -> Tensor:
    """Return labels ``(count,)`` that cycle through the classes: 0, 1, ..., 0, 1, ..."""
    return torch.arange(count) % classes
