"""BigGAN: residual networks with spectral normalisation, attention, and classes in every layer."""

from __future__ import annotations

from ganzoo_zoo.families.biggan.architecture import BigGAN as BigGAN
