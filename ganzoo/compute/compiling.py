"""Networks compiled for the machine that they run on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ganzoo.errors import GanzooError, InputError, first_line

NetworkFunction = Callable[..., Tensor]
"""A network, or what stands for it where its first gradient is enough."""

DOUBLE_BACKWARD_ERRORS = ("double backward", "create_graph=False")
"""What torch says of a gradient of compiled code that is to be differentiated."""


def compile_network(network: nn.Module, *, cuda_graphs: bool = False) -> NetworkFunction:
    """Return what computes as a network does, with its parameters, compiled when it is first used.

    A gradient of it cannot be differentiated again, as torch does not compile that.

    Args:
        network: The network, which stays as it is.
        cuda_graphs: Whether a GPU replays its kernels as one graph. What a step made is then
            overwritten by the next, which begins by :func:`begin_graphs`.
    """
    return torch.compile(network, mode="reduce-overhead" if cuda_graphs else None)


def begin_graphs() -> None:
    """Say that what graphs have made so far is not needed any more."""
    torch.compiler.cudagraph_mark_step_begin()


@contextmanager
def explain_compile_errors() -> Iterator[None]:
    """Turn what the compiler cannot do within the block into a line.

    Raises:
        GanzooError: there is no compiler, or it fails.
        InputError: a gradient of what was compiled was to be differentiated.
    """
    from torch._dynamo.exc import TorchDynamoException

    try:
        with warnings.catch_warnings():
            # Of the compiler's own looking for gradients.
            warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
            yield
    except TorchDynamoException as error:
        cause = first_line(getattr(error, "inner_exception", error))
        raise GanzooError(
            f"the networks cannot be compiled here: {cause}; leave --compile away"
        ) from error
    except RuntimeError as error:
        if not any(words in str(error) for words in DOUBLE_BACKWARD_ERRORS):
            raise
        raise InputError(
            "a gradient of a compiled network is differentiated outside the discriminator's own "
            "update, which torch cannot do; leave --compile away"
        ) from error
