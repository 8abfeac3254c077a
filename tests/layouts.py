"""Files of other programs, as tests write them, and the models that converters make of them."""

import torch

from ganzoo import ForeignWeights, registry
from ganzoo.registry import ARCHITECTURE, CONVERTER


class Tensors(dict):
    """Tensors by their names in a file, drawn one after the other.

    Args:
        std: Standard deviation of a tensor, unless one is given.
    """

    def __init__(self, std=1.0):
        super().__init__()
        self.std = std
        self.rng = torch.Generator().manual_seed(0)

    def draw(self, name, *shape, std=None, mean=0.0):
        """Add a tensor of normal numbers."""
        std = self.std if std is None else std
        self[name] = mean + std * torch.randn(shape, generator=self.rng)

    def copy(self, **replaced):
        """Return the tensors as a plain dict, without those that are None."""
        every = dict(self) | replaced
        return {name: tensor for name, tensor in every.items() if tensor is not None}


def convert(name, tensors, values=None):
    """Convert a file, of which nothing may be left, and return the conversion."""
    weights = ForeignWeights(tensors, values)
    found = registry.get(CONVERTER, name)().convert(weights)
    assert weights.left_over() == []
    return found


def build(found):
    """Build the networks of a conversion: the generator in evaluation, the discriminator not."""
    architecture = registry.get(ARCHITECTURE, found.architecture)(**found.options)
    generator = architecture.generator(found.data)
    generator.load_state_dict(found.generator, strict=True)
    discriminator = architecture.discriminator(found.data)
    if found.discriminator is not None:
        discriminator.load_state_dict(found.discriminator, strict=True)
    return architecture, generator.eval(), discriminator


def recognising(tensors):
    """Return the names of all converters that recognise a file."""
    weights = ForeignWeights(tensors)
    names = [entry.name for entry in registry.entries(CONVERTER)]
    return [name for name in names if registry.get(CONVERTER, name)().recognises(weights)]


def insert_zeros(images):
    """Put a row and a column of zeros behind each of double-precision images ``(N, C, H, W)``."""
    count, channels, height, width = images.shape
    found = images.new_zeros(count, channels, height, 2, width, 2)
    found[:, :, :, 0, :, 0] = images
    return found.reshape(count, channels, 2 * height, 2 * width)


def filter_binomially(images, *, before, behind, gain=1.0):
    """Filter by [1, 3, 3, 1] / 8 in both directions, with zeros before and behind."""
    line = images.new_tensor([1.0, 3.0, 3.0, 1.0]) / 8
    padded = torch.nn.functional.pad(images, (before, behind, before, behind))
    for axis in (2, 3):
        taps = padded.unfold(axis, 4, 1)
        padded = (taps * line).sum(-1)
    return gain * padded
