"""Hostile and broken input: refused in a line or two, before anything hangs or grows."""

import errno
import io
import json
import os
import shutil
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

import ganzoo
from ganzoo import open_dataset
from ganzoo.compute import memory
from ganzoo.compute.devices import resolve_device
from ganzoo.display.messages import MAX_LINE
from ganzoo.errors import GanzooError, InputError, name_errors
from ganzoo.media.images import grid, resize, to_uint8
from ganzoo.models.generation import MAX_NUMBERS
from ganzoo.models.size_check import build_on_meta
from ganzoo.protocols.dataset import LARGEST_SAMPLE, DataSpec
from ganzoo.runs.scores import write_scores
from ganzoo.storage.files import sha256
from ganzoo.storage.json_files import append_line, read_json
from ganzoo.storage.tensors import load_tensors
from ganzoo.training import checkpoint
from ganzoo_zoo.data import sources
from ganzoo_zoo.data.files import ImageFolder, ImageZip
from test_compare import ROW
from tiny import TINY, sealed

ON_POSIX = pytest.mark.skipif(os.name == "nt", reason="pipes and devices are files elsewhere")
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def run(tiny_run, tmp_path):
    """A finished run that may be damaged."""
    return Path(shutil.copytree(tiny_run.path, tmp_path / "run"))


@pytest.fixture
def model(run, tmp_path):
    """A model folder that may be damaged."""
    return Path(shutil.move(run / "model", tmp_path / "model"))


def edit(path, *way, value):
    """Set one value in a JSON file."""
    tree = part = json.loads(path.read_text())
    for key in way[:-1]:
        part = part[key]
    part[way[-1]] = value
    path.write_text(json.dumps(tree))


def picture(value=(9, 9, 9), size=(8, 8)):
    buffer = io.BytesIO()
    Image.new("RGB", size, value).save(buffer, "PNG")
    return buffer.getvalue()


# What is no regular file


def put(kind, path):
    """Put something that is no regular file in a file's place."""
    path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.symlink_to(path.name)


@ON_POSIX
@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "loop"])
def test_only_regular_files_are_opened(run, refused, tmp_path, kind):
    shutil.copytree(run / "model", "model")
    put(kind, Path("model/config.json"))
    assert "model/config.json" in refused("show", "model")
    put(kind, run / "model" / "model.safetensors")
    assert refused("sample", "run").startswith("Error: run/model/model.safetensors ")
    put(kind, run / "model" / "manifest.json")
    assert "the run run has no model yet" in refused("sample", "run")
    put(kind, tmp_path / "weights.safetensors")
    judge = ["eval", "--floor", "--data", "digits", "--metric", "fid", "--features", "digits-cnn"]
    assert "weights.safetensors" in refused(*judge, "--features-weights", "weights.safetensors")
    put(kind, tmp_path / "images.zip")
    with pytest.raises(InputError):
        open_dataset(str(tmp_path / "images.zip"))
    put(kind, run / "scores.jsonl")
    with pytest.raises((InputError, OSError), match="scores"):
        append_line(run / "scores.jsonl", {"value": 1})


@ON_POSIX
@pytest.mark.parametrize("kind", ["pipe", "device", "loop"])
def test_an_image_that_is_no_regular_file_is_named(tmp_path, kind):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(picture())
    put(kind, folder / "b.png")
    samples = ImageFolder(path=str(folder)).read()
    assert len(samples) == 1
    assert samples.skipped[0].startswith("b.png: ")


@ON_POSIX
@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "loop"])
@pytest.mark.parametrize("name", ["generator.safetensors", "manifest.json", "state.json"])
def test_such_a_checkpoint_is_passed_over(run, ganzoo_cli, kind, name):
    put(kind, run / "checkpoints" / "00000004" / name)
    result = ganzoo_cli("train", "--resume", "run")
    assert result.code == 0, result
    assert "checkpoint run/checkpoints/00000004 is damaged and is skipped" in result.err


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "images" / "locked").mkdir(parents=True)
    (tmp_path / "images" / "a.png").write_bytes(picture())
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match=r"the folder .*locked cannot be read: Permission denied"):
        ImageFolder(path=str(tmp_path / "images")).read()


