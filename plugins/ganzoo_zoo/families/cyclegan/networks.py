"""The generators and the discriminators of CycleGAN, and its pool of earlier fakes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.errors import InputError
from ganzoo.nn import patch_discriminator, residual_translator
from ganzoo.protocols.host_labels import labels_on_host

SMALLEST_SIDE = 24
LARGE_SIDE = 256
"""Pixels of the longer side from which on a generator has more blocks."""


def generator(data: DataSpec, base_channels: int, blocks: int | None) -> nn.Module:
    """Build the generator: images ``(N, C, H, W)`` and target classes -> images in ``[-1, 1]``."""
    _check(data)
    if blocks is None:
        blocks = 9 if max(data.shape[1:]) >= LARGE_SIDE else 6
    channels = data.image_channels
    return ByClass(
        [residual_translator(channels, channels, base_channels, blocks) for _ in range(2)]
    )


def discriminator(data: DataSpec, base_channels: int) -> nn.Module:
    """Build the discriminator: images ``(N, C, H, W)`` and their classes -> logits ``(N, P)``."""
    _check(data)
    return ByClass([patch_discriminator(data.image_channels, base_channels) for _ in range(2)])


class ByClass(nn.Module):
    """A network for each of two classes; each image goes through that of its label."""

    def __init__(self, networks: list[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Pass each of the images ``(N, C, H, W)`` through the network of its label ``(N,)``."""
        if torch.compiler.is_exporting():
            # An exported program cannot choose by labels: each image goes through both networks.
            both = torch.stack([network(images) for network in self.networks])
            return both[labels, torch.arange(images.shape[0], device=images.device)]
        known = labels if torch.compiler.is_compiling() else labels_on_host(labels)
        places = [torch.where(known == label)[0] for label in range(len(self.networks))]
        back = torch.cat(places).argsort().to(images.device, non_blocking=True)
        parts = [
            network(images[mine.to(images.device, non_blocking=True)])
            for network, mine in zip(self.networks, places, strict=True)
            if len(mine)
        ]
        return torch.cat(parts)[back]


class ImagePool(nn.Module):
    """A pool of up to ``size`` earlier fakes of each class, shown half of the time.

    Shrivastava et al. 2017 (arXiv:1612.07828), section 2.3, as Zhu et al. 2017 use it: once the
    pool is full, a fake is either passed on, or it replaces an earlier one that is shown instead.
    """

    images: Tensor
    filled: Tensor

    def __init__(self, size: int, data: DataSpec) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(2 * size, *data.shape))
        self.register_buffer("filled", torch.zeros(2, dtype=torch.int64))

    def forward(self, fakes: Tensor, labels: Tensor) -> Tensor:
        """Return fakes ``(N, C, H, W)`` of the same classes, new or earlier ones."""
        coins = torch.rand(len(fakes), 1, device=fakes.device) < 0.5
        places = torch.randint(self.size, (len(fakes), 1), device=fakes.device)
        shown = []
        # One by one, as a batch may hold several of a class; without waiting for the device.
        for fake, label, coin, place in zip(
            fakes.split(1), labels.split(1), coins, places, strict=True
        ):
            filled = self.filled.index_select(0, label)
            full = filled >= self.size
            slot = label * self.size + torch.where(full, place, filled)
            stored = self.images.index_select(0, slot)
            earlier = full & coin
            shown.append(torch.where(earlier.view(-1, 1, 1, 1), stored, fake))
            replaced = (earlier | ~full).view(-1, 1, 1, 1)
            self.images.index_copy_(0, slot, torch.where(replaced, fake, stored))
            self.filled.index_add_(0, label, (~full).long())
        return torch.cat(shown)


def _check(data: DataSpec) -> None:
    if not data.is_image:
        raise InputError(f"images are needed, and these samples are {data.in_words}")
    if data.classes != 2:
        raise InputError(
            f"two classes are needed, and these data have {data.classes or 'none'}; "
            "give a folder with two folders of images, or --data domains with two of them"
        )
    height, width = data.shape[1:]
    if height % 4 or width % 4 or min(height, width) < SMALLEST_SIDE:
        raise InputError(
            f"the sides of an image must be at least {SMALLEST_SIDE} pixels and multiples of 4, "
            f"not {height} x {width}; resize it with --image-size"
        )
