"""Random weights for the standard network, where the published ones cannot be had."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import torch


def random_inception(path: Path) -> Path:
    """Write a file of random weights for torch-fidelity's Inception, always the same."""
    import torch_fidelity

    with torch.random.fork_rng():
        torch.manual_seed(0)
        # Built without loading anything: its loader is given nothing to load.
        with (
            mock.patch("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url"),
            mock.patch.object(torch_fidelity.FeatureExtractorInceptionV3, "load_state_dict"),
        ):
            network = torch_fidelity.FeatureExtractorInceptionV3("made", ["2048"], verbose=False)
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                # By torch's own start, nothing of the images would be left after 48 layers.
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    torch.save(network.state_dict(), path)
    return path