def test_an_image_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(picture())
    whole = Path.read_bytes

    def read_bytes(path):
        if path.name == "b.png":
            raise PermissionError(errno.EACCES, "Permission denied")
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    samples = ImageFolder(path=str(tmp_path)).read()
    assert samples.skipped == ("b.png: [Errno 13] Permission denied",)


# Names


STRANGE = ["²", "٣", "00000003x", "-0000001", "0000003", "+0000003", " 0000003", "1e8", "..."]


def test_only_steps_in_digits_are_checkpoints(run):
    for name in STRANGE:
        (run / "checkpoints" / name).mkdir()
    (run / "checkpoints" / "00000009").touch()
    assert checkpoint.steps(run / "checkpoints") == [2, 4]
    (run / "checkpoints" / "99999999999999999999").mkdir()
    assert checkpoint.steps(run / "checkpoints")[-1] == 99999999999999999999


def test_a_checkpoint_of_a_step_that_nobody_did_is_passed_over(run, ganzoo_cli):
    (run / "checkpoints" / "99999999999999999999").mkdir()
    result = ganzoo_cli("train", "--resume", "run")
    assert result.code == 0, result
    assert "99999999999999999999 is damaged and is skipped" in result.err


NASTY = "x\n\x1b[31mError: y\r\n" + "z" * 3000


def test_names_in_files_cannot_speak_to_the_terminal(model, refused, ganzoo_cli):
    edit(model / "config.json", "architecture", "package", value=NASTY)
    sealed(model)
    message = refused("sample", "model")
    assert "\x1b" not in message
    assert "architecture.package: " in message
    assert len(message) < MAX_LINE
    edit(model / "config.json", "architecture", "package", value="ganzoo")
    edit(model / "config.json", "data", "options", "note", value=NASTY)
    sealed(model)
    shown = ganzoo_cli("show", "model")
    assert shown.code == 0
    assert "\x1b" not in shown.out
    assert "note=x\\n\\x1b[31mError: y" in shown.out


SPEAKING = ["a\nError: all is well", "\x1b[2Ja", "\u202ea", "a\r\nb", "a\x85b\u2028c"]
"""Names that begin a line, clear the screen or turn the text round."""


@pytest.fixture
def strange_classes(tmp_path):
    """Train a conditional model on folders of such names."""
    for name in ("fine", *SPEAKING):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        (folder / "a.png").write_bytes(picture())
    settings = {"arch.hidden": [4], "arch.conditional": True}
    return ganzoo.train("mlp", data="images/", out="run", settings=settings, **{**TINY, "steps": 0})


@pytest.mark.skipif(os.name == "nt", reason="no folder has such a name there")
def test_names_of_classes_cannot_speak_to_the_terminal(strange_classes, refused):
    assert set(ganzoo.load("run").config.spec.class_names) == {"fine", *SPEAKING}
    message = refused("sample", "run", "--label", "nothing of the kind")
    assert "no class is called 'nothing of the kind'" in message
    assert message.isprintable()
    assert message.count("Error") == 2


@pytest.mark.skipif(os.name == "nt", reason="no folder has such a name there")
def test_a_class_that_cannot_be_printed_names_no_folder(strange_classes, ganzoo_cli):
    assert ganzoo_cli("sample", "run", "-n", "6", "--out", "drawn").code == 0
    assert all(path.name.isprintable() for path in Path("drawn").rglob("*"))
    assert Path("drawn/fine").is_dir()


@pytest.mark.parametrize("name", SPEAKING)
def test_an_error_is_one_line_and_its_hint_another(name):
    for hint in ("", "a hint"):
        error = InputError(f"no {name}", hint)
        first, _, second = str(error).partition("\n")
        assert first.isprintable()
        assert second == hint
        assert f"{error}".isprintable()
        assert hint in f"{error}"
        with pytest.raises(InputError) as caught, name_errors("model 'x'"):
            raise error
        assert str(caught.value) == f"model 'x': {first}\n{hint}".rstrip()


