"""Signal-to-noise ratio and structural similarity of pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganzoo_zoo.metrics.pairs import OfSources, PairedMetric

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ganzoo_zoo.metrics.pairs import Compare

WHITE = 255.0
"""The largest value of a stored image."""
MOST_DECIBELS = 100.0
"""The score of an image that equals its target, whose ratio is infinite."""
WINDOW, WINDOW_STD = 11, 1.5
"""Side and standard deviation of the Gaussian window of the similarity, in pixels."""
STABILISERS = (0.01, 0.03)
"""The constants K1 and K2 of the similarity."""


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
        return _compare_levels


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


class SourcePSNR(OfSources, PSNR):
    """Peak signal-to-noise ratio of each fake's source to its target: what a model starts from.

    Smaller sources are enlarged by bicubic interpolation, holes get the mean colour of the rest,
    and grey sources stay grey.
    """


class SourceSSIM(OfSources, SSIM):
    """Structural similarity of each fake's source to its target: what a model starts from.

    Smaller sources are enlarged by bicubic interpolation, holes get the mean colour of the rest,
    and grey sources stay grey.
    """


def _compare_levels(fake: Tensor, target: Tensor) -> Tensor:
    squares = (fake.double() - target.double()).square().flatten(1).mean(1)
    return (10 * (WHITE**2 / squares).log10()).clamp(max=MOST_DECIBELS)


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
