"""The loops of the scripts: a step is one update of the generator."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plain.augmentations import Augmentation
from plain.cyclegan import Pool, shown
from plain.losses import Loss
from plain.penalties import Given, Judge, Penalty, outputs

Batch = tuple[Tensor, Tensor | None]
"""Reals as networks take them, and their classes if the networks take these."""


class Loop:
    """Goodfellow et al. 2014, algorithm 1.

    A family whose loop has something of its own overrides :meth:`latents`, :meth:`grow` or
    :meth:`prepare`, and is entered in ``LOOPS``.

    Args:
        pair: The generator and the discriminator.
        losses: That of the discriminator, and that of the generator.
        batches: Reals with their classes, over and over.
        adams: What Adam is given for the generator, and for the discriminator.
        options: Those of the architecture.
        n_critic: Updates of the discriminator in a step.
        penalties: Terms beside the losses.
        augmentations: What the discriminator's samples pass through, in this order.
    """

    def __init__(
        self,
        pair: tuple[nn.Module, nn.Module],
        losses: tuple[Loss, Loss],
        batches: Iterable[Batch],
        *,
        adams: tuple[dict[str, Any], dict[str, Any]],
        options: Mapping[str, Any],
        n_critic: int = 1,
        penalties: Sequence[Penalty] = (),
        augmentations: Sequence[Augmentation] = (),
    ) -> None:
        self.G, self.D = pair
        self.of_D, self.of_G = losses
        self.batches = itertools.cycle(batches)
        self.options, self.n_critic = options, n_critic
        self.penalties_of_D = [each for each in penalties if each.of_D]
        self.penalties_of_G = [each for each in penalties if each.of_G]
        self.augmentations = augmentations
        self.adam_G = self.adam(self.G, adams[0], self.penalties_of_G)
        self.adam_D = self.adam(self.D, adams[1], self.penalties_of_D)
        self.device = next(self.G.parameters()).device
        self.steps = self.updates = self.images = 0
        self.read: dict[str, dict[str, float]] = {}
        """What the losses of the last step were, by network and term."""

    # What a family may have of its own

    def latents(self, count: int, draws: torch.Generator | None) -> Tensor:
        """Draw latents ``(count, z_dim)``."""
        return torch.randn(count, self.options["z_dim"], generator=draws, device=self.device)

    def grow(self) -> None:
        """Grow the networks as the :attr:`images` that were seen say, before a step."""

    def prepare(self, real: Tensor) -> Tensor:
        """Return reals as the discriminator is to see them in this step."""
        return real

    # A step

    def step(self, draws: torch.Generator | None = None) -> None:
        """Update the discriminator, once or more often, and then the generator."""
        self.read = {"D": {}, "G": {}}
        self.grow()
        for _ in range(self.n_critic):
            real, labels = self.reals()
            real = self.prepare(real)
            self.update_discriminator(self.made_for_D(real, labels, draws))
        self.update_generator(self.made(real, labels, draws))
        self.images += self.n_critic * len(real)
        self.steps += 1

    def reals(self) -> Batch:
        """Return the next batch."""
        return next(self.batches)

    def made(self, real: Tensor, labels: Tensor | None, draws: torch.Generator | None) -> Given:
        """Draw latents for a batch, and make fakes of them."""
        z = self.latents(len(real), draws)
        found = outputs(self.G, "samples", z, labels)
        return Given(self.G, self.judge(labels), real, found["samples"], z, labels, found)

    def made_for_D(
        self, real: Tensor, labels: Tensor | None, draws: torch.Generator | None
    ) -> Given:
        """Make fakes for the discriminator, as scripts do: with their graph."""
        return self.made(real, labels, draws)

    def judge(self, labels: Tensor | None) -> Judge:
        """Return the discriminator as losses and penalties call it."""
        return Judge(self.D, labels, self.augmentations)

    def loss_of_D(self, given: Given) -> Tensor:
        """Return the discriminator's loss."""
        return self.of_D(given.D, given.real, given.fake)

    def loss_of_G(self, given: Given) -> Tensor:
        """Return the generator's loss."""
        return self.of_G(given.D, given.real, given.fake)

    def update_discriminator(self, given: Given) -> None:
        """Update the discriminator, and once more for each lazy penalty that is due."""
        made = {name: each.detach() for name, each in given.made.items()}
        given = replace(given, fake=made["samples"], made=made)
        loss = self.loss_of_D(given)
        for penalty in self.penalties_of_D:
            if penalty.interval == 1:
                loss = loss + penalty.for_D(given)
        self.descend("D", "loss", loss, self.adam_D)
        for penalty in self.penalties_of_D:
            if penalty.interval > 1 and self.updates % penalty.interval == 0:
                again = replace(given, D=self.judge(given.labels))
                term = penalty.for_D(again)
                self.descend("D", penalty.name, term, self.adam_D, penalty.interval)
        for augmentation in self.augmentations:
            augmentation.observe(given.D.recall(given.real).detach())
        self.updates += 1

    def update_generator(self, given: Given) -> None:
        """Update the generator, and once more for each lazy penalty that is due."""
        loss = self.loss_of_G(given)
        for penalty in self.penalties_of_G:
            if penalty.interval == 1:
                loss = loss + penalty.for_G(given)
        self.descend("G", "loss", loss, self.adam_G)
        for penalty in self.penalties_of_G:
            if penalty.interval > 1 and self.steps % penalty.interval == 0:
                term = penalty.for_G(given)
                self.descend("G", penalty.name, term, self.adam_G, penalty.interval)

    def descend(
        self, network: str, name: str, term: Tensor, adam: torch.optim.Adam, times: int = 1
    ) -> None:
        """Take a step down some times a term, and read it."""
        adam.zero_grad()
        (term if times == 1 else times * term).backward()
        adam.step()
        self.read[network][name] = term.item()

    def adam(
        self, network: nn.Module, given: dict[str, Any], penalties: Sequence[Penalty]
    ) -> torch.optim.Adam:
        """Return Adam for a network, corrected for lazy penalties.

        Karras et al. 2020, arXiv:1912.04958, appendix B: with k updates from one to the next, the
        rate and the exponents of the betas are k / (k + 1) times as large.
        """
        share = 1 / (1 + sum(1 / each.interval for each in penalties if each.interval > 1))
        betas = [beta**share for beta in given["betas"]]
        return self.build_adam(network, **{**given, "lr": given["lr"] * share, "betas": betas})

    def build_adam(self, network: nn.Module, **given: Any) -> torch.optim.Adam:
        """Return Adam as torch gives it."""
        return torch.optim.Adam(network.parameters(), **given)


