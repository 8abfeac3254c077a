"""Reproducibility of training steps: the same each time, and the same after a restore."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.config import TrainOptions
from ganzoo.protocols.architecture import Architecture
from ganzoo.protocols.dataset import DataSpec, Samples
from ganzoo.protocols.latent_parts import LatentPart
from ganzoo.protocols.loss import Loss
from ganzoo.testing.common import explain_errors, require, seeded
from ganzoo.testing.networks import CLASSES
from ganzoo.training.assembly import assemble_trainer
from ganzoo.training.trainer import Trainer

if TYPE_CHECKING:
    from ganzoo.protocols.augmentation import Augmentation
    from ganzoo.protocols.discriminator import Logits
    from ganzoo.protocols.objective import Objective, Terms
    from ganzoo.protocols.penalty import Penalty

STEPS = 3
BATCH_SIZE = 2
COUNT = 16
"""Samples in the data."""
WIDTH = 4
"""Length of a latent, and of each part of a generator."""
LATENT_PARTS = (LatentPart("z", WIDTH - CLASSES), LatentPart("code", CLASSES))
"""The parts of a latent: noise, and a code of the length of a discriminator's part."""
HIDDEN = 8
"""Units of a hidden layer."""

Tensors = dict[str, dict[str, Tensor]]


class PlainLoss(Loss):
    """The non-saturating loss, to train an architecture for a few steps."""

    def discriminator_loss(self, D: Logits, real: Tensor, fake: Tensor) -> Terms:
        """Return the binary cross-entropy of reals and of fakes."""
        return {"real": F.softplus(-D(real)).mean(), "fake": F.softplus(D(fake)).mean()}

    def generator_loss(self, D: Logits, real: Tensor, fake: Tensor) -> Terms:
        """Return the negative log-probability that the fakes are real."""
        return {"adversarial": F.softplus(-D(fake)).mean()}


class SmallGenerator(nn.Module):
    """Latents ``(N, WIDTH)`` -> samples ``(N, *shape)``, by way of each part that is asked for.

    Args:
        data: Shape of the samples.
        parts: Names of what to return beside the samples, each ``(N, WIDTH)``.
    """

    def __init__(self, data: DataSpec, parts: Iterable[str] = ()) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in self.parts)
        self.last = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, data.size))
        self.shape = data.shape

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor | dict[str, Tensor]:
        """Generate samples, the same for every class."""
        found, latest = {}, latents
        for name, layer in zip(self.parts, self.layers, strict=True):
            found[name] = latest = torch.tanh(layer(latest))
        samples = self.last(latest).unflatten(1, self.shape)
        return {"samples": samples, **found} if found else samples


class SmallDiscriminator(nn.Module):
    """Samples ``(N, *shape)`` -> logits ``(N,)``, by smooth functions.

    Args:
        data: Shape of the samples.
        parts: Names of what to return beside the logits, each ``(N, CLASSES)``.
    """

    def __init__(self, data: DataSpec, parts: Iterable[str] = ()) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self.first = nn.Linear(data.size, HIDDEN)
        self.judge = nn.Linear(HIDDEN, 1)
        self.heads = nn.ModuleList(nn.Linear(HIDDEN, CLASSES) for _ in self.parts)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor | dict[str, Tensor]:
        """Judge samples, those of every class alike."""
        hidden = torch.tanh(self.first(samples.flatten(1)))
        logits = self.judge(hidden).flatten()
        if not self.parts:
            return logits
        parts = zip(self.parts, self.heads, strict=True)
        return {"logits": logits, **{name: head(hidden) for name, head in parts}}


