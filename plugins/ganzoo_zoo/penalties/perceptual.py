"""Perceptual similarity: each fake has the features of the real that it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from ganzoo import DataSpec, Discriminator, Penalty

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

CONVOLUTIONS: dict[str, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions between two poolings."""


class Perceptual(Penalty):
    r"""The difference of features of each fake and of the real of its source.

    .. math::
        \sum_l \lambda_l E[|f_l(G(s)) - f_l(x)|]

    with features f of the discriminator, its part ``features`` (Larsen et al. 2016,
    arXiv:1512.09300, section 2.2; Wang et al. 2018, arXiv:1711.11585, equation 4), or of
    convolutions of a VGG that was trained to classify ImageNet (Johnson et al. 2016). The latter
    judges images as people do, and needs weights of half a gigabyte, which torchvision downloads
    once into torch's hub folder, and checks by their hash. Images are given to it as in its own
    training: in RGB, in [0, 1], less ImageNet's mean and over its deviation. No checkpoint holds
    it.

    SRGAN has squares of ``conv5_4`` behind its activation, 0.006 in weight (Ledig et al. 2017,
    arXiv:1609.04802); ESRGAN has absolute differences before it (Wang et al. 2018,
    arXiv:1809.00219, section 3.3); and Real-ESRGAN weights of 0.1, 0.1, 1, 1 and 1 of the last
    convolutions of all five levels.
    """

    paper = "Johnson et al. 2016, arXiv:1603.08155"
    needs_pairs = True
    needs_discriminator_parts = property(lambda self: () if self.network else ("features",))

    weight: float = Field(default=1.0, ge=0, description="Weight of the sum.")
    network: Literal["vgg16", "vgg19"] | None = Field(
        default=None,
        description="Whose features: vgg16's or vgg19's, trained on ImageNet and downloaded, or by "
        "default the discriminator's own.",
    )
    layers: dict[str, float] = Field(
        default={},
        description="Weights of a VGG's convolutions, such as {'conv3_4': 1, 'conv5_4': 0.5}; by "
        "default 1 of the last one.",
    )
    activated: bool = Field(
        default=False,
        description="Whether features of a VGG are those behind the activation, not before it.",
    )
    distance: Literal["absolute", "squared"] = Field(
        default="absolute", description="Mean of absolute or of squared differences."
    )

    @model_validator(mode="after")
    def _check(self) -> Perceptual:
        if self.network is None:
            if self.layers or self.activated:
                raise ValueError("layers and activated are of a VGG: set network")
            return self
        known = list(_places(self.network))
        if unknown := [name for name in self.layers if name not in known]:
            raise ValueError(
                f"'{self.network}' has no layer '{unknown[0]}'; it has {', '.join(known)}"
            )
        return self

    @property
    def layer_weights(self) -> dict[str, float]:
        """Weights of a VGG's layers, by name."""
        if self.network is None:
            return {}
        return self.layers or {list(_places(self.network))[-1]: 1.0}

    def fits(self, data: DataSpec) -> bool:
        """Tell whether samples have features: a VGG's are of images that it can halve so often."""
        if self.network is None:
            return True
        deepest = max(int(name[4]) for name in self.layer_weights)
        return data.is_plain_image and min(data.shape[1:]) >= 2 ** (deepest - 1)

    def prepare(self, data: DataSpec, device: torch.device) -> None:
        """Load the weights of a VGG.

        Raises:
            GanzooError: they cannot be had.
        """
        if self.network is not None:
            self._extractor(device)

    def generator_terms(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the weighted difference of features."""
        import torch

        if self.network is None:
            with torch.no_grad():
                wanted = D.recall(real, "features")
            found = self._compare(D.recall(fake, "features"), wanted.detach())
            return {"perceptual": self.weight * found}
        extract, weights = self._extractor(fake.device), self.layer_weights
        with torch.no_grad():
            targets = extract(D.unpack(real)["samples"])
        found = extract(D.unpack(fake)["samples"])
        parts = [weights[name] * self._compare(part, targets[name]) for name, part in found.items()]
        return {"perceptual": self.weight * torch.stack(parts).sum()}

    def _compare(self, ours: Tensor, theirs: Tensor) -> Tensor:
        away = ours - theirs
        return (away.abs() if self.distance == "absolute" else away.square()).mean()

    def _extractor(self, device: torch.device) -> nn.Module:
        from ganzoo_zoo.penalties.vgg import build_extractor

        assert self.network is not None, "features of the discriminator need no other network"
        places = _places(self.network)
        taken = ((places[name] + self.activated, name) for name in self.layer_weights)
        return build_extractor(self.network, tuple(taken), device)


def _places(network: str) -> dict[str, int]:
    """Return where convolutions are among torchvision's layers, by names such as ``conv5_4``."""
    places, at = {}, 0
    for level, count in enumerate(CONVOLUTIONS[network], 1):
        for number in range(1, count + 1):
            places[f"conv{level}_{number}"] = at
            at += 2  # its activation is behind it
        at += 1  # the pooling
    return places
