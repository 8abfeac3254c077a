"""Search for the training images nearest to given images, by their pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ganzoo.errors import InputError
from ganzoo.models.training_data import choose_training_data
from ganzoo.progress import report_progress
from ganzoo.registry import DATASET

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.models.model import Model
    from ganzoo.protocols.dataset import Samples

BLOCK = 1 << 24
"""Numbers of training samples that are held as floats at once."""
MAX_SEARCHED = 1 << 29
"""Numbers of training samples that are searched; from more, samples are chosen evenly."""
SPARE = 4
"""Samples beyond the wanted ones whose distances are computed again, exactly."""


def read_training_samples(model: Model) -> Samples:
    """Read the dataset that a model was trained on.

    Raises:
        InputError: it has changed, or would be downloaded.
        ganzoo.errors.GanzooError: it cannot be found or read.
    """
    samples = choose_training_data(model, {}).build(DATASET).read()
    if samples.fingerprint != model.config.data_fingerprint:
        raise InputError("they have changed since the run was started")
    return samples


def even_indices(count: int, most: int) -> Tensor:
    """Choose at most ``most`` of ``count`` indices, evenly spaced."""
    return torch.arange(min(count, most)) * count // min(count, most)


@dataclass(frozen=True)
class Neighbour:
    """A training sample, and its distance."""

    index: int
    distance: float
    """Root mean square of the differences of pixel values from 0 to 255."""
    mirrored: bool = False


class NeighbourSearch:
    """A search among training images.

    Args:
        samples: The images; mirrored ones are searched as well if training mirrors them.
    """

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        most = max(1, MAX_SEARCHED // samples.spec.size)
        self.candidates = even_indices(len(samples), most)
        """Indices of the images that are searched."""

    def nearest(self, images: Tensor, count: int) -> list[list[Neighbour]]:
        """Return the nearest training samples of each image, the nearest first.

        Args:
            images: uint8 ``(N, C, H, W)``.
            count: How many for each image, if there are so many.
        """
        found = self._search(images, count, mirrored=False)
        if self.samples.flip:
            others = self._search(images, count, mirrored=True)
            found = [one + other for one, other in zip(found, others, strict=True)]
        return [
            _drop_duplicates(sorted(each, key=lambda near: near.distance), count) for each in found
        ]

    def median_spacing(self, count: int) -> float | None:
        """Return the median distance of training samples to their nearest other sample.

        None if there is no other sample.

        Args:
            count: Number of samples that are measured, chosen evenly.
        """
        chosen = self.candidates[even_indices(len(self.candidates), count)]
        near = self.nearest(self.samples.stored[chosen], 2)
        others = [
            next((one.distance for one in each if one.index != own), None)
            for own, each in zip(chosen.tolist(), near, strict=True)
        ]
        distances = [distance for distance in others if distance is not None]
        return float(torch.tensor(distances).median()) if distances else None

    def _search(self, images: Tensor, count: int, *, mirrored: bool) -> list[list[Neighbour]]:
        queries = (images.flip(-1) if mirrored else images).flatten(1).float()
        rows = max(1, BLOCK // queries.shape[1])
        kept = torch.empty(len(queries), 0)
        indices = torch.empty(len(queries), 0, dtype=torch.int64)
        for some in self.candidates.split(rows):
            block = self.samples.stored[some].flatten(1).float()
            # Fast, but inexact for samples that are nearly the same.
            away = torch.cdist(queries, block, compute_mode="use_mm_for_euclid_dist")
            kept = torch.cat([kept, away], dim=1)
            indices = torch.cat([indices, some.expand(len(queries), -1)], dim=1)
            kept, order = kept.topk(min(count + SPARE, kept.shape[1]), largest=False, sorted=True)
            indices = indices.gather(1, order)
            report_progress("nearest training samples", int(some[-1]) + 1, len(self.samples))
        return [
            [
                Neighbour(index, _distance(query, self.samples.stored[index]), mirrored)
                for index in row
            ]
            for query, row in zip(queries, indices.tolist(), strict=True)
        ]


def _distance(query: Tensor, stored: Tensor) -> float:
    difference = query.double() - stored.flatten().double()
    return math.sqrt(float(difference.square().mean()))


def _drop_duplicates(near: list[Neighbour], count: int) -> list[Neighbour]:
    """Return the nearest neighbours, each sample once."""
    first: dict[int, Neighbour] = {}
    for one in near:
        first.setdefault(one.index, one)
    return list(first.values())[:count]
