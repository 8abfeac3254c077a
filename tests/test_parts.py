"""Latents of parts, drawing in another way, outputs that are judged, networks within networks."""

import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import ganzoo
from ganzoo import LatentPart, registry
from ganzoo.config import TrainOptions
from ganzoo.errors import InputError
from ganzoo.media.images import load_png
from ganzoo.models.generation import build_sampler
from ganzoo.protocols.dataset import DataSpec
from ganzoo.protocols.discriminator import Discriminator
from ganzoo.protocols.latent_parts import set_codes
from ganzoo.protocols.latents import TruncatedLatents
from ganzoo.protocols.packing import Packing, complete_reals, judge_samples
from ganzoo.protocols.penalty import Penalty
from ganzoo.testing.architecture_generator import check_history
from ganzoo.testing.steps import draw_samples, require_exact_steps, train_options
from ganzoo.training.assembly import assemble_trainer
from ganzoo.training.ema import MovingAverage
from test_docs import blocks
from tiny import TINY

PACKAGES = {
    "standing": "sampling",
    "coded": "latents",
    "two-sizes": "outputs",
    "encoded": "outputs",
}
"""Pages of the documentation whose plugins are used here, by the name of an architecture."""
SMALL = {"data.image_size": 8}
IMAGES = DataSpec(shape=(1, 8, 8))


@pytest.fixture
def install(plugin):
    """Install the package of a page by the name of its architecture, and return the class."""

    def by_name(name):
        page = f"docs/plugins/{PACKAGES[name]}.md"
        text = blocks(page, "toml")[0]
        package = re.search(r'name = "(.+)"', text)[1]
        points = re.findall(r'"ganzoo\.(\w+)"\]\n((?:[\w-]+ = ".+"\n)+)', text)
        entries = {
            f"ganzoo.{kind}": dict(re.findall(r'([\w-]+) = "(.+)"', lines))
            for kind, lines in points
        }
        plugin(package, blocks(page, "python")[0], entries)
        return registry.get(registry.ARCHITECTURE, name)

    return by_name


def trained(name, loss=None, **options):
    return ganzoo.train(name, loss, **{"out": "run", "settings": SMALL, **TINY, **options})


def trainer_of(architecture, loss=None, steps=2, **options):
    loss = loss or registry.get(registry.LOSS, "non-saturating")()
    chosen = TrainOptions(steps=steps, batch_size=4, device="cpu", **options)
    return assemble_trainer(architecture, loss, draw_samples(IMAGES), chosen)


PARTS = (
    LatentPart("noise", 16),
    LatentPart("kind", 10, "category"),
    LatentPart("tilt", 1, "uniform"),
)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


# Latents ----------------------------------------------------------------------------------------


def test_parts_are_drawn_by_their_distributions_and_found_by_name(install):
    architecture = install("coded")(z_dim=3, kinds=4)
    latents = architecture.latents(4000, rng())
    parts = architecture.split_latents(latents)
    assert {name: part.shape[1] for name, part in parts.items()} == {
        "noise": 3,
        "kind": 4,
        "tilt": 1,
    }
    assert parts["noise"].std().item() == pytest.approx(1, rel=0.03)
    assert set(parts["kind"].unique().tolist()) == {0.0, 1.0}
    assert bool((parts["kind"].sum(1) == 1).all())
    assert parts["kind"].mean(0).tolist() == pytest.approx([0.25] * 4, abs=0.03)
    assert parts["tilt"].abs().max() <= 1
    assert parts["tilt"].square().mean().item() == pytest.approx(1 / 3, rel=0.05)


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_one_part_is_drawn_as_a_latent_always_was(prior):
    drawn = registry.get(registry.ARCHITECTURE, "dcgan")(z_dim=5, prior=prior).latents(7, rng(3))
    plain = torch.randn(7, 5, generator=rng(3)) if prior == "normal" else None
    uniform = 2 * torch.rand(7, 5, generator=rng(3)) - 1
    assert torch.equal(drawn, uniform if plain is None else plain)


def test_truncation_leaves_categories(install):
    architecture = install("coded")(z_dim=3, kinds=4)
    latents = architecture.latents(50, rng())
    moved = architecture.truncate(nn.Identity(), 0.5)(latents)
    before, after = (architecture.split_latents(each) for each in (latents, moved))
    assert torch.equal(before["kind"], after["kind"])
    assert after["noise"].abs().max() <= 0.5
    assert torch.equal(after["tilt"], 0.5 * before["tilt"])
    categories = TruncatedLatents(nn.Identity(), (LatentPart("kind", 4, "category"),), 0.5)
    assert torch.equal(categories(before["kind"]), before["kind"])


