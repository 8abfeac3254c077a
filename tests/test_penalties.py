"""Penalties: formulas, the dynamics of Dirac-GAN, and every loss and architecture beside them."""

import cmath
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from ganzoo import DataSpec, Discriminator, GeneratorInput, Progress, Samples, registry
from ganzoo.config import TrainOptions
from ganzoo.errors import InputError
from ganzoo.training import preconditions
from ganzoo.training.assembly import assemble_trainer
from ganzoo.training.inputs import Batch
from ganzoo_zoo.augmentations.diffaugment import Translation
from ganzoo_zoo.families.dcgan import DCGAN
from ganzoo_zoo.families.mlp import MLP
from ganzoo_zoo.families.r3gan import R3GANLoss
from ganzoo_zoo.families.sngan import SNGAN
from ganzoo_zoo.losses.minimax import Minimax
from ganzoo_zoo.losses.non_saturating import NonSaturating
from ganzoo_zoo.losses.relativistic_average import RelativisticAverage
from ganzoo_zoo.losses.wgan import WGAN
from ganzoo_zoo.penalties.consistency import Consistency
from ganzoo_zoo.penalties.dragan import DRAGAN
from ganzoo_zoo.penalties.gradient_penalty import GradientPenalty
from ganzoo_zoo.penalties.latent_consistency import LatentConsistency
from ganzoo_zoo.penalties.lecam import LeCam
from ganzoo_zoo.penalties.orthogonal import Orthogonal
from ganzoo_zoo.penalties.path_length import PathLength
from ganzoo_zoo.penalties.r1 import R1
from ganzoo_zoo.penalties.r2 import R2

COUNT = 6
IMAGE = DataSpec(shape=(1, 4, 4))
SIZE = IMAGE.size
LATE = Progress(step=5, steps=10, images=320, updates=5)
LOSSES = [entry.name for entry in registry.entries(registry.LOSS)]
PENALTIES = [entry.name for entry in registry.entries(registry.PENALTY)]
CONTAINED = {("wgan-gp", "gradient-penalty"), ("r3gan", "r1"), ("r3gan", "r2")}
"""Losses with the penalties that they contain."""
OF_PARTS = {
    "path-length",
    "auxiliary-classifier",
    "mutual-information",
    "perceptual",
    "reconstruction",
}
"""Penalties that look at parts or networks which the plain architectures lack, or at sources."""


def component(kind, name, **options):
    return registry.get(kind, name)(**options)


class Quadratic(nn.Module):
    """Images -> ``x A x / 2 + b x``: a discriminator whose derivatives can be written down."""

    def __init__(self):
        super().__init__()
        rng = torch.Generator().manual_seed(1)
        self.matrix = nn.Parameter(
            torch.randn(SIZE, SIZE, generator=rng, dtype=torch.float64) / SIZE
        )
        self.vector = nn.Parameter(torch.randn(SIZE, generator=rng, dtype=torch.float64))

    def forward(self, samples):
        flat = samples.flatten(1)
        return (flat @ self.matrix * flat).sum(1) / 2 + flat @ self.vector

    def slopes(self, flat):
        return (flat @ (self.matrix + self.matrix.T) / 2 + self.vector).detach()

    def of_slopes(self, flat, outer):
        """Return a gradient by the parameters from that by the slopes at points."""
        product = outer.T @ flat
        return (product + product.T) / 2, outer.sum(0)

    def of_logits(self, flat, outer):
        """Return a gradient by the parameters from that by the logits of points."""
        return (flat * outer[:, None]).T @ flat / 2, outer @ flat


class Linear(nn.Module):
    """Latents -> images, and the latents again as ``w``."""

    def __init__(self, layers=1):
        super().__init__()
        rng = torch.Generator().manual_seed(2)
        self.weight = nn.Parameter(
            torch.randn(layers, SIZE, 3, generator=rng, dtype=torch.float64) / 2
        )

    def forward(self, latents):
        w = latents.reshape(len(latents), len(self.weight), 3)
        samples = torch.einsum("nlk,ldk->nd", w, self.weight)
        return {"samples": samples.reshape(-1, *IMAGE.shape), "w": w}


