"""How large a network is, before it takes memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.overrides import TorchFunctionMode

from ganzoo.compute import memory
from ganzoo.errors import InputError, first_line

MAX_TENSORS = 5_000
"""Parameters and buffers of a network, counted as tensors."""


def build_on_meta(
    build: Callable[[], nn.Module], size: int | None = None, tensors: int = MAX_TENSORS
) -> nn.Module | None:
    """Build a network without its numbers, on torch's meta device, to see how large it is.

    Args:
        build: What builds it.
        size: Bytes that its tensors may take; by default :func:`ganzoo.compute.memory.limit`.
        tensors: How many tensors it may have.

    Returns:
        The network, or None where its code does not work on the meta device.

    Raises:
        InputError: it is larger.
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
        if "overflow" in str(error).lower():  # of a size that no machine could have
            raise InputError(f"the network is too large: {first_line(error)}") from None
        return None


INIT_FUNCTIONS = (
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
    nn.init.normal_,
    nn.init.uniform_,
    nn.init.kaiming_uniform_,
)
"""What draws the numbers of torch's own layers."""


class _SkipInit(TorchFunctionMode):
    """Leaves out to draw numbers that are not there: torch would import for seconds to do it."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in INIT_FUNCTIONS:
            return args[0] if args else kwargs["tensor"]
        if func is torch.randn:
            kwargs.pop("generator", None)
            func = torch.empty
        return func(*args, **kwargs)


@contextmanager
def limit_tensors(size: int, tensors: int) -> Iterator[None]:
    """Refuse tensors, as modules get them, that are too large or too many together.

    Args:
        size: Bytes that they may take.
        tensors: How many there may be.

    Raises:
        InputError: they are more.
    """
    left = [size, tensors]

    def count(module: nn.Module, name: str, tensor: Tensor | None) -> None:
        if tensor is None:
            return
        left[0] -= tensor.numel() * tensor.element_size()
        left[1] -= 1
        if min(left) < 0:
            raise InputError(
                f"the network is too large: its tensors take more than {size / 2**20:,.0f} MiB, or "
                f"are more than {tensors:,}; ask for a smaller one"
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
