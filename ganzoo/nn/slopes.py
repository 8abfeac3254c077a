"""The slope of the discriminator at each sample, for losses and penalties that limit it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def track_samples(samples: Tensor) -> Tensor:
    """Return samples by which a slope can be taken.

    They keep their graph, if they have one: unrolling differentiates penalties by the generator.
    Then they are a view of their own, because an unrolled discriminator depends on the samples too,
    and the slope does not go through its parameters.
    """
    return samples.view_as(samples) if samples.requires_grad else samples.detach().requires_grad_()


def find_slopes(logits: Tensor, samples: Tensor) -> Tensor:
    """Return the gradient of each sample's mean logit by the sample ``(N, D)``, with its graph.

    Args:
        logits: Logits ``(N,)`` or ``(N, P)`` of the samples, each of its own sample alone.
        samples: What they were computed from ``(N, *shape)``, as :func:`track_samples` returns it.
    """
    each = logits.reshape(len(samples), -1).mean(1)
    (slopes,) = torch.autograd.grad(each.sum(), samples, create_graph=True)
    return slopes.flatten(1)


def mean_squared_slope(logits: Tensor, samples: Tensor) -> Tensor:
    """Return the mean over samples of the squared norm of the slope.

    The arguments are those of :func:`find_slopes`.
    """
    return find_slopes(logits, samples).square().sum(1).mean()


def slope_deviation(
    D: Callable[[Tensor], Tensor], samples: Tensor, target: float = 1.0, *, one_sided: bool = False
) -> Tensor:
    """Return the mean squared deviation of the slope's norm from a target.

    Args:
        D: The discriminator.
        samples: Where to take the slope ``(N, *shape)``.
        target: The norm that is wanted.
        one_sided: Whether norms below the target are as good.
    """
    samples = track_samples(samples)
    deviation = find_slopes(D(samples), samples).norm(dim=1) - target
    return (deviation.relu() if one_sided else deviation).square().mean()


def draw_between(real: Tensor, fake: Tensor) -> Tensor:
    """Return a random point between each real and its fake ``(N, *shape)``.

    Gulrajani et al. 2017 (arXiv:1704.00028), algorithm 1: each pair has its own share, uniform in
    [0, 1].
    """
    share = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device, dtype=real.dtype)
    return torch.lerp(fake, real, share)
