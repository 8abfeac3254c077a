"""The environment variables by which ``torchrun`` tells a process its place in the team."""

from __future__ import annotations

import os

from ganzoo.errors import InputError


def rank_and_world() -> tuple[int, int]:
    """Return the number of this process, from 0, and how many processes there are.

    Raises:
        InputError: there are several, and what ``torchrun`` sets is missing.
    """
    world = _read_number("WORLD_SIZE", 1)
    if world < 2:
        return 0, 1
    rank = _read_number("RANK")
    if rank >= world:
        raise InputError(f"RANK is {rank} and WORLD_SIZE {world}: start with torchrun")
    return rank, world


def is_first() -> bool:
    """Tell whether this process is the one that prints; a single process always is."""
    return rank_and_world()[0] == 0


def local_rank() -> int | None:
    """Return the number of this process on its machine; None for a single process."""
    return _read_number("LOCAL_RANK", 0) if rank_and_world()[1] > 1 else None


def local_world() -> int:
    """Return how many processes work together on this machine, as far as ``torchrun`` says."""
    return max(1, _read_number("LOCAL_WORLD_SIZE", 1)) if rank_and_world()[1] > 1 else 1


def machine_name() -> str:
    """Return what tells this machine from the others: torchrun's number of it, or its name."""
    return os.environ.get("GROUP_RANK") or os.uname().nodename


def _read_number(name: str, default: int | None = None) -> int:
    """Return the number in an environment variable.

    Raises:
        InputError: it holds no number, or is not set and there is no default.
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
