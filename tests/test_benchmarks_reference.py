"""The benchmark of the trainer beside plain loops: they are the same networks and losses."""

import json
from pathlib import Path

import pytest
import torch

from ganzoo.folding import Folded

FOLDER = Path(__file__).parent / "benchmarks"
SMALL = ["--base-channels=2", "--batch-size=4", "--rounds=1", "--steps=1", "--json"]


@pytest.fixture
def reference(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import reference

    return reference


@pytest.mark.parametrize(
    ("name", "size"), [("dcgan", 32), ("dcgan", 64), ("resnet", 32), ("sngan-resnet", 16)]
)
def test_loops_have_the_same_losses_and_the_trainers_takes_fewer_operations(
    name, size, reference, capsys
):
    arms = ["floor", "ganzoo", "reuse"]
    reference.main([name, f"--image-size={size}", "--n-critic=2", *SMALL, "--arms", *arms])
    found = json.loads(capsys.readouterr().out)
    assert max(found["losses_apart"]) < 1e-3
    work = {arm: each["gflop"] for arm, each in found["results"].items()}
    assert list(work) == ["reference", *arms]
    assert work["reference"] > work["floor"] == work["ganzoo"] > work["reuse"]


def test_other_networks_and_losses_are_noticed(reference, monkeypatch):
    asked = ["resnet", "--image-size=16", *SMALL]
    with monkeypatch.context() as patch:
        patch.setitem(reference.LOSSES, "wgan-gp", reference.LOSSES["hinge"])
        with pytest.raises(AssertionError, match="other losses"):
            reference.main(asked)
    monkeypatch.setattr(reference, "networks", lambda *given: reference.dcgan(2, 16, 128))
    with pytest.raises(AssertionError, match="another network"):
        reference.main(asked)


def test_the_plain_networks_are_not_folded(reference):
    for name in reference.WIDTHS:
        for network in reference.networks(name, 2, 16, 8):
            assert not any(isinstance(module, Folded) for module in network.modules())


def test_operations_are_those_of_the_convolutions(reference):
    weight = torch.randn(4, 3, 3, 3, requires_grad=True)
    features = torch.randn(2, 3, 8, 8)
    forward = 2 * 2 * 8 * 8 * 4 * 3 * 9
    convolve = torch.nn.functional.conv2d
    assert reference.operations(lambda: convolve(features, weight, padding=1)) == forward
    twice = reference.operations(lambda: convolve(features, weight, padding=1).sum().backward())
    assert twice == 2 * forward
