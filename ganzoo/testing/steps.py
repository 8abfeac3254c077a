"""Real training steps of components: the same each time, and the same after a restore."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ganzoo.config import TrainOptions
from ganzoo.dataset import DataSpec, Samples
from ganzoo.seeding import kept_randomness
from ganzoo.testing.common import explained, require
from ganzoo.training import Trainer

STEPS = 3
BATCH_SIZE = 2
COUNT = 16
"""Samples in the data."""

Tensors = dict[str, dict[str, Tensor]]


def train_options(**given: object) -> TrainOptions:
    """Return options of a run of a few steps on the CPU."""
    return TrainOptions(steps=STEPS, batch_size=BATCH_SIZE, device="cpu", **given)


def some_samples(data: DataSpec) -> Samples:
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
    whole = _built(build)
    early = _after(whole, 1)
    late = _after(whole, STEPS - 1)
    differs = _difference(early, _after(_built(build), 1))
    require(
        differs is None,
        f"the same seed must give the same steps, and {differs} differs: draw by torch's global "
        "generator alone, and remember nothing between calls",
    )
    resumed = _built(build)
    resumed.state.restore({"step": 1, "retries": 0}, early)
    differs = _difference(late, _after(resumed, STEPS - 1))
    require(
        differs is None,
        f"a run that is resumed must go on as if it had never stopped, and {differs} differs: "
        "what is remembered between steps must be a buffer of a network, or of history(), for a "
        "checkpoint holds nothing else",
    )


def _built(build: Callable[[], Trainer]) -> Trainer:
    with kept_randomness(), explained("a trainer must be able to build the networks"):
        return build()


def _after(trainer: Trainer, count: int) -> Tensors:
    """Do steps, and return a copy of all that a checkpoint then holds."""
    with kept_randomness(), explained("training on a few samples must work"):
        for _ in range(count):
            trainer.step()
        return {
            file: {name: value.clone() for name, value in tensors.items()}
            for file, tensors in trainer.state.tensors().items()
        }


def _difference(one: Tensors, other: Tensors) -> str | None:
    """Name the first tensor that differs."""
    for file, tensors in one.items():
        for name, value in tensors.items():
            twin = other[file].get(name)
            if twin is None or not torch.equal(value.nan_to_num(), twin.nan_to_num()):
                return f"{name} of the {file.replace('_', ' ')}"
    return None
