"""Recipes of StyleGAN2: the configurations of its authors, and what is tuned on the digits."""

from __future__ import annotations

from typing import Any

from ganzoo import Recipe
from ganzoo_zoo.families.tuned import IMAGES

_CODE = "the authors' code of arXiv:2006.06676"
_R1 = {"train.penalty": ["r1"], "penalty.r1.interval": 16}
_BOTH = {
    **_R1,
    "train.penalty": ["r1", "path-length"],
    "penalty.path-length.interval": 4,
    "penalty.path-length.weight": 2.0,
}
_BY_SIZE = {"penalty.r1.gamma": 0.0002, "penalty.r1.by_size": True}
_WIDE = {"arch.channel_max": 512, "arch.z_dim": 512, "arch.w_dim": 512}
_ADA = {"train.augment": ["ada"]}


def _configuration(
    images: int, batch_size: int, lr: float, half_life: int, ramp: float, **settings: Any
) -> Recipe:
    """Return a configuration by the numbers of the authors' table, with both penalties."""
    return Recipe(
        data="images",
        steps=images // batch_size,
        batch_size=batch_size,
        generator_lr=lr,
        discriminator_lr=lr,
        betas=(0.0, 0.99),
        eps=1e-8,
        n_critic=1,
        ema_half_life=half_life,
        ema_ramp=ramp,
        settings={**_BOTH, **settings},
    )


def _paper(
    name: str, batch_size: int, lr: float, half_life: int, gamma: float, *, base: int, group: int
) -> Recipe:
    """Return one of the configurations of the papers: all have 25M images, and map in 8 layers."""
    settings = {
        **_WIDE,
        "arch.channel_base": base,
        "arch.mapping_layers": 8,
        "arch.group_size": group,
        "penalty.r1.gamma": gamma,
    }
    found = _configuration(25_000_000, batch_size, lr, half_life, 0.0, **settings)
    return found.replace(source=f"{_CODE}, configuration {name}")


def _with_ada(recipe: Recipe) -> Recipe:
    return recipe.replace(settings={**recipe.settings, **_ADA})


PAPER = _paper("stylegan2", 32, 2e-3, 10_000, 10.0, base=32_768, group=4).replace(
    source=f"Karras et al. 2020, arXiv:1912.04958, configuration F, by {_CODE}"
)
"""Without ADA, which came later."""

NAMED = {
    "tiny": _configuration(800_000, 32, 2.5e-3, 10_000, 0.05, **_BY_SIZE).replace(
        source="the configuration auto with narrow networks, for computers without a GPU",
    ),
    "auto": _configuration(
        25_000_000,
        32,
        2.5e-3,
        10_000,
        0.05,
        **{**_WIDE, **_BY_SIZE, **_ADA, "arch.channel_base": 0},
    ).replace(source=f"{_CODE}, configuration auto, on one GPU up to 128 x 128"),
    "cifar10": _configuration(100_000_000, 64, 2.5e-3, 500_000, 0.05).replace(
        # Without path length.
        settings={
            **_R1,
            **_WIDE,
            **_ADA,
            "penalty.r1.gamma": 0.01,
            "arch.channel_base": 32_768,
            "arch.group_size": 32,
            "arch.mixing": 0.0,
            "arch.discriminator_form": "plain",
        },
        source=f"{_CODE}, configuration cifar",
    ),
    "paper256": _with_ada(_paper("paper256", 64, 2.5e-3, 20_000, 1.0, base=16_384, group=8)),
    "paper512": _with_ada(_paper("paper512", 64, 2.5e-3, 20_000, 0.5, base=32_768, group=8)),
    "paper1024": _with_ada(_paper("paper1024", 32, 2e-3, 10_000, 2.0, base=32_768, group=4)),
}
"""The configurations of the authors by their names, and ``tiny``, which is ours."""

TUNED = (
    IMAGES.replace(
        steps=3_000,
        generator_lr=5e-3,
        discriminator_lr=5e-3,
        lr_decay_from=0.5,
        betas=(0.0, 0.99),
        settings={
            **_R1,
            "penalty.r1.gamma": 0.2,
            "arch.channel_max": 32,
            "arch.mixing": 0.3,
        },
        source="trials on the digits",
    ),
)
"""For the digits, within minutes."""
