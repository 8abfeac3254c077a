"""R3GAN's networks, from the files of its authors' code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganzoo import Converted, Converter, DataSpec, ForeignWeights
from ganzoo.errors import InputError
from ganzoo_zoo.converters.naming import (
    Names,
    below,
    count,
    same,
    sequence,
    take,
    take_binomial_filters,
)

if TYPE_CHECKING:
    from torch import Tensor

BASIS = "MainLayers.0.Layers.0.Basis"
SCALES = "MainLayers.0.Layers.0.LinearLayer.weight"
TO_IMAGES = "AggregationLayer.Layer.weight"
EMBEDDING = "EmbeddingLayer.weight"


class R3GANConverter(Converter):
    """Snapshots ``network-snapshot-....pkl`` of R3GAN's authors, or a state dict of a generator.

    The networks are those of the architecture ``r3gan``. A snapshot holds the generator's mean
    weights, ``G_ema``, and the discriminator, ``D``.
    """

    program = "R3GAN, https://github.com/brownvc/R3GAN"

    def recognises(self, weights: ForeignWeights) -> bool:
        """Tell whether the file has a learnt basis and a last convolution of R3GAN's names."""
        generator = _find_generator(weights)
        return BASIS in generator and TO_IMAGES in generator

    def convert(self, weights: ForeignWeights) -> Converted:
        """Return the generator of the mean weights, and the discriminator if there is one."""
        generator = _find_generator(weights)
        discriminator = weights.under("D").find_part("Model")
        stages = count(generator, "MainLayers.{}.Layers.1.LinearLayer1.Layer.weight")
        options, classes = _find_options(generator, stages)
        side = 4 * 2 ** (stages - 1)
        layers = _generator_layers(generator, stages, options["blocks"])
        found = Converted(
            "r3gan",
            DataSpec(shape=(generator.shape(TO_IMAGES)[0], side, side), classes=classes),
            _take_network(generator, layers),
            options,
            discriminator=_take_discriminator(discriminator, stages, options["blocks"]),
        )
        weights.ignore("G.*", "augment_pipe.*")
        return found


def _find_generator(weights: ForeignWeights) -> ForeignWeights:
    return weights.find_part("G_ema.Model", "G_ema", "Model")


def _find_options(generator: ForeignWeights, stages: int) -> tuple[dict[str, Any], int | None]:
    """Return the options of the architecture, and the number of classes.

    Raises:
        ganzoo.errors.InputError: the architecture has no such networks.
    """
    channels, blocks = [], set()
    for stage in range(stages):
        layers = f"MainLayers.{stage}.Layers."
        inside, before = generator.shape(f"{layers}1.LinearLayer1.Layer.weight")[:2]
        grouped = generator.shape(f"{layers}1.LinearLayer2.Layer.weight")[1]
        number = count(generator, layers + "{}.LinearLayer1.Layer.weight", 1)
        channels.append(before)
        blocks.add((number, inside / before, grouped))
    base, growth = channels[-1], channels[0] // channels[-1]
    if len(blocks) > 1 or channels[::-1] != [base * min(2**i, growth) for i in range(stages)]:
        widths = ", ".join(map(str, channels))
        raise InputError(
            f"the architecture r3gan has no stages of {widths} channels with these blocks: its "
            "channels double with each halving of the image, up to a limit, and all its stages are "
            "built alike"
        )
    number, expansion, group_size = blocks.pop()
    options = {
        "z_dim": generator.shape(SCALES)[1],
        "base_channels": base,
        "growth": growth,
        "blocks": number,
        "expansion": int(expansion),
        "group_size": group_size,
    }
    if EMBEDDING not in generator:
        return options, None
    width, classes = generator.shape(EMBEDDING)
    z_dim = options["z_dim"] - width
    if z_dim != width:
        raise InputError(
            f"the embedding of a class has {width} numbers and a latent has {z_dim}; in the "
            "architecture r3gan they are as many"
        )
    return {**options, "z_dim": z_dim, "conditional": True}, classes


def _block_names(stage: int, place: int) -> Names:
    layers = f"MainLayers.{stage}.Layers.{place}."
    return below(
        "branch",
        {
            "0.weight": f"{layers}LinearLayer1.Layer.weight",
            "0.bias": f"{layers}NonLinearity1.Bias",
            "2.weight": f"{layers}LinearLayer2.Layer.weight",
            "2.bias": f"{layers}NonLinearity2.Bias",
            "4.weight": f"{layers}LinearLayer3.Layer.weight",
        },
    )


def _transition_names(part: ForeignWeights, stage: int, place: int) -> Names:
    """Return the names of a convolution from one width to another, if they differ."""
    layer = f"MainLayers.{stage}.Layers.{place}.LinearLayer.Layer"
    return same(layer, "weight") if f"{layer}.weight" in part else {}


def _generator_layers(part: ForeignWeights, stages: int, blocks: int) -> list[Names]:
    layers: list[Names] = [{"patterns": BASIS, "scales.weight": SCALES}]
    for stage in range(stages):
        if stage:
            layers += [_transition_names(part, stage, 0), {}]
        layers += [_block_names(stage, 1 + block) for block in range(blocks)]
    return [*layers, {"weight": TO_IMAGES}]


def _take_discriminator(part: ForeignWeights, stages: int, blocks: int) -> dict[str, Tensor] | None:
    if not part.names:
        return None
    layers: list[Names] = [same("ExtractionLayer.Layer", "weight")]
    for stage in range(stages):
        layers += [_block_names(stage, block) for block in range(blocks)]
        if stage < stages - 1:
            layers += [{}, _transition_names(part, stage, blocks)]
    last = f"MainLayers.{stages - 1}.Layers.{blocks}"
    layers += [same(f"{last}.Basis", "weight"), {}, same(f"{last}.LinearLayer", "weight")]
    return _take_network(part, layers)


def _take_network(part: ForeignWeights, layers: list[Names]) -> dict[str, Tensor]:
    take_binomial_filters(part, ".Resampler.Kernel")
    if EMBEDDING not in part:
        return take(part, sequence(layers))
    embedding = part.take(EMBEDDING).t().contiguous()
    return {**take(part, below("body", sequence(layers))), "embedding.weight": embedding}
