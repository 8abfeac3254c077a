"""What the tuned recipes of several families share."""

from __future__ import annotations

from ganzoo import Recipe

IMAGES = Recipe(
    data="images",
    generator_lr=1e-3,
    discriminator_lr=1e-3,
    betas=(0.0, 0.9),
    lr_decay="cosine",
    source="a search on the digits, tests/benchmarks/recipes.jsonl",
)
"""A recipe for images, of which each family changes the length and more."""
WITHOUT_PENALTY = ("non-saturating", "lsgan", "hinge", "minimax")
"""Losses that do not limit the discriminator's slope."""
UNROLLED = IMAGES.replace(loss="unrolled", settings={"loss.base": "wgan-gp"})
"""Unrolling a loss without such a limit, from few images, looks ahead to a discriminator that knows
them by heart: the generator collapses."""
