"""The network of the digit classifiers, and the preparation of its input."""

from __future__ import annotations

from torch import Tensor, nn

from ganzoo.media.images import resize, to_float

SIDE = 32
FEATURES = 64


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


def prepare(images: Tensor) -> Tensor:
    """Prepare uint8 images ``(N, 1, H, W)`` as the network's input ``(N, 1, 32, 32)``."""
    return to_float(resize(images, (SIDE, SIDE)))
