"""R3GAN: a relativistic loss with two gradient penalties, and networks without normalisation."""

from __future__ import annotations

from ganzoo_zoo.families.r3gan.architecture import R3GAN as R3GAN
from ganzoo_zoo.families.r3gan.loss import R3GANLoss as R3GANLoss
