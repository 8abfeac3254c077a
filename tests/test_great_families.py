"""What holds for each of the great families: a line of ``great_families.py`` is a family here."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import families_cases
import ganzoo
from ganzoo import registry
from ganzoo.resolve import resolve
from ganzoo.training.prepare import build_trainer
from great_families import FAMILIES
from tiny import TINY

SCRIPT = Path(families_cases.__file__)
DRAWN = [name for name, family in FAMILIES.items() if not family.from_sources]
"""Those that start from noise."""
LABELLED = [name for name in DRAWN if FAMILIES[name].labelled]
CODED = [name for name, family in FAMILIES.items() if family.coded]


# Runs -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What differs between trainings, as a process finds that starts many others."""
    folder = tmp_path_factory.mktemp("trainings")
    path = os.pathsep.join([str(SCRIPT.parent), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_run_that_is_killed_ends_in_the_same_bytes(name, found):
    assert found[name]["killed"] == []


@pytest.mark.parametrize("name", FAMILIES)
def test_pictures_and_scores_change_nothing(name, found):
    assert found[name]["often"] == []


@pytest.mark.parametrize("name", FAMILIES)
def test_two_processes_killed_stopped_and_pictured_end_in_the_same_bytes(name, found):
    assert found[name]["two"] == []


@pytest.mark.parametrize("name", FAMILIES)
def test_a_run_starts_from_the_model_of_one(name, found):
    codes = {start: each[0] for start, each in found[name]["init"].items() if start != "kept"}
    assert codes == {"same": 0, "other-loss": 0, "other-size": 2}
    assert found[name]["init"]["kept"]
    assert "drop what the model decides" in found[name]["init"]["other-size"][1]


def test_memories_are_in_checkpoints_and_in_no_model(found):
    files = {name: set(found[name]["files"]) for name in FAMILIES}
    for memory in ("penalty_memory.lecam", "penalty_memory.path-length", "augmentation_memory.ada"):
        assert f"{memory}.safetensors" in files["stylegan2"]
    assert not any("memory" in file for file in files["progan"] | files["acgan"])


def test_every_line_of_metrics_has_the_last_value_of_a_lazy_term(found):
    lines = found["stylegan2"]["metrics"]
    assert [line["step"] for line in lines] == [3, 6, 9, 10]
    # Due in the updates before steps 1, 4, 7 and 10.
    assert all("discriminator/r1" in line for line in lines)
    assert len({line["discriminator/r1"] for line in lines}) == 4
    # Due in the updates before steps 1, 5 and 9.
    assert ["generator/path_length" in line for line in lines] == [True, True, True, False]


# The first step ---------------------------------------------------------------------------------


def first_gradients(name, precision):
    """Return the gradients of both networks in a first step that hardly moves the weights."""
    still = {"train.generator_lr": 1e-12, "train.discriminator_lr": 1e-12}
    common = {"train.batch_size": 8, "train.device": "cpu", "train.precision": precision}
    config = resolve(name, settings={**FAMILIES[name].by_name(), **still, **common})
    trainer = build_trainer(config, config.data.build(registry.DATASET).read())
    found = []
    for network in ("discriminator", "generator"):
        optimizer = getattr(trainer.state, f"{network}_optimizer")
        optimizer.register_step_pre_hook(lambda mine, *_: found.append(gradient_of(mine)))
    trainer.step()
    return found


def gradient_of(optimizer):
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    return torch.cat([each.grad.flatten() for each in parameters if each.grad is not None])


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_in_bf16_point_where_those_of_fp32_do(name):
    full, half = first_gradients(name, "fp32"), first_gradients(name, "bf16")
    assert len(full) == len(half) >= 2
    for exact, rough in zip(full, half, strict=True):
        assert exact.any()
        assert torch.cosine_similarity(exact, rough, dim=0) > FAMILIES[name].cosine


# Models -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model_of(tmp_path_factory):
    """Give the model of a family, whose weights are all alive."""
    made = {}

    def make(name):
        if name not in made:
            out = tmp_path_factory.mktemp(name) / "run"
            settings = FAMILIES[name].by_name(FAMILIES[name].in_models)
            run = ganzoo.train(name, out=out, settings=settings, **{**TINY, "steps": 1})
            made[name] = ganzoo.load(run)
            enliven(made[name].generator)
        return made[name]

    return make


def enliven(network):
    """Move all weights, of which some are 0 at first."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=rng), alpha=0.2)


def distance(ours, theirs):
    return (ours - theirs).abs().mean()


@pytest.mark.parametrize("name", DRAWN)
def test_truncation_trades_variety(name, model_of):
    model = model_of(name)
    plain, near, far = (model.sample(64, seed=3, truncation=psi) for psi in (None, 0.7, 0.2))
    assert distance(plain, model.sample(64, seed=3, truncation=10)) < 0.01
    assert 0.01 < distance(plain, near) < distance(plain, far)
    if name in LABELLED:  # the variety within a class
        plain, near, far = (
            model.sample(64, seed=3, truncation=psi, label=1) for psi in (None, 0.7, 0.2)
        )
    assert plain.std(0).mean() > near.std(0).mean() > far.std(0).mean() > 0


@pytest.mark.parametrize("name", LABELLED)
def test_a_label_gives_its_class(name, model_of):
    model = model_of(name)
    cycle, third = model.sample(20, seed=1), model.sample(20, seed=1, label=2)
    assert torch.equal(cycle[2::10], third[2::10])
    away = [each for i, each in enumerate((cycle - third).abs().flatten(1).mean(1)) if i % 10 != 2]
    assert min(away) > 1e-3


@pytest.mark.parametrize("name", DRAWN)
def test_a_walk_passes_through_samples(name, model_of):
    model = model_of(name)
    walk = model.walk(3, [4, 0], 3, truncation=0.8)
    for frame, seed in ((0, 4), (3, 0)):
        assert torch.equal(walk[frame], model.sample(3, seed=seed, truncation=0.8))
    steps = [distance(one, other) for one, other in itertools.pairwise(walk)]
    assert min(steps) > 1e-3


@pytest.mark.parametrize("name", DRAWN)
def test_the_same_seed_draws_the_same_samples(name, model_of):
    model = model_of(name)
    samples = model.sample(5, seed=7)
    torch.manual_seed(1)
    torch.testing.assert_close(
        ganzoo.load(model.folder.path).sample(5, seed=7).shape, samples.shape
    )
    torch.testing.assert_close(model.sample(9, seed=7)[:5], samples)


@pytest.mark.parametrize("name", CODED)
def test_codes_are_set_and_the_rest_stays(name, model_of):
    model = model_of(name)
    parts = [part for part in model.architecture.latent_parts() if part.name != "z"]
    plain = model.sample(12, seed=2)
    for part in parts:
        values = (0, 1) if part.distribution == "category" else (-0.9, 0.9)
        low, high = (model.sample(12, seed=2, codes={part.name: each}) for each in values)
        assert distance(low, high) > 1e-3
    drawn = model.architecture.split_latents(model.inputs.latents(12, seed=2))
    chosen = drawn["category"].argmax(1)
    assert torch.equal(
        model.sample(12, seed=2, codes={"category": 3})[chosen == 3], plain[chosen == 3]
    )
