"""Batches of real samples, from the device's memory or read ahead from disk.

A batch is a function of the run's seed and the batch's number, however it is read.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from ganzoo.compute.seeding import make_rng
from ganzoo.distributed import ALONE, Processes
from ganzoo.media import images
from ganzoo.protocols.dataset import Samples
from ganzoo.training.batch_order import Order

PREFETCH = 4
"""Batches to read ahead."""
WORKERS = 2
"""Threads that read; while one waits for the disk, the other one can run."""

Batch = tuple[Tensor, Tensor | None]
"""Samples as networks take them, and their labels if there are any, on the device."""


class BatchLoader:
    """Loads the batches of a run.

    A dataset that fits lives on the training device. One that does not is read batch by batch, by
    threads that stay some batches ahead of the training.

    Args:
        samples: The dataset.
        device: Where to put the batches.
        seed: Seed of the run, which decides which images of a batch are mirrored.
        labelled: Whether batches include the labels, if there are any.
        team: The processes that share each batch.
        memory_format: The memory layout of images.
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
        """Where indices into the dataset must be."""
        self._labelled = labelled
        self._workers = ThreadPoolExecutor(WORKERS, "ganzoo-feed") if self.streamed else None
        self._prefetched: dict[int, Future[Batch]] = {}

    def batch(self, number: int, order: Order) -> Batch:
        """Return this process's share of batch ``number``, mirrored if the data say so.

        Args:
            number: Counted from the start of the run. Any number works, and reading ahead assumes
                that the next one follows.
            order: Gives the indices of a batch, on :attr:`index_device`.
        """
        if self._workers is None:
            real, labels = self.select(self._team.take_share(order(number)))
        else:
            real, labels = self._move_to_device(
                *self._take_prefetched(number, order, self._workers)
            )
        return self._mirror(real, number), labels

    def select(self, indices: Tensor) -> Batch:
        """Return the samples at some indices, never mirrored."""
        return self._move_to_device(self.samples.select(indices), self._labels_of(indices))

    def _labels_of(self, indices: Tensor) -> Tensor | None:
        return self.samples.labels_of(indices) if self._labelled else None

    def _move_to_device(self, stored: Tensor, labels: Tensor | None) -> Batch:
        stored = stored.to(self.device, non_blocking=True)
        labels = None if labels is None else labels.to(self.device, non_blocking=True)
        if not self.samples.spec.is_image:
            return stored, labels
        return images.to_float(stored).contiguous(memory_format=self.memory_format), labels

    def _take_prefetched(self, number: int, order: Order, workers: ThreadPoolExecutor) -> Batch:
        """Return a batch as it is stored, and have the following ones read."""
        for ahead in range(number, number + 1 + PREFETCH):
            if ahead not in self._prefetched:
                share = self._team.take_share(order(ahead))
                self._prefetched[ahead] = workers.submit(self._read, share)
        batch = self._prefetched.pop(number).result()
        # A run that went back to a checkpoint no longer wants what was read for later.
        self._prefetched = {at: later for at, later in self._prefetched.items() if at > number}
        return batch

    def _read(self, indices: Tensor) -> Batch:
        if self.samples.mapped_array is None:
            # By numpy, which stays in this one thread; torch would take those of the training.
            stored = torch.from_numpy(self.samples.stored.numpy()[indices.numpy()])
        else:
            stored = self.samples.mapped_array.read(indices)
        if self.device.type == "cuda":
            stored = stored.pin_memory()
        return stored, self._labels_of(indices)

    def _mirror(self, real: Tensor, number: int) -> Tensor:
        """Mirror half of the images, chosen at random, if the data say so."""
        if not self.samples.flip:
            return real
        rng = make_rng(self.seed, "flip", number, device=self.device)
        count = len(real) * self._team.world
        flipped = torch.rand(count, 1, 1, 1, generator=rng, device=self.device) < 0.5
        flipped = self._team.take_share(flipped)
        return torch.where(flipped, real.flip(-1), real)


def _fits(samples: Samples, device: torch.device) -> bool:
    """Tell whether a dataset may live on a device; half of a GPU is left to the networks."""
    if device.type != "cuda":
        return True
    return samples.stored.nbytes <= torch.cuda.mem_get_info(device)[0] // 2
