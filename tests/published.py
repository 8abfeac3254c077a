"""What tests of converters share: files as other programs publish them, and what becomes of them.

A file's network is written in the test, with the names of its program.
"""

import torch
from torch import nn

from ganzoo import ForeignWeights, registry
from ganzoo.models.size_check import build_on_meta


def randomise(network):
    """Draw all numbers of a network, statistics as well, and evaluate it."""
    with torch.no_grad():
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
            if tensor.is_floating_point():
                tensor.normal_()
                if name.endswith(("var", "vars")):
                    tensor.square_().add_(0.3)
                elif name.endswith("mean") or tensor.dim() < 2:
                    tensor.mul_(0.5)
                else:
                    tensor.div_(tensor[0].numel() ** 0.5)
    return network.eval()


def convert(name, tensors, values=None, **options):
    """Convert a file, which this converter alone recognises, and build its generator.

    Returns:
        What the file was converted to, and the generator and the discriminator; None for none.
    """
    weights = ForeignWeights(tensors, values)
    assert find_recognisers(tensors) == [name]
    converted = registry.get(registry.CONVERTER, name)(**options).convert(weights)
    assert not weights.left_over(), f"left over: {weights.left_over()}"
    architecture = registry.get(registry.ARCHITECTURE, converted.architecture)(**converted.options)
    generator = architecture.generator(converted.data)
    generator.load_state_dict(converted.generator, strict=True)
    discriminator = None
    if converted.discriminator is not None:
        discriminator = architecture.discriminator(converted.data)
        discriminator.load_state_dict(converted.discriminator, strict=True)
        discriminator.eval()
    return converted, generator.eval(), discriminator


def find_recognisers(tensors):
    """Return the names of the converters that claim a file."""
    weights = ForeignWeights(tensors)
    found = []
    for entry in registry.entries(registry.CONVERTER):
        if registry.get(registry.CONVERTER, entry.name)().recognises(weights):
            found.append(entry.name)
    assert len(weights.left_over()) == len(tensors), "a converter took a tensor to look at it"
    return found


def convert_shapes(name, build):
    """Convert a file of true size, of which only the shapes are known, and compare them.

    Returns:
        What the file was converted to.
    """
    shapes = {key: tensor.shape for key, tensor in build_on_meta(build).state_dict().items()}
    # Numbers that share their memory: operations on the meta device import much of torch.
    weights = ForeignWeights({key: torch.ones(()).expand(shape) for key, shape in shapes.items()})
    converted = registry.get(registry.CONVERTER, name)().convert(weights)
    architecture = registry.get(registry.ARCHITECTURE, converted.architecture)(**converted.options)
    wanted = build_on_meta(lambda: architecture.generator(converted.data)).state_dict()
    assert {name: tensor.shape for name, tensor in converted.generator.items()} == {
        name: tensor.shape for name, tensor in wanted.items()
    }
    return converted


class OneIteration(nn.Module):
    """A layer whose weight is divided by a singular value, found from a vector in each pass.

    As in BigGAN-PyTorch: the vector is used and not changed in evaluation.
    """

    def __init__(self, layer):
        super().__init__()
        self.weight, self.bias = layer.weight, getattr(layer, "bias", None)
        self.stride, self.padding = getattr(layer, "stride", 1), getattr(layer, "padding", 0)
        self.register_buffer("u0", torch.randn(1, len(layer.weight)))
        self.register_buffer("sv0", torch.ones(1))

    def divided(self):
        matrix = self.weight.flatten(1)
        right = nn.functional.normalize(self.u0 @ matrix)
        left = nn.functional.normalize(right @ matrix.T)
        return self.weight / (left @ matrix @ right.T)

    def forward(self, given):
        if given.dtype == torch.long:
            return self.divided()[given]
        if self.weight.dim() == 4:
            return nn.functional.conv2d(given, self.divided(), self.bias, self.stride, self.padding)
        return nn.functional.linear(given, self.divided(), self.bias)
