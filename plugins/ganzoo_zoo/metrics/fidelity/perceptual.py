"""torch-fidelity's learned perceptual distance, with networks that are built from tensors alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch_fidelity.sample_similarity_base import SampleSimilarityBase
from torch_fidelity.sample_similarity_lpips import (
    URL_VGG16_LPIPS,
    NetLinLayer,
    SampleSimilarityLPIPS,
)
from torchvision import models

from ganzoo_zoo.metrics.fidelity.extractors import VGG16, Source, find_file, unpack

NAME = "lpips-vgg16"
CHANNELS = (64, 128, 256, 512, 512)
"""Channels of the layers that are compared."""
ENDS = (4, 9, 16, 23, 30)
"""Ends of these layers in VGG16."""
WEIGHTS = Source(URL_VGG16_LPIPS, URL_VGG16_LPIPS.rpartition("/")[2], None)
"""Weights of the layers' channels."""


class PerceptualDistance(SampleSimilarityLPIPS):
    """The distance, from torchvision's tensors of VGG16 and torch-fidelity's of the layers.

    Args:
        vgg: Tensors of VGG16; those of its convolutions are used.
        weights: Weights of the layers' channels.
    """

    def __init__(self, vgg: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
        SampleSimilarityBase.__init__(self, NAME)  # the class's own would download both
        self.sample_similarity_resize = self.sample_similarity_dtype = None
        self.L = len(CHANNELS)
        for number, channels in enumerate(CHANNELS):
            setattr(self, f"lin{number}", NetLinLayer(channels, use_dropout=True))
        self.load_state_dict(dict(weights))
        self.lins = [getattr(self, f"lin{number}") for number in range(self.L)]
        self.net = _Slices(vgg)
        self.requires_grad_(False).eval()


class _Slices(nn.Module):
    """The convolutions of VGG16, up to the end of each layer that is compared."""

    def __init__(self, vgg: Mapping[str, Tensor]) -> None:
        super().__init__()
        with torch.device("meta"):  # drawing random weights would take seconds
            layers = models.vgg16().features
        own = {name: vgg[f"features.{name}"] for name in layers.state_dict()}
        layers.load_state_dict(own, assign=True)
        starts = (0, *ENDS)
        self.slices = nn.ModuleList(
            layers[start:end] for start, end in zip(starts, ENDS, strict=False)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        found = [images]
        for layers in self.slices:
            found.append(layers(found[-1]))
        return found[1:]


def load_network(device: torch.device | str) -> PerceptualDistance:
    """Load the published weights, which are downloaded if they are missing.

    Raises:
        ganzoo.errors.GanzooError: they cannot be downloaded, or a file holds something else.
    """
    vgg = VGG16()
    tensors = vgg.read_tensors(find_file(vgg.known_as, vgg.source()))
    weights = unpack(NAME, find_file(NAME, WEIGHTS))
    return PerceptualDistance(tensors, weights).to(device)
