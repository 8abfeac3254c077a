"""Recipes of StyleGAN2: the configurations of its authors, and what is tuned on the digits."""

from __future__ import annotations

from ganzoo import Recipe
from ganzoo_zoo.families.tuned import IMAGES

CODE = "the authors' code of arXiv:2006.06676"
_AUTHORS = Recipe(
    data="images",
    betas=(0.0, 0.99),
    eps=1e-8,
    n_critic=1,
    ema_ramp=0.0,
)
_WIDE = {"arch.channel_max": 512, "arch.z_dim": 512, "arch.w_dim": 512}
_LAZY = {
    "train.penalty": ["r1", "path-length"],
    "penalty.r1.interval": 16,
    "penalty.path-length.interval": 4,
    "penalty.path-length.weight": 2.0,
}


def _configuration(
    images: int, batch_size: int, lr: float, half_life: int, gamma: float, **options: object
) -> Recipe:
    """Return a configuration of the authors, by the numbers of their table."""
    return _AUTHORS.replace(
        steps=images // batch_size,
        batch_size=batch_size,
        generator_lr=lr,
        discriminator_lr=lr,
        ema_half_life=half_life,
        settings={
            **_WIDE,
            **_LAZY,
            "penalty.r1.gamma": gamma,
            **{f"arch.{name}": value for name, value in options.items()},
        },
    )


PAPER = _configuration(
    25_000_000, 32, 2e-3, 10_000, 10.0, channel_base=32_768, mapping_layers=8, group_size=4
).replace(source=f"Karras et al. 2020, arXiv:1912.04958, and {CODE}, configuration stylegan2")
"""Configuration F of the paper."""

_CIFAR10 = _configuration(
    100_000_000,
    64,
    2.5e-3,
    500_000,
    0.01,
    channel_base=32_768,
    mapping_layers=2,
    group_size=32,
    mixing=0.0,
    discriminator_form="plain",
)
_AUTO = _configuration(
    25_000_000, 32, 2.5e-3, 10_000, 0.0002, channel_base=0, mapping_layers=2, group_size=4
)

NAMED = {
    "tiny": _AUTHORS.replace(
        steps=25_000,
        batch_size=32,
        generator_lr=2.5e-3,
        discriminator_lr=2.5e-3,
        ema_half_life=10_000,
        ema_ramp=0.05,
        settings={**_LAZY, "penalty.r1.gamma": 0.0002, "penalty.r1.by_size": True},
        source="the configuration auto with narrow networks, for computers without a GPU",
    ),
    "auto": _AUTO.replace(
        ema_ramp=0.05,
        settings={**_AUTO.settings, "penalty.r1.by_size": True},
        source=f"{CODE}, configuration auto, on one GPU up to 128 x 128",
    ),
    "cifar10": _CIFAR10.replace(
        ema_ramp=0.05,
        settings={
            **{key: value for key, value in _CIFAR10.settings.items() if "path-length" not in key},
            "train.penalty": ["r1"],
        },
        source=f"{CODE}, configuration cifar",
    ),
    "paper256": _configuration(
        25_000_000, 64, 2.5e-3, 20_000, 1.0, channel_base=16_384, mapping_layers=8, group_size=8
    ).replace(source=f"{CODE}, configuration paper256"),
    "paper512": _configuration(
        25_000_000, 64, 2.5e-3, 20_000, 0.5, channel_base=32_768, mapping_layers=8, group_size=8
    ).replace(source=f"{CODE}, configuration paper512"),
    "paper1024": _configuration(
        25_000_000, 32, 2e-3, 10_000, 2.0, channel_base=32_768, mapping_layers=8, group_size=4
    ).replace(source=f"{CODE}, configuration paper1024"),
}
"""The configurations of the authors by their names, and ``tiny``, which is ours."""

TUNED = (
    IMAGES.replace(
        steps=1_500,
        batch_size=16,
        generator_lr=2e-3,
        discriminator_lr=2e-3,
        betas=(0.0, 0.99),
        lr_decay_from=0.5,
        settings={
            "arch.channel_max": 64,
            "arch.mixing": 0.5,
            "train.penalty": ["r1"],
            "penalty.r1.interval": 16,
            "penalty.r1.gamma": 0.5,
        },
        source="trials on the digits",
    ),
)
"""For the digits, within minutes."""
