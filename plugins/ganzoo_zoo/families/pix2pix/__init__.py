"""pix2pix: images from images, by pairs or from sources that are made (Isola et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import Field

from ganzoo import Architecture, DataSpec, GeneratorInput, Recipe
from ganzoo.errors import InputError
from ganzoo_zoo.families.pix2pix.source_reading import SourceReading

if TYPE_CHECKING:
    from torch import Tensor, nn

SourceKind: TypeAlias = Literal["edges", "grey", "mask", "small"]


class Pix2Pix(Architecture):
    r"""Translation of each source image to its target.

    The discriminator judges patches of both together, with any adversarial loss. The generator also
    minimises

    .. math::
        \lambda \, E[\|y - G(x)\|_1]

    (Isola et al. 2017, equation 4). Sources x belong to the data, or are made of the images y, as
    ``source_of`` says:

    - ``edges``: where the grey level changes most, black on white, after Canny 1986
      (doi:10.1109/TPAMI.1986.4767851) but for his hysteresis;
    - ``grey``: the luma of ITU-R BT.601, so that the generator colours; images without
      transparency keep it;
    - ``mask``: the image with a hole, which the generator fills (Pathak et al. 2016,
      arXiv:1604.07379). The source has four channels: a pixel of which the alpha is at most half is
      unknown, whatever its colour. Known pixels stay as they are;
    - ``small``: the image, shrunk by bicubic interpolation with antialiasing.

    A source that is smaller than its target is first enlarged by bicubic interpolation.

    The generator is a U-Net as in appendix 6.1.1: convolutions halve the image as often as they can
    and transposed ones double it, each beside the features of its size. An image of 256 pixels is
    halved 8 times, down to one pixel, one of 128 pixels 7 times, and one of 32 pixels 5 times. The
    innermost features are not normalised: those of one pixel would vanish. Up to three
    of the widest layers behind them have dropout. Or it is the residual generator of Johnson et
    al. 2016 (arXiv:1603.08155), as in CycleGAN. The discriminator is that of appendix 6.1.2.

    The paper trains on single images in training mode, where batch normalisation is instance
    normalisation, and samples in this mode. Here the default is instance normalisation with a gain
    and a bias of each channel, which is the same in training and in sampling, and for any size of a
    batch. With ``norm=batch``, samples use the running statistics, which suits larger batches. The
    paper also keeps dropout on while sampling, and sees little of it in the results (section 3.2);
    here it is off, so the same source always gives the same sample.

    The paper halves the discriminator's loss to slow it down (section 3.3). Adam makes the same
    steps for half of a loss, so the losses are left as they are.
    """

    paper = "Isola et al. 2017, arXiv:1611.07004"
    default_loss = "non-saturating"
    recipe = Recipe(
        steps=80_000,
        generator_lr=2e-4,
        discriminator_lr=2e-4,
        betas=(0.5, 0.999),
        batch_size=1,
        lr_decay="linear",
        lr_decay_from=0.5,
        ema_half_life=0,
        source="Isola et al. 2017, arXiv:1611.07004, appendix 6.2, 400 facades; the decay is that "
        "of the authors' PyTorch code",
    )
    tuned_recipes = (
        Recipe(
            data="images",
            steps=2_000,
            generator_lr=5e-4,
            discriminator_lr=2e-4,
            betas=(0.5, 0.999),
            batch_size=16,
            lr_decay="linear",
            lr_decay_from=0.5,
            settings={"arch.base_channels": 32},
            source="the paper's, for larger batches of images of 32 to 64 pixels",
        ),
    )
    takes_sources = True
    judges_source = True
    # Instance normalisation is faster on contiguous memory.
    channels_last = property(lambda self: self.norm == "batch")

    network: Literal["unet", "resnet"] = Field(
        default="unet", description="The generator: a U-Net, or CycleGAN's of residual blocks."
    )
    source_of: SourceKind | None = Field(
        default=None,
        description="What sources are made of the images: edges, grey, mask or small; None for the "
        "sources of the data.",
    )
    scale: Literal[2, 4, 8] = Field(
        default=4, description="How many times smaller the sources of source_of=small are."
    )
    mask: Literal["random", "centre"] = Field(
        default="random",
        description="The hole of source_of=mask: a rectangle anywhere, with sides of a quarter to "
        "a half of the image's; or the middle, with half of its sides.",
    )
    edge_threshold: float = Field(
        default=0.08,
        gt=0,
        le=1,
        description="Least change of the grey level from pixel to pixel, of which white is 1, that "
        "is an edge for source_of=edges.",
    )
    base_channels: int = Field(
        default=64, gt=0, description="Channels at the highest resolution, in both networks."
    )
    downs: int | None = Field(
        default=None,
        ge=1,
        description="Halvings of the U-Net; by default as many as the image allows.",
    )
    blocks: int = Field(default=9, ge=0, description="Residual blocks of network=resnet.")
    norm: Literal["instance", "batch"] = Field(
        default="instance",
        description="Normalisation of both networks; samples of batch use running statistics.",
    )
    dropout: float = Field(
        default=0.5, ge=0, lt=1, description="Dropout of the U-Net while it trains; 0 for none."
    )
    biases: bool = Field(
        default=False,
        description="Whether the first and the innermost convolution of the U-Net have biases, as "
        "in the authors' code with instance normalisation.",
    )
    patch_layers: int | None = Field(
        default=None,
        ge=0,
        le=5,
        description="Halvings of the discriminator: 0 judges single pixels, 1 patches of 16, 3 of "
        "70 and 5 of 286 pixels. By default 3, or fewer for at least 4 x 4 patches.",
    )
    l1_weight: float = Field(default=100.0, ge=0, description="Weight of the L1 term.")
    conditional: bool = Field(
        default=False,
        description="Whether both networks take the class of each sample as an input.",
    )

    @property
    def makes_sources(self) -> bool:
        """Whether sources are made from the samples themselves, as the option says."""
        return self.source_of is not None

    def takes_labels(self, data: DataSpec) -> bool:
        """Tell whether both networks take labels, as the option says."""
        return self.conditional

    def source_shape(self, data: DataSpec) -> tuple[int, ...] | None:
        """Return the shape of the source of each sample.

        Raises:
            ganzoo.errors.InputError: the data have no sources, and none can be made.
        """
        if self.makes_sources or data.source is not None:
            return super().source_shape(data)
        size = data.image_size
        if size is not None and size[1] == 2 * size[0]:
            raise InputError(
                "these look like pairs, because each image is twice as wide as high: "
                "--set data.pairs=left-to-right, or right-to-left if the source is the right "
                "half; else, --source-of makes sources of whole images"
            )
        raise InputError(
            "each sample is made from a source, and these data have none; give pairs, "
            "by --set data.pairs=left-to-right if each file holds both side by side, or by "
            "--set data.sources=PATH if sources are files of their own; or make sources of the "
            "images, by --source-of edges, grey, mask or small"
        )

    def make_source(self, samples: Tensor) -> Tensor:
        """Make sources ``(N, *data.source)`` of images ``(N, C, H, W)``.

        Raises:
            ganzoo.errors.InputError: none can be made of such samples.
        """
        from ganzoo.nn import reduce_bicubic
        from ganzoo_zoo.families.pix2pix import made_sources

        if samples.dim() != 4:
            raise InputError("sources are made of images, and these samples are vectors")
        if self.source_of == "edges":
            return made_sources.find_edges(samples, self.edge_threshold)
        if self.source_of == "grey":
            return made_sources.take_colour(samples)
        if self.source_of == "mask":
            return made_sources.cut_hole(samples, is_central=self.mask == "centre")
        if self.source_of == "small":
            return reduce_bicubic(samples, self.scale)
        return super().make_source(samples)

    def generator(self, data: DataSpec) -> nn.Module:
        """Build the generator: sources ``(N, *data.source)`` -> images ``(N, C, H, W)``.

        Both are in ``[-1, 1]``.
        """
        from ganzoo_zoo.families.pix2pix import networks

        if self.network == "unet":
            return networks.unet_generator(
                data,
                self._reading(data),
                self.base_channels,
                self.downs,
                self.norm,
                self.dropout,
                biases=self.biases,
            )
        return networks.resnet_generator(
            data, self._reading(data), self.base_channels, self.blocks, self.norm
        )

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the discriminator: images ``(N, C, H, W)``, sources -> logits ``(N, P)``.

        There is a logit for each of P patches. With ``independent_samples`` normalisation is that
        of instances.
        """
        from ganzoo_zoo.families.pix2pix import networks

        norm = "instance" if independent_samples else self.norm
        return networks.discriminator(
            data, self._reading(data), self.base_channels, self.patch_layers, norm
        )

    def generator_terms(
        self, generator: nn.Module, inputs: GeneratorInput, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Return the weighted mean absolute difference of fakes to their targets."""
        if not self.l1_weight:
            return {}
        return {"l1": self.l1_weight * (fake.float() - real).abs().mean()}

    def _reading(self, data: DataSpec) -> SourceReading:
        classes = data.require_classes() if self.conditional else None
        return SourceReading(
            classes, has_hole=self.source_of == "mask", is_luma=self.source_of == "grey"
        )
