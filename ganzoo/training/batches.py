"""Real samples for training: from the device's memory, or read ahead from the disk.

What a batch holds is a function of the run's seed and the batch's number, however it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from ganzoo.compute.seeding import make_rng
from ganzoo.distributed import ALONE, Processes
from ganzoo.media import images
from ganzoo.protocols.dataset import Samples

PREFETCH = 4
"""Batches that are read before they are asked for."""
WORKERS = 2
"""Threads that read; a thread that waits for the disk keeps no other from running."""

Batch = tuple[Tensor, Tensor | None]
"""Samples as networks take them, and their labels if there are any, on the device."""


class BatchLoader:
    """Gives the batches of a run.

    A set that fits lives on the training device. One that does not is read batch by batch, by
    threads that keep some batches ahead of the training.

    Args:
        samples: The data set.
        device: Where batches are wanted.
        seed: Seed of the run, which says which images of a batch are mirrored.
        labelled: Whether batches bring the labels that there are.
        team: The processes that share each batch.
        memory_format: The order in memory of images.
    """

    def __init__(
        self,
        samples: Samples,
        device: torch.device,
        seed: int,
        *,
        labelled: bool = True,
        team: Processes = ALONE,
        memory_format: torch.memory_format = torch.channels_last,
    ) -> None:
        self.device = device
        self.memory_format = memory_format
        self.seed = seed
        self._team = team
        self.streamed = samples.streamed or not _fits(samples, device)
        self.samples = samples if self.streamed else samples.to(device)
        self.index_device = torch.device("cpu") if self.streamed else device
        """Where indices into the set are wanted."""
        self._labelled = labelled
        self._workers = ThreadPoolExecutor(WORKERS, "ganzoo-feed") if self.streamed else None
        self._prefetched: dict[int, Future[Batch]] = {}

    def batch(self, number: int, order: Callable[[int], Tensor]) -> Batch:
        """Return this process's share of batch ``number``, mirrored where the data say so.

        Args:
            number: Counted from the start of the run; any may be asked for, and one after
                another is what is read ahead.
            order: From the number of a batch to its indices, on :attr:`index_device`.
        """
        if self._workers is None:
            real, labels = self.select(self._team.take_share(order(number)))
        else:
            real, labels = self._move_to_device(*self._take_prefetched(number, order))
        return self._mirror(real, number), labels

    def select(self, indices: Tensor) -> Batch:
        """Return chosen samples, as they are."""
        return self._move_to_device(*self._select_stored(indices))

    def _select_stored(self, indices: Tensor) -> Batch:
        return self.samples.select(indices), self._labels_of(indices)

    def _labels_of(self, indices: Tensor) -> Tensor | None:
        return self.samples.labels_of(indices) if self._labelled else None

    def _move_to_device(self, stored: Tensor, labels: Tensor | None) -> Batch:
        stored = stored.to(self.device, non_blocking=True)
        labels = None if labels is None else labels.to(self.device, non_blocking=True)
        if not self.samples.spec.is_image:
            return stored, labels
        return images.to_float(stored).contiguous(memory_format=self.memory_format), labels

    def _take_prefetched(self, number: int, order: Callable[[int], Tensor]) -> Batch:
        for wanted in range(number, number + 1 + PREFETCH):
            if wanted not in self._prefetched:
                mine = self._team.take_share(order(wanted))
                self._prefetched[wanted] = self._workers.submit(self._read, mine)
        found = self._prefetched.pop(number).result()
        # A run that went back to a checkpoint wants none of what was read for later.
        self._prefetched = {at: batch for at, batch in self._prefetched.items() if at > number}
        return found

    def _read(self, indices: Tensor) -> Batch:
        if self.samples.mapped_array is None:
            # By numpy, which reads in this one thread: torch would use all that the training has.
            stored = torch.from_numpy(self.samples.stored.numpy()[indices.numpy()])
        else:
            stored = self.samples.mapped_array.read(indices)
        if self.device.type == "cuda":
            stored = stored.pin_memory()
        return stored, self._labels_of(indices)

    def _mirror(self, real: Tensor, number: int) -> Tensor:
        if not self.samples.flip:
            return real
        rng = make_rng(self.seed, "flip", number, device=self.device)
        count = len(real) * self._team.world
        flipped = torch.rand(count, 1, 1, 1, generator=rng, device=self.device) < 0.5
        flipped = self._team.take_share(flipped)
        return torch.where(flipped, real.flip(-1), real)


def _fits(samples: Samples, device: torch.device) -> bool:
    """Tell whether a set may take its place on a device; half of a GPU is left to networks."""
    if device.type != "cuda":
        return True
    return samples.stored.nbytes <= torch.cuda.mem_get_info(device)[0] // 2
