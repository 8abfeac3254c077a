"""Where to compute."""

from __future__ import annotations

import torch

from ganzoo.errors import InputError


def resolve_device(name: str) -> torch.device:
    """Turn ``auto`` or a device's name into a device that is there.

    Raises:
        InputError: the name is unknown, or the machine has no such device.
    """
    if name == "auto":
        available = torch.accelerator.current_accelerator(check_available=True)
        usable = available is not None and available.type in ("cuda", "mps")
        return torch.device(available.type if usable else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"device '{name}' cannot be used ({reason}); choose auto, cpu, cuda or mps"
        ) from None
    return device
