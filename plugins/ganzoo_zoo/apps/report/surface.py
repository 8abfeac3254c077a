"""The discriminator's logits over the plane of the points, as a picture that lies behind theirs."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ganzoo.errors import GanzooError, first_line
from ganzoo.media import images
from ganzoo.models.generation import evaluation_mode
from ganzoo_zoo.apps.report.pictures import data_uri, open_png

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.protocols.dataset import DataSpec

SIDE = 96
"""Points of the plane in a row, at the centres of as many squares."""
LEVELS = 255
LOW, HIGH = "ganzoo:lowest-logit", "ganzoo:highest-logit"
"""Metadata that say what black and white stand for."""
FAKE, EVEN, REAL = (244, 190, 140), (250, 248, 245), (150, 190, 235)
"""Colours of the lowest logit, of the middle and of the highest."""


@dataclass(frozen=True)
class Surface:
    """Logits over the plane."""

    levels: Tensor
    """uint8 ``(SIDE, SIDE)``, the upper row first."""
    low: float
    high: float

    def uri(self) -> str:
        """Return the picture as a page holds it."""
        from PIL import Image

        picture = Image.fromarray(self.levels.numpy()).convert("P")
        picture.putpalette([part for level in range(LEVELS + 1) for part in _colour(level)])
        file = io.BytesIO()
        picture.save(file, "PNG", optimize=True)
        return data_uri(file.getvalue(), "png")

    def save(self, path: Path, texts: dict[str, str]) -> None:
        """Write it as a grey PNG that says what black and white stand for."""
        ends = {LOW: repr(self.low), HIGH: repr(self.high)}
        images.save_png(self.levels[None], path, {**texts, **ends})


def has_surface(spec: DataSpec, *, conditional: bool) -> bool:
    """Tell whether a discriminator has one surface: of the plane, and whatever the class."""
    return spec.shape == (2,) and spec.modes is not None and not conditional


def compute_surface(discriminator: nn.Module, spec: DataSpec) -> Surface:
    """Judge the plane that the sample pictures of points show.

    Raises:
        GanzooError: a logit is not finite.
    """
    device = next(discriminator.parameters()).device
    plane = images.lattice(*images.find_frame(torch.tensor(spec.modes)), SIDE)
    with evaluation_mode(discriminator), torch.inference_mode():
        logits = discriminator(plane.to(device)).float().cpu()
    logits = logits.reshape(SIDE, SIDE, -1).mean(2)
    if not logits.isfinite().all():
        raise GanzooError("the discriminator's logits are not finite")
    low, high = logits.min(), logits.max()
    levels = ((logits - low) / (high - low).clamp(min=1e-12) * LEVELS).round().to(torch.uint8)
    return Surface(levels, float(low), float(high))


def read_surface(path: Path) -> Surface:
    """Read what :meth:`Surface.save` wrote.

    Raises:
        GanzooError: it is something else.
    """
    try:
        with open_png(path) as image:
            if (image.size, image.mode) != ((SIDE, SIDE), "L"):
                raise GanzooError(f"it is no grey picture of {SIDE} x {SIDE} pixels")
            data = bytearray(image.tobytes())
            low, high = (float(image.info[name]) for name in (LOW, HIGH))
    except Exception as error:  # what reads broken files raises almost anything
        raise GanzooError(f"{path} is no surface: {first_line(error)}") from None
    return Surface(torch.frombuffer(data, dtype=torch.uint8).view(SIDE, SIDE), low, high)


def _colour(level: int) -> tuple[int, ...]:
    share = 2 * level / LEVELS - 1
    end = REAL if share > 0 else FAKE
    return tuple(round(a + (b - a) * abs(share)) for a, b in zip(EVEN, end, strict=True))
