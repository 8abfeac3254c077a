"""The unrolled loss: what the generator sees is the discriminator some updates on."""

import copy

import pytest
import torch
from torch import nn

from ganzoo import Discriminator, registry
from ganzoo.errors import InputError
from ganzoo.registry import DATASET, LOSS
from ganzoo.resolve import resolve
from ganzoo.training.prepare import build_trainer

WIDE = torch.float64


def unrolled(**options):
    return registry.get(LOSS, "unrolled")(**options)


def network():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0))
    return layers.to(WIDE)


@pytest.fixture
def batch():
    rng = torch.Generator().manual_seed(1)
    return (torch.randn(6, 2, generator=rng, dtype=WIDE) + shift for shift in (1.0, -1.0))


def by_hand(D, real, fake, steps, lr):
    """Return the generator's loss against a copy that was updated by plain gradient steps."""
    ahead = copy.deepcopy(D)
    beneath = registry.get(LOSS, "non-saturating")()
    optimizer = torch.optim.SGD(ahead.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        terms = beneath.discriminator_loss(ahead, real, fake)
        sum(terms.values()).backward()
        optimizer.step()
    return beneath.generator_loss(ahead, real, fake)["adversarial"].detach()


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_the_generator_plays_against_the_discriminator_some_updates_on(batch, steps):
    real, fake = batch
    D, loss = network(), unrolled(unrolled_steps=steps, unrolled_lr=0.5)
    found = loss.generator_loss(Discriminator(D), real, fake)["adversarial"]
    torch.testing.assert_close(found.detach(), by_hand(D, real, fake, steps, 0.5))


@pytest.mark.parametrize("steps", [1, 3])
def test_its_gradient_goes_through_the_updates(batch, steps):
    real, fake = batch
    D, loss = network(), unrolled(unrolled_steps=steps, unrolled_lr=0.5)
    fake.requires_grad_()
    found = loss.generator_loss(Discriminator(D), real, fake)["adversarial"]
    (slope,) = torch.autograd.grad(found, fake)
    nudge = torch.zeros_like(fake)
    nudge[2, 1] = 1e-5
    up, down = (by_hand(D, real, fake.detach() + side * nudge, steps, 0.5) for side in (1, -1))
    assert slope[2, 1].item() == pytest.approx(((up - down) / 2e-5).item(), rel=1e-6)
    # Without the updates' share it would be another one.
    (plain,) = torch.autograd.grad(
        unrolled(unrolled_steps=0).generator_loss(Discriminator(D), real, fake)["adversarial"],
        fake,
    )
    assert not torch.allclose(slope, plain, rtol=0.1)


@pytest.mark.parametrize(
    "base",
    ["minimax", "non-saturating", "lsgan", "wgan", "hinge", "wgan-gp", "r3gan"],
)
def test_the_gradient_of_the_generator_is_that_of_central_differences(base):
    """In 64 bits, through 5 updates, with the penalties that the base loss has."""
    options = {"gamma": 0.1} if base == "r3gan" else {}
    loss = unrolled(base=base, base_options=options, unrolled_lr=0.02)
    rng = torch.Generator().manual_seed(3)
    latents, real = (torch.randn(6, 2, generator=rng, dtype=WIDE) for _ in range(2))
    weight = torch.randn(2, 2, generator=rng, dtype=WIDE)
    D = network()

    def value(weight, loss=loss):
        torch.manual_seed(0)
        terms = loss.generator_loss(Discriminator(D), real + 1, latents @ weight)
        return sum(terms.values())

    def differentiate(loss):
        given = weight.clone().requires_grad_()
        return torch.autograd.grad(value(given, loss), given)[0]

    found, step = differentiate(loss), 1e-5
    for place in ((0, 0), (0, 1), (1, 0), (1, 1)):
        nudge = torch.zeros_like(weight)
        nudge[place] = step
        difference = (value(weight + nudge) - value(weight - nudge)).item() / (2 * step)
        assert found[place].item() == pytest.approx(difference, rel=1e-6, abs=1e-9)
    ahead = unrolled(base=base, base_options=options, unrolled_lr=1e-9)
    assert not torch.allclose(found, differentiate(ahead), rtol=1e-3), "the unrolling has a part"


def test_the_discriminator_itself_is_left_alone(batch):
    real, fake = (part.float() for part in batch)
    D = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1), nn.Flatten(0))
    D.requires_grad_(False)  # as the trainer has it while the generator learns
    before = copy.deepcopy(D.state_dict())
    fake.requires_grad_()
    loss = unrolled(unrolled_steps=3, unrolled_lr=1.0)
    loss._unroll(Discriminator(D), real, fake)
    assert all(torch.equal(value, before[name]) for name, value in D.state_dict().items())
    assert all(p.grad is None and not p.requires_grad for p in D.parameters())


