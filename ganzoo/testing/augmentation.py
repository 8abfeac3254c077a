"""Checks of augmentations.

An augmentation is tried on images of 1, 3 and 4 channels in several sizes, and on vectors, as far
as ``fits()`` accepts them. An adaptive one has seen many logits of a discriminator by then that is
sure of its reals, so that it augments as strongly as it does.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from ganzoo.protocols.augmentation import AdaptiveAugmentation, Augmentation
from ganzoo.protocols.dataset import IMAGE_CHANNELS, DataSpec
from ganzoo.protocols.progress import Progress
from ganzoo.testing.common import check_options, explain_errors, require, seeded
from ganzoo.testing.objective import copy_buffers, watch
from ganzoo.testing.steps import (
    PlainLoss,
    SmallNetworks,
    draw_samples,
    require_exact_steps,
    train_options,
)

SIZES = ((12, 20), (32, 32), (64, 48))
"""Heights and widths of the images to try."""
LENGTH = 5
"""Length of the vectors to try."""
COUNT = 8
MANY = 32
"""Samples in a batch, so many that equal changes of all of them are no coincidence."""
SURE = 5.0
"""Logit of a discriminator that is sure."""
BATCH = 50_000
"""Logits to show an adaptive augmentation at once."""
UPDATES = 40
"""How often to show them: two million images in all."""
BEYOND = 2.0
"""Factor on samples in [-1, 1], for those that an earlier augmentation has changed."""


def check_fits(augmentation: Augmentation) -> None:
    """``fits()`` accepts some kinds of samples."""
    served = [data for data in _specs() if _fits(augmentation, data)]
    sizes = ", ".join(f"{height} x {width}" for height, width in SIZES)
    require(
        bool(served),
        f"fits() must accept some samples, and it refuses images of {sizes} with 1, 3 and 4 "
        f"channels and vectors of {LENGTH}",
    )


def check_samples(augmentation: Augmentation) -> None:
    """Samples keep shape and type and stay finite, in any memory format and batch size."""
    for data, samples in _draw_served(augmentation):
        for given in (samples, samples[:1], BEYOND * samples, _to_training_layout(samples)):
            require(
                bool(_augment(augmentation, given).isfinite().all()),
                f"augmented samples of shape {data.shape} must be finite, also for numbers beyond "
                "[-1, 1], which a generator or an earlier augmentation may return",
            )


def check_gradients(augmentation: Augmentation) -> None:
    """Gradients reach the samples, are finite, and can be differentiated again."""
    for _, samples in _draw_served(augmentation):
        samples.requires_grad_()
        found = _augment(augmentation, samples)
        asked = "the generator learns through augment(): it must be differentiable, by torch alone"
        require(found.requires_grad, f"{asked}, but the gradient ends in it")
        weights = torch.linspace(0.5, 1.5, found.numel()).view_as(found).requires_grad_()
        with explain_errors(asked):
            (slope,) = torch.autograd.grad(
                (weights * found).sum(), samples, create_graph=True, materialize_grads=True
            )
        require(
            bool(slope.any()) and bool(slope.isfinite().all()),
            f"{asked}, but the gradient of the samples is zero or not finite",
        )
        asked = "penalties differentiate a gradient, so augment() must be differentiable twice"
        require(slope.requires_grad, f"{asked}; its gradient is cut off")
        with explain_errors(asked):
            (again,) = torch.autograd.grad(slope.square().sum(), weights, materialize_grads=True)
        require(bool(again.any()), f"{asked}; its second gradient is zero")


def check_each_sample(augmentation: Augmentation) -> None:
    """Each sample is changed independently of the rest of its batch."""
    changes = False
    for _, samples in _draw_served(augmentation):
        others = torch.cat([samples[:1], -samples[1:].flip(0)])
        first, second = (_augment(augmentation, batch)[0] for batch in (samples, others))
        require(
            torch.allclose(first, second, rtol=1e-4, atol=1e-5),
            "a sample must not depend on the others of its batch: take each mean over one sample",
        )
        same = samples[:1].repeat(MANY, *[1] * (samples.dim() - 1))
        found = _augment(augmentation, same)
        if torch.allclose(found, same, rtol=1e-4, atol=1e-5):
            continue  # such as saturation, of grey images
        changes = True
        require(
            not torch.allclose(found, found[:1].expand_as(found), rtol=1e-4, atol=1e-5),
            f"each sample must be changed independently, and {MANY} equal ones stayed equal: draw "
            "for each of them, as torch.rand(len(samples), 1, 1, 1, device=samples.device)",
        )
    require(changes, "an augmentation must change samples, but this one changes none")


def check_seeding(augmentation: Augmentation) -> None:
    """Random changes come from torch's global generator: the same seed, the same changes."""
    asked = "draw only from torch's global generator, seed nothing, and keep no state"
    differs = False
    for _, samples in _draw_served(augmentation, MANY):
        first, second, other = (_augment(augmentation, samples, seed) for seed in (0, 0, 1))
        require(torch.equal(first, second), f"the same seed must give the same changes: {asked}")
        differs |= not torch.equal(first, other)
    require(differs, f"another seed must give other changes: {asked}")