@pytest.mark.parametrize("name", [*SPEAKING, "\x9b2J"])
def test_scores_cannot_speak_to_the_terminal(model, ganzoo_cli, name):
    row = ROW.model_copy(update={"metric": name, "data": {**ROW.data, "name": name}})
    write_scores(model, [row])
    sealed(model)
    shown = ganzoo_cli("compare", "model")
    assert shown.code == 0
    assert all(line.isprintable() for line in shown.out.split("\n"))
    whole = ganzoo_cli("compare", "model", "--json").out
    assert all(line.isprintable() for line in whole.split("\n"))
    assert json.loads(whole)["groups"][0]["metric"] == name


def test_the_name_of_a_file_begins_no_line(ganzoo_cli, monkeypatch):
    def fail(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", SPEAKING[0])

    monkeypatch.setattr("ganzoo.evaluation.compare.find_model", fail)
    said = ganzoo_cli("compare", "model").err
    assert said.startswith("Error: a\\nError: all is well: Permission denied")
    assert len(said.splitlines()) == 1


def test_names_of_images_cannot_speak_to_the_terminal(ganzoo_cli, tmp_path):
    with zipfile.ZipFile("images.zip", "w") as archive:
        archive.writestr("a.png", picture())
        archive.writestr("b\n\x1b[31m.png", b"")
    options = ["--set", "arch.hidden=4", "--steps", "0", "--device", "cpu", "--out", "run"]
    result = ganzoo_cli("train", "mlp", "--data", "images.zip", *options)
    assert result.code == 0, result
    assert "skipped b\\n\\x1b[31m.png: " in result.err


def test_a_second_line_is_kept(ganzoo_cli, plugin):
    code = "from ganzoo import Loss\nraise ValueError('first\\nsecond')"
    plugin("acme", code, {"ganzoo.losses": {"acme": "acme:Acme"}})
    assert ganzoo_cli("show", "acme").err.count("\n") == 1


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
def test_class_folders_may_have_names_that_are_no_unicode(tmp_path, ganzoo_cli):
    for name in (b"cats", b"\xff\xfe"):
        folder = os.path.join(os.fsencode(tmp_path), b"images", name)
        os.makedirs(folder)
        with open(os.path.join(folder, b"\xfe.png"), "wb") as file:
            file.write(picture())
    options = ["--set", "arch.hidden=4", "--steps", "0", "--device", "cpu", "--out", "run"]
    result = ganzoo_cli("train", "mlp", "--data", "images", *options)
    assert result.code == 0, result
    assert ganzoo.load("run").config.spec.class_names == ("cats", "\\xff\\xfe")


PATHS = {
    "train mlp --data ~nobody-of-that-name/x": "there is no such home folder",
    "show ~nobody-of-that-name": "there is no such home folder",
    "sample ~nobody-of-that-name": "there is no such home folder",
    "train mlp --data folder --set data.path=~nobody-of-that-name": "there is no such home folder",
    "sample " + 300 * "x": "File name too long",
    "train mlp --data folder --set data.path=loop/x": "loop",
    "train mlp --device cuda:" + 5000 * "9": "this machine has no device",
    "train mlp --set arch.hidden=" + 5000 * "9": "option 'arch.hidden': ",
    "sample model --label " + 5000 * "9": "no classes",
}


@pytest.mark.parametrize("command", PATHS, ids=lambda command: command[:40])
def test_odd_paths_and_numbers_are_refused(model, refused, command):
    Path("loop").symlink_to("loop")
    assert PATHS[command] in refused(*command.split())


def test_a_class_is_called_by_its_number_in_plain_digits():
    spec = DataSpec(shape=(1, 8, 8), classes=12)
    assert spec.class_index("11") == spec.class_index("011") == 11
    for name in ("12", "-1", "٣", "9" * 5000, "1_0", ""):
        with pytest.raises(InputError, match="no class is called"):
            spec.class_index(name)


def test_a_path_that_no_text_file_can_hold_is_refused():
    with pytest.raises(InputError, match="is not a usable path"):
        ImageFolder(path="a\udcffb")
    with pytest.raises(InputError, match="is not a usable path"):
        ImageFolder(path="a\0b")


# JSON


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', "a key stands twice in one object"),
        ('{"a": "\\ud800"}', "surrogates not allowed"),
        ("[" * 33 + "]" * 33, "it is deeper than 32 levels"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("9" * 5000, "cannot be read as JSON"),
        ("[1e999]", "not JSON compliant"),
        ("[-Infinity]", "-Infinity is not JSON"),
    ],
    ids=lambda text: text[:20],
)
def test_what_json_may_not_hold(tmp_path, text, said):
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"file\.json cannot be read as JSON") as caught:
        read_json(path)
    assert said in str(caught.value)


