"""CycleGAN: translation between two unpaired sets of images (Zhu et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Architecture, DataSpec, GeneratorInput, Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn


class CycleGAN(Architecture):
    r"""Translation between two classes of images, without pairs.

    Two generators, one to each class, and a patch discriminator for each, with any adversarial
    loss. The generators also minimise

    .. math::
        \lambda_{cycle} E[\|G'(G(x)) - x\|_1] + \lambda_{identity} E[\|G(y) - y\|_1]

    over both directions (Zhu et al. 2017, equation 2 and section 5.2). The networks are those of
    its appendix 7.2: generators of 7 x 7, strided, residual and transposed convolutions, 70 x 70
    PatchGAN discriminators, and instance normalisation. Discriminators are shown a pool of 50
    earlier fakes (section 4). All terms are means over both directions; the paper adds the two.

    The paper's lambda is 10, against a least-squares term of weight 1. The generator's term of the
    loss ``lsgan`` has weight 1/2, so both weights are halved here too, and the game is the paper's.
    With a loss whose term is whole, such as ``hinge``, 10 and 5 are the paper's balance.
    """

    paper = "Zhu et al. 2017, arXiv:1703.10593"
    default_loss = "lsgan"
    # A batch holds one image of each class.
    recipe = Recipe(
        generator_lr=2e-4,
        discriminator_lr=2e-4,
        betas=(0.5, 0.999),
        batch_size=2,
        lr_decay="linear",
        lr_decay_from=0.5,
        source="Zhu et al. 2017, arXiv:1703.10593, section 4, without its 200 epochs",
    )
    takes_images = True
    # Instance normalisation and reflection padding are faster on contiguous memory.
    channels_last = False

    base_channels: int = Field(
        default=64, gt=0, description="Channels at the highest resolution, in both networks."
    )
    blocks: int | None = Field(
        default=None,
        ge=0,
        description="Residual blocks of a generator; by default 6, or 9 from 256 pixels on.",
    )
    cycle_weight: float = Field(
        default=5.0,
        ge=0,
        description="Weight of the cycle consistency: the paper's 10, halved as lsgan's term is.",
    )
    identity_weight: float = Field(
        default=2.5,
        ge=0,
        description="Weight of the identity term, which the paper has for paintings only: its 5, "
        "halved as lsgan's term is.",
    )
    pool_size: int = Field(
        default=50,
        ge=0,
        description="Earlier fakes of each class to show to the discriminator; 0 for none.",
    )

    def generator(self, data: DataSpec) -> nn.Module:
        """Build the generator: images ``(N, C, H, W)`` and target classes -> images.

        Both are in ``[-1, 1]``.
        """
        from ganzoo_zoo.families.cyclegan import networks

        return networks.generator(data, self.base_channels, self.blocks)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the discriminator: images ``(N, C, H, W)`` and their classes -> logits ``(N, P)``.

        There is a logit for each of P patches. Instance normalisation never mixes a batch.
        """
        from ganzoo_zoo.families.cyclegan import networks

        return networks.discriminator(data, self.base_channels)

    def discriminator_layers(self, discriminator: nn.Module) -> list[tuple[str, ...]]:
        """Return the layers of both discriminators side by side."""
        layers = super().discriminator_layers(discriminator)
        half = len(layers) // 2
        return [one + other for one, other in zip(layers[:half], layers[half:], strict=True)]

    def generator_terms(
        self, generator: nn.Module, inputs: GeneratorInput, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Return the weighted cycle consistency and identity terms, mean absolute differences."""
        terms = {}
        if self.cycle_weight:
            back = generator(fake, inputs.source_labels)
            terms["cycle"] = self.cycle_weight * (back.float() - inputs.given).abs().mean()
        if self.identity_weight:
            same = generator(real, inputs.labels)
            terms["identity"] = self.identity_weight * (same.float() - real).abs().mean()
        return terms

    def history(self, data: DataSpec) -> nn.Module | None:
        """Build the pool of earlier fakes, unless ``pool_size`` is 0."""
        from ganzoo_zoo.families.cyclegan.networks import ImagePool

        return ImagePool(self.pool_size, data) if self.pool_size else None
