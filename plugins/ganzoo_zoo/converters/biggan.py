"""BigGAN and BigGAN-deep of the authors' program, BigGAN-PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, takewhile
from typing import TYPE_CHECKING

from ganzoo import Converted, Converter, DataSpec, ForeignWeights
from ganzoo.errors import InputError
from ganzoo_zoo.converters.biggan_widths import LOWEST, find_base
from ganzoo_zoo.converters.layers import (
    no_batches,
    normalised_weight,
    take_batch_norm,
    take_layer,
)

if TYPE_CHECKING:
    from ganzoo_zoo.converters.layers import State

ATTENTION = {"theta": "query", "phi": "key", "g": "value", "o": "output"}


class BigGANPyTorch(Converter):
    """BigGAN of ``ajbrock/BigGAN-PyTorch``, of 32 to 512 pixels, and its BigGAN-deep.

    A file is the state dict of a generator, such as ``G_ema.pth``. With the discriminator's beside
    it, as ``{"G_ema": ..., "D": ...}``, that is converted too, but that of BigGAN-deep is not.
    Samples have the statistics of batch normalisation that the file has: ``arch.standing_batches``
    is 0.
    """

    program = "BigGAN-PyTorch, https://github.com/ajbrock/BigGAN-PyTorch"
    licence = "mit"
    may_pass_on = True

    def recognises(self, weights: ForeignWeights) -> bool:
        """Tell whether there are the first and the last layer of one of its networks."""
        part = weights.find_part("G_ema", "G")
        return "blocks.0.0.conv1.weight" in part and (
            "output_layer.2.weight" in part or "embed.weight" in part
        )

    def convert(self, weights: ForeignWeights) -> Converted:
        """Convert a generator, and the discriminator if the file has it."""
        part = weights.find_part("G_ema", "G")
        if "output_layer.2.weight" not in part:
            raise InputError(
                "this is a discriminator of BigGAN-PyTorch; give the file of its G_ema"
            )
        if "linear.u0" not in part:
            raise InputError(
                "its weights are not spectrally normalised, and those of biggan always are"
            )
        if weights.under("G_ema").names:
            weights.ignore("G.*")
        deep = "blocks.0.0.conv4.weight" in part
        blocks = list(takewhile(lambda i: f"blocks.{i}.0.conv1.weight" in part, count()))
        ends = blocks[1::2] if deep else blocks
        widths = [part.shape("blocks.0.0.conv1.weight")[1]]
        widths += [
            part.shape(f"blocks.{i}.0.{'conv4' if deep else 'conv2'}.weight")[0] for i in ends
        ]
        base = find_base(widths)
        if part.shape("linear.weight")[0] != widths[0] * LOWEST**2:
            raise InputError("its first layer does not make maps of 4 x 4 pixels")
        side = LOWEST * 2 ** len(ends)
        shared = part.shape("shared.weight") if "shared.weight" in part else None
        first, inner = part.shape("linear.weight")[1], "blocks.0.0.bn1.gain.weight"
        classes = shared[0] if shared else part.shape(inner)[0]
        piece = part.shape(inner)[1] - shared[1] if shared else 0
        if deep:
            first -= shared[1] if shared else 0
        z_dim = first if deep else first + piece * len(blocks)
        discriminator = None
        if not deep and weights.under("D").names:
            discriminator = _convert_discriminator(weights.under("D"), len(ends))
        return Converted(
            architecture="biggan",
            data=DataSpec(
                shape=(part.shape("output_layer.2.weight")[0], side, side), classes=classes
            ),
            options={
                "z_dim": z_dim,
                "base_channels": base,
                "shared_dim": shared[1] if shared else 0,
                "hierarchical": piece > 0,
                "deep": deep,
                "attention": _find_attention(part, ends),
                "standing_batches": 0,
            },
            generator=_convert_generator(part, widths, deep=deep),
            discriminator=discriminator,
            notes=("batch normalisation has the file's statistics at every truncation",),
        )


def _find_attention(part: ForeignWeights, ends: list[int]) -> int:
    """Return the side of the maps with attention; 0 for none."""
    sides = [
        LOWEST * 2**level
        for level, block in enumerate(ends, 1)
        if f"blocks.{block}.1.theta.weight" in part
    ]
    if len(sides) > 1:
        raise InputError(
            f"it has attention at {', '.join(map(str, sides))} pixels, and biggan at one size alone"
        )
    return sides[0] if sides else 0


def _convert_generator(part: ForeignWeights, widths: list[int], *, deep: bool) -> State:
    state = _take_normalised(part, "linear", "first.0")
    if "shared.weight" in part:
        state["embedding.weight"] = part.take("shared.weight")
    for level in range(len(widths) - 1):
        if deep:
            for i in range(2):
                state |= _take_deep_block(part, 2 * level + i, f"layers.{3 * level + i}", i == 1)
            place = f"blocks.{2 * level + 1}.1", f"layers.{3 * level + 2}"
        else:
            state |= _take_block(part, f"blocks.{level}.0", f"blocks.{level}")
            place = f"blocks.{level}.1", f"attention.{level}"
        state |= _take_attention(part, *place)
    state |= _take_statistics(part, "output_layer.0", "ending.0")
    state["ending.0.weight"] = part.take("output_layer.0.gain")
    state["ending.0.bias"] = part.take("output_layer.0.bias")
    return state | _take_normalised(part, "output_layer.2", "ending.2")


def _take_block(part: ForeignWeights, source: str, target: str) -> State:
    return {
        **_take_norm(part, f"{source}.bn1", f"{target}.first_norm"),
        **_take_normalised(part, f"{source}.conv1", f"{target}.first.2"),
        **_take_norm(part, f"{source}.bn2", f"{target}.second_norm"),
        **_take_normalised(part, f"{source}.conv2", f"{target}.second.1"),
        **_take_normalised(part, f"{source}.conv_sc", f"{target}.shortcut.0"),
    }


def _take_deep_block(part: ForeignWeights, block: int, target: str, doubles: bool) -> State:
    state: State = {}
    for i in range(4):
        source, place = f"blocks.{block}.0", 2 if doubles and i == 1 else 1
        state |= _take_norm(part, f"{source}.bn{i + 1}", f"{target}.norms.{i}")
        state |= _take_normalised(
            part, f"{source}.conv{i + 1}", f"{target}.convolutions.{i}.{place}"
        )
    return state


def _take_attention(part: ForeignWeights, source: str, target: str) -> State:
    """Return the state of attention; of none if there is none."""
    if f"{source}.gamma" not in part:
        return {}
    state = {f"{target}.share": part.take(f"{source}.gamma").reshape(())}
    for theirs, ours in ATTENTION.items():
        state |= _take_normalised(part, f"{source}.{theirs}", f"{target}.{ours}", bias=False)
    return state


def _take_norm(part: ForeignWeights, source: str, target: str) -> State:
    """Return the state of conditional batch normalisation: linear, or with a row of each class."""
    state = _take_statistics(part, source, f"{target}.norm")
    for name in ("gain", "bias"):
        take = _take_normalised if f"{source}.{name}.u0" in part else take_layer
        state |= take(part, f"{source}.{name}", f"{target}.{name}", bias=False)
    return state


def _take_statistics(part: ForeignWeights, source: str, target: str) -> State:
    """Return the statistics of batch normalisation, in one process or in step with others."""
    if f"{source}.bn.running_mean" in part:
        return take_batch_norm(part, f"{source}.bn", target, affine=False)
    return no_batches(target) | {
        f"{target}.running_mean": part.take(f"{source}.stored_mean"),
        f"{target}.running_var": part.take(f"{source}.stored_var"),
    }


def _take_normalised(
    part: ForeignWeights, source: str, target: str, *, name: str = "weight", bias: bool = True
) -> State:
    """Return the state of a layer whose weight is spectrally normalised.

    Before each use, that program goes once from the stored vector to that of the columns and back,
    in evaluation as well. So does this, once and for all.
    """
    import torch.nn.functional as F

    weight = part.take(f"{source}.weight")
    matrix = weight.flatten(1)
    right = F.normalize(part.take(f"{source}.u0") @ matrix)
    left = F.normalize(right @ matrix.T)
    part.ignore(f"{source}.sv0")
    state = normalised_weight(target, weight, left[0], right[0], name)
    if bias:
        state[f"{target}.bias"] = part.take(f"{source}.bias")
    return state


def _convert_discriminator(part: ForeignWeights, halvings: int) -> State:
    """Convert the discriminator of images that the generator doubles so many times."""
    blocks = list(takewhile(lambda i: f"blocks.{i}.0.conv1.weight" in part, count()))
    # Images of 32 pixels are halved twice, and all others as often as the generator doubles them.
    down = 2 if halvings == 3 else halvings
    state: State = {}
    for block in blocks:
        source, target = f"blocks.{block}.0", f"body.{2 * block}"
        for theirs, ours in _discriminator_layers(block, down):
            if f"{source}.{theirs}.weight" in part:
                state |= _take_normalised(part, f"{source}.{theirs}", f"{target}.{ours}")
        state |= _take_attention(part, f"blocks.{block}.1", f"body.{2 * block + 1}")
    state |= _take_normalised(part, "linear", "ending.0")
    return state | _take_normalised(part, "embed", "", name="embedding", bias=False)


def _discriminator_layers(block: int, down: int) -> Iterator[tuple[str, str]]:
    """Return the names of a block's layers, there and here."""
    if block == 0:
        names = ("branch.0", "branch.2", "shortcut.1")
    elif block < down:
        names = ("branch.0.1", "branch.0.3", "shortcut.1")
    else:
        names = ("branch.1", "branch.3", "shortcut")
    return zip(("conv1", "conv2", "conv_sc"), names, strict=True)
