"""The projection discriminator: logits that depend on the class of each sample."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ClassProjection(nn.Module):
    r"""A discriminator that projects its features onto an embedding of the class.

    .. math::
        D(x, y) = ending(\phi(x)) + v_y^T \sum_{pixels} \phi(x)

    Miyato and Koyama 2018 (arXiv:1802.05637, equation 4).

    Args:
        body: The network :math:`\phi` from samples to features ``(N, width)`` or
            ``(N, width, H, W)``.
        ending: The network from features to logits ``(N,)``.
        classes: Number of classes.
        width: Channels of the features.
        std: Standard deviation with which the embeddings :math:`v` are drawn. With 0 it begins as a
            discriminator that sees no classes.
        gives_features: Whether to return the features as well.
    """

    def __init__(
        self,
        body: nn.Module,
        ending: nn.Module,
        classes: int,
        width: int,
        std: float = 0.0,
        *,
        gives_features: bool = False,
    ) -> None:
        super().__init__()
        self.gives_features = gives_features
        self.body = body
        self.ending = ending
        self.embedding = nn.Parameter(torch.zeros(classes, width))
        if std:
            nn.init.normal_(self.embedding, 0.0, std)

    def forward(self, samples: Tensor, labels: Tensor) -> Tensor | dict[str, Tensor]:
        """Return logits ``(N,)`` of samples of the classes ``labels`` ``(N,)``.

        With ``gives_features`` it is a dict of ``logits`` and ``features``.
        """
        features = self.body(samples)
        pooled = features.sum((2, 3)) if features.dim() == 4 else features
        logits = self.ending(features) + (self.embedding[labels] * pooled).sum(1)
        return {"logits": logits, "features": features} if self.gives_features else logits
