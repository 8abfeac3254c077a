"""The learned perceptual distance of pairs, by torch-fidelity's network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganzoo.errors import InputError
from ganzoo_zoo.metrics.fidelity.extractors import (
    VGG16,
    WRONG_FILE_ERRORS,
    Source,
    find_file,
    unpack,
)
from ganzoo_zoo.metrics.pairs import PairedMetric

if TYPE_CHECKING:
    import torch

    from ganzoo_zoo.metrics.fidelity.networks import PerceptualDistance
    from ganzoo_zoo.metrics.pairs import Compare


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
        network = load_network(device)
        return lambda fake, target: network(
            *(each.to(device).expand(-1, 3, -1, -1) for each in (fake, target))
        )


def load_network(device: torch.device | str) -> PerceptualDistance:
    """Load the published weights, which are downloaded if they are missing.

    Raises:
        ganzoo.errors.GanzooError: they cannot be downloaded, or a file holds something else.
    """
    from torch_fidelity.sample_similarity_lpips import URL_VGG16_LPIPS

    from ganzoo_zoo.metrics.fidelity.networks import PerceptualDistance

    vgg, own = VGG16(), Source(URL_VGG16_LPIPS, URL_VGG16_LPIPS.rpartition("/")[2], None)
    files = find_file(vgg.known_as, vgg.source()), find_file("lpips", own)
    try:
        network = PerceptualDistance(vgg.read_tensors(files[0]), unpack("lpips", files[1]))
    except WRONG_FILE_ERRORS:
        raise InputError(f"{files[0]} or {files[1]} holds the weights of another network") from None
    return network.to(device)
