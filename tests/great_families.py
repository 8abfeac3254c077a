"""The great families, as small as they can be: a line each of what is shown for all of them."""

from dataclasses import dataclass

from ganzoo.resolve import parse_settings


@dataclass(frozen=True)
class Family:
    """A training of a family, with the recipe of its paper.

    Args:
        settings: What makes it tiny, and what it trains with beside the recipe.
        labelled: Whether its networks take classes.
        coded: Whether its latents have codes.
        from_sources: Whether it makes samples from sources, and has no latents.
        in_models: Settings of what is sampled, in place of those of what is trained.
        cosine: Least cosine of the gradients of a step in bf16 and in fp32.
    """

    settings: str
    labelled: bool = False
    coded: bool = False
    from_sources: bool = False
    in_models: str = ""
    cosine: float = 0.99

    @property
    def words(self):
        """Its arguments of the command line."""
        return " ".join(f"--set={each}" for each in self.settings.split())

    def by_name(self, more=""):
        """Return its settings by their full names, with others in their place."""
        given = (parse_settings(each.split()) for each in (self.settings, more))
        return {"train.recipe": "paper"} | next(given) | next(given)


FAMILIES = {
    "stylegan2": Family(
        "data.image_size=8 arch.channel_max=4 arch.z_dim=4 arch.w_dim=4 arch.mapping_layers=1 "
        "arch.conditional=true arch.label_layers=1 "
        "train.penalty=r1,path-length,lecam,latent-consistency penalty.r1.interval=3 "
        "penalty.path-length.decay=0.3 penalty.lecam.decay=0.5 penalty.lecam.weight=3 "
        "train.augment=ada augment.ada.interval=1 augment.ada.speed=40 augment.ada.target=-0.9",
        labelled=True,
    ),
    "progan": Family(
        "data.image_size=16 arch.channel_max=4 arch.z_dim=4 arch.phase_images=24",
        in_models="arch.phase_images=0",
    ),
    "biggan": Family(
        "data.image_size=16 arch.base_channels=2 arch.z_dim=6 arch.shared_dim=3 arch.attention=8 "
        "arch.standing_batches=1",
        labelled=True,
    ),
    "sagan": Family(
        "data.image_size=16 arch.base_channels=2 arch.z_dim=4 arch.attention=8",
        labelled=True,
    ),
    "acgan": Family(
        "data.image_size=8 arch.base_channels=2 arch.discriminator_channels=2 arch.z_dim=4 "
        "train.precision=bf16",
        labelled=True,
    ),
    "infogan": Family(
        "data.image_size=8 arch.base_channels=2 arch.dense=8 arch.z_dim=4",
        coded=True,
    ),
    "pix2pix": Family(
        "data.image_size=8 arch.base_channels=2 arch.source_of=mask arch.conditional=true",
        labelled=True,
        from_sources=True,
        cosine=0.97,
    ),
    "fastgan": Family(
        "data.image_size=16 arch.base_channels=2 arch.z_dim=4 arch.standing_batches=1",
        in_models="arch.base_channels=4",
    ),
}
