"""Frames of a run that trains in this process, between its sample pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.errors import GanzooError
from ganzoo.training.inputs import draw_picture_inputs
from ganzoo.training.inspection import look_into
from ganzoo.training.pictures import draw_samples
from ganzoo_zoo.apps.watch.points.plane import Plane, has_plane

if TYPE_CHECKING:
    from ganzoo.training.trainer import Trainer

LIVE_POINTS = 1000
"""Points that a live frame counts; its first ones are drawn, those of the sample pictures."""


class LivePlane:
    """The plane of a training that is under way.

    Args:
        trainer: The trainer of a run on points; see :meth:`of`.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        inputs = draw_picture_inputs(trainer.setup, trainer.loader)
        self._inputs = next(inputs.parts(LIVE_POINTS, inputs.given.device))
        self.plane = Plane(trainer.samples, look_into(trainer, self._inputs))

    @classmethod
    def of(cls, trainer: Trainer) -> LivePlane | None:
        """Return the plane of a training; None if its samples are no points of the plane."""
        architecture = trainer.architecture
        if not has_plane(trainer.samples.spec, conditional=trainer.conditional):
            return None
        return None if architecture.judges_source else cls(trainer)

    def make_frame(self) -> dict[str, Any] | None:
        """Make a frame of the present state; None if a number is not finite.

        Neither the training nor torch's random state changes, so it may be called within a step.
        """
        try:
            with preserve_rng_state():
                drawn = draw_samples(self.trainer, self._inputs)
        except GanzooError:
            return None  # the run diverges, and reports it itself
        networks = look_into(self.trainer, self._inputs, shows_average=drawn.shows_average)
        step, points = self.trainer.state.step, drawn.shown
        return self.plane.make_frame(step, points, networks.discriminator, networks)
