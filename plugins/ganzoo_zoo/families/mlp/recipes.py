"""Tuned recipes of the multilayer perceptron, found by ``tests/benchmarks/recipes.py``."""

from __future__ import annotations

from ganzoo import Recipe

POINTS = {"arch.z_dim": 2, "arch.hidden": [128, 128, 128, 128]}
"""A narrow latent, and networks deep enough to cut a plane into modes."""


def _on_images(
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
        batch_size=64,
        lr_decay="cosine",
        settings=settings or {},
        source="a search on the digits, tests/benchmarks/recipes.py",
    )


def _on_points(
    loss: str | None,
    steps: int,
    lr: float,
    betas: tuple[float, float],
    settings: dict[str, float] | None = None,
) -> Recipe:
    return Recipe(
        loss=loss,
        data="vectors",
        steps=steps,
        generator_lr=lr,
        discriminator_lr=lr,
        betas=betas,
        batch_size=256,
        lr_decay="cosine",
        settings={**POINTS, **(settings or {})},
        source="a search on ring and grid, tests/benchmarks/recipes.py",
    )


TUNED = (
    _on_images("r3gan", 8_000, 2e-3, 2e-3),
    _on_images("wgan-gp", 8_000, 2e-3, 2e-3),
    _on_images("non-saturating", 15_000, 1e-3, 1e-4),
    _on_images("hinge", 15_000, 1e-3, 1e-4),
    _on_images("lsgan", 15_000, 1e-3, 1e-4),
    _on_images("minimax", 15_000, 1e-3, 1e-4),
    _on_images("wgan", 15_000, 5e-4, 5e-4),
    _on_images("unrolled", 2_000, 1e-3, 1e-4),
    _on_points("r3gan", 6_500, 4e-3, (0.0, 0.9), {"loss.gamma": 0.05}),
    _on_points("wgan-gp", 5_000, 4e-3, (0.0, 0.9), {"loss.gp_weight": 0.1}),
    _on_points(None, 3_000, 2e-3, (0.5, 0.9)),
)
"""For each loss on images, and for points."""
