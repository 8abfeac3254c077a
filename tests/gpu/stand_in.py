"""Torch's meta device in place of a GPU, to find what makes the host wait for a device.

Its tensors have no numbers, so that whatever reads one on the host fails by itself. What goes on
silently there, and waits on a GPU, is noted: copies to the device that are not told to be
non-blocking, tensors made on it of numbers of the host, indices that lie on the host, and operators
of :data:`WAITING`. Half precision is not computed, because autocast does not know this device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from importlib import import_module
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ganzoo.compute import seeding
from ganzoo.training import assembly, batches, networks, preconditions, trainer

META = torch.device("meta")
CUDA = torch.device("cuda")
aten = torch.ops.aten
COPIES = {aten._to_copy, aten.copy_}
MADE = {torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor}
INDEXED = {Tensor.__getitem__, Tensor.__setitem__}
INDEX = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
WAITING = {
    aten._linalg_check_errors,  # reads whether the matrices had an inverse or a factor
    aten._linalg_eigh,
    aten._linalg_svd,
    aten.linalg_eig,
    aten.linalg_lstsq,
    aten.linalg_qr,
    aten.is_pinned,
    aten._pin_memory,
}
"""Operators that the meta device passes and for which a GPU's host waits."""


class Generator(torch.Generator):
    """A generator of random numbers that says it is the device's."""

    device = META


class _Function(TorchFunctionMode):
    """Notes tensors that are made on the device of the host's numbers, and indices in lists."""

    def __init__(self, noted: list[str]) -> None:
        super().__init__()
        self.noted = noted

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in MADE and _goes_to_device(func, args, kwargs):
            self.noted.append(f"{func.__name__} of numbers of the host")
        if func in INDEXED and isinstance(args[0], Tensor) and args[0].device == META:
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(each, list) for each in index):
                self.noted.append("a list as an index")
        return func(*args, **kwargs)


class Waits(TorchDispatchMode):
    """Notes in :attr:`noted` what the host waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []
        self._function = _Function(self.noted)

    def __enter__(self) -> Waits:
        self._function.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._function.__exit__(*error)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        packet = func.overloadpacket
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        on_device = [each for each in tensors if each.device == META]
        of_host = [each for each in tensors if each.device != META]
        found = func(*args, **kwargs)
        if packet in WAITING and on_device:
            self.noted.append(str(func))
        elif packet in COPIES:
            if found.device == META and of_host and not kwargs.get("non_blocking"):
                self.noted.append(f"{func} from the host")
        elif packet in INDEX and on_device:
            if of_host:
                self.noted.append(f"{func} by an index of the host")
            if _counts_what_is_true(packet, args):
                self.noted.append(f"{func} by a mask")
        elif on_device and any(each.dim() for each in of_host):
            self.noted.append(f"{func} of a tensor of the host")
        return found


def _goes_to_device(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    given = args[1] if func is Tensor.new_tensor else args[0]
    device = kwargs.get("device")
    if device is None and func is Tensor.new_tensor:
        device = args[0].device
    is_there = isinstance(given, Tensor) and given.device == META
    return device is not None and torch.device(device) == META and not is_there


def _counts_what_is_true(packet: Any, args: tuple[Any, ...]) -> bool:
    """Tell whether an index is a mask; one that sets a single number is filled in place."""
    is_mask = any(each is not None and each.dtype == torch.bool for each in args[1])
    return is_mask and (packet is aten.index or args[2].dim() > 0)


@contextmanager
def meta_as_device() -> Iterator[None]:
    """Have trainers that are built and stepped within the block take the meta device for a GPU."""
    make_rng, autocast, build_optimizer = (
        seeding.make_rng,
        torch.autocast,
        networks.build_optimizer,
    )

    def make_any_rng(seed: int, *place: int | str, device: Any = "cpu") -> torch.Generator:
        if torch.device(device) != META:
            return make_rng(seed, *place, device=device)
        return Generator().manual_seed(seeding.derive_seed(seed, *place))

    def autocast_elsewhere(kind: str, *given: Any, **named: Any) -> AbstractContextManager[Any]:
        return nullcontext() if kind == "meta" else autocast(kind, *given, **named)

    def build_for_gpu(network: Any, options: Any, factors: Any, device: Any) -> Any:
        return build_optimizer(network, options, factors, CUDA)

    replaced: dict[tuple[Any, str], Callable[..., Any]] = {
        (assembly, "resolve_device"): lambda name: META,
        (trainer, "make_rng"): make_any_rng,
        (batches, "make_rng"): make_any_rng,
        (torch, "autocast"): autocast_elsewhere,
        (networks, "build_optimizer"): build_for_gpu,
        (
            import_module(torch.optim.Adam.__module__),
            "_device_dtype_check_for_fused",
        ): lambda *given, **named: None,
        (trainer, "compile_network"): lambda network, cuda_graphs: network,
        (trainer, "begin_graphs"): lambda: None,
        (preconditions, "check_options"): lambda setup: None,
    }
    with ExitStack() as stack:
        for place, new in replaced.items():
            stack.enter_context(mock.patch.object(*place, new))
        yield
