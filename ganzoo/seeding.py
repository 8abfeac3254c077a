"""Randomness as a function of a seed and a place, with no state to save.

Everything that training draws for step *s* comes from ``(seed, s)`` alone, so that a resumed run
draws what an uninterrupted one would have drawn.
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager

import torch
from torch import Tensor


def derived_seed(seed: int, *place: int | str) -> int:
    """Return a 63-bit seed for one place, such as ``derived_seed(0, "latents", step)``."""
    digest = hashlib.sha256(repr((seed, *place)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator_for(
    seed: int, *place: int | str, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return a random generator for one place, on a device."""
    return torch.Generator(device).manual_seed(derived_seed(seed, *place))


def seed_everything(device: torch.device, seed: int) -> None:
    """Seed torch's global generators of the CPU and of a device.

    ``torch.manual_seed`` goes through every kind of device that there might be, each time with a
    look at who called it.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def kept_randomness() -> AbstractContextManager[None]:
    """Put torch's global random state back as it was when the block ends.

    That of the CPU and of the current GPU; torch would warn of the others, which are not used.
    """
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    return torch.random.fork_rng(devices)


class BatchOrder:
    """Which samples each batch holds: one shuffled epoch after another, without a gap.

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
        self._epochs: dict[int, Tensor] = {}

    def __call__(self, batch: int) -> Tensor:
        """Return the indices of batch number ``batch``, shape ``(batch_size,)``."""
        start = batch * self.batch_size
        parts: list[Tensor] = []
        wanted = self.batch_size
        while wanted:
            epoch, offset = divmod(start, self.count)
            part = self._epoch(epoch)[offset : offset + wanted]
            parts.append(part)
            start += len(part)
            wanted -= len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            # Shuffled on the CPU: the order must not depend on the device that trains.
            shuffled = torch.randperm(
                self.count, generator=generator_for(self.seed, "epoch", epoch)
            )
            if torch.device(self.device).type == "cuda":
                shuffled = shuffled.pin_memory()  # or the host would wait for the copy
            self._epochs = {epoch: shuffled.to(self.device, non_blocking=True)}
        return self._epochs[epoch]


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
            BatchOrder(len(members), share, derived_seed(seed, "class", label), device)
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
