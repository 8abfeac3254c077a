"""Running a generator: inputs in, samples on the CPU out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganzoo import distributed
from ganzoo.media import images

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
        Contiguous samples ``(N, *spec.shape)`` on the CPU. Raw: float32, images in ``[-1, 1]``.
        Stored: images as uint8, vectors as float32.

    Raises:
        ganzoo.errors.GanzooError: a stored sample would have a value that is not finite.
    """
    device = next(generator.parameters()).device
    most = CPU_BATCH if device.type == "cpu" else GPU_BATCH
    batch = max(1, min(most, MAX_NUMBERS // spec.size))

    def run(part: GeneratorInput) -> Tensor:
        samples = part.through(generator).float().cpu()
        if stored:
            samples = images.to_uint8(samples) if spec.is_image else images.require_finite(samples)
        return samples.contiguous()  # here, while the batch is in the caches

    with evaluation_mode(generator), torch.inference_mode():
        batches = list(distributed.sharers().map_items(inputs.parts(batch, device), run))
    # Concatenated outside inference mode, samples may take part in a caller's gradients.
    return torch.cat(batches)


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
