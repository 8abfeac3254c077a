"""Where to compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from ganzoo.errors import InputError
from ganzoo.ranks import local_rank

KNOWN = ("cpu", "cuda", "mps")


def resolve_device(name: str) -> torch.device:
    """Turn ``auto`` or a device's name into a device that is there.

    Of several processes on a machine each has a GPU of its own, unless one is named by number.

    Raises:
        InputError: the name is unknown, or the machine has no such device.
    """
    if name == "auto":
        available = torch.accelerator.current_accelerator(check_available=True)
        usable = available is not None and available.type in KNOWN
        name = available.type if usable else "cpu"
        if local_rank() is None or name != "cuda":
            return torch.device(name)
    if name == "cuda" and (own := local_rank()) is not None:
        if 0 < (count := torch.cuda.device_count()) <= own:
            raise InputError(
                f"this machine has {count} GPUs, and a process for each of at least {own + 1} was "
                "started; start fewer, or choose --device cpu"
            )
        name = f"cuda:{own}"
    kind, colon, index = name.partition(":")
    if kind not in KNOWN or (colon and not index.isdecimal()):
        raise InputError(f"no device is called '{name}'; choose auto, cpu, cuda, cuda:N or mps")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):  # torch's own words run to hundreds of them
        raise InputError(f"this machine has no device '{name}'; choose auto or cpu") from None
    return device


def half_precision(
    device: torch.device, half: torch.dtype | None
) -> AbstractContextManager[object]:
    """Compute what torch holds to be safe in half precision while the block lasts, if asked to."""
    return nullcontext() if half is None else torch.autocast(device.type, half)


@contextmanager
def safe_kernels(device: torch.device, half: torch.dtype | None) -> Iterator[None]:
    """Keep half precision on a CPU to torch's own kernels while the block lasts.

    They are slower than oneDNN's, whose transposed convolutions in bfloat16 (3.13) end the process
    by an illegal instruction on some processors with AMX. The backward pass needs it as well.
    """
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = before and (half is None or device.type != "cpu")
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = before
