"""The networks of the classifiers, and the preparation of their input."""

from __future__ import annotations

from torch import Tensor, nn

from ganzoo.media.images import resize, to_float

SIDE = 32
CLASSES = 10


class Network(nn.Module):
    """Base class: a body that makes features of images, and a linear classifier of them.

    Args:
        body: Maps images ``(N, C, 32, 32)`` in ``[-1, 1]`` to features ``(N, F)``.
        features: How many features it makes.
    """

    def __init__(self, body: nn.Module, features: int) -> None:
        super().__init__()
        self.body = body
        self.classifier = nn.Linear(features, CLASSES)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images ``(N, C, 32, 32)`` in ``[-1, 1]`` to features ``(N, F)`` and logits."""
        features = self.body(images)
        return features, self.classifier(features)


class DigitNetwork(Network):
    """Three strided convolutions, their mean over pixels, and a layer of 64 features."""

    def __init__(self) -> None:
        body = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(4 * 64, 64),
            nn.ReLU(),
        )
        super().__init__(body, 64)


class PhotoNetwork(Network):
    """Seven convolutions with batch normalisation, and the mean over pixels of the last: 128."""

    def __init__(self) -> None:
        body = nn.Sequential(
            *_convolution(3, 24),
            *_convolution(24, 48),
            nn.MaxPool2d(2),
            *_convolution(48, 48),
            *_convolution(48, 96),
            nn.MaxPool2d(2),
            *_convolution(96, 96),
            *_convolution(96, 128),
            nn.MaxPool2d(2),
            *_convolution(128, 128),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        super().__init__(body, 128)


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


def prepare(images: Tensor) -> Tensor:
    """Prepare uint8 images ``(N, C, H, W)`` as a network's input ``(N, C, 32, 32)``."""
    return to_float(resize(images, (SIDE, SIDE)))
