"""ACGAN's networks in small: a discriminator that also tells classes."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from ganzoo import Architecture, DataSpec


class Generator(nn.Module):
    """Latents and labels -> samples."""

    def __init__(self, data: DataSpec, z_dim: int, classes: int) -> None:
        super().__init__()
        self.classes = nn.Embedding(classes, z_dim)
        squash = nn.Tanh() if data.is_bounded else nn.Identity()
        self.last = nn.Sequential(nn.Linear(z_dim, data.size), squash)
        self.shape = data.shape

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        return self.last(latents * self.classes(labels)).unflatten(1, self.shape)


class Classifier(nn.Module):
    """Samples -> logits ``(N,)`` and classes ``(N, classes)``."""

    def __init__(self, data: DataSpec, hidden: int, classes: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(data.size, hidden), nn.LeakyReLU(0.2))
        self.judge, self.classes = nn.Linear(hidden, 1), nn.Linear(hidden, classes)

    def forward(self, samples: Tensor, labels: Tensor) -> dict[str, Tensor]:
        features = self.trunk(samples)  # the labels are for the loss: it is to find them itself
        return {"logits": self.judge(features).flatten(), "classes": self.classes(features)}


class TinyACGAN(Architecture):
    """Linear networks, of which the discriminator also gives ``classes``."""

    paper = "Odena et al. 2017, arXiv:1610.09585"
    default_loss = "non-saturating"
    discriminator_parts = ("classes",)

    z_dim: int = Field(default=8, gt=0, description="Length of a latent.")
    hidden: int = Field(default=16, gt=0, description="Features of a sample.")

    def takes_labels(self, data: DataSpec) -> bool:
        return True

    def generator(self, data: DataSpec) -> nn.Module:
        return Generator(data, self.z_dim, data.require_classes())

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        return Classifier(data, self.hidden, data.require_classes())
