"""A small classifier of handwritten digits, to judge digit GANs by."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ganzoo import FeatureExtractor, Features, LoadedExtractor
from ganzoo.files import load_tensors, sha256
from ganzoo.images import resize, to_float

FILE = Path(__file__).with_name("digits_cnn.safetensors")
SIDE = 32
FEATURES = 64


class DigitsCNN(FeatureExtractor):
    """Convolutional classifier of the embedded digits; 64 features, 10 classes.

    Judging digit GANs by a digit classifier is common practice where Inception, trained on
    photographs, says little. ``train.py`` beside this file makes the weights and prints the
    accuracy on digits that the training did not see.
    """

    def load(self, weights: Path | None, device: torch.device) -> LoadedExtractor:
        """Load the embedded weights, or a safetensors file of the same network."""
        path = weights or FILE
        network = Network()
        network.load_state_dict(load_tensors(path, network.state_dict()))
        network = network.eval().requires_grad_(False).to(device)
        return LoadedExtractor(
            lambda batch: Features(*(found.cpu() for found in network(prepared(batch)))),
            image_channels=1,
            weights_sha256=sha256(path),
            published=weights is None,
            batch_size=256,
        )


class Network(nn.Module):
    """Three strided convolutions, their mean over pixels, and a linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, FEATURES, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(4 * FEATURES, FEATURES),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(FEATURES, 10)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images ``(N, 1, 32, 32)`` in ``[-1, 1]`` to features ``(N, 64)`` and logits."""
        features = self.body(images)
        return features, self.classifier(features)


def prepared(images: Tensor) -> Tensor:
    """Bring uint8 images ``(N, 1, H, W)`` to what the network takes."""
    return to_float(resize(images, (SIDE, SIDE)))
