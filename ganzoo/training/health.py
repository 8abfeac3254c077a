"""Signs that a training goes wrong though every number is finite, each said once in a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ganzoo.training.trainer import Trainer

COLLAPSED_SPREAD = 0.1
"""Spread of the samples, as a share of that of reals, below which a generator has collapsed."""
EARLY_STEPS = 500
"""Steps in which every generator's samples are alike."""
NO_GRADIENT = 1e-6
"""Norm of the gradient below which a network has nothing to learn from."""


class Health:
    """Watches what is read back anyway: logged numbers, and the samples of the pictures.

    What was said is kept by the file of metrics, so that a resumed run does not say it again.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._real_spread: float | None = None
        self._warned: set[str] = set()

    def read_warnings(self, metrics: Path) -> None:
        """Take over what a file of metrics says was said; only that."""
        lines = []
        if metrics.exists():
            lines = metrics.read_text(encoding="utf-8", errors="replace").splitlines()
        self._warned = {str(row["warning"]) for row in map(json.loads, lines) if "warning" in row}

    def check_terms(self, row: dict[str, Any]) -> dict[str, str]:
        """Return what is new in a line of metrics, a message by its name."""
        # There is none where fp16 left the update out.
        norm, step = row.get("discriminator/gradient_norm", 1.0), row["step"]
        return self._warn_once(
            "saturated",
            norm < NO_GRADIENT,
            f"the discriminator is saturated at step {step}: its gradient is {norm:.1g}, so that "
            "neither network learns; try a lower train.discriminator_lr or another --loss",
        )

    def check_samples(self, shown: Tensor, step: int) -> dict[str, str]:
        """Return what is new in the samples of a picture ``(N, *shape)``, a message by its name."""
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
        if self._real_spread is None:
            self._real_spread = spread(self._trainer.samples.stored[:count].cpu())
        return max(self._real_spread, 1e-12)

    def _warn_once(self, name: str, found: bool, message: str) -> dict[str, str]:
        if not found or name in self._warned:
            return {}
        self._warned.add(name)
        return {name: message}


def spread(samples: Tensor) -> float:
    """Return the root mean square distance of samples ``(N, *shape)`` from their mean, per number.

    In the units of the samples: 0 to 255 for images.
    """
    return float(samples.flatten(1).to(torch.float32).var(0, correction=0).mean().sqrt())
