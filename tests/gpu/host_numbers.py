"""Random numbers of the host on a device, so that a step there can be compared with one on the CPU.

A device has generators of its own, whose numbers are others than the host's for the same seed.
Within :class:`HostNumbers` whatever draws on the device is drawn by the host, from a generator with
the seed of the device's, and copied there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
MADE = {aten.rand, aten.randn, aten.randint, aten.randperm}
LIKE = {aten.rand_like, aten.randn_like, aten.randint_like}
FILLED = {aten.normal_, aten.uniform_, aten.random_, aten.exponential_, aten.bernoulli_}
OF_NUMBERS = {aten.bernoulli, aten.multinomial, aten.normal}
HOST = torch.device("cpu")


class HostNumbers(TorchDispatchMode):
    """Draws the random numbers of a device on the host.

    Args:
        device: The device. On the CPU itself all numbers stay as they are.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.kind = device.type
        self.drawn = 0
        """Operators that drew."""
        self._generators: dict[int, tuple[torch.Generator, torch.Generator]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        packet = func.overloadpacket
        if packet in MADE:
            device = torch.device(kwargs.get("device") or HOST)
            if device.type != self.kind:
                return func(*args, **kwargs)
            return self._draw(func, args, {**kwargs, "device": HOST}).to(device)
        if packet not in LIKE | FILLED | OF_NUMBERS or args[0].device.type != self.kind:
            return func(*args, **kwargs)
        if packet in OF_NUMBERS:
            there = [each.to(HOST) if isinstance(each, Tensor) else each for each in args]
            return self._draw(func, there, kwargs).to(args[0].device)
        # Of the first tensor the layout counts, in which numbers are filled in.
        first = torch.empty_like(args[0], device=HOST)
        rest = [each.to(HOST) if isinstance(each, Tensor) else each for each in args[1:]]
        if packet in LIKE:
            device = torch.device(kwargs.pop("device", None) or args[0].device)
            return self._draw(func, [first, *rest], {**kwargs, "device": HOST}).to(device)
        args[0].copy_(self._draw(func, [first, *rest], kwargs))
        return args[0]

    def _draw(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
        self.drawn += 1
        if (generator := kwargs.get("generator")) is not None:
            kwargs["generator"] = self._on_host(generator)
        found: Tensor = func(*args, **kwargs)
        return found

    def _on_host(self, generator: torch.Generator) -> torch.Generator:
        if generator.device == HOST:
            return generator
        if id(generator) not in self._generators:
            own = torch.Generator().manual_seed(generator.initial_seed())
            self._generators[id(generator)] = generator, own
        return self._generators[id(generator)][1]
