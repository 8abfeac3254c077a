"""How processes were started, and how they find each other."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from ganzoo.errors import GanzooError, InputError, first_line

if TYPE_CHECKING:
    from torch.distributed import Store

PATIENCE = timedelta(minutes=5)
"""How long processes wait for each other at the start, and at the end."""


@dataclass(frozen=True)
class Rendezvous:
    """Where processes have met; each time it is another place."""

    store: Store
    """For messages, by a connection of its own."""
    tensor_store: Store
    """What an exchange of tensors is prepared by, and may wait for."""

    count: ClassVar[int] = 0
    """How many there were."""

    @classmethod
    def hold(cls, rank: int, world: int) -> Rendezvous:
        """Meet the others.

        Raises:
            InputError: how this process was started does not tell where.
            GanzooError: they cannot be reached.
        """
        import torch.distributed as dist

        cls.count += 1
        for name in ("MASTER_ADDR", "MASTER_PORT"):
            if not os.environ.get(name):
                raise InputError(f"{name} is not set: start several processes with torchrun")
        try:
            rendezvous, _, _ = next(dist.rendezvous("env://", timeout=PATIENCE))
            # A connection of its own: on the other one an exchange may wait.
            plain = dist.TCPStore(
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
        place = f"ganzoo/{attempt}/{cls.count}"
        return cls(dist.PrefixStore(place, plain), dist.PrefixStore(f"{place}/group", rendezvous))


class PeersUnreachable(GanzooError):
    """This process cannot reach the others."""


def rank_and_world() -> tuple[int, int]:
    """Return which process this is, and of how many.

    Raises:
        InputError: there are several, and what ``torchrun`` sets is missing.
    """
    world = read_number("WORLD_SIZE", 1)
    if world < 2:
        return 0, 1
    rank = read_number("RANK", None)
    if not 0 <= rank < world:
        raise InputError(f"RANK is {rank} and WORLD_SIZE {world}: start with torchrun")
    return rank, world


def machine_name() -> str:
    """Return what tells this machine from the others: its number, or its name."""
    return os.environ.get("GROUP_RANK") or os.uname().nodename


def read_number(name: str, default: int | None) -> int:
    """Return what ``torchrun`` sets a variable to.

    Raises:
        InputError: it is no number, or not set and there is no default.
    """
    text = os.environ.get(name, "").strip()
    if not text and default is not None:
        return default
    if not text.isdecimal():
        raise InputError(
            f"WORLD_SIZE says that there are several processes, and {name} is "
            f"{f'{text!r}' if text else 'not set'}: start them with torchrun"
        )
    return int(text)
