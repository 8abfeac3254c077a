"""A metric, and a feature extractor without weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo import Evaluator, FeatureExtractor, Features, LoadedExtractor, SampleSet, Score
from ganzoo.errors import InputError


class Darkness(Evaluator):
    """How far the mean brightness of fakes is from that of reals, of 255."""

    higher_is_better = False

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Compare the means of both sets."""
        ours, theirs = (each.samples.stored.double().mean() for each in (fake, real))
        return [Score(float((ours - theirs).abs()))]


class Thumbnails(FeatureExtractor):
    """Images of 4 x 4 pixels as features."""

    def load(self, weights: Path | None, device: torch.device) -> LoadedExtractor:
        """Return the function; there are no weights."""
        if weights is not None:
            raise InputError(f"thumbnails have no weights, and {weights} was given")

        def extract(images: Tensor) -> Features:
            small = F.adaptive_avg_pool2d(images.float() / 255, 4)
            return Features(small.flatten(1).cpu())

        return LoadedExtractor(extract, 1, hashlib.sha256(b"thumbnails").hexdigest())
