"""The generator and the discriminator of FastGAN, with the discriminator's decoders."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.errors import InputError
from ganzoo.nn import draw_normal, normalise_spectrum

SIZES = tuple(2**i for i in range(4, 11))
"""Heights and widths of images that there are networks for."""
GENERATOR = {4: 16, 8: 8, 16: 4, 32: 2, 64: 2, 128: 1, 256: 1 / 2, 512: 1 / 4, 1024: 1 / 8}
"""The generator's channels by the size of its maps, in units of the base."""
DISCRIMINATOR = {4: 16, 8: 8, 16: 4, 32: 2, 64: 1, 128: 1 / 2, 256: 1 / 4, 512: 1 / 8}
"""The discriminator's channels by the size of its maps; 4 stands for the layer before logits."""
DECODER = {16: 2, 32: 1, 64: 1, 128: 1 / 2}
"""A decoder's channels by the size of its maps."""
SMALL = 128
"""Height and width of the second picture, and of the largest reconstruction."""
LARGEST_MAP = 256
"""Size at which the discriminator's blocks begin: larger images are halved by convolutions."""
LOWEST_MAP = 8
"""Size of the maps that are judged."""
WEIGHT_STD = 0.02


def has_small(size: int) -> bool:
    """Tell whether images of a size have a second picture."""
    return size > SMALL


def shrink(images: Tensor) -> Tensor:
    """Return the second pictures ``(N, C, 128, 128)`` of images, or ``(N, 0)`` if there are none.

    Each pixel is the mean of those that it stands for.
    """
    size = images.shape[3]
    return F.avg_pool2d(images, size // SMALL) if has_small(size) else nothing(images)


def nothing(images: Tensor) -> Tensor:
    """Return ``(N, 0)``, as a function of images ``(N, C, H, W)``."""
    return images[:, :0].flatten(1)


def generator(data: DataSpec, z_dim: int, base: int) -> nn.Module:
    """Build the generator: latents ``(N, z_dim)`` -> ``samples`` and ``small``.

    Args:
        data: Shape of the images.
        z_dim: Length of a latent.
        base: The unit of all numbers of channels.

    Raises:
        InputError: there are no networks for this size.
    """
    return _finish(Generator(data.image_channels, _find_size(data), z_dim, base))


def discriminator(data: DataSpec, base: int, *, by_layer: bool) -> nn.Module:
    """Build the discriminator: images, and their second pictures -> ``logits`` and more.

    Args:
        data: Shape of the images.
        base: The unit of all numbers of channels.
        by_layer: Whether to normalise by layer in place of by batch.

    Raises:
        InputError: there are no networks for this size.
    """
    network = Discriminator(data.image_channels, _find_size(data), base, by_layer=by_layer)
    return _finish(network)


def fix_noise(network: nn.Module, rng: torch.Generator) -> nn.Module:
    """Draw the noise maps of evaluation, in place, and return the network."""
    for module in network.modules():
        if isinstance(module, Noise):
            module.noise_map = torch.randn(module.shape, generator=rng).to(module.strength)
    return network


def _find_size(data: DataSpec) -> int:
    if not data.is_image:
        raise InputError(f"FastGAN makes images, and these samples are {data.in_words}")
    height, width = data.shape[1:]
    if height != width or height not in SIZES:
        raise InputError(
            f"FastGAN's images are square, with sides of {', '.join(map(str, SIZES))} pixels, not "
            f"{height} x {width}; resize them with --image-size, to 64 for example"
        )
    return height


def _finish(network: nn.Module) -> nn.Module:
    """Draw all weights, and normalise their spectra."""

    def draw(module: nn.Module) -> None:
        draw_normal(module, WEIGHT_STD)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, WEIGHT_STD)

    return normalise_spectrum(network.apply(draw))


