"""The DCGAN of PyTorch's examples and of its tutorial."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ganzoo import Converted, Converter, DataSpec, ForeignWeights
from ganzoo.errors import InputError
from ganzoo_zoo.converters.layers import take_batch_norm

if TYPE_CHECKING:
    from torch import Tensor

JUDGE = "discriminator"
"""Prefix of the discriminator's tensors, of ``--discriminator``."""
SMALLEST = 4
"""Pixels of the first feature map."""


class PyTorchDCGAN(Converter):
    """The weights of PyTorch's DCGAN tutorial: ``netG.pth``, and ``netD.pth`` by --discriminator.

    Networks of 64 pixels as there, and of other powers of two where layers were added or taken
    away; any number of channels. ganzoo's convolutions at the ends have biases, which become zero,
    and its discriminator gives logits, without the sigmoid.
    """

    paper = "Radford et al. 2016, arXiv:1511.06434"
    program = "the PyTorch examples, https://github.com/pytorch/examples/tree/main/dcgan"
    licence = None
    may_pass_on = None

    def recognises(self, weights: ForeignWeights) -> bool:
        """Tell whether a file has a generator of transposed 4 x 4 convolutions without biases."""
        names = [name for name in weights.names if not name.startswith(f"{JUDGE}.")]
        if not names or not all(re.fullmatch(r"main\.\d+\.\w+", name) for name in names):
            return False
        kernels = _kernels(weights)
        widths = [weights.shape(name)[:2] for name in kernels]
        follow = all(before[1] == after[0] for before, after in itertools.pairwise(widths))
        return len(kernels) > 2 and follow and widths[-1][1] in (1, 3, 4)

    def convert(self, weights: ForeignWeights) -> Converted:
        """Convert the weights; the options follow from the convolutions' shapes."""
        kernels = _kernels(weights)
        if len(kernels) < 3:
            raise InputError("the file has no generator of 'main.N.weight' in 4 x 4 kernels")
        first, last = weights.shape(kernels[0]), weights.shape(kernels[-1])
        side = SMALLEST * 2 ** (len(kernels) - 1)
        generator = dict(_layers(weights, kernels, shift=1))
        judge = None
        part = weights.under(JUDGE)
        if part.names:
            judge = dict(_layers(part, _kernels(part), shift=0, biased=(0,)))
        return Converted(
            architecture="dcgan",
            data=DataSpec(shape=(last[1], side, side)),
            generator=generator,
            options={"z_dim": first[0], "base_channels": last[0], "discriminator_norm": "batch"},
            discriminator=judge,
            loss="non-saturating",
        )


def _kernels(weights: ForeignWeights) -> list[str]:
    """Return the names of the 4 x 4 kernels, in their order."""
    found = [
        (int(match[1]), name)
        for name in weights.names
        if (match := re.fullmatch(r"main\.(\d+)\.weight", name))
        and weights.shape(name)[2:] == (SMALLEST, SMALLEST)
    ]
    return [name for _, name in sorted(found)]


def _layers(
    weights: ForeignWeights, kernels: list[str], shift: int, biased: tuple[int, ...] = ()
) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a network under ganzoo's names.

    Args:
        weights: The network's tensors.
        kernels: Names of its kernels.
        shift: Layers that ganzoo has before the first.
        biased: Which convolutions have a bias here, beside the last.
    """
    import torch

    for i, name in enumerate(kernels):
        number = int(name.split(".")[1])
        kernel = weights.take(name)
        yield f"{number + shift}.weight", kernel
        is_last = i == len(kernels) - 1
        if is_last or i in biased:
            # Transposed kernels have their outputs second.
            outputs = kernel.shape[1] if shift else kernel.shape[0]
            bias = f"main.{number}.bias"
            zeros = torch.zeros(outputs)
            yield (
                f"{number + shift}.bias",
                weights.take(bias) if bias in weights else zeros,
            )
        if not is_last and i not in biased:
            norm = take_batch_norm(weights, f"main.{number + 1}", f"{number + 1 + shift}")
            yield from norm.items()