def check_side_effects(augmentation: Augmentation) -> None:
    """``augment()`` does not change its argument in place."""
    for _, samples in _draw_served(augmentation):
        kept = samples.clone()
        _augment(augmentation, samples)
        require(
            torch.equal(samples, kept),
            "augment() must not change its samples in place: losses and metrics use them again",
        )


def check_device(augmentation: Augmentation) -> None:
    """``augment()`` draws on the samples' device and never waits for it."""
    asked = (
        "augment() must work on any device without waiting for it: draw on samples.device, and "
        "use torch.where instead of item(), if and a mask as an index (tried on torch's device "
        "'meta', which has shapes but no numbers)"
    )
    for _, samples in _draw_served(augmentation):
        given = samples.to("meta")
        augment = _bind(augmentation, given)
        with seeded(), explain_errors(asked):
            found = augment(given)
        require(
            found.device == given.device and found.shape == given.shape,
            f"{asked}; it gave {tuple(found.shape)} on {found.device}",
        )


def check_memory(augmentation: Augmentation) -> None:
    """An adaptive augmentation remembers in buffers, which ``observe()`` alone changes."""
    if not isinstance(augmentation, AdaptiveAugmentation):
        return
    for data, samples in _draw_served(augmentation):
        fresh, again = (_build_memory(augmentation, data) for _ in range(2))
        before = copy_buffers(fresh)
        with seeded():
            augmentation.augment(samples, fresh)
        asked = "keep it in buffers of state(), and let observe() alone change them"
        require(_is_same(fresh, before), f"augment() must not change what is remembered: {asked}")
        _observe_many(augmentation, fresh)
        require(
            not _is_same(fresh, before),
            "observe() must change the buffers of the state in place, as by add_() or copy_(): "
            f"after {UPDATES * BATCH:,} sure logits they were as before",
        )
        _observe_many(augmentation, again, -SURE)
        with explain_errors("a state_dict must hold tensors only, of the same names each time"):
            again.load_state_dict(copy_buffers(fresh), strict=True)
        for sign in (1, -1):
            _observe_many(augmentation, fresh, sign * SURE)
            _observe_many(augmentation, again, sign * SURE)
            require(
                _is_same(fresh, copy_buffers(again)),
                f"after a strict load observe() must go on as it would have without: {asked}",
            )
        _require_no_waiting(augmentation, fresh)


def check_report(augmentation: Augmentation) -> None:
    """An adaptive augmentation reports finite scalars of its memory, for the metrics."""
    if not isinstance(augmentation, AdaptiveAugmentation):
        return
    for data, _ in _draw_served(augmentation):
        state = _build_memory(augmentation, data)
        asked = "report() must return scalar tensors by name, also before the first update"
        first = _report(augmentation, state, asked)
        _observe_many(augmentation, state)
        before = copy_buffers(state)
        found = _report(augmentation, state, asked)
        require(
            found.keys() == first.keys(),
            f"report() must always return the same names, but {sorted(first)} became "
            f"{sorted(found)}",
        )
        require(_is_same(state, before), "report() must not change what is remembered")


def check_steps(augmentation: Augmentation) -> None:
    """Training steps depend on seed and step alone, and a resumed run continues exactly."""
    networks, loss, options = SmallNetworks(), PlainLoss(), train_options()
    for data, _ in _draw_served(augmentation):
        require_exact_steps(
            networks, loss, draw_samples(data), options, {"augmentation": augmentation}
        )


augmentation_checks: list[Callable[[Augmentation], None]] = [
    check_options,
    check_fits,
    check_samples,
    check_gradients,
    check_each_sample,
    check_seeding,
    check_side_effects,
    check_device,
    check_memory,
    check_report,
    check_steps,
]
"""Checks of augmentations."""


