"""The order in which batches visit the data: a pure function of the seed and the batch's number."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from ganzoo.compute.seeding import derive_seed, make_rng

if TYPE_CHECKING:
    from ganzoo.protocols.dataset import Samples

MAX_WHOLE_SHUFFLE = 1 << 22
"""Samples of the largest epoch that is shuffled as a whole: 32 MB of indices."""
PART_SIZE = 1 << 16
"""Samples of a larger epoch whose order is computed at once."""
ROUNDS = 8
"""Rounds of a permutation; from 4 on, a few places do not tell it from a random one."""

Order: TypeAlias = Callable[[int], Tensor]
"""Returns the indices ``(batch_size,)`` of the samples in a batch, from the batch's number."""


def choose_order(
    samples: Samples,
    batch_size: int,
    seed: int,
    device: torch.device | str = "cpu",
    *,
    is_balanced: bool,
) -> Order:
    """Return the order of batches over a dataset.

    Args:
        samples: The dataset.
        batch_size: Samples in a batch.
        seed: Seed of the shuffles.
        device: Where to put the indices.
        is_balanced: Whether each batch holds equally many samples of each class; then the samples
            have labels.
    """
    if not is_balanced:
        return BatchOrder(len(samples), batch_size, seed, device)
    assert samples.labels is not None, "balanced batches need labels"
    return BalancedOrder(samples.labels, batch_size, seed, device)


class BatchOrder:
    """An order of one shuffled epoch after another, without a gap.

    An epoch of up to :data:`MAX_WHOLE_SHUFFLE` samples is shuffled as a whole. A larger one is
    computed part by part, by a permutation that gives any place on request.

    Args:
        count: Samples in the dataset.
        batch_size: Samples in a batch; it may exceed ``count``.
        seed: Seed of the shuffles.
        device: Where to put the indices.
    """

    def __init__(
        self, count: int, batch_size: int, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        self.count = count
        self.batch_size = batch_size
        self.seed = seed
        self.device = device
        self._parts: dict[tuple[int, int], Tensor] = {}
        self._part_size = count if count <= MAX_WHOLE_SHUFFLE else PART_SIZE

    def __call__(self, batch: int) -> Tensor:
        """Return the indices of batch number ``batch``, shape ``(batch_size,)``."""
        start = batch * self.batch_size
        parts: list[Tensor] = []
        missing = self.batch_size
        while missing:
            epoch, place = divmod(start, self.count)
            number, offset = divmod(place, self._part_size)
            part = self._part(epoch, number)[offset : offset + missing]
            parts.append(part)
            start += len(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _part(self, epoch: int, number: int) -> Tensor:
        """Return a part of an epoch's order, which stays in memory until the next one is used."""
        if (epoch, number) not in self._parts:
            # Shuffled on the CPU: the order must not depend on the device that trains.
            shuffled = self._shuffle_part(epoch, number)
            if torch.device(self.device).type == "cuda":
                shuffled = shuffled.pin_memory()  # or the host would wait for the copy
            self._parts = {(epoch, number): shuffled.to(self.device, non_blocking=True)}
        return self._parts[epoch, number]

    def _shuffle_part(self, epoch: int, number: int) -> Tensor:
        rng = make_rng(self.seed, "epoch", epoch)
        if self.count <= MAX_WHOLE_SHUFFLE:
            return torch.randperm(self.count, generator=rng)
        begin = number * PART_SIZE
        places = torch.arange(begin, min(begin + PART_SIZE, self.count))
        return _Permutation(self.count, rng)(places)


class _Permutation:
    """A random permutation of the numbers below ``count``; its memory grows as the root of it.

    A Feistel network over pairs of numbers, whose round functions are tables of random numbers.
    Results of ``count`` or more pass through it again (Black and Rogaway 2002, "Ciphers with
    arbitrary finite domains").

    Args:
        count: Numbers to permute.
        rng: Draws the tables.
    """

    def __init__(self, count: int, rng: torch.Generator) -> None:
        self.count = count
        self._side = math.isqrt(count - 1) + 1
        self._tables = torch.randint(self._side, (ROUNDS, self._side), generator=rng)

    def __call__(self, places: Tensor) -> Tensor:
        """Return the numbers at some places ``(n,)``."""
        numbers = self._permute(places)
        while len(outside := torch.where(numbers >= self.count)[0]):
            numbers[outside] = self._permute(numbers[outside])
        return numbers

    def _permute(self, numbers: Tensor) -> Tensor:
        left, right = numbers // self._side, numbers % self._side
        for table in self._tables:
            left, right = right, (left + table[right]) % self._side
        return left * self._side + right


class BalancedOrder:
    """An order in which each batch holds equally many samples of each class, class 0 first.

    Each class has a :class:`BatchOrder` of its own.

    Args:
        labels: Class of each sample in the dataset, ``(count,)``.
        batch_size: Samples in a batch, a multiple of the number of classes.
        seed: Seed of the shuffles.
        device: Where to put the indices.
    """

    def __init__(
        self, labels: Tensor, batch_size: int, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        labels = labels.cpu()
        present = labels.unique()
        self.members = [torch.where(labels == label)[0].to(device) for label in present]
        share = batch_size // len(self.members)
        self.labels = present.repeat_interleave(share)
        """Class of each sample in every batch, ``(batch_size,)``, in the host's memory."""
        self.orders = [
            BatchOrder(len(members), share, derive_seed(seed, "class", label), device)
            for label, members in enumerate(self.members)
        ]

    def __call__(self, batch: int) -> Tensor:
        """Return the indices of batch number ``batch``, shape ``(batch_size,)``."""
        return torch.cat(
            [
                members[order(batch)]
                for members, order in zip(self.members, self.orders, strict=True)
            ]
        )
