"""Checks of losses.

Most of them use samples ``(N, 1)`` that are logits already and the identity as discriminator, which
shows directly how the loss treats logits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ganzoo.protocols.dataset import DataSpec
from ganzoo.protocols.discriminator import Discriminator
from ganzoo.protocols.loss import Loss
from ganzoo.protocols.recipe import Recipe
from ganzoo.testing.common import (
    check_options,
    explain_errors,
    require,
    require_recipes,
    seeded,
)
from ganzoo.testing.steps import (
    SmallNetworks,
    draw_samples,
    require_exact_steps,
    small_critic,
    train_options,
)
from ganzoo.training.trainer import frozen

if TYPE_CHECKING:
    from ganzoo.protocols.discriminator import Logits
    from ganzoo.protocols.objective import Terms

EXTREME = 200.0
"""Far beyond the logits 17 and 104, at which 1 - p and p underflow to 0 in 32 bits."""
UNDECIDED = 0.25
"""A logit at which every loss, with targets too, still pushes reals up and fakes down."""
SLOPES = (0.5, 1.0, 3.0)
PARTS = 3
"""Patches of each sample."""


def identity(samples: Tensor) -> Tensor:
    """Return samples ``(N, 1)`` as logits ``(N,)``: a critic whose gradient has norm 1."""
    return samples.flatten(1).sum(1)


def check_terms(loss: Loss) -> None:
    """Both methods return a dict of named scalar tensors."""
    _compute_terms(loss, identity, _column(1.0), _column(-1.0))


def check_finite(loss: Loss) -> None:
    """Losses and gradients are finite at logits of plus and minus 200."""
    for real_logit in (-EXTREME, EXTREME):
        for fake_logit in (-EXTREME, EXTREME):
            real, fake = _column(real_logit), _column(fake_logit)
            for terms in _compute_terms(loss, identity, real, fake):
                for value in (_sum_terms(terms), *_gradients(terms, (real, fake))):
                    require(
                        bool(value.isfinite().all()),
                        f"not finite at real logit {real_logit} and fake logit {fake_logit}: "
                        "write log-probabilities with softplus",
                    )


def check_discriminator_direction(loss: Loss) -> None:
    """The discriminator's loss falls as reals score higher and as fakes score lower."""
    by_reals, by_fakes = _slopes_by_logits(loss, turn=0)
    require(
        by_reals < 0 < by_fakes,
        "the discriminator must want higher logits for reals and lower ones for fakes",
    )


def check_generator_direction(loss: Loss) -> None:
    """The generator's loss falls as fakes score higher."""
    _, by_fakes = _slopes_by_logits(loss, turn=1)
    require(by_fakes < 0, "the generator must want higher logits for its fakes")


def check_batch_size(loss: Loss) -> None:
    """Doubling a batch leaves each term unchanged, whatever the critic's slope."""
    for slope in SLOPES:
        real, fake = _column(0.3, -0.2, 0.9), _column(-0.4, 0.1, 0.5)
        once = _compute_terms(loss, _steep_critic(slope), real, fake)
        twice = _compute_terms(
            loss, _steep_critic(slope), torch.cat([real, real]), torch.cat([fake, fake])
        )
        change = _find_change(once, twice, rtol=1e-4, atol=1e-6)
        require(
            change is None,
            f"{change} when the batch is doubled: judge each sample on its own, norms of "
            "gradients included, and take the mean",
        )


def check_sample_shape(loss: Loss) -> None:
    """Images ``(N, C, H, W)`` give the same terms as their numbers in vectors ``(N, D)``."""
    real, fake = (torch.randn(4, 3, 2, 5, generator=_rng(seed)) for seed in (1, 2))
    vectors = _compute_terms(loss, identity, real.flatten(1), fake.flatten(1))
    images = _compute_terms(loss, identity, real, fake)
    change = _find_change(vectors, images, rtol=1e-4, atol=1e-6)
    require(
        change is None,
        f"{change} when vectors become images of the same numbers: take a norm over the whole "
        "of each sample, as gradient.flatten(1).norm(dim=1)",
    )


def check_parts(loss: Loss) -> None:
    """Logits ``(N, P)`` of P patches are accepted, and equal patches count as one."""
    real, fake = _column(0.3, -0.2, 0.9), _column(-0.4, 0.1, 0.5)
    whole = _compute_terms(loss, identity, real, fake)
    parts = _compute_terms(loss, lambda samples: samples.flatten(1).expand(-1, PARTS), real, fake)
    change = _find_change(whole, parts, rtol=1e-4, atol=1e-6)
    require(
        change is None,
        f"{change} when each sample is judged in {PARTS} equal patches, logits (N, {PARTS}): take "
        "the mean over all logits, and the slope of a sample's mean logit, as "
        "logits.reshape(len(samples), -1).mean(1)",
    )
    real, fake = (torch.randn(4, PARTS, generator=_rng(seed)) for seed in (1, 2))
    for terms in _compute_terms(loss, lambda samples: samples.square(), real, fake):
        require(
            bool(_sum_terms(terms).isfinite()),
            f"terms must be finite for logits (N, {PARTS}) of patches that differ",
        )