def draw(seed, *shape):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(COUNT, *(shape or IMAGE.shape), generator=rng, dtype=torch.float64)


def judge(network, penalty, generator=None, latents=None, *, of_generator=False):
    inputs = None if latents is None else GeneratorInput(latents, progress=LATE)
    D = Discriminator(
        network,
        progress=LATE,
        generator=generator,
        inputs=inputs,
        generates_with_gradient=of_generator,
    )
    memory = penalty.state(IMAGE)
    return D.of(None if memory is None else memory.double())


def require_gradient(terms, parameters, expected):
    found = torch.autograd.grad(sum(terms.values()), parameters)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float64
        torch.testing.assert_close(one, other.detach(), rtol=1e-9, atol=1e-12)


def require_discriminator_gradient(penalty, expected, D=None):
    """Compare the gradient of a penalty by the parameters of a quadratic discriminator."""
    D = D or judge(Quadratic(), penalty)
    torch.manual_seed(0)
    terms = penalty.discriminator_terms(D, draw(3), draw(4))
    torch.manual_seed(0)
    require_gradient(terms, tuple(D.network.parameters()), expected(D.network))


def test_gradient_of_r1_and_r2():
    for penalty, seed in ((R1(gamma=3.0), 3), (R2(gamma=3.0), 4)):
        flat = draw(seed).flatten(1)
        require_discriminator_gradient(
            penalty,
            lambda network, flat=flat: network.of_slopes(flat, 3.0 / COUNT * network.slopes(flat)),
        )


def deviation_gradient(network, flat, weight, target, one_sided=False):
    slopes = network.slopes(flat)
    norms = slopes.norm(dim=1, keepdim=True)
    excess = (norms - target).clamp(min=0) if one_sided else norms - target
    return network.of_slopes(flat, 2 * weight / COUNT * excess * slopes / norms)


@pytest.mark.parametrize("one_sided", [False, True])
def test_gradient_of_the_gradient_penalty(one_sided):
    target = 4.0  # among the norms of the slopes
    penalty = GradientPenalty(weight=2.5, target=target, one_sided=one_sided)

    def expected(network):
        share = torch.rand(COUNT, 1, 1, 1, dtype=torch.float64)
        between = (share * draw(3) + (1 - share) * draw(4)).flatten(1)
        norms = network.slopes(between).norm(dim=1)
        assert norms.min() < target < norms.max()
        return deviation_gradient(network, between, 2.5, target, one_sided)

    require_discriminator_gradient(penalty, expected)


def test_gradient_of_dragan():
    def expected(network):
        around = draw(3) + 0.3 * torch.randn_like(draw(3))
        return deviation_gradient(network, around.flatten(1), 7.0, 0.5)

    require_discriminator_gradient(DRAGAN(weight=7.0, target=0.5, noise_std=0.3), expected)


def test_gradient_of_lecam():
    penalty = LeCam(weight=0.7)
    D = judge(Quadratic(), penalty)
    D.state.real.fill_(0.6)
    D.state.fake.fill_(-0.4)
    real, fake = draw(3).flatten(1), draw(4).flatten(1)

    def expected(network):
        with torch.no_grad():
            above = (network(real) + 0.4).clamp(min=0)
            below = (0.6 - network(fake)).clamp(min=0)
        assert 0 < (above > 0).sum() < COUNT
        of_reals = network.of_logits(real, 2 * 0.7 / COUNT * above)
        of_fakes = network.of_logits(fake, -2 * 0.7 / COUNT * below)
        return [one + other for one, other in zip(of_reals, of_fakes, strict=True)]

    require_discriminator_gradient(penalty, expected, D)


