"""Self-attention over the pixels of features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention2d(nn.Module):
    """Lets each pixel attend to all others, with a learnt share that begins at 0.

    Zhang et al. 2019 (arXiv:1805.08318, section 3), as in the authors' code: queries have an eighth
    and values half of the channels, keys and values are pooled to half of the height and width, and
    scores are not scaled. No layer has a bias.

    Args:
        channels: Channels of the features. Queries have 1 at least.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        asked, told = max(1, channels // 8), max(1, channels // 2)
        self.query = nn.Conv2d(channels, asked, 1, bias=False)
        self.key = nn.Conv2d(channels, asked, 1, bias=False)
        self.value = nn.Conv2d(channels, told, 1, bias=False)
        self.output = nn.Conv2d(told, channels, 1, bias=False)
        self.share = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """Return features ``(N, C, H, W)`` of the same shape."""
        queries = self.query(features).flatten(2)
        keys = F.max_pool2d(self.key(features), 2).flatten(2)
        values = F.max_pool2d(self.value(features), 2).flatten(2)
        # Written out: torch's fused attention cannot be differentiated twice.
        weights = (queries.transpose(1, 2) @ keys).softmax(dim=-1)
        found = (values @ weights.transpose(1, 2)).unflatten(2, features.shape[2:])
        return features + self.share * self.output(found)
