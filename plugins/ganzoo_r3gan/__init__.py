"""R3GAN: relativistic pairing with two gradient penalties, and networks without normalisation."""

from __future__ import annotations

from ganzoo_r3gan.loss import R3GANLoss as R3GANLoss
from ganzoo_r3gan.networks import R3GAN as R3GAN
