"""Tensors that go from process to process, by torch.distributed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from ganzoo.distributed.failures import CommunicationFailed
from ganzoo.errors import first_line

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.distributed import Store


class Collectives:
    """What processes do with tensors together; each of them must do the same in the same order.

    Every method raises :class:`~ganzoo.distributed.failures.CommunicationFailed` where another process is gone.
    """

    def __init__(self, rank: int, world: int) -> None:
        self._rank = rank
        self._world = world
        self.backend: str | None = None
        """That of torch, once the exchange is open."""
        self.device: torch.device
        """Where tensors must be, once it is open."""
        self.calls = 0
        """How many exchanges this process has come to."""

    def open(self, device: torch.device, own: bool, store: Store, timeout: timedelta) -> None:
        """Open the process group.

        Args:
            device: A CPU or a GPU.
            own: Whether no other process has it.
            store: What it is prepared by.
            timeout: What an exchange may take.
        """
        import torch
        import torch.distributed as dist

        # Two processes on one GPU, which only a device named by number gives, NCCL refuses.
        nccl = own and device.type == "cuda"
        self.backend = "nccl" if nccl else "gloo"
        if device.type == "cuda":
            torch.cuda.set_device(device)
        self.device = device
        self._run(
            lambda: dist.init_process_group(
                self.backend,
                store=store,
                rank=self._rank,
                world_size=self._world,
                timeout=timeout,
                device_id=device if nccl else None,
            )
        )

    def all_gather(self, share: Tensor) -> list[Tensor]:
        """Return the tensors of all processes, which are of one shape."""
        import torch
        import torch.distributed as dist

        share = share.contiguous()
        parts = [torch.empty_like(share) for _ in range(self._world)]
        self._run(lambda: dist.all_gather(parts, share))
        return parts

    def all_reduce(self, flat: Tensor) -> None:
        """Replace a tensor by the sum of those of all processes."""
        import torch.distributed as dist

        self._run(lambda: dist.all_reduce(flat))

    def broadcast(self, tensor: Tensor, source: int = 0) -> None:
        """Replace a tensor by that of one process."""
        import torch.distributed as dist

        whole = tensor.detach().contiguous()
        self._run(lambda: dist.broadcast(whole, source))
        if whole.data_ptr() != tensor.data_ptr():
            tensor.detach().copy_(whole)

    def close(self) -> None:
        """Close the process group, if there is one."""
        import torch.distributed as dist

        if self.backend is not None:
            with suppress(RuntimeError):
                dist.destroy_process_group()

    def _run(self, exchange: Callable[[], object]) -> None:
        self.calls += 1
        try:
            exchange()
        except (RuntimeError, ValueError) as error:
            raise CommunicationFailed(
                f"the exchange with the others broke: {first_line(error)}"
            ) from error
