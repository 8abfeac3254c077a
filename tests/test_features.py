"""Looking once: what is kept of reals, when it is used, and when it is not."""

from __future__ import annotations

import dataclasses
import statistics
import subprocess
import sys

import numpy as np
import pytest
import torch

import ganzoo
from ganzoo import Samples
from ganzoo.api import evaluation
from ganzoo.api.evaluation import evaluate
from ganzoo.compute import memory
from ganzoo.errors import InputError
from ganzoo.evaluation import features
from ganzoo.evaluation.features import Extractors
from ganzoo.progress import send_progress_to
from ganzoo.protocols.evaluator import Evaluator, Score
from ganzoo.runs.scores import read_logged_scores
from ganzoo.storage.cache import cache_folder
from ganzoo.storage.mapped_array import MappedArray

CODE = """
import torch
from pathlib import Path
from ganzoo import FeatureExtractor, Features, LoadedExtractor

looked = []
factor = 1.0

class Mean(FeatureExtractor):
    '''Takes means.'''
    def load(self, weights, device):
        def extract(batch):
            looked.append(len(batch))
            return Features(factor * batch.float().flatten(1)[:, :6])
        sha = "ab" * 32 if weights is None else weights.read_text()
        return LoadedExtractor(extract, 1, sha, published=weights is None, batch_size=32)
"""


@pytest.fixture
def extractor(plugin):
    """Install an extractor that counts what it looks at, and give its module."""
    plugin("ganzoo-means", CODE, {"ganzoo.feature_extractors": {"means": "ganzoo_means:Mean"}})
    import ganzoo_means

    return ganzoo_means


def reals(count=100, **options):
    samples = ganzoo.open_dataset("digits", image_size=8, **options)
    return samples.subset(torch.arange(count))


def look(samples, weights=None, keep=True):
    extractors = Extractors("means", weights, samples.spec, torch.device("cpu"))
    return extractors.prepare_set(samples, "means", "reals", keep=keep).features.pooled


def test_reals_are_looked_at_once_and_then_at_a_few_of_them(extractor):
    first = look(reals())
    assert sum(extractor.looked) == 100
    extractor.looked.clear()
    assert torch.equal(look(reals()), first)
    assert sum(extractor.looked) == 4


def test_reals_are_read_from_the_disk_a_batch_at_a_time(extractor, tmp_path):
    samples = reals()
    np.save(tmp_path / "images.npy", samples.stored.numpy())
    rows = MappedArray(tmp_path / "images.npy")
    streamed = dataclasses.replace(samples, stored=rows.tensor, streamed=True, mapped_array=rows)
    assert torch.equal(look(streamed, keep=False), look(samples, keep=False))
    assert extractor.looked == [32, 32, 32, 4] * 2


def test_what_would_not_fit_into_memory_is_refused_at_the_first_batch(extractor, monkeypatch):
    samples = reals()
    monkeypatch.setenv(memory.VARIABLE, str(2399 / memory.GIB))
    with pytest.raises(InputError, match=r"^the means features of 100 reals would take"):
        look(samples)
    assert extractor.looked == [32]
    monkeypatch.setenv(memory.VARIABLE, str(2401 / memory.GIB))
    assert len(look(samples)) == 100


def test_fakes_are_never_kept(extractor):
    for _ in range(2):
        look(reals(), keep=False)
    assert sum(extractor.looked) == 200
    assert not (cache_folder() / "features").exists()


def one_pixel(samples):
    stored = samples.stored.clone()
    # Far from the samples that are looked at again, and from the first pixels.
    stored[50, 0, 7, 7] ^= 1
    return dataclasses.replace(samples, stored=stored)


@pytest.mark.parametrize(
    "change",
    [
        one_pixel,
        lambda samples: samples.subset(torch.arange(99)),
        lambda samples: samples.subset(torch.arange(100).flip(0)),
        lambda samples: Samples(
            samples.spec.model_copy(update={"shape": (1, 4, 16)}), samples.stored.view(-1, 1, 4, 16)
        ),
    ],
    ids=["a pixel", "the count", "the order", "the size"],
)
def test_what_was_kept_is_not_used_for_other_data(extractor, change):
    look(reals())
    extractor.looked.clear()
    other = change(reals())
    assert torch.equal(look(other), other.stored.float().flatten(1)[:, :6])
    assert sum(extractor.looked) == len(other)


def test_what_was_kept_is_not_used_for_other_weights(extractor, tmp_path):
    look(reals())
    for text in ("cd" * 32, "ef" * 32):
        (tmp_path / "weights").write_text(text)
        extractor.looked.clear()
        look(reals(), tmp_path / "weights")
        assert sum(extractor.looked) == 100


def test_what_was_kept_is_not_used_when_the_extractor_s_code_has_changed(extractor):
    look(reals())
    extractor.factor = 2.0
    assert torch.equal(look(reals()), 2 * reals().stored.float().flatten(1)[:, :6])
    extractor.looked.clear()
    look(reals())
    assert sum(extractor.looked) == 4, "and what is made anew is kept"


def test_what_was_kept_is_not_used_for_another_version(extractor, monkeypatch):

    look(reals())
    extractor.looked.clear()
    monkeypatch.setattr(features, "versions", lambda: {"torch": "another"})
    look(reals())
    assert sum(extractor.looked) == 100


