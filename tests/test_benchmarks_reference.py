"""The benchmark of the trainer beside plain loops: they are the same networks and losses."""

import json
from pathlib import Path

import pytest
import torch

from families_package import installed
from ganzoo import DataSpec
from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.media import images
from ganzoo.nn.fusion import FusedSequential
from ganzoo.registry import ARCHITECTURE, entries, get

FOLDER = Path(__file__).parent / "benchmarks"
SMALL = {
    "mlp": ["--set=arch.hidden=4,4", "--image-size=16"],
    "dcgan": ["--base-channels=2"],
    "sngan": ["--base-channels=2", "--image-size=16"],
    "sngan-resnet": ["--base-channels=2", "--image-size=16"],
    "resnet": ["--base-channels=2"],
    "acgan": ["--base-channels=2", "--set=arch.discriminator_channels=2", "--image-size=16"],
    "infogan": ["--base-channels=2", "--set=arch.dense=4", "--image-size=16"],
    "r3gan": ["--base-channels=2", "--set=arch.group_size=2", "--image-size=16"],
    "progan": ["--set=arch.channel_max=4", "--set=arch.z_dim=3", "--image-size=16"],
    "sagan": ["--base-channels=2", "--set=arch.z_dim=3", "--image-size=16"],
    "biggan": ["--base-channels=2", "--set=arch.z_dim=7", "--image-size=16"],
    "cyclegan": ["--base-channels=2", "--set=arch.blocks=1", "--set=arch.pool_size=2"],
    "pix2pix": ["--base-channels=2", "--image-size=16"],
    "srgan": ["--base-channels=2", "--set=arch.blocks=1", "--image-size=16"],
    "esrgan": [
        *("--base-channels=2", "--set=arch.growth=2", "--set=arch.blocks=1", "--image-size=16")
    ],
    "stylegan2": [
        *("--set=arch.channel_max=4", "--set=arch.w_dim=4", "--image-size=16"),
        *("--set=penalty.r1.interval=2", "--set=penalty.path-length.interval=2"),
    ],
    "fastgan": ["--base-channels=2", "--set=arch.z_dim=4", "--image-size=32"],
}
"""Every architecture that ships, as small as it can be."""
ROUNDING = {"esrgan": 1e-3}
"""How far gradients may be apart in single precision, where it is more than usual: the first fakes
hardly differ, and batch normalisation enlarges what they differ by."""
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
        options = reference.parsed([name, *SMALL.get(name, ()), *SHORT, *more])
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
                [
                    torch.zeros_like(each) if each.grad is None else each.grad.clone()
                    for group in mine.param_groups
                    for each in group["params"]
                ]
            )
        )
    return found


def test_every_architecture_that_ships_has_a_plain_loop(reference):
    shipped = {entry.name for entry in entries(ARCHITECTURE) if entry.package == "ganzoo"}
    shipped -= {"wavegan"}  # the plain loops are of images
    assert set(reference.NETWORKS) == set(SMALL) == shipped


@pytest.fixture
def _in_double(monkeypatch):
    """Compute in 64 bits: what differs then is the order of sums."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    monkeypatch.setattr(images, "to_float", lambda stored: stored.double() / 127.5 - 1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def compare(losses, ours, theirs):
    """Compare losses and gradients of some updates."""
    torch.testing.assert_close(*zip(*losses, strict=True), rtol=1e-9, atol=1e-9)
    for mine, their in zip(ours, theirs, strict=True):
        assert any(each.any() for each in mine)
        torch.testing.assert_close(mine, their, rtol=1e-7, atol=1e-10)


@pytest.mark.usefixtures("_in_double")
@pytest.mark.parametrize("name", SMALL)
def test_losses_and_gradients_are_the_plain_loops(name, trained):
    """Even after some updates of both networks."""
    losses, ours, theirs = trained(name, 3)
    assert len(ours) >= 9
    compare(losses, ours, theirs)


# What families may have: of networks without a plain loop, ganzoo's own stand for the plain ones.

MORE = {
    "r1": "mlp --set=train.penalty=r1 --set=penalty.r1.interval=2 --set=penalty.r1.by_size=true",
    "drift": "mlp --set=train.penalty=drift,gradient-penalty",
    "classes": "dcgan --set=arch.conditional=true --set=train.penalty=r1",
    "w": "tiny-stylegan2 --set=train.penalty=path-length --set=penalty.path-length.interval=2 "
    "--set=train.augment=tiny-ada --set=augment.tiny-ada.speed=8",
    "growth": "tiny-progan --set=arch.phase_images=8",
}
UPDATES = {"r1": 12, "w": 11}
"""Updates of both networks in three steps, of which some are lazy penalties'."""


