"""What great families need of a training, as plugins: each is small, and passes the kit."""

import pytest
import torch

import ganzoo
from families_package import PROJECT, SOURCE, installed
from ganzoo import registry
from ganzoo.resolve import resolve
from ganzoo.testing.conformance import CHECKS
from ganzoo.training.prepare import build_trainer
from tiny import TINY

PLUGINS = sorted((SOURCE / "ganzoo_families").glob("[a-z]*.py"))
MOST_LINES = 60


@pytest.fixture(scope="module", autouse=True)
def families(tmp_path_factory):
    """Have the package installed, for this process and those that it starts."""
    with installed(tmp_path_factory.mktemp("families")) as added:
        yield added


ANNOUNCED = {
    name: kind for kind in registry.KINDS for name in PROJECT["entry-points"].get(kind.group, {})
}
CASES = [(name, check) for name, kind in ANNOUNCED.items() for check in CHECKS[kind]]


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.stem)
def test_a_plugin_is_a_small_file(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize(
    ("name", "check"), CASES, ids=[f"{name}-{check.__name__}" for name, check in CASES]
)
def test_each_plugin_passes_the_kit(name, check):
    check(registry.get(ANNOUNCED[name], name)())


def test_growth_follows_the_images_whatever_the_loss_and_the_critic_steps():
    levels = {}
    for loss, n_critic in (("wgan-gp", 1), ("hinge", 2)):
        settings = {"arch.phase_images": 32, "data.image_size": 16}
        config = resolve(
            "tiny-progan",
            loss,
            "digits",
            {"train.n_critic": n_critic, "train.batch_size": 8, "train.device": "cpu", **settings},
        )
        trainer = build_trainer(config, config.data.build(registry.DATASET).read())
        levels[n_critic] = []
        for _ in range(8):
            trainer.step()
            state = trainer.state
            networks = state.generator, state.discriminator, state.generator_ema.module
            assert len({network.detail for network in networks}) == 1
            levels[n_critic].append(state.generator.detail)
    assert levels[1] == [0, 0, 0, 0, 0.25, 0.5, 0.75, 1]
    assert levels[2] == [0, 0, 0.5, 1, 1, 1, 1.5, 2]


def test_a_model_is_as_grown_as_its_training(tmp_path):
    small = {"arch.phase_images": 32, "data.image_size": 16}
    run = ganzoo.train(
        "tiny-progan", "hinge", out=tmp_path / "run", settings=small, **{**TINY, "steps": 6}
    )
    model = ganzoo.load(run)
    assert model.generator.detail == 0.5
    samples = model.sample(4, seed=0)  # of twice the first resolution, and half of the last
    assert torch.equal(samples[..., ::2], samples[..., 1::2])
    assert not torch.equal(samples[..., ::4], samples[..., 2::4])


def test_a_part_that_an_architecture_lacks_is_refused(refused):
    wrong = refused("train", "mlp", "--penalty", "tiny-path-length", "--device", "cpu")
    assert "needs 'w' of the generator of 'mlp', and it gives none" in wrong
