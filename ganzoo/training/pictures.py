"""The samples that a person sees while a run trains."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganzoo.models.generation import build_sampler, generate
from ganzoo.training.ema import without_running_statistics

if TYPE_CHECKING:
    from ganzoo.protocols.architecture import GeneratorInput
    from ganzoo.training.trainer import Trainer

EARLY_PICTURES = (10, 20, 50)
"""Steps of pictures that are taken in addition, as samples change most at first."""
SETTLING_STEPS = 50
"""Before this step, running statistics tell more of their start than of the generator."""


@dataclass(frozen=True)
class Drawn:
    """Stored samples ``(N, *shape)`` of a generator and of its average, from the same inputs."""

    own: Tensor
    average: Tensor

    @property
    def shown(self) -> Tensor:
        """The average's samples; the generator's own while it leaves its average behind.

        The middles of both then lie further apart than the samples of each spread, or the average's
        samples gather in a blob: an average over places where samples were is none of these places.
        """
        return self.average if self.shows_average else self.own

    @cached_property
    def shows_average(self) -> bool:
        """Whether :attr:`shown` are the average's samples."""
        own, average = spread(self.own), spread(self.average)
        is_left = distance(self.own, self.average) > max(own, average) or average < own / 2
        return not is_left


def draw_samples(trainer: Trainer, inputs: GeneratorInput, *, as_saved: bool = False) -> Drawn:
    """Draw samples of a run's present state.

    Args:
        trainer: The run's trainer.
        inputs: The generator's inputs.
        as_saved: Whether both networks shall draw as if they were saved now: by running statistics,
            however young these are.

    Raises:
        ganzoo.errors.GanzooError: a sample is not finite.
    """
    spec, networks = trainer.setup.data, sampling_networks(trainer, as_saved=as_saved)
    return Drawn(*(generate(network, inputs, spec, stored=True) for network in networks))


def sampling_networks(trainer: Trainer, *, as_saved: bool = False) -> tuple[nn.Module, nn.Module]:
    """Return the networks by which the generator and its average draw; see :func:`draw_samples`."""
    state, spec = trainer.state, trainer.setup.data
    average = build_sampler(trainer.architecture, state.generator_ema.module, spec)
    if state.step < SETTLING_STEPS and not as_saved:
        return without_running_statistics(state.generator), without_running_statistics(average)
    return state.generator, average


def spread(samples: Tensor) -> float:
    """Return the root mean square distance of samples ``(N, *shape)`` from their mean.

    It is per number of a sample, in the samples' own units: 0 to 255 for images.
    """
    return float(samples.flatten(1).to(torch.float32).var(0, correction=0).mean().sqrt())


def distance(samples: Tensor, others: Tensor) -> float:
    """Return the root mean square distance between the means of two sets, in the same units."""
    first, second = (each.flatten(1).to(torch.float32).mean(0) for each in (samples, others))
    return float((first - second).square().mean().sqrt())