class Translation(Loop):
    """Zhu et al. 2017: two generators at once, then two discriminators, each of one class.

    The discriminators come first here, as elsewhere; all terms are means over both directions, and
    half of a batch is of the one class, half of the other.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.pools = [Pool(self.options["pool_size"]), Pool(self.options["pool_size"])]

    def made(self, real: Tensor, labels: Tensor | None, draws: torch.Generator | None) -> Given:
        """Translate each half to the class of the other."""
        (x, y), (to_x, to_y) = real.chunk(2), of_both_classes(self.G)
        fake = torch.cat([to_x(y), to_y(x)])
        return Given(self.G, self.judge(None), real, fake, real, None, {"samples": fake})

    def loss_of_D(self, given: Given) -> Tensor:
        """Return the mean over both classes, of fakes from the pools."""
        (x, y), (D_x, D_y) = given.real.chunk(2), of_both_classes(self.D)
        fake_x, fake_y = shown(self.pools, list(given.fake.chunk(2)))
        return (self.of_D(D_x, x, fake_x) + self.of_D(D_y, y, fake_y)) / 2

    def loss_of_G(self, given: Given) -> Tensor:
        """Return the adversarial term, and what both ways there and back lose."""
        (x, y), (fake_x, fake_y) = given.real.chunk(2), given.fake.chunk(2)
        (to_x, to_y), (D_x, D_y) = of_both_classes(self.G), of_both_classes(self.D)
        adversarial = (self.of_G(D_x, x, fake_x) + self.of_G(D_y, y, fake_y)) / 2
        cycle = (_distance(to_y(fake_x), y) + _distance(to_x(fake_y), x)) / 2
        identity = (_distance(to_x(x), x) + _distance(to_y(y), y)) / 2
        weights = self.options["cycle_weight"], self.options["identity_weight"]
        return adversarial + weights[0] * cycle + weights[1] * identity


class Enlarging(Loop):
    """Ledig et al. 2017, equation 3: reals are reduced, enlarged again, and compared."""

    def made(self, real: Tensor, labels: Tensor | None, draws: torch.Generator | None) -> Given:
        """Enlarge what the reals are reduced to."""
        size = [side // self.options["scale"] for side in real.shape[2:]]
        small = F.interpolate(real, size, mode="bicubic", antialias=True).clamp(-1, 1)
        found = outputs(self.G, "samples", small, None)
        return Given(self.G, self.judge(None), real, found["samples"], small, None, found)

    def loss_of_G(self, given: Given) -> Tensor:
        """Return the adversarial term, and the difference of pixels."""
        away = given.fake - given.real
        found = away.abs() if "growth" in self.options else away.square()
        return super().loss_of_G(given) + self.options["pixel_weight"] * found.mean()


def of_both_classes(network: nn.Module) -> Iterable[nn.Module]:
    """Return the networks of which one for two classes is made."""
    return getattr(network, "networks", network)


def _distance(found: Tensor, wanted: Tensor) -> Tensor:
    return (found - wanted).abs().mean()
