"""The architecture of BigGAN: its options, and how its generator draws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from ganzoo import Architecture, DataSpec
from ganzoo_zoo.families.biggan.recipes import NAMED, PAPER, TUNED

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ganzoo_zoo.families.biggan.networks import Widths

STANDING_BATCH = 64
"""Samples in each batch that standing statistics are taken of."""


class BigGAN(Architecture):
    """BigGAN's networks for images.

    Brock et al. 2019, appendix B. Both networks consist of residual blocks with spectral
    normalisation of every weight, and have self-attention behind the block of one resolution
    (Zhang et al. 2019, arXiv:1805.08318). The latent is split into a piece for the first layer and
    one for each of the generator's blocks. Gains and biases of a block's batch normalisation are
    linear in its piece and in one learnt embedding of the class for all layers, which alone is not
    normalised. The discriminator has no activation before its first block, sums its last features
    over all pixels, and projects them onto an embedding of the class (Miyato and Koyama 2018,
    arXiv:1802.05637).

    Channels, as multiples of ``base_channels``, from the lowest resolution on in the generator and
    from the highest on in the discriminator, are those of the authors' code, BigGAN-PyTorch,
    and, for 512 pixels, of the paper's table 9:

    | pixels | generator | discriminator |
    | --- | --- | --- |
    | 8 to 63 | 4 in each block | 4 in each block |
    | 64, 96 | 16, 16, 8, 4, 2 | 1, 2, 4, 8, 16 |
    | 128, 192 | 16, 16, 8, 4, 2, 1 | 1, 2, 4, 8, 16, 16 |
    | 256, 384 | 16, 16, 8, 8, 4, 2, 1 | 1, 2, 4, 8, 8, 16, 16 |
    | 512 | 16, 16, 8, 8, 4, 2, 1, 1 | 1, 1, 2, 4, 8, 8, 16, 16 |

    The generator starts from a shorter side of 4 to 7 pixels. From 64 pixels on, the discriminator
    halves an image as often as the generator doubles it, and has one more block. Below, it halves
    while at least 7 pixels are left, twice for 32 pixels, and has two more blocks.

    As the latent's length is the same for all sizes of images, its pieces differ by one number if
    it cannot be split evenly; the default is even for all sizes up to 128 pixels. In the paper's
    figure the first layer sees the class too; here, as in the authors' code, it does not. BigGAN
    is for data with classes. With ``conditional=false`` the gains and biases depend on the pieces
    of the latent alone, which is self-modulation (Chen et al. 2019, arXiv:1810.01365), and without
    ``hierarchical`` on nothing.

    With ``deep`` they are the networks of BigGAN-deep (figure 16 and its tables), with two blocks
    for each resolution instead of one. A block is a bottleneck of four convolutions, whose 3 x 3
    ones have a quarter of its channels, and a shortcut that drops channels in the generator and
    adds some in the discriminator. The latent is not split: the first layer and all blocks see the
    whole latent and the class. The discriminator begins with a convolution. The paper has 128
    ``base_channels`` and a latent of 128 for all sizes.

    Samples are drawn with standing statistics: batch normalisation uses the means and variances of
    batches of samples at the same truncation, drawn from a fixed seed (appendix D).
    """

    paper = "Brock et al. 2019, arXiv:1809.11096"
    default_loss = "hinge"
    default_data = "digits"
    recipe = PAPER
    tuned_recipes = TUNED
    named_recipes = NAMED
    bounds_slope = True

    z_dim: int = Field(
        default=120,
        gt=0,
        description="Length of a latent; the paper has 120 for 128 pixels, 140 for 256, and 160 "
        "for 512.",
    )
    base_channels: int = Field(
        default=16, gt=0, description="The unit of all numbers of channels; the paper has 96."
    )
    shared_dim: int = Field(
        default=128,
        ge=0,
        description="Length of the embedding of a class that all layers share; 0 for a gain and a "
        "bias of each class in each layer. The paper has 128.",
    )
    hierarchical: bool = Field(
        default=True,
        description="Whether each block sees a piece of the latent; else only the first layer sees "
        "it.",
    )
    deep: bool = Field(
        default=False,
        description="Whether the networks are those of BigGAN-deep, with four times as many "
        "convolutions and fewer weights.",
    )
    attention: int | None = Field(
        default=None,
        ge=0,
        description="Shorter side of the feature maps with attention, in pixels; 0 for no "
        "attention, and None for 64 at most and half of the image, if that has 64 pixels or more.",
    )
    conditional: bool = Field(
        default=True,
        description="Whether both networks take the class of each sample as an input.",
    )
    init: Literal["orthogonal", "normal"] = Field(
        default="orthogonal",
        description="How weights are drawn: orthogonal, as in the paper, or from N(0, 0.02).",
    )
    standing_batches: int = Field(
        default=16,
        ge=0,
        description="Batches of 64 samples of which standing statistics are taken; 0 for the "
        "running statistics of the training.",
    )

    @model_validator(mode="after")
    def _check(self) -> BigGAN:
        if self.conditional and self.hierarchical and not self.shared_dim:
            raise ValueError(
                "shared_dim=0 needs hierarchical=false: a layer's own gains of each class see no "
                "latent"
            )
        if self.deep and not self.hierarchical:
            raise ValueError("deep=true needs hierarchical=true: its blocks see the whole latent")
        return self

    def takes_labels(self, data: DataSpec) -> bool:
        """Tell whether both networks take labels, as the option says."""
        return self.conditional

    def generator(self, data: DataSpec) -> nn.Module:
        """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
        from ganzoo_zoo.families.biggan import deep, networks

        if self.deep:
            return deep.generator(
                data,
                self._widths(data),
                z_dim=self.z_dim,
                classes=self._classes(data),
                shared_dim=self.shared_dim,
                init=self.init,
            )
        return networks.generator(
            data,
            self._widths(data),
            z_dim=self.z_dim,
            classes=self._classes(data),
            shared_dim=self.shared_dim,
            hierarchical=self.hierarchical,
            init=self.init,
        )

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)``.

        It never mixes a batch.
        """
        from ganzoo_zoo.families.biggan import deep, networks

        build = deep.discriminator if self.deep else networks.discriminator
        return build(data, self._widths(data), classes=self._classes(data), init=self.init)

    def sampler(
        self,
        generator: nn.Module,
        data: DataSpec,
        *,
        truncation: float | None = None,
        rng: torch.Generator,
    ) -> nn.Module:
        """Return a copy of the generator with standing statistics, for this truncation."""
        if not self.standing_batches:
            return super().sampler(generator, data, truncation=truncation, rng=rng)
        from ganzoo.nn import standing_statistics

        sampler = generator if truncation is None else self.truncate(generator, truncation)
        device = next(generator.parameters()).device
        return standing_statistics(sampler, self._standing_batches(data, rng, device))

    def _standing_batches(
        self, data: DataSpec, rng: torch.Generator, device: torch.device
    ) -> Iterator[tuple[Tensor, ...]]:
        """Draw batches of the generator's arguments, with each class as likely."""
        import torch

        for _ in range(self.standing_batches):
            batch = [self.latents(STANDING_BATCH, rng)]
            if self.conditional:
                classes = data.require_classes()
                batch.append(torch.randint(classes, (STANDING_BATCH,), generator=rng))
            yield tuple(each.to(device) for each in batch)

    def _classes(self, data: DataSpec) -> int | None:
        return data.require_classes() if self.conditional else None

    def _widths(self, data: DataSpec) -> Widths:
        from ganzoo_zoo.families.biggan.networks import Widths

        return Widths.of(data, self.base_channels, self.attention)