def test_json_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "file.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(InputError, match="can't decode byte 0xff"):
        read_json(tmp_path / "file.json")


# Models


HUGE = {
    ("architecture", "options", "z_dim"): [0, -1, "x", 10**12, 10**30, None, 1.5],
    ("architecture", "options", "base_channels"): [10**6, 10**9, 10**30],
    ("spec", "shape"): [[3, 10**6, 10**6], [1, 2**13, 2**13], [2, 16, 16], [0], [1, 16], [[1]]],
    ("spec", "classes"): [10**12, 0, "x"],
    ("spec", "modes"): [[[1.0]], 3],
    ("step",): [-1, "x", None],
    ("train", "n_critic"): [10**12],
    ("train", "batch_size"): [10**12, -1],
    ("train", "generator_lr"): [1e300, 0, "x"],
    ("train", "betas"): [[10**400, 0.9], [None, []], "x"],
}


@pytest.mark.parametrize("way", HUGE, ids=".".join)
def test_a_model_cannot_ask_for_more_than_it_holds(model, refused, monkeypatch, way):
    def build(*arguments, **options):
        raise AssertionError("memory was taken")

    text = (model / "config.json").read_text()
    real = nn.init.normal_
    monkeypatch.setattr(
        nn.init, "normal_", lambda t, *a: real(t, *a) if t.is_meta else build(t, *a)
    )
    for value in HUGE[way]:
        edit(model / "config.json", *way, value=value)
        message = refused("sample", sealed(model))
        assert message.startswith("Error: "), value
        assert "manifest.json" not in message, value
        (model / "config.json").write_text(text)


def test_a_network_of_countless_tensors_is_refused(tmp_path, refused):
    options = {"arch.hidden": (3,), "arch.z_dim": 2, "data.samples": 10}
    ganzoo.train("mlp", data="ring", steps=0, out="deep", settings=options, device="cpu")
    edit(Path("deep/model/config.json"), "architecture", "options", "hidden", value=[3] * 100_000)
    sealed(Path("deep/model"))
    assert "the network is too large" in refused("show", "deep")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.int32])
def test_weights_of_another_type_are_refused(model, refused, dtype):
    path = model / "model.safetensors"
    tensors = load_file(path)
    tensors["1.weight"] = tensors["1.weight"].to(dtype)
    save_file(tensors, path)
    sealed(model)
    assert refused("show", "model").endswith(f"'1.weight' is {dtype}, not torch.float32")


def test_a_discriminator_is_read_as_strictly(model):
    path = model / "discriminator.safetensors"
    tensors = load_file(path)
    tensors["0.bias"][0] = float("inf")
    save_file(tensors, path)
    with pytest.raises(InputError, match="not finite"):
        ganzoo.load(sealed(model)).discriminator  # noqa: B018


def with_header(path, header, data=b""):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_a_header_that_claims_gigabytes_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    entry = {"dtype": "F32", "shape": [10**10], "data_offsets": [0, 4 * 10**10]}
    with_header(path, {"a": entry})
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        load_tensors(path)
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        load_tensors(path)


