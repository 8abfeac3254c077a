"""Checks of augmentations.

Each is tried on images of 1, 3 and 4 channels and of several sizes, and on vectors: on those that
it says it fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ganzoo.protocols.augmentation import Augmentation
from ganzoo.protocols.dataset import IMAGE_CHANNELS, DataSpec
from ganzoo.testing.common import check_options, explain_errors, require, seeded
from ganzoo.testing.steps import (
    PlainLoss,
    SmallNetworks,
    draw_samples,
    require_exact_steps,
    train_options,
)
from ganzoo.training.trainer import Trainer

SIZES = ((12, 20), (32, 32), (64, 48))
"""Heights and widths of images that are tried."""
LENGTH = 5
"""Length of the vectors that are tried."""
COUNT = 8
MANY = 32
"""Samples in a batch, so many that the same change of each is no chance."""
BEYOND = 2.0
"""How far beyond [-1, 1] what comes from an earlier augmentation may lie."""


def check_fits(augmentation: Augmentation) -> None:
    """Some samples are served, and of others it is said that they are not."""
    served = [data for data in _specs() if _fits(augmentation, data)]
    sizes = " or ".join(f"{height} x {width}" for height, width in SIZES)
    require(
        bool(served),
        f"fits() must be true of some samples, and it is not of images of {sizes} with 1, 3 or 4 "
        f"channels, nor of vectors of {LENGTH}",
    )


def check_samples(augmentation: Augmentation) -> None:
    """Shape and type are kept, in any memory layout, of a single sample too, and stay finite."""
    for data, samples in _draw_served(augmentation):
        for given in (samples, samples[:1], BEYOND * samples, _to_training_layout(samples)):
            require(
                bool(_augment(augmentation, given).isfinite().all()),
                f"augmented samples of shape {data.shape} must be finite, of numbers beyond "
                "[-1, 1] too, where a generator or an earlier augmentation may go",
            )


def check_gradients(augmentation: Augmentation) -> None:
    """A gradient reaches the samples and is finite, and can be differentiated again."""
    for _, samples in _draw_served(augmentation):
        samples.requires_grad_()
        found = _augment(augmentation, samples)
        asked = "the generator learns through augment(): it must be differentiable, by torch alone"
        require(found.requires_grad, f"{asked}, and the gradient ends in it")
        weights = torch.linspace(0.5, 1.5, found.numel()).view_as(found).requires_grad_()
        with explain_errors(asked):
            (slope,) = torch.autograd.grad(
                (weights * found).sum(), samples, create_graph=True, materialize_grads=True
            )
        require(
            bool(slope.any()) and bool(slope.isfinite().all()),
            f"{asked}, and the gradient of the samples is not finite or nothing at all",
        )
        asked = "penalties differentiate a gradient, so augment() must be differentiable twice"
        require(slope.requires_grad, f"{asked}; its gradient is cut off")
        with explain_errors(asked):
            (again,) = torch.autograd.grad(slope.square().sum(), weights, materialize_grads=True)
        require(bool(again.any()), f"{asked}; its second gradient is nothing at all")


def check_each_sample(augmentation: Augmentation) -> None:
    """Each sample is changed in its own way, whatever the others of its batch are."""
    changes = False
    for _, samples in _draw_served(augmentation):
        others = torch.cat([samples[:1], -samples[1:].flip(0)])
        one, other = (_augment(augmentation, batch)[0] for batch in (samples, others))
        require(
            torch.allclose(one, other, rtol=1e-4, atol=1e-5),
            "a sample must not depend on the others of its batch: take each mean over one sample",
        )
        same = samples[:1].repeat(MANY, *[1] * (samples.dim() - 1))
        found = _augment(augmentation, same)
        if torch.allclose(found, same, rtol=1e-4, atol=1e-5):
            continue  # such as saturation, of grey images
        changes = True
        require(
            not torch.allclose(found, found[:1].expand_as(found), rtol=1e-4, atol=1e-5),
            f"each sample must be changed in its own way, and {MANY} of the same stayed the same: "
            "draw for each of them, as torch.rand(len(samples), 1, 1, 1, device=samples.device)",
        )
    require(changes, "an augmentation must change samples, and this one leaves them as they are")


def check_seeding(augmentation: Augmentation) -> None:
    """What is drawn comes from torch's global generator: the same seed, the same changes."""
    asked = "draw by torch's global generator alone, seed nothing, and keep no state"
    differs = False
    for _, samples in _draw_served(augmentation, MANY):
        first, second, other = (_augment(augmentation, samples, seed) for seed in (0, 0, 1))
        require(torch.equal(first, second), f"the same seed must give the same changes: {asked}")
        differs |= not torch.equal(first, other)
    require(differs, f"another seed must give other changes: {asked}")


