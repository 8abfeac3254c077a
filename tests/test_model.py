"""Models: the folder, and what comes out of it."""

import json
import os
import shutil

import pytest
import torch

import ganzoo
from ganzoo.errors import InputError
from ganzoo.files import load_tensors, save_tensors
from ganzoo.model_folder import write_model


@pytest.fixture
def folder(tiny_run, tmp_path):
    """A copy of a model folder, apart from its run."""
    return shutil.copytree(tiny_run.model, tmp_path / "model")


def test_the_folder_holds_what_is_published(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "discriminator.safetensors",
        "model.safetensors",
        "samples.png",
    ]
    os.umask(mask := os.umask(0))
    modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {0o666 & ~mask}, "and others may read it, as the umask says"


def test_a_loaded_model_is_the_averaged_generator_with_every_option(tiny_run, folder):
    model = ganzoo.load(folder)
    assert model.config.architecture.options["base_channels"] == 4
    widths = [m.out_channels for m in model.generator if hasattr(m, "out_channels")]
    assert widths == [8, 4, 1]
    assert not any(module.training for module in model.generator.modules())
    average = load_tensors(tiny_run.checkpoints / "00000004" / "generator_ema.safetensors")
    for name, value in model.generator.state_dict().items():
        assert torch.equal(value, average[f"module.{name}"]), name


def test_the_discriminator_is_that_of_the_last_step(tiny_run, folder):
    last = load_tensors(tiny_run.checkpoints / "00000004" / "discriminator.safetensors")
    found = ganzoo.load(folder).discriminator.state_dict()
    assert found.keys() == last.keys()
    assert all(torch.equal(found[name], last[name]) for name in last)


@pytest.mark.parametrize("reference", ["run", "path", "text", "model"])
def test_every_reference_means_the_same_model(tiny_run, reference):
    given = {
        "run": tiny_run,
        "path": tiny_run.path,
        "text": str(tiny_run.path),
        "model": tiny_run.model,
    }[reference]
    assert torch.equal(ganzoo.load(given).sample(3), ganzoo.load(tiny_run).sample(3))


def test_samples_are_images_in_range_that_depend_on_the_seed_alone(folder):
    model = ganzoo.load(folder)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    samples = model.sample(5, seed=3)
    assert torch.equal(before, torch.get_rng_state())
    assert samples.shape == (5, 1, 16, 16)
    assert samples.dtype == torch.float32
    assert samples.abs().max() <= 1
    assert torch.equal(samples, ganzoo.load(folder).sample(5, seed=3))
    assert not torch.equal(samples, model.sample(5, seed=4))


@pytest.mark.parametrize("more", [6, 256, 257, 600])
def test_more_samples_begin_with_the_same_ones(folder, more):
    model = ganzoo.load(folder)
    torch.testing.assert_close(model.sample(more)[:5], model.sample(5))


def test_no_samples_are_refused(folder):
    with pytest.raises(InputError, match="at least 1"):
        ganzoo.load(folder).sample(0)


def test_loading_draws_nothing(folder):
    before = torch.get_rng_state()
    assert ganzoo.load(folder).discriminator is not None
    assert torch.equal(before, torch.get_rng_state())


def test_saving_twice_gives_the_same_bytes(folder, tmp_path):
    model = ganzoo.load(folder)
    again = tmp_path / "again"
    write_model(again, model.config, model.generator, model.discriminator, folder / "samples.png")
    for file in folder.iterdir():
        assert (again / file.name).read_bytes() == file.read_bytes(), file.name


def without(tensors, name):
    return {key: value for key, value in tensors.items() if key != name}


FIRST = "1.weight"


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: without(tensors, FIRST),
        lambda tensors: {**tensors, "stranger": torch.zeros(1)},
        lambda tensors: {**tensors, FIRST: tensors[FIRST][:1]},
    ],
    ids=["missing", "foreign", "misshapen"],
)
def test_weights_load_strictly(folder, change):
    file = folder / "model.safetensors"
    save_tensors(file, change(load_tensors(file)))
    with pytest.raises(InputError, match="does not fit its network"):
        ganzoo.load(folder)


def test_an_option_of_another_network_does_not_fit(folder):
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config["architecture"]["options"]["base_channels"] = 8
    file.write_text(json.dumps(config))
    with pytest.raises(InputError, match="does not fit its network"):
        ganzoo.load(folder)


@pytest.mark.parametrize("name", ["os:system", "../dcgan", "ganzoo.cli:main", "DCGAN", "dcgan "])
def test_a_file_cannot_name_code(folder, name):
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config["architecture"]["name"] = name
    file.write_text(json.dumps(config))
    with pytest.raises(InputError, match="comes from the package"):
        ganzoo.load(folder)
