"""The exponential moving average of the generator's weights."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class MovingAverage(AveragedModel):
    """A copy of a generator whose weights follow the generator's slowly.

    The decay is known on the host. Torch's own update sends its counter to the device, and the
    host would wait for it.

    Args:
        generator: The network to follow; the average starts as a copy of it.
        copied: Names of its submodules whose weights are copied in place of being averaged.
    """

    n_averaged: Tensor

    def __init__(self, generator: nn.Module, copied: Iterable[str] = ()) -> None:
        super().__init__(generator)
        # Listed once: walking through the modules takes as long as some small updates.
        self._own_parameters, own_copies = _split_parameters(self.module, copied)
        self._parameters_to_follow, copies = _split_parameters(generator, copied)
        self._copies = _group_by_type(
            [*copies, *generator.buffers()], [*own_copies, *self.module.buffers()]
        )

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Move the weights towards the generator's, and copy its buffers and other weights.

        Args:
            decay: The share of the average that stays, in [0, 1); the first update copies all.
        """
        if self.n_averaged:
            average = get_ema_multi_avg_fn(decay)
            average(self._own_parameters, self._parameters_to_follow, self.n_averaged)
        else:
            _copy(_group_by_type(self._parameters_to_follow, self._own_parameters))
        _copy(self._copies)
        self.n_averaged += 1


def _split_parameters(
    network: nn.Module, copied: Iterable[str]
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the parameters that are averaged, and those of the submodules that are copied."""
    apart = {id(each) for name in copied for each in network.get_submodule(name).parameters()}
    found: tuple[list[Tensor], list[Tensor]] = [], []
    for parameter in network.parameters():
        found[id(parameter) in apart].append(parameter)
    return found


def _group_by_type(
    sources: Sequence[Tensor], targets: Sequence[Tensor]
) -> list[tuple[list[Tensor], list[Tensor]]]:
    """Group pairs of tensors by type: a GPU copies those of one type in a single launch."""
    groups: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
    for source, target in zip(sources, targets, strict=True):
        found = groups.setdefault(target.dtype, ([], []))
        found[0].append(source)
        found[1].append(target)
    return list(groups.values())


def _copy(groups: Iterable[tuple[list[Tensor], list[Tensor]]]) -> None:
    for sources, targets in groups:
        torch._foreach_copy_(targets, sources)


def without_running_statistics(network: nn.Module) -> nn.Module:
    """Return a copy whose batch norms normalise by the batch, in evaluation mode as well.

    Running statistics start at mean 0 and variance 1, whatever the activations are. For some tens
    of steps they make flat grey of what the generator draws. A network without batch norm is
    returned itself.
    """
    if not any(isinstance(module, _BatchNorm) for module in network.modules()):
        return network
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean = module.running_var = None
    return network