def _specs() -> Iterator[DataSpec]:
    for size in SIZES:
        for channels in IMAGE_CHANNELS:
            yield DataSpec(shape=(channels, *size))
    yield DataSpec(shape=(LENGTH,))


def _fits(augmentation: Augmentation, data: DataSpec) -> bool:
    asked = "fits() must return True or False for any kind of samples"
    with explain_errors(asked):
        fits = augmentation.fits(data)
    require(isinstance(fits, bool), f"{asked}, and it gave {fits!r}")
    return fits


def _draw_served(
    augmentation: Augmentation, count: int = COUNT
) -> Iterator[tuple[DataSpec, Tensor]]:
    """Yield each specification that fits, with samples of it."""
    for data in _specs():
        if _fits(augmentation, data):
            rng = torch.Generator().manual_seed(0)
            yield data, 2 * torch.rand(count, *data.shape, generator=rng) - 1


def _bind(augmentation: Augmentation, samples: Tensor) -> Callable[[Tensor], Tensor]:
    """Return what augments samples, with the memory of an adaptive augmentation bound to it."""
    if not isinstance(augmentation, AdaptiveAugmentation):
        return augmentation.augment
    state = _build_memory(augmentation, DataSpec(shape=tuple(samples.shape[1:])))
    _observe_many(augmentation, state)
    state = state.to(samples.device)
    return lambda given: augmentation.augment(given, state)


def _augment(augmentation: Augmentation, samples: Tensor, seed: int = 0) -> Tensor:
    asked = f"augment() must take samples {tuple(samples.shape)}, which fits() accepts"
    augment = _bind(augmentation, samples)
    with seeded(seed), explain_errors(asked):
        found = augment(samples)
    require(
        isinstance(found, Tensor), f"augment() must return a tensor, not {type(found).__name__}"
    )
    require(
        found.shape == samples.shape and found.dtype == samples.dtype,
        f"augment() must keep shape and type, {tuple(samples.shape)} of {samples.dtype}, but it "
        f"returned {tuple(found.shape)} of {found.dtype}",
    )
    return found


def _build_memory(augmentation: AdaptiveAugmentation, data: DataSpec) -> nn.Module:
    with explain_errors("state() must build a torch.nn.Module of buffers"):
        state = augmentation.state(data)
    require(
        isinstance(state, nn.Module),
        f"state() must build a torch.nn.Module, not {type(state).__name__}",
    )
    require(
        not list(state.parameters()),
        "state() must have no parameters, as nothing trains them: register buffers",
    )
    return state


def _observe_many(
    augmentation: AdaptiveAugmentation, state: nn.Module, logit: float = SURE
) -> None:
    """Show an augmentation the logits of many reals."""
    logits = torch.full((BATCH,), logit)
    with torch.no_grad(), explain_errors("observe() must take logits (N,) and a progress"):
        for update in range(UPDATES):
            progress, read = watch(Progress(update, UPDATES, BATCH * update, update, BATCH))
            augmentation.observe(state, logits, progress)
            require(
                not read,
                "observe() must not read progress.steps or share, as a run may be resumed for more "
                "steps: use progress.images",
            )


def _report(
    augmentation: AdaptiveAugmentation, state: nn.Module, asked: str
) -> Mapping[str, Tensor]:
    """Return what an augmentation reports, which must be scalars."""
    with torch.no_grad(), explain_errors(asked):
        found = dict(augmentation.report(state))
    for name, value in found.items():
        require(
            isinstance(value, Tensor) and not value.dim() and bool(value.isfinite()),
            f"{asked}; '{name}' is {value!r}",
        )
    return found


def _require_no_waiting(augmentation: AdaptiveAugmentation, state: nn.Module) -> None:
    """Require that ``observe`` works where numbers cannot be looked at."""
    asked = (
        "observe() must not wait for the device: use torch.where, sign() and lerp_() instead of "
        "item(), float() and if (tried on torch's device 'meta', which has shapes but no numbers)"
    )
    with torch.no_grad(), explain_errors(asked):
        augmentation.observe(
            copy.deepcopy(state).to("meta"), torch.zeros(COUNT, device="meta"), Progress()
        )


def _is_same(state: nn.Module, buffers: dict[str, Tensor]) -> bool:
    found = copy_buffers(state)
    return found.keys() == buffers.keys() and all(
        torch.equal(found[name], buffers[name]) for name in buffers
    )


def _to_training_layout(samples: Tensor) -> Tensor:
    """Return samples in the memory format that they have in training."""
    images = samples.dim() == 4
    return samples.contiguous(memory_format=torch.channels_last) if images else samples