def test_shapes_are_compared_before_numbers_are_read(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(4)}, path)
    monkeypatch.setattr("safetensors.torch.load_file", None)
    with pytest.raises(InputError, match=r"'a' is \(4,\), not \(5,\)"):
        load_tensors(path, {"a": torch.zeros(5)})
    with pytest.raises(InputError, match="it has no 'b'"):
        load_tensors(path, {"b": torch.zeros(4)})
    with pytest.raises(InputError, match="it has 'a', which belongs to no part"):
        load_tensors(path, {})


def test_a_network_that_fails_on_its_options_is_named(plugin, refused):
    code = """
from torch import nn
from ganzoo import Architecture

class Picky(Architecture):
    '''Divides by an option.'''
    z_dim: int = 4
    def generator(self, data):
        return nn.Sequential(nn.Linear(4 // self.z_dim * 4, data.size))
    def discriminator(self, data, *, independent_samples=False):
        return nn.Sequential(nn.Linear(data.size, 1), nn.Flatten(0))
"""
    plugin("acme", code, {"ganzoo.architectures": {"picky": "acme:Picky"}})
    ganzoo.train("picky", "hinge", "ring", steps=0, out="run", device="cpu")
    edit(Path("run/model/config.json"), "architecture", "options", "z_dim", value=0)
    sealed(Path("run/model"))
    message = refused("show", "run")
    assert "the network of run/model/model.safetensors cannot be built: ZeroDivisionErr" in message


def test_networks_without_an_outline_are_still_loaded(plugin):
    code = """
from torch import nn
from ganzoo import Architecture

class Solid(Architecture):
    '''Looks at its first weights.'''
    z_dim: int = 4
    def generator(self, data):
        layer = nn.Linear(4, data.size)
        layer.weight.data /= layer.weight.norm().item()
        return layer
    def discriminator(self, data, *, independent_samples=False):
        return nn.Sequential(nn.Linear(data.size, 1), nn.Flatten(0))
"""
    plugin("acme", code, {"ganzoo.architectures": {"solid": "acme:Solid"}})
    run = ganzoo.train("solid", "hinge", "ring", steps=1, out="run", device="cpu")
    assert ganzoo.load(run).sample(2).shape == (2, 2)


# Checkpoints


def rewritten(folder, **changes):
    """Change files of a checkpoint, and its manifest with them."""
    for name, change in changes.items():
        path = folder / f"{name}.safetensors"
        save_file(change(load_file(path)), path)
    records = {
        path.name: {"size": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.iterdir())
        if path.name != "manifest.json"
    }
    (folder / "manifest.json").write_text(json.dumps(records))


OPTIMIZERS = {
    "another shape": lambda tensors: {**tensors, "0.exp_avg": torch.zeros(1, 2)},
    "a stranger": lambda tensors: {**tensors, "99.exp_avg": torch.zeros(3)},
    "no number": lambda tensors: {**tensors, "x.exp_avg": torch.zeros(3)},
    "a negative one": lambda tensors: {**tensors, "-1.exp_avg": torch.zeros(3)},
    "another type": lambda tensors: {**tensors, "0.step": tensors["0.step"].bool()},
    "a part of it": lambda tensors: {k: v for k, v in tensors.items() if k != "0.exp_avg"},
}


