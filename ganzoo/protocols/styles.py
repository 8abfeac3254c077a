"""Styles: what a generator with a mapping network makes its layers' decisions from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Styles:
    """A generator in two halves: latents to styles, and styles to samples.

    A style is a vector w of the intermediate latent space W, one for each of L layers; those of a
    sample are all the same unless they are mixed (Karras et al. 2019, arXiv:1812.04948, sections
    2.1 and 3.1). The space of L independent vectors is called W+ (Abdal et al. 2019,
    arXiv:1904.03189). In evaluation mode, ``synthesis(mapping(latents))`` is what the generator
    returns.
    """

    mapping: nn.Module
    """Takes latents ``(N, D)``, and labels ``(N,)`` if the generator does; returns styles
    ``(N, L, W)``."""
    synthesis: nn.Module
    """Takes styles ``(N, L, W)``, and returns what the generator returns."""
    mean: Tensor
    """The mean style ``(W,)``, towards which truncation moves."""
    affine: Tensor
    """The weights ``(K, W)`` of all affine maps from a style to a layer, one below the other."""
    affine_layers: tuple[int, ...]
    """The layer, from 0 to L - 1, that each row of :attr:`affine` belongs to."""
