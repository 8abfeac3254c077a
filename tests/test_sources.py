"""Samples that are made from sources: pairs, and sources made of the samples themselves."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo import DataSpec, Samples, registry
from ganzoo.config import TrainOptions
from ganzoo.distributed import Processes
from ganzoo.errors import InputError, Interrupted
from ganzoo.evaluation.metrics import choose_metrics
from ganzoo.media.images import load_png, match_images, to_float, to_uint8
from ganzoo.protocols.loss import Loss
from ganzoo.runs.folder import Run
from ganzoo.storage.json_files import to_json
from ganzoo.testing import architecture_checks, dataset_checks
from ganzoo.training.assembly import assemble_trainer
from ganzoo.training.batch_order import BatchOrder
from ganzoo.training.batches import BatchLoader
from ganzoo.training.inputs import draw_picture_inputs
from ganzoo.training.warm_start import StartingWeights
from tiny import TINY, Stopper

PACKAGE = Path(__file__).parent / "downstream" / "ganzoo-pairs"
CPU = torch.device("cpu")
SMALL = {"arch.width": 4}


@pytest.fixture(autouse=True)
def _pairs(plugin):
    """Install the package of another person."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    site = plugin(project["name"], "", project["entry-points"], project["version"])
    (site / "ganzoo_pairs.py").unlink()
    (site / "ganzoo_pairs").symlink_to(PACKAGE / "ganzoo_pairs")


def architecture(name, **options):
    return registry.get(registry.ARCHITECTURE, name)(width=4, **options)


def outlines(**more):
    return replace(registry.get(registry.DATASET, "outlines")(count=20).read(), **more)


def train(name="paired-translation", data="outlines", **more):
    settings = {**SMALL, **more.pop("settings", {})}
    return ganzoo.train(name, data=data, settings=settings, **{**TINY, **more})


def trainer_of(name, samples, **options):
    loss = registry.get(registry.LOSS, "non-saturating")()
    given = {"steps": 4, "batch_size": 4, "device": "cpu", **options}
    kind = name if not isinstance(name, str) else architecture(name)
    return assemble_trainer(kind, loss, samples, TrainOptions(**given))


# The plugin


