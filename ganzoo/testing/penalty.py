"""Checks of penalties.

A penalty is tried with small, smooth networks on vectors and on images of 1 and 3 channels, as far
as ``fits()`` accepts them, at several moments of a training. The networks give every part that it
declares to need: those of the discriminator are ``(N, classes)``, those of the generator
``(N, length)``, on the way from the latents to the samples. Latents have two parts, ``z`` and a
``code`` of as many numbers as a part of the discriminator has.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from ganzoo.protocols.architecture import GeneratorInput
from ganzoo.protocols.dataset import DataSpec
from ganzoo.protocols.discriminator import Discriminator
from ganzoo.protocols.penalty import Penalty
from ganzoo.protocols.progress import Progress
from ganzoo.testing.common import (
    ConformanceError,
    check_options,
    explain_errors,
    require,
    seeded,
)
from ganzoo.testing.networks import CLASSES
from ganzoo.testing.objective import (
    PROGRESSES,
    ROUNDS,
    START,
    DoubleBackwardProbe,
    build_memory,
    copy_buffers,
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
    PlainLoss,
    SmallDiscriminator,
    SmallGenerator,
    SmallNetworks,
    draw_samples,
    require_exact_steps,
    train_options,
)
from ganzoo.training.updates import frozen

if TYPE_CHECKING:
    from ganzoo.protocols.objective import Terms

Word: TypeAlias = Literal["discriminator", "generator"]

WORDS: tuple[Word, ...] = ("discriminator", "generator")
SPECS = [DataSpec(shape=shape, classes=CLASSES) for shape in ((5,), (1, 16, 16), (3, 16, 16))]
"""Samples to try."""
COUNT = 8
"""Samples in a batch."""
INTERVALS = (1, 2)
"""Intervals to train with; an update of its own is due within the few steps."""
SEEDS, REPEATS = 4, 32
"""Draws to take the mean of, where terms are random: of so many seeds, for so many batches."""
TOLERANCE = 0.25
"""Relative difference of such means. That of a sum is 0.5, and that of a norm over the batch is
0.3."""
STEP = 1e-5
"""Half of the step of a central difference."""


@dataclass(frozen=True)
class Trial:
    """Networks and a batch that a penalty is tried on."""

    data: DataSpec
    generator: nn.Module
    discriminator: nn.Module
    real: Tensor
    latents: Tensor
    labels: Tensor | None

    def repeat(self, times: int) -> Trial:
        """Return the trial with its batch several times over."""
        return self._change(lambda whole: whole.repeat(times, *[1] * (whole.dim() - 1)))

    def halves(self) -> Iterator[Trial]:
        """Yield the trial with each half of its batch."""
        for half in range(2):
            yield self._change(partial(_take_half, half))

    def double(self) -> Trial:
        """Return the trial in double precision."""
        networks = (copy.deepcopy(each).double() for each in (self.generator, self.discriminator))
        generator, discriminator = networks
        changed = self._change(lambda whole: whole.double() if whole.is_floating_point() else whole)
        return replace(changed, generator=generator, discriminator=discriminator)

    def scale_discriminator(self, factor: float) -> Trial:
        """Return the trial with a discriminator whose parameters are multiplied by a factor."""
        discriminator = copy.deepcopy(self.discriminator)
        with torch.no_grad():
            for parameter in discriminator.parameters():
                parameter.mul_(factor)
        return replace(self, discriminator=discriminator)

    def _change(self, change: Callable[[Tensor], Tensor]) -> Trial:
        labels = None if self.labels is None else change(self.labels)
        return replace(self, real=change(self.real), latents=change(self.latents), labels=labels)


def check_fits(penalty: Penalty) -> None:
    """``fits()`` accepts some samples, and there are terms for a network."""
    require(
        penalty.penalises_discriminator or penalty.penalises_generator,
        "a penalty must override discriminator_terms(), generator_terms() or both",
    )
    tried = ", ".join(str(data.shape) for data in SPECS)
    require(
        any(_fits(penalty, data) for data in SPECS),
        f"fits() must accept some samples, and it refuses those of {tried} with {CLASSES} classes",
    )


def check_terms(penalty: Penalty) -> None:
    """Terms are finite named scalars with finite gradients, however far the training is.

    So they are for discriminators that are steep, or that give the same for all samples.
    """
    for trial in _trials(penalty):
        for factor, progress in product((1.0, 100.0, 0.0), PROGRESSES):
            scaled = trial.scale_discriminator(factor)
            for word in WORDS:
                terms = _compute(penalty, scaled, word, progress)
                learnt = differentiate(terms, tuple(getattr(scaled, word).parameters()))
                require(
                    all(bool(each.isfinite().all()) for each in (*terms.values(), *learnt)),
                    f"terms and their gradients must be finite, and those of the {word} are not "
                    "where the discriminator's weights are "
                    f"{'all 0' if not factor else f'multiplied by {factor:g}'}: the slope of a "
                    "root is infinite at 0, as norm() is not",
                )


def check_interval(penalty: Penalty) -> None:
    """Terms are the same whatever the ``interval``: the trainer waits, and multiplies by it."""
    for trial, progress in product(_trials(penalty), PROGRESSES):
        every, seldom = (
            [
                _compute(penalty.model_copy(update={"interval": interval}), trial, word, progress)
                for word in WORDS
            ]
            for interval in (1, 16)
        )
        when = "when the interval is 16 and no longer 1"
        advice = "the trainer asks for the terms when they are due, and multiplies them by it"
        require_same(every, seldom, when, advice, rtol=1e-5, atol=1e-7)


def check_batch_size(penalty: Penalty) -> None:
    """Doubling a batch leaves each term unchanged, and its halves make it up.

    Random terms are compared in the mean of many.
    """
    own = "take the norm of each sample, as gradient.flatten(1).norm(dim=1), and then the mean"
    for trial, progress in product(_trials(penalty), PROGRESSES):
        if penalty.needs_whole_batch:
            return
        when = "when the batch is doubled"
        if _is_random(penalty, trial, progress):
            many = trial.repeat(REPEATS)
            once, twice = (_average(penalty, each, progress) for each in (many, many.repeat(2)))
            require_same(once, twice, when, own, rtol=TOLERANCE, atol=1e-6)
            continue
        whole, twice = (
            [_compute(penalty, each, word, progress) for word in WORDS]
            for each in (trial, trial.repeat(2))
        )
        require_same(whole, twice, when, own, rtol=1e-4, atol=1e-6)
        halves = [
            [_compute(penalty, half, word, progress) for word in WORDS] for half in trial.halves()
        ]
        means = [
            {name: (one[name] + other.get(name, one[name])) / 2 for name in one}
            for one, other in zip(*halves, strict=True)
        ]
        when = "when a batch is computed in halves, whose mean is taken"
        advice = f"{own}; or declare needs_whole_batch = True"
        require_same(whole, means, when, advice, rtol=1e-4, atol=1e-6)


def check_parts(penalty: Penalty) -> None:
    """Logits ``(N, P)`` of P patches are accepted, and equal patches count as one."""
    for trial, progress in product(_trials(penalty), PROGRESSES):
        patched = replace(trial, discriminator=_Patches(trial.discriminator))
        whole, parts = (
            [_compute(penalty, each, word, progress) for word in WORDS] for each in (trial, patched)
        )
        if not _is_random(penalty, trial, progress):
            when = f"when each sample is judged in {_Patches.count} equal patches"
            advice = (
                "take the mean over all logits, and the slope of a sample's mean logit, as "
                "logits.reshape(len(samples), -1).mean(1)"
            )
            require_same(whole, parts, when, advice, rtol=1e-4, atol=1e-6)


def check_seeding(penalty: Penalty) -> None:
    """Random numbers come from torch's global generator: the same seed, the same terms."""
    for trial, progress in product(_trials(penalty), PROGRESSES):
        first, second = (
            [_compute(penalty, trial, word, progress) for word in WORDS] for _ in range(2)
        )
        advice = "draw from torch's global generator, and keep no state but that of state()"
        require_same(first, second, "with the same seed", advice)