@pytest.mark.parametrize(
    ("optimizer", "betas"), [("adam", (0.0, 0.99)), ("rmsprop", None), ("sgd", None)]
)
def test_step_sizes_are_those_of_the_optimiser(batch, optimizer, betas):
    real, fake = (part.float() for part in batch)
    D = network().float()
    if optimizer == "adam":
        real_one = torch.optim.Adam(D.parameters(), lr=0.01, betas=betas)
    elif optimizer == "rmsprop":
        real_one = torch.optim.RMSprop(D.parameters(), lr=0.01)
    else:
        real_one = torch.optim.SGD(D.parameters(), lr=0.01)
    beneath = registry.get(LOSS, "non-saturating")()
    for _ in range(3):
        real_one.zero_grad()
        sum(beneath.discriminator_loss(D, real, fake).values()).backward()
        gradients = {name: p.grad.clone() for name, p in D.named_parameters()}
        sizes = Discriminator(D, optimizer=real_one).step_sizes(gradients)
        before = {name: p.detach().clone() for name, p in D.named_parameters()}
        real_one.step()
        for name, parameter in D.named_parameters():
            expected = before[name] - sizes[name] * gradients[name]
            torch.testing.assert_close(parameter.detach(), expected, rtol=1e-4, atol=1e-6)
    assert Discriminator(D).step_sizes(gradients) == {}


def test_what_it_declares_is_that_of_the_loss_beneath():
    plain, penalised = unrolled(), unrolled(base="wgan-gp", base_options={"gp_weight": 2.0})
    assert (plain.independent_samples, penalised.independent_samples) == (False, True)
    assert plain.second_order
    assert penalised.recipe.n_critic == 5
    assert plain.recipe == registry.get(LOSS, "non-saturating").recipe
    assert penalised.base_loss.gp_weight == 2.0


LEAKY = """
import torch
from ganzoo_zoo.losses.non_saturating import NonSaturating

class Leaky(NonSaturating):
    "Remembers its last logit, and needs a part."
    needs_discriminator_parts = ("features",)
    needs_generator_parts = ("w",)
    depends_on_steps = True
    adversarial = False

    def state(self, data):
        memory = torch.nn.Module()
        memory.register_buffer("last", torch.zeros(()))
        return memory

    def remember(self, state, observed):
        state.last.copy_(observed["last"])

    def discriminator_loss(self, D, real, fake):
        D.observe(last=D(real).mean())
        return super().discriminator_loss(D, real, fake)
"""


def test_it_remembers_and_asks_as_the_loss_beneath_does(plugin, batch):
    plugin("ganzoo-leaky", LEAKY, {"ganzoo.losses": {"leaky": "ganzoo_leaky:Leaky"}})
    loss = unrolled(base="leaky")
    assert loss.needs_discriminator_parts == ("features",)
    assert loss.needs_generator_parts == ("w",)
    assert loss.depends_on_steps
    assert not loss.adversarial
    state = loss.state(None)
    D = Discriminator(network()).of(state)
    loss.discriminator_loss(D, *batch)
    loss.remember(state, D.take_observed())
    assert state.last


def test_a_batch_cannot_be_unrolled_in_parts():
    assert unrolled().needs_whole_batch
    assert not unrolled(unrolled_steps=0).needs_whole_batch
    assert not unrolled(unrolled_steps=0).second_order


def test_the_loss_beneath_is_checked():
    with pytest.raises(InputError, match="no loss is called 'hing'; did you mean 'hinge'"):
        resolve("mlp", "unrolled", "ring", {"loss.base": "hing"})
    with pytest.raises(InputError, match=r"loss\.base_options\.gp_wait"):
        resolve(
            "mlp", "unrolled", "ring",
            {"loss.base": "wgan-gp", "loss.base_options": {"gp_wait": 1}},
        )  # fmt: skip


@pytest.mark.parametrize("base", ["lsgan", "wgan", "wgan-gp"])
def test_it_trains_over_other_losses(base):
    settings = {
        "loss.base": base,
        "loss.unrolled_steps": 2,
        "data.samples": 200,
        "arch.hidden": (8,),
        "train.batch_size": 8,
        "train.device": "cpu",
    }
    config = resolve("mlp", "unrolled", "ring", settings)
    trainer = build_trainer(config, config.data.build(DATASET).read())
    for _ in range(2):
        terms = trainer.step()
    assert all(value.isfinite() for value in terms.generator.values())
    assert all(
        parameter.grad.isfinite().all() for parameter in trainer.state.generator.parameters()
    )
