"""A limit on memory, asked before anything large is allocated.

Files from anywhere say how large networks and samples are to be. What would not fit is refused
first: a system that runs out of memory may end other programs.
"""

from __future__ import annotations

import os
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

from ganzoo.errors import InputError, first_line

VARIABLE = "GANZOO_MEMORY"
"""Environment variable that sets the limit, in GiB."""
GIB = 1 << 30
UNKNOWN = 16 * GIB
"""The limit where the system does not say how much memory it has."""
MOST_TENSORS = 5_000
"""Parameters and buffers of a network, counted as tensors."""


def limit() -> int:
    """Return how many bytes may be asked for: ``GANZOO_MEMORY`` GiB, or the machine's memory.

    Raises:
        InputError: the variable is no positive number.
    """
    text = os.environ.get(VARIABLE)
    if text:
        try:
            size = int(float(text) * GIB)
        except (ValueError, OverflowError):
            size = 0
        if size < 1:
            raise InputError(f"{VARIABLE} must be a number of GiB, not '{text}'")
        return size
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return UNKNOWN


def require(size: int, what: str) -> None:
    """Refuse what does not fit into memory.

    Args:
        size: Bytes that it takes.
        what: What takes them, as the message begins.

    Raises:
        InputError: they are more than :func:`limit`.
    """
    if size > (most := limit()):
        raise InputError(
            f"{what} would take {size / GIB:,.1f} GiB of memory, and the limit is "
            f"{most / GIB:,.1f} GiB; ask for less, or set {VARIABLE}"
        )


def outlined(
    build: Callable[[], nn.Module], size: int | None = None, tensors: int = MOST_TENSORS
) -> nn.Module | None:
    """Build a network without its numbers, on torch's meta device, to see how large it is.

    Args:
        build: What builds it.
        size: Bytes that its tensors may take; by default :func:`limit`.
        tensors: How many tensors it may have.

    Returns:
        The network, or None where its code does not work on the meta device.

    Raises:
        InputError: it is larger.
    """
    try:
        with (
            torch.device("meta"),
            _Undrawn(),
            counted(limit() if size is None else size, tensors),
        ):
            return build()
    except InputError:
        raise
    except Exception as error:
        if "overflow" in str(error).lower():  # of a size that no machine could have
            raise InputError(f"the network is too large: {first_line(error)}") from None
        return None


DRAWN = (
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
    nn.init.normal_,
    nn.init.uniform_,
    nn.init.kaiming_uniform_,
)
"""What draws the numbers of torch's own layers."""


class _Undrawn(TorchFunctionMode):
    """Leaves out to draw numbers that are not there: torch would import for seconds to do it."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in DRAWN:
            return args[0] if args else kwargs["tensor"]
        if func is torch.randn:
            kwargs.pop("generator", None)
            func = torch.empty
        return func(*args, **kwargs)


@contextmanager
def counted(size: int, tensors: int) -> Iterator[None]:
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
