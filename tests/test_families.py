"""What great families need of a training, as plugins: each passes the kit, and resumes exactly."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import families_cases
import ganzoo
from families_package import PROJECT, SOURCE, installed
from ganzoo import registry
from ganzoo.resolve import resolve
from ganzoo.testing.conformance import CHECKS
from ganzoo.training.prepare import build_trainer
from tiny import TINY

SCRIPT = Path(families_cases.__file__)
PLUGINS = sorted((SOURCE / "ganzoo_families").glob("[a-z]*.py"))
MOST_LINES = 60


@pytest.fixture(scope="module", autouse=True)
def families(tmp_path_factory):
    """Have the package installed, for this process and those that it starts."""
    with installed(tmp_path_factory.mktemp("families")) as added:
        yield added


ANNOUNCED = {
    name: kind for kind in registry.KINDS for name in PROJECT["entry-points"].get(kind.group, {})
}
CASES = [(name, check) for name, kind in ANNOUNCED.items() for check in CHECKS[kind]]


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.stem)
def test_a_plugin_is_a_small_file(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize(
    ("name", "check"), CASES, ids=[f"{name}-{check.__name__}" for name, check in CASES]
)
def test_each_plugin_passes_the_kit(name, check):
    check(registry.get(ANNOUNCED[name], name)())


@pytest.fixture(scope="module")
def found(families, tmp_path_factory):
    """What differs between trainings, as a process finds that starts many others."""
    folder = tmp_path_factory.mktemp("trainings")
    path = os.pathsep.join([*families, str(SCRIPT.parent), *filter(None, sys.path)])
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


@pytest.mark.parametrize("name", families_cases.TRAININGS)
def test_a_run_that_is_killed_ends_in_the_same_bytes(name, found):
    assert found[name]["killed"] == []


@pytest.mark.parametrize("name", families_cases.TRAININGS)
def test_pictures_and_scores_change_nothing(name, found):
    assert found[name]["often"] == []


@pytest.mark.parametrize("name", families_cases.TWO)
def test_two_processes_killed_stopped_and_pictured_end_in_the_same_bytes(name, found):
    assert found[f"{name}-two"]["disturbed"] == []


def test_memories_are_in_checkpoints_and_in_no_model(found):
    files = {name: set(found[name]["files"]) for name in families_cases.TRAININGS}
    assert "penalty_memory.tiny-lecam.safetensors" in files["several"]
    assert "augmentation_memory.tiny-ada.safetensors" in files["several"]
    assert "penalty_memory.tiny-path-length.safetensors" in files["several"]
    assert not any("memory" in file for file in files["progan"] | files["acgan"])


def test_a_run_starts_from_one_with_penalties_and_the_other_way_around(found):
    assert found["init"] == {"plain": 0, "to-several": 0, "from-several": 0}


def test_every_line_of_metrics_has_the_last_value_of_a_lazy_term(found):
    lines = found["several"]["metrics"]
    assert [line["step"] for line in lines] == [3, 6, 9, 10]
    # Due in the updates before steps 1, 4, 7 and 10.
    assert all("discriminator/r1" in line for line in lines)
    assert len({line["discriminator/r1"] for line in lines}) == 4
    # Due in the updates before steps 1, 5 and 9.
    assert ["generator/path" in line for line in lines] == [True, True, True, False]


def test_growth_follows_the_images_whatever_the_loss_and_the_critic_steps():
    levels = {}
    for loss, n_critic in (("wgan-gp", 1), ("hinge", 2)):
        settings = {"arch.phase_images": 32, "data.image_size": 16}
        config = resolve(
            "tiny-progan",
            loss,
            "digits",
            {"train.n_critic": n_critic, "train.batch_size": 8, "train.device": "cpu", **settings},
        )
        trainer = build_trainer(config, config.data.build(registry.DATASET).read())
        levels[n_critic] = []
        for _ in range(8):
            trainer.step()
            state = trainer.state
            networks = state.generator, state.discriminator, state.generator_ema.module
            assert len({network.detail for network in networks}) == 1
            levels[n_critic].append(state.generator.detail)
    assert levels[1] == [0, 0, 0, 0, 0.25, 0.5, 0.75, 1]
    assert levels[2] == [0, 0, 0.5, 1, 1, 1, 1.5, 2]


def test_a_model_is_as_grown_as_its_training(tmp_path):
    small = {"arch.phase_images": 32, "data.image_size": 16}
    run = ganzoo.train(
        "tiny-progan", "hinge", out=tmp_path / "run", settings=small, **{**TINY, "steps": 6}
    )
    model = ganzoo.load(run)
    assert model.generator.detail == 0.5
    samples = model.sample(4, seed=0)  # of twice the first resolution, and half of the last
    assert torch.equal(samples[..., ::2], samples[..., 1::2])
    assert not torch.equal(samples[..., ::4], samples[..., 2::4])


def test_a_part_that_an_architecture_lacks_is_refused(refused):
    wrong = refused("train", "mlp", "--penalty", "tiny-path-length", "--device", "cpu")
    assert "needs 'w' of the generator of 'mlp', and it gives none" in wrong