@pytest.mark.parametrize("weights", [(2.0, 3.0), (2.0, 0.0), (0.0, 3.0)])
def test_gradient_of_consistency(weights):
    given = {"real_weight": weights[0], "fake_weight": weights[1]}
    penalty = Consistency(**given, augment_options={"translation": {"shift": 0.3}})

    def expected(network):
        parts = []
        for weight, samples in zip(weights, (draw(3), draw(4)), strict=True):
            if not weight:
                continue
            changed = Translation(shift=0.3).augment(samples)
            assert not torch.equal(changed, samples)
            with torch.no_grad():
                outer = 2 * weight / COUNT * (network(samples) - network(changed))
            parts.append(network.of_logits(samples.flatten(1), outer))
            parts.append(network.of_logits(changed.flatten(1), -outer))
        return [sum(each) for each in zip(*parts, strict=True)]

    require_discriminator_gradient(penalty, expected)


def test_gradient_of_latent_consistency_by_the_discriminator():
    penalty, generator, latents = LatentConsistency(sigma=0.5), Linear(), draw(5, 3)
    D = judge(Quadratic(), penalty, generator, latents)
    fake = generator(latents)["samples"].detach()
    torch.manual_seed(0)
    terms = penalty.discriminator_terms(D, draw(3), fake)
    torch.manual_seed(0)
    near = generator(latents + 0.5 * torch.randn_like(latents))["samples"].detach()
    with torch.no_grad():
        outer = 2 * 5.0 / COUNT * (D(fake) - D(near))
    parts = [
        D.network.of_logits(fake.flatten(1), outer),
        D.network.of_logits(near.flatten(1), -outer),
    ]
    expected = [sum(each) for each in zip(*parts, strict=True)]
    require_gradient(terms, tuple(D.network.parameters()), expected)


def test_gradient_of_latent_consistency_by_the_generator():
    penalty, generator, latents = LatentConsistency(generator_weight=0.7), Linear(), draw(5, 3)
    D = judge(Quadratic(), penalty, generator, latents, of_generator=True)
    torch.manual_seed(0)
    terms = penalty.generator_terms(D, draw(3), generator(latents)["samples"])
    assert sum(terms.values()) < 0, "fakes that differ more are better"
    torch.manual_seed(0)
    moved = 0.03 * torch.randn_like(latents)
    change = moved @ generator.weight[0].T
    expected = -2 * 0.7 / (COUNT * SIZE) * change.T @ moved
    require_gradient(terms, (generator.weight,), (expected[None],))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("shrink", [1, 2])
def test_gradient_of_path_length(layers, shrink):
    penalty, generator = PathLength(weight=1.5, shrink=shrink), Linear(layers)
    latents = draw(5, 3 * layers).requires_grad_()  # as where an earlier layer made w
    D = judge(Quadratic(), penalty, generator, latents, of_generator=True)
    D.state.length.fill_(0.4)
    torch.manual_seed(0)
    terms = penalty.generator_terms(D, draw(3), generator(latents)["samples"])
    torch.manual_seed(0)
    few = len(range(0, COUNT, shrink))
    directions = torch.randn(few, *IMAGE.shape, dtype=torch.float64).flatten(1) / 4  # 16 pixels
    slopes = torch.einsum("nd,ldk->nlk", directions, generator.weight)
    lengths = (slopes.square().sum(2).mean(1)).sqrt()
    assert D.take_observed()["length"].item() == pytest.approx(lengths.mean().item())
    outer = 2 * 1.5 / few * (lengths - 0.4) / (layers * lengths)
    expected = torch.einsum("n,nd,nlk->ldk", outer, directions, slopes)
    require_gradient(terms, (generator.weight,), (expected,))


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_gradient_of_orthogonal(network):
    def build():
        layers = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Embedding(5, 3), nn.Linear(4, 3)
        return nn.Sequential(*layers).double()

    penalty = Orthogonal(weight=0.3, network=network)
    owners = {"generator": build(), "discriminator": build()}
    D = judge(owners["discriminator"], penalty, owners["generator"])
    terms = getattr(penalty, f"{network}_terms")(D, draw(3), draw(4))
    weights = [owners[network][0].weight, owners[network][3].weight]
    expected = []
    for weight in weights:
        rows = weight.detach().flatten(1)
        products = rows @ rows.T
        products.fill_diagonal_(0)
        expected.append((4 * 0.3 * products @ rows).reshape(weight.shape))
    require_gradient(terms, weights, expected)
    assert penalty.penalises_generator == (network == "generator")
    assert penalty.penalises_discriminator == (network == "discriminator")


