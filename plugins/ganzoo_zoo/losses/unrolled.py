"""Unrolled GAN: the generator plays against future updates of the discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ganzoo import DataSpec, Discriminator, Loss, registry
from ganzoo.component import parse_options

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Unrolled(Loss):
    r"""Any loss, with a generator that looks several discriminator updates ahead.

    .. math::
        \theta_D^{k+1} = \theta_D^k - \eta \nabla_{\theta_D} L_D(\theta_G, \theta_D^k), \quad
        L_G = L_G(\theta_G, \theta_D^K(\theta_G, \theta_D))

    Metz et al. 2017, equations 6 to 9. The generator's gradient goes through the K updates, which
    are then discarded; the discriminator itself learns by the base loss (equation 11). The updates
    are plain gradient steps on the current batch, as in equation 6; the authors' experiments unroll
    Adam. Penalties that the base loss contains are unrolled with it, those of the run are not. With
    ``unrolled_steps=0`` this is the base loss.
    """

    paper = "Metz et al. 2017, arXiv:1611.02163"

    base: str = Field(
        default="non-saturating", description="Name of the base loss, which is unrolled."
    )
    base_options: dict[str, Any] = Field(default={}, description="Options of the base loss.")
    unrolled_steps: int = Field(
        default=5, ge=0, le=1000, description="Discriminator updates to look ahead, K."
    )
    unrolled_lr: float | None = Field(
        default=None,
        gt=0,
        description="Step size of these updates, eta; by default that of the discriminator's "
        "optimiser, for each parameter.",
    )

    @cached_property
    def base_loss(self) -> Loss:
        """The loss that is unrolled."""
        return parse_options(
            registry.get(registry.LOSS, self.base), self.base_options, "loss.base_options."
        )

    recipe = property(attrgetter("base_loss.recipe"))
    tuned_recipes = property(attrgetter("base_loss.tuned_recipes"))
    adversarial = property(attrgetter("base_loss.adversarial"))
    independent_samples = property(attrgetter("base_loss.independent_samples"))
    bounds_slope = property(attrgetter("base_loss.bounds_slope"))
    needs_discriminator_parts = property(attrgetter("base_loss.needs_discriminator_parts"))
    needs_generator_parts = property(attrgetter("base_loss.needs_generator_parts"))
    depends_on_steps = property(attrgetter("base_loss.depends_on_steps"))
    needs_pairs = property(attrgetter("base_loss.needs_pairs"))
    second_order = property(lambda self: bool(self.unrolled_steps or self.base_loss.second_order))
    # Updates of the discriminator on a part of the batch are other ones.
    needs_whole_batch = property(
        lambda self: bool(self.unrolled_steps or self.base_loss.needs_whole_batch)
    )

    def state(self, data: DataSpec) -> nn.Module | None:
        """Build what the base loss remembers."""
        return self.base_loss.state(data)

    def remember(self, state: nn.Module, observed: Mapping[str, Tensor]) -> None:
        """Update what the base loss remembers."""
        self.base_loss.remember(state, observed)

    def prepare(self, data: DataSpec, device: torch.device) -> None:
        """Get ready what the base loss needs."""
        self.base_loss.prepare(data, device)

    def check_discriminator(
        self, discriminator: nn.Module, data: DataSpec, *, conditional: bool = False
    ) -> None:
        """Check that the discriminator suits the base loss."""
        self.base_loss.check_discriminator(discriminator, data, conditional=conditional)

    def constrain(self, discriminator: nn.Module) -> None:
        """Constrain the discriminator as the base loss does."""
        self.base_loss.constrain(discriminator)

    def discriminator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the terms of the base loss."""
        return self.base_loss.discriminator_loss(D, real, fake)

    def generator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the terms of the base loss, for the discriminator after K more updates."""
        return self.base_loss.generator_loss(self._unroll(D, real, fake), real, fake)

    def _unroll(self, D: Discriminator, real: Tensor, fake: Tensor) -> Discriminator:
        import torch

        if not isinstance(D, Discriminator):
            return D  # a plain function has no parameters to update
        parameters = {
            name: value.requires_grad_() for name, value in D.detached_parameters().items()
        }
        for _ in range(self.unrolled_steps):
            terms = self.base_loss.discriminator_loss(D.at(parameters), real, fake)
            total = torch.stack(list(terms.values())).sum()
            found = torch.autograd.grad(
                total,
                list(parameters.values()),
                create_graph=True,
                allow_unused=True,  # networks of their own may have no part in the loss
                materialize_grads=True,
            )
            slopes = dict(zip(parameters, found, strict=True))
            sizes = {} if self.unrolled_lr else D.step_sizes(slopes)
            eta = self.unrolled_lr or self.recipe.discriminator_lr
            parameters = {
                name: value - sizes.get(name, eta) * slopes[name]
                for name, value in parameters.items()
            }
        return D.at(parameters)
