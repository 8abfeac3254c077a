"""Progress: how far a training is, as its components are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ganzoo.protocols.recipe import RecipeOptions


@dataclass(frozen=True)
class Progress:
    """How far a training is: a value that the trainer gives, and that nobody counts.

    It depends on the step alone, so that a resumed run goes on where it was.
    """

    step: int = 0
    """Finished generator updates."""
    steps: int = 1
    """Generator updates of the whole run. A component that reads it, or :attr:`share`, declares
    ``depends_on_steps``."""
    images: int = 0
    """Images of the data that the discriminator has been shown."""
    updates: int = 0
    """Finished discriminator updates."""
    batch_size: int = 1
    """Samples in a batch, of all its parts and processes."""

    @classmethod
    def at(
        cls, options: RecipeOptions, step: int, update: int = 0, before: int | None = None
    ) -> Progress:
        """Return the progress of a run before a step, or before one of its critic updates.

        Args:
            options: The run's training options.
            step: Finished generator updates.
            update: Finished discriminator updates of this step.
            before: Finished discriminator updates of earlier steps; by default ``n_critic`` each.
        """
        updates = (step * options.n_critic if before is None else before) + update
        images = updates * options.batch_size
        return cls(step, options.steps, images, updates, options.batch_size)

    @property
    def share(self) -> float:
        """Share of the run that is done, from 0 to 1."""
        return min(1.0, self.step / self.steps) if self.steps else 1.0
