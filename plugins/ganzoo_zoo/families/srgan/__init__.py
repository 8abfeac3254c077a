"""SRGAN and ESRGAN: larger images from small ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from ganzoo import Architecture, DataSpec, GeneratorInput, Progress, Recipe
from ganzoo.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

PAPERS_BATCH = 16
TUNED = Recipe(
    data="images",
    steps=3_000,
    batch_size=16,
    generator_lr=5e-4,
    discriminator_lr=2e-4,
    betas=(0.9, 0.99),
    lr_decay="cosine",
    lr_decay_from=0.3,
    source="judged by the first minutes of a training, without a search",
)
"""A short training, of which a third is pre-training."""


class _SuperResolution(Architecture):
    """What both generations share: sources that are made, and pre-training by pixels.

    Sources are the images themselves, reduced by antialiased bicubic interpolation, as Matlab's
    ``imresize`` reduces them away from the borders; published PSNR is measured so. Degradations
    beyond that, such as those of Real-ESRGAN, are not made.
    """

    takes_sources = True
    takes_any_size = True
    discriminator_parts = ("features",)
    squares_pixels: ClassVar[bool]
    """Whether the pixel term is the mean squared difference, and not the mean absolute one."""

    scale: Literal[2, 4] = Field(default=4, description="How much larger the images become.")
    base_channels: int = Field(
        default=64,
        gt=0,
        description="Channels of the generator, and of the discriminator at the highest "
        "resolution.",
    )
    residual: bool = Field(
        default=False,
        description="Whether the generator adds what it makes to its source, enlarged by bicubic "
        "interpolation, so that a training begins there; the papers' do not.",
    )
    pretrain_images: int = Field(
        default=16_000,
        ge=0,
        description="Images of the data that the generator is trained on by pixels alone, before "
        "the discriminator begins to learn; 0 for none.",
    )
    pixel_weight: float
    blocks: int

    def make_source(self, samples: Tensor) -> Tensor:
        """Reduce the images by ``scale``."""
        from ganzoo.nn import reduce_bicubic

        _require_images(DataSpec(shape=tuple(samples.shape[1:])))
        return reduce_bicubic(samples, self.scale)

    def is_adversarial(self, progress: Progress) -> bool:
        """Tell whether the generator has been pre-trained."""
        return progress.images >= self.pretrain_images

    def generator_terms(
        self, generator: nn.Module, inputs: GeneratorInput, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Return the difference of pixels: weighted in the game, and all there is before it."""
        plays = inputs.progress is None or self.is_adversarial(inputs.progress)
        weight = self.pixel_weight if plays else self.pixel_weight or 1.0
        if not weight:
            return {}
        away = fake - real
        found = away.square() if self.squares_pixels else away.abs()
        return {"pixel": weight * found.mean()}


