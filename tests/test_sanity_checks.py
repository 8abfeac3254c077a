"""What is doubtful about a combination is said before the first step, and nothing else is."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ganzoo
from ganzoo import Architecture, DataSpec, Loss, Samples, registry
from ganzoo.config import TrainOptions
from ganzoo.nn import EvaluationClamp
from ganzoo.resolve import resolve
from ganzoo.training import sanity_checks
from ganzoo.training.assembly import assemble_trainer
from ganzoo.training.observer import Observer
from ganzoo.training.prepare import build_trainer
from ganzoo_zoo.penalties.r1 import R1
from tiny import TINY

IMAGES = DataSpec(shape=(1, 4, 4), classes=2)
POINTS = DataSpec(shape=(2,))


class Plain(Loss):
    """No penalty, no constraint."""

    def discriminator_loss(self, D, real, fake):
        return {"real": F.softplus(-D(real)).mean(), "fake": F.softplus(D(fake)).mean()}

    def generator_loss(self, D, real, fake):
        return {"adversarial": F.softplus(-D(fake)).mean()}


class Penalising(Plain):
    """Holds the slope by a penalty, and does not ask for independent samples."""

    second_order = True
    bounds_slope = True


class Careful(Penalising):
    """Asks for independent samples as well."""

    independent_samples = True


class LookingAhead(Plain):
    """Differentiates a gradient that is not one of samples."""

    second_order = True


class Small(Architecture):
    """One layer in each network."""

    def generator(self, data):
        return nn.Sequential(
            nn.Linear(3, data.size), *self.ending(data), nn.Unflatten(1, data.shape)
        )

    def discriminator(self, data, *, independent_samples=False):
        norm = [] if independent_samples else self.norm(data)
        return nn.Sequential(nn.Flatten(), *norm, nn.Linear(data.size, 1), nn.Flatten(0))

    def ending(self, data):
        return [nn.Tanh()] if data.is_image else []

    def norm(self, data):
        return []

    def latents(self, count, rng):
        return torch.randn(count, 3, generator=rng, device=rng.device)


class Bounded(Small):
    """Bounds the discriminator's slope by what it is built of."""

    bounds_slope = True


class LatePlay(Small):
    """Begins its game after some images."""

    def is_adversarial(self, progress):
        return progress.images >= 1_000_000


class WithBatchNorm(Small):
    """Normalises over the batch in the discriminator."""

    def norm(self, data):
        return [nn.BatchNorm1d(data.size)]


class BatchNormInGenerator(Small):
    """Normalises over the batch in the generator."""

    def ending(self, data):
        return [nn.BatchNorm1d(data.size), nn.Tanh()]


class Unbounded(Small):
    """Makes images without a bound."""

    def ending(self, data):
        return []


class ClampedInEvaluation(Small):
    """Makes images without a bound in training, and within [-1, 1] in evaluation."""

    def ending(self, data):
        return [EvaluationClamp()]


class Sigmoid(Small):
    """Makes images in ``[0, 1]``."""

    def ending(self, data):
        return [nn.Sigmoid()]


class TanhForAll(Small):
    """Makes vectors in ``[-1, 1]``."""

    def ending(self, data):
        return [nn.Tanh()]


class Labelled(nn.Module):
    """A network that moves what it is given by a vector of its class."""

    def __init__(self, network, width, classes):
        super().__init__()
        self.classes = nn.Embedding(classes, width)
        self.network = network

    def forward(self, given, labels):
        return self.network(given.flatten(1) + self.classes(labels))


class Conditional(Small):
    """Takes labels."""

    def takes_labels(self, data):
        return True

    def generator(self, data):
        return Labelled(super().generator(data), 3, data.classes)

    def discriminator(self, data, *, independent_samples=False):
        return Labelled(super().discriminator(data), data.size, data.classes)


def images(count=16, levels=(0, 256)):
    rng = torch.Generator().manual_seed(0)
    stored = torch.randint(*levels, (count, *IMAGES.shape), generator=rng, dtype=torch.uint8)
    return Samples(IMAGES, stored, torch.arange(count) % 2)