def check_side_effects(penalty: Penalty) -> None:
    """A penalty fills no ``.grad``, and changes no input, no network and no memory."""
    for trial in _trials(penalty):
        state = build_memory(penalty, trial.data)
        networks = trial.generator, trial.discriminator
        before = [copy_buffers(each) for each in (*networks, state)]
        given = trial.real.clone(), trial.latents.clone()
        for word, progress in product(WORDS, PROGRESSES):
            _compute(penalty, trial, word, progress, state)
        require(
            torch.equal(trial.real, given[0]) and torch.equal(trial.latents, given[1]),
            "a penalty must not change its inputs in place",
        )
        require(
            not trial.real.requires_grad and not trial.latents.requires_grad,
            "a penalty must not set requires_grad on its inputs: use a detached copy",
        )
        require(
            all(each.grad is None for network in networks for each in network.parameters()),
            "a penalty must not call backward(): only the trainer does",
        )
        after = [copy_buffers(each) for each in (*networks, state)]
        for what, one, other in zip((*WORDS[::-1], "memory"), before, after, strict=True):
            require(
                all(torch.equal(one[name], other[name]) for name in one),
                f"terms must not change the {what}"
                + (": remember() does, of what D.observe() was told" if what == "memory" else ""),
            )


def check_gradients(penalty: Penalty) -> None:
    """Terms reach the network that they are for, and the discriminator's let gradients through."""
    for word in WORDS:
        if not getattr(penalty, f"penalises_{word}"):
            continue
        reached = False
        for trial, progress in product(_trials(penalty), PROGRESSES):
            state = _warm_up(penalty, trial, progress)
            terms = _compute(penalty, trial, word, progress, state)
            learnt = differentiate(terms, tuple(getattr(trial, word).parameters()))
            reached |= any(bool(each.any()) for each in learnt)
        require(
            reached,
            f"{word}_terms() must reach the {word}'s parameters: do not detach what it gives",
        )
    for trial, progress in product(_trials(penalty), PROGRESSES):
        _require_gradient_of_fakes(penalty, trial, progress, _warm_up(penalty, trial, progress))


