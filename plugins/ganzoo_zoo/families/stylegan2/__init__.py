"""StyleGAN2: a mapping to styles, and a synthesis of layers that the styles modulate."""

from __future__ import annotations

from ganzoo_zoo.families.stylegan2.architecture import StyleGAN2 as StyleGAN2
