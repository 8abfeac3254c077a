"""The layers of a discriminator in their order, so that the first of them can be frozen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
"""Modules that are no layers, and hold some."""


def list_layers(network: nn.Module) -> list[tuple[str, ...]]:
    """Return the beginnings of parameters' names of each layer, in the order of registration.

    A layer is a module within the network or within a container of torch, such as a convolution or
    a whole residual block. Modules of vectors alone, as normalisation is, belong to the layer
    before them.
    """
    layers: list[tuple[str, ...]] = []
    for name, has_matrix in _list_units(network):
        if has_matrix or not layers:
            layers.append((name,))
        else:
            layers[-1] += (name,)
    return layers


def _list_units(container: nn.Module, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Yield the names of modules and own parameters, and whether some of them is a matrix."""
    for name, child in container.named_children():
        if isinstance(child, CONTAINERS):
            yield from _list_units(child, f"{prefix}{name}.")
        elif any(True for _ in child.parameters()):
            yield f"{prefix}{name}.", any(each.dim() > 1 for each in child.parameters())
    for name, parameter in container.named_parameters(recurse=False):
        yield f"{prefix}{name}", parameter.dim() > 1


def freeze_layers(network: nn.Module, layers: Sequence[tuple[str, ...]]) -> None:
    """Keep the parameters of some layers of a network from learning.

    Args:
        network: The network.
        layers: The beginnings of parameters' names of each layer.
    """
    frozen = tuple(name for layer in layers for name in layer)
    for name, parameter in network.named_parameters():
        if name.startswith(frozen):
            parameter.requires_grad_(False)