class Smooth(nn.Module):
    """Images -> logits, of which all derivatives change everywhere."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layers = nn.Flatten(), nn.Linear(SIZE, 5), nn.Softplus(), nn.Linear(5, 1)
            self.layers = nn.Sequential(*layers, nn.Flatten(0)).double()

    def forward(self, samples):
        return self.layers(samples)


@pytest.mark.parametrize("penalty", [R2(), GradientPenalty(), LeCam(), Consistency()])
def test_a_gradient_gets_through_to_the_fakes(penalty):
    def value(fake):
        torch.manual_seed(0)
        D = judge(Smooth(), penalty)
        if D.state is not None:
            D.state.real.fill_(2.0)
        return sum(penalty.discriminator_terms(D, draw(3), fake).values())

    fake = draw(4).requires_grad_()
    (slope,) = torch.autograd.grad(value(fake), fake)
    step = 1e-5 * draw(7)
    difference = (value(fake.detach() + step) - value(fake.detach() - step)).item()
    assert abs(difference) > 1e-8
    assert 2 * (slope * step).sum().item() == pytest.approx(difference, rel=1e-6)


def test_lecam_begins_when_it_is_told_to():
    penalty = LeCam(start_images=320, decay=0.75)
    for images, begun in ((0, False), (320, False), (321, True)):
        D = Discriminator(Quadratic(), progress=replace(LATE, images=images))
        D = D.of(penalty.state(IMAGE).double())
        D.state.fake.fill_(-100.0)
        terms = penalty.discriminator_terms(D, draw(3), draw(4))
        assert bool(terms["lecam"]) == begun
        observed = D.take_observed()
        penalty.remember(D.state, observed)
        last = D.network(draw(4)).mean().item()
        kept = -75 + 0.25 * last if begun else last
        assert D.state.fake.item() == pytest.approx(kept)


def test_path_length_follows_the_lengths():
    state = PathLength().state(IMAGE)
    for expected in (0.05, 0.05 * 0.99 + 0.05):
        PathLength().remember(state, {"length": torch.tensor(5.0)})
        assert state.length.item() == pytest.approx(expected)


# Dirac-GAN: the data are 0, the generator makes theta, and the discriminator is psi x.


class Dirac:
    """Mescheder et al. 2018 (arXiv:1801.04406), section 2: the simplest game there is."""

    def __init__(self, loss, penalty=None):
        self.loss = loss
        self.penalty = penalty

    def velocity(self, theta, psi):
        """Return the gradient descent of generator and discriminator at a point."""
        network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Flatten(0)).double()
        with torch.no_grad():
            network[0].weight.fill_(psi)
        D = Discriminator(network, progress=LATE)
        real = torch.zeros(1, 1, dtype=torch.float64)
        fake = torch.full((1, 1), theta, dtype=torch.float64, requires_grad=True)
        terms = list(self.loss.generator_loss(D, real, fake).values())
        (of_theta,) = torch.autograd.grad(sum(terms), fake)
        terms = list(self.loss.discriminator_loss(D, real, fake.detach()).values())
        if self.penalty is not None:
            terms += self.penalty.discriminator_terms(D, real, fake.detach()).values()
        (of_psi,) = torch.autograd.grad(sum(terms), network[0].weight)
        return -of_theta.item(), -of_psi.item()

    def eigenvalues(self):
        """Return those of the Jacobian at the equilibrium, by central differences."""
        step = 1e-4
        columns = [
            [
                (ahead - behind) / (2 * step)
                for ahead, behind in zip(
                    self.velocity(*point), self.velocity(-point[0], -point[1]), strict=True
                )
            ]
            for point in ((step, 0.0), (0.0, step))
        ]
        return torch.linalg.eigvals(torch.tensor(columns, dtype=torch.float64).T).tolist()

    def distances(self, steps=1500, rate=0.1, start=(0.1, 0.0)):
        """Return the distances from the equilibrium on the way of simultaneous descent."""
        theta, psi = start
        found = []
        for _ in range(steps):
            of_theta, of_psi = self.velocity(theta, psi)
            theta, psi = theta + rate * of_theta, psi + rate * of_psi
            found.append(math.hypot(theta, psi))
        return found


def same_numbers(found, expected):
    def place(number):
        return round(number.real, 5), round(number.imag, 5)

    for one, other in zip(sorted(found, key=place), sorted(expected, key=place), strict=True):
        assert abs(one - other) < 1e-5


@pytest.mark.parametrize("loss", [Minimax(), NonSaturating(), WGAN(), RelativisticAverage()])
def test_unregularised_dynamics_have_imaginary_eigenvalues(loss):
    """Lemma 2.3: plus and minus f'(0) i, where f'(0) is 1/2 or, of a linear f or of two, 1."""
    slope = 1.0 if isinstance(loss, (WGAN, RelativisticAverage)) else 0.5
    same_numbers(Dirac(loss).eigenvalues(), [slope * 1j, -slope * 1j])


@pytest.mark.parametrize("gamma", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("penalty", [R1, R2])
@pytest.mark.parametrize("loss", [Minimax(), NonSaturating()])
def test_zero_centred_penalties_have_the_papers_eigenvalues(loss, penalty, gamma):
    """Lemma 4.1 and equation 11: the real parts are negative."""
    root = cmath.sqrt(gamma**2 / 4 - 0.5**2)
    expected = [-gamma / 2 + root, -gamma / 2 - root]
    found = Dirac(loss, penalty(gamma=gamma)).eigenvalues()
    if gamma == 1.0:  # critical damping: both are -1/2, and rounding parts them by its root
        assert all(abs(each + 0.5) < 1e-2 for each in found)
    else:
        same_numbers(found, expected)


def test_a_zero_centred_gradient_penalty_is_a_half_of_r1():
    root = cmath.sqrt(0.8**2 - 0.5**2)
    found = Dirac(Minimax(), GradientPenalty(weight=0.8, target=0.0)).eigenvalues()
    same_numbers(found, [-0.8 + root, -0.8 - root])


def test_both_penalties_of_r3gan_add_up():
    root = cmath.sqrt(0.3**2 - 0.5**2)
    same_numbers(Dirac(R3GANLoss(gamma=0.3)).eigenvalues(), [-0.3 + root, -0.3 - root])


@pytest.mark.parametrize(
    ("loss", "penalty"),
    [
        (NonSaturating(), None),
        (WGAN(), None),
        (WGAN(), GradientPenalty()),
        (NonSaturating(), DRAGAN()),
    ],
    ids=["non-saturating", "wgan", "wgan-gp", "dragan"],
)
def test_what_does_not_converge_stays_away(loss, penalty):
    """Lemmas 3.1 to 3.3 and section 3: at a fixed rate these never arrive."""
    late = Dirac(loss, penalty).distances(600)[-100:]
    assert max(late) > 0.05


@pytest.mark.parametrize("penalty", [R1(gamma=1.0), R2(gamma=1.0)])
def test_what_converges_arrives(penalty):
    assert Dirac(NonSaturating(), penalty).distances(400)[-1] < 1e-5


# Beside every loss and architecture

TINY = TrainOptions(batch_size=4, steps=2, device="cpu")
ARCHITECTURES = {
    "dcgan": DCGAN(z_dim=4, base_channels=2),
    "mlp": MLP(z_dim=4, hidden=(6,)),
    "sngan": SNGAN(z_dim=4, base_channels=2),
}


def images(count=8, side=8):
    rng = torch.Generator().manual_seed(0)
    spec = DataSpec(shape=(1, side, side))
    return Samples(
        spec, torch.randint(0, 256, (count, 1, side, side), generator=rng, dtype=torch.uint8)
    )


@pytest.fixture
def no_size_check(monkeypatch):
    """Skip the check of memory, which takes longer than a step with spectral normalisation."""
    monkeypatch.setattr(preconditions, "check_memory", lambda setup: None)


def build(architecture, loss, penalties, options=TINY, samples=None):
    return assemble_trainer(
        architecture,
        component(registry.LOSS, loss, **({"unrolled_steps": 1} if loss == "unrolled" else {})),
        images() if samples is None else samples,
        options,
        penalties={name: component(registry.PENALTY, name, **more) for name, more in penalties},
    )


PAIRS = [
    (loss, name)
    for loss in LOSSES
    for name, each in ARCHITECTURES.items()
    if {*registry.get(registry.LOSS, loss)().needs_discriminator_parts}
    <= {*each.discriminator_parts}
]


@pytest.mark.parametrize(("loss", "name"), PAIRS)
def test_every_penalty_beside_every_loss(no_size_check, name, loss):
    alone = build(ARCHITECTURES[name], loss, []).step()
    for penalty in PENALTIES:
        if penalty in OF_PARTS or (loss, penalty) in CONTAINED:
            continue
        trainer = build(ARCHITECTURES[name], loss, [(penalty, {})])
        for _ in range(2):
            terms = trainer.step()
        found = {**terms.discriminator, **terms.generator}
        assert found.keys() - {*alone.discriminator, *alone.generator}, penalty
        for values in (found, *trainer.state.tensors().values()):
            assert all(bool(value.isfinite().all()) for value in values.values()), penalty


@pytest.mark.parametrize(("loss", "penalty"), sorted(CONTAINED))
def test_a_penalty_that_the_loss_contains_is_refused(loss, penalty):
    trainer = build(ARCHITECTURES["mlp"], loss, [(penalty, {})])
    with pytest.raises(InputError, match="the loss may contain this penalty; drop it"):
        trainer.step()


def test_path_length_needs_w():
    with pytest.raises(InputError, match="the penalty 'path-length' needs 'w' of the generator"):
        build(ARCHITECTURES["mlp"], "hinge", [("path-length", {})])


def test_consistency_needs_samples_that_its_augmentations_fit():
    points = Samples(DataSpec(shape=(2,)), torch.randn(8, 2))
    with pytest.raises(InputError, match="the penalty 'consistency' does not fit these samples"):
        build(ARCHITECTURES["mlp"], "hinge", [("consistency", {})], samples=points)


def test_options_of_consistency_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="real_weight or fake_weight must be above 0"):
        Consistency(real_weight=0, fake_weight=0)
    with pytest.raises(InputError, match="are for 'cutout', which augment does not name"):
        Consistency(augment_options={"cutout": {}})


# Parts of a batch

WHOLE = {"unrolled", "feature-matching", "relativistic-average"}
"""Losses that look at their batch as a whole."""


class DrawsBySample:
    """Random numbers that a sample gets whether its batch is computed whole or in parts."""

    def __init__(self, monkeypatch):
        self.update, self.part, self.call, self.count = 0, 0, 0, 0
        split = Batch.split

        def announced(batch, count):
            self.update, self.count = self.update + 1, count
            for self.part, each in enumerate(split(batch, count)):
                self.call = 0
                yield each
            self.count = 0

        monkeypatch.setattr(Batch, "split", announced)
        for name in ("rand", "randn", "randint", "randn_like"):
            monkeypatch.setattr(torch, name, self.wrap(getattr(torch, name)))

    def wrap(self, function):
        def drawn(*given, **named):
            if not self.count or named.get("generator") is not None:
                return function(*given, **named)
            self.call += 1
            with torch.random.fork_rng():
                torch.manual_seed(1000 * self.update + self.call)
                whole = function(*self.enlarge(given), **named)
            return whole.chunk(self.count)[self.part]

        return drawn

    def enlarge(self, given):
        """Return the arguments of a draw with as many samples as the whole batch."""
        found = list(given)
        for place, each in enumerate(found):
            if isinstance(each, torch.Tensor):
                found[place] = each.repeat(self.count, *[1] * (each.dim() - 1))
                break
            if isinstance(each, tuple):
                found[place] = (each[0] * self.count, *each[1:])
                break
        else:
            found[0] *= self.count
        return found


class WithW(MLP):
    """The MLP's networks, with a generator that tells its w."""

    generator_parts = ("w",)

    def generator(self, data):
        class Telling(nn.Module):
            def __init__(self, mapping, synthesis):
                super().__init__()
                self.mapping, self.synthesis = mapping, synthesis

            def forward(self, latents):
                w = self.mapping(latents).tanh()
                return {"samples": self.synthesis(w), "w": w}

        return Telling(nn.Linear(self.z_dim, self.z_dim), super().generator(data))


