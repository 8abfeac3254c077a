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
    source="a search on the digits, tests/benchmarks/recipes.jsonl",
)

TUNED = (
    _SHARED.replace(
        loss="wgan-gp",
        steps=16_000,
        generator_lr=1.5e-3,
        discriminator_lr=1.5e-3,
        lr_decay_from=0.5,
    ),
    _SHARED.replace(loss="r3gan", steps=7_000, settings={"loss.gamma": 0.4}),
    _SHARED.replace(
        loss="wgan", steps=12_000, optimizer="rmsprop", generator_lr=5e-4, discriminator_lr=5e-4
    ),
    *(
        _SHARED.replace(
            loss=loss, steps=2_000 if loss == "unrolled" else 12_000, discriminator_lr=1e-4
        )
        for loss in WITHOUT_PENALTY
    ),
)
"""For each loss."""
