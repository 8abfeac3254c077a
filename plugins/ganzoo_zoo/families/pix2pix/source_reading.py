"""How the networks of pix2pix read sources."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceReading:
    """How the networks read sources."""

    classes: int | None
    """Number of classes that go with them; None for none."""
    has_hole: bool
    """Whether a fourth channel says which pixels are known."""
    is_luma: bool
    """Whether sources are the luma of images in colour."""
