"""ProGAN: networks that begin with small images and grow while they train."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pydantic import Field

from ganzoo import Architecture, DataSpec, Progress, Recipe
from ganzoo_zoo.families.tuned import IMAGES

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo_zoo.families.progan import networks


class ProGAN(Architecture):
    """Progressively grown networks for images.

    Karras et al. 2018. Training begins at the lowest resolution, 4 x 4 pixels for the paper's
    sizes. Each level doubles both sides. It is faded in for ``phase_images`` images that the
    discriminator has seen, beside the enlarged image of the level before, and then stays as long
    (section 2); the last level stays for good. Reals are shown like the fakes. A run that ends
    earlier gives a model of the level that it reached. With ``phase_images`` 0 nothing grows.

    The generator (table 2) normalises the latent and the features of each pixel behind every leaky
    ReLU, upsamples by repeating pixels, and ends in a linear layer; only what is sampled is clamped
    to [-1, 1]. The discriminator averages pixels, and adds the standard deviation over groups of
    its batch as a feature (section 3). All layers have an equalised learning rate (section 4.1).
    The average of the generator grows with it.

    An image is halved until its shorter side is 4 to 7 pixels, so one class serves 28 x 28, 32, 48,
    64 and 96 pixels beside the paper's 1024. Channels at a level are ``channel_base`` halved once
    more at each, and at most ``channel_max``.

    Differences from the paper:

    - Images keep the size of the data, enlarged at coarse levels. So a gradient penalty measures
      slopes at the full size, where a coarse pixel counts as several: by its own pixels, the
      discriminator of a level may be twice as steep for each level to come.
    - The batch size is one number. The paper has 16 up to 128 x 128, and less above as memory ends.
    - The authors' code resets Adam at each new level. Here new layers have no state before their
      level begins. With betas of 0 and 0.99 the other layers have no first moment, and their second
      forgets within a few hundred steps, a hundredth of a phase.
    - With ``conditional``, the generator takes the class beside the latent as the paper's does,
      one number for each class. The discriminator's last layer has an output for each class as
      well, of which that of the sample's class is added to the logit (a projection: Miyato and
      Koyama 2018, arXiv:1802.05637, equation 4). The paper trains these outputs to name the class
      instead (Odena et al. 2017, arXiv:1610.09585).
    - In evaluation the discriminator judges each sample alone, by an average of the deviations that
      it saw in training.
    """

    paper = "Karras et al. 2018, arXiv:1710.10196"
    default_loss = "wgan-gp"
    default_data = "digits"
    # The average's 0.999 a step halves in log(1/2) / log(0.999) = 692.8 steps of 16 images.
    recipe = Recipe(
        data="images",
        steps=750_000,
        generator_lr=1e-3,
        discriminator_lr=1e-3,
        betas=(0.0, 0.99),
        eps=1e-8,
        n_critic=1,
        batch_size=16,
        ema_half_life=11_085,
        ema_ramp=0.0,
        settings={
            "arch.z_dim": 512,
            "arch.channel_base": 8192,
            "arch.channel_max": 512,
            "arch.phase_images": 600_000,
            "train.penalty": ["drift"],
        },
        source="Karras et al. 2018, arXiv:1710.10196, appendix A.1, with the authors' phases of "
        "600,000 images and their 12M images in all",
    )
    tuned_recipes = (
        IMAGES.replace(
            loss="wgan-gp",
            steps=3_000,
            generator_lr=3e-3,
            discriminator_lr=3e-3,
            betas=(0.0, 0.99),
            settings={"train.penalty": ["drift"]},
            source="a few trials on the digits",
        ),
    )
    mixes_batch = property(lambda self: self.group_size > 1)

    z_dim: int = Field(default=64, gt=0, description="Length of a latent; the paper has 512.")
    channel_base: int = Field(
        default=256,
        gt=0,
        description="Twice the channels at the lowest resolution, unless channel_max is less; they "
        "halve at each level. The paper has 8192.",
    )
    channel_max: int = Field(
        default=64, gt=0, description="Largest number of channels; the paper has 512."
    )
    phase_images: int = Field(
        default=8_000,
        ge=0,
        description="Images that the discriminator sees while a level is faded in, and as many "
        "while it stays; 0 for networks that do not grow. The authors' code has 600,000.",
    )
    group_size: int = Field(
        default=4,
        ge=0,
        description="Samples in each group whose standard deviation the discriminator sees; 0 or 1 "
        "for none. The authors' code has 4.",
    )
    pixel_bias: bool = Field(
        default=False,
        description="Whether the generator's first layer has a bias for each pixel of its map, as "
        "in pytorch_GAN_zoo, instead of one for each channel, as in the paper.",
    )
    conditional: bool = Field(
        default=False,
        description="Whether both networks take the class of each sample as an input.",
    )

    def takes_labels(self, data: DataSpec) -> bool:
        """Tell whether both networks take labels, as the option says."""
        return self.conditional

    def generator(self, data: DataSpec) -> nn.Module:
        """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)``.

        In evaluation mode they lie in ``[-1, 1]``. At coarse levels each pixel is repeated.
        """
        from ganzoo_zoo.families.progan import networks

        _, *widths = self._widths(data)
        return networks.Generator(
            data, self.z_dim, widths, self._classes(data), pixel_bias=self.pixel_bias
        )

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)``."""
        from ganzoo_zoo.families.progan import networks

        hidden, *widths = self._widths(data)
        group_size = 1 if independent_samples else self.group_size
        return networks.Discriminator(data, widths, hidden, group_size, self._classes(data))

    def discriminator_layers(self, discriminator: nn.Module) -> list[tuple[str, ...]]:
        """Return the layers as a whole network passes through them, the highest level first."""
        levels = range(cast("networks.Growing", discriminator).levels, -1, -1)
        return [("from_image.",), *((f"blocks.{level}.",) for level in levels), ("judge.",)]

    def advance(self, network: nn.Module, progress: Progress) -> None:
        """Grow either network to the level of so many images."""
        growing = cast("networks.Growing", network)
        growing.level, growing.share = self.find_level(progress.images, growing.levels)

    def prepare_real(self, real: Tensor, progress: Progress) -> Tensor:
        """Show reals at the level of the fakes, faded in likewise."""
        from ganzoo_zoo.families.progan import networks

        levels, _, _ = DataSpec(shape=tuple(real.shape[1:])).count_halvings()
        return networks.show_at_level(real, levels, *self.find_level(progress.images, levels))

    def find_level(self, images: int, levels: int) -> tuple[int, float]:
        """Return the level after so many images, and the share by which it is faded in.

        Phases alternate: the lowest level stays, the next is faded in, stays, and so on.

        Args:
            images: Images that the discriminator has seen.
            levels: The last level; the lowest is 0.
        """
        if not self.phase_images:
            return levels, 1.0
        phase, seen = divmod(images, self.phase_images)
        if phase >= 2 * levels:
            return levels, 1.0
        return (phase + 1) // 2, seen / self.phase_images if phase % 2 else 1.0

    def _widths(self, data: DataSpec) -> list[int]:
        """Return the width of the hidden dense layer, and the channels at each level."""
        levels, _, _ = data.count_halvings()
        return [
            max(1, min(self.channel_base // 2**stage, self.channel_max))
            for stage in range(levels + 2)
        ]

    def _classes(self, data: DataSpec) -> int:
        return data.require_classes() if self.conditional else 0
