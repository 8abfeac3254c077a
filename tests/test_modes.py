"""Modes: classes that a classifier finds, against counts by hand and in numpy."""

import math

import numpy as np
import pytest
import torch

from ganzoo import DataSpec, Features, Samples, SampleSet
from ganzoo.api.evaluation import evaluate
from ganzoo.errors import InputError
from ganzoo_zoo.metrics.modes import Modes

SPEC = DataSpec(shape=(1, 1, 1), classes=4, features="any")


def classified(predicted, labels=None, spec=SPEC, width=4):
    """Make samples that a classifier takes for some classes."""
    predicted = torch.tensor(predicted)
    samples = Samples(
        spec,
        torch.zeros(len(predicted), 1, 1, 1, dtype=torch.uint8),
        None if labels is None else torch.tensor(labels),
    )
    logits = torch.nn.functional.one_hot(predicted, width).float()
    return SampleSet(samples, lambda found: Features(logits, logits))


def test_classes_are_counted_and_weighed():
    fake = classified([0, 0, 0, 1])
    real = classified([0, 1, 2, 3], labels=[0, 1, 2, 3])
    modes, divergence = Modes().evaluate(fake, real)
    assert (modes.name, modes.value, modes.note) == ("modes", 2, "of 4 classes")
    assert modes.higher_is_better is None
    assert Modes.higher_is_better
    expected = 0.75 * math.log(0.75 / 0.25) + 0.25 * math.log(0.25 / 0.25)
    assert divergence.name == "reverse-kl"
    assert divergence.value == pytest.approx(expected, rel=1e-12)
    assert divergence.higher_is_better is False


def test_labels_are_believed_before_the_classifier():
    fake = classified([0, 0, 1, 1])
    told = classified([3, 3, 3, 3], labels=[0, 0, 1, 1])
    _, divergence = Modes().evaluate(fake, told)
    assert (divergence.value, divergence.note) == (0.0, "from the reals' labels")
    _, divergence = Modes().evaluate(fake, classified([0, 1, 1, 1]))
    assert divergence.value == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75))
    assert divergence.note == "from what the classifier takes the reals for"


def test_a_class_without_a_real_counts_as_one():
    fake = classified([0, 3])
    real = classified([0, 0, 0, 0], labels=[0, 0, 0, 0])
    _, divergence = Modes().evaluate(fake, real)
    assert divergence.value == pytest.approx(0.5 * math.log(0.5) + 0.5 * math.log(0.5 / 0.25))
    assert divergence.note.endswith("1 of the classes have no real, and count as one")


def test_a_thousand_modes_agree_with_numpy():
    rng = np.random.default_rng(0)
    spec = DataSpec(shape=(1, 1, 1), classes=1000, features="any")
    seen, labels = rng.choice(700, 2_600) ** 2 % 1000, rng.choice(1000, 5_000)
    modes, divergence = Modes().evaluate(
        classified(seen.tolist(), spec=spec, width=1000),
        classified([0] * 5_000, labels=labels.tolist(), spec=spec, width=1000),
    )
    fakes, reals = (np.bincount(found, minlength=1000) / len(found) for found in (seen, labels))
    assert modes.value == (fakes > 0).sum()
    there = fakes > 0
    floored = np.maximum(reals, 1 / len(labels))
    expected = (fakes[there] * np.log(fakes[there] / floored[there])).sum()
    assert divergence.value == pytest.approx(expected, rel=1e-10)


def test_what_modes_are_of():
    judge = Modes()
    points = DataSpec(shape=(2,), modes=((0, 0),), mode_std=1.0)
    assert judge.fits(SPEC)
    assert judge.fits(points)
    assert (judge.extractor(SPEC), judge.extractor(points)) == ("any", None)
    assert (judge.ranks(SPEC), judge.ranks(points)) == (False, True)
    for other in ({"classes": 3}, {"features": "any"}, {}):
        assert not judge.fits(DataSpec(shape=(1, 1, 1), **other))


@pytest.mark.parametrize(
    ("width", "message"), [(7, "is a classifier of 7"), (None, "is no classifier")]
)
def test_a_classifier_of_other_classes_is_refused(width, message):
    fake = classified([0, 1], width=width or 4)
    if width is None:
        fake = SampleSet(fake.samples, lambda found: Features(torch.zeros(2, 4)))
    with pytest.raises(InputError, match=message):
        Modes().evaluate(fake, classified([0, 1], labels=[0, 1]))


def test_data_without_modes_are_refused():
    spec = DataSpec(shape=(1, 1, 1), classes=4)
    with pytest.raises(InputError, match="with classes and a classifier"):
        Modes().evaluate(classified([0]), classified([0], spec=spec))


def test_digits_have_ten_modes():
    rows = {row.metric: row for row in evaluate(None, ["modes"], data="digits", floor=True)}
    assert rows["modes[digits-cnn]"].value == 10
    assert rows["modes[digits-cnn]"].higher_is_better
    assert rows["reverse-kl[digits-cnn]"].value < 0.01
    assert not rows["reverse-kl[digits-cnn]"].higher_is_better