def test_a_walk_changes_a_category_half_way(install):
    architecture = install("coded")(z_dim=3, kinds=4)
    start, end = architecture.latents(20, rng(0)), architecture.latents(20, rng(1))
    for share, source in ((0.3, start), (0.5, end), (0.9, end)):
        between = architecture.split_latents(architecture.interpolate(start, end, share))
        assert torch.equal(between["kind"], architecture.split_latents(source)["kind"])
        assert between["tilt"].abs().max() <= 1


@pytest.fixture
def coded(install):
    install("coded")
    run = trained("coded", settings={**SMALL, "arch.hidden": 8}, penalty=("information",))
    return ganzoo.load(run)


def test_codes_are_set_and_the_rest_stays(coded):
    drawn = coded.inputs.draw(5, 1).given
    given = coded.inputs.draw(5, 1, codes={"kind": 3, "tilt": torch.linspace(-1, 1, 5)}).given
    parts = coded.architecture.split_latents(given)
    assert torch.equal(parts["noise"], coded.architecture.split_latents(drawn)["noise"])
    assert bool((parts["kind"].argmax(1) == 3).all())
    torch.testing.assert_close(parts["tilt"][:, 0], torch.linspace(-1, 1, 5))
    every = coded.sample(10, codes={"kind": torch.arange(10), "noise": [0.0] * 16, "tilt": 0})
    assert len({sample.numpy().tobytes() for sample in every}) == 10
    assert coded.sample(2, codes={}).equal(coded.sample(2))