def check_seeding(loss: Loss) -> None:
    """Random numbers come from torch's global generator: the same seed, the same terms."""
    D = Discriminator(small_critic())
    real, fake = torch.randn(8, 3, generator=_rng(1)), torch.randn(8, 3, generator=_rng(2))
    first, second = (_compute_terms(loss, D, real, fake) for _ in range(2))
    change = _find_change(first, second)
    require(
        change is None,
        f"{change} with the same seed: draw from torch's global generator, and keep no state",
    )


def check_side_effects(loss: Loss) -> None:
    """A loss fills no ``.grad``, changes no input and no parameter."""
    critic = small_critic()
    before = [parameter.clone() for parameter in critic.parameters()]
    real, fake = torch.randn(8, 3, generator=_rng(1)), torch.randn(8, 3, generator=_rng(2))
    originals = real.clone(), fake.clone()
    _compute_terms(loss, Discriminator(critic), real, fake)
    require(
        torch.equal(real, originals[0]) and torch.equal(fake, originals[1]),
        "a loss must not change its inputs in place",
    )
    require(
        not real.requires_grad and not fake.requires_grad,
        "a loss must not set requires_grad on its inputs: use a detached copy",
    )
    for parameter, was in zip(critic.parameters(), before, strict=True):
        require(parameter.grad is None, "a loss must not call backward(): only the trainer does")
        require(torch.equal(parameter, was), "a loss must not change the discriminator")


def check_gradients_reach_the_networks(loss: Loss) -> None:
    """The discriminator's loss reaches the discriminator, and the generator's the fakes."""
    critic = small_critic()
    D = Discriminator(critic)
    real = torch.randn(8, 3, generator=_rng(1))
    fake = torch.randn(8, 3, generator=_rng(2)).requires_grad_()
    learnt = _gradients(_compute_terms(loss, D, real, fake.detach())[0], tuple(critic.parameters()))
    with frozen(critic.parameters()):
        (taught,) = _gradients(_compute_terms(loss, D, real, fake)[1], (fake,))
    require(
        any(bool(gradient.any()) for gradient in learnt),
        "the discriminator's loss must reach its parameters: do not detach D(real) or D(fake)",
    )
    require(bool(taught.any()), "the generator's loss must reach the fakes: do not detach them")


def check_gradients_through_fakes(loss: Loss) -> None:
    """Each term of the discriminator's loss that depends on the fakes gives them a gradient."""
    D = Discriminator(_smooth_critic())
    real = torch.randn(8, 3, generator=_rng(1))
    fake = torch.randn(8, 3, generator=_rng(2)).requires_grad_()
    moved = _compute_terms(loss, D, real, fake.detach() + 0.5)[0]
    for name in moved:
        term = _compute_terms(loss, D, real, fake)[0][name]
        (slope,) = _gradients({name: term}, (fake,))
        require(
            bool(slope.any()) or torch.allclose(term, moved[name]),
            f"term '{name}' depends on the fakes, and gives them no gradient: do not detach them; "
            "unrolling differentiates the discriminator's loss by the generator",
        )


def check_constraint(loss: Loss) -> None:
    """``constrain()`` is a projection: applied twice, it does the same as once."""
    critic = small_critic()
    with explain_errors("constrain() must change parameters in place, under torch.no_grad()"):
        loss.constrain(critic)
        once = [parameter.detach().clone() for parameter in critic.parameters()]
        loss.constrain(critic)
    for parameter, was in zip(critic.parameters(), once, strict=True):
        require(
            parameter.is_leaf and parameter.requires_grad,
            "constrain() must leave trainable parameters: change them under torch.no_grad()",
        )
        require(
            torch.allclose(parameter, was),
            "constrain() runs after each update: applied twice, it must do the same as once",
        )


def check_declarations(loss: Loss) -> None:
    """Declarations have the right types, and a gradient in a term is declared."""
    for name in ("independent_samples", "second_order", "bounds_slope"):
        declared = getattr(loss, name)
        require(
            isinstance(declared, bool),
            f"{name} must be True or False, or a property that returns it, not {declared!r}",
        )
    watched = _DoubleBackwardProbe(small_critic())
    real, fake = torch.randn(8, 3, generator=_rng(1)), torch.randn(8, 3, generator=_rng(2))
    _compute_terms(loss, Discriminator(watched), real, fake.requires_grad_())
    require(
        loss.second_order or not watched.twice,
        "a term contains a gradient, which is too inexact in half precision: declare "
        "second_order = True",
    )


