"""Path length regularisation of the generator (Karras et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ganzoo import DataSpec, Discriminator, GeneratorInput, Penalty

if TYPE_CHECKING:
    from torch import Tensor, nn


class PathLength(Penalty):
    r"""A step in w of a fixed size should change the image by a fixed size.

    .. math::
        \lambda E_{w, y}[(\|J_w^T y\|_2 - a)^2], \quad J_w = \partial G(w) / \partial w, \quad
        y \sim N(0, I / (H W))

    where a is the moving average of the lengths :math:`\|J_w^T y\|_2`, up to the update before. If
    w has a vector for each of several layers, squared lengths are averaged over them. Karras et al.
    2020, equation 4 and appendix B; the weight is that of the authors' code. The generator must
    return ``w``, that its samples were computed from, of shape ``(N, w_dim)`` or
    ``(N, layers, w_dim)``. By default the penalty is lazy, and computed for half of the batch.
    """

    paper = "Karras et al. 2020, arXiv:1912.04958"
    second_order = True
    needs_generator_parts = ("w",)
    needs_fakes = False

    interval: int = Field(
        default=4,
        ge=1,
        description="Updates from one that the penalty is due in to the next. From 2 on it has an "
        "update of its own, times the interval.",
    )
    weight: float = Field(default=2.0, ge=0, description="Weight of the penalty, lambda.")
    decay: float = Field(
        default=0.01, gt=0, le=1, description="Share by which the average follows an update."
    )
    shrink: int = Field(
        default=2, ge=1, description="Of so many samples of the batch, the penalty takes one."
    )

    def state(self, data: DataSpec) -> nn.Module:
        """Build the average length, which begins at 0."""
        import torch
        from torch import nn

        average = nn.Module()
        average.register_buffer("length", torch.zeros(()))
        return average

    def remember(self, state: nn.Module, observed: Mapping[str, Tensor]) -> None:
        """Move the average towards the mean length of the update."""
        state.get_buffer("length").lerp_(observed["length"], self.decay)

    def generator_terms(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the weighted mean squared deviation of the lengths from their average."""
        assert D.state is not None, "state() builds it"
        # Generated again, as the fakes of the loss may be in half precision, and are all.
        found = D.generate(_take_every(D.inputs, self.shrink))
        lengths = path_lengths(found["samples"], found["w"])
        D.observe(length=lengths.mean())
        deviation = lengths - D.state.get_buffer("length")
        return {"path_length": self.weight * deviation.square().mean()}


def path_lengths(samples: Tensor, w: Tensor) -> Tensor:
    """Return the length ``(N,)`` of a random direction's path in w, for each sample.

    Args:
        samples: Images ``(N, C, H, W)``, or vectors ``(N, D)``, with their graph.
        w: What they were computed from, ``(N, w_dim)`` or ``(N, layers, w_dim)``.
    """
    import torch

    pixels, layers = samples.shape[2:].numel(), w[0].numel() // w.shape[-1]
    # Not like the samples, as the numbers should not depend on how these lie in memory.
    noise = torch.randn(samples.shape, dtype=samples.dtype, device=samples.device)
    direction = noise / pixels**0.5
    (slopes,) = torch.autograd.grad((samples * direction).sum(), w, create_graph=True)
    return slopes.flatten(1).norm(dim=1) / layers**0.5


def _take_every(inputs: GeneratorInput, count: int) -> GeneratorInput:
    """Return every so many-th of the inputs: the same ones, if a batch is computed in parts."""
    import torch

    every = {field.name: getattr(inputs, field.name) for field in fields(inputs)}
    taken: dict[str, Any] = {
        name: each[::count] for name, each in every.items() if isinstance(each, torch.Tensor)
    }
    return replace(inputs, **taken)
