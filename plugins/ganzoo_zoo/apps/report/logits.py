"""Logits of samples: what a discriminator thinks of them, as it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ganzoo.errors import GanzooError
from ganzoo.models.generation import evaluation_mode
from ganzoo.protocols.loss import Discriminator

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.protocols.dataset import Samples

BATCH = 64


def compute_logits(discriminator: nn.Module, samples: Samples, *, conditional: bool) -> Tensor:
    """Return the logit of each sample ``(N,)`` on the CPU, the mean of those of its parts.

    The network is left as it is, and computes in evaluation mode.

    Args:
        discriminator: From samples to logits, on any device.
        samples: What it judges.
        conditional: Whether it is told their classes.

    Raises:
        GanzooError: a logit is not finite.
    """
    device = next(discriminator.parameters()).device
    found = []
    with evaluation_mode(discriminator), torch.inference_mode():
        for start in range(0, len(samples), BATCH):
            places = torch.arange(start, min(start + BATCH, len(samples)))
            labels = samples.labels[places].to(device) if conditional else None
            D = Discriminator(discriminator, labels)
            logits = D(samples.batch(places).to(device))
            found.append(logits.float().reshape(len(places), -1).mean(1).cpu())
    logits = torch.cat(found)
    if not logits.isfinite().all():
        raise GanzooError("the discriminator's logits are not finite")
    return logits
