"""The states of single layers, from tensors of another program's file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganzoo_zoo.converters.naming import below, same, take

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo import ForeignWeights

    State = dict[str, Tensor]


def take_layer(weights: ForeignWeights, source: str, target: str, *, bias: bool = True) -> State:
    """Return the state of a convolution or a linear layer, or of an embedding, under its name."""
    names = ("weight", "bias") if bias else ("weight",)
    return take(weights, below(target, same(source, *names)))


def take_batch_norm(
    weights: ForeignWeights, source: str, target: str, *, affine: bool = True
) -> State:
    """Return the state of torch's batch normalisation under its name."""
    names = ("weight", "bias") if affine else ()
    counted = ("num_batches_tracked",) if f"{source}.num_batches_tracked" in weights else ()
    found = same(source, *names, "running_mean", "running_var", *counted)
    return no_batches(target) | take(weights, below(target, found))


def no_batches(target: str) -> State:
    """Return the count of batch normalisation that has seen no batch."""
    import torch

    return {f"{target}.num_batches_tracked": torch.tensor(0)}


def take_vectors(weights: ForeignWeights, source: str) -> tuple[Tensor, Tensor, Tensor]:
    """Take a weight that torch normalises spectrally, and the vectors of its rows and columns."""
    names = ("weight_orig", "weight_u", "weight_v")
    weight, left, right = (weights.take(f"{source}.{name}") for name in names)
    return weight, left, right


def normalised_weight(
    target: str, weight: Tensor, left: Tensor, right: Tensor, name: str = "weight"
) -> State:
    """Return the state of a spectrally normalised weight.

    In evaluation it is divided by ``left @ weight @ right``, the rows of the weight being vectors.

    Args:
        target: Name of the module.
        weight: The weight as it is stored.
        left: A number for each row of the weight.
        right: A number for each column.
        name: Name of the weight in the module.
    """
    prefix = f"{target}." if target else ""
    prefix += f"parametrizations.{name}"
    return {f"{prefix}.original": weight, f"{prefix}.0._u": left, f"{prefix}.0._v": right}