class SmallNetworks(Architecture):
    """Networks of one hidden layer, to train other components for a few steps."""

    generator_gives: tuple[str, ...] = Field(default=(), description="Parts of the generator.")
    discriminator_gives: tuple[str, ...] = Field(
        default=(), description="Parts of the discriminator; with some, there are labels."
    )
    pairs: bool = Field(default=False, description="Whether there are sources, and no latents.")
    takes_sources = property(lambda self: self.pairs)
    generator_parts = property(lambda self: self.generator_gives)
    discriminator_parts = property(lambda self: self.discriminator_gives)

    @classmethod
    def serving(cls, objective: Objective) -> SmallNetworks:
        """Return networks that give what an objective needs."""
        return cls(
            generator_gives=tuple(objective.needs_generator_parts),
            discriminator_gives=tuple(objective.needs_discriminator_parts),
            pairs=bool(objective.needs_pairs),
        )

    def make_source(self, samples: Tensor) -> Tensor:
        """Make sources ``(N, WIDTH)`` of the first number of each sample."""
        return samples.flatten(1)[:, :1].repeat(1, WIDTH)

    def takes_labels(self, data: DataSpec) -> bool:
        """Tell whether the networks take labels: where a part may be about classes."""
        return bool(self.discriminator_gives)

    def generator(self, data: DataSpec) -> nn.Module:
        """Build latents ``(N, WIDTH)`` -> samples ``(N, *shape)``."""
        return SmallGenerator(data, self.generator_gives)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build samples ``(N, *shape)`` -> logits ``(N,)``."""
        return SmallDiscriminator(data, self.discriminator_gives)

    def latent_parts(self) -> tuple[LatentPart, ...]:
        """Name the parts of a latent of ``WIDTH`` numbers."""
        return LATENT_PARTS


def small_critic(size: int = 3) -> nn.Module:
    """Build vectors ``(N, size)`` -> logits ``(N,)``, the same each time."""
    with seeded():
        return nn.Sequential(nn.Linear(size, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1), nn.Flatten(0))


def train_options(**given: Any) -> TrainOptions:
    """Build the options of a run of a few steps on the CPU."""
    return TrainOptions(steps=STEPS, batch_size=BATCH_SIZE, device="cpu", **given)


def draw_samples(data: DataSpec) -> Samples:
    """Draw ``COUNT`` samples of a specification, of each class in turn if there are any."""
    rng = torch.Generator().manual_seed(0)

    def draw(shape: tuple[int, ...]) -> Tensor:
        if len(shape) == 3:
            return torch.randint(0, 256, (COUNT, *shape), generator=rng, dtype=torch.uint8)
        return torch.randn(COUNT, *shape, generator=rng)

    stored = draw(data.shape)
    labels = torch.arange(COUNT) % data.classes if data.classes else None
    return Samples(data, stored, labels, sources=draw(data.source) if data.source else None)


def require_exact_steps(
    architecture: Architecture,
    loss: Loss,
    samples: Samples,
    options: TrainOptions,
    augmentations: Mapping[str, Augmentation] | None = None,
    penalties: Mapping[str, Penalty] | None = None,
) -> None:
    """Require that training steps depend on seed and step alone, before and after a restore."""

    def build() -> Trainer:
        with preserve_rng_state(), explain_errors("a trainer must be able to build the networks"):
            return assemble_trainer(
                architecture, loss, samples, options, augmentations, penalties=penalties
            )

    whole = build()
    early = _run_steps(whole, 1)
    late = _run_steps(whole, STEPS - 1)
    differs = _find_difference(early, _run_steps(build(), 1))
    require(
        differs is None,
        f"the same seed must give the same steps, but {differs} differs: draw only from torch's "
        "global generator, and keep no state between calls",
    )
    resumed = build()
    resumed.state.restore({"step": 1, "retries": 0}, early)
    differs = _find_difference(late, _run_steps(resumed, STEPS - 1))
    require(
        differs is None,
        f"a resumed run must continue as if it had never stopped, but {differs} differs: keep "
        "state in buffers, of a network or of what state() or history() builds, as a checkpoint "
        "saves nothing else; and take how far the training is from the progress that is given",
    )


def _run_steps(trainer: Trainer, count: int) -> Tensors:
    """Run steps, and return copies of all tensors that a checkpoint would hold."""
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
