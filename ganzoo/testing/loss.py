"""Checks of losses.

Most of them take the discriminator for a plain function of samples ``(N, 1)`` that are logits
already, so that what a loss does to logits is seen directly.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ganzoo.loss import Loss, Recipe
from ganzoo.testing.common import check_options, require, seeded

EXTREME = 40.0
"""At this logit, the logarithm of a probability is infinite in 32 bits."""
UNDECIDED = 0.25
"""A logit at which every loss still pulls reals up and fakes down, those with targets too."""
SLOPES = (0.5, 1.0, 3.0)


def identity(samples: Tensor) -> Tensor:
    """Take samples ``(N, 1)`` for logits ``(N,)``: a critic whose gradient has norm 1."""
    return samples.flatten(1).sum(1)


def check_terms(loss: Loss) -> None:
    """Both methods give a dict of named scalar tensors."""
    for terms in _both(loss, identity, _column(1.0), _column(-1.0)):
        require(
            isinstance(terms, dict) and bool(terms),
            "a loss must return a dict of named terms, such as {'adversarial': ...}",
        )
        for name, term in terms.items():
            require(
                isinstance(name, str) and isinstance(term, Tensor) and term.dim() == 0,
                f"term {name!r} must be a scalar tensor: take the mean over the batch",
            )


def check_finite(loss: Loss) -> None:
    """Losses and gradients are finite at logits of plus and minus 40."""
    for real_logit in (-EXTREME, EXTREME):
        for fake_logit in (-EXTREME, EXTREME):
            real, fake = _column(real_logit), _column(fake_logit)
            for terms in _both(loss, identity, real, fake):
                total = _total(terms)
                gradients = torch.autograd.grad(total, (real, fake), allow_unused=True)
                for value in (total, *(g for g in gradients if g is not None)):
                    require(
                        bool(value.isfinite().all()),
                        f"not finite at real logit {real_logit} and fake logit {fake_logit}: "
                        "write log-probabilities with softplus",
                    )


def check_discriminator_direction(loss: Loss) -> None:
    """The discriminator's loss falls as reals score higher and as fakes score lower."""
    real, fake = _column(UNDECIDED), _column(UNDECIDED)
    with seeded():
        total = _total(loss.discriminator_loss(identity, real, fake))
    up, down = torch.autograd.grad(total, (real, fake))
    require(
        float(up.detach().sum()) < 0 < float(down.detach().sum()),
        "the discriminator must want higher logits for reals and lower ones for fakes",
    )


def check_generator_direction(loss: Loss) -> None:
    """The generator's loss falls as fakes score higher."""
    real, fake = _column(UNDECIDED), _column(UNDECIDED)
    with seeded():
        total = _total(loss.generator_loss(identity, real, fake))
    (slope,) = torch.autograd.grad(total, fake)
    require(float(slope.detach().sum()) < 0, "the generator must want higher logits for its fakes")


def check_batch_size(loss: Loss) -> None:
    """Doubling a batch leaves each term unchanged, whatever the critic's slope."""
    for slope in SLOPES:
        real, fake = _column(0.3, -0.2, 0.9), _column(-0.4, 0.1, 0.5)
        once = _both(loss, _steep(slope), real, fake)
        twice = _both(loss, _steep(slope), torch.cat([real, real]), torch.cat([fake, fake]))
        for small, large in zip(once, twice, strict=True):
            for name in small:
                require(
                    torch.allclose(small[name], large[name], rtol=1e-4, atol=1e-6),
                    f"term '{name}' changes from {small[name].item():.4g} to "
                    f"{large[name].item():.4g} when the batch is doubled: judge each sample on "
                    "its own, norms of gradients included, and take the mean",
                )


def check_seeding(loss: Loss) -> None:
    """What a loss draws comes from torch's global generator: the same seed, the same terms."""
    critic = _critic()
    real, fake = torch.randn(8, 3, generator=_rng(1)), torch.randn(8, 3, generator=_rng(2))
    first, second = (_both(loss, critic, real, fake) for _ in range(2))
    same = all(
        torch.equal(one[name], other[name])
        for one, other in zip(first, second, strict=True)
        for name in one
    )
    require(same, "the same seed must give the same terms: draw by torch's global generator")


def check_side_effects(loss: Loss) -> None:
    """A loss fills no ``.grad``, changes no input and no parameter."""
    critic = _critic()
    before = [parameter.clone() for parameter in critic.parameters()]
    real, fake = torch.randn(8, 3, generator=_rng(1)), torch.randn(8, 3, generator=_rng(2))
    kept = real.clone(), fake.clone()
    _both(loss, critic, real, fake)
    require(
        torch.equal(real, kept[0]) and torch.equal(fake, kept[1]),
        "a loss must not change its inputs in place",
    )
    require(
        not real.requires_grad and not fake.requires_grad,
        "a loss must not ask for gradients of its inputs themselves: use a detached copy",
    )
    for parameter, was in zip(critic.parameters(), before, strict=True):
        require(parameter.grad is None, "a loss must not call backward(): only the trainer does")
        require(torch.equal(parameter, was), "a loss must not change the discriminator")


def check_gradients_reach_the_networks(loss: Loss) -> None:
    """The discriminator's loss teaches the discriminator, the generator's the fakes."""
    critic = _critic()
    real = torch.randn(8, 3, generator=_rng(1))
    fake = torch.randn(8, 3, generator=_rng(2)).requires_grad_()
    with seeded():
        learnt = torch.autograd.grad(
            _total(loss.discriminator_loss(critic, real, fake.detach())),
            list(critic.parameters()),
            allow_unused=True,
        )
        (taught,) = torch.autograd.grad(
            _total(loss.generator_loss(critic, real, fake)), fake, allow_unused=True
        )
    require(
        any(gradient is not None and bool(gradient.any()) for gradient in learnt),
        "the discriminator's loss must reach its parameters: do not detach D(real) or D(fake)",
    )
    require(
        taught is not None and bool(taught.any()),
        "the generator's loss must reach the fakes: do not detach them",
    )


def check_recipe(loss: Loss) -> None:
    """The loss declares its paper's recipe."""
    require(
        isinstance(loss.recipe, Recipe),
        "recipe must be a ganzoo.Recipe: recipe = Recipe(generator_lr=..., n_critic=...)",
    )


loss_checks: list[Callable[[Loss], None]] = [
    check_options,
    check_terms,
    check_finite,
    check_discriminator_direction,
    check_generator_direction,
    check_batch_size,
    check_seeding,
    check_side_effects,
    check_gradients_reach_the_networks,
    check_recipe,
]


def _both(
    loss: Loss, D: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    with seeded():
        return loss.discriminator_loss(D, real, fake), loss.generator_loss(D, real, fake)


def _total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


def _column(*logits: float) -> Tensor:
    return torch.tensor([[logit] for logit in logits] * 2, requires_grad=True)


def _steep(slope: float) -> Callable[[Tensor], Tensor]:
    return lambda samples: slope * identity(samples)


def _rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _critic() -> nn.Module:
    with seeded():
        return nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1), nn.Flatten(0))
