"""Tuned recipes of DCGAN, found on the digits by ``tests/benchmarks/recipes.py``."""

from __future__ import annotations

from ganzoo import Recipe


def _recipe(
    loss: str,
    steps: int,
    generator_lr: float,
    discriminator_lr: float,
    settings: dict[str, float] | None = None,
) -> Recipe:
    return Recipe(
        loss=loss,
        data="images",
        steps=steps,
        generator_lr=generator_lr,
        discriminator_lr=discriminator_lr,
        betas=(0.0, 0.9),
        lr_decay="cosine",
        settings=settings or {},
        source="a search on the digits, tests/benchmarks/recipes.py",
    )


TUNED = (
    _recipe("wgan-gp", 10_000, 2e-3, 2e-3),
    _recipe("r3gan", 8_000, 1e-3, 1e-3, {"loss.gamma": 0.2}),
    _recipe("non-saturating", 8_000, 1e-3, 1e-4),
    _recipe("hinge", 8_000, 1e-3, 1e-4),
    _recipe("lsgan", 8_000, 1e-3, 1e-4),
    _recipe("minimax", 8_000, 1e-3, 1e-4),
    _recipe("wgan", 8_000, 5e-4, 5e-4),
    _recipe("unrolled", 1_500, 1e-3, 1e-4),
)
"""For each loss; the discriminator learns more slowly where nothing else limits its slope."""
