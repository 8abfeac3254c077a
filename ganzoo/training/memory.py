"""What components remember during a training: modules of buffers, the same in all processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ganzoo.protocols.augmentation import AdaptiveAugmentation
from ganzoo.runs.metrics import AUGMENTATION

if TYPE_CHECKING:
    from ganzoo.distributed import Processes
    from ganzoo.protocols.augmentation import Augmentation
    from ganzoo.protocols.discriminator import Augment
    from ganzoo.protocols.objective import Objective
    from ganzoo.protocols.progress import Progress
    from ganzoo.training.parts import StepParts
    from ganzoo.training.setup import TrainingSetup

LOSS = "loss_memory"
"""Name of the loss's memory, and of its file in a checkpoint."""


def memory_of_penalty(name: str) -> str:
    """Return the name of a penalty's memory."""
    return f"penalty_memory.{name}"


def memory_of_augmentation(name: str) -> str:
    """Return the name of an augmentation's memory."""
    return f"augmentation_memory.{name}"


def build_memories(setup: TrainingSetup) -> dict[str, nn.Module]:
    """Build what the components of a training remember, by name."""
    built = {
        LOSS: setup.loss.state(setup.data),
        **{
            memory_of_penalty(name): each.state(setup.data)
            for name, each in setup.penalties.items()
        },
        **{
            memory_of_augmentation(name): each.state(setup.data)
            for name, each in setup.augmentations.items()
            if isinstance(each, AdaptiveAugmentation)
        },
    }
    return {name: each.to(setup.device) for name, each in built.items() if each is not None}


class _BoundAugmentation:
    """An adaptive augmentation with what it remembers."""

    def __init__(self, augmentation: AdaptiveAugmentation, state: nn.Module) -> None:
        self._augmentation = augmentation
        self._state = state

    def augment(self, samples: Tensor) -> Tensor:
        """Return randomly changed samples."""
        return self._augmentation.augment(samples, self._state)


def bind_augmentations(
    augmentations: Mapping[str, Augmentation], memories: Mapping[str, nn.Module]
) -> tuple[Augment, ...]:
    """Return augmentations that take samples alone, with their memories bound to them."""
    return tuple(
        _BoundAugmentation(each, memories[memory_of_augmentation(name)])
        if isinstance(each, AdaptiveAugmentation)
        else each
        for name, each in augmentations.items()
    )


def find_adaptive(
    augmentations: Mapping[str, Augmentation], memories: Mapping[str, nn.Module]
) -> list[tuple[AdaptiveAugmentation, nn.Module]]:
    """Return the adaptive augmentations, with what they remember."""
    return [
        (each, memories[memory_of_augmentation(name)])
        for name, each in augmentations.items()
        if isinstance(each, AdaptiveAugmentation)
    ]


@torch.no_grad()
def show_logits(
    adaptive: Iterable[tuple[AdaptiveAugmentation, nn.Module]], logits: Tensor, progress: Progress
) -> None:
    """Show adaptive augmentations the logits of the whole batch of reals."""
    for augmentation, state in adaptive:
        augmentation.observe(state, logits, progress)


def report_augmentations(
    augmentations: Mapping[str, Augmentation], memories: Mapping[str, nn.Module]
) -> dict[str, Tensor]:
    """Return what adaptive augmentations report, as ``augmentation/NAME_key``."""
    return {
        f"{AUGMENTATION}/{name}_{key}": value.detach().clone()
        for name, each in augmentations.items()
        if isinstance(each, AdaptiveAugmentation)
        for key, value in each.report(memories[memory_of_augmentation(name)]).items()
    }


def list_objectives(parts: StepParts) -> dict[str, Objective]:
    """Return the loss and the penalties by the names of their memories."""
    penalties = {memory_of_penalty(name): each for name, each in parts.penalties.items()}
    return {LOSS: parts.loss, **penalties}


class Observed:
    """What objectives observed in one update, over the parts of its batch."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[Tensor]] = {}

    def add(self, memory: str, values: Mapping[str, Tensor]) -> None:
        """Add what was observed in a part of the batch, for a memory."""
        for name, value in values.items():
            self._values.setdefault((memory, name), []).append(value)

    def remember(
        self,
        objectives: Mapping[str, Objective],
        memories: Mapping[str, nn.Module],
        team: Processes,
    ) -> None:
        """Let the objectives remember the means over parts and processes.

        Args:
            objectives: The objectives, by the names of their memories.
            memories: The memories, by name.
            team: The processes.
        """
        if not self._values:
            return
        means = [torch.stack(each).float().mean() for each in self._values.values()]
        found: dict[str, dict[str, Any]] = {}
        for (memory, name), value in zip(self._values, team.mean(torch.stack(means)), strict=True):
            found.setdefault(memory, {})[name] = value
        with torch.no_grad():
            for memory, values in found.items():
                objectives[memory].remember(memories[memory], values)
