"""Judging: against torch-fidelity itself, against numpy, and without side effects."""

import json

import numpy as np
import pytest
import torch
import torch_fidelity
from torch import nn

import ganzoo
from ganzoo import Features, LoadedExtractor, SampleSet, open_dataset, registry
from ganzoo.api.evaluation import evaluate
from ganzoo.errors import GanzooError, InputError
from ganzoo.media.images import save_png, to_float, to_uint8
from ganzoo.protocols.dataset import DataSpec, Samples
from ganzoo_zoo.metrics.fidelity import FID, InceptionScore
from ganzoo_zoo.metrics.modes import Modes
from tiny import TINY


class TinyNetwork(torch_fidelity.FeatureExtractorBase):
    """A fixed random network in torch-fidelity's own form."""

    def __init__(self, name, features_list, **kwargs):
        super().__init__(name, features_list)
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.body = nn.Sequential(
                nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten()
            )
            self.head = nn.Linear(72, 10)
        self.eval().requires_grad_(False)

    @staticmethod
    def get_provided_features_list():
        return "pooled", "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return {"isc": "logits", "fid": "pooled"}[metric]

    @staticmethod
    def can_be_compiled():
        return False

    @staticmethod
    def get_dummy_input_for_compile():
        return torch.zeros(1, 3, 8, 8, dtype=torch.uint8)

    def forward(self, images):
        pooled = self.body(to_float(images))
        named = {"pooled": pooled, "logits": 4 * self.head(pooled)}
        return tuple(named[name] for name in self.features_list)


class Listed(torch.utils.data.Dataset):
    """Images as torch-fidelity takes them: one uint8 ``(3, H, W)`` tensor at a time."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]


def by_torch_fidelity(fakes, reals, **options):
    """Judge by torch-fidelity's own loop, with no cache, no GPU and no workers."""
    return torch_fidelity.calculate_metrics(
        input1=Listed(fakes),
        input2=Listed(reals),
        fid=True,
        isc=True,
        cuda=False,
        cache=False,
        verbose=False,
        save_cpu_ram=True,
        batch_size=50,
        **options,
    )


def some_images(count, seed, channels=3, side=12):
    rng = torch.Generator().manual_seed(seed)
    level = torch.randint(0, 3 + seed, (count, channels, 1, 1), generator=rng) * 30
    noise = torch.randint(0, 60, (count, channels, side, side), generator=rng)
    return (level + noise).byte()


def looked(images, network=None):
    network = network or TinyNetwork("tiny", ["pooled", "logits"])
    spec = DataSpec(shape=tuple(images.shape[1:]))
    return SampleSet(Samples(spec, images), lambda s: Features(*network(s.stored)))


@pytest.fixture(scope="module")
def fakes():
    return some_images(300, seed=1)


@pytest.fixture(scope="module")
def reals():
    return some_images(350, seed=2)


def test_equal_to_torch_fidelity(fakes, reals):
    torch_fidelity.register_feature_extractor("ganzoo-tiny", TinyNetwork)
    theirs = by_torch_fidelity(fakes, reals, feature_extractor="ganzoo-tiny")
    (fid,) = FID().evaluate(looked(fakes), looked(reals))
    (score,) = InceptionScore().evaluate(looked(fakes), looked(reals))
    assert fid.value == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)
    assert score.value == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert score.std == pytest.approx(theirs["inception_score_std"], rel=1e-4)


def independent_fid(one, other):
    """Heusel et al. 2017, equation 6, by symmetric square roots in 64 bits."""
    one, other = (features.double().numpy() for features in (one, other))
    covariances = [np.cov(features, rowvar=False) for features in (one, other)]
    values, vectors = np.linalg.eigh(covariances[0])
    root = vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)).sum()
    apart = ((one.mean(0) - other.mean(0)) ** 2).sum()
    return apart + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * cross


def test_fid_agrees_with_numpy(fakes, reals):
    one, other = looked(fakes), looked(reals)
    (fid,) = FID().evaluate(one, other)
    expected = independent_fid(one.features.pooled, other.features.pooled)
    assert expected > 0.01
    assert fid.value == pytest.approx(expected, rel=1e-3)


def test_fid_of_equal_sets_is_zero_within_rounding(reals):
    scale = looked(reals).features.pooled.var(0).sum().item()
    (fid,) = FID().evaluate(looked(reals), looked(reals))
    assert abs(fid.value) < 1e-5 * scale


