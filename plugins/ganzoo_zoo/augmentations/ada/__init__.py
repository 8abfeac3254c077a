"""ADA: augmentation of all that the discriminator sees, as strong as its overfitting asks for.

Karras et al. 2020, arXiv:2006.06676.
"""

from __future__ import annotations

from ganzoo_zoo.augmentations.ada.augmentation import ADA

__all__ = ["ADA"]
