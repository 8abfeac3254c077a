"""Compiling networks for the machine that they run on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ganzoo.errors import GanzooError, InputError, first_line

NetworkFunction = Callable[..., Tensor]
"""A network, or its compiled form, which has only first gradients."""

DOUBLE_BACKWARD_ERRORS = ("double backward", "create_graph=False")
"""Parts of torch's messages about a second gradient of compiled code."""


def compile_network(network: nn.Module, *, cuda_graphs: bool = False) -> NetworkFunction:
    """Return the compiled form of a network, which shares its parameters.

    Compilation happens at the first call. Torch cannot differentiate its gradients again.

    Args:
        network: The network, which is not modified.
        cuda_graphs: Whether a GPU replays the kernels as one graph. Each step then overwrites the
            results of the previous one, and must begin with :func:`begin_graphs`.
    """
    return torch.compile(network, mode="reduce-overhead" if cuda_graphs else None)


def begin_graphs() -> None:
    """Begin a step: the results of earlier CUDA graphs may be overwritten."""
    torch.compiler.cudagraph_mark_step_begin()


@contextmanager
def explain_compile_errors() -> Iterator[None]:
    """Turn errors of the compiler within the block into messages of one line.

    Raises:
        GanzooError: there is no compiler, or it fails.
        InputError: the block differentiates a gradient of compiled code.
    """
    from torch._dynamo.exc import TorchDynamoException

    try:
        with warnings.catch_warnings():
            # The compiler itself causes it when it looks for gradients.
            warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
            yield
    except TorchDynamoException as error:
        cause = first_line(getattr(error, "inner_exception", error))
        raise GanzooError(
            f"the networks cannot be compiled here: {cause}; drop --compile"
        ) from error
    except RuntimeError as error:
        if not any(words in str(error) for words in DOUBLE_BACKWARD_ERRORS):
            raise
        raise InputError(
            "a gradient of a compiled network is differentiated outside the discriminator's own "
            "update, which torch cannot do; drop --compile"
        ) from error
