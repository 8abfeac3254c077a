"""The architecture of R3GAN: its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from ganzoo import Architecture, DataSpec, Recipe
from ganzoo_zoo.families.tuned import IMAGES

if TYPE_CHECKING:
    from torch import nn

    from ganzoo_zoo.families.r3gan.networks import Stages


class R3GAN(Architecture):
    """R3GAN's networks for images, config E.

    Huang et al. 2024, section 3. Each resolution has residual blocks of a 1 x 1 convolution to
    ``expansion`` times the channels, a grouped 3 x 3 convolution, and a 1 x 1 convolution back,
    with leaky ReLU of slope 0.2 between them. Resampling filters by [1, 3, 3, 1] / 8 both ways, as
    in the authors' code, and there is no normalisation.
    The last convolution of each block begins at 0; the others begin L^(-1/4) smaller than in He et
    al. 2015, for L blocks in a network (fix-up: Zhang et al. 2019, arXiv:1901.09321). The generator
    begins with a learned basis at the lowest resolution, of which a linear map of z scales each
    channel, and ends in a linear layer; only what is sampled is clamped to [-1, 1]. The
    discriminator ends in the mirror image of the basis: a weight for each pixel of each channel,
    and a linear map.

    An image is halved until its shorter side is 4 to 7 pixels, so one class serves 28 x 28, 32, 48,
    64, 96 and 128 pixels. Channels double each time up to ``growth`` times ``base_channels``, with
    a 1 x 1 convolution between two widths. The paper's networks for CIFAR-10 have one width,
    ``growth`` 1. Narrow networks need more channels at low resolution, where they cost little,
    because the generator sees z only as a factor for each channel of its basis.

    The paper's recipe is its run on CIFAR-10, with the schedules of the authors' code over 20M
    images. Among them is the probability of their augmentation, that of ADA with cutouts and half
    as many changes of colour, which follows no feedback.

    With ``conditional`` a learnt vector for the class stands beside the latent, and the logit is a
    product of the discriminator's features with another, as in the authors' code. Their networks
    for CIFAR-10 and ImageNet are conditional, and are otherwise the same.
    """

    paper = "Huang et al. 2024, arXiv:2501.05441"
    default_loss = "r3gan"
    default_data = "digits"
    # The authors' code goes on until it is stopped; after 20M images nothing changes any more.
    recipe = Recipe(
        data="images",
        steps=39_063,
        batch_size=512,
        ema_ramp=0.0,
        settings={
            "arch.base_channels": 768,
            "arch.growth": 1,
            "arch.blocks": 2,
            "train.generator_lr": "cosine(2e-4, 5e-5, to=20M images)",
            "train.discriminator_lr": "cosine(2e-4, 5e-5, to=20M images)",
            "train.betas": "cosine([0, 0.9], [0, 0.99], to=20M images)",
            "train.ema_half_life": "cosine(0, 5e6, to=20M images)",
            "loss.gamma": "cosine(0.05, 0.005, to=20M images)",
            "train.augment": ["ada"],
            "augment.ada.parts": ["blit", "geom", "color:0.5", "cutout"],
            "augment.ada.target": None,
            "augment.ada.probability": "cosine(0, 0.55, to=20M images)",
        },
        source="Huang et al. 2024, arXiv:2501.05441, and the authors' code, CIFAR-10",
    )
    tuned_recipes = (
        IMAGES.replace(steps=2_000, settings={"arch.growth": 4, "arch.output": "tanh"}),
    )
    earlier_defaults = {"output": "tanh", "resampling": "bilinear"}

    z_dim: int = Field(default=64, gt=0, description="Length of a latent; the paper has 64.")
    base_channels: int = Field(
        default=16,
        gt=0,
        description="Channels at the highest resolution; the paper has 768 for CIFAR-10.",
    )
    growth: int = Field(
        default=8,
        gt=0,
        description="Largest number of channels, as a multiple of base_channels; channels double "
        "with each halving of the image. The paper has 1 for CIFAR-10.",
    )
    blocks: int = Field(default=1, gt=0, description="Blocks at every resolution; the paper has 2.")
    expansion: int = Field(
        default=2, gt=0, description="Factor by which a block is wider inside; the paper has 2."
    )
    group_size: int = Field(
        default=16,
        gt=0,
        description="Channels in each group of the 3 x 3 convolutions; the paper has 16 for "
        "CIFAR-10, in 96 groups.",
    )

    output: Literal["linear", "tanh"] = Field(
        default="linear",
        description="The generator's end: linear, as in the paper, or tanh, as in early models.",
    )
    resampling: Literal["binomial", "bilinear"] = Field(
        default="binomial",
        description="Filter of up- and downsampling: binomial, which is [1, 3, 3, 1] / 8, as in "
        "the authors' code, or bilinear, as in early models.",
    )
    conditional: bool = Field(
        default=False, description="Whether both networks take the classes of samples."
    )

    @model_validator(mode="after")
    def _check(self) -> R3GAN:
        inside = self.base_channels * self.expansion
        if inside % self.group_size:
            raise ValueError(
                f"base_channels x expansion, {inside}, must be a multiple of group_size, "
                f"{self.group_size}"
            )
        return self

    def takes_labels(self, data: DataSpec) -> bool:
        """Tell whether both networks take labels: they do if ``conditional`` is set."""
        return self.conditional

    def generator(self, data: DataSpec) -> nn.Module:
        """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)``.

        In evaluation mode they lie in ``[-1, 1]``.
        """
        from ganzoo_zoo.families.r3gan import networks

        return networks.generator(
            data, self.z_dim, self._stages(), self.output, classes=self._classes(data)
        )

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)``.

        It never mixes a batch.
        """
        from ganzoo_zoo.families.r3gan import networks

        return networks.discriminator(data, self._stages(), classes=self._classes(data))

    def _classes(self, data: DataSpec) -> int:
        return data.require_classes() if self.conditional else 0

    def _stages(self) -> Stages:
        from ganzoo_zoo.families.r3gan.networks import Stages

        return Stages(
            self.base_channels,
            self.growth,
            self.blocks,
            self.expansion,
            self.group_size,
            self.resampling,
        )
