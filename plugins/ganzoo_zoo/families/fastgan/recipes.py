"""Recipes of FastGAN: the paper's, and short ones for narrow networks on a processor."""

from __future__ import annotations

from ganzoo import Recipe
from ganzoo_zoo.families.tuned import IMAGES

_SETTINGS = {
    "train.augment": ["color", "translation"],
    "train.penalty": ["reconstruction"],
    "train.reuse_fakes": True,
}
PAPER = Recipe(
    data="images",
    steps=50_000,
    generator_lr=2e-4,
    discriminator_lr=2e-4,
    betas=(0.5, 0.999),
    batch_size=8,
    ema_half_life=5_542,
    ema_ramp=0.0,
    # Distances are summed over the batch there, in place of averaged.
    settings={**_SETTINGS, "loss.jitter": 0.2, "penalty.reconstruction.weight": 8.0},
    source="Liu et al. 2021, arXiv:2101.04775, section 4 and the authors' code; the average has "
    "decay 0.999 for each update",
)
_NARROW = IMAGES.replace(
    steps=10_000,
    generator_lr=2e-4,
    discriminator_lr=2e-4,
    betas=(0.5, 0.999),
    lr_decay_from=0.5,
    batch_size=8,
    ema_half_life=5_542,
    settings={**_SETTINGS, "arch.base_channels": 16},
    source="the paper's rates and batches, for narrow networks on a processor",
)
TUNED = (
    _NARROW.replace(loss="hinge", settings={**_NARROW.settings, "loss.jitter": 0.2}),
    _NARROW,
)
"""For few images, within an hour or two on a processor at 64 pixels."""
