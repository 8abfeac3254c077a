"""The component: its options, and how its probability adapts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field, field_validator

from ganzoo import AdaptiveAugmentation
from ganzoo.protocols.dataset import IMAGE_CHANNELS
from ganzoo_zoo.augmentations.ada.parts import check_parts, find_factors, split_parts

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo import DataSpec, Progress


class ADA(AdaptiveAugmentation):
    """Flips, shifts, rotations, colours and more, each with a probability that adapts.

    Karras et al. 2020, arXiv:2006.06676. Each transform is applied to each image on its own, with
    the same probability p, in the order of appendix B. p follows the heuristic r_t of section 3.1,
    the mean sign of the logits of augmented reals: every ``interval`` updates it rises if r_t is
    above ``target``, which tells of overfitting, and falls otherwise, by the images of the interval
    over ``speed``. While p is small, none of the transforms leaks into what is generated (section
    2.2), but flips and quarter turns do if the data are few: choose ``parts`` without them for
    images that have a side up, such as digits and faces.

    Unlike in the authors' code, p stops at 1, where every transform is always applied: beyond, it
    would say nothing, and take as long to come back. Images reflect at their sides however far they
    move, where the paper's end in 0 after one reflection. A fourth channel, transparency, moves
    with the image, is cut out with it and keeps its values otherwise. The metrics have p and r_t.
    """

    paper = "Karras et al. 2020, arXiv:2006.06676"

    parts: Annotated[tuple[str, ...], BeforeValidator(split_parts)] = Field(
        default=("blit", "geom", "color"),
        min_length=1,
        description="What to apply, in the authors' words: bg, bgc, bgcf, bgcfn, bgcfnc, or some "
        "of blit, geom, color, filter, noise, cutout, and of single transforms such as xint. "
        "NAME:FACTOR multiplies a probability, so color:0.5 halves it and xflip:0 leaves it out.",
    )
    target: float | None = Field(
        default=0.6,
        gt=-1,
        lt=1,
        description="Mean sign of the logits of augmented reals to hold; null for a probability "
        "that does not adapt.",
    )
    speed: float = Field(
        default=500_000, gt=0, description="Images that the probability takes from 0 to 1."
    )
    interval: int = Field(
        default=4, ge=1, description="Discriminator updates between two changes of the probability."
    )
    probability: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Probability to begin with. If target is null it stays, or follows a schedule.",
    )

    @field_validator("parts")
    @classmethod
    def _check_parts(cls, parts: tuple[str, ...]) -> tuple[str, ...]:
        check_parts(parts)
        return parts

    def fits(self, data: DataSpec) -> bool:
        """Accept images that are grey, RGB or RGBA: its changes of colour know no others."""
        return data.is_image and data.image_channels in IMAGE_CHANNELS

    def state(self, data: DataSpec) -> nn.Module:
        """Build the memory: p, r_t, and what the updates since p last changed have shown."""
        import torch

        state = torch.nn.Module()
        state.register_buffer("probability", torch.tensor(self.probability))
        for name in ("overfitting", "signs", "images"):
            state.register_buffer(name, torch.zeros(()))
        return state

    def augment(  # type: ignore[override]
        self, samples: Tensor, state: nn.Module
    ) -> Tensor:
        """Return changed images ``(N, C, H, W)``; the same ones at a probability of 0."""
        if self.target is None and self.probability == 0:
            return samples
        from ganzoo_zoo.augmentations.ada.pipeline import augment

        probability = self._find_probability(state)
        factors = find_factors(self.parts)
        return augment(samples, {name: each * probability for name, each in factors.items()})

    def observe(self, state: nn.Module, logits: Tensor, progress: Progress) -> None:
        """Count the signs of the logits, and change p at the end of an interval."""
        import torch

        signs, images = state.get_buffer("signs"), state.get_buffer("images")
        signs.add_(logits.sign().sum() * (len(logits) / logits.numel()))
        images.add_(len(logits))
        if (progress.updates + 1) % self.interval:
            return
        overfitting = state.get_buffer("overfitting").copy_(signs / images)
        if self.target is not None:
            change = torch.sign(overfitting - self.target) * images / self.speed
            state.get_buffer("probability").add_(change).clamp_(0, 1)
        signs.zero_()
        images.zero_()

    def report(self, state: nn.Module) -> Mapping[str, Tensor]:
        """Return p, and r_t over the last whole interval."""
        return {
            "probability": self._find_probability(state),
            "overfitting": state.get_buffer("overfitting"),
        }

    def _find_probability(self, state: nn.Module) -> Tensor:
        import torch

        held = state.get_buffer("probability")
        return held if self.target is not None else torch.full_like(held, self.probability)
