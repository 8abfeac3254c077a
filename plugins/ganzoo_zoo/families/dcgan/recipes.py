"""Tuned recipes of DCGAN, found on the digits by ``tests/benchmarks/recipes.py``."""

from __future__ import annotations

from ganzoo_zoo.families.tuned import IMAGES, UNROLLED, WITHOUT_PENALTY

TUNED = (
    IMAGES.replace(
        loss="wgan-gp",
        steps=16_000,
        generator_lr=1.5e-3,
        discriminator_lr=1.5e-3,
        lr_decay_from=0.5,
    ),
    IMAGES.replace(loss="r3gan", steps=7_000, settings={"loss.gamma": 0.4}),
    IMAGES.replace(
        loss="wgan", steps=12_000, optimizer="rmsprop", generator_lr=5e-4, discriminator_lr=5e-4
    ),
    UNROLLED.replace(steps=1_500),
    *(IMAGES.replace(loss=loss, steps=12_000, discriminator_lr=1e-4) for loss in WITHOUT_PENALTY),
)
"""For each loss; without a limit on its slope, the discriminator learns more slowly."""
