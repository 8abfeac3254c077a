"""The setup of a training: its components and options, its device and its processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganzoo.compute.devices import HALF_TYPES
from ganzoo.protocols.schedule import progress_at

if TYPE_CHECKING:
    import torch

    from ganzoo.config import TrainOptions
    from ganzoo.distributed import Processes
    from ganzoo.protocols.architecture import Architecture
    from ganzoo.protocols.augmentation import Augmentation
    from ganzoo.protocols.dataset import DataSpec
    from ganzoo.protocols.loss import Loss
    from ganzoo.protocols.objective import Objective
    from ganzoo.protocols.penalty import Penalty
    from ganzoo.protocols.progress import Progress
    from ganzoo.protocols.schedule import Schedule


@dataclass(frozen=True)
class TrainingSetup:
    """Everything that is fixed before a training starts, except the samples."""

    architecture: Architecture
    loss: Loss
    augmentations: Mapping[str, Augmentation]
    """What the discriminator's samples pass through, by name, in this order."""
    penalties: Mapping[str, Penalty]
    """Terms beside those of the loss, by name."""
    schedules: Mapping[str, Schedule]
    """Options that change during the training, by full name."""
    options: TrainOptions
    data: DataSpec
    """The kind of samples."""
    device: torch.device
    team: Processes
    """The processes that share each batch."""
    architecture_name: str
    """What messages call the architecture, which does not know its own name."""

    def progress_at(self, step: int, update: int = 0) -> Progress:
        """Return how far the training is before a step, or before an update of one.

        Args:
            step: Finished generator updates.
            update: Finished discriminator updates of this step.
        """
        return progress_at(self.options, self.schedules, step, update)

    @property
    def conditional(self) -> bool:
        """Whether both networks take labels."""
        return self.architecture.takes_labels(self.data)

    @property
    def objectives(self) -> dict[str, Objective]:
        """The loss and the penalties, by what messages call them."""
        return {"loss": self.loss, **{f"penalty '{k}'": each for k, each in self.penalties.items()}}

    @property
    def independent_samples(self) -> bool:
        """Whether the discriminator must judge each sample independently of its batch."""
        needed = any(bool(each.independent_samples) for each in self.objectives.values())
        return needed and not self.architecture.mixes_batch

    @property
    def half(self) -> torch.dtype | None:
        """The type of half-precision arithmetic; None for full precision."""
        return HALF_TYPES[self.options.precision]

    @property
    def classes(self) -> int:
        """Number of classes of the samples.

        The preconditions of a training make sure that a conditional architecture has some.
        """
        assert self.data.classes is not None, "the data have no classes"
        return self.data.classes