@pytest.mark.parametrize("change", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_an_optimiser_of_another_network_is_passed_over(run, ganzoo_cli, change):
    rewritten(run / "checkpoints" / "00000004", generator_optimizer=change)
    result = ganzoo_cli("train", "--resume", "run")
    assert result.code == 0, result
    assert "00000004 is damaged and is skipped: " in result.err


@pytest.mark.parametrize("text", ["[]", "3", "null", '"x"', "{}", '{"a": []}', '{"state.json": 1}'])
def test_a_manifest_of_another_form_is_passed_over(run, ganzoo_cli, text):
    (run / "checkpoints" / "00000004" / "manifest.json").write_text(text)
    result = ganzoo_cli("train", "--resume", "run")
    assert result.code == 0, result
    assert "00000004 is damaged and is skipped: " in result.err


# Memory


def test_the_limit_is_the_machines_memory_or_what_is_set(monkeypatch):
    monkeypatch.delenv(memory.VARIABLE, raising=False)
    assert memory.limit() > memory.GIB // 2
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert memory.limit() == memory.DEFAULT_LIMIT
    monkeypatch.setenv(memory.VARIABLE, "0.5")
    assert memory.limit() == memory.GIB // 2
    memory.require(memory.GIB // 2, "this")
    with pytest.raises(InputError, match=r"this would take 0\.6 GiB of memory, and the limit is 0"):
        memory.require(memory.GIB * 6 // 10, "this")
    for text in ("0", "-1", "much", "nan", "inf"):
        monkeypatch.setenv(memory.VARIABLE, text)
        with pytest.raises(InputError, match="must be a number of GiB"):
            memory.limit()


def test_an_outline_takes_no_memory_and_draws_nothing():
    before = torch.get_rng_state()
    outline = build_on_meta(lambda: nn.Linear(1000, 1000), 8_000_000)
    assert outline.weight.is_meta
    assert torch.equal(before, torch.get_rng_state())
    for build in (
        lambda: nn.Linear(10**5, 10**5),
        lambda: nn.BatchNorm1d(10**7),
        lambda: nn.Linear(10**12, 10**12),
        lambda: nn.Linear(10**30, 1),
    ):
        with pytest.raises(InputError, match="the network is too large"):
            build_on_meta(build, 8_000_000)
    assert build_on_meta(lambda: nn.Linear(1, 1).weight.item()) is None

    def replace_buffers():
        layer = nn.BatchNorm1d(1000)
        for _ in range(100):
            layer.running_mean = torch.zeros(1000)
        return layer

    assert build_on_meta(replace_buffers, 40_000, 10) is not None, "one counts in place of another"
    nn.Linear(2000, 2000)  # and what is built later is not counted


def test_samples_that_do_not_fit_are_refused(model, refused):
    message = refused("sample", "model", "-n", 10**12)
    assert message.startswith("Error: 1000000000000 samples would take ")
    assert refused("sample", "model", "-n", 10**30, "--out", "single")


def test_large_samples_are_made_few_at_a_time(model, monkeypatch):
    loaded = ganzoo.load(model)
    wanted = to_uint8(loaded.sample(9))
    sizes = []
    loaded.generator.register_forward_hook(lambda module, given, out: sizes.append(len(out)))
    monkeypatch.setattr("ganzoo.models.generation.MAX_NUMBERS", 2 * 16 * 16)
    found = to_uint8(loaded.sample(9))
    assert sizes == [2, 2, 2, 2, 1]
    assert (found.int() - wanted.int()).abs().max() <= 1
    assert MAX_NUMBERS >= 256 * 3 * 256 * 256


TOYS = {
    "ring": {"samples": 10**12, "count": 10**12, "radius": 1e300, "std": float("nan")},
    "grid": {"side": 10**6, "spacing": -1},
    "gaussian": {"dimensions": 10**12, "std": 1e39},
    "blobs": {"distance": 1e300, "std": 0},
    "line": {"samples": 10**12, "length": -1},
    "spiral": {"turns": 1e6, "radius": float("inf")},
    "moons": {"std": 1e39},
    "drawn": {"strokes": "0,0 " * 2001, "width": 2},
}


@pytest.mark.parametrize("name", TOYS)
def test_points_without_bounds_are_refused(name):
    for option, value in TOYS[name].items():
        with pytest.raises(InputError, match=f"option 'data.{option}': "):
            open_dataset(name, **{option: value})


def test_sets_that_do_not_fit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(memory.VARIABLE, "0.01")
    with pytest.raises(InputError, match="points would take"):
        open_dataset("gaussian", dimensions=10_000, samples=10_000)
    with pytest.raises(InputError, match="images of 512 x 512 would take"):
        open_dataset("digits", image_size=512)
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(picture(size=(1000, 1000)))
    # Images stay on the disk then; where that is impossible too, both are said.
    assert open_dataset(str(tmp_path)).streamed
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "file"))
    with pytest.raises(GanzooError, match=r"images in .* take 0.0 GiB, .* too much for the memory"):
        open_dataset(str(tmp_path))
    assert len(open_dataset(str(tmp_path), image_size=64)) == 4


def test_a_sample_has_a_largest_size():
    DataSpec(shape=(4, 4096, 4096))
    with pytest.raises(InputError, match="a sample has at most"):
        DataSpec(shape=(LARGEST_SAMPLE + 1,))
    with pytest.raises(InputError, match="a mode is as long as a sample"):
        DataSpec(shape=(2,), modes=((1.0,),), mode_std=0.1)


def test_resizing_in_parts_changes_nothing(monkeypatch):
    images = torch.randint(0, 256, (7, 3, 9, 9), dtype=torch.uint8)
    wanted = resize(images, (5, 6))
    monkeypatch.setattr("ganzoo.media.images.MAX_NUMBERS", 500)
    assert torch.equal(resize(images, (5, 6)), wanted)
    assert grid(images).dtype == torch.uint8


# Images and zips


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_16_bits_in_each_colour_become_8(tmp_path):
    row = np.array([40_000, 0, 65_535, 255, 256, 511], ">u2").tobytes()
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    data = PNG + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + row))
    (tmp_path / "a.png").write_bytes(data + chunk(b"IEND", b""))
    samples = ImageFolder(path=str(tmp_path)).read()
    assert samples.stored[0, :, 0].T.tolist() == [[156, 0, 255], [0, 1, 1]]