def check_declarations(penalty: Penalty) -> None:
    """Declarations have the right types, and what a term does and reads is declared."""
    require_declarations(penalty)
    for trial, word, progress in product(_trials(penalty), WORDS, PROGRESSES):
        probes = [DoubleBackwardProbe(each) for each in (trial.generator, trial.discriminator)]
        watched = replace(trial, generator=probes[0], discriminator=probes[1])
        looked_at, read = watch(progress)
        _compute(penalty, watched, word, looked_at)
        require_declared_length(read, bool(penalty.depends_on_steps))
        require(
            penalty.second_order or not any(probe.twice for probe in probes),
            "a term contains a gradient, which is too inexact in half precision: declare "
            "second_order = True",
        )


def check_memory(penalty: Penalty) -> None:
    """What is remembered lies in buffers, which ``remember()`` alone changes."""
    for trial in _trials(penalty):
        require_memory(penalty, trial.data, partial(_observe, penalty, trial, START))


def check_steps(penalty: Penalty) -> None:
    """Training steps depend on seed and step alone, and a resumed run continues exactly.

    So they do in each update and with an interval, and in half precision.
    """
    networks = SmallNetworks.serving(penalty)
    for data in SPECS:
        if not _fits(penalty, data):
            continue
        for interval, precision in ((1, "fp32"), (2, "fp32"), (2, "bf16")):
            lazy = penalty.model_copy(update={"interval": interval})
            options = train_options(n_critic=2, precision=precision)
            samples = draw_samples(data)
            require_exact_steps(networks, PlainLoss(), samples, options, penalties={"own": lazy})


penalty_checks: list[Callable[[Penalty], None]] = [
    check_options,
    check_fits,
    check_terms,
    check_interval,
    check_batch_size,
    check_parts,
    check_seeding,
    check_side_effects,
    check_gradients,
    check_declarations,
    check_memory,
    check_steps,
]
"""Checks of penalties."""


def _fits(penalty: Penalty, data: DataSpec) -> bool:
    asked = "fits() must return True or False for any kind of samples"
    with explain_errors(asked):
        fits = penalty.fits(data)
    require(isinstance(fits, bool), f"{asked}, and it gave {fits!r}")
    return fits


def _trials(penalty: Penalty) -> Iterator[Trial]:
    """Yield networks and a batch of each kind of samples that fits."""
    for data in SPECS:
        if _fits(penalty, data):
            with seeded():
                yield _build_trial(penalty, data)


def _build_trial(penalty: Penalty, data: DataSpec) -> Trial:
    has_parts = bool(penalty.needs_discriminator_parts)
    real = 2 * torch.rand(COUNT, *data.shape) - 1
    return Trial(
        data,
        SmallGenerator(data, penalty.needs_generator_parts),
        SmallDiscriminator(data, penalty.needs_discriminator_parts),
        real,
        torch.randn(COUNT, WIDTH),
        torch.arange(COUNT) % CLASSES if has_parts else None,
    )


