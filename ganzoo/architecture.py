"""The protocol of an architecture: a generator and a discriminator that fit a kind of data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganzoo.component import Component
from ganzoo.dataset import DataSpec


class Architecture(Component, ABC):
    """Base of architectures. An architecture that starts from noise has an option ``z_dim``.

    It knows no device, no loss and no trainer. One class serves every resolution: the networks
    are built for a :class:`~ganzoo.dataset.DataSpec`.
    """

    default_loss: ClassVar[str | None] = None
    """Name of the loss that trains it when none is asked for."""
    default_data: ClassVar[str | None] = None
    """Name of the dataset that it is trained on when none is asked for."""

    @abstractmethod
    def generator(self, data: DataSpec) -> nn.Module:
        """Build the network from latents ``(N, z_dim)`` to samples ``(N, *data.shape)``.

        Images come out in ``[-1, 1]``.

        Raises:
            ganzoo.errors.InputError: the architecture cannot make samples of this shape.
        """

    @abstractmethod
    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the network from samples ``(N, *data.shape)`` to logits ``(N,)``.

        Logits are unbounded, never probabilities. With ``independent_samples``, because the loss
        asks for it, the logit of a sample must not depend on the rest of its batch: layer
        normalisation or none instead of batch normalisation (Gulrajani et al. 2017, section 4).

        Raises:
            ganzoo.errors.InputError: the architecture cannot judge samples of this shape.
        """

    def latents(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw latents ``(count, z_dim)`` from the prior, standard normal, on ``rng``'s device."""
        return torch.randn(count, self.z_dim, generator=rng, device=rng.device)