def test_inception_score_of_known_predictions():
    """One sure class a sample, all classes alike often: the score is the number of classes."""
    logits = 100 * torch.eye(10).repeat(50, 1)
    sure = SampleSet(Samples(DataSpec(shape=(1,)), torch.zeros(500, 1)), lambda s: None)
    sure.__dict__["features"] = Features(torch.zeros(500, 1), logits)
    (score,) = InceptionScore(splits=1).evaluate(sure, sure)
    assert score.value == pytest.approx(10.0, rel=1e-5)


def test_standard_inception_equals_torch_fidelity(tiny_run, inception_weights):
    count = 12
    model = ganzoo.load(tiny_run)
    fakes = to_uint8(model.sample(count, seed=4))
    order = torch.randperm(1797, generator=ganzoo.compute.seeding.make_rng(0, "reals"))
    reals = open_dataset("digits", image_size=16).subset(order[:count]).stored
    theirs = by_torch_fidelity(
        fakes.expand(-1, 3, -1, -1),
        reals.expand(-1, 3, -1, -1),
        feature_extractor_weights_path=str(inception_weights),
    )
    rows = evaluate(
        model,
        ["fid", "is"],
        samples=count,
        real_samples=count,
        seed=4,
        features="inception-v3-compat",
        features_weights=inception_weights,
    )
    fid, score = rows
    assert fid.value == pytest.approx(theirs["frechet_inception_distance"], rel=1e-3, abs=1e-5)
    assert score.value == pytest.approx(theirs["inception_score_mean"], rel=1e-4)
    digest = fid.features["sha256"]
    assert digest == ganzoo.storage.files.sha256(inception_weights)
    assert fid.metric == f"fid[inception-v3-compat@{digest[:8]}]", "not the published weights"


def test_only_published_standard_weights_give_the_bare_name(tiny_run, monkeypatch):
    from ganzoo_zoo.metrics.fidelity import InceptionV3

    def load(self, weights, device):
        return LoadedExtractor(
            lambda batch: Features(batch.float().mean((2, 3)).repeat(1, 2)), 3, "ab" * 32
        )

    monkeypatch.setattr(InceptionV3, "load", load)
    (row,) = evaluate(tiny_run, ["fid"], samples=50, features="inception-v3-compat")
    assert row.metric == "fid"
    (row,) = evaluate(tiny_run, ["fid"], samples=50)
    assert row.metric == "fid[digits-cnn]"
    with pytest.raises(InputError, match="needs a classifier"):
        evaluate(tiny_run, ["is"], samples=50, features="inception-v3-compat")


@pytest.fixture
def counted(monkeypatch):
    """Count the images that pass through the digits classifier."""
    from ganzoo_zoo.metrics.classifiers import DigitsCNN

    seen = []
    load = DigitsCNN.load

    def counting(self, weights, device):
        found = load(self, weights, device)

        def extract(batch):
            seen.append(batch)
            return found.extract(batch)

        return LoadedExtractor(extract, 1, found.weights_sha256)

    monkeypatch.setattr(DigitsCNN, "load", counting)
    return seen


def test_one_pass_serves_several_metrics(tiny_run, counted):
    evaluate(tiny_run, ["fid", "is"], samples=100, real_samples=150)
    assert sum(len(batch) for batch in counted) == 250


def test_reals_are_not_looked_at_where_no_metric_does(tiny_run, counted):
    evaluate(tiny_run, ["is"], samples=100)
    assert sum(len(batch) for batch in counted) == 100


def test_fakes_are_judged_as_a_viewer_would_see_them(tiny_run, counted, tmp_path):
    from PIL import Image

    from ganzoo.models.sample_files import write_samples

    evaluate(tiny_run, ["is"], samples=12, seed=7)
    files = write_samples(ganzoo.load(tiny_run), tmp_path / "single", 12, seed=7)
    seen = torch.stack([torch.from_numpy(np.array(Image.open(file))) for file in files])
    assert torch.equal(counted[0][:, 0], seen)


@pytest.mark.parametrize("channels", [1, 3])
def test_greyscale_is_repeated_where_colour_is_taken(channels):
    from ganzoo.evaluation.features import _match_channels

    loaded = LoadedExtractor(lambda batch: None, 3, "")
    images = some_images(4, 0, channels)
    given = _match_channels(images, loaded, "any")
    assert given.shape == (4, 3, 12, 12)
    for channel in range(3):
        assert torch.equal(given[:, channel], images[:, channel if channels == 3 else 0])


