"""The optimisers of a training, and their settings at each step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ganzoo.errors import InputError

if TYPE_CHECKING:
    from ganzoo.config import TrainOptions
    from ganzoo.protocols.penalty import Penalty
    from ganzoo.protocols.progress import Progress

FACTOR = "factor"
"""Key of a group of parameters: what its learning rate is multiplied by."""


def build_optimizer(
    network: nn.Module,
    options: TrainOptions,
    factors: Mapping[str, float],
    device: torch.device,
) -> torch.optim.Optimizer:
    """Build the optimiser of a network.

    Args:
        network: The network; parameters with a factor of 0 are frozen, and frozen ones stay so.
        options: The training options.
        factors: Factors on the learning rate by the beginning of parameters' names.
        device: Where the parameters are.

    Raises:
        InputError: a factor begins the name of no parameter.
    """
    groups = [
        {"params": parameters, FACTOR: factor}
        for factor, parameters in _group_parameters(network, factors).items()
    ]
    # Each step sets rates, betas and the like.
    if options.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, foreach=True)
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, foreach=True)
    kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
    # One pass through memory instead of ten, which is most of what a small step takes.
    return kind(groups, fused=device.type in ("cpu", "cuda"))


def _group_parameters(
    network: nn.Module, factors: Mapping[str, float]
) -> dict[float, list[nn.Parameter]]:
    """Group the parameters by the factor on their learning rate."""
    unused = set(factors)
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        found = [prefix for prefix in factors if name.startswith(prefix)]
        unused -= set(found)
        factor = factors[max(found, key=len)] if found else 1.0
        if factor and parameter.requires_grad:
            groups.setdefault(factor, []).append(parameter)
        else:
            parameter.requires_grad_(False)
    if unused:
        raise InputError(f"learning_rates() names '{min(unused)}', and no parameter begins so")
    return groups


@dataclass(frozen=True)
class OptimizerSettings:
    """What the optimiser of one network is set to at a step."""

    lr: float
    betas: tuple[float, float]
    eps: float
    weight_decay: float

    @classmethod
    def of(
        cls,
        options: TrainOptions,
        network: str,
        penalties: Iterable[Penalty] = (),
        factor: float = 1.0,
    ) -> OptimizerSettings:
        """Return the settings of a network's optimiser.

        Lazy penalties add updates to each of which Adam forgets and moves. So with k between those
        of a penalty, rate and exponents of the betas are multiplied by k / (k + 1), as Karras et
        al. 2020 do (arXiv:1912.04958, appendix B). Gradient descent forgets nothing, and moves as
        far as the gradient says: its rate stays.

        Args:
            options: The training options at this step.
            network: ``generator`` or ``discriminator``.
            penalties: The lazy penalties of this network.
            factor: A factor on the learning rate.
        """
        betas = getattr(options, f"{network}_betas") or options.betas
        share = 1 / (1 + sum(1 / penalty.interval for penalty in penalties))
        lr = getattr(options, f"{network}_lr") * factor
        if share < 1 and options.optimizer != "sgd":
            lr, betas = lr * share, (betas[0] ** share, betas[1] ** share)
        return cls(lr, betas, options.eps, options.weight_decay)

    def apply(self, optimizer: torch.optim.Optimizer) -> None:
        """Set an optimiser to this."""
        for group in optimizer.param_groups:
            group["lr"] = self.lr * group[FACTOR]
            group["eps"], group["weight_decay"] = self.eps, self.weight_decay
            if "betas" in group:
                group["betas"] = self.betas


def decay_factor(options: TrainOptions, step: int) -> float:
    """Return the learning-rate decay at a step, from 1 down to 0."""
    if options.lr_decay == "none":
        return 1.0
    begin = options.lr_decay_from * options.steps
    done = max(0.0, step - begin) / max(1.0, options.steps - begin)
    return 1 - done if options.lr_decay == "linear" else (1 + math.cos(math.pi * done)) / 2


def ema_decay(options: TrainOptions, now: Progress) -> float:
    """Return the decay of the averaged weights at a step, with the options as they are then.

    Karras et al. 2020 (arXiv:1912.04958), in their code: a half-life in images, which is at most a
    share of the images seen.
    """
    images = options.n_critic * options.batch_size
    half_life = options.ema_half_life
    if options.ema_ramp:
        # Multiplied in this order, which earlier runs were computed in.
        mean = now.images / max(1, now.step)
        half_life = min(half_life, options.ema_ramp * now.step * mean)
    return 0.5 ** (images / half_life) if half_life else 0.0


def clip_gradients(optimizer: torch.optim.Optimizer, most: float) -> None:
    """Scale the gradients of a network down to a norm, if theirs is larger; 0 for no limit."""
    if most:
        parameters: list[Any] = [
            each for group in optimizer.param_groups for each in group["params"]
        ]
        nn.utils.clip_grad_norm_(parameters, most)
