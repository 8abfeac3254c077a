"""Metrics of pairs: each fake against the real sample whose source it was made from."""

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

WHITE = 255.0
"""The largest value of a stored image."""
MOST_DECIBELS = 100.0
"""The score of an image that equals its target, whose ratio is infinite."""
WINDOW, WINDOW_STD = 11, 1.5
"""Side and standard deviation of the Gaussian window of the similarity, in pixels."""
STABILISERS = (0.01, 0.03)
"""The constants K1 and K2 of the similarity."""
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


class PSNR(PairedMetric):
    r"""Peak signal-to-noise ratio of each fake to its target, in decibels; the mean over images.

    .. math::
        10 \log_{10} \frac{255^2}{\mathrm{MSE}}

    over all pixels and channels of an image of 8 bits. An image that equals its target would have
    an infinite ratio, and counts as 100; so does what comes nearer than that.
    """

    higher_is_better = True

    def load(self, device: torch.device | str) -> Compare:
        """Return the ratio of each pair."""

        def compare(fake: Tensor, target: Tensor) -> Tensor:
            squares = (fake.double() - target.double()).square().flatten(1).mean(1)
            return (10 * (WHITE**2 / squares).log10()).clamp(max=MOST_DECIBELS)

        return compare


class SSIM(PairedMetric):
    r"""Structural similarity of each fake to its target: the mean over windows and images.

    .. math::
        \frac{(2 \mu_x \mu_y + C_1)(2 \sigma_{xy} + C_2)}
             {(\mu_x^2 + \mu_y^2 + C_1)(\sigma_x^2 + \sigma_y^2 + C_2)}

    Wang et al. 2004, equation 13, with their Gaussian window of 11 x 11 pixels and deviation 1.5,
    K1 = 0.01 and K2 = 0.03, at every place where the window lies within the image. Each channel is
    compared on its own.
    """

    paper = "Wang et al. 2004, doi:10.1109/TIP.2003.819861"
    higher_is_better = True
    fewest_pixels = WINDOW

    def load(self, device: torch.device | str) -> Compare:
        """Return the similarity of each pair."""
        return _compare_structure


class LPIPS(PairedMetric):
    r"""Learned perceptual distance of each fake to its target; the mean over images.

    .. math::
        \sum_l \frac{1}{H_l W_l} \sum_{h,w} \| w_l \odot (\hat{y}^l_{hw} - \hat{y}^l_{0hw}) \|_2^2

    Zhang et al. 2018, equation 1, over five layers of VGG16, by torch-fidelity's network. The
    weights are downloaded once into torch's hub folder: those of VGG16, 528 MB, and those of the
    layers. Images are compared at their own size, of 16 pixels or more and not transparent; the
    paper's have 64.
    """

    paper = "Zhang et al. 2018, arXiv:1801.03924"
    higher_is_better = False
    on_request = True
    fewest_pixels = 16
    most_channels = 3

    def load(self, device: torch.device | str) -> Compare:
        """Return the distance of each pair, by a network on the device."""
        from ganzoo_zoo.metrics.fidelity.perceptual import load_network

        network = load_network(device)
        return lambda fake, target: network(
            *(each.to(device).expand(-1, 3, -1, -1) for each in (fake, target))
        )


def _compare_structure(fake: Tensor, target: Tensor) -> Tensor:
    x, y = fake.double(), target.double()
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = ((k * WHITE) ** 2 for k in STABILISERS)
    alike = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity = alike / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return similarity.flatten(1).mean(1)


def _blur(images: Tensor) -> Tensor:
    """Weigh the pixels of each window ``(N, C, H, W)`` by a Gaussian."""
    import torch
    import torch.nn.functional as F

    places = torch.arange(WINDOW, dtype=images.dtype, device=images.device) - WINDOW // 2
    weights = torch.exp(-(places**2) / (2 * WINDOW_STD**2))
    weights = weights / weights.sum()
    planes = images.flatten(0, 1)[:, None]
    planes = F.conv2d(F.conv2d(planes, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))
    return planes[:, 0].unflatten(0, images.shape[:2])