def test_other_channel_counts_are_refused():
    from ganzoo.evaluation.features import _match_channels

    with pytest.raises(InputError, match="3 channels"):
        _match_channels(some_images(4, 0, 4), LoadedExtractor(lambda batch: None, 3, ""), "any")


def test_a_generator_of_nans_has_no_score(tiny_run):
    model = ganzoo.load(tiny_run)
    with torch.no_grad():
        next(model.generator.parameters()).fill_(float("nan"))
    with pytest.raises(GanzooError, match="not finite"):
        evaluate(model, ["fid"], samples=50)


def test_judging_leaves_randomness_and_modes_alone(tiny_run):
    model = ganzoo.load(tiny_run)
    model.generator.train()
    before = torch.get_rng_state()
    weights = {name: value.clone() for name, value in model.generator.state_dict().items()}
    evaluate(model, samples=50)
    assert torch.equal(before, torch.get_rng_state())
    assert all(module.training for module in model.generator.modules())
    for name, value in model.generator.state_dict().items():
        assert torch.equal(value, weights[name])


def test_rows_are_comparable_but_for_value_and_seed(tiny_run):
    (one,) = evaluate(tiny_run, ["fid"], samples=200, real_samples=300, seed=0)
    (same,) = evaluate(tiny_run, ["fid"], samples=200, real_samples=300, seed=0)
    (other,) = evaluate(tiny_run, ["fid"], samples=200, real_samples=300, seed=1)
    (floor,) = evaluate(
        None,
        ["fid"],
        data="digits",
        data_options={"image_size": 16},
        floor=True,
        samples=200,
        real_samples=300,
    )
    assert one == same
    assert one.value != other.value
    assert floor.value < one.value, "an untrained net is worse than real digits"
    apart = {"value", "std", "seed", "step"}
    for row in (other, floor):
        assert row.model_dump(exclude=apart) == one.model_dump(exclude=apart)


def test_the_floor_shares_no_sample_between_its_halves(counted):
    evaluate(None, ["fid"], data="digits", floor=True)
    assert sum(len(batch) for batch in counted) == 1797
    seen = torch.cat(counted).flatten(1)
    whole = open_dataset("digits").stored.flatten(1)
    assert torch.equal(
        torch.unique(seen, dim=0, return_counts=True)[1],
        torch.unique(whole, dim=0, return_counts=True)[1],
    )


def test_the_floor_of_a_model_is_that_of_its_data(tiny_run):
    (named,) = evaluate(
        None, ["fid"], data="digits", data_options={"image_size": 16}, floor=True, samples=99
    )
    assert evaluate(tiny_run, ["fid"], floor=True, samples=99) == [named]
    (other,) = evaluate(tiny_run, ["fid"], data="digits", floor=True, samples=99)
    assert other == named, "at the model's size"


def test_few_samples_are_said(tiny_run):
    (row,) = evaluate(tiny_run, ["fid"], samples=100)
    assert row.note == "100 samples are few for 64 features"
    (row,) = evaluate(tiny_run, ["fid"], samples=200)
    assert row.note is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 1, "metrics": ["fid"]}, "at least 2 samples"),
        ({"samples": 9, "metrics": ["is"]}, "at least 10 samples"),
        ({"real_samples": 1798}, "there are 1797 real samples, and 1798 are needed"),
        ({"metrics": ["fid"], "data": "ring", "floor": True}, "cannot judge"),
        ({"data": "ring"}, "choose other --data"),
        ({"features": "digits-cnn", "data": "ring", "floor": True}, "no feature extractor"),
    ],
)
def test_what_cannot_be_judged(tiny_run, arguments, message):
    with pytest.raises(InputError, match=message):
        evaluate(tiny_run, **arguments)


def points(*xy):
    return Samples(DataSpec(shape=(2,)), torch.tensor(xy, dtype=torch.float32))


def test_modes_are_counted_as_veegan_counts():
    spec = DataSpec(shape=(2,), modes=((0, 0), (10, 0), (1000, 1000)), mode_std=0.1)
    reals = SampleSet(Samples(spec, torch.zeros(1, 2)), lambda s: None)
    fake = points((0, 0.29), (0.1, 0), (0, -0.31), (10.2, 0.1), (5, 5), (1000, 1000.301))
    modes, quality = Modes().evaluate(SampleSet(fake, lambda s: None), reals)
    assert (modes.name, modes.value) == ("modes", 2)
    assert (quality.name, quality.value) == ("high-quality", pytest.approx(3 / 6))


