"""Generators of mimicry: residual networks that double features between pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any

from ganzoo import Converted, Converter, DataSpec, ForeignWeights
from ganzoo.errors import InputError
from ganzoo_zoo.converters.layers import take_batch_norm, take_layer

if TYPE_CHECKING:
    from ganzoo_zoo.converters.layers import State

MAX_GROWTH = 16
"""Of the channels at the highest resolution."""


class Mimicry(Converter):
    """Generators of mimicry: SNGAN, SSGAN, InfoMax-GAN, WGAN-GP and cGAN-PD.

    A file is a checkpoint of ``netG``, or its state dict. SNGAN, SSGAN, InfoMax-GAN and WGAN-GP
    have the same generator, of 32, 48, 64 or 128 pixels; that of cGAN-PD takes classes. All of them
    become ``sngan-resnet`` with bilinear upsampling. Discriminators have files of their own, which
    are not converted, and neither are the generators of DCGAN and SAGAN.
    """

    program = "mimicry, https://github.com/kwotsin/mimicry"
    licence = "mit"
    may_pass_on = True

    def recognises(self, weights: ForeignWeights) -> bool:
        """Tell whether there are the first layer and the blocks of a residual network of mimicry.

        Discriminators and normalised generators are recognised as well, to be refused.
        """
        part = weights.find_part("model_state_dict")
        return any(
            f"block2.c1.{word}" in part and (f"l1.{word}" in part or f"block1.c_sc.{word}" in part)
            for word in ("weight", "weight_orig")
        )

    def convert(self, weights: ForeignWeights) -> Converted:
        """Convert a generator."""
        weights.ignore("optimizer_state_dict.*")
        part = weights.find_part("model_state_dict")
        if "l1.weight_orig" in part:
            raise InputError(
                "this is the generator of mimicry's SAGAN, whose weights are normalised; no "
                "architecture here doubles such features bilinearly"
            )
        if "l1.weight" not in part:
            raise InputError("this is a discriminator of mimicry; give the file of its netG")
        blocks = list(takewhile(lambda i: f"block{i}.c1.weight" in part, count(2)))
        widths = [part.shape("block2.c1.weight")[1]]
        widths += [part.shape(f"block{i}.c2.weight")[0] for i in blocks]
        numbers, z_dim = part.shape("l1.weight")
        lowest = math.isqrt(numbers // widths[0])
        if numbers != widths[0] * lowest**2 or not 4 <= lowest <= 7:
            raise InputError(
                f"the first layer makes {numbers:,} numbers, which are not {widths[0]:,} maps of "
                "4 x 4 to 7 x 7 pixels"
            )
        embedding = "block2.b1.embed.weight"
        classes = part.shape(embedding)[0] if embedding in part else None
        last = len(blocks) + 2
        side = lowest * 2 ** len(blocks)
        return Converted(
            architecture="sngan-resnet",
            data=DataSpec(shape=(part.shape(f"c{last}.weight")[0], side, side), classes=classes),
            options={
                "z_dim": z_dim,
                "upsampling": "bilinear",
                "conditional": classes is not None,
                **_find_widths(widths),
            },
            generator=_convert_generator(part, blocks, conditional=classes is not None),
            notes=(
                "SNGAN, SSGAN, InfoMax-GAN and WGAN-GP of mimicry have one generator, so the file "
                "does not tell which of them it is",
            )
            if classes is None
            else (),
        )


def _find_widths(widths: list[int]) -> dict[str, Any]:
    """Return the options for the channels of the maps, the lowest resolution first."""
    tapered = [widths[-1] * min(2**i, MAX_GROWTH) for i in range(len(widths))][::-1]
    if widths == tapered:
        return {"tapered": True, "base_channels": widths[-1]}
    if len(set(widths)) == 1 and widths[0] % 2 == 0:
        return {"base_channels": widths[0] // 2}
    raise InputError(
        f"its maps have {', '.join(map(str, widths))} channels; sngan-resnet's are all alike and "
        "even, or halve where the size doubles"
    )


def _convert_generator(part: ForeignWeights, blocks: list[int], *, conditional: bool) -> State:
    state = take_layer(part, "l1", "0")
    names = (
        {"b1": "first_norm", "c1": "first.2", "b2": "second_norm", "c2": "second.1"}
        if conditional
        else {"b1": "branch.0", "c1": "branch.3", "b2": "branch.4", "c2": "branch.6"}
    )
    for i in blocks:
        for source, target in names.items():
            take: Callable[[ForeignWeights, str, str], State] = take_layer
            if source.startswith("b"):
                take = _take_class_norm if conditional else take_batch_norm
            state |= take(part, f"block{i}.{source}", f"{i}.{target}")
        state |= take_layer(part, f"block{i}.c_sc", f"{i}.shortcut.0")
    last = len(blocks) + 2
    state |= take_batch_norm(part, f"b{last}", f"{last}")
    return state | take_layer(part, f"c{last}", f"{last + 2}")


def _take_class_norm(part: ForeignWeights, source: str, target: str) -> State:
    """Return the state of batch normalisation with a gain and a bias of each class.

    There a gain is a factor, and here what is added to 1.
    """
    gain, bias = part.take(f"{source}.embed.weight").chunk(2, dim=1)
    return {
        f"{target}.gain.weight": gain - 1,
        f"{target}.bias.weight": bias.contiguous(),
        **take_batch_norm(part, f"{source}.bn", f"{target}.norm", affine=False),
    }
