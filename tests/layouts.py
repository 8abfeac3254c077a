"""Tensors of other programs' files, as tests draw them."""

import torch

from ganzoo import ForeignWeights, registry


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

    def change(self, **replaced):
        """Return the tensors with others in their place, and without those that are None."""
        every = dict(self) | replaced
        return {name: tensor for name, tensor in every.items() if tensor is not None}

    def rename(self, rename):
        """Return the tensors by other names."""
        return {rename(name): tensor for name, tensor in self.items()}


def convert_alone(name, tensors, values=None, **options):
    """Convert a file by a converter, whether it recognises the file or not."""
    converter = registry.get(registry.CONVERTER, name)(**options)
    return converter.convert(ForeignWeights(tensors, values))