def test_modes_by_the_command_line_of_a_ring(tmp_path, ganzoo_cli):
    settings = {"arch.hidden": (8,), "data.samples": 500}
    ganzoo.train("mlp", data="ring", out=tmp_path / "run", settings=settings, steps=1, device="cpu")
    result = ganzoo_cli("eval", tmp_path / "run", "--json", "--samples", 100)
    assert result.code == 0, result
    rows = json.loads(result.out)["scores"]
    assert [row["metric"] for row in rows] == ["modes", "high-quality"]
    assert rows[0]["features"] is None
    assert rows[0]["note"] == "of 8"
    floor = evaluate(None, data="ring", floor=True)
    assert floor[0].value == 8
    assert floor[1].value == pytest.approx(0.989, abs=0.003)


# Few samples ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A finished run on four images."""
    folder = tmp_path_factory.mktemp("few")
    (folder / "images").mkdir()
    for number, image in enumerate(some_images(4, seed=1, channels=1)):
        save_png(image, folder / "images" / f"{number}.png", {})
    (folder / "images" / "torn.png").write_text("no image")
    options = {**TINY, "batch_size": 4, "steps": 1}
    settings = {"arch.hidden": (8,)}
    return ganzoo.train(
        "mlp", data=folder / "images", out=folder / "run", settings=settings, **options
    )


def test_metrics_that_need_more_samples_are_left_out_and_named(few, ganzoo_cli):
    result = ganzoo_cli("eval", few.path, "--features", "digits-cnn", "--json")
    assert result.code == 0, result
    metrics = [row["metric"] for row in json.loads(result.out)["scores"]]
    assert "fid[digits-cnn]" in metrics
    assert "kid[digits-cnn]" in metrics
    assert not [metric for metric in metrics if metric.startswith(("density", "is["))]
    warnings = [line for line in result.err.splitlines() if line.startswith("warning: ")]
    assert warnings == [
        "warning: 1 of 5 images cannot be read",
        "warning: skipped torn.png: it is not an image of a known format",
        "warning: left out metric 'density-coverage': needs more than 5 reals and a fake, not 4 "
        "and 4",
        "warning: left out metric 'is': needs at least 10 samples, one for each split",
    ]


def test_from_python_what_is_left_out_is_a_warning_at_the_call(few):
    with pytest.warns(ganzoo.GanzooWarning) as warned:
        rows = evaluate(few, features="digits-cnn", repeats=2)
    assert {row.repeats for row in rows} == {2}
    assert {warning.filename for warning in warned} == {__file__}
    assert any("left out metric 'is'" in str(warning.message) for warning in warned)


def test_a_metric_that_is_named_is_refused(few, refused):
    command = ["eval", few.path, "--features", "digits-cnn", "--metric"]
    assert refused(*command, "is", code=2) == (
        "Error: metric 'is': needs at least 10 samples, one for each split"
    )


def test_if_no_metric_can_be_computed_the_reasons_are_given(few, monkeypatch):
    def refuse(self, fake, real):
        raise InputError("needs more samples")

    for entry in registry.entries(registry.EVALUATOR):
        monkeypatch.setattr(entry.load(), "evaluate", refuse)
    with pytest.raises(InputError, match=r"no metric can be computed: metric '.*': needs more s"):
        evaluate(few, features="digits-cnn")


def test_a_metric_that_fails_for_one_seed_has_no_score(few, monkeypatch):
    calls = []
    judge = FID.evaluate

    def fail_second(self, fake, real):
        calls.append(1)
        if len(calls) == 2:
            raise InputError("needs other samples")
        return judge(self, fake, real)

    monkeypatch.setattr(FID, "evaluate", fail_second)
    said = []
    rows = evaluate(few, features="digits-cnn", repeats=3, warn=said.append)
    assert "left out metric 'fid': needs other samples" in said
    assert {row.repeats for row in rows} == {3}
    assert not [row for row in rows if row.metric.startswith("fid")]
    assert [row for row in rows if row.metric.startswith("kid")]


def test_a_model_of_points_is_judged_by_modes(tmp_path, refused):
    ganzoo.train("mlp", data="ring", out=tmp_path / "run", **TINY)
    message = "metric 'fid' cannot judge samples of 2 here; those that can: modes"
    assert refused("eval", "run", "--metric", "fid") == f"Error: {message}"
