"""The loops of the scripts: a step is one update of the generator."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from plain.cyclegan import Pool, shown
from plain.losses import Loss


class Loop:
    """Goodfellow et al. 2014, algorithm 1.

    Args:
        pair: The generator and the discriminator.
        losses: That of the discriminator, and that of the generator.
        batches: Reals as networks take them, over and over.
        rates: Learning rates of the two.
        betas: Adam's.
        z_dim: Length of a latent.
        n_critic: Updates of the discriminator in a step.
    """

    def __init__(
        self,
        pair: tuple[nn.Module, nn.Module],
        losses: tuple[Loss, Loss],
        batches: Iterable[Tensor],
        *,
        rates: tuple[float, float],
        betas: tuple[float, float],
        z_dim: int = 0,
        n_critic: int = 1,
    ) -> None:
        self.G, self.D = pair
        self.of_D, self.of_G = losses
        self.batches = itertools.cycle(batches)
        self.z_dim, self.n_critic = z_dim, n_critic
        self.adam_G, self.adam_D = (
            torch.optim.Adam(network.parameters(), lr=lr, betas=betas)
            for network, lr in zip(pair, rates, strict=True)
        )
        self.device = next(self.G.parameters()).device
        self.read: list[float] = []

    def step(self, draws: torch.Generator | None = None) -> None:
        """Update the discriminator, once or more often, and then the generator."""
        for _ in range(self.n_critic):
            real = next(self.batches)
            fake = self.G(self.latents(len(real), draws))
            self.descend(self.of_D(self.D, real, fake.detach()), self.adam_D)
        fake = self.G(self.latents(len(real), draws))
        self.descend(self.of_G(self.D, real, fake), self.adam_G)

    def latents(self, count: int, draws: torch.Generator | None) -> Tensor:
        """Draw latents ``(count, z_dim)``."""
        return torch.randn(count, self.z_dim, generator=draws, device=self.device)

    def descend(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Take a step down a loss, and read it."""
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        self.read.append(loss.item())


class Translation(Loop):
    """Zhu et al. 2017: two generators at once, then two discriminators, each of one class.

    The discriminators come first here, as elsewhere; all terms are means over both directions.

    Args:
        pool_size: Earlier fakes of a class that its discriminator is shown.
        cycle_weight: Weight of the way there and back.
        identity_weight: Weight of the way to its own class.
        given: As for :class:`Loop`; half of a batch is of the one class, half of the other.
    """

    def __init__(
        self,
        *given: object,
        pool_size: int,
        cycle_weight: float,
        identity_weight: float,
        **named: object,
    ) -> None:
        super().__init__(*given, **named)
        self.pools = [Pool(pool_size), Pool(pool_size)]
        self.cycle_weight, self.identity_weight = cycle_weight, identity_weight

    def step(self, draws: torch.Generator | None = None) -> None:
        """Update the discriminators, and then the generators."""
        (to_x, to_y), (D_x, D_y) = self.G, self.D
        for _ in range(self.n_critic):
            x, y = next(self.batches).chunk(2)
            fake_x, fake_y = shown(self.pools, [to_x(y).detach(), to_y(x).detach()])
            self.descend((self.of_D(D_x, x, fake_x) + self.of_D(D_y, y, fake_y)) / 2, self.adam_D)
        fake_x, fake_y = to_x(y), to_y(x)
        adversarial = (self.of_G(D_x, x, fake_x) + self.of_G(D_y, y, fake_y)) / 2
        cycle = (_distance(to_y(fake_x), y) + _distance(to_x(fake_y), x)) / 2
        identity = (_distance(to_x(x), x) + _distance(to_y(y), y)) / 2
        self.descend(
            adversarial + self.cycle_weight * cycle + self.identity_weight * identity, self.adam_G
        )


def _distance(found: Tensor, wanted: Tensor) -> Tensor:
    return (found - wanted).abs().mean()
