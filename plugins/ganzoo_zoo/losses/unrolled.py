"""Unrolled GAN: the generator plays against where the discriminator is about to go."""

from __future__ import annotations

from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ganzoo import Discriminator, Loss, registry
from ganzoo.component import parse_options

if TYPE_CHECKING:
    from torch import nn


class Unrolled(Loss):
    r"""Any loss, with a generator that looks several discriminator updates ahead.

    .. math::
        \theta_D^{k+1} = \theta_D^k - \eta \nabla_{\theta_D} L_D(\theta_G, \theta_D^k), \quad
        L_G = L_G(\theta_G, \theta_D^K(\theta_G, \theta_D))

    Metz et al. 2017, equations 6 to 9. The generator's gradient goes through the K updates, which
    are then forgotten; the discriminator itself learns by the loss beneath (equation 11). The
    updates are plain gradient steps on the batch at hand, as in equation 6; the authors'
    experiments unroll Adam. With ``unrolled_steps=0`` this is the loss beneath.
    """

    paper = "Metz et al. 2017, arXiv:1611.02163"
    second_order = True

    base: str = Field(default="non-saturating", description="Name of the loss beneath.")
    base_options: dict[str, Any] = Field(default={}, description="Options of the loss beneath.")
    unrolled_steps: int = Field(
        default=5, ge=0, le=1000, description="Discriminator updates to look ahead, K."
    )
    unrolled_lr: float | None = Field(
        default=None,
        gt=0,
        description="Step size of those updates, eta; by default, for each parameter, that of the "
        "discriminator's own optimiser.",
    )

    @cached_property
    def base_loss(self) -> Loss:
        """The loss that is unrolled."""
        return parse_options(
            registry.get(registry.LOSS, self.base), self.base_options, "loss.base_options."
        )

    recipe = property(attrgetter("base_loss.recipe"))
    independent_samples = property(attrgetter("base_loss.independent_samples"))
    bounds_slope = property(attrgetter("base_loss.bounds_slope"))

    def constrain(self, discriminator: nn.Module) -> None:
        """Constrain the discriminator as the loss beneath does."""
        self.base_loss.constrain(discriminator)

    def discriminator_loss(self, D, real, fake):
        """That of the loss beneath."""
        return self.base_loss.discriminator_loss(D, real, fake)

    def generator_loss(self, D, real, fake):
        """That of the loss beneath, against the discriminator some updates on."""
        return self.base_loss.generator_loss(self._unroll(D, real, fake), real, fake)

    def _unroll(self, D, real, fake):
        import torch

        if not isinstance(D, Discriminator):
            return D  # a plain function has nothing that could be updated
        parameters = {
            name: value.requires_grad_() for name, value in D.detached_parameters().items()
        }
        for _ in range(self.unrolled_steps):
            terms = self.base_loss.discriminator_loss(D.at(parameters), real, fake)
            total = torch.stack(list(terms.values())).sum()
            found = torch.autograd.grad(total, list(parameters.values()), create_graph=True)
            slopes = dict(zip(parameters, found, strict=True))
            sizes = {} if self.unrolled_lr else D.step_sizes(slopes)
            eta = self.unrolled_lr or self.recipe.discriminator_lr
            parameters = {
                name: value - sizes.get(name, eta) * slopes[name]
                for name, value in parameters.items()
            }
        return D.at(parameters)