class SRGAN(_SuperResolution):
    r"""Enlarges images to 2 or 4 times their height and width.

    Ledig et al. 2017. The generator (SRResNet) has residual blocks at the size of the source, and
    doubles it by sub-pixel convolutions (Shi et al. 2016, arXiv:1609.05158) at its end. The
    discriminator halves its image four times, while channels double up to 512, and ends in a hidden
    dense layer, which the paper has for crops of 96 pixels. Here its size follows from that of the
    images, of 16 pixels or more. Where samples must be judged independently, layer normalisation
    takes the place of batch normalisation.

    The generator minimises ``pixel_weight`` times the mean squared difference of pixels beside the
    adversarial term, whose weight is 1 here. The paper weights content by 1 and the game by 0.001
    (equation 3), so ``pixel_weight`` is 1,000: its SRGAN-MSE. For its VGG features, add the penalty
    ``perceptual`` with weight 6 (0.006 of section 3.2 over 0.001) and set ``pixel_weight`` to 0.
    Before the game, the generator is trained by pixels alone, as the paper does (section 3.2);
    without that, the discriminator wins at once.

    Its samples are clamped to [-1, 1] in evaluation mode, as its last layer is linear.
    """

    paper = "Ledig et al. 2017, arXiv:1609.04802"
    default_loss = "non-saturating"
    default_data = "digits"
    squares_pixels = True
    recipe = Recipe(
        steps=1_200_000,
        batch_size=PAPERS_BATCH,
        generator_lr=1e-4,
        discriminator_lr=1e-4,
        betas=(0.9, 0.999),
        settings={"arch.pretrain_images": 1_000_000 * PAPERS_BATCH},
        source="Ledig et al. 2017, arXiv:1609.04802, section 3.2, without the lower rate of its "
        "last 100,000 steps",
    )
    tuned_recipes = (
        TUNED.replace(
            settings={
                "arch.base_channels": 32,
                "arch.blocks": 6,
                "arch.residual": True,
                # At 1,000, the game of so short a training costs more than bicubic gains.
                "arch.pixel_weight": 10_000.0,
            }
        ),
    )

    blocks: int = Field(default=16, ge=1, description="Residual blocks of the generator.")
    pixel_weight: float = Field(
        default=1000.0,
        ge=0,
        description="Weight of the mean squared difference of pixels in the game, where the "
        "adversarial term has weight 1: the paper's 1 over 0.001.",
    )

    def generator(self, data: DataSpec) -> nn.Module:
        """Build SRResNet: sources ``(N, C, H, W)`` -> images, larger by ``scale``."""
        from ganzoo_zoo.families.srgan import networks

        _require_images(data)
        return networks.SRResNet(
            data.image_channels, self.base_channels, self.blocks, self.scale, adds=self.residual
        )

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the discriminator: images ``(N, C, H, W)`` -> ``logits`` ``(N,)`` and ``features``.

        It mixes a batch in batch normalisation, unless samples must be independent.
        """
        from ganzoo_zoo.families.srgan import networks

        return networks.vgg_discriminator(data, self.base_channels, by_layer=independent_samples)


class ESRGAN(_SuperResolution):
    r"""Enlarges images to 2 or 4 times their height and width, sharper than ``srgan`` does.

    Wang et al. 2018. The generator (RRDBNet) has residual-in-residual dense blocks at the size of
    the source, without normalisation: each branch is scaled by 0.2, and its weights begin at a
    tenth of He's. Each doubling repeats pixels before a convolution. The layers have the names and
    the arithmetic of the published models of ESRGAN and Real-ESRGAN, which work on images in
    [0, 1]: the network converts. At ``scale`` 2 the models of Real-ESRGAN see four pixels at once
    (``pixel_unshuffle``).

    The discriminator is that of ``srgan``, or with ``patches="pixel"`` the U-Net of Real-ESRGAN
    (Wang et al. 2021, arXiv:2107.10833, section 3.3), with spectral normalisation of all layers
    but the first and the last: a logit for each pixel, of images whose sides are multiples of 8.

    The generator minimises ``pixel_weight`` times the mean absolute difference of pixels beside the
    adversarial term, whose weight is 1 here. The paper weights them by 0.01 and 0.005 beside
    perceptual features of weight 1 (equation 3), so ``pixel_weight`` is 2 there, and features have
    the weight 200: ``--penalty perceptual`` with these and with the weights of a VGG is the paper's
    game. Without features, pixels alone must hold the content, so the default is 100. Before the
    game, the generator is trained by pixels alone (section 4.1).

    Its samples are clamped to [-1, 1] in evaluation mode, as its last layer is linear.
    """

    paper = "Wang et al. 2018, arXiv:1809.00219"
    default_loss = "relativistic-average"
    default_data = "digits"
    squares_pixels = False
    recipe = Recipe(
        steps=1_400_000,
        batch_size=PAPERS_BATCH,
        generator_lr=1e-4,
        discriminator_lr=1e-4,
        betas=(0.9, 0.99),
        settings={"arch.pretrain_images": 1_000_000 * PAPERS_BATCH},
        source="Wang et al. 2018, arXiv:1809.00219, section 4.1, without its halved rates",
    )
    tuned_recipes = (
        TUNED.replace(
            generator_lr=4e-4,
            settings={
                "arch.base_channels": 32,
                "arch.growth": 16,
                "arch.blocks": 3,
                "arch.residual": True,
            },
        ),
    )

    blocks: int = Field(
        default=23, ge=1, description="Residual-in-residual dense blocks of the generator."
    )
    growth: int = Field(
        default=32, gt=0, description="Channels that each layer of a dense block adds."
    )
    pixel_unshuffle: bool = Field(
        default=False,
        description="Whether the generator sees squares of pixels as channels, so that it works at "
        "a quarter of the size of its result, as the models of Real-ESRGAN for scale 2 do.",
    )
    patches: Literal["image", "pixel"] = Field(
        default="image",
        description="What the discriminator judges: an image as a whole, by the network of srgan, "
        "or each of its pixels, by Real-ESRGAN's U-Net.",
    )
    pixel_weight: float = Field(
        default=100.0,
        ge=0,
        description="Weight of the mean absolute difference of pixels in the game, where the "
        "adversarial term has weight 1: beside VGG features of weight 200, the paper's 0.01 over "
        "0.005 is 2.",
    )

    @model_validator(mode="after")
    def _check(self) -> ESRGAN:
        if self.pixel_unshuffle and self.scale == 4:
            raise ValueError("pixel_unshuffle is for scale=2: at 4 the source has that size")
        return self

    def generator(self, data: DataSpec) -> nn.Module:
        """Build RRDBNet: sources ``(N, C, H, W)`` -> images, larger by ``scale``."""
        from ganzoo_zoo.families.srgan import networks

        _require_images(data)
        return networks.RRDBNet(
            data.image_channels,
            self.base_channels,
            self.blocks,
            self.growth,
            self.scale,
            unshuffles=self.pixel_unshuffle,
            adds=self.residual,
        )

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the discriminator: images ``(N, C, H, W)`` -> ``logits`` and ``features``.

        There are logits ``(N,)``, or ``(N, H * W)`` of pixels. Only the former mixes a batch, in
        batch normalisation, unless samples must be independent.
        """
        from ganzoo_zoo.families.srgan import networks

        if self.patches == "pixel":
            return networks.unet_discriminator(data, self.base_channels)
        return networks.vgg_discriminator(data, self.base_channels, by_layer=independent_samples)


def _require_images(data: DataSpec) -> None:
    if not data.is_image:
        raise InputError(f"only images can be enlarged, and these are {data.in_words}")