@pytest.fixture
def _with_more(reference, monkeypatch, tmp_path):
    with installed(tmp_path):
        _add_families(reference, monkeypatch)
        yield


def _add_families(reference, monkeypatch):
    for name in ("dcgan", "tiny-stylegan2", "tiny-progan"):
        monkeypatch.setitem(reference.NETWORKS, name, _networks_again(name))
    monkeypatch.setitem(reference.LOOPS, "tiny-progan", _make_growing(reference.Loop))
    monkeypatch.setitem(reference.AUGMENTATIONS, "tiny-ada", PlainADA)
    # The loops have one rate for a network.
    monkeypatch.setattr(get(ARCHITECTURE, "tiny-stylegan2"), "learning_rates", lambda *_: {})


def _networks_again(name):
    def build(shape, *, classes=None, **options):
        architecture, data = (
            get(ARCHITECTURE, name)(**options),
            DataSpec(shape=shape, classes=classes),
        )
        independent = name != "tiny-stylegan2"  # the others are penalised
        return (
            architecture.generator(data),
            architecture.discriminator(data, independent_samples=independent),
        )

    return build


def _make_growing(loop):
    class Growing(loop):
        """Shows each resolution for a phase, and fades it in for one."""

        def grow(self):
            phases = self.images / self.options["phase_images"]
            self.G.detail = self.D.detail = self.detail = min(
                2, phases // 2 + max(0.0, phases % 2 - 1)
            )

        def prepare(self, real):
            def coarse(levels):
                pooled = torch.nn.functional.avg_pool2d(real, 2**levels)
                return pooled.repeat_interleave(2**levels, 2).repeat_interleave(2**levels, 3)

            whole = int(self.detail)
            share = self.detail - whole
            return (1 - share) * coarse(2 - whole) + share * coarse(max(0, 1 - whole))

    return Growing


class PlainADA:
    """That of the plugin, with a number of the host for its probability."""

    def __init__(self, target, speed, batch_size):
        self.target, self.step, self.p = target, batch_size / speed, 0.0

    def __call__(self, samples):
        draws = torch.rand(2, len(samples), 1, 1, 1)
        bright = torch.randn(len(samples), 1, 1, 1)
        samples = torch.where(draws[0] < self.p / 2, samples.flip(3), samples)
        return samples + 0.2 * bright * (draws[1] < self.p)

    def observe(self, logits):
        up = logits.sign().mean() > self.target
        self.p = min(1.0, max(0.0, self.p + (self.step if up else -self.step)))


@pytest.mark.usefixtures("_in_double", "_with_more")
@pytest.mark.parametrize("case", MORE)
def test_what_families_may_have_is_the_plain_loops(case, trained):
    name, *settings = MORE[case].split()
    losses, ours, theirs = trained(name, 3, "--image-size=16", *settings)
    assert len(ours) == UPDATES.get(case, 9)
    compare(losses, ours, theirs)


@pytest.mark.usefixtures("_with_more")
@pytest.mark.parametrize("case", ["r1", "classes", "w"])
def test_the_floor_knows_what_families_may_have(case, reference, capsys, monkeypatch):
    name, *settings = MORE[case].split()
    asked = [name, *SMALL.get(name, ()), "--image-size=16", *settings, *SHORT]
    monkeypatch.setattr(reference, "convolution_rates", lambda *given, **named: [1e9])
    reference.main([*asked, "--arms", "floor", "ganzoo", "train"])
    found = json.loads(capsys.readouterr().out)
    work = {arm: each["gflop"] for arm, each in found["results"].items()}
    assert work["reference"] > work["floor"] == work["ganzoo"] == work["train"]
    assert found["steps"] == (1 if case == "classes" else 2)  # a whole period of lazy penalties


@pytest.mark.parametrize("name", SMALL)
def test_in_single_precision_they_are_so_to_rounding(name, trained):
    # Adam moves a weight by the sign of its gradient at first, be it nothing but rounding.
    still = ("--set=train.generator_lr=1e-12", "--set=train.discriminator_lr=1e-12")
    losses, ours, theirs = trained(name, 3, *still)
    torch.testing.assert_close(*zip(*losses, strict=True), rtol=1e-4, atol=1e-5)
    for mine, their in zip(ours, theirs, strict=True):
        mine, their = (torch.cat([each.flatten() for each in found]) for found in (mine, their))
        assert (mine - their).norm() < ROUNDING.get(name, 1e-4) * their.norm()


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
        for network in build((3, 16, 16), **config.architecture.options, classes=2):
            assert not any(isinstance(module, FusedSequential) for module in network.modules())
