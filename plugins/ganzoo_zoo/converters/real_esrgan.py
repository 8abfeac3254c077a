"""ESRGAN's and Real-ESRGAN's generators, from the files of their authors and of many others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ganzoo import Converted, Converter, DataSpec, ForeignWeights
from ganzoo.errors import InputError
from ganzoo_zoo.converters.layers import normalised_weight, take_layer, take_vectors
from ganzoo_zoo.converters.naming import Names, count, same, take

if TYPE_CHECKING:
    from torch import Tensor

USUAL_SIDE = 64
"""Height and width of a source; any other serves as well."""


@dataclass(frozen=True)
class Layout:
    """The names of a file's layers."""

    first: str
    dense: str
    """A convolution, by its block, dense block and place."""
    body: str
    ups: tuple[str, ...]
    high: str
    last: str

    def describes(self, weights: ForeignWeights) -> bool:
        """Tell whether a file has the first, a dense and the last convolution of these names."""
        layers = self.first, self.dense.format(0, 1, 1), self.last
        return all(f"{layer}.weight" in weights for layer in layers)

    def count_blocks(self, weights: ForeignWeights) -> int:
        """Return the number of residual-in-residual dense blocks."""
        return count(weights, self.dense.format("{}", 1, 1) + ".weight")

    def name_all(self, blocks: int) -> Names:
        """Return the names of all tensors."""
        layers = {"conv_first": self.first, "conv_body": self.body.format(blocks)}
        for block in range(blocks):
            for dense in range(1, 4):
                for place in range(1, 6):
                    own = f"body.{block}.rdb{dense}.conv{place}"
                    layers[own] = self.dense.format(block, dense, place)
        layers |= {f"conv_up{number}": layer for number, layer in enumerate(self.ups, 1)}
        layers |= {"conv_hr": self.high, "conv_last": self.last}
        return {
            f"{own}.{end}": name
            for own, layer in layers.items()
            for end, name in same(layer).items()
        }


_OLD = "model.0", "model.1.sub.{}.RDB{}.conv{}.0", "model.1.sub.{}"
LAYOUTS = (
    Layout(
        "conv_first",
        "body.{}.rdb{}.conv{}",
        "conv_body",
        ("conv_up1", "conv_up2"),
        "conv_hr",
        "conv_last",
    ),
    Layout(
        "conv_first",
        "RRDB_trunk.{}.RDB{}.conv{}",
        "trunk_conv",
        ("upconv1", "upconv2"),
        "HRconv",
        "conv_last",
    ),
    Layout(*_OLD, ("model.3", "model.6"), "model.8", "model.10"),
    Layout(*_OLD, ("model.3",), "model.5", "model.7"),
)
"""That of BasicSR and Real-ESRGAN; ESRGAN's later one; and its first one, for scale 4 and 2."""


class RealESRGANConverter(Converter):
    """Generators of Real-ESRGAN and ESRGAN, such as ``RealESRGAN_x4plus.pth``, for scale 2 and 4.

    They become ``esrgan``. All three layouts of names are known: BasicSR's, and both of ESRGAN's
    authors. Mean weights, ``params_ema``, come before others. A discriminator of Real-ESRGAN may
    stand beside them. The compact networks, such as ``realesr-general-x4v3``, are others.
    """

    program = "Real-ESRGAN, https://github.com/xinntao/Real-ESRGAN"
    licence = "bsd-3-clause"
    may_pass_on = True

    def recognises(self, weights: ForeignWeights) -> bool:
        """Tell whether the file has residual-in-residual dense blocks, in any of the layouts."""
        part = _find_part(weights)
        return any(layout.describes(part) for layout in LAYOUTS)

    def convert(self, weights: ForeignWeights) -> Converted:
        """Return the generator."""
        part = _find_part(weights)
        layout = next((each for each in LAYOUTS if each.describes(part)), None)
        if layout is None:
            raise InputError(
                "the file has no residual-in-residual dense blocks under known names, for a scale "
                "of 2 or 4"
            )
        channels, given = part.shape(f"{layout.first}.weight")[:2]
        made, blocks = part.shape(f"{layout.last}.weight")[0], layout.count_blocks(part)
        scale, unshuffles = _find_scale(layout, given, made)
        options: dict[str, Any] = {
            "scale": scale,
            "base_channels": channels,
            "blocks": blocks,
            "growth": part.shape(f"{layout.dense.format(0, 1, 1)}.weight")[0],
            "pixel_unshuffle": unshuffles,
        }
        judge = weights.under("discriminator")
        state, judge_state = take(part, layout.name_all(blocks)), None
        if judge.names:
            judge_state = _take_discriminator(judge.find_part("params_ema", "params"), channels)
            options["patches"] = "pixel"
        side = scale * USUAL_SIDE
        if weights.under("params_ema").names:
            weights.ignore("params.*")
        return Converted(
            "esrgan",
            DataSpec(shape=(made, side, side), source=(made, USUAL_SIDE, USUAL_SIDE)),
            state,
            options,
            discriminator=judge_state,
        )


def _find_part(weights: ForeignWeights) -> ForeignWeights:
    return weights.find_part("params_ema", "params")


def _find_scale(layout: Layout, given: int, made: int) -> tuple[int, bool]:
    """Return the scale, and whether squares of pixels become channels first.

    Raises:
        ganzoo.errors.InputError: the architecture has no such network.
    """
    scales = {(1, 2): (4, False), (4, 2): (2, True), (1, 1): (2, False)}
    found = scales.get((given // made, len(layout.ups)))
    if found is None or given % made:
        raise InputError(
            f"the network takes {given} channels, makes {made} and doubles {len(layout.ups)} "
            "times; the architecture esrgan has scales of 2 and 4"
        )
    return found


def _take_discriminator(judge: ForeignWeights, channels: int) -> dict[str, Tensor]:
    """Return the state of Real-ESRGAN's U-Net, whose inner layers are spectrally normalised.

    Raises:
        ganzoo.errors.InputError: it is another network.
    """
    if "conv1.weight_orig" not in judge or judge.shape("conv0.weight")[0] != channels:
        raise InputError(
            "the discriminator is not the U-Net of Real-ESRGAN with as many channels as the "
            f"generator, {channels}"
        )
    state = take_layer(judge, "conv0", "conv0") | take_layer(judge, "conv9", "conv9")
    for number in range(1, 9):
        name = f"conv{number}"
        state |= normalised_weight(name, *take_vectors(judge, name))
    return state
