"""The machine: what it is, what arithmetic it reaches, and the memory that was used."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ganzoo.compute.devices import processor_name

if TYPE_CHECKING:
    from ganzoo_zoo.apps.bench.clocks import Clock

SHAPE = (256, 32, 32)
"""Channels, height and width of the measured convolution, 3 x 3 and of as many channels."""
BATCH = {"cpu": 16}
"""Its batch by the type of device; a CPU would fetch the memory of a larger one anew."""
LARGE_BATCH = 128
"""Its batch on any other device, which a small one would leave half idle."""
SECONDS = 0.5
"""How long it is repeated, at least, unless it is said."""
MIN_REPEATS = 5
"""How often it is repeated, at least."""
STATUS = Path("/proc/self/status")
"""Where Linux tells the most memory that a process has had."""


@dataclass(frozen=True)
class Memory:
    """The most memory that was used at once."""

    peak_bytes: int | None
    """None where the system does not tell."""
    of: str
    """``device``: of tensors, while steps were timed; ``process``: of all, since it was started."""


@dataclass(frozen=True)
class Machine:
    """What a figure was measured on."""

    device: str
    device_name: str
    processor: str
    cores: int
    threads: int
    """That torch computes with."""
    cores_used: float
    """CPU time over time while steps were timed; less than the threads where others worked too."""
    clock: str
    """``host``, or ``events`` of the device."""
    tf32: bool
    """Whether convolutions of fp32 may be computed in TF32."""
    system: str
    python: str
    torch: str


class _FlopCounter(TorchDispatchMode):
    """Counts operations by torch's own formulas.

    torch.utils.flop_counter.FlopCounterMode follows the modules as well, and fails where a
    gradient is taken of samples that a module was given, as penalties do.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        found = func(*args, **kwargs)
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=found)
        return found


def count_flops(work: Callable[[], object]) -> int:
    """Do some work and return its floating-point operations, a multiply-add being two.

    Those of convolutions and matrix products are counted, forward and backward, to any order. What
    is compiled is done as it was written, as its own kernels cannot be looked into.
    """
    with torch.compiler.set_stance("force_eager"), _FlopCounter() as counter:
        work()
    return counter.flops


def convolution_rates(
    device: torch.device, half: torch.dtype | None, clock: Clock, seconds: float = SECONDS
) -> list[float]:
    """Repeat a convolution that suits the machine, and return the operations per second of each.

    Its memory is channels-last, and all of it is of type ``half``, or fp32 if that is None. What it
    is given comes from torch's global generator.

    Args:
        device: Where to compute.
        half: The type of all memory.
        clock: That of the device.
        seconds: How long it is repeated, at least.
    """
    channels, height, width = SHAPE
    batch = BATCH.get(device.type, LARGE_BATCH)
    kind = {"dtype": half or torch.float32, "device": device}
    features = torch.randn(batch, channels, height, width, **kind)
    features = features.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3, **kind)
    weight = weight.contiguous(memory_format=torch.channels_last)

    def repeat(times: int) -> list[float]:
        marks = [clock.mark()]
        for _ in range(times):
            F.conv2d(features, weight, padding=1)
            marks.append(clock.mark())
        return clock.spans(marks)

    with torch.no_grad():
        flops = count_flops(lambda: repeat(1))
        (once,) = repeat(1)
        times = max(MIN_REPEATS, math.ceil(seconds / once))
        return [flops / span for span in repeat(times)]


def reset_peak_memory(device: torch.device) -> None:
    """Have the peak of a GPU's memory count from here; that of a process cannot be forgotten."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> Memory:
    """Return the most memory that was used at once: the GPU's, or that of the whole process."""
    if device.type == "cuda":
        return Memory(torch.cuda.max_memory_allocated(device), "device")
    return Memory(_peak_rss(), "process")


def _peak_rss() -> int | None:
    try:
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def describe_machine(device: torch.device, clock: Clock, cores_used: float) -> Machine:
    """Say what the machine is."""
    gpu = device.type == "cuda"
    return Machine(
        device=str(device),
        device_name=torch.cuda.get_device_name(device) if gpu else processor_name(),
        processor=processor_name(),
        cores=_count_cores(),
        threads=torch.get_num_threads(),
        cores_used=round(cores_used, 2),
        clock=clock.name,
        tf32=gpu and torch.backends.cudnn.allow_tf32,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        torch=torch.__version__,
    )


def _count_cores() -> int:
    """Count the cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Linux alone has it
        return os.cpu_count() or 1