def check_side_effects(augmentation: Augmentation) -> None:
    """The samples that are given stay as they are."""
    for _, samples in _draw_served(augmentation):
        kept = samples.clone()
        _augment(augmentation, samples)
        require(
            torch.equal(samples, kept),
            "augment() must not change its samples in place: losses and metrics use them again",
        )


def check_device(augmentation: Augmentation) -> None:
    """Draws are made on the samples' device, and nothing is read back from it."""
    asked = (
        "augment() must work on any device without waiting for it: draw on samples.device, and "
        "write torch.where in place of item(), if and a mask as an index (tried on torch's device "
        "'meta', which has shapes and no numbers)"
    )
    for _, samples in _draw_served(augmentation):
        given = samples.to("meta")
        with seeded(), explain_errors(asked):
            found = augmentation.augment(given)
        require(
            found.device == given.device and found.shape == given.shape,
            f"{asked}; it gave {tuple(found.shape)} on {found.device}",
        )


def check_steps(augmentation: Augmentation) -> None:
    """Training steps are a function of seed and number, and a resumed run goes on exactly."""
    for data, _ in _draw_served(augmentation):
        samples, named = draw_samples(data), {"augmentation": augmentation}
        require_exact_steps(
            lambda samples=samples, named=named: Trainer(
                SmallNetworks(), PlainLoss(), samples, train_options(), named
            )
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
    check_steps,
]


def _specs() -> Iterator[DataSpec]:
    for size in SIZES:
        for channels in IMAGE_CHANNELS:
            yield DataSpec(shape=(channels, *size))
    yield DataSpec(shape=(LENGTH,))


def _fits(augmentation: Augmentation, data: DataSpec) -> bool:
    asked = "fits() must tell of any samples, by True or False, whether they can be augmented"
    with explain_errors(asked):
        fits = augmentation.fits(data)
    require(isinstance(fits, bool), f"{asked}, and it gave {fits!r}")
    return fits


def _draw_served(
    augmentation: Augmentation, count: int = COUNT
) -> Iterator[tuple[DataSpec, Tensor]]:
    """Yield each specification that is served, with samples of it."""
    for data in _specs():
        if _fits(augmentation, data):
            rng = torch.Generator().manual_seed(0)
            yield data, 2 * torch.rand(count, *data.shape, generator=rng) - 1


def _augment(augmentation: Augmentation, samples: Tensor, seed: int = 0) -> Tensor:
    asked = f"augment() must take samples {tuple(samples.shape)}, which it says it fits"
    with seeded(seed), explain_errors(asked):
        found = augmentation.augment(samples)
    require(
        isinstance(found, Tensor), f"augment() must return a tensor, not {type(found).__name__}"
    )
    require(
        found.shape == samples.shape and found.dtype == samples.dtype,
        f"augment() must keep shape and type, {tuple(samples.shape)} of {samples.dtype}, and it "
        f"gave {tuple(found.shape)} of {found.dtype}",
    )
    return found


def _to_training_layout(samples: Tensor) -> Tensor:
    """Return samples in the memory layout that they have in training."""
    images = samples.dim() == 4
    return samples.contiguous(memory_format=torch.channels_last) if images else samples
