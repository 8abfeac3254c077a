"""The discriminator's logits over the plane, as a background for pictures of points."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ganzoo.errors import GanzooError, first_line
from ganzoo.media import images
from ganzoo_zoo.apps.report.pictures import data_uri, open_png
from ganzoo_zoo.apps.shared.surface import LEVELS, LogitLevels, compute_levels

if TYPE_CHECKING:
    from torch import nn

    from ganzoo.protocols.dataset import DataSpec

SIDE = 96
"""Grid points per row and column."""
LOW, HIGH = "ganzoo:lowest-logit", "ganzoo:highest-logit"
"""Metadata with the logits of black and white."""
FAKE, EVEN, REAL = (244, 190, 140), (250, 248, 245), (150, 190, 235)
"""Colours of the lowest, the middle and the highest level."""


@dataclass(frozen=True)
class Surface(LogitLevels):
    """Logits over a grid of ``SIDE`` x ``SIDE`` points."""

    def uri(self) -> str:
        """Return the coloured picture as a data URI."""
        from PIL import Image

        picture = Image.fromarray(self.levels.numpy()).convert("P")
        picture.putpalette([part for level in range(LEVELS + 1) for part in _colour(level)])
        file = io.BytesIO()
        picture.save(file, "PNG", optimize=True)
        return data_uri(file.getvalue(), "png")

    def save(self, path: Path, texts: dict[str, str]) -> None:
        """Write the levels as a grey PNG, with the logits of black and white in its metadata."""
        ends = {LOW: repr(self.low), HIGH: repr(self.high)}
        images.save_png(self.levels[None], path, {**texts, **ends})


def has_surface(spec: DataSpec, *, conditional: bool) -> bool:
    """Tell whether there is one surface: toy points of the plane, and no classes."""
    return spec.shape == (2,) and spec.modes is not None and not conditional


def compute_surface(discriminator: nn.Module, spec: DataSpec) -> Surface:
    """Compute the logits over the square that the sample pictures of points show.

    Raises:
        GanzooError: a logit is not finite.
    """
    plane = images.lattice(*images.find_frame(torch.tensor(spec.modes)), SIDE)
    found = compute_levels(discriminator, plane, SIDE)
    return Surface(found.levels, found.low, found.high)


def read_surface(path: Path) -> Surface:
    """Read a file that :meth:`Surface.save` wrote.

    Raises:
        GanzooError: the file is not a surface.
    """
    try:
        with open_png(path) as image:
            if (image.size, image.mode) != ((SIDE, SIDE), "L"):
                raise GanzooError(f"it is not a grey picture of {SIDE} x {SIDE} pixels")
            data = bytearray(image.tobytes())
            low, high = (float(image.info[name]) for name in (LOW, HIGH))
    except Exception as error:  # readers of broken files raise almost anything
        raise GanzooError(f"{path} is not a surface: {first_line(error)}") from None
    return Surface(torch.frombuffer(data, dtype=torch.uint8).view(SIDE, SIDE), low, high)


def _colour(level: int) -> tuple[int, ...]:
    share = 2 * level / LEVELS - 1
    end = REAL if share > 0 else FAKE
    return tuple(round(a + (b - a) * abs(share)) for a, b in zip(EVEN, end, strict=True))
