"""Tuned recipes of the multilayer perceptron, found by ``tests/benchmarks/recipes.py``."""

from __future__ import annotations

from ganzoo import Recipe
from ganzoo_zoo.families.tuned import IMAGES, UNROLLED, WITHOUT_PENALTY

_IMAGES = IMAGES.replace(steps=8_000, generator_lr=2e-3, discriminator_lr=2e-3, batch_size=64)
# Without a limit on its slope, the discriminator would learn the samples by heart.
_AUGMENTED = {"train.augment": ["translation", "color"]}
_POINTS = Recipe(
    data="points",
    steps=3_000,
    generator_lr=2e-3,
    discriminator_lr=2e-3,
    betas=(0.5, 0.9),
    batch_size=256,
    lr_decay="cosine",
    # A narrow latent, and networks that are deep enough to cut a plane into modes.
    settings={"arch.z_dim": 2, "arch.hidden": [128, 128, 128, 128]},
    source="a search on ring and grid, tests/benchmarks/recipes.jsonl",
)
_STEEP = _POINTS.replace(generator_lr=4e-3, discriminator_lr=4e-3, betas=(0.0, 0.9))

# Tables and signals have more numbers than points, and so need more latents.
_ROWS = Recipe(
    steps=5_000,
    generator_lr=1e-3,
    discriminator_lr=1e-3,
    betas=(0.5, 0.9),
    batch_size=128,
    lr_decay="cosine",
    source="trials on a table and on sine waves",
)
_ROWS_R3GAN = _ROWS.replace(loss="r3gan", settings={"loss.gamma": 0.05})

TUNED = (
    _IMAGES.replace(loss="r3gan"),
    _IMAGES.replace(loss="wgan-gp"),
    _IMAGES.replace(
        loss="wgan",
        steps=12_000,
        optimizer="rmsprop",
        generator_lr=1e-3,
        discriminator_lr=1e-3,
        settings={"loss.clip": 0.05},
    ),
    UNROLLED.replace(steps=3_000, batch_size=64),
    *(
        _IMAGES.replace(
            loss=loss,
            steps=12_000,
            generator_lr=1e-3,
            discriminator_lr=3e-4,
            settings=_AUGMENTED,
        )
        for loss in WITHOUT_PENALTY
    ),
    _STEEP.replace(loss="r3gan", steps=6_500, settings={**_POINTS.settings, "loss.gamma": 0.05}),
    _STEEP.replace(
        loss="wgan-gp", steps=5_000, settings={**_POINTS.settings, "loss.gp_weight": 0.1}
    ),
    _POINTS,
    *(each.replace(data=kind) for kind in ("vectors", "signals") for each in (_ROWS_R3GAN, _ROWS)),
)
"""For each loss on images, for points, and for rows of tables and signals."""