@pytest.mark.parametrize(("kind", "name"), [("PNG", "a.png"), ("WEBP", "a.webp")])
def test_the_first_frame_of_an_animation_counts(tmp_path, kind, name):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((250, 0, 0), (0, 0, 250))]
    more = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(tmp_path / name, kind, save_all=True, append_images=frames[1:], **more)
    samples = ImageFolder(path=str(tmp_path)).read()
    assert samples.stored[0, :, 0, 0].tolist() == [250, 0, 0]


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_an_image_without_pixels_is_named(tmp_path, size):
    header = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    data = PNG + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(data)
    (tmp_path / "b.png").write_bytes(picture())
    samples = ImageFolder(path=str(tmp_path)).read()
    assert [what.partition(":")[0] for what in samples.skipped] == ["a.png"]


def test_a_format_that_starts_programs_is_not_tried(tmp_path, monkeypatch):
    text = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    (tmp_path / "a.png").write_bytes(text)
    (tmp_path / "b.png").write_bytes(picture())
    samples = ImageFolder(path=str(tmp_path)).read()
    assert samples.skipped == ("a.png: it is not an image of a known format",)


def test_empty_class_folders_are_no_classes(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    for name in ("a", "c"):
        (tmp_path / name / "1.png").write_bytes(picture())
    samples = ImageFolder(path=str(tmp_path)).read()
    assert samples.spec.class_names == ("a", "c")
    assert samples.labels.tolist() == [0, 1]


def test_a_set_smaller_than_a_batch_trains_with_a_warning(tmp_path, ganzoo_cli):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(picture())
    options = ["--set", "arch.hidden=4", "--steps", "1", "--batch-size", "8", "--device", "cpu"]
    result = ganzoo_cli("train", "mlp", "--data", "images", "--out", "run", *options)
    assert result.code == 0, result
    assert "warning: " in result.err


def test_members_that_claim_another_size_are_named(tmp_path):
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", picture())
        archive.writestr("bomb.png", bytes(50_000_000))
    for claimed in (0, 10, sources.BYTE_LIMIT + 1, 2**32 - 2):
        data = bytearray(path.read_bytes())
        at = data.rindex(b"PK\x01\x02")
        data[at + 24 : at + 28] = struct.pack("<I", claimed)
        other = tmp_path / f"{claimed}.zip"
        other.write_bytes(data)
        samples = ImageZip(path=str(other)).read()
        assert len(samples) == 1
        assert samples.skipped[0].startswith("bomb.png: ")


def test_no_more_is_unpacked_than_a_zip_says_there_is(tmp_path):
    import tracemalloc

    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", picture())
        archive.writestr("bomb.png", bytes(200_000_000))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 1000)
    path.write_bytes(data)
    tracemalloc.start()
    try:
        ImageZip(path=str(path)).read()
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_packed_by_other_methods_are_named(tmp_path, method):
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", picture())
        archive.writestr("b.png", picture(), compress_type=method)
    (skipped,) = ImageZip(path=str(path)).read().skipped
    assert skipped == "b.png: it is compressed by another method than deflate; compress it again"


