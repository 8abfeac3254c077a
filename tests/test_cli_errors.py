"""Bad input of every command: a line or two on standard error, and the right exit code."""

import json
import os
import pickle
import shutil
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import ganzoo
from ganzoo.storage.json_files import JSON_LIMIT
from tiny import sealed


@pytest.fixture(autouse=True)
def _nothing_half_made(tmp_path):
    """Whatever is refused leaves neither a run nor a file that was being written."""
    yield
    assert not (tmp_path / "runs").exists()
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.fixture
def run(tiny_run, tmp_path):
    """A finished run that may be damaged."""
    return Path(shutil.copytree(tiny_run.path, tmp_path / "run"))


@pytest.fixture
def files(tmp_path):
    """A folder of texts, an empty folder, and files that are not what their names say."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "read.me").write_text("no image")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "one.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (tmp_path / "list.txt").write_text("a.png")


REFUSED = {
    # Names.
    "train dcgann": "no architecture is called 'dcgann'; did you mean 'dcgan'?",
    "train dcgan --loss wgangp": "no loss is called 'wgangp'; did you mean 'wgan-gp'?",
    "train dcgan --data digit": "no dataset is called 'digit'; did you mean 'digits'?",
    "eval --floor --data digits --metric fidd": "no evaluator is called 'fidd'; did you mean 'fid'",
    "eval --floor --data digit": "no dataset is called 'digit'; did you mean 'digits'?",
    "eval --floor --data digits --features digit-cnn": (
        "no feature extractor is called 'digit-cnn'; did you mean 'digits-cnn'?"
    ),
    "show dcgann": "nothing is called 'dcgann'; did you mean 'dcgan'?",
    "show zzzzzzzz": "nothing is called 'zzzzzzzz', and no such path exists",
    "list losss": "no kind of component is called 'losss'; did you mean 'losses'?",
    # Options of the parts.
    "train dcgan --set arch.base_chanels=8": (
        "unknown option 'arch.base_chanels'; did you mean 'base_channels'?"
    ),
    "train dcgan --set arch.base_channels=wide": (
        "option 'arch.base_channels': input should be a valid integer"
    ),
    "train dcgan --set arch.base_channels=0": (
        "option 'arch.base_channels': input should be greater than 0, got '0'"
    ),
    "train dcgan --set arch.discriminator_norm=group": (
        "option 'arch.discriminator_norm': input should be 'auto', 'batch'"
    ),
    "train mlp --set arch.hidden=8,x": "option 'arch.hidden': input should be a valid integer",
    "train dcgan --loss wgan-gp --set loss.gp_weight=nan": (
        "option 'loss.gp_weight': input should be a finite number, got 'nan'"
    ),
    "train dcgan --set train.generator_lr=-1": "option 'train.generator_lr': input should be gr",
    "train dcgan --set steps=4": "'steps' does not say whose option it is; did you mean",
    "train dcgan --set train.steps": "--set train.steps: write KEY=VALUE",
    "train dcgan --set arch.z_dim=1 --set arch.z_dim=2": "--set arch.z_dim is given twice",
    "train dcgan --steps 3 --set train.steps=4": "train.steps is given twice: by its own option",
    "train dcgan --image-size 16 --set data.image_size=16": "data.image_size is given twice",
    "eval --floor --data ring --set loss.gp_weight=1": "--set loss.gp_weight: only data.OPTION",
    "eval --floor --data ring --set data.sample=1": "unknown option 'data.sample'; did you mean",
    # Options of the commands.
    "train dcgan --steps many": "option 'train.steps': input should be a valid integer",
    "train dcgan --steps -1": "option 'train.steps': input should be greater than or equal to 0",
    "train dcgan --seed -1": "option 'train.seed': input should be greater than or equal to 0",
    "train dcgan --batch-size 0": "option 'train.batch_size': input should be greater than or",
    "train dcgan --image-size big": "option 'data.image_size': input should be a valid integer",
    "train dcgan --image-size 0": "option 'data.image_size': input should be greater than",
    "train dcgan --checkpoint-every 0": "option 'train.checkpoint_every': input should be greater",
    "train dcgan --device tpu": "no device is called 'tpu'",
    "eval --floor --data ring --device tpu": "no device is called 'tpu'",
    "sample -n 0": "Invalid value for '--num' / '-n'",
    "sample --seed -1": "Invalid value for '--seed'",
    "eval --seed -1": "Invalid value for '--seed'",
    "eval --samples 0": "Invalid value for '--samples'",
    "eval --real-samples 0": "Invalid value for '--real-samples'",
    # Usage.
    "trian dcgan": "No such command 'trian'; did you mean 'train'? Try 'ganzoo --help'.",
    "frobnicate": "No such command 'frobnicate'. Try 'ganzoo --help'.",
    "train dcgan --setps 3": "No such option: --setps",
    "train dcgan --lr 1e-4": (
        "No such option: --lr; did you mean --set train.generator_lr=VALUE and "
        "--set train.discriminator_lr=VALUE?"
    ),
    "train dcgan --learning-rate=1e-4": "did you mean --set train.generator_lr=VALUE and",
    "train dcgan --epochs 3": "No such option: --epochs; did you mean --steps?",
    "train dcgan --batch 3": "No such option: --batch; did you mean --batch-size?",
    "train dcgan --gpu 0": "No such option: --gpu; did you mean --device?",
    "train dcgan --resolution 32": "No such option: --resolution; did you mean --image-size?",
    "train dcgan --z-dim 9": "No such option: --z-dim; did you mean --set arch.z_dim=VALUE?",
    "train dcgan --n-critic 5": "did you mean --set train.n_critic=VALUE?",
    "sweep dcgan --lr 1e-4": "No such option: --lr; did you mean --set train.generator_lr=VALUE",
    "bench dcgan --size 8": "No such option: --size; did you mean --image-size?",
    "train dcgan mlp": "Got unexpected extra argument",
    "train --loss": "Option '--loss' requires an argument.",
    "train dcgan --seed x": "option 'train.seed': input should be a valid integer",
    "eval --seed x": "Try 'ganzoo eval --help'.",
    "train": "name an architecture to train, such as those of 'ganzoo list'",
    "train --resume run --out other": "--resume continues in the run's own folder",
    "train mlp --tracker tensorbord": (
        "no tracker is called 'tensorbord'; did you mean 'tensorboard'?"
    ),
    "train mlp --set tracker.tensorboard.flush_seconds=3": (
        "'tracker.tensorboard.flush_seconds' is an option of no tracker of this run"
    ),
    "train mlp --precision fp8": "option 'train.precision': input should be 'fp32', 'bf16' or",
    "train mlp --precision bf16 --set train.precision=fp32": "train.precision is given twice",
    "show": "Missing argument",
    # Data.
    "train dcgan --data no/such/folder": "there is no folder or file no/such/folder",
    "train dcgan --data ./nope": "there is no folder or file ./nope",
    "train dcgan --data texts": "there are no images in",
    "train dcgan --data empty": "there are no images in",
    "train dcgan --data broken": "none of the 1 images in",
    "train dcgan --data bad.zip": "bad.zip is not a readable zip",
    "train dcgan --data list.txt": "no installed dataset reads list.txt",
    "train dcgan --data missing.zip": "there is no folder or file missing.zip",
    "train dcgan --data folder": "option 'data.path': field required",
    # What does not fit together.
    "train dcgan --data ring": "architecture 'dcgan': images are needed, and these samples are "
    "vectors of 2",
    "train dcgan --image-size 30": "and 30 x 30 stops at 15 x 15; resize it with --image-size",
    "train dcgan --loss wgan-gp --set arch.discriminator_norm=batch": "mixes its batch; use layer",
    "eval --floor --data ring --metric fid": "metric 'fid' cannot judge samples of 2 here",
    "eval --floor": "there is no run under",
    # Models that are not there.
    "sample": "there is no run under",
    "eval": "there is no run under",
    "sample nowhere": "no run or model folder named 'nowhere'",
    "eval nowhere": "no run or model folder named 'nowhere'",
    "sample empty": "empty is not a model folder: it has no manifest.json",
    "eval empty": "empty is not a model folder",
    "show empty": "empty is not a model folder",
    "sample list.txt": "list.txt is a file, and a model is a folder",
    "train --resume nowhere": "there is no run folder nowhere",
    "train --resume empty": "empty is not a run: it has no config.json of one",
    "train --resume list.txt": "there is no run folder list.txt",
}


@pytest.mark.parametrize("command", REFUSED)
def test_bad_input_is_refused(refused, files, tmp_path, command):
    before = sorted(tmp_path.rglob("*"))
    assert REFUSED[command] in refused(*command.split())
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "command", [each for each in REFUSED if each.startswith("train ") and "--resume" not in each]
)
def test_a_dry_run_refuses_whatever_the_training_would(refused, files, tmp_path, command):
    before = sorted(tmp_path.rglob("*"))
    assert REFUSED[command] in refused("train", "--dry-run", *command.split()[1:])
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_warns_of_whatever_the_training_would(ganzoo_cli):
    Path("few").mkdir()
    for i in range(3):
        Image.new("L", (8, 8), i).save(f"few/{i}.png")
    Path("few/torn.png").write_bytes(Path("few/0.png").read_bytes()[:40])
    words = "--data few --steps 0 --precision fp16 --batch-size 9 --device cpu --out run"
    dry = ganzoo_cli("train", "mlp", *words.split(), "--dry-run")
    assert dry.code == 0, dry
    assert not Path("run").exists()
    said = [line for line in dry.err.splitlines() if line]
    assert len(said) == 6, "one cannot be read, and which; fp16 on a CPU; the levels; the batch"
    trained = ganzoo_cli("train", "mlp", *words.split())
    assert trained.err.splitlines()[: len(said)] == said


def test_a_dry_run_downloads_nothing_and_says_what_it_did_not_check(ganzoo_cli):
    dry = ganzoo_cli("train", "mlp", "--data", "mnist", "--set", "data.root=here", "--dry-run")
    assert dry.code == 0, dry
    assert "'mnist' is not here yet" in dry.err
    assert "not checked" in dry.err
    assert not Path("here").exists()


def test_a_dry_run_refuses_a_folder_that_is_taken(run, refused, monkeypatch):
    message = refused("train", "mlp", "--out", "run", "--dry-run")
    assert (
        message == "Error: run exists already; choose another --out, or continue with --resume run"
    )
    Path("file").touch()
    message = refused("train", "mlp", "--out", "file/run", "--dry-run", code=1)
    assert message == f"Error: file/run cannot be made: {Path('file').absolute()} is not a folder"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for given, name in ((["--out", "new/run"], "new/run"), ([], Path("runs").absolute())):
        for dry in (["--dry-run"], []):
            message = refused("train", "mlp", *given, *dry, code=1)
            assert message == (f"Error: {name} cannot be made: {Path.cwd()} cannot be written to")


def test_a_mixing_discriminator_is_refused_whatever_the_architecture(plugin, refused):
    code = """
