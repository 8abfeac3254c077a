"""The parts of a training as they are at one step: options that follow schedules have moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ganzoo.component import Options
from ganzoo.protocols.progress import Progress

if TYPE_CHECKING:
    from ganzoo.config import TrainOptions
    from ganzoo.protocols.augmentation import Augmentation
    from ganzoo.protocols.loss import Loss
    from ganzoo.protocols.penalty import Penalty
    from ganzoo.protocols.schedule import Schedule

Part = TypeVar("Part", bound=Options)


@dataclass(frozen=True)
class StepParts:
    """Components and training options, as they are at one step."""

    loss: Loss
    penalties: Mapping[str, Penalty]
    augmentations: Mapping[str, Augmentation]
    options: TrainOptions
    schedules: Mapping[str, Schedule]
    """What changes, by the full name of the option."""

    def penalties_of(self, network: str) -> dict[str, Penalty]:
        """Return the penalties that have terms for a network, by name.

        Args:
            network: ``generator`` or ``discriminator``.
        """
        return {
            name: each
            for name, each in self.penalties.items()
            if (
                each.penalises_generator if network == "generator" else each.penalises_discriminator
            )
        }

    def at(self, progress: Progress) -> StepParts:
        """Return the parts at some point of a training; these themselves if nothing changes."""
        if not self.schedules:
            return self
        values = {name: schedule.at(progress) for name, schedule in self.schedules.items()}
        return replace(
            self,
            loss=_change(self.loss, "loss.", values),
            penalties={
                name: _change(each, f"penalty.{name}.", values)
                for name, each in self.penalties.items()
            },
            augmentations={
                name: _change(each, f"augment.{name}.", values)
                for name, each in self.augmentations.items()
            },
            options=_change(self.options, "train.", values),
        )


def _change(part: Part, prefix: str, values: Mapping[str, Any]) -> Part:
    """Return a component with the values of the options whose full names have a prefix."""
    own = {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix)
    }
    if not own:
        return part
    for name, value in own.items():
        if type(part).model_fields[name].annotation is int:
            own[name] = int(value)
    return part.model_copy(update=own)
