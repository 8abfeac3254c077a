"""Penalties as the papers write them, and what a discriminator says to them and to losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Change = Callable[[Tensor], Tensor]


def outputs(
    network: Callable[..., Any], part: str, given: Tensor, labels: Tensor | None
) -> dict[str, Tensor]:
    """Return all that a network returns by name; of one that returns a tensor, the one part."""
    found = network(given) if labels is None else network(given, labels)
    return found if isinstance(found, dict) else {part: found}


class Judge:
    """A discriminator as losses and penalties call it: from samples to logits.

    Args:
        network: The discriminator, which takes classes or not, and returns logits or a dict.
        labels: Classes of a batch, of reals and fakes alike.
        changes: What samples pass through before.
    """

    def __init__(
        self, network: nn.Module, labels: Tensor | None = None, changes: Sequence[Change] = ()
    ) -> None:
        self.network, self.labels, self.changes = network, labels, changes
        self.said: list[tuple[Tensor, dict[str, Tensor]]] = []

    def __call__(self, samples: Tensor) -> Tensor:
        """Return the logits of a batch."""
        return self.all(samples)["logits"]

    def all(self, samples: Tensor) -> dict[str, Tensor]:
        """Return all that is said of a batch, by name."""
        changed = samples
        for change in self.changes:
            changed = change(changed)
        found = outputs(self.network, "logits", changed, self.labels)
        self.said.append((samples, found))
        return found

    def recall(self, samples: Tensor, part: str = "logits") -> Tensor:
        """Return what was said of a batch when the loss asked, with its graph."""
        for before, found in self.said:
            if before is samples:
                return found[part]
        return self.all(samples)[part]


@dataclass
class Given:
    """What an update of a network is computed from."""

    G: nn.Module
    D: Judge
    real: Tensor
    fake: Tensor
    """In the discriminator's update it has no graph."""
    z: Tensor
    """What the fakes were made from."""
    labels: Tensor | None
    made: Mapping[str, Tensor]
    """All that the generator returned, ``samples`` among it."""


Term = Callable[..., Tensor]
"""From what an update is computed from, a penalty's memory and its options to a number."""


@dataclass
class Penalty:
    """A penalty of a training, with what it remembers."""

    name: str
    terms: Mapping[str, Term]
    """By network, ``D`` or ``G``."""
    options: Mapping[str, Any]
    memory: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, options: Mapping[str, Any]) -> Penalty:
        """Return a penalty by the name and the options that it has in ganzoo."""
        return cls(name, PENALTIES[name], options)

    @property
    def interval(self) -> int:
        """Updates of a network from one with the penalty to the next; from 2 on it is lazy."""
        return self.options["interval"]

    @property
    def of_D(self) -> bool:
        """Whether it has a term for the discriminator."""
        return "D" in self.terms

    @property
    def of_G(self) -> bool:
        """Whether it has a term for the generator."""
        return "G" in self.terms

    def for_D(self, given: Given) -> Tensor:
        """Return the term of the discriminator."""
        return self.terms["D"](given, self.memory, **self.options)

    def for_G(self, given: Given) -> Tensor:
        """Return the term of the generator."""
        return self.terms["G"](given, self.memory, **self.options)


def r1(given: Given, memory: dict[str, Tensor], *, gamma: float, by_size: bool, **_: Any) -> Tensor:
    """Mescheder et al. 2018, equation 9."""
    real = given.real.detach().requires_grad_()
    (slope,) = torch.autograd.grad(given.D(real).sum(), real, create_graph=True)
    if by_size:
        gamma = gamma * real.shape[2] * real.shape[3] / len(real)
    return gamma / 2 * slope.square().sum((1, 2, 3)).mean()