def test_a_walk_may_follow_one_code(coded):
    codes = [{"tilt": -1}, {"tilt": 1}]
    walk = coded.walk(2, [0, 0], 4, codes=codes)
    for frame, each in ((0, codes[0]), (4, codes[1])):
        assert walk[frame].equal(coded.sample(2, codes=each))
    inputs = list(coded.inputs.walk(2, [0, 0], 4, codes=codes))
    parts = [coded.architecture.split_latents(each.given) for each in inputs]
    tilts = torch.stack([each["tilt"][:, 0] for each in parts])
    assert bool((tilts.diff(dim=0) > 0).all())
    for each in parts:
        torch.testing.assert_close(each["noise"], parts[0]["noise"])
        assert each["kind"].equal(parts[0]["kind"])
    with pytest.raises(InputError, match="give codes for each of the 2 seeds"):
        coded.walk(2, [0, 1], codes=[{}])


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ({"kint": 1}, "no code 'kint'; did you mean 'kind'?"),
        ({"x": 1}, "no code 'x': it has noise, kind, tilt"),
        ({"kind": 10}, "'kind' must be a category from 0 to 9"),
        ({"kind": 0.5}, "'kind' must be a category from 0 to 9"),
        ({"kind": [1, 2]}, "'kind' must be a category from 0 to 9"),
        ({"tilt": float("nan")}, "'tilt' must be a number"),
        ({"tilt": "steep"}, "'tilt' must be a number"),
        ({"noise": [1.0, 2.0]}, "'noise' must be a number, or 16 numbers"),
    ],
)
def test_wrong_codes_are_refused(codes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        set_codes(PARTS, torch.zeros(3, 27), codes)


def test_the_command_sets_codes_and_says_so(coded, ganzoo_cli, refused):
    asked = ["sample", "run", "-n", "4", "--device", "cpu", "--out", "new"]
    result = ganzoo_cli(*asked, "--code", "kind=3", "--code", "tilt=-0.5", "--json")
    assert json.loads(result.out)["codes"] == {"kind": 3, "tilt": -0.5}
    with Image.open("new/seed0-00001.png") as picture:
        assert picture.text["ganzoo:codes"] == "kind=3, tilt=-0.5"
        assert picture.text["Description"].endswith("Codes: kind=3, tilt=-0.5.")
    assert refused(*asked, "--code", "kind") == (
        "Error: --code kind: give a name and a number, such as digit=3, or numbers with commas"
    )
    assert refused(*asked, "--code", "colour=1") == (
        "Error: this model has no code 'colour': it has noise, kind, tilt"
    )
    walked = ganzoo_cli("sample", "run", "--num=2", "--walk=0,1", "--frames=2", "--code=kind=1")
    assert walked.code == 0, walked.err


def test_a_penalty_teaches_the_head_that_guesses_the_codes(install):
    architecture = install("coded")(hidden=8)
    penalty = registry.get(registry.PENALTY, "information")()
    loss = registry.get(registry.LOSS, "non-saturating")()
    options = TrainOptions(steps=3, batch_size=4, device="cpu")
    trainer = assemble_trainer(
        architecture, loss, draw_samples(IMAGES), options, penalties={"information": penalty}
    )
    before = trainer.state.discriminator.kind.weight.clone()
    terms = trainer.step()
    assert "information" in terms.discriminator
    assert "information" in terms.generator
    assert not torch.equal(before, trainer.state.discriminator.kind.weight)


# Drawing ----------------------------------------------------------------------------------------


def test_a_model_draws_by_its_architectures_sampler(install):
    install("standing")
    model = ganzoo.load(trained("standing", settings={**SMALL, "arch.hidden": 8}))
    statistics = model.generator[1].running_mean.clone()
    before = torch.get_rng_state()
    drawn = model.sample(5)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(statistics, model.generator[1].running_mean)
    assert not torch.equal(statistics, model.sampler[1].running_mean)
    assert drawn.equal(ganzoo.load("run").sample(5))
    with torch.no_grad():
        plain = model.generator(model.inputs.draw(5, 0).given)
    assert not torch.allclose(drawn, plain)
    torch.testing.assert_close(model.sample(5, truncation=10), drawn, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(model.sample(5, truncation=0.5), drawn)


def test_pictures_and_scores_of_a_training_are_drawn_by_it(install, monkeypatch):
    architecture = install("standing")
    calls = []
    whole = architecture.sampler

    def counted(self, generator, data, *, truncation=None, rng):
        calls.append(truncation)
        return whole(self, generator, data, truncation=truncation, rng=rng)

    monkeypatch.setattr(architecture, "sampler", counted)
    settings = {**SMALL, "arch.hidden": 8}
    run = trained("standing", settings=settings, eval_every=2, eval_samples=32)
    assert len(calls) == 3 + 2  # pictures of steps 0, 2 and 4, and scores of two of these
    shown, _ = load_png(run.picture(4))
    state = ganzoo.load(run)
    assert shown.shape[0] == 1
    assert state.sampler is not state.generator


def test_pictures_drawn_in_another_way_do_not_change_the_training(install):
    install("standing")
    settings = {**SMALL, "arch.hidden": 8}
    first = trained("standing", settings=settings, sample_every=1)
    second = trained("standing", settings=settings, sample_every=4, out="second")
    weights = [(run.model / "model.safetensors").read_bytes() for run in (first, second)]
    assert weights[0] == weights[1]


def test_without_a_sampler_of_its_own_the_generator_draws(tiny_run):
    model = ganzoo.load(tiny_run)
    assert model.sampler is model.generator
    assert model.with_truncation(0.5).generator is model.generator


def test_a_sampler_does_not_wait_for_other_processes(install):
    architecture = install("standing")(hidden=8)
    network = architecture.generator(IMAGES)
    synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(architecture.generator(IMAGES))
    synchronised.load_state_dict(network.state_dict())
    latents = architecture.latents(6, rng())
    drawn = [
        build_sampler(architecture, each, IMAGES).eval()(latents)
        for each in (network, synchronised)
    ]
    assert torch.equal(*drawn)
    assert isinstance(synchronised[1], nn.SyncBatchNorm)


def test_an_export_draws_as_the_model_does(install, ganzoo_cli):
    install("standing")
    trained("standing", settings={**SMALL, "arch.hidden": 8})
    done = ganzoo_cli("export", "run")
    assert done.code == 0, done.err
    model = ganzoo.load("run")
    program = torch.export.load("model.pt2").module()
    found = program(latents=model.inputs.draw(3, 7).given)
    torch.testing.assert_close(found, model.sample(3, seed=7), rtol=1e-4, atol=1e-4)


# Outputs that are judged ------------------------------------------------------------------------


def test_parts_are_packed_and_unpacked():
    parts = {"samples": torch.randn(3, 1, 4, 4), "half": torch.randn(3, 1, 2, 2)}
    packing = Packing.of(parts)
    packed = packing.pack({**parts, "other": torch.zeros(3, 9)})
    assert packed.shape == (3, 20)
    found = packing.unpack(packed)
    assert all(torch.equal(found[name], part) for name, part in parts.items())


@pytest.mark.parametrize("loss", ["wgan-gp", "r3gan", "non-saturating"])
def test_two_resolutions_train_with_any_loss(install, loss):
    install("two-sizes")
    run = trained(
        "two-sizes", loss, settings={**SMALL, "arch.channels": 4}, augment=("translation", "cutout")
    )
    model = ganzoo.load(run)
    assert model.sample(3).shape == (3, 1, 8, 8)
    judge = judge_samples(model.architecture, model.discriminator, model.config.spec)
    assert judge(model.sample(3)).shape == (3,)


def test_two_resolutions_train_with_every_penalty_in_the_box(install):
    architecture = install("two-sizes")(channels=4)
    penalties = {
        entry.name: registry.get(registry.PENALTY, entry.name)()
        for entry in registry.entries(registry.PENALTY)
        if entry.package == "ganzoo"
    }
    loss = registry.get(registry.LOSS, "non-saturating")()
    given = loss, draw_samples(IMAGES), TrainOptions(steps=1, batch_size=4, device="cpu")
    found = {}
    for name, penalty in penalties.items():
        if penalty.needs_generator_parts or penalty.needs_discriminator_parts:  # such as w
            continue
        if penalty.needs_networks:
            continue
        trainer = assemble_trainer(architecture, *given, penalties={name: penalty})
        terms = trainer.step()
        found[name] = {**terms.discriminator, **terms.generator}
        assert all(bool(term.isfinite()) for term in found[name].values()), name
    assert {"r1", "consistency", "latent-consistency", "dragan", "lecam"} <= found.keys()


def test_steps_of_two_resolutions_resume_exactly(install):
    loss = registry.get(registry.LOSS, "wgan-gp")()
    architecture = install("two-sizes")(channels=4)
    require_exact_steps(architecture, loss, draw_samples(IMAGES), train_options(n_critic=2))


def test_a_gradient_penalty_is_of_all_parts(install):
    """Compare the penalty of WGAN-GP with one that is computed part by part."""
    architecture = install("two-sizes")(channels=4)
    network = architecture.discriminator(IMAGES)
    real = complete_reals(architecture, torch.randn(5, 1, 8, 8))
    made = architecture.generator(IMAGES)(torch.randn(5, 32))
    fake = {name: made[name].detach() for name in ("samples", "half")}
    packing = Packing.of(real)
    D = Discriminator(network, packing=packing)
    loss = registry.get(registry.LOSS, "wgan-gp")()
    torch.manual_seed(0)
    found = loss.discriminator_loss(D, D.pack(real), D.pack(fake))["gradient_penalty"]
    torch.manual_seed(0)
    share = torch.rand(5, 1)
    mixed = {}
    for name, part in real.items():
        along = share.reshape(5, 1, 1, 1)
        mixed[name] = torch.lerp(fake[name], part, along).requires_grad_()
    slopes = torch.autograd.grad(network(mixed).sum(), list(mixed.values()))
    norm = torch.cat([each.flatten(1) for each in slopes], 1).norm(dim=1)
    torch.testing.assert_close(found, 10 * (norm - 1).square().mean())


class Double(ganzoo.Augmentation):
    """Doubles what it gets, and remembers shapes."""

    shapes: list = []

    def augment(self, samples):
        self.shapes.append(tuple(samples.shape[1:]))
        return 2 * samples


def test_each_image_is_augmented_on_its_own():
    parts = {
        "samples": torch.ones(2, 1, 4, 4),
        "half": torch.ones(2, 1, 2, 2),
        "code": torch.ones(2, 3),
    }

    class Means(nn.Module):
        def forward(self, judged):
            return torch.stack([part.flatten(1).mean(1) for part in judged.values()], 1)

    packing, augmentation = Packing.of(parts), Double()
    D = Discriminator(Means(), augmentations=[augmentation], packing=packing)
    assert D(D.pack(parts)).tolist() == [[2.0, 2.0, 1.0]] * 2
    assert augmentation.shapes == [(1, 4, 4), (1, 2, 2)]
    assert D.unpack(D.pack(parts))["samples"].shape == (2, 1, 4, 4)


def test_a_penalty_sees_one_tensor_and_may_take_it_apart(install):
    seen = []

    class Looks(Penalty):
        def discriminator_terms(self, D, real, fake):
            parts = D.unpack(fake)
            again = D.pack(D.generate(D.inputs))
            seen.append((real.shape, {name: part.shape for name, part in parts.items()}))
            torch.testing.assert_close(again, fake)
            return {"looks": 0 * D(again).mean()}

    architecture = install("two-sizes")(channels=4)
    loss = registry.get(registry.LOSS, "non-saturating")()
    options = TrainOptions(steps=1, batch_size=4, device="cpu")
    trainer = assemble_trainer(
        architecture, loss, draw_samples(IMAGES), options, penalties={"looks": Looks()}
    )
    trainer.step()
    assert seen == [((4, 80), {"samples": (4, 1, 8, 8), "half": (4, 1, 4, 4)})]


def test_a_pool_of_fakes_holds_all_that_is_judged(install):
    shapes = []

    class Pool(nn.Module):
        def forward(self, fakes, labels):
            shapes.append(tuple(fakes.shape))
            return fakes.clone()

    architecture = install("two-sizes")

    class Pooled(architecture):
        def history(self, data):
            return Pool()

    check_history(Pooled(channels=4))
    shapes.clear()
    terms = trainer_of(Pooled(channels=4)).step()
    assert shapes == [(4, 80)]
    assert terms.discriminator.keys() == {"real", "fake"}


def test_reports_look_at_samples_alone(install, ganzoo_cli):
    install("two-sizes")
    trained("two-sizes", settings={**SMALL, "arch.channels": 4}, trackers=["report"])
    done = ganzoo_cli("report", "run")
    assert done.code == 0, done.err
    assert "not in it" not in done.err, done.err
    assert Path("run/report.html").exists()


# Networks within networks -----------------------------------------------------------------------


def test_an_encoder_trains_and_is_part_of_the_model(install):
    install("encoded")
    settings = {"data.image_size": 8, "arch.z_dim": 2, "arch.hidden": 32}
    rare = dict.fromkeys(("log_every", "sample_every", "checkpoint_every"), 60)
    options = {**TINY, **rare, "steps": 60, "batch_size": 32, "generator_lr": 0.01}
    run = ganzoo.train("encoded", out="run", settings=settings, **options)
    model = ganzoo.load(run)
    latents = model.inputs.draw(200, 5).given
    with torch.no_grad():
        found = model.generator.encoder(model.sample(200, seed=5))
    assert (found - latents).square().mean() < 0.5  # guessing 0 would be 1
    assert model.sample(2, truncation=0.5).shape == (2, 1, 8, 8)


def test_the_average_copies_the_networks_that_say_so(install):
    trainer = trainer_of(install("encoded")(hidden=8), ema_half_life=1e6, ema_ramp=0)
    for _ in range(3):
        trainer.step()
    own, average = trainer.state.generator, trainer.state.generator_ema.module
    assert own.encoder.state_dict().keys() == average.encoder.state_dict().keys()
    for name, weight in own.named_parameters():
        same = torch.equal(weight, average.get_parameter(name))
        assert same == name.startswith("encoder."), name


def test_without_such_networks_all_is_averaged():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = MovingAverage(network)
    average.update(0.5)
    before = network[0].weight.detach().clone()
    with torch.no_grad():
        network[0].weight += 1
        network[1].running_mean += 1
    average.update(0.5)
    torch.testing.assert_close(average.module[0].weight, before + 0.5)
    assert torch.equal(average.module[1].running_mean, network[1].running_mean)


def test_a_penalty_that_needs_a_network_refuses_others(install):
    class Inverts(Penalty):
        needs_networks = ("encoder",)

        def generator_terms(self, D, real, fake):
            found = D.generator.encoder(D.generated["samples"])
            return {"inverts": (found - D.inputs.given).square().mean()}

    loss = registry.get(registry.LOSS, "non-saturating")()
    options = TrainOptions(steps=1, batch_size=4, device="cpu")
    given = loss, draw_samples(IMAGES), options
    trainer = assemble_trainer(install("encoded")(hidden=8), *given, penalties={"own": Inverts()})
    assert "inverts" in trainer.step().generator
    other = registry.get(registry.ARCHITECTURE, "mlp")()
    with pytest.raises(InputError, match="'own' needs a network 'encoder', which 'MLP' does not"):
        assemble_trainer(other, *given, penalties={"own": Inverts()})