from torch import nn
from ganzoo import Architecture

class Deaf(Architecture):
    '''Normalises its batch, whatever it is asked.'''
    z_dim: int = 4
    def generator(self, data):
        return nn.Sequential(nn.Linear(4, data.size), nn.Tanh(), nn.Unflatten(1, data.shape))
    def discriminator(self, data, *, independent_samples=False):
        return nn.Sequential(
            nn.Flatten(), nn.Linear(data.size, 4), nn.BatchNorm1d(4), nn.ReLU(),
            nn.Linear(4, 1), nn.Flatten(0),
        )
"""
    plugin("acme", code, {"ganzoo.architectures": {"deaf": "acme:Deaf"}})
    message = refused("train", "deaf", "--loss", "wgan-gp", "--data", "digits", "--device", "cpu")
    assert "this discriminator mixes its batch; use layer normalisation or none" in message


def test_an_existing_folder_is_not_trained_into(run, refused):
    before = sorted(run.rglob("*"))
    message = refused("train", "mlp", "--steps", "1", "--out", "run")
    assert (
        message == "Error: run exists already; choose another --out, or continue with --resume run"
    )
    assert sorted(run.rglob("*")) == before
    Path("file").touch()
    message = refused("train", "mlp", "--steps", "1", "--out", "file")
    assert message == "Error: file exists already; choose another --out"


def test_a_folder_that_cannot_be_made_is_a_failure(refused):
    Path("file").touch()
    message = refused("train", "mlp", "--steps", "1", "--out", "file/run", code=1)
    assert message.startswith("Error: file/run")


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        (["--batch-size", "16"], "train.batch_size: 8 -> 16"),
        (["--seed", "1"], "train.seed: 0 -> 1"),
        (
            ["--loss", "non-saturating"],
            "loss.name: wgan-gp -> non-saturating; loss.options.gp_weight: 10.0 -> None",
        ),
        (["--set", "arch.base_channels=8"], "architecture.options.base_channels: 4 -> 8"),
        (["--image-size", "32"], "data.options.image_size: [16, 16] -> [32, 32]"),
        (["--steps", "8", "--set", "loss.gp_weight=1"], "loss.options.gp_weight: 10.0 -> 1.0"),
    ],
)
def test_a_run_does_not_go_on_under_other_options(run, refused, changes, difference):
    before = (run / "config.json").read_bytes()
    assert refused("train", "--resume", "run", *changes) == (
        f"Error: the run was started under other options: {difference}; train a new run"
    )
    assert (run / "config.json").read_bytes() == before


def test_a_run_may_grow_but_not_shrink(run, refused, ganzoo_cli):
    assert refused("train", "--resume", "run", "--steps", "2") == (
        "Error: run has done 4 steps already, and train.steps is 2"
    )
    assert json.loads((run / "config.json").read_text())["train"]["steps"] == 4
    grown = ganzoo_cli("train", "dcgan", "--resume", "run", "--steps", "6", "--json")
    assert grown.code == 0, grown
    assert json.loads(grown.out)["step"] == 6
    assert json.loads((run / "config.json").read_text())["train"]["steps"] == 6
    assert json.loads((run / "model" / "config.json").read_text())["step"] == 6


def edited(**changes):
    """Return a change of some keys of a JSON file."""

    def edit(text):
        return json.dumps({**json.loads(text), **changes})

    return edit


DAMAGES = {
    "truncated": (lambda text: text[:-20], "cannot be read as JSON"),
    "empty": (lambda text: "", "cannot be read as JSON"),
    "NaN": (lambda text: text.replace('"seed": 0', '"seed": NaN'), "NaN is not JSON"),
    "too big": (lambda text: text + " " * JSON_LIMIT, "it is larger than 1 MiB"),
    "too deep": (lambda text: "[" * 100_000, "cannot be read as JSON"),
    "a list": (lambda text: f"[{text}]", "s configuration: Input should be a valid dictionary"),
    "nothing in it": (lambda text: "{}", "s configuration: architecture: Field required"),
    "a key too many": (edited(surplus=1), "s configuration: surplus: Extra inputs are not permit"),
    "another format": (edited(format=2), "s configuration: format: Input should be 1"),
    "another type": (edited(train=[]), "s configuration: train: Input should be a valid dict"),
    "an infinite number": (
        lambda text: text.replace('"n_critic": 5', '"n_critic": 1e999'),
        "Out of range float values are not JSON compliant",
    ),
    "a part of another shape": (
        edited(architecture={"name": "dcgan"}),
        "s configuration: architecture.package: Field required",
    ),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_configuration_of_a_run_is_named(run, refused, damage, said):
    path = Path("run/config.json")
    text = path.read_text()
    assert damage(text) != text
    path.write_text(damage(text))
    message = refused("train", "--resume", "run")
    assert message.startswith(f"Error: {path} ")
    assert said in message


CHANGED = "is not the file that manifest.json lists: it was changed or damaged; "
OF_A_MODEL = {
    **DAMAGES,
    "too big": (DAMAGES["too big"][0], " bytes, and may have at most 1,048,576"),
}
"""The size of a file is known before the file is there, and so refused before."""


@pytest.mark.parametrize(("damage", "said"), OF_A_MODEL.values(), ids=OF_A_MODEL.keys())
def test_a_damaged_configuration_of_a_model_is_named(run, refused, damage, said):
    path = Path("run/model/config.json")
    text = path.read_text()
    assert damage(text) != text
    path.write_text(damage(text))
    message = refused("sample", "run")
    assert message.startswith(f"Error: {path} {CHANGED}")
    sealed(path.parent)
    message = refused("sample", "run")
    assert message.startswith((f"Error: {path} ", "Error: run: config.json has 1,0"))
    assert said in message
    assert not Path("samples-0.png").exists()


def test_missing_and_unfit_parts_of_a_stored_model_are_named(run, refused):
    path = run / "model" / "config.json"
    config = json.loads(path.read_text())

    def with_architecture(**changes):
        return {**config, "architecture": {**config["architecture"], **changes}}

    options = config["architecture"]["options"]
    for changed, said in (
        (with_architecture(package="acme", version="2"), "not installed here: pip install acme"),
        (with_architecture(name="no-such"), "does not have it: pip install ganzoo=="),
        (
            with_architecture(options={**options, "base_channels": 0}),
            "option 'architecture dcgan: base_channels': input should be greater than 0",
        ),
        (
            with_architecture(options={**options, "surplus": 0}),
            "unknown option 'architecture dcgan: surplus'",
        ),
        (
            with_architecture(options={**options, "base_channels": 5}),
            "model.safetensors does not fit its network: '1.weight' is ",
        ),
        ({**config, "spec": {**config["spec"], "shape": [1, 30, 30]}}, "30 x 30 stops at 15 x 15"),
        ({**config, "spec": {**config["spec"], "shape": [3, 16, 16]}}, "does not fit its network"),
        (
            {**config, "spec": {**config["spec"], "shape": [1, 1, 16, 16]}},
            "a sample is (C, H, W), ",
        ),
    ):
        path.write_text(json.dumps(changed))
        sealed(path.parent)
        assert said in refused("sample", "run")


def test_a_run_that_did_not_finish_has_no_model_yet(run, refused):
    shutil.rmtree(run / "model")
    for command in ("sample", "eval", "show"):
        assert refused(command, "run") == (
            "Error: the run run has no model yet: it did not finish; "
            "continue with: ganzoo train --resume run"
        )


def test_resuming_says_which_package_is_missing(run, refused):
    path = run / "config.json"
    config = json.loads(path.read_text())
    config["loss"].update(package="acme", version="2.0")
    path.write_text(json.dumps(config))
    message = refused("train", "--resume", "run")
    assert "comes from the package acme 2.0, which is not installed here: pip inst" in message


@pytest.mark.parametrize("command", [["sample", "run"], ["eval", "run"], ["show", "run"]])
def test_weights_that_are_damaged_or_foreign_are_refused(run, refused, command):
    path = run / "model" / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert f"{path.relative_to(run.parent)} {CHANGED}" in refused(*command)
    sealed(path.parent)
    assert f"{path.relative_to(run.parent)} cannot be read as safetensors" in refused(*command)
    path.write_bytes(b"")
    sealed(path.parent)
    assert "cannot be read as safetensors" in refused(*command)
    save_file({"weight": torch.zeros(3)}, path)
    sealed(path.parent)
    assert "does not fit its network: it has no '1.weight'" in refused(*command)


class Canary:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.mkdir, (self.path,)


def pickles(folder):
    """Write a canary as a bare pickle, and as torch would save it."""
    bare = folder / "bare.pt"
    bare.write_bytes(pickle.dumps(Canary(folder / "sung")))
    saved = folder / "saved.pt"
    torch.save({"weight": Canary(folder / "sung")}, saved)
    return bare, saved


def test_nothing_in_a_model_is_unpickled(run, refused, tmp_path):
    for file in pickles(tmp_path):
        shutil.copy(file, run / "model" / "model.safetensors")
        assert CHANGED in refused("sample", "run")
        sealed(run / "model")
        assert "cannot be read as safetensors" in refused("sample", "run")
    assert not (tmp_path / "sung").exists()
    pickle.loads(file.with_name("bare.pt").read_bytes())
    assert (tmp_path / "sung").exists()


JUDGE = ["eval", "--floor", "--data", "digits", "--set", "data.image_size=16", "--metric", "fid"]


@pytest.mark.parametrize("extractor", ["digits-cnn", "inception-v3-compat"])
def test_bad_feature_weights_are_refused_and_not_run(refused, tmp_path, extractor):
    (tmp_path / "garbage").write_bytes(b"no weights at all")
    (tmp_path / "nothing").write_bytes(b"")
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, other)
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pt")
    bad = ["missing", "garbage", "nothing", "other.safetensors", "other.pt", "bare.pt", "saved.pt"]
    pickles(tmp_path)
    for name in bad:
        message = refused(*JUDGE, "--features", extractor, "--features-weights", name)
        assert name in message
    assert not (tmp_path / "sung").exists()


def test_without_a_network_both_ways_to_the_weights_are_said(run, refused, monkeypatch):
    def offline(*arguments, **options):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    scores = run / "scores.jsonl"
    before = scores.read_bytes() if scores.exists() else None
    for judged in (["eval", "run", "--samples", "16"], JUDGE):
        message = refused(*judged, "--features", "inception-v3-compat", code=1)
        assert "inception-v3-compat cannot be downloaded from https://" in message
        assert "weights-inception-2015-12-05-6726825d.pth (<urlopen error no route" in message
        assert message.endswith("or pass that file with --features-weights PATH")
    assert (scores.read_bytes() if scores.exists() else None) == before
    assert not [file for file in Path("torch").rglob("*") if file.is_file()]


def test_too_few_samples_are_refused(run, refused):
    assert "2 samples" in refused("eval", "run", "--metric", "fid", "--samples", "1")
    assert "there are 1797" in refused("eval", "run", "--real-samples", "1798")


def test_data_of_another_shape_are_refused(run, refused):
    assert refused("eval", "run", "--data", "ring", "--metric", "modes") == (
        "Error: the model makes samples of 1 x 16 x 16, and the data have 2; choose other --data"
    )


def test_a_file_that_is_there_is_not_replaced(run, refused, tmp_path):
    path = tmp_path / "samples-3.png"
    path.write_text("precious")
    for out in ([], ["--out", path]):
        message = refused("sample", "run", "-n", "2", "--seed", "3", *out)
        assert message.endswith("already exists; choose another --out, or add --force")
    assert path.read_text() == "precious"

    folder = tmp_path / "single"
    folder.mkdir()
    (folder / "seed0-00001.png").write_text("precious")
    assert "seed0-00001.png already exists" in refused("sample", "run", "-n", "2", "--out", folder)
    assert [file.name for file in folder.iterdir()] == ["seed0-00001.png"]


@pytest.mark.parametrize("name", ["samples.csv", "samples.jpg", "samples.safetensors"])
def test_a_file_of_another_kind_is_refused(run, refused, name):
    message = refused("sample", "run", "--out", name)
    assert message == f"Error: --out {name}: write these samples to a .png, a .npy or a folder"
    assert not Path(name).exists()


def test_a_file_that_cannot_be_made_is_a_failure(run, refused):
    Path("file").touch()
    message = refused("sample", "run", "-n", "1", "--out", "file/one.png", code=1)
    assert message.startswith("Error: file: ")
    assert "\n" not in message


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(run, refused, number):
    path = run / "model" / "model.safetensors"
    tensors = load_file(path)
    tensors["1.weight"][0, 0, 0, 0] = number
    save_file(tensors, path)
    sealed(path.parent)
    message = refused("sample", "run", "-n", "1")
    assert message.endswith("holds numbers that are not finite, in '1.weight'")
    assert not Path("samples-0.png").exists()


FAULTY = """
from ganzoo import Architecture