def one_class_of(classes):
    some = images()
    spec = some.spec.model_copy(update={"classes": classes})
    return Samples(spec, some.stored, torch.zeros(16, dtype=torch.int64))


def points(reach=3.0):
    return Samples(POINTS, torch.linspace(-reach, reach, 32).reshape(16, 2))


def said(architecture=None, loss=None, samples=None, penalties=None, **options):
    trainer = assemble_trainer(
        architecture or Small(),
        loss or Plain(),
        samples or images(),
        TrainOptions(**{"batch_size": 4, "device": "cpu", **options}),
        penalties=penalties,
    )
    return sanity_checks.warnings_before_start(trainer)


DOUBTS = {
    sanity_checks.slope_bounded_twice: [
        (
            {"architecture": Bounded(), "loss": Careful()},
            "bounded twice, by the architecture's normalisation and by the loss",
        ),
        (
            {"architecture": Bounded(), "penalties": {"r1": R1()}},
            "bounded twice, by the architecture's normalisation and by the penalty 'r1'",
        ),
    ],
    sanity_checks.fp16_on_a_cpu: [
        ({"precision": "fp16"}, "fp16 is far slower than fp32 on a CPU"),
    ],
    sanity_checks.generator_out_of_range: [
        ({"architecture": Unbounded()}, "images exceed [-1, 1], up to "),
        ({"architecture": Sigmoid()}, "do not go below 0"),
        (
            {"architecture": TanhForAll(), "samples": points()},
            "stay within 1, and the data reach 3; for vectors it should end in a linear layer",
        ),
    ],
    sanity_checks.data_out_of_range: [
        ({"samples": images(levels=(0, 2))}, "hold only 0 to 1 of 0 to 255"),
    ],
    sanity_checks.batch_of_one: [
        ({"architecture": WithBatchNorm(), "batch_size": 1}, "the discriminator normalises"),
        ({"architecture": BatchNormInGenerator(), "batch_size": 1}, "the generator normalises"),
    ],
    sanity_checks.batch_beyond_data: [
        ({"samples": images(3)}, "train.batch_size is 4, and there are 3 samples"),
    ],
    sanity_checks.class_without_samples: [
        (
            {"architecture": Conditional(), "samples": one_class_of(3)},
            "2 of the 3 classes have no samples, such as class 1",
        ),
    ],
    sanity_checks.penalty_on_mixed_batch: [
        (
            {"architecture": WithBatchNorm(), "loss": Penalising()},
            "the discriminator mixes the samples of a batch, as batch normalisation does",
        ),
    ],
    sanity_checks.never_adversarial: [
        ({"architecture": LatePlay()}, "steps end before the discriminator begins to learn"),
    ],
}
SOUND = {
    "nothing special": {},
    "images that are clamped in evaluation": {"architecture": ClampedInEvaluation()},
    "a bound by the architecture alone": {"architecture": Bounded()},
    "a bound by the loss alone": {"loss": Careful()},
    "half precision that a CPU is made for": {"precision": "bf16"},
    "half precision beside a penalty": {"loss": LookingAhead(), "precision": "bf16"},
    "vectors without a bound": {"samples": points()},
    "vectors within a bound that the data keep": {
        "architecture": TanhForAll(),
        "samples": points(0.5),
    },
    "dark images": {"samples": images(levels=(0, 40))},
    "batch normalisation over a few": {"architecture": WithBatchNorm(), "batch_size": 2},
    "a batch of one that nothing is taken over": {"batch_size": 1},
    "a batch of all there is": {"batch_size": 16},
    "labels of every class": {"architecture": Conditional()},
    "a class without samples that nobody asks for": {"samples": one_class_of(3)},
    "a penalty that has the batch unmixed": {"architecture": WithBatchNorm(), "loss": Careful()},
    "a game that begins at last": {"architecture": LatePlay(), "steps": 250_001},
    "a penalty beside no normalisation": {"loss": Penalising()},
    "unrolling through batch normalisation": {
        "architecture": WithBatchNorm(),
        "loss": LookingAhead(),
    },
}


