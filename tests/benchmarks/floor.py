"""A loop by hand for the trainer's own networks: what is left when only arithmetic is.

It does the work of a step of :class:`ganzoo.training.trainer.Trainer`, and no more: reals are
chosen from memory and scaled, the discriminator learns from fakes that were made without a graph
and is frozen while the generator learns, both by torch's fused Adam, and the averaged generator
follows. Networks and images are channels-last, unless that is slower, and what
``ganzoo.nn.fusion`` folds is folded. It reads no loss, seeds nothing, and knows neither processes
nor devices nor precisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.protocols.outputs import pick
from plain.cyclegan import Pool, shown
from plain.losses import Loss

DECAY = 0.999
"""Of the averaged generator."""


class Floor:
    """The loop of networks that start from noise.

    Args:
        pair: The generator and the discriminator.
        losses: That of the discriminator, and that of the generator.
        stored: Reals ``(N, C, H, W)``, uint8.
        batch_size: Reals in a batch.
        rates: Learning rates of the two.
        betas: Adam's.
        options: Those of the architecture.
        n_critic: Updates of the discriminator in a step.
    """

    memory_format = torch.channels_last

    def __init__(
        self,
        pair: tuple[nn.Module, nn.Module],
        losses: tuple[Loss, Loss],
        stored: Tensor,
        batch_size: int,
        *,
        rates: tuple[float, float],
        betas: tuple[float, float],
        options: Mapping[str, Any],
        n_critic: int = 1,
    ) -> None:
        self.G, self.D = (each.to(memory_format=self.memory_format).train() for each in pair)
        self.of_D, self.of_G = losses
        self.stored, self.batch_size, self.options = stored, batch_size, options
        self.n_critic = n_critic
        self.of_network_D = list(self.D.parameters())
        self.adam_G, self.adam_D = (
            torch.optim.Adam(network.parameters(), lr=lr, betas=betas, fused=True)
            for network, lr in zip(pair, rates, strict=True)
        )
        averaged = deepcopy(self.G)
        self.averaged = list(averaged.parameters()), list(averaged.buffers())
        self.followed = list(self.G.parameters()), list(self.G.buffers())
        self.order = torch.randperm(len(stored), device=stored.device)
        self.at = 0

    def step(self) -> None:
        """Update both networks and the average."""
        for _ in range(self.n_critic):
            real = self.reals()
            with torch.no_grad():
                fake = self.fakes(real)
            self.descend(self.loss_of_D(real, fake), self.adam_D)
        for parameter in self.of_network_D:
            parameter.requires_grad_(False)
        self.descend(self.loss_of_G(real), self.adam_G)
        for parameter in self.of_network_D:
            parameter.requires_grad_(True)
        self.average()

    def reals(self) -> Tensor:
        """Return the next batch as networks take it."""
        if self.at + self.batch_size > len(self.order):
            self.at = 0
        chosen = self.stored[self.chosen()]
        self.at += self.batch_size
        scaled = chosen.to(torch.float32).div_(127.5).sub_(1.0)
        return scaled.contiguous(memory_format=self.memory_format)

    def chosen(self) -> Tensor:
        """Return the indices of the next batch."""
        return self.order[self.at : self.at + self.batch_size]

    def fakes(self, real: Tensor) -> Tensor:
        """Return as many fakes."""
        made = self.G(torch.randn(len(real), self.options["z_dim"], device=real.device))
        return pick(made, "samples")

    def loss_of_D(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the discriminator's loss."""
        return self.of_D(self.D, real, fake)

    def loss_of_G(self, real: Tensor) -> Tensor:
        """Return the generator's loss."""
        return self.of_G(self.D, real, self.fakes(real))

    def descend(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Take a step down a loss."""
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    @torch.no_grad()
    def average(self) -> None:
        """Have the averaged generator follow."""
        torch._foreach_lerp_(self.averaged[0], self.followed[0], 1 - DECAY)
        if self.averaged[1]:
            torch._foreach_copy_(self.averaged[1], self.followed[1])


class TranslationFloor(Floor):
    """The loop of networks for each of two classes, of which those of the first come first."""

    memory_format = torch.contiguous_format

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.pools = [Pool(self.options["pool_size"]), Pool(self.options["pool_size"])]
        self.batch_size //= 2
        self.order = torch.randperm(len(self.stored) // 2, device=self.stored.device)

    def chosen(self) -> Tensor:
        """Return the indices of the next batch; classes alternate."""
        half = self.order[self.at : self.at + self.batch_size]
        return torch.cat([2 * half, 2 * half + 1])

    def fakes(self, real: Tensor) -> Tensor:
        """Translate each half to the class of the other."""
        x, y = real.chunk(2)
        to_x, to_y = self.G.networks
        return torch.cat([to_x(y), to_y(x)])

    def loss_of_D(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the mean over both classes."""
        (x, y), fakes = real.chunk(2), shown(self.pools, list(fake.chunk(2)))
        D_x, D_y = self.D.networks
        return (self.of_D(D_x, x, fakes[0]) + self.of_D(D_y, y, fakes[1])) / 2

    def loss_of_G(self, real: Tensor) -> Tensor:
        """Return the adversarial term, and what both ways there and back lose."""
        (x, y), (to_x, to_y), (D_x, D_y) = real.chunk(2), self.G.networks, self.D.networks
        fake_x, fake_y = to_x(y), to_y(x)
        adversarial = (self.of_G(D_x, x, fake_x) + self.of_G(D_y, y, fake_y)) / 2
        back = torch.cat([to_x(fake_y), to_y(fake_x)])
        same = torch.cat([to_x(x), to_y(y)])
        return (
            adversarial
            + self.options["cycle_weight"] * (back - real).abs().mean()
            + self.options["identity_weight"] * (same - real).abs().mean()
        )
