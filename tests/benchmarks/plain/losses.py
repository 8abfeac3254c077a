"""The losses of the papers: of the discriminator, and of the generator."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from plain.penalties import Judge

Loss = Callable[[Judge, Tensor, Tensor], Tensor]
"""From a discriminator, reals and fakes to a number. ``D.all`` gives all that it returns."""


def cross_entropy(D: Judge, real: Tensor, fake: Tensor) -> Tensor:
    """Goodfellow et al. 2014, equation 1."""
    return _labelled(D(real), 1.0) + _labelled(D(fake), 0.0)


def non_saturating(D: Judge, real: Tensor, fake: Tensor) -> Tensor:
    """Goodfellow et al. 2014, section 3."""
    return _labelled(D(fake), 1.0)


def least_squares(D: Judge, real: Tensor, fake: Tensor) -> Tensor:
    """Mao et al. 2017, equation 9."""
    return 0.5 * ((D(real) - 1) ** 2).mean() + 0.5 * (D(fake) ** 2).mean()


def least_squares_of_generator(D: Judge, real: Tensor, fake: Tensor) -> Tensor:
    """Mao et al. 2017, equation 9."""
    return 0.5 * ((D(fake) - 1) ** 2).mean()


def hinge(D: Judge, real: Tensor, fake: Tensor) -> Tensor:
    """Lim and Ye 2017."""
    return F.relu(1 - D(real)).mean() + F.relu(1 + D(fake)).mean()


def minus_logits(D: Judge, real: Tensor, fake: Tensor) -> Tensor:
    """The generator's, of Wasserstein and of hinge losses."""
    return -D(fake).mean()


def wgan_gp(D: Judge, real: Tensor, fake: Tensor) -> Tensor:
    """Gulrajani et al. 2017, equation 3."""
    wasserstein = D(fake).mean() - D(real).mean()
    share = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
    between = (share * real + (1 - share) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(D(between).sum(), between, create_graph=True)
    return wasserstein + 10 * ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()


def relativistic(D: Judge, real: Tensor, fake: Tensor) -> Tensor:
    """Huang et al. 2024, section 2: RpGAN with R1 and R2, both of weight gamma / 2 for gamma 1."""
    real, fake = real.detach().requires_grad_(), fake.detach().requires_grad_()
    real_logits, fake_logits = D(real), D(fake)
    (r1,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
    (r2,) = torch.autograd.grad(fake_logits.sum(), fake, create_graph=True)
    penalties = r1.square().sum((1, 2, 3)) + r2.square().sum((1, 2, 3))
    return (F.softplus(fake_logits - real_logits) + 0.5 * penalties).mean()


def relativistic_of_generator(D: Judge, real: Tensor, fake: Tensor) -> Tensor:
    """Huang et al. 2024, section 2."""
    return F.softplus(D(real) - D(fake)).mean()


def relativistic_average(D: Judge, real: Tensor, fake: Tensor) -> Tensor:
    """Wang et al. 2018, equation 1."""
    real_logits, fake_logits = D(real), D(fake)
    return _labelled(real_logits - fake_logits.mean(), 1.0) + _labelled(
        fake_logits - real_logits.mean(), 0.0
    )


def relativistic_average_of_generator(D: Judge, real: Tensor, fake: Tensor) -> Tensor:
    """Wang et al. 2018, equation 2."""
    return relativistic_average(D, fake, real)


def _labelled(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


LOSSES: dict[str, tuple[Loss, Loss]] = {
    "non-saturating": (cross_entropy, non_saturating),
    "lsgan": (least_squares, least_squares_of_generator),
    "hinge": (hinge, minus_logits),
    "wgan-gp": (wgan_gp, minus_logits),
    "r3gan": (relativistic, relativistic_of_generator),
    "relativistic-average": (relativistic_average, relativistic_average_of_generator),
}
"""That of the discriminator, and that of the generator."""
