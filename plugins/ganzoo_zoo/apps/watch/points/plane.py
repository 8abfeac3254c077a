"""Frames: generated points and what surrounds them in the plane, ready to be drawn.

A *frame* shows one step. It is a line of JSON, which
:mod:`ganzoo_zoo.apps.watch.points.frames` reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from ganzoo.errors import GanzooError
from ganzoo.evaluation.nearest import even_indices
from ganzoo.media import images
from ganzoo.protocols.architecture import GeneratorInput
from ganzoo_zoo.apps.shared.surface import compute_levels
from ganzoo_zoo.apps.watch.points.divergences import count_shares, measure_js, measure_kl
from ganzoo_zoo.apps.watch.points.frames import MOST_ARROWS, MOST_POINTS, SIDE
from ganzoo_zoo.apps.watch.points.gradients import find_pull
from ganzoo_zoo.apps.watch.points.manifold import LatentSpace
from ganzoo_zoo.apps.watch.points.packing import encode, pack_arrows, pack_points
from ganzoo_zoo.metrics.modes import count_modes

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.protocols.dataset import DataSpec, Samples
    from ganzoo.protocols.tracker import Networks

MOST_COUNTED = 100_000
"""Real points that densities are estimated from; of more, so many are chosen evenly."""
BLUR = 3
"""Reach, in cells, of the Gaussian that smooths the density; it has a deviation of one cell."""


def has_plane(spec: DataSpec, *, conditional: bool) -> bool:
    """Tell whether samples are points of the plane and the discriminator ignores classes."""
    return spec.shape == (2,) and not conditional


class Plane:
    """The square of the plane that is drawn: all true modes and real points, with a margin.

    Args:
        real: The training data, points ``(N, 2)``.
        networks: The networks of the training, which tell the latents; None if there are none.
    """

    def __init__(self, real: Samples, networks: Networks | None = None) -> None:
        self.spec = real.spec
        self.real = real.stored[:MOST_POINTS].float().cpu()
        shown = [self.real, torch.tensor(self.spec.modes or ()).reshape(-1, 2)]
        self.centre, self.reach = images.find_frame(torch.cat(shown))
        self.latents = LatentSpace.of(networks.latent_parts) if networks else None
        self._drawn = networks.inputs.given if networks else None
        self._grid = images.lattice(self.centre, self.reach, SIDE)
        self._many = real.select(even_indices(len(real), MOST_COUNTED)).float().cpu()
        self._shares = count_shares(self._many, self.centre, self.reach)

    def describe(self) -> dict[str, Any]:
        """Return what does not change as JSON: the square, the true modes, reals and latents.

        ``density`` is that of the reals in cells of the square, row by row from the top, smoothed
        by a Gaussian of one cell; 255 is the densest.
        """
        density = count_shares(self._many, self.centre, self.reach, SIDE).reshape(1, 1, SIDE, SIDE)
        places = torch.arange(-BLUR, BLUR + 1, dtype=density.dtype)
        kernel = (-places.square() / 2).exp()
        for shape in ((1, 1, 1, -1), (1, 1, -1, 1)):
            # The square has a margin, so that next to nothing is lost at its edge.
            density = F.conv2d(density, kernel.reshape(shape), padding="same")
        levels = (density / density.max() * 255).round().to(torch.uint8)
        latents = self.latents
        return {
            "centre": self.centre.tolist(),
            "reach": self.reach,
            "modes": [list(mode) for mode in self.spec.modes or ()],
            "std": self.spec.mode_std,
            "real": self.pack(self.real),
            "density": encode(levels.numpy().tobytes()),
            **(latents.describe(self._drawn) if latents and self._drawn is not None else {}),
        }

    def make_frame(
        self,
        step: int,
        points: Tensor,
        discriminator: nn.Module,
        networks: Networks | None = None,
    ) -> dict[str, Any] | None:
        """Make the frame of a step.

        Args:
            step: Number of finished steps.
            points: Generated points ``(N, 2)``. The first ones are drawn; all are counted.
            discriminator: From points ``(N, 2)`` to logits; its training mode stays unchanged.
            networks: The networks of the training; None if there are none.

        Returns:
            The frame; None if a number is not finite, which the run itself reports.
        """
        points = points.float().cpu()
        if not points.isfinite().all():
            return None
        try:
            surface = compute_levels(discriminator, self._grid, SIDE)
            looked_into = self._look_into(networks, points[:MOST_POINTS]) if networks else {}
        except GanzooError:
            return None
        return {
            "step": step,
            "points": self.pack(points[:MOST_POINTS]),
            "surface": encode(surface.levels.numpy().tobytes()),
            "low": surface.low,
            "high": surface.high,
            **looked_into,
            "numbers": self.count(points),
        }

    def count(self, points: Tensor) -> dict[str, float]:
        """Return the numbers of generated points ``(N, 2)``, which must be finite.

        Modes and the share of high quality are those of the metric ``modes``, if the true modes are
        known. ``kl`` and ``js`` are divergences from the true points in bits, over 20 x 20 cells of
        the square: see :mod:`ganzoo_zoo.apps.watch.points.divergences`. They depend on the number
        of points. Recorded frames count the 2,500 of a sample picture, live ones
        :data:`ganzoo_zoo.apps.watch.points.live.LIVE_POINTS`.
        """
        numbers: dict[str, float] = {}
        if self.spec.modes is not None:
            modes, good = count_modes(points, self.spec)
            numbers = {"modes": modes, "of": len(self.spec.modes), "high_quality": round(good, 4)}
        shares = count_shares(points, self.centre, self.reach)
        for name, measure in (("kl", measure_kl), ("js", measure_js)):
            numbers[name] = round(measure(self._shares, shares), 4)
        return numbers

    def pack(self, points: Tensor) -> str:
        """Encode points as whole numbers within the square; points outside move to its edge."""
        return pack_points(points, self.centre, self.reach)

    def _look_into(self, networks: Networks, points: Tensor) -> dict[str, Any]:
        """Return the other generator's points, the manifold and the pull at the first points.

        Raises:
            GanzooError: a point is not finite.
        """
        found: dict[str, Any] = {}
        shown, other = networks.trained, networks.average
        if networks.shown == "average":
            shown, other = other, shown
        same = next(networks.inputs.parts(len(points), networks.inputs.given.device))
        if not torch.equal(others := other(same), points):
            found |= {"other": self.pack(others), "shows": networks.shown}
        if self.latents and (grid := self.latents.grid()) is not None:
            found["manifold"] = self.pack(shown(GeneratorInput(grid)))
        some = min(MOST_ARROWS, len(points), len(self.real))
        pull = find_pull(networks.generator_loss, self.real[:some], points[:some])
        if pull is not None:
            found["pull"], found["steepest"] = pack_arrows(pull)
        return found
