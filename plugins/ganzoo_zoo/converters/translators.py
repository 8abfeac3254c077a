"""What the converters of image translators share: options, layers and the discriminator."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from ganzoo import Converted, Converter, DataSpec, ForeignWeights
from ganzoo.errors import InputError
from ganzoo.protocols.dataset import ImageSize
from ganzoo_zoo.converters.layers import take_batch_norm, take_layer

if TYPE_CHECKING:
    from torch import Tensor

Statistics: TypeAlias = Literal["instance", "batch"]


class TranslatorConverter(Converter):
    """Base of converters of generators ``..._net_G.pth``, which become ``pix2pix``."""

    program = (
        "pytorch-CycleGAN-and-pix2pix, https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix"
    )
    licence = "bsd-2-clause"
    may_pass_on = True
    loss: ClassVar[str | None] = None
    """Name of the loss, as in :class:`ganzoo.Converted`."""

    statistics: Statistics = Field(
        default="instance",
        description="What batch normalisation uses in samples: instance takes the statistics of "
        "each image, as the authors' test.py does with models that were trained on single images; "
        "batch takes the running ones, as it does with --eval, for models trained on batches.",
    )
    image_size: ImageSize | None = Field(
        default=None,
        description="Height and width of the images, or one number for both; by default what a "
        "U-Net halves down to one pixel, and 256 for other generators.",
    )

    def convert(self, weights: ForeignWeights) -> Converted:
        """Return the generator, and the discriminator if there is one beside it."""
        layers = Layers(weights, self.statistics)
        side, given, made, options = self._take(weights, layers)
        height, width = self.image_size or (side, side)
        judge = Layers(weights.under("discriminator"), layers.statistics)
        if judge.weights.names:
            halvings = _take_discriminator(judge, given + made, options["base_channels"])
            options["patch_layers"] = halvings
        return Converted(
            "pix2pix",
            DataSpec(shape=(made, height, width), source=(given, height, width)),
            layers.state,
            {**options, "norm": layers.statistics},
            discriminator=judge.state or None,
            loss=self.loss,
            notes=tuple(layers.notes),
        )

    @abstractmethod
    def _take(
        self, weights: ForeignWeights, layers: Layers
    ) -> tuple[int, int, int, dict[str, Any]]:
        """Take all layers.

        Returns:
            The usual side of an image, the channels of sources and of images, and options.
        """


class Layers:
    """The layers of a generator, as they are taken.

    Args:
        weights: The file.
        statistics: What batch normalisation is to use.
    """

    def __init__(self, weights: ForeignWeights, statistics: Statistics) -> None:
        self.weights = weights
        self.statistics = statistics
        self.state: dict[str, Tensor] = {}
        self.notes: list[str] = []

    def find_normalisation(self, convolution: str, norm: str) -> None:
        """Find how a generator is normalised, by a convolution and what may follow it.

        Raises:
            ganzoo.errors.InputError: it is not normalised.
        """
        if f"{norm}.weight" in self.weights:
            if self.statistics == "instance":
                self.notes.append(
                    "its batch normalisation uses the statistics of each image, as after a "
                    "training on single images; for one on batches, add --set statistics=batch"
                )
        elif f"{convolution}.bias" in self.weights:
            self.statistics = "instance"
        else:
            raise InputError(
                "this generator has no normalisation, and that of the architecture pix2pix always "
                "has some"
            )

    def take(self, there: str, here: str, *, bias: bool = True) -> None:
        """Take a convolution that no normalisation follows."""
        self.state |= take_layer(self.weights, there, here, bias=bias)

    def take_normalised(self, there: tuple[str, int], here: tuple[str, int], width: int) -> None:
        """Take a convolution and the normalisation behind it.

        Args:
            there: Where the convolution is in the file: a prefix and a number, the normalisation
                having the next one.
            here: The same in the architecture.
            width: Channels that the convolution returns.
        """
        (prefix, place), (own_prefix, own_place) = there, here
        convolution, norm = f"{prefix}.{place}", f"{prefix}.{place + 1}"
        own_norm = f"{own_prefix}.{own_place + 1}"
        weight = self.weights.take(f"{convolution}.weight")
        self.state[f"{own_prefix}.{own_place}.weight"] = weight
        if self.statistics == "batch":
            self.state |= take_batch_norm(self.weights, norm, own_norm)
            return
        for end, usual in (("weight", weight.new_ones), ("bias", weight.new_zeros)):
            has_own = f"{norm}.{end}" in self.weights
            self.state[f"{own_norm}.{end}"] = (
                self.weights.take(f"{norm}.{end}") if has_own else usual(width)
            )
        # Statistics of an image take the mean away, and the bias of a convolution with it.
        self.weights.ignore(f"{convolution}.bias", f"{norm}.running_*", f"{norm}.num_batches*")


def _take_discriminator(layers: Layers, channels: int, width: int) -> int:
    """Take a discriminator of patches, and return how often it halves an image.

    Raises:
        ganzoo.errors.InputError: the architecture has no such discriminator.
    """
    found, judged = layers.weights.shape("model.0.weight")[:2]
    if (found, judged) != (width, channels):
        raise InputError(
            f"the discriminator judges {judged} channels by {found} in its first layer; that of "
            "the architecture pix2pix judges sources and images together, here "
            f"{channels} channels, and begins with as many as the generator, {width}"
        )
    layers.take("model.0", "network.0")
    # Convolution, normalisation and leaky ReLU take turns; behind the last one is nothing.
    places = [place for place in range(2, 30, 3) if f"model.{place}.weight" in layers.weights]
    *normalised, last = places or [2]
    for place in normalised:
        after = layers.weights.shape(f"model.{place}.weight")[0]
        layers.take_normalised(("model", place), ("network", place), after)
    layers.take(f"model.{last}", f"network.{last}")
    return len(normalised)
