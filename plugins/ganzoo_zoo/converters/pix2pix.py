"""pix2pix's U-Nets, from the files of its authors' code in PyTorch."""

from __future__ import annotations

from typing import Any

from ganzoo import ForeignWeights
from ganzoo.errors import InputError
from ganzoo_zoo.converters.translators import Layers, TranslatorConverter

OUTER = "model.model"
WIDEST = 8
"""The widest layers have this many times the channels of the first one."""


class Pix2PixConverter(TranslatorConverter):
    """U-Nets ``latest_net_G.pth`` of pix2pix's authors, for images of 128, 256 or other sizes."""

    def recognises(self, weights: ForeignWeights) -> bool:
        """Tell whether the file has the outer convolutions of a U-Net, and one within."""
        names = f"{OUTER}.0.weight", f"{OUTER}.1.model.1.weight", f"{OUTER}.3.weight"
        return all(name in weights for name in names)

    def _take(
        self, weights: ForeignWeights, layers: Layers
    ) -> tuple[int, int, int, dict[str, Any]]:
        base, given = weights.shape(f"{OUTER}.0.weight")[:2]
        made = weights.shape(f"{OUTER}.3.weight")[1]
        levels = _find_levels(weights)
        downs = len(levels) + 1
        widths = [base, *(weights.shape(f"{level}.1.weight")[0] for level in levels)]
        if widths != [base * min(2**i, WIDEST) for i in range(downs)]:
            raise InputError(
                f"this U-Net has {', '.join(map(str, widths))} channels; those of the architecture "
                f"pix2pix double with each halving of the image, up to {WIDEST} times the first"
            )
        layers.find_normalisation(f"{levels[0]}.1", f"{levels[0]}.2")
        biases = f"{OUTER}.0.bias" in weights
        layers.take(f"{OUTER}.0", "network.encoder.0.0", bias=biases)
        for depth, level in enumerate(levels, 1):
            encoder, decoder = f"network.encoder.{depth}", f"network.decoder.{downs - 1 - depth}"
            if level == levels[-1]:
                layers.take(f"{level}.1", f"{encoder}.0", bias=biases)
            else:
                layers.take_normalised((level, 1), (encoder, 0), widths[depth])
            behind = 3 if level == levels[-1] else 5
            layers.take_normalised((level, behind), (decoder, 1), widths[depth - 1])
        layers.take(f"{OUTER}.3", f"network.decoder.{downs - 1}.1")
        layers.notes.append(
            "the authors' test.py leaves dropout on, so that its samples differ a little each "
            "time; here it is off"
        )
        options = {"base_channels": base, "downs": downs, "biases": biases}
        return 2**downs, given, made, options


def _find_levels(weights: ForeignWeights) -> list[str]:
    """Return the prefixes of the parts that lie within each other, without the outermost."""
    levels = [f"{OUTER}.1.model"]
    while f"{levels[-1]}.3.model.1.weight" in weights:
        levels.append(f"{levels[-1]}.3.model")
    return levels
