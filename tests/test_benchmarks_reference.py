"""The benchmark of the trainer beside plain loops: they are the same networks and losses."""

import json
from pathlib import Path

import pytest
import torch

from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.media import images
from ganzoo.nn.fusion import FusedSequential
from ganzoo.registry import ARCHITECTURE, entries

FOLDER = Path(__file__).parent / "benchmarks"
SMALL = {
    "mlp": ["--set=arch.hidden=4,4", "--image-size=16"],
    "dcgan": ["--base-channels=2"],
    "sngan": ["--base-channels=2", "--image-size=16"],
    "sngan-resnet": ["--base-channels=2", "--image-size=16"],
    "resnet": ["--base-channels=2"],
    "r3gan": ["--base-channels=2", "--set=arch.group_size=2", "--image-size=16"],
    "cyclegan": ["--base-channels=2", "--set=arch.blocks=1", "--set=arch.pool_size=2"],
    "stylegan2": ["--set=arch.channel_max=4", "--set=arch.w_dim=4", "--image-size=16"],
}
"""Every architecture that ships, as small as it can be."""
SHORT = ["--batch-size=4", "--rounds=1", "--steps=1", "--n-critic=2", "--json"]


@pytest.fixture
def reference(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import reference

    return reference


@pytest.fixture
def trained(reference):
    """Train by the trainer and by the plain loop; return the losses and gradients of both."""

    def train(name, steps, *more):
        options = reference.parsed([name, *SMALL[name], *SHORT, *more])
        samples = reference.made(64, options.image_size)
        config = reference.resolve(name, None, "digits", reference.settings_of(options, {}))
        with preserve_rng_state():
            trainer = reference.build_trainer(config, samples)
            loop = reference.plain_loop(config, trainer)
            state = trainer.state
            ours = _gradients(state.generator_optimizer, state.discriminator_optimizer)
            theirs = _gradients(loop.adam_G, loop.adam_D)
            losses = [reference.losses_of_both(config, trainer, loop) for _ in range(steps)]
        return losses, ours, theirs

    return train


def _gradients(*optimizers):
    found = []
    for optimizer in optimizers:
        optimizer.register_step_pre_hook(
            lambda mine, *_: found.append(
                [each.grad.clone() for group in mine.param_groups for each in group["params"]]
            )
        )
    return found


def test_every_architecture_that_ships_has_a_plain_loop(reference):
    shipped = {entry.name for entry in entries(ARCHITECTURE) if entry.package == "ganzoo"}
    assert set(reference.NETWORKS) == set(SMALL) == shipped


@pytest.mark.parametrize("name", SMALL)
def test_losses_and_gradients_are_the_plain_loops(name, trained, monkeypatch):
    """In 64 bits: what differs is the order of sums, even after some updates of both networks."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    monkeypatch.setattr(images, "to_float", lambda stored: stored.double() / 127.5 - 1)
    torch.set_default_dtype(torch.float64)
    try:
        losses, ours, theirs = trained(name, 3)
    finally:
        torch.set_default_dtype(torch.float32)
    assert len(ours) == len(theirs) == 9
    torch.testing.assert_close(*zip(*losses, strict=True), rtol=1e-9, atol=1e-9)
    for mine, their in zip(ours, theirs, strict=True):
        assert any(each.any() for each in mine)
        torch.testing.assert_close(mine, their, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", SMALL)
def test_in_single_precision_they_are_so_to_rounding(name, trained):
    # Adam moves a weight by the sign of its gradient at first, be it nothing but rounding.
    still = ("--set=train.generator_lr=1e-12", "--set=train.discriminator_lr=1e-12")
    losses, ours, theirs = trained(name, 3, *still)
    torch.testing.assert_close(*zip(*losses, strict=True), rtol=1e-4, atol=1e-5)
    for mine, their in zip(ours, theirs, strict=True):
        mine, their = (torch.cat([each.flatten() for each in found]) for found in (mine, their))
        assert (mine - their).norm() < 1e-4 * their.norm()


@pytest.mark.parametrize("name", SMALL)
def test_the_trainer_takes_the_operations_of_the_floor(name, reference, capsys, monkeypatch):
    monkeypatch.setattr(reference, "convolution_rates", lambda *given, **named: [1e9])
    arms = ["floor", "ganzoo", "train", "reuse"]
    reference.main([name, *SMALL[name], *SHORT, "--arms", *arms])
    found = json.loads(capsys.readouterr().out)
    assert max(found["losses_apart"]) < 1e-3
    work = {arm: each["gflop"] for arm, each in found["results"].items()}
    assert set(work) == {"reference", *arms}
    assert work["reference"] > work["floor"] == work["ganzoo"] == work["train"] > work["reuse"]
    for arm, each in found["results"].items():
        (round_,) = found["raw"]
        assert each["ms"]["median"] == pytest.approx(1000 * round_["wall"][arm], rel=1e-3)
        times = round_["wall"]["reference"] / round_["wall"][arm]
        assert each["times_as_fast"]["median"] == pytest.approx(times, rel=1e-3)
        over = round_["wall"][arm] - round_["wall"]["floor"]
        assert each["ms_over_the_floor"]["median"] == pytest.approx(1000 * over, rel=1e-3)


def test_other_networks_and_losses_are_noticed(reference, monkeypatch):
    asked = ["resnet", *SMALL["resnet"], *SHORT, "--arms", "ganzoo"]
    with monkeypatch.context() as patch:
        patch.setitem(reference.LOSSES, "wgan-gp", reference.LOSSES["hinge"])
        with pytest.raises(AssertionError, match="other losses"):
            reference.main(asked)
    monkeypatch.setitem(reference.NETWORKS, "resnet", reference.NETWORKS["dcgan"])
    with pytest.raises(AssertionError, match="another network"):
        reference.main(asked)


def test_the_plain_networks_are_not_folded(reference):
    for name, build in reference.NETWORKS.items():
        options = reference.parsed([name, *SMALL[name], *SHORT])
        config = reference.resolve(name, None, "digits", reference.settings_of(options, {}))
        for network in build((3, 16, 16), **config.architecture.options):
            assert not any(isinstance(module, FusedSequential) for module in network.modules())
