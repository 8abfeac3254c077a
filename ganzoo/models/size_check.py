"""Limits on the size of a network, checked before memory is allocated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.overrides import TorchFunctionMode

from ganzoo.compute import memory
from ganzoo.errors import InputError, first_line

MAX_TENSORS = 5_000
"""Most parameters and buffers of a network."""


def build_on_meta(
    build: Callable[[], nn.Module], size: int | None = None, tensors: int = MAX_TENSORS
) -> nn.Module | None:
    """Build a network on torch's meta device, without storage, and check its size.

    Args:
        build: Builds the network.
        size: Most bytes of its tensors; by default :func:`ganzoo.compute.memory.limit`.
        tensors: Most parameters and buffers.

    Returns:
        The network; None if its code does not work on the meta device.

    Raises:
        InputError: the network is too large.
    """
    try:
        with (
            torch.device("meta"),
            _SkipInit(),
            limit_tensors(memory.limit() if size is None else size, tensors),
        ):
            return build()
    except InputError:
        raise
    except Exception as error:
        if "overflow" in str(error).lower():  # a size beyond what any machine can address
            raise InputError(f"the network is too large: {first_line(error)}") from None
        return None


INIT_FUNCTIONS = (
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
    nn.init.normal_,
    nn.init.uniform_,
    nn.init.kaiming_uniform_,
)
"""Functions with which torch's own layers initialise weights."""


class _SkipInit(TorchFunctionMode):
    """Skips how weights are initialised, for which torch would import modules for seconds.

    So it does what spectral normalisation computes of a weight: its power iterations and a share.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in INIT_FUNCTIONS:
            return args[0] if args else kwargs["tensor"]
        if func is F.normalize:
            return args[0] if kwargs.get("out") is None else kwargs["out"]
        if func in (torch.mv, torch.vdot):
            return args[0].new_empty(args[0].shape[:-1])
        if func is torch.Tensor.div and isinstance(args[1], Tensor) and not args[1].dim():
            return args[0].new_empty(args[0].shape)
        if func is torch.randn:
            kwargs.pop("generator", None)
            func = torch.empty
        return func(*args, **kwargs)


@contextmanager
def limit_tensors(size: int, tensors: int) -> Iterator[None]:
    """Limit the parameters and buffers that modules register within the block.

    Args:
        size: Most bytes of all of them.
        tensors: Most of them.

    Raises:
        InputError: a limit is exceeded.
    """
    left = [size, tensors]

    def count(module: nn.Module, name: str, tensor: Tensor | None) -> None:
        if tensor is None:
            return
        replaced = module._buffers.get(name)  # as power iterations do with their vectors
        left[0] -= tensor.nbytes - (0 if replaced is None else replaced.nbytes)
        left[1] -= replaced is None
        if min(left) < 0:
            raise InputError(
                f"the network is too large: its tensors take more than {size / 2**20:,.0f} MiB, or "
                f"there are more than {tensors:,}; choose a smaller one"
            )

    hooks = [
        register_module_parameter_registration_hook(count),
        register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