@pytest.mark.parametrize("check", architecture_checks, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", ["paired-translation", "upscaling"])
def test_the_plugins_pass_the_kit(name, check):
    check(architecture(name))


@pytest.mark.parametrize("check", dataset_checks, ids=lambda check: check.__name__)
def test_the_pairs_pass_the_kit(check):
    check(registry.get(registry.DATASET, "outlines")(count=6))


def test_the_page_on_sources_shows_these_plugins():
    page = (PACKAGE.parents[2] / "docs" / "plugins" / "sources.md").read_text()
    shown = re.findall(r"```(?:toml|python)\n(.*?)```", page, re.DOTALL)
    files = (
        "pyproject.toml",
        *(f"ganzoo_pairs/{name}.py" for name in ("__init__", "data", "upscaling")),
    )
    assert shown == [(PACKAGE / file).read_text() for file in files]


def test_each_plugin_is_short():
    for file in (PACKAGE / "ganzoo_pairs").glob("*.py"):
        assert len(file.read_text().splitlines()) <= 60, file


# Data


def test_data_without_sources_have_the_files_they_had():
    spec = DataSpec(shape=(3, 8, 8))
    assert "source" not in to_json(spec.model_dump(mode="json"))
    paired = DataSpec(shape=(3, 8, 8), source=(1, 4, 4))
    assert paired.model_dump(mode="json")["source"] == [1, 4, 4]
    assert DataSpec.model_validate(paired.model_dump(mode="json")) == paired


def test_sources_go_with_their_samples():
    samples = outlines()
    chosen = samples.subset(torch.tensor([7, 3]))
    assert torch.equal(chosen.sources, samples.sources[[7, 3]])
    assert torch.equal(chosen.sources_of(torch.tensor([1])), to_float(samples.sources[[3]]))
    assert samples.to("cpu").sources is not None
    others = replace(samples, sources=samples.sources.flip(0))
    assert samples.fingerprint != others.fingerprint
    assert samples.fingerprint == outlines().fingerprint
    assert samples.fingerprint != replace(samples, sources=None).fingerprint


@pytest.mark.parametrize(
    ("sources", "wrong"),
    [
        (torch.zeros(20, 1, 16, 16), "torch.uint8"),
        (torch.zeros(20, 3, 16, 16, dtype=torch.uint8), r"sources of \(1, 16, 16\)"),
        (torch.zeros(19, 1, 16, 16, dtype=torch.uint8), "20 samples and 19 sources"),
    ],
)
def test_sources_must_fit_their_samples(sources, wrong):
    with pytest.raises(InputError, match=wrong):
        outlines(sources=sources)
    samples = outlines()
    with pytest.raises(InputError, match="tell their shape"):
        replace(samples, spec=DataSpec(shape=(3, 16, 16)))


@pytest.mark.parametrize("flip", [False, True])
def test_batches_hold_each_sample_with_its_source(flip):
    # Each sample is its source in red, so that whatever happens to one happens to the other.
    sources = torch.randint(0, 256, (20, 1, 16, 16), dtype=torch.uint8)
    samples = outlines(stored=sources.expand(-1, 3, -1, -1).contiguous(), sources=sources)
    samples = replace(samples, flip=flip)
    feeds = [
        BatchLoader(each, CPU, seed=1, with_sources=True)
        for each in (samples, replace(samples, streamed=True))
    ]
    order = BatchOrder(20, 8, seed=1)
    for number in (0, 1, 2):
        found = [feed.batch(number, order) for feed in feeds]
        assert torch.equal(found[0].sources, found[1].sources)
        assert torch.equal(found[0].real[:, :1], found[0].sources)
    mirrored = not torch.equal(found[0].real, to_float(samples.stored[order(2)]))
    assert mirrored == flip
    assert BatchLoader(samples, CPU, seed=1).batch(0, order).sources is None


class OneOfTwo(Processes):
    """One of two processes, which take turns through a batch."""

    world = 2

    def __init__(self, rank):
        self.rank = rank

    def take_share(self, whole):
        return whole[self.rank :: 2]


def test_processes_share_batches_with_their_sources():
    samples, order = outlines(flip=True), BatchOrder(20, 8, seed=1)
    whole = BatchLoader(samples, CPU, seed=1, with_sources=True).batch(1, order)
    for rank in (0, 1):
        team = OneOfTwo(rank)
        part = BatchLoader(samples, CPU, seed=1, with_sources=True, team=team).batch(1, order)
        assert torch.equal(part.real, whole.real[rank::2])
        assert torch.equal(part.sources, whole.sources[rank::2])


# Training


class Watching(Loss):
    """Keeps what the discriminator was asked."""

    seen: ClassVar[list] = []

    def discriminator_loss(self, D, real, fake):
        self.seen.append((D.source, D.inputs.given, real))
        return {"real": -D(real).mean(), "both": D(torch.cat([real, fake])).mean()}

    def generator_loss(self, D, real, fake):
        self.seen.append((D.source, D.inputs.given, real))
        return {"fake": -D(fake).mean()}


def stored(images):
    return [bytes(each.numpy()) for each in to_uint8(images).contiguous()]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_fakes_are_made_from_the_sources_of_the_reals(accumulate):
    samples = outlines()
    options = TrainOptions(steps=2, batch_size=4, device="cpu", n_critic=2, accumulate=accumulate)
    Watching.seen.clear()
    assemble_trainer(architecture("paired-translation"), Watching(), samples, options).step()
    assert len(Watching.seen) == 3 * accumulate
    whole = torch.arange(len(samples))
    pairs = set(zip(stored(samples.sources_of(whole)), stored(samples.batch(whole)), strict=True))
    for source, given, real in Watching.seen:
        assert torch.equal(source, given)
        assert len(source) == 4 // accumulate
        assert set(zip(stored(given), stored(real), strict=True)) <= pairs


def test_sources_are_made_anew_for_each_step_and_alike_for_each_picture():
    kind = registry.get(registry.ARCHITECTURE, "upscaling")

    class Holes(kind):
        """Fills holes at random places."""

        def make_source(self, samples):
            if samples.dim() != 4:
                raise InputError("only images have holes")
            kept = torch.rand(len(samples), 1, *samples.shape[2:], device=samples.device) < 0.5
            return torch.nn.functional.avg_pool2d(samples * kept, 2)

    trainer = trainer_of(Holes(width=4), outlines(sources=None))
    assert trainer.setup.data.source == (3, 8, 8)
    before = torch.get_rng_state()
    first, again = (draw_picture_inputs(trainer.setup, trainer.loader) for _ in range(2))
    assert torch.equal(first.given, again.given)
    assert torch.equal(before, torch.get_rng_state())
    assert first.given.any()
    seen = []
    for each in (trainer, trainer_of(Holes(width=4), outlines(sources=None))):
        each.state.generator.register_forward_hook(lambda *told: seen.append(told[1][0]))
        each.step()
    assert not torch.equal(*seen[:2]), "the generator's turn has holes of its own"
    assert torch.equal(seen[0], seen[2])


def test_data_with_sources_serve_other_architectures_without(tmp_path):
    settings = {"arch.base_channels": 4, "arch.z_dim": 4}
    run = ganzoo.train("dcgan", data="outlines", settings=settings, out=tmp_path / "run", **TINY)
    assert "source" not in json.loads((run.model / "config.json").read_text())["spec"]


@pytest.mark.parametrize("name", ["paired-translation", "upscaling"])
def test_a_run_goes_on_to_the_same_bytes(tmp_path, name):
    whole = train(name, out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(name, out=tmp_path / "halves", observer=Stopper(3))
    again = ganzoo.resume(tmp_path / "halves")
    for file in ("model.safetensors", "discriminator.safetensors", "config.json"):
        assert (whole.model / file).read_bytes() == (again.model / file).read_bytes(), file
    assert json.loads((whole.model / "config.json").read_text())["spec"]["source"]
    picture, texts = load_png(whole.samples / "00000004.png")
    assert texts["ganzoo:layout"] == "8 x 8", "rows of sources above rows of results"
    assert picture.shape[0] == 3


@pytest.mark.parametrize("name", ["paired-translation", "upscaling"])
def test_a_run_starts_from_a_model_of_the_same_sources(tmp_path, name):
    run = train(name, out=tmp_path / "first")
    more = {**TINY, "settings": SMALL, "init": run.path}
    again = ganzoo.train(data="outlines", out=tmp_path / "second", **more)
    assert (again.model / "model.safetensors").is_file()
    weights = StartingWeights.load(run)
    config = again.config()
    weights.require_fit(config, outlines().spec)
    other = DataSpec(shape=(3, 16, 16), source=(3, 16, 16))
    if name == "upscaling":  # it makes its sources itself
        weights.require_fit(config, other)
    else:
        with pytest.raises(InputError, match="sources: 1 x 16 x 16 -> 3 x 16 x 16"):
            weights.require_fit(config, other)


# Refusals


def test_what_cannot_be_made_is_refused_before_the_first_step(refused, tmp_path):
    few = ["--steps", "1", "--batch-size", "4", "--device", "cpu", "--out", tmp_path / "run"]
    said = refused("train", "paired-translation", "--data", "digits", *few)
    assert "makes each sample from its source, and these data have none" in said
    assert "only images can be enlarged" in refused("train", "upscaling", "--data", "ring", *few)
    assert not (tmp_path / "run").exists()


def test_contradictory_declarations_are_refused():
    kind = registry.get(registry.ARCHITECTURE, "paired-translation")

    class Both(kind):
        """Declares too much."""

        takes_images = True

    class Blind(registry.get(registry.ARCHITECTURE, "upscaling")):
        """Judges what it does not take."""

        takes_sources = False
        judges_source = True

    class Remembers(kind):
        """Would show earlier fakes beside the present sources."""

        def history(self, data):
            return torch.nn.Identity()

    for each, said in ((Both, "it can take one"), (Remembers, r"history\(\)")):
        with pytest.raises(InputError, match=said):
            trainer_of(each(width=4), outlines())
    with pytest.raises(InputError, match="takes no sources"):
        trainer_of(Blind(width=4), outlines())


# Models


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("sources")


@pytest.fixture
def run(shared):
    return Run(shared / "run") if (shared / "run").exists() else train(out=shared / "run")


def test_a_model_makes_samples_from_images_of_its_sources_shape(run, refused, ganzoo_cli):
    Path("sketches").mkdir()
    for i in range(3):
        Image.new("RGB", (40, 20), (80 * i, 0, 0)).save(f"sketches/{i}.png")
    done = ganzoo_cli("sample", run.path, "--source", "sketches", "--out", "made")
    assert done.code == 0, done.err
    assert sorted(path.name for path in Path("made").iterdir()) == ["0.png", "1.png", "2.png"]
    assert load_png(Path("made/0.png"))[0].shape == (3, 16, 16)
    done = ganzoo_cli("sample", run.path, "--source", "outlines", "-n", "5", "--out", "pairs.png")
    assert done.code == 0, done.err
    model = ganzoo.load(run)
    made = model.translate(outlines().sources_of(torch.arange(5)))
    shown = load_png(Path("pairs.png"))[0]
    below = shown[:, 2 + 66 : 2 + 66 + 64, 2 : 2 + 64]
    wanted = to_uint8(made[0]).repeat_interleave(4, 1).repeat_interleave(4, 2)
    assert torch.equal(below, wanted), "the first result stands below its source"
    assert "pass images of 1 x 16 x 16 with --source" in refused("sample", run.path)
    assert "no seeds to walk to" in refused("sample", run.path, "--walk", "0,1")
    said = refused("sample", run.path, "--source", "sketches", "--label", "1")
    assert "no classes to choose from" in said
    said = refused("sample", run.path, "--source", "sketches", "--truncation", "0.5")
    assert "this model has no latents: drop --truncation" in said
    with pytest.raises(InputError, match="takes sources of 1 x 16 x 16, not of 3 x 16 x 16"):
        model.translate(torch.zeros(1, 3, 16, 16))


def test_a_model_that_makes_its_sources_takes_smaller_images(tmp_path, ganzoo_cli):
    done = ganzoo_cli(
        *("train", "upscaling", "--data", "digits", "--image-size", "16", "--set", "arch.width=4"),
        *("--steps", "2", "--batch-size", "4", "--device", "cpu", "--out", "run"),
    )
    assert done.code == 0, done.err
    Image.new("L", (8, 8), 90).save(tmp_path / "small.png")
    Path("small").mkdir()
    (tmp_path / "small.png").rename("small/one.png")
    done = ganzoo_cli("sample", "run", "--source", "small", "--out", "large")
    assert done.code == 0, done.err
    assert load_png(Path("large/one.png"))[0].shape == (1, 16, 16)
    rows = ganzoo.evaluate("run", ["psnr"], samples=30, real_samples=30, seed=3)
    assert rows == ganzoo.evaluate("run", ["psnr"], samples=30, real_samples=30, seed=3)


def test_a_models_outputs_are_judged_and_each_with_its_target(run, refused):
    rows = ganzoo.evaluate(run, ["psnr", "ssim"], samples=20)
    model, samples = ganzoo.load(run), registry.get(registry.DATASET, "outlines")().read()
    order = torch.arange(len(samples))
    made = model.generate(model.inputs.from_images(samples.sources_of(order)), stored=True)
    errors = (made.double() - samples.stored.double()).square().flatten(1).mean(1)
    decibels = 10 * (255**2 / errors).log10()
    assert [row.metric for row in rows] == ["psnr", "ssim"]
    found = ganzoo.evaluate(run, ["psnr"])[0]
    assert found.fake_samples == len(samples)
    assert found.value == pytest.approx(float(decibels.mean()), rel=1e-6)
    said = refused("eval", run.path, "--data", "digits", "--metric", "psnr")
    assert "the data have 1 x 16 x 16" in said
    said = refused("eval", run.path, "--floor", "--metric", "psnr")
    assert "there are no such pairs here" in said


def test_models_from_noise_have_no_pairs(tiny_run, refused):
    assert "there are no such pairs here" in refused("eval", tiny_run.path, "--metric", "ssim")
    metrics = choose_metrics(None, DataSpec(shape=(3, 32, 32)))
    assert not {"psnr", "ssim", "lpips"} & metrics.keys()
    paired = choose_metrics(None, DataSpec(shape=(3, 32, 32)), paired=True)
    assert {"psnr", "ssim"} <= paired.keys()
    assert "lpips" not in paired


def test_a_run_is_scored_by_its_pairs_while_it_trains(tmp_path):
    settings = {"train.eval_every": 2, "train.eval_metric": "psnr", "train.eval_samples": 8}
    run = train(out=tmp_path / "run", settings=settings)
    rows = [json.loads(line) for line in run.score_log.read_text().splitlines()]
    assert [(row["step"], row["metric"]) for row in rows] == [(2, "psnr"), (4, "psnr")]
    again = ganzoo.evaluate(run, ["psnr"], samples=8, real_samples=8)[0]
    assert again.value == pytest.approx(rows[-1]["value"], rel=1e-9)
    assert again.data["fingerprint"] == rows[-1]["data"]["fingerprint"]


def test_its_card_its_report_and_its_demo_say_what_it_takes(run, tmp_path):
    card = (run.model / "README.md").read_text()
    assert "images = model.translate(sources)  # floats (N, 3, 16, 16)" in card
    assert "`sources` are floats (N, 1, 16, 16) in [-1, 1]" in card
    from ganzoo_zoo.apps.demo.session import Session
    from ganzoo_zoo.apps.export.network import Network
    from ganzoo_zoo.apps.report import report

    told = report(run, neighbours=2)
    assert not told.missing, told.missing
    assert told.neighbours == 2
    session = Session(ganzoo.load(run), tmp_path / "drawn", "cpu")
    assert session.can_translate
    assert not session.can_walk
    Image.new("RGB", (30, 30), "red").save("sketch.png")
    assert session.translate("sketch.png", None).about == "The image, translated"
    assert len(session.nearest(0, source="sketch.png").rows) == 1
    inputs, samples = Network(ganzoo.load(run)).example(2)
    assert inputs.keys() == {"images"}
    assert samples.shape == (2, 3, 16, 16)


# Pictures


@pytest.mark.parametrize(
    ("source", "result", "shown"),
    [
        ((1, 8, 8), (3, 16, 16), (3, 16, 16)),
        ((3, 16, 16), (1, 16, 16), (3, 16, 16)),
        ((4, 10, 6), (3, 16, 16), (4, 16, 16)),
        ((2, 16, 16), (1, 16, 16), (1, 16, 16)),
    ],
)
def test_sources_and_results_share_a_picture(source, result, shown):
    sources = torch.full((2, *source), 7, dtype=torch.uint8)
    results = torch.full((3, *result), 9, dtype=torch.uint8)
    one, other = match_images(sources, results)
    assert one.shape == (2, *shown)
    assert other.shape == (3, *shown)
    assert torch.equal(one[:, :1], torch.full((2, 1, *shown[1:]), 7, dtype=torch.uint8))
    assert torch.equal(other[:, :1], torch.full((3, 1, *shown[1:]), 9, dtype=torch.uint8))


def test_samples_may_be_vectors_with_sources():
    spec = DataSpec(shape=(2,), source=(3,))
    samples = Samples(spec, torch.zeros(4, 2), sources=torch.ones(4, 3))
    assert torch.equal(samples.sources_of(torch.tensor([0])), torch.ones(1, 3))
