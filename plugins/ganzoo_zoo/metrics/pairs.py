"""What metrics of pairs share: each fake is compared with the real sample of its source."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from ganzoo import DataSpec, Evaluator, SampleSet, Score
from ganzoo.errors import InputError
from ganzoo.progress import report_progress

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Compare: TypeAlias = Callable[[Tensor, Tensor], Tensor]
    """Maps uint8 images ``(N, C, H, W)`` and their targets to a number of each pair ``(N,)``."""

BATCH_NUMBERS = 1 << 22
"""Numbers of images that are compared at once."""


class PairedMetric(Evaluator):
    """Base of metrics that are the mean of a number of each pair of images."""

    needs_pairs = True
    fewest_pixels: ClassVar[int] = 1
    """The shortest side of an image that can be compared."""
    most_channels: ClassVar[int] = 4
    """The most channels of an image that can be compared."""

    def fits(self, data: DataSpec) -> bool:
        """Accept images that are large enough."""
        size = data.image_size
        return (
            size is not None
            and min(size) >= self.fewest_pixels
            and data.image_channels <= self.most_channels
        )

    @abstractmethod
    def load(self, device: torch.device | str) -> Compare:
        """Return what compares pairs.

        Args:
            device: Where to compute what is slow on a CPU.
        """

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Compare each fake with its target; the other reals are not used."""
        import torch

        if fake.targets is None:
            raise InputError("needs the real sample of each fake, and these are no pairs")
        ours, theirs = fake.samples.stored, fake.targets.stored
        compare, found = self.load(fake.device), []
        size = max(1, BATCH_NUMBERS // ours[0].numel())
        for one, other in zip(ours.split(size), theirs.split(size), strict=True):
            found.append(compare(one, other).double().cpu())
            report_progress("pairs", min(size * len(found), len(ours)), len(ours))
        return [Score(torch.cat(found).mean().item())]
