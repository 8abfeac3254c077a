"""The order in which batches visit the data, a pure function of seed and step."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganzoo.compute.seeding import derive_seed, make_rng

MAX_WHOLE_SHUFFLE = 1 << 22
"""Samples of which an epoch is shuffled as a whole: 32 MB of indices."""
PART_SIZE = 1 << 16
"""Samples of a larger epoch whose order is worked out at once."""
ROUNDS = 8
"""Rounds of a permutation; from 4 on it cannot be told from a random one by a few places."""


class BatchOrder:
    """Which samples each batch holds: one shuffled epoch after another, without a gap.

    Of up to :data:`MAX_WHOLE_SHUFFLE` samples an epoch is shuffled as a whole. Of more, a part of it is worked
    out at a time, by a permutation that can be asked for any place.

    Args:
        count: Samples in the data set.
        batch_size: Samples in a batch; it may exceed ``count``.
        seed: Seed of the shuffles.
        device: Where the indices are wanted.
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
        wanted = self.batch_size
        while wanted:
            epoch, place = divmod(start, self.count)
            number, offset = divmod(place, self._part_size)
            part = self._part(epoch, number)[offset : offset + wanted]
            parts.append(part)
            start += len(part)
            wanted -= len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _part(self, epoch: int, number: int) -> Tensor:
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
    """A random permutation of the numbers below ``count``, in memory that grows as its root.

    A Feistel network over pairs of numbers, whose round functions are tables of random numbers.
    What it takes beyond ``count`` goes through it again (Black and Rogaway 2002, "Ciphers with
    arbitrary finite domains").

    Args:
        count: Numbers that change places.
        rng: Draws the tables.
    """

    def __init__(self, count: int, rng: torch.Generator) -> None:
        self.count = count
        self._side = math.isqrt(count - 1) + 1
        self._tables = torch.randint(self._side, (ROUNDS, self._side), generator=rng)

    def __call__(self, places: Tensor) -> Tensor:
        """Return the numbers at some places ``(n,)``."""
        found = self._permute(places)
        while len(outside := torch.where(found >= self.count)[0]):
            found[outside] = self._permute(found[outside])
        return found

    def _permute(self, numbers: Tensor) -> Tensor:
        left, right = numbers // self._side, numbers % self._side
        for table in self._tables:
            left, right = right, (left + table[right]) % self._side
        return left * self._side + right


class BalancedOrder:
    """Which samples each batch holds, as many of each class: those of class 0 first.

    Each class has an order of its own, as :class:`BatchOrder`.

    Args:
        labels: Class of each sample in the data set, ``(count,)``.
        batch_size: Samples in a batch, a multiple of the number of classes.
        seed: Seed of the shuffles.
        device: Where the indices are wanted.
    """

    def __init__(
        self, labels: Tensor, batch_size: int, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        labels = labels.cpu()
        self.members = [torch.where(labels == label)[0].to(device) for label in labels.unique()]
        share = batch_size // len(self.members)
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
