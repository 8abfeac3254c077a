"""What metrics of pairs share: each fake is compared with the real sample of its source."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from ganzoo import DataSpec, Evaluator, Samples, SampleSet, Score
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

    def judged(self, fakes: Samples) -> Tensor:
        """Return what is compared with the targets, uint8 ``(N, C, H, W)``: by default fakes."""
        return fakes.stored

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
        ours, theirs = self.judged(fake.samples), fake.targets.stored
        compare, found = self.load(fake.device), []
        size = max(1, BATCH_NUMBERS // ours[0].numel())
        for one, other in zip(ours.split(size), theirs.split(size), strict=True):
            found.append(compare(one, other).double().cpu())
            report_progress("pairs", min(size * len(found), len(ours)), len(ours))
        return [Score(torch.cat(found).mean().item())]


class OfSources(PairedMetric):
    """Base of metrics that compare each fake's source with its target, in place of the fake.

    This is what a model must improve on. A source that is smaller is enlarged by bicubic
    interpolation. If it has a hole, its unknown pixels get the mean colour of the others. A grey
    one stays grey.
    """

    on_request = True

    def judged(self, fakes: Samples) -> Tensor:
        """Return the sources as images of the fakes' shape.

        Raises:
            ganzoo.errors.InputError: there are none, or they are no such images.
        """
        from ganzoo.media.images import resize

        sources, channels = fakes.sources, fakes.spec.image_channels
        if sources is None:
            raise InputError("needs the source of each fake")
        if sources.dim() != 4:
            raise InputError("compares images, and the sources are vectors")
        if sources.shape[1] == 4 != channels:
            sources = _fill_holes(sources)
        if sources.shape[1] == 3 and channels == 1:
            sources = sources.float().mean(1, keepdim=True).round().byte()
        if sources.shape[1] not in (1, channels):
            raise InputError(
                f"the sources have {sources.shape[1]} channels, and the samples {channels}"
            )
        return resize(sources, (fakes.spec.shape[1], fakes.spec.shape[2])).expand(
            -1, channels, -1, -1
        )


def _fill_holes(sources: Tensor) -> Tensor:
    """Return colours ``(N, 3, H, W)``, with the mean of known pixels where alpha is at most half.

    Args:
        sources: uint8 ``(N, 4, H, W)``.
    """
    import torch

    colours, known = sources[:, :3].double(), sources[:, 3:] > 127
    mean = (colours * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(1)
    return torch.where(known, colours, mean).round().byte()
