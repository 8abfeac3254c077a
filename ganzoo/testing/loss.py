"""Checks of losses.

Most of them use samples ``(N, 1)`` that are logits already and the identity as discriminator, which
shows directly how the loss treats logits.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ganzoo.protocols.architecture import GeneratorInput
from ganzoo.protocols.dataset import DataSpec
from ganzoo.protocols.discriminator import Discriminator
from ganzoo.protocols.loss import Loss
from ganzoo.protocols.progress import Progress
from ganzoo.protocols.recipe import Recipe
from ganzoo.testing.common import (
    check_options,
    explain_errors,
    require,
    require_recipes,
    seeded,
)
from ganzoo.testing.networks import CLASSES
from ganzoo.testing.objective import (
    PROGRESSES,
    START,
    DoubleBackwardProbe,
    Function,
    Judge,
    build_memory,
    differentiate,
    require_declarations,
    require_declared_length,
    require_memory,
    require_same,
    require_terms,
    sum_terms,
    watch,
)
from ganzoo.testing.steps import (
    LATENT_PARTS,
    WIDTH,
    SmallGenerator,
    SmallNetworks,
    draw_samples,
    require_exact_steps,
    small_critic,
    train_options,
)
from ganzoo.training.updates import frozen

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
ANY_FUNCTION = (
    "a loss must take any function D from samples (N, *shape) to logits (N,) or (N, P), with "
    f"parts (N, {CLASSES}) of the names that it declares"
)
ON_ITS_OWN = "judge each sample on its own, norms of gradients included, and take the mean"


def identity(samples: Tensor) -> Tensor:
    """Return samples ``(N, 1)`` as logits ``(N,)``: a critic whose gradient has norm 1."""
    return samples.flatten(1).sum(1)


def check_terms(loss: Loss) -> None:
    """Both methods return a dict of named scalar tensors, however far the training is."""
    for progress in PROGRESSES:
        _compute_terms(loss, identity, _column(1.0), _column(-1.0), progress)


def check_finite(loss: Loss) -> None:
    """Losses and gradients are finite at logits of plus and minus 200."""
    for real_logit, fake_logit, progress in product(
        (-EXTREME, EXTREME), (-EXTREME, EXTREME), PROGRESSES
    ):
        real, fake = _column(real_logit), _column(fake_logit)
        for terms in _compute_terms(loss, identity, real, fake, progress):
            for value in (sum_terms(terms), *differentiate(terms, (real, fake))):
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
    """The generator's loss falls as fakes score higher, unless it is not ``adversarial``."""
    if not loss.adversarial:
        return
    _, by_fakes = _slopes_by_logits(loss, turn=1)
    require(
        by_fakes < 0,
        "the generator must want higher logits for its fakes; if it wants something else, such as "
        "features like those of the reals, declare adversarial = False",
    )


def check_batch_size(loss: Loss) -> None:
    """Doubling a batch leaves each term unchanged, and its halves make it up.

    So it is however far the training is, whatever the critic's slope.
    """
    for slope, progress in product(SLOPES, PROGRESSES):
        critic = _steep_critic(slope)
        real, fake = _column(0.3, -0.2, 0.9), _column(-0.4, 0.1, 0.5)
        once = _compute_terms(loss, critic, real, fake, progress)
        twice = _compute_terms(
            loss, critic, torch.cat([real, real]), torch.cat([fake, fake]), progress
        )
        when = "when the batch is doubled"
        require_same(once, twice, when, ON_ITS_OWN, rtol=1e-4, atol=1e-6)
        if loss.needs_whole_batch:
            continue
        real, fake = (torch.randn(8, 1, generator=_rng(seed)) for seed in (1, 2))
        whole = _compute_terms(loss, critic, real, fake, progress)
        halves = [
            _compute_terms(loss, critic, *halved, progress)
            for halved in zip(real.chunk(2), fake.chunk(2), strict=True)
        ]
        means = [
            {name: (one[name] + other.get(name, one[name])) / 2 for name in one}
            for one, other in zip(*halves, strict=True)
        ]
        advice = f"{ON_ITS_OWN}, or declare needs_whole_batch = True"
        when = "when a batch is computed in halves, whose mean is taken"
        require_same(whole, means, when, advice, rtol=1e-4, atol=1e-6)


