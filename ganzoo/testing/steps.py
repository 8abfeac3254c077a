"""Real training steps of components: the same each time, and the same after a restore."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.config import TrainOptions
from ganzoo.protocols.architecture import Architecture
from ganzoo.protocols.dataset import DataSpec, Samples
from ganzoo.protocols.loss import Loss
from ganzoo.testing.common import explain_errors, require, seeded
from ganzoo.training.trainer import Trainer

STEPS = 3
BATCH_SIZE = 2
COUNT = 16
"""Samples in the data."""

Tensors = dict[str, dict[str, Tensor]]


class PlainLoss(Loss):
    """The non-saturating loss, to train an architecture for a few steps."""

    def discriminator_loss(self, D, real, fake):
        """Binary cross-entropy of both classes."""
        return {"real": F.softplus(-D(real)).mean(), "fake": F.softplus(D(fake)).mean()}

    def generator_loss(self, D, real, fake):
        """Minus the logarithm of the fakes' probability."""
        return {"adversarial": F.softplus(-D(fake)).mean()}


class SmallNetworks(Architecture):
    """Networks of one hidden layer, to train other components for a few steps."""

    def generator(self, data):
        """Build latents ``(N, 4)`` -> samples ``(N, *shape)``."""
        layers = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, data.size)
        return nn.Sequential(*layers, nn.Unflatten(1, data.shape))

    def discriminator(self, data, *, independent_samples=False):
        """Build samples ``(N, *shape)`` -> logits ``(N,)``."""
        return nn.Sequential(nn.Flatten(), small_critic(data.size))

    def latents(self, count, rng):
        """Draw latents ``(count, 4)``."""
        return torch.randn(count, 4, generator=rng, device=rng.device)


def small_critic(size: int = 3) -> nn.Module:
    """Build vectors ``(N, size)`` -> logits ``(N,)``, the same each time."""
    with seeded():
        return nn.Sequential(nn.Linear(size, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1), nn.Flatten(0))


def train_options(**given: object) -> TrainOptions:
    """Return options of a run of a few steps on the CPU."""
    return TrainOptions(steps=STEPS, batch_size=BATCH_SIZE, device="cpu", **given)


def draw_samples(data: DataSpec) -> Samples:
    """Draw samples of a specification, the classes in turn if there are any."""
    rng = torch.Generator().manual_seed(0)
    shape = (COUNT, *data.shape)
    if data.is_image:
        stored = torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)
    else:
        stored = torch.randn(shape, generator=rng)
    labels = torch.arange(COUNT) % data.classes if data.classes else None
    return Samples(data, stored, labels)


def require_exact_steps(build: Callable[[], Trainer]) -> None:
    """Require steps that are a function of seed and number, before and after a restore."""
    whole = _build_trainer(build)
    early = _run_steps(whole, 1)
    late = _run_steps(whole, STEPS - 1)
    differs = _find_difference(early, _run_steps(_build_trainer(build), 1))
    require(
        differs is None,
        f"the same seed must give the same steps, and {differs} differs: draw by torch's global "
        "generator alone, and remember nothing between calls",
    )
    resumed = _build_trainer(build)
    resumed.state.restore({"step": 1, "retries": 0}, early)
    differs = _find_difference(late, _run_steps(resumed, STEPS - 1))
    require(
        differs is None,
        f"a run that is resumed must go on as if it had never stopped, and {differs} differs: "
        "what is remembered between steps must be a buffer of a network, or of history(), for a "
        "checkpoint holds nothing else",
    )


def _build_trainer(build: Callable[[], Trainer]) -> Trainer:
    with preserve_rng_state(), explain_errors("a trainer must be able to build the networks"):
        return build()


def _run_steps(trainer: Trainer, count: int) -> Tensors:
    """Do steps, and return a copy of all that a checkpoint then holds."""
    with preserve_rng_state(), explain_errors("training on a few samples must work"):
        for _ in range(count):
            trainer.step()
        return {
            file: {name: value.clone() for name, value in tensors.items()}
            for file, tensors in trainer.state.tensors().items()
        }


def _find_difference(one: Tensors, other: Tensors) -> str | None:
    """Name the first tensor that differs."""
    for file, tensors in one.items():
        for name, value in tensors.items():
            twin = other[file].get(name)
            if twin is None or not torch.equal(value.nan_to_num(), twin.nan_to_num()):
                return f"{name} of the {file.replace('_', ' ')}"
    return None
