"""Networks of image translators: residual generators, and discriminators of patches."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from torch import Tensor, nn

from ganzoo.nn.initialisation import draw_normal

Norm = Callable[[int], nn.Module]
"""Builds the normalisation of features of so many channels."""
WIDEST = 8
"""The widest layers of a discriminator have this many times the channels of its first one."""


def residual_translator(
    given: int, made: int, width: int, blocks: int, norm: Norm = nn.InstanceNorm2d
) -> nn.Sequential:
    """Build a generator: images ``(N, given, H, W)`` -> images ``(N, made, H, W)`` in [-1, 1].

    It is that of Zhu et al. 2017 (arXiv:1703.10593, appendix 7.2), after Johnson et al. 2016
    (arXiv:1603.08155): a convolution of 7 x 7, two that halve the image, residual blocks, two
    transposed convolutions, and one of 7 x 7. Weights are drawn from N(0, 0.02). The sides of an
    image must be multiples of 4.

    Args:
        given: Channels of what it takes.
        made: Channels of what it makes.
        width: Channels at the highest resolution.
        blocks: Number of residual blocks.
        norm: Builds the normalisation behind each convolution but the last.
    """
    # Normalisation takes the mean away, and a bias with it.
    layers: list[nn.Module] = [
        nn.Conv2d(given, width, 7, padding=3, padding_mode="reflect", bias=False),
        norm(width),
        nn.ReLU(inplace=True),
    ]
    for before, after in ((width, 2 * width), (2 * width, 4 * width)):
        layers += [
            nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
            norm(after),
            nn.ReLU(inplace=True),
        ]
    layers += [_Residual(4 * width, norm) for _ in range(blocks)]
    for before, after in ((4 * width, 2 * width), (2 * width, width)):
        layers += [
            nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1, bias=False),
            norm(after),
            nn.ReLU(inplace=True),
        ]
    layers += [nn.Conv2d(width, made, 7, padding=3, padding_mode="reflect"), nn.Tanh()]
    return nn.Sequential(*layers).apply(draw_normal)


def patch_discriminator(
    channels: int, width: int, layers: int = 3, norm: Norm = nn.InstanceNorm2d
) -> nn.Sequential:
    """Build a discriminator of patches: images ``(N, channels, H, W)`` -> logits ``(N, P)``.

    It is the PatchGAN of Isola et al. 2017 (arXiv:1611.07004, appendix 6.1.2): convolutions of
    4 x 4, of which the first ones halve the image and the last two do not. A patch has 16, 34, 70,
    142 or 286 pixels with 1 to 5 halvings, and an image of H pixels has ``H / 2**layers - 2``
    patches on a side. Without halvings each pixel is judged alone. Weights are drawn from
    N(0, 0.02).

    Args:
        channels: Channels of what it judges.
        width: Channels of the first layer.
        layers: Number of halvings.
        norm: Builds the normalisation behind each convolution but the first and the last.
    """
    widths = [width * min(2**i, WIDEST) for i in range(max(layers, 1) + 1)]
    side, padding = (4, 1) if layers else (1, 0)
    strides = [2] * layers + [1] if layers else [1, 1]
    built: list[nn.Module] = [
        nn.Conv2d(channels, width, side, strides[0], padding),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    for (before, after), stride in zip(itertools.pairwise(widths), strides[1:], strict=True):
        built += [
            nn.Conv2d(before, after, side, stride, padding, bias=False),
            norm(after),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    built += [nn.Conv2d(widths[-1], 1, side, padding=padding), nn.Flatten()]
    return nn.Sequential(*built).apply(draw_normal)


class _Residual(nn.Module):
    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False),
            norm(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False),
            norm(channels),
        )

    def forward(self, images: Tensor) -> Tensor:
        return images + self.branch(images)
