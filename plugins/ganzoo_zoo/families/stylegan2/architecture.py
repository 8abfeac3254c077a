"""The architecture of StyleGAN2: its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ganzoo import Architecture, DataSpec, Styles
from ganzoo_zoo.families.stylegan2.recipes import NAMED, PAPER, TUNED

if TYPE_CHECKING:
    from torch import nn

    from ganzoo_zoo.families.stylegan2.networks import Widths


class StyleGAN2(Architecture):
    """StyleGAN2 for images, with the configurations of ADA's authors.

    Karras et al. 2020 (arXiv:1912.04958), configuration F, and 2020 (arXiv:2006.06676), whose
    configurations are recipes by name: ``--recipe auto``, ``cifar10``, ``paper256``, ``paper512``
    and ``paper1024``. The default widths are small ones for computers without a GPU, as in the
    recipe ``tiny``: 1.25 million parameters in the generator and 1.35 million in the discriminator
    at 32 x 32.

    A mapping network turns a latent z into a style w. Each convolution of the synthesis scales its
    channels by an affine map of w, and brings what comes out back to unit variance (section 2.2).
    It adds noise to each pixel, with a learnt strength that begins at 0. Images are a sum over all
    resolutions (section 4.1), each enlarged by the filter [1, 3, 3, 1]. The discriminator is
    residual, and sees the standard deviation of small groups of samples. All learning rates are
    equalised.

    In training, noise is drawn for each sample, and with probability ``mixing`` a batch has the
    styles of two latents, one for the layers below a random one. In evaluation, noise consists of
    fixed maps that the seed of the run chose, the same for all samples;
    :meth:`fix_noise` draws others. Truncation moves styles towards their mean, which training keeps
    track of (Karras et al. 2019, arXiv:1812.04948, section 2.1).

    An image is halved until its shorter side is 4 to 7 pixels, so one class serves 28 x 28, 32, 48,
    64 and so on up to 1024 pixels. Channels follow the power of two that stands at the same level:
    24 pixels, halved twice, have the channels of 16.
    """

    paper = "Karras et al. 2020, arXiv:1912.04958 and arXiv:2006.06676"
    default_loss = "non-saturating"
    default_data = "digits"
    recipe = PAPER
    tuned_recipes = TUNED
    named_recipes = NAMED
    generator_parts = ("w",)
    mixes_batch = property(lambda self: self.group_size > 1)

    z_dim: int = Field(default=128, gt=0, description="Length of a latent; the paper has 512.")
    w_dim: int = Field(default=128, gt=0, description="Length of a style; the paper has 512.")
    channel_base: int = Field(
        default=4096,
        ge=0,
        description="Channels times resolution; the paper has 32768. 0 chooses by resolution: "
        "16384 below 512 pixels, and 32768 from there on.",
    )
    channel_max: int = Field(
        default=128, gt=0, description="Largest number of channels; the paper has 512."
    )
    mapping_layers: int = Field(
        default=2, gt=0, description="Layers of the mapping network; the paper has 8."
    )
    discriminator_form: Literal["residual", "plain"] = Field(
        default="residual",
        description="Whether the discriminator has residual blocks, as in the paper, or plain "
        "ones, as in the configuration for CIFAR-10.",
    )
    group_size: int = Field(
        default=4,
        ge=0,
        description="Samples in a group of the minibatch standard deviation; 0 or 1 for none.",
    )
    mixing: float = Field(
        default=0.9, ge=0, le=1, description="Probability that a training batch mixes styles."
    )
    noise: bool = Field(default=True, description="Whether layers add noise to each pixel.")
    w_average_decay: float = Field(
        default=0.995,
        ge=0,
        lt=1,
        description="Share of the mean style that stays with each training batch.",
    )
    conditional: bool = Field(
        default=False, description="Whether both networks take the classes of samples."
    )
    label_layers: int = Field(
        default=8,
        gt=0,
        description="Layers of the discriminator's mapping network from a class, if it is "
        "conditional; the authors' code has 8.",
    )

    def takes_labels(self, data: DataSpec) -> bool:
        """Tell whether both networks take labels: they do if ``conditional`` is set."""
        return self.conditional

    def generator(self, data: DataSpec) -> nn.Module:
        """Build the generator: latents ``(N, z_dim)`` -> a dict of ``samples`` and ``w``.

        Samples are images ``(N, C, H, W)``, in ``[-1, 1]`` in evaluation mode. Their styles w are
        ``(N, L, w_dim)``, for L = 2 log2(resolution) - 2 layers.
        """
        from ganzoo_zoo.families.stylegan2 import networks

        mapping = networks.Mapping(
            self.z_dim,
            self.w_dim,
            self.mapping_layers,
            classes=data.require_classes() if self.conditional else 0,
            copies=networks.count_styles(data),
            mixing=self.mixing,
            decay=self.w_average_decay,
        )
        synthesis = networks.Synthesis(data, self._widths(), self.w_dim, noise=self.noise)
        return networks.Generator(mapping, synthesis)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)``.

        With independent samples there is no minibatch standard deviation.
        """
        from ganzoo_zoo.families.stylegan2 import networks

        return networks.discriminator(
            data,
            self._widths(),
            residual=self.discriminator_form == "residual",
            group_size=0 if independent_samples else self.group_size,
            classes=data.require_classes() if self.conditional else 0,
            label_layers=self.label_layers,
        )

    def truncate(self, generator: nn.Module, truncation: float) -> nn.Module:
        """Wrap a generator so that its styles lie nearer to their mean.

        Each style becomes mean + truncation (w - mean); from 1 on nothing changes.
        """
        from ganzoo_zoo.families.stylegan2 import networks

        return networks.Truncated(generator, min(truncation, 1.0))

    def styles(self, generator: nn.Module) -> Styles:
        """Return the mapping and the synthesis, with the affine maps of the convolutions.

        Those of the layers that end in an image are omitted, as in Shen and Zhou 2021
        (arXiv:2007.06600).
        """
        from ganzoo_zoo.families.stylegan2 import networks

        return networks.split(generator)

    def fix_noise(self, generator: nn.Module, seed: int) -> None:
        """Draw the noise maps of evaluation again, in place.

        Args:
            generator: A network that :meth:`generator` has built.
            seed: Chooses the maps; the same seed gives the same maps.
        """
        from ganzoo_zoo.families.stylegan2 import networks

        networks.fix_noise(generator, seed)

    def _widths(self) -> Widths:
        from ganzoo_zoo.families.stylegan2.networks import Widths

        return Widths(self.channel_base, self.channel_max)
