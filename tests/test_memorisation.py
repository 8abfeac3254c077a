"""Whether samples repeat training images is watched while a run on few images trains."""

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo import DataSpec, Samples
from ganzoo.api.training import resume
from ganzoo.errors import Interrupted
from ganzoo.evaluation.repeats import TrainingImages
from ganzoo.runs.state import read_progress
from ganzoo.training import health
from ganzoo.training.observer import Observer
from ganzoo_zoo.apps.report.history import read_history
from tiny import TINY, Stopper


@pytest.fixture(scope="module")
def digits():
    """Digits in an order by chance."""
    stored = ganzoo.open_dataset("digits").stored
    return stored[torch.randperm(len(stored), generator=torch.manual_seed(0))]


def made_samples(stored, **options):
    return Samples(DataSpec(shape=tuple(stored.shape[1:])), stored, **options)


def shifted(images):
    return nn.functional.pad(images, (1, 0, 1, 0), mode="replicate")[..., :-1, :-1]


def noisy(images):
    noise = 15 * torch.randn(images.shape, generator=torch.manual_seed(1))
    return (images + noise).clamp(0, 255).byte()


def blurred(images):
    return nn.functional.avg_pool2d(images.float(), 3, 1, padding=1).byte()


def smooth_images(count):
    """Draw images whose pixels resemble their neighbours, as those of photographs do."""
    coarse = 255 * torch.rand((count, 3, 4, 4), generator=torch.manual_seed(0))
    return nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear").byte()


def test_images_that_were_held_out_repeat_nothing(digits):
    found = TrainingImages(made_samples(digits[:1000])).find_repeats(digits[1000:1256])
    assert found.double().mean() < 0.01


@pytest.mark.parametrize("change", [lambda same: same, shifted, noisy, blurred])
def test_copies_repeat_one_image_though_they_are_a_little_changed(change):
    images = smooth_images(200)
    known = TrainingImages(made_samples(images[:150]))
    assert known.find_repeats(change(images[:64])).double().mean() > 0.9
    assert known.find_repeats(change(images[150:])).double().mean() < 0.05


def test_a_mirrored_copy_repeats_where_training_mirrors(digits):
    mirrored, few = digits[:32].flip(-1), digits[:200]
    assert not TrainingImages(made_samples(few)).find_repeats(mirrored)[1:].all()
    assert TrainingImages(made_samples(few, flip=True)).find_repeats(mirrored).all()


def test_copies_among_the_training_images_hide_nothing(digits):
    twice = made_samples(digits[:40].repeat(2, 1, 1, 1))
    assert TrainingImages(twice).find_repeats(digits[:40]).all()


@pytest.mark.parametrize("shape", [(1, 5, 3), (4, 9, 33)])
def test_few_and_odd_images(shape):
    images = torch.randint(0, 256, (3, *shape), dtype=torch.uint8, generator=torch.manual_seed(0))
    assert TrainingImages(made_samples(images)).find_repeats(images).all()
    assert not TrainingImages(made_samples(images[:1])).find_repeats(images).any()


def watch(samples, below=2000, takes_latents=True):
    return health.Health(
        SimpleNamespace(
            samples=samples,
            architecture=SimpleNamespace(takes_latents=takes_latents),
            options=SimpleNamespace(memorisation_below=below),
        )
    )


def test_a_warning_begins_and_ends_with_the_copies(digits):
    watched = watch(made_samples(digits[:200]))
    new, old = digits[200:264], digits[:64]
    steps = {500: new, 600: torch.cat([new[:58], old[:6]]), 700: torch.cat([new[:48], old[:16]])}
    steps |= {800: torch.cat([new[:54], old[:10]]), 900: new}
    shares = {step: watched.measure_memorised(images, step) for step, images in steps.items()}
    assert shares[500] <= 1 / 64 < 16 / 64 <= shares[700]
    changes = {
        step: [change.is_end for change in watched.check_memorised(share, step)]
        for step, share in shares.items()
    }
    assert changes == {500: [], 600: [], 700: [False], 800: [], 900: [True]}


def test_the_warning_says_what_to_do(digits):
    (begun,) = watch(made_samples(digits[:200])).check_memorised(0.25, 700)
    assert begun.as_row() == {
        "step": 700,
        "warning": "repeats",
        "message": "the model repeats training images at step 700: 25% of its samples lie much "
        "closer to one of them than to any other; train for fewer steps, with train.augment, or on "
        "more images",
    }


def test_what_need_not_be_watched_costs_nothing(digits, monkeypatch):
    monkeypatch.setattr(health, "TrainingImages", None)
    samples, new = made_samples(digits[:200]), digits[200:264]
    points = Samples(DataSpec(shape=(2,)), torch.zeros(9, 2))
    assert watch(samples).measure_memorised(new, 499) is None
    assert watch(samples, below=200).measure_memorised(new, 500) is None
    assert watch(samples, below=0).measure_memorised(new, 500) is None
    assert watch(samples, takes_latents=False).measure_memorised(new, 500) is None
    assert watch(points).measure_memorised(points.stored, 500) is None


OPTIONS = {**TINY, "steps": 8, "log_every": 3, "checkpoint_every": 3}
SETTINGS = {"arch.hidden": (8,), "data.image_size": 8}


def trained(out, observer=None, **options):
    return ganzoo.train(
        "mlp", out=out, settings=SETTINGS, observer=observer, **{**OPTIONS, **options}
    )


def memorised(run):
    lines = map(json.loads, (run.path / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if "samples/memorised" in line]


@pytest.fixture
def early(monkeypatch):
    monkeypatch.setattr(health, "EARLY_STEPS", 4)


def test_a_run_logs_it_with_its_pictures_and_a_resumed_one_the_same(tmp_path, early):
    run = trained(tmp_path / "run")
    assert memorised(run) == [{"step": step, "samples/memorised": 0.0} for step in (4, 6, 8)]
    with pytest.raises(Interrupted):
        trained(tmp_path / "again", Stopper(7))
    again = resume(tmp_path / "again", observer=Observer())

    def without_speed(run):
        lines = map(json.loads, (run.path / "metrics.jsonl").read_text().splitlines())
        return [{**line, "images_per_second": None} for line in lines]

    assert without_speed(again) == without_speed(run)
    history = read_history(run.path / "metrics.jsonl", run.config(), {})
    assert history.curves["Samples that repeat a training image"] == {
        "memorised": {4: 0.0, 6: 0.0, 8: 0.0}
    }
    progress = read_progress(run)
    assert (progress.step, progress.images) == (8, 64), "its lines do not hide how far a run is"
    assert progress.speed


def test_it_can_be_turned_off_and_changes_no_weight(tmp_path, early):
    on, off = (
        trained(tmp_path / str(below), steps=4, memorisation_below=below) for below in (2000, 0)
    )
    assert memorised(off) == []
    for file in on.model.glob("*.safetensors"):
        assert file.read_bytes() == (off.model / file.name).read_bytes()
    assert len(list(on.model.glob("*.safetensors"))) == 2
