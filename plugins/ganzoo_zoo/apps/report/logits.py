"""A discriminator's logits of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ganzoo.errors import GanzooError
from ganzoo.models.generation import evaluation_mode
from ganzoo.protocols.discriminator import Discriminator

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.protocols.dataset import Samples

BATCH = 64


def compute_logits(discriminator: nn.Module, samples: Samples, *, conditional: bool) -> Tensor:
    """Compute the logit of each sample, ``(N,)`` on the CPU, averaged over patches if any.

    The network computes in evaluation mode and is not changed.

    Args:
        discriminator: From samples to logits, on any device.
        samples: The samples to judge; labelled, if the discriminator is conditional.
        conditional: Whether the discriminator takes labels.

    Raises:
        GanzooError: a logit is not finite.
    """
    device = next(discriminator.parameters()).device
    found = []
    with evaluation_mode(discriminator), torch.inference_mode():
        for start in range(0, len(samples), BATCH):
            places = torch.arange(start, min(start + BATCH, len(samples)))
            labels = None
            if conditional:
                assert samples.labels is not None
                labels = samples.labels[places].to(device)
            D = Discriminator(discriminator, labels)
            logits = D(samples.batch(places).to(device))
            found.append(logits.float().reshape(len(places), -1).mean(1).cpu())
    logits = torch.cat(found)
    if not logits.isfinite().all():
        raise GanzooError("the discriminator's logits are not finite")
    return logits