def test_a_damaged_entry_is_made_anew(extractor):
    first = look(reals())
    (file,) = (cache_folder() / "features").glob("*/tensors.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert torch.equal(look(reals()), first)


EVALUATE = """
import sys
import ganzoo
rows = ganzoo.evaluate(None, ["fid"], data="digits", floor=True, samples=200)
print(rows[0].value)
"""


def test_processes_that_judge_at_once_find_the_same():
    command = [sys.executable, "-c", EVALUATE]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    found = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], found
    assert len({out for out, _ in found}) == 1
    entries = [path for path in (cache_folder() / "features").iterdir() if path.is_dir()]
    assert len(entries) == 1


def test_how_far_it_is_is_reported(extractor):
    seen = []
    with send_progress_to(lambda *told: seen.append(told)):
        look(reals())
    assert seen == [("means: reals", done, 100) for done in (32, 64, 96, 100)]


class Brightness(Evaluator):
    """Says how bright fakes are, and how dark."""

    higher_is_better = True

    def evaluate(self, fake, real):
        level = float(fake.samples.stored.float().mean())
        return [Score(level, name="light"), Score(-level, name="dark", higher_is_better=False)]


def test_several_seeds_give_mean_and_deviation(tiny_run, monkeypatch):

    judges = {"brightness": Brightness()}
    monkeypatch.setattr(evaluation, "choose_metrics", lambda *given, **named: judges)
    alone = [evaluate(tiny_run, samples=20, seed=seed)[0] for seed in (5, 6, 7)]
    light, dark = evaluate(tiny_run, samples=20, seed=5, repeats=3)
    values = [row.value for row in alone]
    assert len(set(values)) == 3
    assert light.value == pytest.approx(statistics.fmean(values))
    assert light.std == pytest.approx(statistics.stdev(values))
    assert (light.seed, light.repeats) == (5, 3)
    assert light.protocol() == alone[0].protocol(), "they compare"
    assert (light.higher_is_better, dark.higher_is_better) == (True, False)
    assert read_logged_scores(tiny_run.score_log)[-2:] == [light, dark]


def test_repeats_look_at_the_reals_once(tiny_run, extractor):
    evaluate(tiny_run, ["fid"], samples=50, real_samples=100, features="means", repeats=3)
    assert sum(extractor.looked) == 100 + 3 * 50


def test_options_of_a_metric_are_set_and_recorded(tiny_run, ganzoo_cli):
    result = ganzoo_cli(
        "eval", tiny_run.path, "--metric", "is", "--samples", 20, "--set", "metric.is.splits=2"
    )
    assert result.code == 0, result
    row = read_logged_scores(tiny_run.score_log)[-1]
    assert row.options == {"splits": 2}
    (plain,) = evaluate(tiny_run, ["is"], samples=20)
    assert plain.options == {"splits": 10}
    assert plain.protocol() != row.protocol()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"metrics": ["is"], "metric_options": {"is": {"split": 2}}}, "did you mean 'splits'"),
        ({"metrics": ["fid"], "metric_options": {"is": {"splits": 2}}}, "option of metric 'is'"),
        ({"metric_options": {"memorisation": {}}}, "option of metric 'memorisation'"),
        ({"metric_options": {"is": {"splits": 0}}}, "metric.is.splits"),
        ({"repeats": 0}, "--repeats"),
        ({"repeats": 2, "floor": True}, "--floor"),
    ],
)
def test_what_does_not_go_together_is_refused(tiny_run, given, message):
    with pytest.raises(InputError, match=message):
        evaluate(tiny_run, **{"samples": 50, **given})


@pytest.mark.parametrize("setting", ["metric.is=2", "metric=2", "train.steps=1", "data.=2"])
def test_what_cannot_be_set_is_refused(tiny_run, refused, setting):
    assert "only data.OPTION and metric.NAME.OPTION" in refused(
        "eval", tiny_run.path, "--set", setting
    )


def test_what_cannot_look_through_an_extractor_is_passed_over_unless_named(tiny_run, extractor):
    rows = evaluate(tiny_run, samples=50, real_samples=100, features="means")
    found = {row.family for row in rows}
    assert "fid" in found
    assert not found & {"is", "modes", "reverse-kl"}, "means is no classifier"
    with pytest.raises(InputError, match="metric 'is': needs a classifier, and means is not one"):
        evaluate(tiny_run, ["is"], samples=50, features="means")


def test_what_follows_from_the_reals_is_computed_once(tiny_run, monkeypatch):
    import ganzoo_zoo.metrics.fidelity.frechet
    import ganzoo_zoo.metrics.neighbours.distances

    counts = []
    for module, name in (
        (ganzoo_zoo.metrics.fidelity.frechet, "statistics"),
        (ganzoo_zoo.metrics.neighbours.distances, "neighbour_distances"),
    ):
        found = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *given, f=found, n=name: counts.append(n) or f(*given)
        )
    metrics = ["fid", "density-coverage", "memorisation"]
    rows = evaluate(tiny_run, metrics, samples=60, real_samples=90, repeats=3)
    assert counts.count("statistics") == 1 + 3
    assert counts.count("neighbour_distances") == 2, "to the fifth and to the first"
    alone = [evaluate(tiny_run, metrics, samples=60, real_samples=90, seed=i) for i in range(3)]
    for row, same in zip(rows, zip(*alone, strict=True), strict=True):
        assert row.value == pytest.approx(statistics.fmean(each.value for each in same))
