"""The protocol of an architecture: a generator and a discriminator that fit a kind of data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ganzoo.component import Component
from ganzoo.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ganzoo.protocols.dataset import DataSpec
    from ganzoo.protocols.loss import Recipe, Terms


@dataclass(frozen=True)
class GeneratorInput:
    """What a generator is given for a batch of N samples."""

    given: Tensor
    """Latents ``(N, z_dim)``, or source images ``(N, C, H, W)`` of other classes."""
    labels: Tensor | None = None
    """Class of each wanted sample ``(N,)``, where the architecture is conditional."""
    source_labels: Tensor | None = None
    """Class of each source image ``(N,)``."""

    def parts(self, size: int, device: torch.device) -> Iterator[GeneratorInput]:
        """Yield the batch in parts of at most ``size`` samples, on a device."""
        for start in range(0, len(self.given), size):
            yield GeneratorInput(
                *(
                    None if whole is None else whole[start : start + size].to(device)
                    for whole in (self.given, self.labels, self.source_labels)
                )
            )

    def through(self, generator: Callable[..., Tensor]) -> Tensor:
        """Return the generator's samples ``(N, *shape)``."""
        if self.labels is None:
            return generator(self.given)
        return generator(self.given, self.labels)


class Architecture(Component, ABC):
    """Base of architectures. An architecture that starts from noise has an option ``z_dim``.

    It knows no device, no loss and no trainer. One class serves every resolution: the networks
    are built for a :class:`~ganzoo.protocols.dataset.DataSpec`.
    """

    default_loss: ClassVar[str | None] = None
    """Name of the loss that trains it when none is asked for."""
    default_data: ClassVar[str | None] = None
    """Name of the dataset that it is trained on when none is asked for."""
    recipe: ClassVar[Recipe | None] = None
    """How its paper trains it with its default loss, in place of that loss's own recipe."""
    takes_images: ClassVar[bool] = False
    """Whether the generator translates images of other classes in place of starting from noise.

    Its batches hold as many samples of each class, and it is conditional: the labels that the
    generator is given say to which class an image goes.
    """
    bounds_slope: ClassVar[bool] = False
    """Whether the discriminator's slope is bounded as it is built, as by spectral normalisation."""
    channels_last: ClassVar[bool] = True
    """Whether its networks are faster on channels-last memory, as convolutions are.

    Not so where other layers want channels apart, such as instance normalisation, or where weights
    are more than what goes through them, because batches are small.
    """

    @property
    def memory_format(self) -> torch.memory_format:
        """The order in memory of images and of the networks' weights."""
        import torch

        return torch.channels_last if self.channels_last else torch.contiguous_format

    @abstractmethod
    def generator(self, data: DataSpec) -> nn.Module:
        """Build the network from latents ``(N, z_dim)`` to samples ``(N, *data.shape)``.

        Images come out in ``[-1, 1]``. Where the architecture is conditional on these data, the
        network takes labels ``(N,)``, whole numbers below ``data.classes``, as a second argument.

        Raises:
            ganzoo.errors.InputError: the architecture cannot make samples of this shape.
        """

    @abstractmethod
    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the network from samples ``(N, *data.shape)`` to logits ``(N,)``.

        Logits are unbounded, never probabilities. A discriminator that judges parts of a sample
        (patches: Isola et al. 2017, arXiv:1611.07004, section 3.2.2) gives logits ``(N, P)``.
        With ``independent_samples``, because the loss asks for it, the logits of a sample must not
        depend on the rest of its batch: layer normalisation or none instead of batch
        normalisation (Gulrajani et al. 2017, section 4). Where the architecture is conditional on
        these data, the network takes labels ``(N,)`` as a second argument.

        Raises:
            ganzoo.errors.InputError: the architecture cannot judge samples of this shape.
        """

    def takes_labels(self, data: DataSpec) -> bool:
        """Tell whether both networks take labels for these data; translators always do."""
        return self.takes_images

    def latents(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw latents ``(count, z_dim)`` from the prior, standard normal, on ``rng``'s device."""
        import torch

        return torch.randn(count, self.z_dim, generator=rng, device=rng.device)

    def truncate(self, generator: nn.Module, truncation: float) -> nn.Module:
        """Return the generator as it draws with truncation, which trades variety for quality.

        Unless overridden, latents are taken to be standard normal, and are moved into
        ``[-truncation, truncation]``: see :class:`~ganzoo.protocols.latents.TruncatedNormal`. An
        architecture that draws latents of its own, or that truncates elsewhere, as StyleGAN does
        in w (Karras et al. 2019, arXiv:1812.04948, section 2.1), says how. A truncation of 10
        gives nearly the samples that there are without one, or is refused.

        Args:
            generator: The network, in evaluation mode; it stays as it is.
            truncation: A finite number above 0. The smaller, the less variety.

        Returns:
            A module that takes what the generator takes, and holds it as a submodule.

        Raises:
            ganzoo.errors.InputError: it cannot draw so.
        """
        if type(self).latents is not Architecture.latents:
            raise InputError(
                "this model cannot draw with truncation: its architecture draws latents of its "
                "own, and does not say how to truncate them"
            )
        from ganzoo.protocols.latents import TruncatedNormal

        return TruncatedNormal(generator, truncation)

    def interpolate(self, start: Tensor, end: Tensor, share: float) -> Tensor:
        """Return latents on the way from some to others, by which a walk goes through samples.

        Unless overridden, latents are taken to be standard normal, and go round the sphere: see
        :func:`~ganzoo.protocols.latents.slerp`. An architecture that draws latents of its own says
        how they keep to its prior, as by the maps of Agustsson et al. 2019, arXiv:1711.01970, for
        uniform ones.

        Args:
            start: Latents ``(N, z_dim)`` of a seed, on the CPU; they stay as they are.
            end: Those of the next seed.
            share: How much of the way lies behind, from 0, which gives ``start``, to 1.

        Raises:
            ganzoo.errors.InputError: there is no way between latents.
        """
        if type(self).latents is not Architecture.latents:
            raise InputError(
                "this model cannot walk: its architecture draws latents of its own, and does not "
                "say what lies between them"
            )
        from ganzoo.protocols.latents import slerp

        return slerp(start, end, share)

    def generator_terms(
        self, generator: nn.Module, inputs: GeneratorInput, real: Tensor, fake: Tensor
    ) -> Terms:
        """Return terms of the generator's own, added to those of the loss; none by default.

        Cycle consistency and path length belong here.

        Args:
            generator: The network in training, to be called again where a term needs it.
            inputs: What the fakes were made from.
            real: Samples of the data ``(N, *shape)``, of the classes ``inputs.labels``.
            fake: ``inputs.through(generator)``, with its graph.
        """
        return {}

    def history(self, data: DataSpec) -> nn.Module | None:
        """Build what stands between fakes and the discriminator in its own updates, if anything.

        The module takes fakes ``(N, *shape)`` and their labels, or None, and gives fakes
        ``(N, *shape)`` of the same classes. What it remembers are buffers: they are saved with
        each checkpoint, and are no part of the model. It draws from torch's global generator. A
        pool of earlier fakes (Shrivastava et al. 2017, arXiv:1612.07828, section 2.3) belongs here.
        """
        return None
