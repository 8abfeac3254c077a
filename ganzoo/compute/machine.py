"""The machine that computes: its processor, its device, and torch's threads."""

from __future__ import annotations

import platform
from dataclasses import dataclass

import torch

from ganzoo.compute.cgroups import count_cpus
from ganzoo.compute.devices import processor_name


@dataclass(frozen=True)
class Machine:
    """A machine, as records and benchmarks name it."""

    device: str
    device_name: str
    """Name of the GPU, or else of the processor."""
    processor: str
    cores: int
    """Cores that the process may use."""
    threads: int
    """Number of torch's threads."""
    system: str


def describe_machine(device: torch.device) -> Machine:
    """Describe this machine, and the device that computes on it."""
    is_gpu = device.type == "cuda"
    return Machine(
        device=str(device),
        device_name=torch.cuda.get_device_name(device) if is_gpu else processor_name(),
        processor=processor_name(),
        cores=count_cpus(),
        threads=torch.get_num_threads(),
        system=f"{platform.system()} {platform.machine()}",
    )