class Faulty(Architecture):
    '''Falls over.'''
    z_dim: int = 4
    def generator(self, data):
        raise RuntimeError("fell over\\nand broke")
    def discriminator(self, data, *, independent_samples=False):
        raise RuntimeError
"""


def test_a_fault_of_a_plugin_is_said_to_be_one(plugin, refused, monkeypatch, capsys):
    plugin("acme", FAULTY, {"ganzoo.architectures": {"faulty": "acme:Faulty"}})
    command = ["train", "faulty", "--loss", "hinge", "--data", "digits", "--device", "cpu"]
    assert refused(*command, code=1) == (
        "Error: RuntimeError: fell over\n"
        "this is a bug in ganzoo or in a plugin; put --debug before the command to see where"
    )
    monkeypatch.setenv("GANZOO_DEBUG", "0")
    refused(*command, code=1)


@pytest.mark.parametrize("by_option", [True, False], ids=["--debug", "GANZOO_DEBUG"])
def test_debugging_shows_where(plugin, ganzoo_cli, monkeypatch, by_option):
    plugin("acme", FAULTY, {"ganzoo.architectures": {"faulty": "acme:Faulty"}})
    monkeypatch.setenv("GANZOO_DEBUG", "0" if by_option else "1")
    command = ["train", "faulty", "--loss", "hinge", "--data", "digits", "--device", "cpu"]
    result = ganzoo_cli(*(["--debug"] if by_option else []), *command)
    assert result.code == 1
    assert "Traceback" in result.err
    assert "in generator" in result.err
    assert "Error: RuntimeError: fell over" in result.err


@pytest.fixture
def translator(tmp_path):
    """A finished run of a model that translates images."""
    for name in ("cats", "dogs"):
        for i in range(2):
            (tmp_path / "pets" / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (24, 24), (i, 90, 200)).save(tmp_path / "pets" / name / f"{i}.png")
    settings = {"arch.base_channels": 2, "arch.blocks": 0}
    ganzoo.train("cyclegan", data="pets", out="translator", settings=settings, steps=0)


TRANSLATED = {
    "translator": "this model translates images: pass some with --source",
    "translator --label dogs": "this model translates images: pass some with --source",
    "translator --source pets": "--source needs --label, the class to translate to: cats or dogs",
    "translator --source pets --label cow": "no class is called 'cow'; there are cats, dogs",
    "translator --source pets --label dog": "no class is called 'dog'; did you mean 'dogs'?",
    "translator --source pets --label 2": "no class is called '2'",
    "translator --source petz --label dogs": "no dataset is called 'petz'",
    "translator --source no/where --label dogs": "there is no folder or file no/where",
    "translator --source ring --label dogs": "translates images of 3 x 24 x 24, not of 2",
    "translator --source pets --label dogs --out x.csv": "write these samples to a .png, a .npy or",
    "translator --source pets --label dogs --out full": "already exists; choose another --out",
    "run --source pets": "this model starts from noise: drop --source",
    "run --source pets --label 1": "this model starts from noise: drop --source",
    "run --label 3": "this model has no classes to choose from: drop --label",
    "run --label cow": "this model has no classes to choose from: drop --label",
}


def test_bad_labels_and_sources_are_refused(run, translator, refused, tmp_path):
    (tmp_path / "full" / "dogs").mkdir(parents=True)
    (tmp_path / "full" / "dogs" / "1.png").touch()
    before = sorted(tmp_path.rglob("*"))
    for command, said in TRANSLATED.items():
        assert said in refused("sample", *command.split()), command
        assert sorted(tmp_path.rglob("*")) == before
