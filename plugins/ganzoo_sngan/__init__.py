"""Spectral normalisation GAN: a discriminator whose every layer has a slope of about one."""

from __future__ import annotations

from ganzoo_sngan.cnn import SNGAN as SNGAN
from ganzoo_sngan.resnet import SNGANResNet as SNGANResNet
