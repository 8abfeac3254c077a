"""Closed forms, gradients at the extremes, and the traps that others fell into."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import sigmoid, softplus

from ganzoo import DataSpec, registry
from ganzoo.errors import InputError
from ganzoo_zoo.losses.hinge import Hinge
from ganzoo_zoo.losses.lsgan import LSGAN
from ganzoo_zoo.losses.minimax import Minimax
from ganzoo_zoo.losses.non_saturating import NonSaturating
from ganzoo_zoo.losses.relativistic_average import RelativisticAverage
from ganzoo_zoo.losses.wgan import WGAN
from ganzoo_zoo.losses.wgan_gp import WGANGP


def identity(logits):
    return logits


def column(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def total(terms):
    return sum(terms.values())


REAL, FAKE = (0.7, -1.2), (0.4, -2.0)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (
            NonSaturating(),
            lambda r, f: -torch.log(sigmoid(r)).mean() - torch.log(1 - sigmoid(f)).mean(),
        ),
        (Minimax(), lambda r, f: -torch.log(sigmoid(r)).mean() - torch.log(1 - sigmoid(f)).mean()),
        (LSGAN(), lambda r, f: 0.5 * ((r - 1) ** 2).mean() + 0.5 * (f**2).mean()),
        (Hinge(), lambda r, f: (1 - r).clamp(min=0).mean() + (1 + f).clamp(min=0).mean()),
        (WGAN(), lambda r, f: f.mean() - r.mean()),
        (
            RelativisticAverage(),
            lambda r, f: (
                -torch.log(sigmoid(r - f.mean())).mean()
                - torch.log(1 - sigmoid(f - r.mean())).mean()
            ),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_discriminator_loss_is_the_papers(loss, expected):
    real, fake = column(*REAL), column(*FAKE)
    torch.testing.assert_close(
        total(loss.discriminator_loss(identity, real, fake)), expected(real, fake)
    )


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (NonSaturating(), lambda f: -torch.log(sigmoid(f)).mean()),
        (Minimax(), lambda f: torch.log(1 - sigmoid(f)).mean()),
        (LSGAN(), lambda f: 0.5 * ((f - 1) ** 2).mean()),
        (Hinge(), lambda f: -f.mean()),
        (WGAN(), lambda f: -f.mean()),
        (WGANGP(), lambda f: -f.mean()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_generator_loss_is_the_papers(loss, expected):
    fake = column(*FAKE)
    torch.testing.assert_close(
        total(loss.generator_loss(identity, column(*REAL), fake)), expected(fake)
    )


def test_the_relativistic_average_loss_of_the_generator_exchanges_the_roles():
    """Wang et al. 2018, equation 2: both terms have a gradient for the generator."""
    real, fake = column(*REAL), column(*FAKE)
    loss = RelativisticAverage()
    found = total(loss.generator_loss(identity, real, fake))
    torch.testing.assert_close(found, total(loss.discriminator_loss(identity, fake, real)))
    expected = (
        -torch.log(1 - sigmoid(real - fake.mean())).mean()
        - torch.log(sigmoid(fake - real.mean())).mean()
    )
    torch.testing.assert_close(found, expected)


def test_lsgan_labels_are_options():
    loss = LSGAN(fake_label=-1, real_label=1, generator_label=0)
    real, fake = column(0.5), column(0.25)
    assert total(loss.discriminator_loss(identity, real, fake)).item() == pytest.approx(
        0.5 * 0.25 + 0.5 * 1.25**2
    )
    assert total(loss.generator_loss(identity, real, fake)).item() == pytest.approx(0.5 * 0.25**2)


def generator_slope(loss, logit):
    fake = column(logit)
    (slope,) = torch.autograd.grad(total(loss.generator_loss(identity, column(0.0), fake)), fake)
    return slope.item()


def test_minimax_saturates_where_non_saturating_does_not():
    assert generator_slope(Minimax(), -5.0) == pytest.approx(-0.0067, abs=5e-5)
    assert generator_slope(NonSaturating(), -5.0) == pytest.approx(-0.9933, abs=5e-5)


@pytest.mark.parametrize("logit", [-40.0, 40.0])
def test_cross_entropies_are_exact_at_the_extremes_in_single_precision(logit):
    fake = torch.tensor([logit], requires_grad=True)
    for loss, value in ((NonSaturating(), softplus), (Minimax(), lambda x: -softplus(-x))):
        found = total(loss.generator_loss(identity, fake, fake))
        exact = value(torch.tensor([-logit], dtype=torch.float64)).item()
        assert found.item() == pytest.approx(exact, rel=1e-6)
        assert math.isfinite(torch.autograd.grad(found, fake)[0].item())


def critic_of_slope(slope):
    """A linear critic whose gradient has the norm ``slope`` everywhere."""

    def critic(samples):
        flat = samples.flatten(1)
        return slope * flat.sum(1) / math.sqrt(flat.shape[1])

    return critic


@pytest.mark.parametrize("batch", [1, 4, 16, 64])
@pytest.mark.parametrize("shape", [(5,), (1, 8, 8), (3, 4, 6)])
def test_penalty_is_zero_on_a_lipschitz_critic_for_every_batch_size(batch, shape):
    real, fake = torch.randn(batch, *shape), torch.randn(batch, *shape)
    terms = WGANGP().discriminator_loss(critic_of_slope(1.0), real, fake)
    assert terms["gradient_penalty"].item() == pytest.approx(0.0, abs=1e-8)


def test_penalty_of_a_steep_critic():
    real, fake = torch.randn(8, 5), torch.randn(8, 5)
    terms = WGANGP(gp_weight=2.5).discriminator_loss(critic_of_slope(3.0), real, fake)
    assert terms["gradient_penalty"].item() == pytest.approx(2.5 * (3 - 1) ** 2, rel=1e-5)


def test_each_sample_has_its_own_interpolation_weight():
    seen = []

    def critic(samples):
        seen.append(samples.detach())
        return samples.flatten(1).sum(1)

    WGANGP().discriminator_loss(critic, torch.ones(256, 1, 2, 2), torch.zeros(256, 1, 2, 2))
    between = seen[-1].flatten(1)
    assert (between == between[:, :1]).all(), "one weight within a sample"
    weights = between[:, 0]
    assert len(weights.unique()) > 250, "another weight for each sample"
    assert 0 <= weights.min() < 0.05
    assert 0.95 < weights.max() <= 1
    assert abs(weights.mean().item() - 0.5) < 0.1


def test_penalty_teaches_the_critic():
    critic = nn.Sequential(nn.Linear(3, 1, bias=False), nn.Flatten(0))
    with torch.no_grad():
        critic[0].weight.copy_(torch.tensor([[3.0, 0.0, 0.0]]))
    terms = WGANGP().discriminator_loss(critic, torch.randn(4, 3), torch.randn(4, 3))
    (slope,) = torch.autograd.grad(terms["gradient_penalty"], critic[0].weight)
    # d/dw 10 (|w| - 1)^2 = 20 (|w| - 1) w / |w|
    torch.testing.assert_close(slope, torch.tensor([[40.0, 0.0, 0.0]]))


def test_wgan_clips_every_parameter():
    critic = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    WGAN(clip=0.02).constrain(critic)
    largest = max(parameter.abs().max().item() for parameter in critic.parameters())
    assert largest == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("minimax", ("adam", 2e-4, 2e-4, (0.5, 0.999), 1, 128)),
        ("non-saturating", ("adam", 2e-4, 2e-4, (0.5, 0.999), 1, 128)),
        ("lsgan", ("adam", 2e-4, 2e-4, (0.5, 0.999), 1, 64)),
        ("hinge", ("adam", 2e-4, 2e-4, (0.5, 0.999), 1, 64)),
        ("wgan", ("rmsprop", 5e-5, 5e-5, None, 5, 64)),
        ("wgan-gp", ("adam", 1e-4, 1e-4, (0.0, 0.9), 5, 64)),
        ("relativistic-average", ("adam", 2e-4, 2e-4, (0.5, 0.999), 1, 32)),
    ],
)
def test_recipes_are_the_papers(name, recipe):
    found = registry.get(registry.LOSS, name).recipe
    optimizer, generator_lr, discriminator_lr, betas, n_critic, batch_size = recipe
    assert found.optimizer == optimizer
    assert (found.generator_lr, found.discriminator_lr) == (generator_lr, discriminator_lr)
    assert betas is None or found.betas == betas
    assert (found.n_critic, found.batch_size) == (n_critic, batch_size)
    assert "arXiv:" in found.source


def critic_with(norm):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), norm, nn.Linear(8, 1), nn.Flatten(0))


class MinibatchStatistics(nn.Module):
    """Adds the batch's deviation to each sample, as ProGAN does."""

    def forward(self, x):
        return x + x.std(0, keepdim=True)