def check_sample_shape(loss: Loss) -> None:
    """Images ``(N, C, H, W)`` give the same terms as their numbers in vectors ``(N, D)``."""
    real, fake = (torch.randn(4, 3, 2, 5, generator=_rng(seed)) for seed in (1, 2))
    for progress in PROGRESSES:
        vectors = _compute_terms(loss, identity, real.flatten(1), fake.flatten(1), progress)
        images = _compute_terms(loss, identity, real, fake, progress)
        when = "when vectors become images of the same numbers"
        advice = "take a norm over the whole of each sample, as gradient.flatten(1).norm(dim=1)"
        require_same(vectors, images, when, advice, rtol=1e-4, atol=1e-6)


def check_parts(loss: Loss) -> None:
    """Logits ``(N, P)`` of P patches are accepted, and equal patches count as one."""
    real, fake = _column(0.3, -0.2, 0.9), _column(-0.4, 0.1, 0.5)
    for progress in PROGRESSES:
        whole = _compute_terms(loss, identity, real, fake, progress)
        parts = _compute_terms(
            loss, lambda samples: samples.flatten(1).expand(-1, PARTS), real, fake, progress
        )
        when = f"when each sample is judged in {PARTS} equal patches, logits (N, {PARTS})"
        advice = (
            "take the mean over all logits, and the slope of a sample's mean logit, as "
            "logits.reshape(len(samples), -1).mean(1)"
        )
        require_same(whole, parts, when, advice, rtol=1e-4, atol=1e-6)
    real, fake = (torch.randn(4, PARTS, generator=_rng(seed)) for seed in (1, 2))
    for terms in _compute_terms(loss, lambda samples: samples.square(), real, fake):
        require(
            bool(sum_terms(terms).isfinite()),
            f"terms must be finite for logits (N, {PARTS}) of patches that differ",
        )


def check_seeding(loss: Loss) -> None:
    """Random numbers come from torch's global generator: the same seed, the same terms."""
    D = Discriminator(small_critic())
    real, fake = torch.randn(8, 3, generator=_rng(1)), torch.randn(8, 3, generator=_rng(2))
    for progress in PROGRESSES:
        first, second = (_compute_terms(loss, D, real, fake, progress) for _ in range(2))
        advice = "draw from torch's global generator, and keep no state"
        require_same(first, second, "with the same seed", advice)


def check_side_effects(loss: Loss) -> None:
    """A loss fills no ``.grad``, changes no input and no parameter."""
    critic = small_critic()
    before = [parameter.clone() for parameter in critic.parameters()]
    real, fake = torch.randn(8, 3, generator=_rng(1)), torch.randn(8, 3, generator=_rng(2))
    originals = real.clone(), fake.clone()
    for progress in PROGRESSES:
        _compute_terms(loss, Discriminator(critic), real, fake, progress)
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
    learnt = differentiate(
        _compute_terms(loss, D, real, fake.detach())[0], tuple(critic.parameters())
    )
    with frozen(critic.parameters()):
        (taught,) = differentiate(_compute_terms(loss, D, real, fake)[1], (fake,))
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
        (slope,) = differentiate({name: term}, (fake,))
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
    """Declarations have the right types, and what a term does and reads is declared."""
    require_declarations(loss)
    require(
        isinstance(loss.adversarial, bool),
        f"adversarial must be True or False, or a property that returns it, not "
        f"{loss.adversarial!r}",
    )
    watched = DoubleBackwardProbe(small_critic())
    real, fake = torch.randn(8, 3, generator=_rng(1)), torch.randn(8, 3, generator=_rng(2))
    for progress in PROGRESSES:
        looked_at, read = watch(progress)
        _compute_terms(loss, Discriminator(watched), real, fake.requires_grad_(), looked_at)
        require_declared_length(read, bool(loss.depends_on_steps))
    require(
        loss.second_order or not watched.twice,
        "a term contains a gradient, which is too inexact in half precision: declare "
        "second_order = True",
    )


