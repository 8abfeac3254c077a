"""Consistency regularisation: a change of a sample must not change its logit."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from ganzoo import AdaptiveAugmentation, Augmentation, DataSpec, Discriminator, Penalty, registry
from ganzoo.component import parse_options
from ganzoo.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


class Consistency(Penalty):
    r"""Consistency of the logits of reals and of fakes with those of changed ones (bCR).

    .. math::
        \lambda_{real} E[(D(x) - D(T(x)))^2] + \lambda_{fake} E[(D(G(z)) - D(T(G(z))))^2]

    for random changes T, of this penalty's own: whatever augmentations the run has come after them.
    Zhao et al. 2020, algorithm 1. With ``fake_weight`` 0 this is the consistency regularisation of
    Zhang et al. 2020 (arXiv:1910.12027), whose changes the generator learns to produce. Both papers
    shift images by a few pixels, as ``translation`` does, and mirror them, which suits few data.
    """

    paper = "Zhao et al. 2020, arXiv:2002.04724"

    real_weight: float = Field(default=10.0, ge=0, description="Weight for reals, lambda_real.")
    fake_weight: float = Field(default=10.0, ge=0, description="Weight for fakes, lambda_fake.")
    augment: tuple[str, ...] = Field(
        default=("translation",),
        min_length=1,
        description="Names of the augmentations that T consists of, in this order.",
    )
    augment_options: dict[str, dict[str, Any]] = Field(
        default={}, description="Their options by name, such as {'translation': {'shift': 0.05}}."
    )

    @model_validator(mode="after")
    def _check(self) -> Consistency:
        if not self.real_weight and not self.fake_weight:
            raise ValueError("real_weight or fake_weight must be above 0")
        if unused := self.augment_options.keys() - set(self.augment):
            raise ValueError(
                f"augment_options are for '{min(unused)}', which augment does not name"
            )
        return self

    @cached_property
    def augmentations(self) -> tuple[Augmentation, ...]:
        """What T consists of.

        Raises:
            InputError: a name or an option is wrong, or an augmentation adapts to the training.
        """
        found = []
        for name in self.augment:
            component = registry.get(registry.AUGMENTATION, name)
            if issubclass(component, AdaptiveAugmentation):
                raise InputError(
                    f"the augmentation '{name}' adapts to a training, and a penalty cannot use it; "
                    "choose another for consistency"
                )
            options = self.augment_options.get(name, {})
            found.append(parse_options(component, options, f"augment_options.{name}."))
        return tuple(found)

    def fits(self, data: DataSpec) -> bool:
        """Tell whether all augmentations fit the samples."""
        return all(each.fits(data) for each in self.augmentations)

    def discriminator_terms(
        self, D: Discriminator, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Return the weighted mean squared changes of the logits."""
        return {
            name: weight
            * (D.recall(samples) - D(D.change(samples, self.augmentations))).square().mean()
            for name, weight, samples in (
                ("consistency_real", self.real_weight, real),
                ("consistency_fake", self.fake_weight, fake),
            )
            if weight
        }
