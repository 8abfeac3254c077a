"""The first layers of a generator: what it makes of a latent, found by running it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized

from ganzoo import GeneratorInput
from ganzoo.compute.seeding import make_rng
from ganzoo.models.generation import evaluation_mode

TOLERANCE = 1e-3
"""Largest difference of an affine layer from its matrix, relative to what it returns."""
SAMPLES_AT_ONCE = 256

Hook = Callable[[nn.Module, tuple[Any, ...], Any], None]


def find_affine_map(generator: nn.Module, inputs: GeneratorInput) -> Tensor | None:
    """Return the weight ``(K, D)`` of the first layer that is an affine map of a whole latent.

    A layer of any kind is one if it takes as many numbers as a latent has, and is affine in them.
    Its weight is what it returns for the unit vectors, so that normalised, scaled and transposed
    weights are taken as they are used.

    Args:
        generator: The network, on any device.
        inputs: Some latents ``(N, D)``, and labels if any.

    Returns:
        A float64 tensor on the CPU; None if there is no such layer.
    """
    length = inputs.given.shape[1]
    candidates: list[tuple[nn.Module, tuple[int, ...]]] = []

    def note(layer: nn.Module, given: tuple[Any, ...], made: Any) -> None:
        if len(given) == 1 and isinstance(given[0], Tensor) and isinstance(made, Tensor):
            shape = tuple(given[0].shape[1:])
            if math.prod(shape) == length and len(given[0]) == len(inputs.given):
                candidates.append((layer, shape))

    _run(generator, inputs, note)
    with evaluation_mode(generator), torch.no_grad():
        weights = (_read_weight(layer, shape) for layer, shape in candidates)
        return next((weight for weight in weights if weight is not None), None)


def find_first_features(
    generator: nn.Module, inputs: GeneratorInput, probe: GeneratorInput
) -> Tensor:
    """Return what the first layer that depends on latents returns, ``(N, K)`` on the CPU.

    Args:
        generator: The network, on any device.
        inputs: Latents ``(N, D)``, and labels if any.
        probe: Two different latents, of the same label.
    """
    found: list[nn.Module] = []

    def note(layer: nn.Module, given: tuple[Any, ...], made: Any) -> None:
        by_sample = isinstance(made, Tensor) and made.dim() > 1 and len(made) == 2
        if by_sample and not torch.equal(made[0], made[1]):
            found.append(layer)
            raise _Enough

    _run(generator, probe, note)
    kept: list[Tensor] = []

    def keep(layer: nn.Module, given: tuple[Any, ...], made: Tensor) -> None:
        kept.append(made.flatten(1).float().cpu())
        raise _Enough

    for part in inputs.parts(SAMPLES_AT_ONCE, _device(generator)):
        _run(generator, part, keep, only=found[0])
    return torch.cat(kept)


class _Enough(Exception):
    """Ends a pass through a network of which no more is needed."""


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _run(
    generator: nn.Module, inputs: GeneratorInput, hook: Hook, only: nn.Module | None = None
) -> None:
    """Run a generator in evaluation mode, with a hook on its layers that have weights."""
    (batch,) = inputs.parts(len(inputs.given), _device(generator))
    layers = _layers(generator) if only is None else [only]
    with evaluation_mode(generator), torch.no_grad(), _hooked(layers, hook), suppress(_Enough):
        batch.through(generator)


def _layers(network: nn.Module) -> Iterator[nn.Module]:
    for module in network.modules():
        own = any(True for _ in module.parameters(recurse=False)) or is_parametrized(module)
        if own and not isinstance(module, ParametrizationList):
            yield module


@contextmanager
def _hooked(layers: Any, hook: Hook) -> Iterator[None]:
    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _read_weight(layer: nn.Module, shape: tuple[int, ...]) -> Tensor | None:
    """Return the weight of an affine layer; None if it is not affine."""
    device, size = _device(layer), math.prod(shape)
    tried = torch.randn(2, size, generator=make_rng(0, "directions"))
    given = torch.cat([torch.zeros(1, size), torch.eye(size), tried]).to(device)
    made = torch.cat([layer(part.unflatten(1, shape)) for part in given.split(SAMPLES_AT_ONCE)])
    made = made.flatten(1).double().cpu()
    weight = (made[1:-2] - made[0]).T
    wanted, found = tried.double() @ weight.T, made[-2:] - made[0]
    scale = found.abs().max()
    return weight if bool((wanted - found).abs().max() <= TOLERANCE * scale) else None
