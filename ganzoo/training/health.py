"""Signs of a failing training whose numbers are all finite. Each is reported once in a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ganzoo.runs.metrics import read_metrics

if TYPE_CHECKING:
    from ganzoo.training.trainer import Trainer

COLLAPSED_SPREAD = 0.1
"""A generator has collapsed if its samples spread less than this share of what reals spread."""
EARLY_STEPS = 500
"""Steps in which the samples of every generator look alike."""
NO_GRADIENT = 1e-6
"""A network learns nothing from a gradient whose norm is below this."""


class Health:
    """Watches numbers that are read back anyway: logged metrics, and samples of pictures.

    Warnings are kept in the file of metrics, so that a resumed run does not repeat them.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._real_spread: float | None = None
        self._warned: set[str] = set()

    def read_warnings(self, metrics: Path) -> None:
        """Read from a file of metrics which warnings were given; others are forgotten."""
        rows = read_metrics(metrics) if metrics.exists() else ()
        self._warned = {str(row["warning"]) for _, row in rows if "warning" in row}

    def check_terms(self, row: dict[str, Any]) -> dict[str, str]:
        """Return new warnings about a line of metrics, as messages by name."""
        # It is missing if fp16 skipped the update.
        norm, step = row.get("discriminator/gradient_norm", 1.0), row["step"]
        return self._warn_once(
            "saturated",
            norm < NO_GRADIENT,
            f"the discriminator is saturated at step {step}: its gradient is {norm:.1g}, so that "
            "neither network learns; try a lower train.discriminator_lr or another --loss",
        )

    def check_samples(self, shown: Tensor, step: int) -> dict[str, str]:
        """Return new warnings about a picture's samples ``(N, *shape)``, as messages by name."""
        if step < EARLY_STEPS or self._trainer.architecture.takes_images:
            return {}
        share = spread(shown) / self._measure_reals(len(shown))
        return self._warn_once(
            "collapse",
            share < COLLAPSED_SPREAD,
            f"the generator collapses at step {step}: its samples differ from each other "
            f"{share:.0%} as much as reals do; try lower learning rates or another --loss",
        )

    def _measure_reals(self, count: int) -> float:
        """Return the spread of the first ``count`` reals, which is measured once."""
        if self._real_spread is None:
            self._real_spread = spread(self._trainer.samples.stored[:count].cpu())
        return max(self._real_spread, 1e-12)

    def _warn_once(self, name: str, found: bool, message: str) -> dict[str, str]:
        """Return a warning by its name if it is justified and was not given before."""
        if not found or name in self._warned:
            return {}
        self._warned.add(name)
        return {name: message}


def spread(samples: Tensor) -> float:
    """Return the root mean square distance of samples ``(N, *shape)`` from their mean.

    It is per number of a sample, in the samples' own units: 0 to 255 for images.
    """
    return float(samples.flatten(1).to(torch.float32).var(0, correction=0).mean().sqrt())