def test_every_check_has_a_doubt():
    assert set(DOUBTS) == set(sanity_checks.sanity_checks)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(given, message, id=f"{doubt.__name__}-{i}")
        for doubt, listed in DOUBTS.items()
        for i, (given, message) in enumerate(listed)
    ],
)
def test_a_doubt_is_said_once_and_alone(given, message):
    (only,) = said(**given)
    assert message in only
    assert "\n" not in only


@pytest.mark.parametrize("given", SOUND.values(), ids=SOUND)
def test_what_is_sound_raises_no_doubt(given):
    assert said(**given) == []


def test_of_images_on_the_disk_a_few_are_looked_at(monkeypatch):
    monkeypatch.setattr(sanity_checks, "MAX_IMAGES", 4)
    sliver = dataclasses.replace(images(levels=(7, 9)), streamed=True)
    sliver.stored[1::4] = 255  # of 16 images every fourth is looked at, from the first on
    (only,) = said(samples=sliver)
    assert "hold only 7 to 8 of 0 to 255" in only
    sliver.stored[12] = 255
    assert said(samples=sliver) == []


def test_checking_leaves_the_run_as_it_was():
    def trained(checked):
        trainer = assemble_trainer(
            WithBatchNorm(), Plain(), images(), TrainOptions(batch_size=4, device="cpu")
        )
        if checked:
            before = torch.get_rng_state()
            sanity_checks.warnings_before_start(trainer)
            assert torch.equal(before, torch.get_rng_state())
        trainer.step()
        return trainer.state.tensors()

    plain, checked = trained(False), trained(True)
    for file, tensors in plain.items():
        for name, value in tensors.items():
            assert torch.equal(value, checked[file][name]), (file, name)


class Order(Observer):
    """Keeps what came when."""

    def __init__(self):
        self.events = []

    def on_warning(self, message):
        self.events.append(message)

    def on_start(self, run, config, step):
        self.events.append("started")

    def on_step(self, step):
        self.events.append(step)


DOUBTFUL = {"arch.hidden": (8,), "data.image_size": 8}


def test_a_doubt_comes_before_the_first_step(tmp_path):
    order = Order()
    ganzoo.train(
        "mlp",
        "non-saturating",
        "digits",
        out=tmp_path / "run",
        settings=DOUBTFUL,
        observer=order,
        **{**TINY, "steps": 1, "batch_size": 1800},
    )
    assert order.events[1:] == ["started", 1]
    assert "train.batch_size is 1800, and there are 1797 samples" in order.events[0]


def test_the_command_line_says_a_doubt_on_standard_error(tmp_path, ganzoo_cli):
    settings = [f"--set={key}={str(value).strip('(),')}" for key, value in DOUBTFUL.items()]
    result = ganzoo_cli(
        *("train", "mlp", "--device=cpu", "--steps=1", "--batch-size=1800", *settings),
        *("--out", tmp_path / "run"),
    )
    assert result.code == 0, result
    assert "there are 1797 samples" in result.err
    assert "1797" not in result.out


@pytest.mark.parametrize("loss", [entry.name for entry in registry.entries(registry.LOSS)])
@pytest.mark.parametrize("architecture", ["mlp", "dcgan"])
def test_the_combinations_in_the_box_raise_no_doubt(architecture, loss):
    assert doubts(architecture, loss) == []


@pytest.mark.parametrize(
    "architecture",
    [entry.name for entry in registry.entries(registry.ARCHITECTURE) if entry.load().default_data],
)
def test_an_architecture_with_its_own_loss_raises_no_doubt(architecture):
    assert doubts(architecture, None) == []


def doubts(architecture, loss):
    data = None if loss is None else "digits"
    config = resolve(architecture, loss, data, {"train.device": "cpu"})
    return sanity_checks.warnings_before_start(
        build_trainer(config, config.data.build(registry.DATASET).read())
    )
