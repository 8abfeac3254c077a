"""What a training sets its optimisers to."""

from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from torch import nn

import crash
import ganzoo
from ganzoo import DataSpec
from ganzoo.config import TrainOptions
from ganzoo.errors import InputError, Interrupted
from ganzoo.testing.steps import PlainLoss, SmallNetworks, draw_samples, train_options
from ganzoo.training.assembly import assemble_trainer
from ganzoo.training.optimizers import OptimizerSettings
from tiny import TINY, Stopper

OPTIONS = {
    "generator_lr": 0.01,
    "discriminator_lr": 0.02,
    "betas": (0.3, 0.8),
    "lr_decay": "none",
    "batch_size": 8,
}


def trainer_of(networks=None, **options):
    with torch.random.fork_rng():
        trainer = assemble_trainer(
            networks or SmallNetworks(),
            PlainLoss(),
            draw_samples(DataSpec(shape=(3,))),
            train_options().model_copy(update={**OPTIONS, **options}),
        )
        trainer.before = {
            name: value.clone() for name, value in trainer.state.generator.named_parameters()
        }
        trainer.step()
    return trainer


def gradients(trainer):
    return {name: each.grad for name, each in trainer.state.generator.named_parameters()}


def updated_by(kind, trainer, **options):
    """Do the generator's first update by an optimiser of torch."""
    parameters = {name: nn.Parameter(value.clone()) for name, value in trainer.before.items()}
    optimizer = kind(parameters.values(), lr=0.01, **options)
    for name, gradient in gradients(trainer).items():
        parameters[name].grad = gradient.clone()
    optimizer.step()
    return parameters


@pytest.mark.parametrize(
    ("given", "kind", "options"),
    [
        ({}, torch.optim.Adam, {"betas": (0.3, 0.8)}),
        ({"eps": 0.1}, torch.optim.Adam, {"betas": (0.3, 0.8), "eps": 0.1}),
        ({"generator_betas": (0.1, 0.7)}, torch.optim.Adam, {"betas": (0.1, 0.7)}),
        ({"weight_decay": 0.5}, torch.optim.Adam, {"betas": (0.3, 0.8), "weight_decay": 0.5}),
        (
            {"optimizer": "adamw", "weight_decay": 0.5},
            torch.optim.AdamW,
            {"betas": (0.3, 0.8), "weight_decay": 0.5},
        ),
        # Torch's AdamW has another default than ganzoo's 0.
        ({"optimizer": "adamw"}, torch.optim.AdamW, {"betas": (0.3, 0.8), "weight_decay": 0}),
        ({"optimizer": "rmsprop", "eps": 0.1}, torch.optim.RMSprop, {"eps": 0.1}),
        ({"optimizer": "sgd"}, torch.optim.SGD, {}),
        ({"optimizer": "sgd", "weight_decay": 0.5}, torch.optim.SGD, {"weight_decay": 0.5}),
    ],
    ids=str,
)
def test_an_update_is_that_of_torchs_optimiser(given, kind, options):
    trainer = trainer_of(**given)
    wanted = updated_by(kind, trainer, **options)
    for name, parameter in trainer.state.generator.named_parameters():
        torch.testing.assert_close(parameter.detach(), wanted[name].detach(), rtol=0, atol=1e-6)


def test_betas_may_differ_by_network():
    trainer = trainer_of(discriminator_betas=(0.0, 0.9))
    betas = [
        optimizer.param_groups[0]["betas"]
        for optimizer in (trainer.state.generator_optimizer, trainer.state.discriminator_optimizer)
    ]
    assert betas == [(0.3, 0.8), (0.0, 0.9)]


def test_a_large_gradient_is_clipped_and_a_small_one_is_not():
    free = gradients(trainer_of())
    norm = torch.nn.utils.get_total_norm(free.values()).item()
    assert norm > 0
    clipped = gradients(trainer_of(clip_norm=norm / 2))
    # The discriminator's are clipped too, which the generator's then depend on a little.
    assert torch.nn.utils.get_total_norm(clipped.values()).item() == pytest.approx(
        norm / 2, rel=1e-3
    )
    kept = gradients(trainer_of(clip_norm=1e6))
    assert all(torch.equal(kept[name], free[name]) for name in free)


class Factors(SmallNetworks):
    """Its generator learns at rates by part."""

    factors: ClassVar[dict[str, float]] = {}

    def learning_rates(self, network):
        return self.factors if hasattr(network, "last") else {}


class Slow(Factors):
    """One layer learns slowly, of which the bias stays."""

    factors: ClassVar[dict[str, float]] = {"last.0.": 0.1, "last.0.bias": 0.0}


class Misspelt(Factors):
    """Names what is not there."""

    factors: ClassVar[dict[str, float]] = {"mapping.": 0.1}


def test_parts_of_a_network_have_rates_of_their_own():
    trainer = trainer_of(Slow())
    rates = {
        id(each): group["lr"]
        for group in trainer.state.generator_optimizer.param_groups
        for each in group["params"]
    }
    named = dict(trainer.state.generator.named_parameters())
    assert {name: rates.get(id(each)) for name, each in named.items()} == {
        "last.0.weight": pytest.approx(0.001),
        "last.0.bias": None,
        "last.2.weight": 0.01,
        "last.2.bias": 0.01,
    }
    assert torch.equal(named["last.0.bias"].detach(), trainer.before["last.0.bias"])
    assert not torch.equal(named["last.0.weight"].detach(), trainer.before["last.0.weight"])
    (group,) = trainer.state.discriminator_optimizer.param_groups
    assert group["lr"] == 0.02


def test_a_part_that_is_not_there_is_refused():
    with pytest.raises(InputError) as caught:
        trainer_of(Misspelt())
    assert str(caught.value) == (
        "architecture 'Misspelt': learning_rates() names 'mapping.', and no parameter begins so"
    )


def test_gradient_descent_keeps_its_rate_beside_a_lazy_penalty():
    lazy = [SimpleNamespace(interval=4)]
    rates = {
        name: OptimizerSettings.of(TrainOptions(optimizer=name), "generator", lazy, 0.5).lr
        for name in ("adam", "sgd")
    }
    rate = TrainOptions().generator_lr / 2
    assert rates == {"adam": pytest.approx(rate * 4 / 5), "sgd": rate}


@pytest.mark.parametrize("loss", ["non-saturating", "unrolled"])
def test_gradient_descent_is_resumed_to_the_same_bytes(loss):
    given = {**TINY, "optimizer": "sgd", "settings": {"arch.hidden": (8,)}}
    whole = ganzoo.train("mlp", loss, "ring", out="whole", **given)
    with pytest.raises(Interrupted):
        ganzoo.train("mlp", loss, "ring", out="halves", observer=Stopper(3), **given)
    halves = ganzoo.resume("halves")
    assert crash.difference(crash.content(whole.path), crash.content(halves.path)) == []