CASES = [
    *((loss, []) for loss in LOSSES if loss not in WHOLE),
    *(
        ("non-saturating", [(penalty, {})])
        for penalty in PENALTIES
        if penalty not in OF_PARTS - {"path-length"}
    ),
    ("hinge", [("r1", {"interval": 2}), ("path-length", {"interval": 2})]),
]


@pytest.mark.parametrize(("loss", "penalties"), CASES, ids=str)
def test_a_batch_in_parts_is_the_whole_batch(loss, penalties, monkeypatch):
    """Eps is 1, so that Adam does not blow up the rounding of gradients that are nearly 0."""
    found = []
    for accumulate in (1, 2):
        with monkeypatch.context() as context:
            DrawsBySample(context)
            options = TrainOptions(
                batch_size=8,
                steps=2,
                device="cpu",
                accumulate=accumulate,
                eps=1.0,
                generator_lr=0.5,
                discriminator_lr=0.5,
            )
            trainer = build(WithW(z_dim=4, hidden=(6,)), loss, penalties, options, images())
            before = {key: value.clone() for key, value in tensors_of(trainer).items()}
            for _ in range(2):
                trainer.step()
            found.append(tensors_of(trainer))
    whole, parts = found
    assert whole.keys() == parts.keys()
    moved = 0.0
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-5, atol=1e-6, msg=name)
        moved = max(moved, (value - before.get(name, value)).abs().max().item())
    assert moved > 1e-3


def tensors_of(trainer):
    return {
        f"{file}.{name}": value.double()
        for file, tensors in trainer.state.tensors().items()
        for name, value in tensors.items()
    }


@pytest.mark.parametrize(("penalty", "sizes"), [("path-length", [2]), ("orthogonal", [])])
def test_a_lazy_penalty_that_needs_no_fakes_has_none_made(penalty, sizes):
    chosen = [(penalty, {"interval": 2})]
    trainer = build(WithW(z_dim=4, hidden=(6,)), "hinge", chosen, TINY, images())
    seen = []
    trainer.state.generator.register_forward_hook(lambda *given: seen.append(len(given[1][0])))
    trainer.step()
    fakes = [TINY.batch_size] * 2  # of the discriminator's update, and of the generator's
    assert seen == [*fakes, *sizes]


@pytest.mark.parametrize("loss", sorted(WHOLE))
def test_what_needs_the_whole_batch_is_refused_in_parts(loss):
    options = TINY.model_copy(update={"accumulate": 2})
    with pytest.raises(InputError, match="the loss looks at its batch as a whole"):
        build(ARCHITECTURES["mlp"], loss, [], options)
