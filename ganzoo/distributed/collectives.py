"""Exchanges of tensors between processes, by torch.distributed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ganzoo.distributed.failures import CommunicationFailed
from ganzoo.errors import first_line

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.distributed import Store


class Collectives:
    """torch's collectives; all processes must call the same ones in the same order.

    Calls are counted, which shows the heartbeat who is late. Every method raises
    :class:`~ganzoo.distributed.failures.CommunicationFailed` if another process is gone.
    """

    def __init__(self, rank: int, world: int) -> None:
        self._rank = rank
        self._world = world
        self.backend: str | None = None
        """torch's name of it, once the process group is open."""
        self.device: torch.device
        """Where tensors must be, once it is open."""
        self.calls = 0
        """How many exchanges this process has come to."""

    def open(self, device: torch.device, own: bool, store: Store, timeout: timedelta) -> None:
        """Open the process group.

        Args:
            device: A CPU or a GPU.
            own: Whether no other process uses it.
            store: The store through which torch prepares it.
            timeout: How long an exchange may take.
        """
        import torch
        import torch.distributed as dist

        # NCCL refuses two processes on one GPU, which a device named by number leads to.
        nccl = own and device.type == "cuda"
        self.backend = "nccl" if nccl else "gloo"
        if device.type == "cuda":
            torch.cuda.set_device(device)
        self.device = device
        self._run(
            dist.init_process_group,
            self.backend,
            store=store,
            rank=self._rank,
            world_size=self._world,
            timeout=timeout,
            device_id=device if nccl else None,
        )

    def all_gather(self, share: Tensor) -> list[Tensor]:
        """Return the tensors of all processes, which have one shape."""
        import torch
        import torch.distributed as dist

        share = share.contiguous()
        parts = [torch.empty_like(share) for _ in range(self._world)]
        self._run(dist.all_gather, parts, share)
        return parts

    def all_reduce(self, flat: Tensor) -> None:
        """Replace a tensor by the sum of those of all processes."""
        import torch.distributed as dist

        self._run(dist.all_reduce, flat)

    def broadcast(self, tensor: Tensor, source: int = 0) -> None:
        """Replace a tensor by that of one process."""
        import torch.distributed as dist

        whole = tensor.detach().contiguous()
        self._run(dist.broadcast, whole, source)
        if whole.data_ptr() != tensor.data_ptr():
            tensor.detach().copy_(whole)

    def close(self) -> None:
        """Close the process group, if there is one."""
        import torch.distributed as dist

        if self.backend is not None:
            with suppress(RuntimeError):
                dist.destroy_process_group()

    def _run(self, collective: Callable[..., object], *given: Any, **options: Any) -> None:
        self.calls += 1
        try:
            collective(*given, **options)
        except (RuntimeError, ValueError) as error:
            raise CommunicationFailed(
                f"the exchange with the others broke: {first_line(error)}"
            ) from error
