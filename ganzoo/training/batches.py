"""Batches of real samples, from the device's memory or read ahead from disk.

A batch is a function of the run's seed and the batch's number, however it is read.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from ganzoo.compute.seeding import make_rng
from ganzoo.distributed import ALONE, Processes
from ganzoo.media import images
from ganzoo.protocols.dataset import Samples
from ganzoo.protocols.host_labels import note_on_host
from ganzoo.training.batch_order import BalancedOrder, Order

PREFETCH = 4
"""Batches to read ahead."""
WORKERS = 2
"""Threads that read; while one waits for the disk, the other one can run."""


class RealBatch(NamedTuple):
    """Real samples on the device, as networks take them."""

    real: Tensor
    labels: Tensor | None
    """Class of each sample ``(N,)``, if the networks take them."""
    sources: Tensor | None = None
    """What each sample is made from, if the networks take that from the data."""


class BatchLoader:
    """Loads the batches of a run.

    A dataset that fits lives on the training device. One that does not is read batch by batch, by
    threads that stay some batches ahead of the training.

    Args:
        samples: The dataset.
        device: Where to put the batches.
        seed: Seed of the run, which decides which images of a batch are mirrored.
        labelled: Whether batches include the labels, if there are any.
        with_sources: Whether batches include the sources, if there are any.
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
        with_sources: bool = False,
        team: Processes = ALONE,
        memory_format: torch.memory_format = torch.channels_last,
    ) -> None:
        self.device = device
        self.memory_format = memory_format
        self.seed = seed
        self._team = team
        self._with_sources = with_sources and samples.sources is not None
        self.streamed = samples.streamed or not _fits(samples, device, self._with_sources)
        self.samples = (
            samples if self.streamed else samples.to(device, with_sources=self._with_sources)
        )
        self.index_device = torch.device("cpu") if self.streamed else device
        """Where indices into the dataset must be."""
        self._labelled = labelled
        self._workers = ThreadPoolExecutor(WORKERS, "ganzoo-feed") if self.streamed else None
        self._prefetched: dict[int, Future[RealBatch]] = {}

    def batch(self, number: int, order: Order) -> RealBatch:
        """Return this process's share of batch ``number``, mirrored if the data say so.

        Args:
            number: Counted from the start of the run. Any number works, and reading ahead assumes
                that the next one follows.
            order: Gives the indices of a batch, on :attr:`index_device`.
        """
        if self._workers is None:
            found = self.select(self._team.take_share(order(number)))
        else:
            found = self._move_to_device(self._take_prefetched(number, order, self._workers))
        if found.labels is not None and isinstance(order, BalancedOrder):
            note_on_host(found.labels, self._team.take_share(order.labels))
        return self._mirror(found, number)

    def select(self, indices: Tensor) -> RealBatch:
        """Return the samples at some indices, never mirrored."""
        sources = self.samples.select_sources(indices) if self._with_sources else None
        stored = self.samples.select(indices)
        return self._move_to_device(RealBatch(stored, self._labels_of(indices), sources))

    def _labels_of(self, indices: Tensor) -> Tensor | None:
        return self.samples.labels_of(indices) if self._labelled else None

    def _move_to_device(self, batch: RealBatch) -> RealBatch:
        """Move a batch from where and as it is stored."""
        labels = batch.labels
        labels = None if labels is None else labels.to(self.device, non_blocking=True)
        sources = None if batch.sources is None else self._to_network(batch.sources)
        return RealBatch(self._to_network(batch.real), labels, sources)

    def _to_network(self, stored: Tensor) -> Tensor:
        stored = stored.to(self.device, non_blocking=True)
        if stored.dim() != 4:
            return stored
        return images.to_float(stored).contiguous(memory_format=self.memory_format)

    def _take_prefetched(self, number: int, order: Order, workers: ThreadPoolExecutor) -> RealBatch:
        """Return a batch as it is stored, and have the following ones read."""
        for ahead in range(number, number + 1 + PREFETCH):
            if ahead not in self._prefetched:
                share = self._team.take_share(order(ahead))
                self._prefetched[ahead] = workers.submit(self._read, share)
        batch = self._prefetched.pop(number).result()
        # A run that went back to a checkpoint no longer wants what was read for later.
        self._prefetched = {at: later for at, later in self._prefetched.items() if at > number}
        return batch

    def _read(self, indices: Tensor) -> RealBatch:
        if self.samples.mapped_array is None:
            stored = _read_rows(self.samples.stored, indices)
        else:
            stored = self.samples.mapped_array.read(indices)
        sources = self._read_sources(indices) if self._with_sources else None
        if self.device.type == "cuda":
            stored = stored.pin_memory()
            sources = None if sources is None else sources.pin_memory()
        return RealBatch(stored, self._labels_of(indices), sources)

    def _read_sources(self, indices: Tensor) -> Tensor | None:
        if self.samples.mapped_sources is not None:
            return self.samples.mapped_sources.read(indices)
        return None if self.samples.sources is None else _read_rows(self.samples.sources, indices)

    def _mirror(self, batch: RealBatch, number: int) -> RealBatch:
        """Mirror half of the images, chosen at random, if the data say so; sources likewise."""
        if not self.samples.flip:
            return batch
        rng = make_rng(self.seed, "flip", number, device=self.device)
        count = len(batch.real) * self._team.world
        flipped = torch.rand(count, 1, 1, 1, generator=rng, device=self.device) < 0.5
        flipped = self._team.take_share(flipped)
        real, labels, sources = batch
        if sources is not None and sources.dim() == 4:
            sources = torch.where(flipped, sources.flip(-1), sources)
        return RealBatch(torch.where(flipped, real.flip(-1), real), labels, sources)


def _read_rows(stored: Tensor, indices: Tensor) -> Tensor:
    # By numpy, which stays in this one thread; torch would take those of the training.
    return torch.from_numpy(stored.numpy()[indices.numpy()])


def _fits(samples: Samples, device: torch.device, with_sources: bool) -> bool:
    """Tell whether a dataset may live on a device; half of a GPU is left to the networks."""
    if device.type != "cuda":
        return True
    size = samples.stored.nbytes
    if with_sources and samples.sources is not None:
        size += samples.sources.nbytes
    return size <= torch.cuda.mem_get_info(device)[0] // 2