def _compute(
    penalty: Penalty,
    trial: Trial,
    word: Word,
    progress: Progress = START,
    state: nn.Module | None = None,
    *,
    seed: int = 0,
    fake: Tensor | None = None,
    observed: dict[str, Tensor] | None = None,
) -> Terms:
    """Return a penalty's terms for a network.

    Args:
        penalty: The penalty.
        trial: Networks and a batch.
        word: The network.
        progress: How far the training is.
        state: What the penalty remembers; None for what it begins with.
        seed: Seed of the random numbers.
        fake: Fakes in place of those that the generator makes of the batch's latents.
        observed: Gets what was observed.
    """
    is_generators = word == "generator"
    inputs = GeneratorInput(trial.latents, trial.labels, progress=progress)
    with nullcontext() if is_generators else torch.no_grad():
        generated = inputs.outputs(trial.generator)
    generated |= {} if fake is None else {"samples": fake}
    D = Discriminator(
        trial.discriminator,
        trial.labels,
        progress=progress,
        inputs=inputs,
        generator=trial.generator,
        generated=generated,
        generates_with_gradient=is_generators,
        remembers_calls=True,
        latent_parts=LATENT_PARTS,
    )
    D.state = build_memory(penalty, trial.data) if state is None else state
    method = penalty.generator_terms if is_generators else penalty.discriminator_terms
    parameters = trial.discriminator.parameters() if is_generators else ()
    with seeded(seed), frozen(parameters), explain_errors(f"{word}_terms() must work"):
        try:
            terms = method(D, trial.real, generated["samples"])
        except KeyError as error:
            raise ConformanceError(
                f"{word}_terms() takes a part that is not declared, {error}: add it to "
                "needs_discriminator_parts or needs_generator_parts"
            ) from None
    if observed is not None:
        observed |= D.take_observed()
    return require_terms(terms, "penalty", may_be_empty=True)


def _observe(
    penalty: Penalty, trial: Trial, progress: Progress, state: nn.Module | None, seed: int
) -> dict[str, Tensor]:
    """Return what the terms of both networks observe."""
    found: dict[str, Tensor] = {}
    for word in WORDS:
        _compute(penalty, trial, word, progress, state, seed=seed, observed=found)
    return found


def _warm_up(penalty: Penalty, trial: Trial, progress: Progress) -> nn.Module | None:
    """Return what a penalty remembers after some updates."""
    state = build_memory(penalty, trial.data)
    for number in range(ROUNDS if state is not None else 0):
        observed = _observe(penalty, trial, progress, state, number)
        if state is not None and observed:
            with torch.no_grad():
                penalty.remember(state, observed)
    return state


def _average(penalty: Penalty, trial: Trial, progress: Progress) -> list[Terms]:
    """Return the means of random terms over several seeds."""
    found = []
    for word in WORDS:
        drawn = [_compute(penalty, trial, word, progress, seed=seed) for seed in range(SEEDS)]
        names = {name: None for terms in drawn for name in terms}
        found.append(
            {
                name: torch.stack([t[name].detach() for t in drawn if name in t]).mean()
                for name in names
            }
        )
    return found


def _is_random(penalty: Penalty, trial: Trial, progress: Progress) -> bool:
    """Tell whether terms depend on the seed."""
    first, second = (
        [_compute(penalty, trial, word, progress, seed=seed) for word in WORDS] for seed in (1, 2)
    )
    return any(
        one.keys() != other.keys() or any(not torch.equal(one[name], other[name]) for name in one)
        for one, other in zip(first, second, strict=True)
    )


def _require_gradient_of_fakes(
    penalty: Penalty, trial: Trial, progress: Progress, state: nn.Module | None
) -> None:
    """Require that the discriminator's terms have the gradient of the fakes that they depend on."""
    exact = trial.double()
    with torch.no_grad():
        made = GeneratorInput(exact.latents, exact.labels).through(exact.generator)
        direction = torch.randn(made.shape, generator=torch.Generator().manual_seed(0)).to(made)

    def total(fake: Tensor) -> Tensor:
        return sum_terms(_compute(penalty, exact, "discriminator", progress, state, fake=fake))

    given = made.clone().requires_grad_()
    terms = _compute(penalty, exact, "discriminator", progress, state, fake=given)
    (slope,) = differentiate(terms, (given,))
    found = float((slope * direction).sum())
    steps = (made + STEP * direction, made - STEP * direction)
    ahead, behind = (float(total(fake).detach()) for fake in steps)
    wanted = (ahead - behind) / (2 * STEP)
    require(
        abs(found - wanted) <= 1e-3 * abs(wanted) + 1e-6,
        "discriminator_terms() must let a gradient through to the fakes, which unrolling "
        f"differentiates by: it is {found:.4g} along a direction, and the terms change by "
        f"{wanted:.4g}; do not detach what the fakes are part of",
    )


class _Patches(nn.Module):
    """A discriminator that judges each sample in equal patches."""

    count = 3

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:  # networks within the network
            return getattr(super().__getattr__("discriminator"), name)

    def forward(self, *given: Tensor) -> Tensor | dict[str, Tensor]:
        found = self.discriminator(*given)
        if isinstance(found, dict):
            return {**found, "logits": found["logits"][:, None].expand(-1, self.count)}
        return found[:, None].expand(-1, self.count)


def _take_half(half: int, whole: Tensor) -> Tensor:
    return whole.chunk(2)[half]
