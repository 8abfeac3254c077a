"""The protocol of a tracker: it receives a run's metrics and pictures while the run trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ganzoo.component import Component

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.protocols.architecture import GeneratorInput
    from ganzoo.protocols.dataset import Samples
    from ganzoo.protocols.latent_parts import LatentPart

METRICS_FILE = "metrics.jsonl"


@dataclass(frozen=True)
class Networks:
    """The networks of a run as a tracker may look into them, at one step.

    Nothing that its functions compute changes the training, or torch's random state.
    """

    trained: Callable[[GeneratorInput], Tensor]
    """The generator in training: from its inputs to samples ``(N, *shape)`` on the CPU, as they are
    stored. It raises a :class:`ganzoo.GanzooError` if a number is not finite."""
    average: Callable[[GeneratorInput], Tensor]
    """The same of the generator's average."""
    shown: Literal["trained", "average"]
    """Which of both drew the sample picture."""
    inputs: GeneratorInput
    """What the samples of the picture were made from."""
    latent_parts: tuple[LatentPart, ...]
    """The parts of a latent; none if the generator takes no latents, or draws them in its own
    way."""
    discriminator: nn.Module
    """From samples, and labels if the run is conditional, to logits; as for
    :meth:`TrackedRun.discriminator`."""
    generator_loss: Callable[[Tensor, Tensor], Mapping[str, Tensor]]
    """The terms of the generator's loss, with gradients, by reals and fakes ``(N, *shape)`` as
    networks take them; none while no game is played. The fakes were made from the first ones of
    ``inputs``."""


class TrackedRun:
    """Base of what a tracker returns for a run: override the methods that you need.

    None of them does anything by itself. If one raises an error, ganzoo warns once, drops the
    tracker and trains on.
    """

    def metrics(self, row: dict[str, Any]) -> None:
        """Receive a line of ``metrics.jsonl``, or the scores of a snapshot.

        Args:
            row: Numbers by name, and their step as ``step``. Scores are called ``score/METRIC``.
        """

    def picture(self, step: int, picture: Tensor) -> None:
        """Receive the sample picture of a step.

        Args:
            step: Steps done.
            picture: uint8 ``(C, H, W)`` on the CPU, of 1, 3 or 4 channels. Do not change it.
        """

    def discriminator(
        self, step: int, discriminator: nn.Module, fake: Samples, real: Samples
    ) -> None:
        """Inspect the discriminator at the step of a sample picture.

        It is not called for a discriminator that judges sources.

        Args:
            step: Steps done.
            discriminator: The network on the training device, in training mode. Leave its weights,
                buffers, gradients and modes as they are.
            fake: The samples of the picture, with their classes if the run is conditional.
            real: The training data.
        """

    def networks(self, step: int, networks: Networks, fake: Samples, real: Samples) -> None:
        """Look into the networks at the step of a sample picture, after :meth:`discriminator`.

        It is not called where that is not.

        Args:
            step: Steps done.
            networks: What they do. It is valid during this call.
            fake: The samples of the picture, with their classes if the run is conditional.
            real: The training data.
        """

    def warning(self, step: int, message: str) -> None:
        """Receive a warning that ganzoo gives, such as that the run diverged.

        Args:
            step: Steps done.
            message: One line or several.
        """

    def warning_end(self, step: int, warning: str, message: str) -> None:
        """Learn that what a warning warned of has ended.

        Args:
            step: Steps done.
            warning: The message of the warning, as :meth:`warning` received it.
            message: What to tell a person, in one line.
        """

    def flush(self) -> None:
        """Write to the disk what is still pending, before a checkpoint is saved.

        A run that is killed goes on from its checkpoint, and sends nothing again of earlier steps.
        """

    def close(self) -> None:
        """Write what is still pending; the run has ended, well or not."""


class Tracker(Component, ABC):
    """Base of trackers, which send a run's metrics and pictures elsewhere.

    A tracker never asks for a login: it reads credentials from the settings of its own library.
    """

    def check(self) -> None:
        """Check, before the run's folder is made, that the tracker can work; by default it can.

        Raises:
            ganzoo.errors.GanzooError: something is missing; the message says how to get it.
        """

    @abstractmethod
    def start(self, folder: Path, config: dict[str, Any], step: int) -> TrackedRun:
        """Begin to follow a run, and return what receives its metrics.

        A run that goes back to an earlier step after it diverged is closed and started again.

        Args:
            folder: The run's folder. Write there, and nowhere else on the disk.
            config: The content of ``config.json``.
            step: Steps done: 0 for a new run, more for a resumed one. A resumed run repeats the
                later steps, so drop what was received beyond this step.
        """
