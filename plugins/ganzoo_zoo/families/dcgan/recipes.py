"""Tuned recipes of DCGAN, found on the digits by ``tests/benchmarks/recipes.py``."""

from __future__ import annotations

from ganzoo import Recipe

WITHOUT_PENALTY = ("non-saturating", "lsgan", "hinge", "minimax", "unrolled")
"""Losses that do not limit the discriminator's slope, which then learns more slowly."""

_SHARED = Recipe(
    data="images",
    generator_lr=1e-3,
    discriminator_lr=1e-3,
    betas=(0.0, 0.9),
    lr_decay="cosine",
    source="a search on the digits, tests/benchmarks/recipes.py",
)

TUNED = (
    _SHARED.but(loss="wgan-gp", steps=10_000, generator_lr=2e-3, discriminator_lr=2e-3),
    _SHARED.but(loss="r3gan", steps=7_000, settings={"loss.gamma": 0.4}),
    _SHARED.but(
        loss="wgan", steps=12_000, optimizer="rmsprop", generator_lr=5e-4, discriminator_lr=5e-4
    ),
    *(
        _SHARED.but(loss=loss, steps=2_000 if loss == "unrolled" else 12_000, discriminator_lr=1e-4)
        for loss in WITHOUT_PENALTY
    ),
)
"""For each loss."""
