"""Models: the folder, and what comes out of it."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
import torch

import ganzoo
from ganzoo.compute import memory
from ganzoo.errors import InputError
from ganzoo.evaluation.compare import compare
from ganzoo.models.write import write_model
from ganzoo.storage.json_files import JSON_LIMIT
from ganzoo.storage.tensors import load_tensors, save_tensors
from tiny import TINY, sealed


@pytest.fixture
def folder(tiny_run, tmp_path):
    """A copy of a model folder, apart from its run."""
    return shutil.copytree(tiny_run.model, tmp_path / "model")


def test_the_folder_holds_what_is_published(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "discriminator.safetensors",
        "manifest.json",
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
        ganzoo.load(sealed(folder))


def test_an_option_of_another_network_does_not_fit(folder):
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config["architecture"]["options"]["base_channels"] = 8
    file.write_text(json.dumps(config))
    with pytest.raises(InputError, match="does not fit its network"):
        ganzoo.load(sealed(folder))


@pytest.mark.parametrize("name", ["os:system", "../dcgan", "ganzoo.cli:main", "DCGAN", "dcgan "])
def test_a_file_cannot_name_code(folder, name):
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config["architecture"]["name"] = name
    file.write_text(json.dumps(config))
    with pytest.raises(InputError, match="comes from the package"):
        ganzoo.load(sealed(folder))


# The manifest


@pytest.fixture(scope="module")
def judged_run(tmp_path_factory):
    """A run with a best snapshot; to be read, not changed."""
    settings = {"arch.hidden": (4,), "data.image_size": 8, "train.eval_metric": ("fid",)}
    out = tmp_path_factory.mktemp("judged") / "run"
    return ganzoo.train("mlp", data="digits", out=out, settings=settings, **TINY, eval_every=2)


@pytest.fixture
def best(judged_run):
    """The best snapshot of a run that may be damaged, from the working folder."""
    return Path(shutil.copytree(judged_run.path, "run")) / "best"


LOADED = {
    "config.json": ganzoo.load,
    "model.safetensors": ganzoo.load,
    "discriminator.safetensors": lambda folder: ganzoo.load(folder).discriminator,
    "scores.json": lambda folder: compare([folder]),
}
"""What reads each file of a model that means something."""


def refusal(read, folder):
    """Return the one line by which a model is refused."""
    with pytest.raises(InputError) as caught:
        read(folder)
    (line,) = str(caught.value).splitlines()
    return line


def test_the_manifest_lists_every_other_file(tiny_run, judged_run):
    for folder in (tiny_run.model, judged_run.model, judged_run.best):
        contents = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert json.loads(contents.pop("manifest.json")) == {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in contents.items()
        }
    assert "scores.json" in contents


@pytest.mark.parametrize("name", LOADED)
def test_a_changed_byte_is_refused(best, name):
    LOADED[name](best)
    file = best / name
    whole = file.read_bytes()
    for at in (0, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert refusal(LOADED[name], best) == (
            f"run/best/{name} is not the file that manifest.json lists: it was changed or damaged; "
            "copy or train the model again"
        )
    for changed in (whole[:-1], whole + b" ", b""):
        file.write_bytes(changed)
        assert refusal(LOADED[name], best).startswith(f"run/best/{name} is not the file that ")
    file.unlink()
    assert refusal(LOADED[name], best) == f"run/best/{name} is missing"


def test_the_command_line_says_it_in_a_line(best, refused):
    (best / "model.safetensors").write_bytes(b"")
    for command in ("sample", "show", "eval"):
        message = refused(command, best)
        assert message.startswith("Error: run/best/model.safetensors is not the file that ")
        assert "\n" not in message


@pytest.mark.parametrize("name", ["README.md", "samples.png"])
def test_what_only_people_look_at_may_be_changed(best, name):
    before = ganzoo.load(best).sample(3)
    for change in (lambda file: file.write_bytes(b"my own"), Path.unlink):
        change(best / name)
        for read in LOADED.values():
            read(best)
        assert torch.equal(ganzoo.load(best).sample(3), before)


def test_a_file_beside_those_of_the_manifest_is_no_part_of_the_model(folder, best):
    shutil.copy(best / "scores.json", folder)
    assert "none of these models has scores" in refusal(LOADED["scores.json"], folder)


def record(**changes):
    return json.dumps({"config.json": {"size": 1, "sha256": "0" * 64, **changes}})


def named(name):
    return json.dumps({name: {"size": 1, "sha256": "0" * 64}})


NO_LIST = "manifest.json is not a list of files with their sizes and hashes"
MANIFESTS = {
    "no JSON": ("{", "manifest.json cannot be read as JSON"),
    "empty": ("", "manifest.json cannot be read as JSON"),
    "too large": (" " * JSON_LIMIT + "{}", "it is larger than 1 MiB"),
    "a file twice": ('{"a": {}, "a": {}}', "a key stands twice in one object"),
    "a list": ("[]", NO_LIST),
    "a text": ('"config.json"', NO_LIST),
    "null": ("null", NO_LIST),
    "no records": ('{"config.json": 3}', NO_LIST),
    "half a record": ('{"config.json": {"size": 3}}', NO_LIST),
    "more than a record": (record(url="https://example.com"), NO_LIST),
    "a negative size": (record(size=-1), NO_LIST),
    "half a byte": (record(size=0.5), NO_LIST),
    "no size": (record(size=None), NO_LIST),
    "a short hash": (record(sha256="0" * 63), NO_LIST),
    "no hash": (record(sha256="x" * 64), NO_LIST),
    "a path out of it": (named("../x"), NO_LIST),
    "a path from the root": (named("/x"), NO_LIST),
    "a path within": (named("a/x"), NO_LIST),
    "a path of Windows": (named("..\\x"), NO_LIST),
    "the folder": (named("."), NO_LIST),
    "the folder above": (named(".."), NO_LIST),
    "no name": (named(""), NO_LIST),
    "two lines": (named("x\n"), NO_LIST),
    "nothing": ("{}", "has no config.json: its manifest.json does not list it"),
}


@pytest.mark.parametrize(("text", "said"), MANIFESTS.values(), ids=MANIFESTS)
def test_a_damaged_manifest_is_refused(folder, text, said):
    (folder / "manifest.json").write_text(text)
    assert said in refusal(ganzoo.load, folder)


def test_without_a_manifest_there_is_no_model(folder):
    (folder / "manifest.json").unlink()
    assert refusal(ganzoo.load, folder) == (
        f"{folder} is not a model folder: it has no manifest.json"
    )


def claim(folder, name, size):
    """Let the manifest say that a file is of another size."""
    records = json.loads((folder / "manifest.json").read_text())
    records[name]["size"] = size
    (folder / "manifest.json").write_text(json.dumps(records))


@pytest.mark.parametrize(
    "size", [2**40, 2**64, 10**30, 10**4000], ids=["2**40", "2**64", "10**30", "10**4000"]
)
@pytest.mark.parametrize("name", LOADED)
def test_a_size_that_no_such_file_has_is_refused_before_it_is_read(best, name, size):
    claim(best, name, size)
    (best / name).unlink()
    said = (
        "does not fit its network: it has"
        if "safetensors" in name
        else "bytes, and may have at most"
    )
    assert said in refusal(LOADED[name], best)


def test_a_network_is_no_larger_than_the_memory_whatever_the_manifest_claims(folder, monkeypatch):
    monkeypatch.setenv(memory.VARIABLE, "1")
    config = json.loads((folder / "config.json").read_text())
    config["architecture"]["options"]["z_dim"] = 10**9
    (folder / "config.json").write_text(json.dumps(config))
    claim(sealed(folder), "model.safetensors", 4 * 10**11)
    assert "the network is too large" in refusal(ganzoo.load, folder)