def check_memory(loss: Loss) -> None:
    """What is remembered lies in buffers, which ``remember()`` alone changes."""
    data = DataSpec(shape=(3,), classes=CLASSES)

    def observe(state: nn.Module | None, number: int) -> dict[str, Tensor]:
        real, fake = (torch.randn(8, 3, generator=_rng(2 * number + word)) for word in (0, 1))
        D = _discriminator(loss, small_critic(), real, fake, START)
        D.state = state
        with seeded(number), explain_errors(ANY_FUNCTION):
            loss.discriminator_loss(D, real, fake)
            loss.generator_loss(D, real, fake)
        return D.take_observed()

    require_memory(loss, data, observe)


def check_recipes(loss: Loss) -> None:
    """Recipes have the right types, and set options that the loss has."""
    require(isinstance(loss.recipe, Recipe), "a loss must have a recipe: recipe = Recipe()")
    require_recipes(loss, "loss")


def check_steps(loss: Loss) -> None:
    """Training steps depend on seed and step alone, and a resumed run continues exactly."""
    networks = SmallNetworks.serving(loss)
    data = DataSpec(shape=(2,), classes=CLASSES if loss.needs_discriminator_parts else None)
    require_exact_steps(networks, loss, draw_samples(data), train_options(n_critic=3))


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
    check_memory,
    check_recipes,
    check_steps,
]
"""Checks of losses."""


def _compute_terms(
    loss: Loss, D: Logits, real: Tensor, fake: Tensor, progress: Progress = START
) -> tuple[Terms, Terms]:
    """Return the terms of the discriminator's loss and of the generator's.

    Args:
        loss: The loss.
        D: A discriminator, or any function from samples to logits.
        real: Samples ``(N, *shape)``.
        fake: Samples of the same shape.
        progress: How far the training is.
    """
    network = D.network if isinstance(D, Discriminator) else D
    known = _discriminator(loss, network, real, fake, progress)
    given: Any = known if isinstance(D, Discriminator) else Function(known)
    with seeded(), explain_errors(ANY_FUNCTION):
        found = loss.discriminator_loss(given, real, fake), loss.generator_loss(given, real, fake)
    return require_terms(found[0], "loss"), require_terms(found[1], "loss")


def _discriminator(
    loss: Loss, network: Logits, real: Tensor, fake: Tensor, progress: Progress
) -> Discriminator:
    """Return a discriminator that knows what a training's does: parts, inputs and a memory."""
    parts = tuple(loss.needs_discriminator_parts)
    labels = (real.detach().flatten(1)[:, 0] > 0).long() if parts else None
    data = DataSpec(shape=tuple(real.shape[1:]), classes=CLASSES)
    with seeded():
        generator = SmallGenerator(data, loss.needs_generator_parts)
    # Of the reals, so that the halves of a batch have the latents that they have in the whole.
    latents = real.detach().flatten(1)[:, :1] * torch.arange(1, WIDTH + 1)
    inputs = GeneratorInput(latents, labels, progress=progress)
    D = Discriminator(
        Judge(network, parts),
        labels,
        progress=progress,
        inputs=inputs,
        generator=generator,
        generated={**inputs.outputs(generator), "samples": fake},
        generates_with_gradient=True,
        remembers_calls=True,
        latent_parts=LATENT_PARTS,
    )
    D.state = build_memory(loss, data)
    return D


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
    (slopes,) = differentiate(_compute_terms(loss, shifted, real, fake)[turn], (shifts,))
    by_reals, by_fakes = slopes.tolist()
    return by_reals, by_fakes


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
