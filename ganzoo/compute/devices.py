"""Devices and their arithmetic: half precision, TF32, and whether bfloat16 works."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from ganzoo.arguments import require_text
from ganzoo.distributed import local_rank
from ganzoo.errors import InputError
from ganzoo.storage.cache import get_or_make_tensors

DEVICE_KINDS = ("cpu", "cuda", "mps")
HALF_TYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Types of half-precision arithmetic, by the name of the precision."""
CPU_INFO_FILE = Path("/proc/cpuinfo")
"""The file in which Linux names its processors."""
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
"""A program that crashes on processors that cannot be trusted with bfloat16."""


def resolve_device(name: str) -> torch.device:
    """Return the device with a name, or the best one for ``auto``.

    Each of several processes on a machine gets a GPU of its own, unless you name one by number.

    Raises:
        InputError: the name is unknown, or the machine has no such device.
    """
    name = require_text("the name of a device, such as cpu", name)
    if name == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        name = "cpu" if found is None or found.type not in DEVICE_KINDS else found.type
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
    except (RuntimeError, AssertionError):  # torch's own message has hundreds of words
        raise InputError(f"this machine has no device '{name}'; choose auto or cpu") from None
    return device


def half_precision(
    device: torch.device, half: torch.dtype | None
) -> AbstractContextManager[object]:
    """Compute within the block in half precision where torch considers it safe.

    Args:
        device: The device that computes.
        half: The half-precision type; None changes nothing.
    """
    return nullcontext() if half is None else torch.autocast(device.type, half)


@contextmanager
def arithmetic(
    device: torch.device, half: torch.dtype | None = None, *, tf32: bool = True
) -> Iterator[None]:
    """Set torch's arithmetic within the block, for the backward pass as well.

    Args:
        device: The device that computes.
        half: The half-precision type in use, if any. On a CPU, oneDNN is off in fp16, because its
            fp16 gradients take a hundred times as long as those of torch's own kernels. In bf16 it
            is off where it crashes: see :func:`is_bf16_safe`.
        tf32: Whether a GPU may compute fp32 convolutions and matrix products in TF32.
    """
    if half is None and device.type != "cuda":
        yield  # the defaults are right, and setting them takes as long as a small layer
        return
    mkldnn: Any
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
    """Tell whether oneDNN's bfloat16 works on this processor; a child process tries it out.

    The transposed convolutions of oneDNN 3.13 can end a process with an illegal instruction if the
    processor claims to have AMX. The result is kept in the cache.
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
    """Tell whether a Python program exits without an error."""
    try:
        tried = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


def processor_name() -> str:
    """Return the name of this machine's processor."""
    try:
        for line in CPU_INFO_FILE.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