class DetachedMean(nn.Module):
    """Takes the batch's mean away, where no gradient shows it."""

    def forward(self, x):
        return x - x.mean(0, keepdim=True).detach()


@pytest.mark.parametrize("mixing", [nn.BatchNorm1d(8), MinibatchStatistics(), DetachedMean()])
def test_wgan_gp_refuses_any_critic_that_mixes_its_batch(mixing):
    data = DataSpec(shape=(1, 4, 4))
    with pytest.raises(InputError, match="judged on its own"):
        WGANGP().check_discriminator(critic_with(mixing), data)


@pytest.mark.parametrize("fine", [nn.LayerNorm(8), nn.Identity(), nn.Dropout(0.5), nn.Softplus()])
def test_wgan_gp_takes_a_critic_that_does_not(fine):
    critic = critic_with(fine)
    before = {name: value.clone() for name, value in critic.state_dict().items()}
    WGANGP().check_discriminator(critic, DataSpec(shape=(1, 4, 4)))
    assert all(torch.equal(before[name], value) for name, value in critic.state_dict().items())


def test_losses_that_do_not_ask_take_batch_norm():
    Hinge().check_discriminator(critic_with(nn.BatchNorm1d(8)), DataSpec(shape=(1, 4, 4)))


def test_margins_of_the_hinge_loss_are_drawn_for_each_logit():
    real, fake = torch.full((2, 500, 4), 0.5).unbind()
    real.sub_(0.6)
    plain, drawn = Hinge(), Hinge(jitter=0.2)
    exact = plain.discriminator_loss(lambda samples: samples, real, fake)
    assert {name: term.item() for name, term in exact.items()} == pytest.approx(
        {"real": 1.1, "fake": 1.5}
    )
    torch.manual_seed(0)
    terms = drawn.discriminator_loss(lambda samples: samples, real, fake)
    torch.manual_seed(0)
    margins = [0.8 + 0.2 * (1 - torch.rand(500, 4)) for _ in range(2)]
    torch.testing.assert_close(terms["real"], (margins[0] + 0.1).mean())
    torch.testing.assert_close(terms["fake"], (margins[1] + 0.5).mean())