def _convolution(before: int, after: int, side: int, *, stride: int = 1) -> nn.Conv2d:
    """Build a convolution that keeps the size, or halves it by kernels of 4 x 4."""
    padding = (side - 1) // 2
    return nn.Conv2d(before, after, side, stride=stride, padding=padding, bias=False)


def _width(units: float, base: int) -> int:
    return max(1, int(units * base))


class Excitation(nn.Module):
    """Skip-layer excitation: features of one size scale the channels of another (section 3.1).

    Args:
        before: Channels of the features that scale.
        size: Their height and width.
        after: Channels that are scaled.
    """

    def __init__(self, before: int, size: int, after: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AvgPool2d(size // 4),
            nn.Conv2d(before, after, 4, bias=False),
            nn.SiLU(),
            nn.Conv2d(after, after, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor, scaled: Tensor) -> Tensor:
        """Return the second features, each channel times a number from 0 to 1."""
        return scaled * self.gate(features)


# The generator ----------------------------------------------------------------------------------


class Noise(nn.Module):
    """Adds noise to each pixel, with a learnt strength that begins at 0.

    In evaluation mode there is none, until :func:`fix_noise` draws a map for all samples.

    Args:
        size: Height and width of the features.
    """

    noise_map: Tensor | None

    def __init__(self, size: int) -> None:
        super().__init__()
        self.shape = (1, 1, size, size)
        self.strength = nn.Parameter(torch.zeros(1))
        self.register_buffer("noise_map", None, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return features ``(N, C, H, W)`` with noise."""
        if self.training:
            noise = torch.randn(len(features), *self.shape[1:], device=features.device)
        elif self.noise_map is None:
            return features
        else:
            noise = self.noise_map
        return features + (self.strength * noise).to(features)


def _up_layers(before: int, after: int, size: int | None) -> list[nn.Module]:
    """Return a convolution and a gated linear unit; with noise at a size, unless it is None."""
    noise = [] if size is None else [Noise(size)]
    return [_convolution(before, 2 * after, 3), *noise, nn.BatchNorm2d(2 * after), nn.GLU(1)]


def up_block(before: int, after: int, size: int, *, twice: bool) -> nn.Sequential:
    """Build a block that doubles the size.

    Args:
        before: Channels that it takes.
        after: Channels that it returns.
        size: Height and width of what it returns.
        twice: Whether it has two convolutions, with noise.
    """
    layers: list[nn.Module] = [nn.Upsample(scale_factor=2)]
    layers += _up_layers(before, after, size if twice else None)
    if twice:
        layers += _up_layers(after, after, size)
    return nn.Sequential(*layers)


class Generator(nn.Module):
    """Latents ``(N, z_dim)`` to images and second pictures.

    Args:
        colours: Channels of an image.
        size: Height and width of an image.
        z_dim: Length of a latent.
        base: The unit of all numbers of channels.
    """

    def __init__(self, colours: int, size: int, z_dim: int, base: int) -> None:
        super().__init__()
        widths = {side: _width(units, base) for side, units in GENERATOR.items() if side <= size}
        self.sides = tuple(widths)
        self.first = nn.Sequential(
            # A transposed convolution of one pixel is a dense layer.
            nn.Unflatten(1, (z_dim, 1, 1)),
            nn.ConvTranspose2d(z_dim, 2 * widths[4], 4, bias=False),
            nn.BatchNorm2d(2 * widths[4]),
            nn.GLU(1),
        )
        self.blocks = nn.ModuleList(
            up_block(widths[before], widths[after], after, twice=i % 2 == 0)
            for i, (before, after) in enumerate(itertools.pairwise(self.sides))
        )
        self.times = 16 if has_small(size) else 8
        """How much larger features are than those that scale them."""
        self.excitations = nn.ModuleDict(
            {
                str(self.times * side): Excitation(widths[side], side, widths[self.times * side])
                for side in (4, 8, 16, 32)
                if self.times * side in widths
            }
        )
        self.to_image = nn.Sequential(_convolution(widths[size], colours, 3), nn.Tanh())
        self.to_small = (
            nn.Sequential(_convolution(widths[SMALL], colours, 1), nn.Tanh())
            if has_small(size)
            else None
        )

    def forward(self, latents: Tensor) -> dict[str, Tensor]:
        """Return ``samples`` ``(N, C, H, W)``, and ``small`` ``(N, C, 128, 128)`` or ``(N, 0)``."""
        features = self.first(latents)
        found = {4: features}
        for side, block in zip(self.sides[1:], self.blocks, strict=True):
            features = block(features)
            if str(side) in self.excitations:
                features = self.excitations[str(side)](found[side // self.times], features)
            found[side] = features
        samples = self.to_image(features)
        small = nothing(samples) if self.to_small is None else self.to_small(found[SMALL])
        return {"samples": samples, "small": small}


# The discriminator ------------------------------------------------------------------------------


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.2, inplace=True)


def _norm(channels: int, by_layer: bool) -> nn.Module:
    return nn.GroupNorm(1, channels) if by_layer else nn.BatchNorm2d(channels)


class DownBlock(nn.Module):
    """The mean of two paths that halve the size: of two convolutions, and of a mean and one."""

    def __init__(self, before: int, after: int, *, by_layer: bool) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            _convolution(before, after, 4, stride=2),
            _norm(after, by_layer),
            _leaky(),
            _convolution(after, after, 3),
            _norm(after, by_layer),
            _leaky(),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2), _convolution(before, after, 1), _norm(after, by_layer), _leaky()
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(N, after, H / 2, W / 2)`` of features ``(N, before, H, W)``."""
        return (self.branch(features) + self.shortcut(features)) / 2


def _stem(colours: int, size: int, base: int) -> nn.Sequential:
    """Build the layers from an image to maps of 256 pixels, or of its own size if it is smaller."""
    if size <= LARGEST_MAP:
        return nn.Sequential(
            _convolution(colours, _width(DISCRIMINATOR[size], base), 3),
            _leaky(),
        )
    sides = [side for side in (512, 256) if side < size]
    widths = [colours, *(_width(DISCRIMINATOR[side], base) for side in sides)]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [_convolution(before, after, 4, stride=2), _leaky()]
    return nn.Sequential(*layers)


def _small_path(colours: int, base: int, *, by_layer: bool) -> nn.Sequential:
    """Build the layers from a second picture to features of 8 x 8 pixels."""
    layers: list[nn.Module] = []
    widths = [colours, *(_width(units, base) for units in (1 / 2, 1, 2, 4))]
    for i, (before, after) in enumerate(itertools.pairwise(widths)):
        norm = [_norm(after, by_layer)] if i else []
        layers += [_convolution(before, after, 4, stride=2), *norm, _leaky()]
    return nn.Sequential(*layers)


class Discriminator(nn.Module):
    """Images ``(N, C, H, W)``, and their second pictures, to logits and what they are of.

    Args:
        colours: Channels of an image.
        size: Height and width of an image.
        base: The unit of all numbers of channels.
        by_layer: Whether to normalise by layer in place of by batch.
    """

    def __init__(self, colours: int, size: int, base: int, *, by_layer: bool) -> None:
        super().__init__()
        highest = min(size, LARGEST_MAP)
        self.sides = (*(side for side in reversed(SIZES) if side <= highest), LOWEST_MAP)
        widths = {side: _width(units, base) for side, units in DISCRIMINATOR.items()}
        self.stem = _stem(colours, size, base)
        self.blocks = nn.ModuleList(
            DownBlock(widths[before], widths[after], by_layer=by_layer)
            for before, after in itertools.pairwise(self.sides)
        )
        self.excitations = nn.ModuleDict(
            {
                str(side // 8): Excitation(widths[side], side, widths[side // 8])
                for side in self.sides
                if side >= 8 * LOWEST_MAP
            }
        )
        last = widths[LOWEST_MAP]
        self.judge = nn.Sequential(
            _convolution(last, widths[4], 1),
            _norm(widths[4], by_layer),
            _leaky(),
            nn.Conv2d(widths[4], 1, 4, bias=False),
            nn.Flatten(),
        )
        small_width = _width(4, base)
        self.small = self.judge_small = None
        if has_small(size):
            self.small = _small_path(colours, base, by_layer=by_layer)
            self.judge_small = nn.Sequential(nn.Conv2d(small_width, 1, 4, bias=False), nn.Flatten())
        self.decoder = Decoder(colours, size, base, (last, widths[2 * LOWEST_MAP], small_width))

    def forward(self, judged: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return ``logits`` ``(N, P)``, the features that they are of, and what was seen."""
        if isinstance(judged, Tensor):
            judged = {"samples": judged, "small": shrink(judged)}
        seen, small_seen = judged["samples"], judged["small"]
        found = {self.sides[0]: self.stem(seen)}
        for (before, side), block in zip(itertools.pairwise(self.sides), self.blocks, strict=True):
            features = block(found[before])
            if str(side) in self.excitations:
                features = self.excitations[str(side)](found[8 * side], features)
            found[side] = features
        features = found[LOWEST_MAP]
        logits, small_features = self.judge(features), small_seen
        if self.small is not None and self.judge_small is not None:
            small_features = self.small(small_seen)
            logits = torch.cat([logits, self.judge_small(small_features)], dim=1)
        return {
            "logits": logits,
            "features": features,
            "details": found[2 * LOWEST_MAP],
            "seen": seen,
            "small_features": small_features,
            "small_seen": small_seen,
        }


def _decoder(before: int, size: int, colours: int, base: int) -> nn.Sequential:
    """Build a decoder: maps ``(N, before, 8, 8)`` to images ``(N, C, size, size)``."""
    layers: list[nn.Module] = []
    for side, units in DECODER.items():
        if side <= size:
            after = _width(units, base)
            layers += [nn.Upsample(scale_factor=2), *_up_layers(before, after, None)]
            before = after
    return nn.Sequential(*layers, _convolution(before, colours, 3), nn.Tanh())


class Decoder(nn.Module):
    """What the discriminator saw, as far as it can be told from its features (section 3.2).

    Args:
        colours: Channels of an image.
        size: Height and width of an image.
        base: The unit of all numbers of channels.
        widths: Channels of the discriminator's ``features``, ``details`` and ``small_features``.
    """

    def __init__(self, colours: int, size: int, base: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        features, details, small = widths
        self.whole = _decoder(features, min(size, SMALL), colours, base)
        self.quarter = _decoder(details, min(size // 2, SMALL), colours, base)
        self.small = _decoder(small, SMALL, colours, base) if has_small(size) else None

    def forward(self, said: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Return pairs of a reconstruction and what it should be.

        Args:
            said: What the discriminator returned for some images.
        """
        seen = said["seen"]
        details, detailed = _draw_quarters(said["details"], seen)
        pairs = [(self.whole(said["features"]), seen), (self.quarter(details), detailed)]
        if self.small is not None:
            pairs.append((self.small(said["small_features"]), said["small_seen"]))
        return [(found, _shrink_to(wanted, found.shape[3])) for found, wanted in pairs]


def _draw_quarters(*maps: Tensor) -> list[Tensor]:
    """Draw one of the four quarters of each sample, the same of each of several maps."""
    places = torch.rand(2, len(maps[0]), 1, 1, 1, device=maps[0].device) < 0.5

    def take(whole: Tensor) -> Tensor:
        is_low, is_left = places
        above, below = whole.chunk(2, dim=2)
        left, right = torch.where(is_low, below, above).chunk(2, dim=3)
        return torch.where(is_left, left, right)

    return [take(each) for each in maps]


def _shrink_to(images: Tensor, size: int) -> Tensor:
    factor = images.shape[3] // size
    return F.avg_pool2d(images, factor) if factor > 1 else images
