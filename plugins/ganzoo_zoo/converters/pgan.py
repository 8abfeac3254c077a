"""Generators of pytorch_GAN_zoo's PGAN."""

from __future__ import annotations

import math
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any

from ganzoo import Converted, Converter, DataSpec, ForeignWeights
from ganzoo.errors import InputError

if TYPE_CHECKING:
    from ganzoo_zoo.converters.layers import State

LOWEST = 4
"""Height and width of the first map."""
USUAL = {
    "alpha": (0,),
    "leakyReluLeak": (0.2,),
    "perChannelNormalization": (True,),
    "equalizedlR": (True,),
    "categoryVectorDim": (0,),
    "lossCriterion": ("WGANGP", "Logistic"),
}
"""Values of the file's configuration with which its generator is that of ``progan``."""


class PGAN(Converter):
    """The progressive GAN of pytorch_GAN_zoo: its averaged generator, grown to its last level.

    It becomes ``progan`` with ``phase_images`` 0, so that it draws at full size. The constant of
    the equalised learning rate scales a layer's bias as well there, and the first layer has a bias
    for each pixel. The discriminator is not converted: its deviations are of other groups.
    """

    program = "pytorch_GAN_zoo, https://github.com/facebookresearch/pytorch_GAN_zoo"
    licence = "bsd-3-clause"
    may_pass_on = True

    def recognises(self, weights: ForeignWeights) -> bool:
        """Tell whether there are the first layers of its generator."""
        part = weights.find_part("avgG", "netG")
        names = ("formatLayer", "groupScale0.0", "toRGBLayers.0")
        return all(_find_name(part, name) for name in names)

    def convert(self, weights: ForeignWeights) -> Converted:
        """Convert the generator, of which the averaged one is preferred."""
        for name, usual in USUAL.items():
            found = weights.value(f"config.{name}")
            if found is not None and found not in usual:
                raise InputError(
                    f"its configuration has {name}={found}, and progan is as with {usual[0]}"
                )
        part = weights.find_part("avgG", "netG")
        weights.ignore("netD.*", "tmp.*", *(["netG.*"] if weights.under("avgG").names else []))
        scales = list(takewhile(lambda s: _find_name(part, f"scaleLayers.{s}.0"), count()))
        convolutions = ["groupScale0.0", *(f"scaleLayers.{s}.1" for s in scales)]
        widths = [part.shape(f"{_require(part, name)}weight")[0] for name in convolutions]
        first, colours = (
            part.shape(f"{_require(part, name)}weight") for name in ("formatLayer", "toRGBLayers.0")
        )
        if first[0] != widths[0] * LOWEST**2:
            raise InputError(
                f"the first layer makes {first[0]:,} numbers, which are not {widths[0]:,} maps of "
                "4 x 4 pixels"
            )
        side = LOWEST * 2 ** len(scales)
        return Converted(
            architecture="progan",
            data=DataSpec(shape=(colours[0], side, side)),
            options={
                "z_dim": first[1],
                "phase_images": 0,
                "pixel_bias": True,
                **_find_widths(widths),
            },
            generator=_convert_generator(part, widths),
            notes=(
                "samples are clamped to [-1, 1], as that program does when it shows them",
                "the weights are those of the averaged generator"
                if weights.under("avgG").names
                else "the file has no averaged generator; the weights are those of the last step",
            ),
        )


def _find_widths(widths: list[int]) -> dict[str, Any]:
    """Return the options for the channels of the levels, the lowest first."""
    most = widths[0]
    base = widths[-1] * 2 ** len(widths)
    if widths != [min(base // 2 ** (level + 1), most) for level in range(len(widths))]:
        raise InputError(
            f"its levels have {', '.join(map(str, widths))} channels; progan's are those of the "
            "lowest level up to some level, and halve from there on"
        )
    return {"channel_max": most, "channel_base": base}


def _convert_generator(part: ForeignWeights, widths: list[int]) -> State:
    stem = _take(part, "formatLayer", "dense", weight_factor=LOWEST)
    state = {
        "blocks.0.dense.weight": stem["dense.weight"],
        "blocks.0.bias": stem["dense.bias"].unflatten(0, (widths[0], LOWEST, LOWEST)),
        **_take(part, "groupScale0.0", "blocks.0.convolution"),
    }
    for level in range(len(widths)):
        # The last layer's gain is 1 here, and there the square root of 2 as for all others.
        state |= _take(
            part, f"toRGBLayers.{level}", f"to_image.{level}", weight_factor=math.sqrt(2)
        )
        for i, name in enumerate(("first", "second") if level else ()):
            state |= _take(part, f"scaleLayers.{level - 1}.{i}", f"blocks.{level}.{name}")
    return state


def _take(part: ForeignWeights, source: str, target: str, weight_factor: float = 1.0) -> State:
    """Return the state of a layer, whose constant scales the bias there and not here."""
    name = _require(part, source)
    weight, bias = part.take(f"{name}weight"), part.take(f"{name}bias")
    constant = math.sqrt(2 / weight[0].numel())
    return {f"{target}.weight": weight * weight_factor, f"{target}.bias": bias * constant}


def _find_name(part: ForeignWeights, layer: str) -> str | None:
    """Return what the names of a layer's tensors begin with: older files have no ``module``."""
    forms = (f"{layer}.module.", f"{layer}.")
    return next((form for form in forms if f"{form}weight" in part), None)


def _require(part: ForeignWeights, layer: str) -> str:
    return _find_name(part, layer) or f"{layer}.module."