def gradient_penalty(
    given: Given,
    memory: dict[str, Tensor],
    *,
    weight: float,
    target: float,
    one_sided: bool,
    **_: Any,
) -> Tensor:
    """Gulrajani et al. 2017, equation 3."""
    real, fake = given.real, given.fake
    share = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
    between = (share * real + (1 - share) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(given.D(between).sum(), between, create_graph=True)
    over = slope.flatten(1).norm(dim=1) - target
    return weight * (over.relu() if one_sided else over).square().mean()


def drift(given: Given, memory: dict[str, Tensor], *, weight: float, **_: Any) -> Tensor:
    """Karras et al. 2018, appendix A.1."""
    return weight * given.D.recall(given.real).square().mean()


def path_length(
    given: Given,
    memory: dict[str, Tensor],
    *,
    weight: float,
    decay: float,
    shrink: int,
    **_: Any,
) -> Tensor:
    """Karras et al. 2020, arXiv:1912.04958, equation 4 and appendix B."""
    labels = None if given.labels is None else given.labels[::shrink]
    found = outputs(given.G, "samples", given.z[::shrink], labels)
    images, w = found["samples"], found["w"]
    noise = torch.randn_like(images) / (images.shape[2] * images.shape[3]) ** 0.5
    (slope,) = torch.autograd.grad((images * noise).sum(), w, create_graph=True)
    lengths = slope.square().sum(-1)
    lengths = (lengths.mean(1) if lengths.dim() > 1 else lengths).sqrt()
    before = memory.get("length", torch.zeros((), device=w.device, dtype=w.dtype))
    memory["length"] = before.lerp(lengths.detach().mean(), decay)
    return weight * (lengths - before).square().mean()


def orthogonal(given: Given, memory: dict[str, Tensor], *, weight: float, **_: Any) -> Tensor:
    """Brock et al. 2019, equation 3, of all but the embedding that layers share."""
    total = torch.zeros((), device=given.z.device, dtype=given.z.dtype)
    for name, parameter in given.G.named_parameters():
        if parameter.dim() > 1 and not name.startswith("embedding."):
            rows = parameter.flatten(1)
            others = 1 - torch.eye(len(rows), device=rows.device, dtype=rows.dtype)
            total = total + (torch.mm(rows, rows.t()) * others).square().sum()
    return weight * total


def classes_of_reals_and_fakes(
    given: Given,
    memory: dict[str, Tensor],
    *,
    discriminator_weight: float,
    fakes: bool,
    **_: Any,
) -> Tensor:
    """Odena et al. 2017, equation 3."""
    cost = F.cross_entropy(given.D.recall(given.real, "classes"), given.labels)
    if fakes:
        cost = cost + F.cross_entropy(given.D.recall(given.fake, "classes"), given.labels)
    return discriminator_weight * cost


def classes_of_fakes(
    given: Given, memory: dict[str, Tensor], *, generator_weight: float, **_: Any
) -> Tensor:
    """Odena et al. 2017, equation 3."""
    cost = F.cross_entropy(given.D.recall(given.fake, "classes"), given.labels)
    return generator_weight * cost


def codes(given: Given, memory: dict[str, Tensor], *, weight: float, **_: Any) -> Tensor:
    """Chen et al. 2016, equation 5, for ten categories and numbers of unit variance."""
    guess = given.D.recall(given.fake, "codes")
    drawn = given.z[:, -guess.shape[1] :]
    of_kind = F.cross_entropy(guess[:, :10], drawn[:, :10].argmax(1))
    away = guess[:, 10:] - drawn[:, 10:]
    of_numbers = (0.5 * away**2 + 0.5 * math.log(2 * math.pi)).sum(1).mean()
    return weight * (of_kind + of_numbers)


def reconstruction(
    given: Given, memory: dict[str, Tensor], *, weight: float, distance: str, **_: Any
) -> Tensor:
    """Liu et al. 2021, equation 2, with distances of pixels."""
    (said,) = (found for before, found in given.D.said if before is given.real)
    pairs = given.D.network.decoder(said)
    total = torch.zeros((), device=given.real.device, dtype=given.real.dtype)
    for found, wanted in pairs:
        apart = found - wanted
        total = total + (apart.abs() if distance == "absolute" else apart**2).mean()
    return weight * total


PENALTIES: dict[str, dict[str, Term]] = {
    "r1": {"D": r1},
    "gradient-penalty": {"D": gradient_penalty},
    "drift": {"D": drift},
    "path-length": {"G": path_length},
    "orthogonal": {"G": orthogonal},
    "auxiliary-classifier": {"D": classes_of_reals_and_fakes, "G": classes_of_fakes},
    "mutual-information": {"D": codes, "G": codes},
    "reconstruction": {"D": reconstruction},
}
"""The terms of each penalty by network, ``D`` or ``G``; their options are those of ganzoo's."""
