"""Features of the VGGs of torchvision, with the weights that it downloads."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision import models

from ganzoo.errors import GanzooError, InputError, first_line

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the images that the networks of torchvision were trained on, in [0, 1]."""


class Extractor(nn.Module):
    """Images ``(N, C, H, W)`` in [-1, 1] -> features by name.

    Args:
        body: The layers.
        taken: Names of features, by the places of the layers that give them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, body: nn.Sequential, taken: dict[int, str]) -> None:
        super().__init__()
        self.body = body
        self.taken = taken
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return features of images in grey, in RGB, or in RGBA, whose alpha is not looked at."""
        colours = images[:, :3].expand(-1, 3, -1, -1)
        features = ((colours + 1) / 2 - self.mean) / self.std
        found = {}
        for place, layer in enumerate(self.body):
            features = layer(features)
            if place in self.taken:
                found[self.taken[place]] = features
        return found


@lru_cache(maxsize=2)
def build_extractor(
    network: str, taken: tuple[tuple[int, str], ...], device: torch.device
) -> Extractor:
    """Build what extracts features: once, as it never changes.

    Args:
        network: ``vgg16`` or ``vgg19``.
        taken: Places of layers that give features, and their names.
        device: Where to compute.

    Raises:
        GanzooError: the weights cannot be had.
    """
    with torch.device("meta"):
        body = getattr(models, network)(weights=None, init_weights=False).features
    body = body[: 1 + max(place for place, _ in taken)]
    weights = _load_weights(network)
    try:
        body.load_state_dict(
            {name: weights[f"features.{name}"] for name in body.state_dict()}, assign=True
        )
    except (KeyError, RuntimeError) as error:
        raise InputError(
            f"the weights of {network} are those of another network: {first_line(error)}"
        ) from None
    for module in body:
        if isinstance(module, nn.ReLU):
            module.inplace = False  # features before it are kept
    return Extractor(body, dict(taken)).to(device).eval().requires_grad_(False)


def _load_weights(network: str) -> dict[str, Tensor]:
    """Return torchvision's weights, from torch's hub folder or downloaded into it.

    Raises:
        GanzooError: they cannot be downloaded, or the file is damaged.
    """
    url = models.get_model_weights(network).IMAGENET1K_V1.url
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    try:
        return torch.hub.load_state_dict_from_url(
            url, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except Exception as error:  # of the network, the disk, or the unpickler
        raise GanzooError(
            f"the weights of {network} cannot be had: {first_line(error)}; put {url} at {file}, "
            "or take the discriminator's features by --set penalty.perceptual.network=null"
        ) from None
