"""Samples and the other outputs that are judged with them, as one tensor.

Losses and penalties compute with samples: they mix reals with fakes, and differentiate by them. So
they are given one tensor, whatever a generator makes, and the discriminator's network gets the
parts back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganzoo.protocols.outputs import pick

if TYPE_CHECKING:
    from ganzoo.protocols.architecture import Architecture
    from ganzoo.protocols.dataset import DataSpec
    from ganzoo.protocols.outputs import NetworkOutput

SAMPLES = "samples"


@dataclass(frozen=True)
class Packing:
    """How parts of N samples lie in one tensor ``(N, K)``: one behind the other, flattened."""

    shapes: Mapping[str, tuple[int, ...]]
    """The shape of each part of one sample, by name; ``samples`` is the first."""

    @classmethod
    def of(cls, parts: Mapping[str, Tensor]) -> Packing:
        """Return the packing of such parts, each ``(N, ...)``."""
        return cls({name: tuple(part.shape[1:]) for name, part in parts.items()})

    def pack(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Return parts ``(N, ...)`` as one tensor ``(N, K)``; other names are left out."""
        return torch.cat([parts[name].flatten(1) for name in self.shapes], dim=1)

    def unpack(self, packed: Tensor) -> dict[str, Tensor]:
        """Return the parts of a tensor ``(N, K)``, by name."""
        sizes = [torch.Size(shape).numel() for shape in self.shapes.values()]
        pieces = zip(self.shapes.items(), packed.split(sizes, dim=1), strict=True)
        return {name: piece.unflatten(1, shape) for (name, shape), piece in pieces}


def complete_reals(architecture: Architecture, real: Tensor) -> dict[str, Tensor]:
    """Return reals with their judged parts by name, ``samples`` first."""
    found = architecture.real_parts(real)
    return {SAMPLES: real, **{name: found[name] for name in architecture.judged_parts}}


def judge_samples(
    architecture: Architecture, discriminator: nn.Module, data: DataSpec
) -> nn.Module:
    """Return a network from samples alone, and labels if any, to logits alone.

    That is the discriminator itself, unless it judges other parts or a source as well, or gives
    more than logits. The parts of any samples are made as those of reals are. All samples have one
    source: it is for those to whom it does not matter which.

    Args:
        architecture: The architecture.
        discriminator: Its discriminator.
        data: What it was built for.
    """
    is_plain = not (architecture.judged_parts or architecture.discriminator_parts)
    if is_plain and not architecture.judges_source:
        return discriminator
    return _SamplesToLogits(architecture, discriminator, data)


class _SamplesToLogits(nn.Module):
    """A discriminator as those see it who have samples and want logits."""

    source: Tensor | None

    def __init__(self, architecture: Architecture, network: nn.Module, data: DataSpec) -> None:
        super().__init__()
        self.architecture = architecture
        self.network = network
        shape = data.source if architecture.judges_source else None
        source = None if shape is None else torch.zeros(1, *shape)
        self.register_buffer("source", source, persistent=False)

    def forward(self, samples: Tensor, *labels: Tensor) -> Tensor:
        given: Tensor | dict[str, Tensor] = samples
        if self.architecture.judged_parts:
            given = complete_reals(self.architecture, samples)
        sources = () if self.source is None else (self._repeat_source(len(samples)),)
        found: NetworkOutput = self.network(given, *labels, *sources)
        return pick(found, "logits")

    def _repeat_source(self, count: int) -> Tensor:
        assert self.source is not None, "asked before"
        return self.source.expand(count, *self.source.shape[1:])