def test_memory_that_is_not_enough_is_said(plugin, refused):
    code = """
from ganzoo import Architecture

class Greedy(Architecture):
    '''Wants all.'''
    z_dim: int = 4
    def generator(self, data):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")
    def discriminator(self, data, *, independent_samples=False):
        raise MemoryError
"""
    plugin("acme", code, {"ganzoo.architectures": {"greedy": "acme:Greedy"}})
    message = refused("train", "greedy", "--loss", "hinge", "--data", "ring", code=1)
    assert message == "Error: out of memory; try a smaller batch or network"


def test_a_device_is_called_by_plain_digits():
    for name in ("cuda:٣", "cuda:²", "cpu:x", "cuda:" + "9" * 400):
        with pytest.raises(InputError):
            resolve_device(name)


# Training


TRAININGS = {
    "mlp --set arch.hidden=1000000000,1000000000": "the network is too large",
    "mlp --set arch.hidden=1000000000000,1000000000000": "the network is too large",
    "mlp --set arch.z_dim=1" + 30 * "0": "the network is too large",
    "dcgan --set arch.base_channels=1000000": "the network is too large",
    "r3gan --set arch.blocks=1000000000": "the network is too large",
    "cyclegan --data pets --set arch.pool_size=100000000000": "the network is too large",
    "mlp --set arch.z_dim=1000000 --set arch.hidden=1 --batch-size 65536": "a batch would take",
    "mlp --out ~nobody-of-that-name/run": "there is no such home folder",
}


@pytest.mark.parametrize("command", TRAININGS, ids=lambda command: command[:50])
def test_training_asks_for_no_more_than_there_is(refused, tmp_path, monkeypatch, command):
    monkeypatch.setenv(memory.VARIABLE, "1")
    for name in ("cats", "dogs"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        (tmp_path / "pets" / name / "1.png").write_bytes(picture(size=(24, 24)))
    assert TRAININGS[command] in refused("train", *command.split(), "--device", "cpu")
    assert not Path("runs").exists()


@pytest.mark.parametrize("line", [b"\xff\xfe", b"[" * 5000, b"[1]", b"", b"3", b'{"step": []}'])
def test_damaged_metrics_do_not_stop_a_run(run, ganzoo_cli, line):
    path = run / "metrics.jsonl"
    kept = path.read_bytes()
    path.write_bytes(kept + line + b"\n")
    result = ganzoo_cli("train", "--resume", "run", "--steps", "5")
    assert result.code == 0, result
    assert path.read_bytes().startswith(kept)
    assert json.loads(path.read_text().splitlines()[-1])["step"] == 5


@ON_POSIX
@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_metrics_are_a_regular_file(run, refused, kind):
    put(kind, run / "metrics.jsonl")
    assert "is not a regular file" in refused("train", "--resume", "run", "--steps", "5")


# And by the thousand


@ON_POSIX
def test_damaged_files_of_every_kind(monkeypatch, capfd):
    import fuzz

    monkeypatch.setattr(sys, "argv", ["fuzz.py", "--cases", "25", "--seed", "7"])
    assert fuzz.main() == 0, capfd.readouterr().out
    assert "25 cases of seed 7" in capfd.readouterr().out
