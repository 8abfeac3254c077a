"""Signs of a failing training whose numbers are all finite, told when they begin and end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.evaluation.repeats import TrainingImages
from ganzoo.runs.metrics import LoggedWarning, WarningReader, read_metrics
from ganzoo.training.pictures import Drawn, distance, spread

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.training.trainer import Trainer

COLLAPSED_SPREAD = 0.1
"""A generator has collapsed if its samples spread less than this share of what reals spread."""
STANDSTILL = 0.25
"""A generator stands still if the middle of its samples lies less than this share of the reals'
spread from that of its average's, which is where they lay before. One that moves still learns."""
EARLY_STEPS = 500
"""Steps in which the samples of every generator look alike."""
NO_GRADIENT = 1e-6
"""A network learns nothing from a gradient whose norm is below this."""
MANY_REPEATS = 0.2
"""A model that repeats training images has at least this share of samples that do."""
RECOVERY = 2
"""A warning ends at this many times the number below which it begins, lest it flicker."""


@dataclass(frozen=True)
class Change:
    """A warning that begins or ends."""

    warning: LoggedWarning
    message: str

    @property
    def is_end(self) -> bool:
        """Whether what the warning warned of has ended."""
        return self.warning.ended is not None

    def as_row(self) -> dict[str, Any]:
        """Return its line in the file of metrics, which a :class:`WarningReader` reads."""
        began, ended = self.warning.began, self.warning.ended
        row = {"step": began if ended is None else ended, "warning": self.warning.name}
        return row | ({} if ended is None else {"began": began}) | {"message": self.message}


class Health:
    """Watches numbers that are read back anyway: logged metrics, and samples of pictures.

    Warnings are kept in the file of metrics, so that a resumed run repeats neither their beginnings
    nor their ends.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._real_spread: float | None = None
        self._training_images: TrainingImages | None = None
        self._holding: dict[str, LoggedWarning] = {}

    def read_warnings(self, metrics: Path) -> None:
        """Read from a file of metrics which warnings hold; others are forgotten."""
        reader = WarningReader()
        for step, row in read_metrics(metrics) if metrics.exists() else ():
            reader.add(step, row)
        self._holding = {each.name: each for each in reader.current()}

    def check_terms(self, row: dict[str, Any]) -> Iterator[Change]:
        """Yield the warnings that begin or end with a line of metrics."""
        norm, step = row.get("discriminator/gradient_norm"), row["step"]
        if norm is None:  # fp16 skipped the update
            return
        yield from self._follow(
            "saturated",
            step,
            norm / NO_GRADIENT,
            f"the discriminator is saturated at step {step}: its gradient is {norm:.1g}, so that "
            "neither network learns; try a lower train.discriminator_lr or another --loss",
            f"the discriminator is no longer saturated at step {step}",
        )

    def check_samples(self, drawn: Drawn, step: int) -> Iterator[Change]:
        """Yield the warnings that begin or end with samples of a step."""
        architecture = self._trainer.architecture
        now = self._trainer.setup.progress_at(step)
        if step < EARLY_STEPS or architecture.takes_images or not architecture.is_adversarial(now):
            return
        reals = self._measure_reals(len(drawn.own))
        share = spread(drawn.own) / reals
        yield from self._follow(
            "collapse",
            step,
            max(share / COLLAPSED_SPREAD, distance(drawn.own, drawn.average) / reals / STANDSTILL),
            f"the generator collapses at step {step}: its samples differ from each other "
            f"{share:.0%} as much as reals do; try lower learning rates or another --loss",
            f"the generator no longer collapses at step {step}: its samples differ from each other "
            f"{share:.0%} as much as reals do, or move",
        )

    def measure_memorised(self, samples: Tensor, step: int) -> float | None:
        """Return the share of a picture's samples that repeat a single training image.

        None if that is not watched: early, for many training images or vectors, and for samples
        that are made from images, which shall resemble the training's.

        Args:
            samples: The samples as they are stored ``(N, *shape)``.
            step: Their step.
        """
        trainer, reals = self._trainer, self._trainer.samples
        is_small = reals.spec.is_image and len(reals) < trainer.options.memorisation_below
        if step < EARLY_STEPS or not is_small or not trainer.architecture.takes_latents:
            return None
        if self._training_images is None:
            self._training_images = TrainingImages(reals)
        return float(self._training_images.find_repeats(samples).double().mean())

    def check_memorised(self, share: float, step: int) -> Iterator[Change]:
        """Yield the warning that begins or ends with the share of :meth:`measure_memorised`."""
        yield from self._follow(
            "repeats",
            step,
            MANY_REPEATS / max(share, 1e-12),
            f"the model repeats training images at step {step}: {share:.0%} of its samples lie "
            "much closer to one of them than to any other; train for fewer steps, with "
            "train.augment, or on more images",
            f"the model no longer repeats training images at step {step}, but in {share:.0%} of "
            "its samples",
        )

    def _measure_reals(self, count: int) -> float:
        """Return the spread of the first ``count`` reals, which is measured once."""
        if self._real_spread is None:
            self._real_spread = spread(self._trainer.samples.stored[:count].cpu())
        return max(self._real_spread, 1e-12)

    def _follow(
        self, name: str, step: int, margin: float, message: str, end: str
    ) -> Iterator[Change]:
        """Begin a warning at a margin below 1, and end it at :data:`RECOVERY` and above."""
        holding = self._holding.get(name)
        if holding is None and margin < 1:
            self._holding[name] = LoggedWarning(name, message, step)
            yield Change(self._holding[name], message)
        elif holding is not None and margin >= RECOVERY:
            del self._holding[name]
            holding.ended = step
            yield Change(holding, end)
