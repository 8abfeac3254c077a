"""Mode coverage of toy sets whose true modes are known."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from ganzoo import DataSpec, Evaluator, SampleSet, Score
from ganzoo.errors import InputError


class Modes(Evaluator):
    """Modes captured, and the share of high-quality samples.

    A sample is of high quality if it lies within ``stds`` standard deviations of its nearest
    mode; a mode is captured if it is the nearest to a high-quality sample. Counted as in VEEGAN
    (Srivastava et al. 2017, section 4.1) and PacGAN (Lin et al. 2018, section 4.1), which judge
    2,500 samples.
    """

    paper = "Srivastava et al. 2017, arXiv:1705.07761"
    higher_is_better = True

    stds: float = Field(3.0, gt=0, description="Reach of a mode, in standard deviations.")

    def fits(self, data: DataSpec) -> bool:
        """Only data that know their modes."""
        return data.modes is not None

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Count the modes of the real data's specification that the fakes capture."""
        spec = real.samples.spec
        if spec.modes is None or spec.mode_std is None:
            raise InputError("modes can only judge data that know their true modes, such as ring")
        centres = torch.tensor(spec.modes)
        distance, nearest = _distances(fake.samples.stored, centres).min(dim=1)
        good = distance <= self.stds * spec.mode_std
        captured = len(nearest[good].unique())
        return [
            Score(float(captured), name="modes", note=f"of {len(centres)}"),
            Score(good.float().mean().item(), name="high-quality", note="share of the samples"),
        ]


def _distances(points: Tensor, centres: Tensor) -> Tensor:
    # The faster way by a matrix product loses digits that narrow modes far from zero need.
    return torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist")
