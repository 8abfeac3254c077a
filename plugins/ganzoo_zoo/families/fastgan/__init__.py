"""FastGAN: a generator and a discriminator for few images, that train within hours."""

from __future__ import annotations

from ganzoo_zoo.families.fastgan.architecture import FastGAN as FastGAN
