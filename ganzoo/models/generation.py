"""Running a generator: the network that draws, inputs in, samples on the CPU out."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganzoo import distributed
from ganzoo.compute.seeding import derive_seed, make_rng, preserve_rng_state, seed_everything
from ganzoo.media import images
from ganzoo.protocols.architecture import Architecture

if TYPE_CHECKING:
    from ganzoo.protocols.architecture import GeneratorInput
    from ganzoo.protocols.dataset import DataSpec

CPU_BATCH = 64
"""Most samples in one pass on a CPU: the activations of more do not stay in its caches."""
GPU_BATCH = 256
"""Most samples in one pass on any other device."""
MAX_NUMBERS = 1 << 26
"""Most numbers in the output of one pass, unless it is a single sample."""


def generate(
    generator: nn.Module, inputs: GeneratorInput, spec: DataSpec, *, stored: bool = False
) -> Tensor:
    """Generate samples in evaluation mode, in batches that suit the device.

    With several processes, each generates its share of the batches and gets all samples.

    Args:
        generator: The network; samples are made on its device.
        inputs: Inputs of N samples, on any device.
        spec: The data that the generator was built for.
        stored: Return samples as datasets store and metrics judge them, in place of raw floats.

    Returns:
        Contiguous samples ``(N, *spec.shape)`` on the CPU. Raw: float32, images and signals in
        ``[-1, 1]``. Stored: images as uint8, all else as float32.

    Raises:
        ganzoo.errors.GanzooError: a stored sample would have a value that is not finite.
    """
    device = next(generator.parameters()).device
    most = CPU_BATCH if device.type == "cpu" else GPU_BATCH
    batch = max(1, min(most, MAX_NUMBERS // spec.size))

    def run(part: GeneratorInput) -> Tensor:
        return run_pass(generator, part, stored=stored)

    with evaluation_mode(generator), torch.inference_mode():
        batches = list(distributed.sharers().map_items(inputs.parts(batch, device), run))
    # Concatenated outside inference mode, samples may take part in a caller's gradients.
    return torch.cat(batches)


def run_pass(generator: nn.Module, inputs: GeneratorInput, *, stored: bool) -> Tensor:
    """Generate samples in one pass of a generator.

    Args:
        generator: The network, in evaluation mode.
        inputs: Inputs on its device.
        stored: As for :func:`generate`.
    """
    samples = inputs.through(generator).float().cpu()
    if stored:
        is_image = samples.dim() == 4
        samples = images.to_uint8(samples) if is_image else images.require_finite(samples)
    return samples.contiguous()  # here, while the batch is in the caches


def build_sampler(
    architecture: Architecture,
    generator: nn.Module,
    spec: DataSpec,
    truncation: float | None = None,
) -> nn.Module:
    """Return the network by which a generator draws: what the architecture's ``sampler`` builds.

    It is the same for the same weights. Torch's global random state does not change.

    Args:
        architecture: The architecture.
        generator: The averaged generator, in any mode, on its device.
        spec: The data that the generator was built for.
        truncation: As for :meth:`ganzoo.Model.sample`.

    Raises:
        ganzoo.errors.InputError: the architecture cannot draw with this truncation.
    """
    if truncation is None and type(architecture).sampler is Architecture.sampler:
        return generator
    device = next(generator.parameters()).device
    with preserve_rng_state(), evaluation_mode(generator), torch.no_grad():
        seed_everything(device, derive_seed(0, "sampler"))  # for layers that draw
        return architecture.sampler(
            _without_synchronisation(generator),
            spec,
            truncation=truncation,
            rng=make_rng(0, "sampler"),
        )


class _LocalBatchNorm(_BatchNorm):
    """Batch normalisation of features of any shape, within one process."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass


def _without_synchronisation(network: nn.Module) -> nn.Module:
    """Return a copy whose batch norms do not wait for other processes, which may draw nothing.

    A network without synchronised layers is returned itself.
    """
    if not any(isinstance(module, nn.SyncBatchNorm) for module in network.modules()):
        return network
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, nn.SyncBatchNorm):
            module.__class__ = _LocalBatchNorm  # type: ignore[assignment]
    return network


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, and restore the mode of each of its modules afterwards."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
