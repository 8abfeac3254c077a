"""The machine: its description, its arithmetic speed, and the memory in use."""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ganzoo.compute import machine

if TYPE_CHECKING:
    from ganzoo_zoo.apps.bench.clocks import Clock

SHAPE = (256, 32, 32)
"""Channels, height and width of the measured convolution, 3 x 3 and of as many channels."""
BATCH = {"cpu": 16}
"""Batch size by type of device; on a CPU, a larger batch would not stay in its cache."""
LARGE_BATCH = 128
"""Batch size on other devices, which a small batch would leave partly idle."""
SECONDS = 0.5
"""Default duration of the repetitions, at least."""
MIN_REPEATS = 5
"""The fewest repetitions."""
STATUS = Path("/proc/self/status")
"""The file in which Linux reports a process's peak memory."""


@dataclass(frozen=True)
class Memory:
    """Peak memory."""

    peak_bytes: int | None
    """None if the system does not report it."""
    of: str
    """``device`` for tensors during the timed steps; ``process`` for everything since its start."""


@dataclass(frozen=True)
class Machine(machine.Machine):
    """The machine of a measurement."""

    cores_used: float
    """CPU time divided by elapsed time of the timed steps; low if other processes were busy."""
    clock: str
    """``host``, or ``events`` of the device."""
    tf32: bool
    """Whether fp32 convolutions may use TF32."""
    python: str
    torch: str


class _FlopCounter(TorchDispatchMode):
    """Counts FLOPs by torch's own formulas.

    torch.utils.flop_counter.FlopCounterMode also tracks modules, and fails on gradients with
    respect to a module's input, which gradient penalties take.
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
    """Do some work and return its FLOPs, a multiply-add counting as two.

    Convolutions and matrix products are counted, forward and backward, to any order. Compiled code
    runs eagerly, because FLOPs of its kernels cannot be counted.
    """
    with torch.compiler.set_stance("force_eager"), _FlopCounter() as counter:
        work()
    return counter.flops


def convolution_rates(
    device: torch.device, half: torch.dtype | None, clock: Clock, seconds: float = SECONDS
) -> list[float]:
    """Repeat a convolution that suits the machine, and return the FLOP/s of each repetition.

    Tensors are channels-last, and filled from torch's global generator.

    Args:
        device: Device to compute on.
        half: Type of all tensors; fp32 if None.
        clock: Clock of the device.
        seconds: The shortest duration of the repetitions.
    """
    channels, height, width = SHAPE
    batch = BATCH.get(device.type, LARGE_BATCH)
    dtype = half or torch.float32
    features = torch.randn(batch, channels, height, width, dtype=dtype, device=device)
    features = features.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3, dtype=dtype, device=device)
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
    """Reset the peak memory of a GPU; the peak of a process cannot be reset."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> Memory:
    """Return the peak memory of the GPU, or else of the whole process."""
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
    """Describe the machine of a measurement."""
    return Machine(
        **asdict(machine.describe_machine(device)),
        cores_used=round(cores_used, 2),
        clock=clock.name,
        tf32=device.type == "cuda" and torch.backends.cudnn.allow_tf32,
        python=platform.python_version(),
        torch=torch.__version__,
    )