def check_recipes(loss: Loss) -> None:
    """Recipes have the right types, and set options that the loss has."""
    require(isinstance(loss.recipe, Recipe), "a loss must have a recipe: recipe = Recipe()")
    require_recipes(loss, "loss")


def check_steps(loss: Loss) -> None:
    """Training steps depend on seed and step alone, and a resumed run continues exactly."""
    samples = draw_samples(DataSpec(shape=(2,)))
    require_exact_steps(SmallNetworks(), loss, samples, train_options(n_critic=3))


loss_checks: list[Callable[[Loss], None]] = [
    check_options,
    check_terms,
    check_finite,
    check_discriminator_direction,
    check_generator_direction,
    check_batch_size,
    check_sample_shape,
    check_parts,
    check_seeding,
    check_side_effects,
    check_gradients_reach_the_networks,
    check_gradients_through_fakes,
    check_constraint,
    check_declarations,
    check_recipes,
    check_steps,
]
"""Checks of losses."""


def _compute_terms(loss: Loss, D: Logits, real: Tensor, fake: Tensor) -> tuple[Terms, Terms]:
    """Return the terms of the discriminator's loss and of the generator's."""
    with (
        seeded(),
        explain_errors(
            "a loss must take any function D from samples (N, *shape) to logits (N,) or (N, P)"
        ),
    ):
        given: Any = D  # a plain function must work too
        found = loss.discriminator_loss(given, real, fake), loss.generator_loss(given, real, fake)
    for terms in found:
        require(
            isinstance(terms, dict) and bool(terms),
            "a loss must return a dict of named terms, such as {'adversarial': ...}",
        )
        for name, term in terms.items():
            require(
                isinstance(name, str) and isinstance(term, Tensor) and term.dim() == 0,
                f"term {name!r} must be a scalar tensor: take the mean over the batch",
            )
    return found


def _sum_terms(terms: Terms) -> Tensor:
    return torch.stack(list(terms.values())).sum()


def _gradients(terms: Terms, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Differentiate the sum of the terms; a gradient is zero where they do not depend on it."""
    total = _sum_terms(terms)
    if not total.requires_grad:
        return tuple(torch.zeros_like(given) for given in inputs)
    with explain_errors("terms must be differentiable, and only the trainer calls backward()"):
        return torch.autograd.grad(total, inputs, allow_unused=True, materialize_grads=True)


def _slopes_by_logits(loss: Loss, turn: int) -> tuple[float, float]:
    """Return the slopes of a network's loss with respect to the logits of reals and of fakes.

    Args:
        loss: The loss.
        turn: 0 for the discriminator's loss, 1 for the generator's.
    """
    shifts = torch.zeros(2, requires_grad=True)

    def shifted(samples: Tensor) -> Tensor:
        # Shift the logits, not the samples: the discriminator's loss may detach samples.
        logits, side = samples.unbind(1)
        return logits + torch.where(side > 0, shifts[0], shifts[1])

    real, fake = (torch.tensor([[UNDECIDED, side]] * 2) for side in (1.0, -1.0))
    (slopes,) = _gradients(_compute_terms(loss, shifted, real, fake)[turn], (shifts,))
    by_reals, by_fakes = slopes.tolist()
    return by_reals, by_fakes


def _find_change(
    before: tuple[Terms, Terms], after: tuple[Terms, Terms], rtol: float = 0.0, atol: float = 0.0
) -> str | None:
    """Describe the first term that changed, or return None."""
    for one, other in zip(before, after, strict=True):
        if one.keys() != other.keys():
            return f"the terms change from {list(one)} to {list(other)}"
        for name in one:
            if not torch.allclose(one[name], other[name], rtol=rtol, atol=atol):
                was, became = one[name].item(), other[name].item()
                return f"term '{name}' changes from {was:.4g} to {became:.4g}"
    return None


def _column(*logits: float) -> Tensor:
    return torch.tensor([[logit] for logit in logits] * 2, requires_grad=True)


def _steep_critic(slope: float) -> Logits:
    return lambda samples: slope * identity(samples)


def _smooth_critic() -> nn.Module:
    """Build vectors ``(N, 3)`` -> logits ``(N,)``, whose slope changes everywhere."""
    with seeded():
        return nn.Sequential(nn.Linear(3, 8), nn.Softplus(), nn.Linear(8, 1), nn.Flatten(0))


def _rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class _DoubleBackwardProbe(nn.Module):
    """A critic that detects if a gradient of its logits is itself to be differentiated."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic
        self.twice = False

    def forward(self, samples: Tensor) -> Tensor:
        logits = self.critic(samples)
        if logits.requires_grad:
            logits.register_hook(self._notice)
        return logits

    def _notice(self, slope: Tensor) -> None:
        # A backward pass records its own graph under create_graph=True only.
        self.twice |= torch.is_grad_enabled()
