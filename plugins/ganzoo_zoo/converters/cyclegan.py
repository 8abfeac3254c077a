"""CycleGAN's generators, from the files of its authors' code in PyTorch."""

from __future__ import annotations

from typing import Any

from ganzoo import ForeignWeights
from ganzoo_zoo.converters.naming import count
from ganzoo_zoo.converters.translators import Layers, TranslatorConverter

FIRST, BLOCKS = 1, 10
"""Numbers of the first convolution and of the first residual block."""
OWN_BLOCKS = 9
"""Number of the first residual block in the architecture."""
USUAL_SIDE = 256


class CycleGANConverter(TranslatorConverter):
    """Residual generators of one direction, ``latest_net_G_A.pth`` or ``latest_net_G.pth``.

    CycleGAN trains two generators, each of which has a file of its own. One of them is a translator
    of images, which becomes ``pix2pix`` with ``network=resnet``. pix2pix's own residual generators
    are the same.
    """

    loss = "lsgan"

    def recognises(self, weights: ForeignWeights) -> bool:
        """Tell whether the file has a convolution of 7 x 7 and residual blocks of these numbers."""
        first, block = f"model.{FIRST}.weight", f"model.{BLOCKS}.conv_block.1.weight"
        is_named = first in weights and block in weights
        return is_named and weights.shape(first)[2:] == (7, 7)

    def _take(
        self, weights: ForeignWeights, layers: Layers
    ) -> tuple[int, int, int, dict[str, Any]]:
        base, given = weights.shape(f"model.{FIRST}.weight")[:2]
        blocks = count(weights, "model.{}.conv_block.1.weight", BLOCKS)
        behind, own_behind = BLOCKS + blocks, OWN_BLOCKS + blocks
        made = weights.shape(f"model.{behind + 7}.weight")[0]
        layers.find_normalisation(f"model.{FIRST}", f"model.{FIRST + 1}")
        for level in range(3):
            place = 3 * level
            layers.take_normalised(("model", FIRST + place), ("network", place), base * 2**level)
        for block in range(blocks):
            inside, own = f"model.{BLOCKS + block}.conv_block", f"network.{OWN_BLOCKS + block}"
            # Dropout moves the second convolution on.
            second = 5 if f"{inside}.5.weight" in weights else 6
            layers.take_normalised((inside, 1), (f"{own}.branch", 0), 4 * base)
            layers.take_normalised((inside, second), (f"{own}.branch", 3), 4 * base)
        for level, width in enumerate((2 * base, base)):
            layers.take_normalised(
                ("model", behind + 3 * level), ("network", own_behind + 3 * level), width
            )
        layers.take(f"model.{behind + 7}", f"network.{own_behind + 6}")
        options = {"network": "resnet", "base_channels": base, "blocks": blocks}
        return USUAL_SIDE, given, made, options
