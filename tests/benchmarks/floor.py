"""A loop by hand for the trainer's own networks: what is left when only arithmetic is.

It does the work of a step of :class:`ganzoo.training.trainer.Trainer`, and no more: reals are
chosen from memory and scaled, the discriminator learns from fakes that were made without a graph
and is frozen while the generator learns, both by torch's fused Adam, and the averaged generator
follows. Networks and images are channels-last, unless that is slower, and what
``ganzoo.nn.fusion`` folds is folded. It reads no loss, seeds nothing, and knows neither processes
nor devices nor precisions. Latents, growth and augmentations are the components' own.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo import AdaptiveAugmentation, Architecture, Progress
from ganzoo.config import TrainOptions
from ganzoo.protocols.augmentation import Augmentation
from ganzoo.protocols.dataset import Samples
from plain.loops import Batch, Enlarging, Loop, Translation
from plain.losses import Loss
from plain.penalties import Given
from plain.pix2pix import Pairs

DECAY = 0.999
"""Of the averaged generator."""


class Floor(Loop):
    """The loop of networks that start from noise.

    Args:
        pair: The generator and the discriminator.
        losses: That of the discriminator, and that of the generator.
        samples: The data, on the networks' device.
        architecture: What built the networks.
        train: The training options.
        named: As for :class:`Loop`.
    """

    def __init__(
        self,
        pair: tuple[nn.Module, nn.Module],
        losses: tuple[Loss, Loss],
        samples: Samples,
        architecture: Architecture,
        train: TrainOptions,
        **named: Any,
    ) -> None:
        self.architecture, self.train = architecture, train
        self.memory_format = architecture.memory_format
        pair = tuple(each.to(memory_format=self.memory_format).train() for each in pair)
        super().__init__(pair, losses, (), **named)
        self.stored, self.batch_size = samples.stored, train.batch_size
        self.labels = samples.labels if architecture.takes_labels(samples.spec) else None
        self.of_network_D = list(self.D.parameters())
        self.average_G = deepcopy(self.G)
        self.averaged = list(self.average_G.parameters()), list(self.average_G.buffers())
        self.followed = list(self.G.parameters()), list(self.G.buffers())
        self.order = torch.randperm(len(self.stored), device=self.device)
        self.rng = torch.Generator(self.device)
        self.at = 0

    def latents(self, count: int, draws: torch.Generator | None) -> Tensor:
        """Draw latents."""
        return self.architecture.latents(count, self.rng)

    def grow(self) -> None:
        """Grow the networks."""
        self.now = Progress.at(self.train, self.steps)
        for network in (self.G, self.average_G, self.D):
            self.architecture.advance(network, self.now)

    def prepare(self, real: Tensor) -> Tensor:
        """Return reals as the discriminator is to see them in this step."""
        return self.architecture.prepare_real(real, self.now)

    def reals(self) -> Batch:
        """Return the next batch as networks take it."""
        if self.at + self.batch_size > len(self.order):
            self.at = 0
        chosen = self.chosen()
        self.at += self.batch_size
        scaled = self.stored[chosen].to(torch.float32).div_(127.5).sub_(1.0)
        real = scaled.contiguous(memory_format=self.memory_format)
        return real, None if self.labels is None else self.labels[chosen]

    def chosen(self) -> Tensor:
        """Return the indices of the next batch."""
        return self.order[self.at : self.at + self.batch_size]

    @torch.no_grad()
    def made_for_D(
        self, real: Tensor, labels: Tensor | None, draws: torch.Generator | None
    ) -> Given:
        """Make fakes for the discriminator, without a graph."""
        return self.made(real, labels, draws)

    def update_generator(self, given: Given) -> None:
        """Update the generator while the discriminator is frozen, and the average."""
        for parameter in self.of_network_D:
            parameter.requires_grad_(False)
        super().update_generator(given)
        for parameter in self.of_network_D:
            parameter.requires_grad_(True)
        self.average()

    def descend(
        self, network: str, name: str, term: Tensor, adam: torch.optim.Adam, times: int = 1
    ) -> None:
        """Take a step down some times a term."""
        adam.zero_grad()
        (term if times == 1 else times * term).backward()
        adam.step()

    def build_adam(self, network: nn.Module, **given: Any) -> torch.optim.Adam:
        """Return Adam in one pass through memory."""
        return torch.optim.Adam(network.parameters(), fused=True, **given)

    @torch.no_grad()
    def average(self) -> None:
        """Have the averaged generator follow."""
        torch._foreach_lerp_(self.averaged[0], self.followed[0], 1 - DECAY)
        if self.averaged[1]:
            torch._foreach_copy_(self.averaged[1], self.followed[1])


class TranslationFloor(Floor, Translation):
    """The loop of networks for each of two classes, of which those of the first come first."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.labels = None
        self.batch_size //= 2
        self.order = torch.randperm(len(self.stored) // 2, device=self.device)

    def chosen(self) -> Tensor:
        """Return the indices of the next batch; classes alternate."""
        half = self.order[self.at : self.at + self.batch_size]
        return torch.cat([2 * half, 2 * half + 1])


class PairsFloor(Floor, Pairs):
    """The loop of networks that make samples from sources."""


class EnlargingFloor(Floor, Enlarging):
    """The loop of networks that enlarge what reals are reduced to."""


class FloorAugmentation:
    """An augmentation of ganzoo's, with what it remembers.

    Args:
        augmentation: The augmentation.
        samples: The data.
        train: The training options.
    """

    def __init__(self, augmentation: Augmentation, samples: Samples, train: TrainOptions) -> None:
        self.augmentation, self.train = augmentation, train
        self.is_adaptive = isinstance(augmentation, AdaptiveAugmentation)
        self.given: tuple[nn.Module, ...] = ()
        if self.is_adaptive:
            self.given = (augmentation.state(samples.spec).to(samples.stored.device),)
        self.updates = 0

    def __call__(self, samples: Tensor) -> Tensor:
        """Return changed samples."""
        return self.augmentation.augment(samples, *self.given)

    @torch.no_grad()
    def observe(self, logits: Tensor) -> None:
        """See the logits of the reals after an update of the discriminator."""
        if self.is_adaptive:
            progress = Progress.at(self.train, *divmod(self.updates, self.train.n_critic))
            self.augmentation.observe(*self.given, logits, progress)
        self.updates += 1


FLOORS: dict[str, type[Floor]] = {
    "cyclegan": TranslationFloor,
    "pix2pix": PairsFloor,
    "srgan": EnlargingFloor,
    "esrgan": EnlargingFloor,
}
"""Floors of the architectures that have one of their own; others have :class:`Floor`."""
