"""Residual networks with spectral normalisation once more, in 64 bits and written otherwise.

Weights are divided by an exact singular value, convolutions are sums over their taps, attention
goes pixel by pixel, and nothing is moved before upsampling or behind pooling.
"""

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ganzoo.nn import ClassProjection


def settled(network):
    """Draw weights with one large singular value, run power iterations, and evaluate in 64 bits."""
    network.double().train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter))
            if parameter.dim() > 1:
                left, right = torch.randn(len(parameter)), torch.randn(parameter[0].numel())
                parameter += 3 * torch.outer(left, right).view_as(parameter)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
            if is_parametrized(module):
                (name,) = module.parametrizations
                for _ in range(100):
                    getattr(module, name)
    return network.eval()


def stored(module):
    """Return a weight as it is stored, or an embedding."""
    name = "embedding" if isinstance(module, ClassProjection) else "weight"
    if is_parametrized(module):
        return getattr(module.parametrizations, name).original
    return getattr(module, name)


def divided(module):
    """Return a weight divided by its largest singular value."""
    assert is_parametrized(module)
    weight = stored(module)
    return weight / torch.linalg.svdvals(weight.flatten(1))[0]


def convolve(layer, features):
    """Convolve features with zeros around, tap by tap."""
    weight = divided(layer)
    height, width = features.shape[2:]
    around = weight.shape[2] // 2
    padded = nn.functional.pad(features, [around] * 4)
    total = sum(
        torch.einsum(
            "nchw,dc->ndhw", padded[:, :, i : i + height, j : j + width], weight[:, :, i, j]
        )
        for i in range(weight.shape[2])
        for j in range(weight.shape[3])
    )
    return total if layer.bias is None else total + layer.bias[:, None, None]


def multiply(layer, features):
    """Apply a linear layer."""
    found = torch.einsum("nc,dc->nd", features, divided(layer))
    return found if layer.bias is None else found + layer.bias


def normalise(norm, features, gain, bias):
    """Normalise by running statistics, with a gain and a bias of each sample."""
    mean, deviation = norm.running_mean, (norm.running_var + 1e-5).sqrt()
    steady = (features - mean[:, None, None]) / deviation[:, None, None]
    return gain[..., None, None] * steady + bias[..., None, None]


def double(features):
    """Repeat each pixel."""
    return features.repeat_interleave(2, 2).repeat_interleave(2, 3)


def halve(features):
    """Return the mean of each 2 x 2 pixels."""
    return sum(features[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4


def attend(layer, features):
    """Let each pixel attend to all others, one after another."""
    query, key, value = (convolve(each, features) for each in (layer.query, layer.key, layer.value))
    key, value = (
        torch.stack([each[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]).amax(0).flatten(2)
        for each in (key, value)
    )
    found = torch.empty(len(features), value.shape[1], *features.shape[2:]).double()
    for n in range(len(features)):
        for row in range(features.shape[2]):
            for column in range(features.shape[3]):
                scores = (query[n, :, row, column, None] * key[n]).sum(0).exp()
                found[n, :, row, column] = (value[n] * scores / scores.sum()).sum(1)
    return features + layer.share * convolve(layer.output, found)


def up(block, features, first, second):
    """Double the size, by normalisations that are given as functions of features."""
    branch = convolve(block.first[2], double(first(features).relu()))
    branch = convolve(block.second[1], second(branch).relu())
    return branch + convolve(block.shortcut[0], double(features))


def down(block, features, *, is_first=False, halves=True):
    """Halve the size, or keep it."""
    convolutions = [each for each in block.branch.modules() if isinstance(each, nn.Conv2d)]
    shortcut = [each for each in block.shortcut.modules() if isinstance(each, nn.Conv2d)]
    branch = convolve(convolutions[0], features if is_first else features.relu())
    total = convolve(convolutions[1], branch.relu())
    total = total + (convolve(shortcut[0], features) if shortcut else features)
    return halve(total) if halves else total
