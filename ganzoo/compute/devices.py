"""Where to compute."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch

from ganzoo.distributed import local_rank
from ganzoo.errors import InputError
from ganzoo.storage.cache import get_or_make_tensors

DEVICE_KINDS = ("cpu", "cuda", "mps")
HALF_TYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The type of arithmetic in half precision, by the name of the precision."""
CPU_INFO_FILE = Path("/proc/cpuinfo")
"""Where Linux tells what its processors are called."""
BF16_PROBE = """
import torch
from torch import nn

for layer, shape in (
    (nn.Conv2d(16, 16, 3, padding=1), (4, 16, 8, 8)),
    (nn.ConvTranspose2d(16, 16, 4, 2, 1), (4, 16, 8, 8)),
    (nn.ConvTranspose2d(64, 128, 4), (4, 64, 1, 1)),
    (nn.Linear(64, 64), (4, 64)),
):
    memory = torch.channels_last if len(shape) == 4 else torch.preserve_format
    with torch.autocast("cpu", torch.bfloat16):
        made = layer.to(memory_format=memory)(torch.randn(shape).to(memory_format=memory))
    made.float().square().mean().backward()
"""
"""What a processor must survive to be trusted with bfloat16."""


def resolve_device(name: str) -> torch.device:
    """Turn ``auto`` or a device's name into a device that is there.

    Of several processes on a machine each has a GPU of its own, unless one is named by number.

    Raises:
        InputError: the name is unknown, or the machine has no such device.
    """
    if name == "auto":
        available = torch.accelerator.current_accelerator(check_available=True)
        usable = available is not None and available.type in DEVICE_KINDS
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
    if kind not in DEVICE_KINDS or (colon and not index.isdecimal()):
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
def arithmetic(
    device: torch.device, half: torch.dtype | None = None, *, tf32: bool = True
) -> Iterator[None]:
    """Have torch compute as it is asked to while the block lasts, the backward pass too.

    Args:
        device: What computes.
        half: The type of half precision that is used, if any. On a CPU torch's own kernels, which
            are slower, take the place of oneDNN's in fp16, whose gradients oneDNN takes a hundred
            times as long for, and in bf16 where oneDNN is not sound: see :func:`is_bf16_safe`.
        tf32: Whether a GPU may compute convolutions and products of fp32 in TF32.
    """
    if half is None and device.type != "cuda":
        yield  # to set what is as it should be takes as long as a small layer
        return
    mkldnn, matmul, cudnn = torch.backends.mkldnn, torch.backends.cuda.matmul, torch.backends.cudnn
    before = mkldnn.enabled, matmul.allow_tf32, cudnn.allow_tf32
    if half is not None and device.type == "cpu":
        mkldnn.enabled = mkldnn.enabled and half is torch.bfloat16 and is_bf16_safe()
    if device.type == "cuda":
        matmul.allow_tf32 = cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        mkldnn.enabled, matmul.allow_tf32, cudnn.allow_tf32 = before


@functools.cache
def is_bf16_safe() -> bool:
    """Tell whether oneDNN's bfloat16 works on this processor, as a process of its own tries it.

    Its transposed convolutions (3.13) were seen to end processes by an illegal instruction on
    machines whose processors say that they have AMX. What was found is kept in the cache.
    """
    key = {
        "torch": torch.__version__,
        "processor": processor_name(),
        "system": platform.platform(),
        "limit": os.environ.get("ONEDNN_MAX_CPU_ISA"),
    }
    found = get_or_make_tensors("bf16", key, lambda: {"sound": torch.tensor(_can_run(BF16_PROBE))})
    return bool(found["sound"])


def _can_run(program: str) -> bool:
    """Tell whether a Python program comes to its end."""
    try:
        tried = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


def processor_name() -> str:
    """Return what this machine's processor is called."""
    try:
        for line in CPU_INFO_FILE.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
