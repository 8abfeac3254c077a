"""Random numbers as a function of a seed and a place, with no state to save.

All random numbers of training step *s* depend only on ``(seed, s)``, so that a resumed run draws
the same numbers as an uninterrupted one.
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager

import torch

from ganzoo.arguments import require_int


def derive_seed(seed: int, *place: int | str) -> int:
    """Return a 63-bit seed for one place, such as ``derive_seed(0, "latents", step)``.

    Raises:
        ganzoo.errors.InputError: the seed is not a whole number from 0 on.
    """
    numbers = (
        part if isinstance(part, str) else require_int("a number in a seed's place", part)
        for part in place
    )
    # Equal numbers of different types must give the same text.
    digest = hashlib.sha256(repr((require_int("seed", seed), *numbers)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def make_rng(seed: int, *place: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a random generator for one place, on a device; see :func:`derive_seed`."""
    return torch.Generator(device).manual_seed(derive_seed(seed, *place))


def seed_everything(device: torch.device, seed: int) -> None:
    """Seed torch's global generators of the CPU and of a device.

    ``torch.manual_seed`` is slower: it seeds every kind of device, and looks up its caller.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def preserve_rng_state() -> AbstractContextManager[None]:
    """Restore torch's global random state at the end of the block.

    That is the state of the CPU and of the current GPU. Other GPUs are not used, and torch would
    warn about them.
    """
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    return torch.random.fork_rng(devices)
