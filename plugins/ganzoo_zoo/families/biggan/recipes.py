"""Recipes of BigGAN: the paper's, those of the authors' code, and short ones."""

from __future__ import annotations

from ganzoo import Recipe
from ganzoo_zoo.families.tuned import IMAGES

PAPER = Recipe(
    steps=165_000,
    generator_lr=5e-5,
    discriminator_lr=2e-4,
    betas=(0.0, 0.999),
    eps=1e-6,
    n_critic=2,
    batch_size=2048,
    ema_half_life=28.4e6,
    settings={
        "arch.base_channels": 96,
        "train.penalty": ["orthogonal"],
        "penalty.orthogonal.weight": 1e-4,
    },
    source="Brock et al. 2019, arXiv:1809.11096, table 1 and appendix C; the average has decay "
    "0.9999 for each generator update",
)
IMAGENET = Recipe(
    steps=150_000,
    generator_lr=1e-4,
    discriminator_lr=4e-4,
    betas=(0.0, 0.999),
    eps=1e-6,
    batch_size=2048,
    accumulate=8,
    ema_half_life=14.2e6,
    settings={"arch.base_channels": 96},
    source="ajbrock/BigGAN-PyTorch, ImageNet at 128 pixels, batches of 8 parts of 256",
)
CIFAR = Recipe(
    steps=125_000,
    generator_lr=2e-4,
    discriminator_lr=2e-4,
    betas=(0.0, 0.999),
    n_critic=4,
    batch_size=50,
    ema_half_life=1.39e6,
    settings={
        "arch.base_channels": 64,
        "arch.z_dim": 128,
        "arch.shared_dim": 0,
        "arch.hierarchical": False,
        "arch.init": "normal",
    },
    source="ajbrock/BigGAN-PyTorch, CIFAR-10, 500 epochs",
)
TINY = Recipe(
    steps=5_000,
    generator_lr=2e-4,
    discriminator_lr=4e-4,
    betas=(0.0, 0.99),
    n_critic=2,
    lr_decay="cosine",
    lr_decay_from=0.5,
    batch_size=32,
    settings={"arch.base_channels": 16},
    source="for CIFAR-10 on a processor, within an hour on one thread",
)
NAMED = {"imagenet128": IMAGENET, "cifar10": CIFAR, "tiny": TINY}
# At equal rates, the generator forgets its latent within some hundred steps.
TUNED = (
    IMAGES.replace(
        steps=2_000,
        generator_lr=2e-4,
        discriminator_lr=8e-4,
        source="a few tries on the digits, by how much samples of a class differ",
    ),
)
