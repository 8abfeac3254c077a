"""The place where processes find each other: torch's store, over TCP."""

from __future__ import annotations

import itertools
import os
from datetime import timedelta
from typing import TYPE_CHECKING

from ganzoo.errors import GanzooError, InputError, first_line

if TYPE_CHECKING:
    from torch.distributed import Store

PATIENCE = timedelta(minutes=5)
"""How long processes wait for each other at the start, and at the end."""

_meetings = itertools.count(1)


class PeersUnreachable(GanzooError):
    """This process cannot reach the others."""


def meet(rank: int, world: int) -> tuple[Store, Store]:
    """Meet the other processes, each time in new stores.

    Returns:
        A store for messages, and one for torch's process group. Each has a connection of its own,
        as a collective may block the connection that it waits on.

    Raises:
        InputError: the environment does not say where to meet.
        PeersUnreachable: the others cannot be reached.
    """
    import torch.distributed as dist

    meeting = next(_meetings)
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        if not os.environ.get(name):
            raise InputError(f"{name} is not set: start several processes with torchrun")
    try:
        group, _, _ = next(dist.rendezvous("env://", timeout=PATIENCE))
        messages = dist.TCPStore(
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=False,
            wait_for_workers=False,
            timeout=PATIENCE,
        )
    except (RuntimeError, ValueError) as error:
        raise PeersUnreachable(
            f"rank {rank} of {world} cannot reach the others: {first_line(error)}"
        ) from error
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    place = f"ganzoo/{attempt}/{meeting}"
    return dist.PrefixStore(place, messages), dist.PrefixStore(f"{place}/group", group)
