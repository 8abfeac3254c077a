"""``ganzoo import``: other programs' weights become models that draw what they drew there."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import ganzoo
from ganzoo.errors import InputError
from ganzoo_zoo.apps.import_weights import import_weights
from ganzoo_zoo.apps.import_weights.reader import read_weights

NZ, NGF, CHANNELS = 6, 2, 3


def tutorial_generator(depth=4, channels=CHANNELS):
    """Write the tutorial's generator, with random statistics of its batch normalisation."""
    widths = [NGF * 2**i for i in reversed(range(depth))]
    layers = [nn.ConvTranspose2d(NZ, widths[0], 4, 1, 0, bias=False)]
    for before, after in zip(widths, [*widths[1:], channels], strict=True):
        layers += [nn.BatchNorm2d(before), nn.ReLU(True)]
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)]
    return wrap([*layers, nn.Tanh()])


def tutorial_discriminator():
    widths = [NGF * 2**i for i in range(4)]
    layers = [nn.Conv2d(CHANNELS, widths[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after)]
        layers += [nn.LeakyReLU(0.2, True)]
    return wrap([*layers, nn.Conv2d(widths[-1], 1, 4, 1, 0, bias=False), nn.Sigmoid()])


def wrap(layers):
    """Put layers under ``main``, as the tutorial has them, with weights that matter."""
    network = nn.Module()
    network.main = nn.Sequential(*layers)
    rng = torch.Generator().manual_seed(1)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            drawn = torch.randn(tensor.shape, generator=rng) * 0.3
            tensor.copy_(drawn.abs() + 0.5 if name.endswith("var") else drawn)
    return network.eval()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    torch.save(tutorial_generator().state_dict(), folder / "netG.pth")
    torch.save(tutorial_discriminator().state_dict(), folder / "netD.pth")
    return folder


@pytest.fixture(scope="module")
def imported(files, tmp_path_factory):
    """A model with a discriminator, and one without."""
    folder = tmp_path_factory.mktemp("imported")
    both = import_weights(
        files / "netG.pth",
        out=folder / "both",
        discriminator=files / "netD.pth",
        address="https://example.org/netG.pth",
    )
    alone = import_weights(files / "netG.pth", out=folder / "alone", licence="mit")
    return both, alone


def test_the_samples_are_those_of_the_tutorial(imported):
    both, _ = imported
    model = ganzoo.load(both.folder)
    latents = model.inputs.draw(3, 0)
    wanted = tutorial_generator().main(latents.given[:, :, None, None])
    assert model.generate(latents).sub(wanted).abs().max() < 1e-5
    assert model.sample(1).shape == (1, CHANNELS, 64, 64)
    assert latents.given.min() < -1  # no recipe has made them uniform
    logits = model.discriminator(wanted)["logits"]
    judged = tutorial_discriminator().main(wanted).flatten()
    assert logits.sigmoid().sub(judged).abs().max() < 1e-5


@pytest.mark.parametrize(("depth", "channels"), [(3, 1), (5, 4)])
def test_other_sizes_and_channels(depth, channels):
    network = tutorial_generator(depth, channels)
    torch.save({"module." + name: each for name, each in network.state_dict().items()}, "g.pt")
    done = import_weights("g.pt", "pytorch-dcgan")
    assert done.folder == Path("imported/g")
    assert done.shape == (channels, 4 * 2**depth, 4 * 2**depth)
    model = ganzoo.load("imported/g")
    latents = model.inputs.draw(2, 0)
    wanted = network.main(latents.given[:, :, None, None])
    assert model.generate(latents).sub(wanted).abs().max() < 1e-5


def test_what_the_command_says(files, ganzoo_cli):
    done = ganzoo_cli("import", files / "netG.pth")
    assert (done.code, done.out) == (0, "imported/netG\n")
    for line in (
        "converter   pytorch-dcgan",
        "model       dcgan for images of 3 x 64 x 64",
        "options     z_dim=6, base_channels=2, discriminator_norm=batch",
        "no discriminator",
        "whether they may be passed on is not said",
        "ganzoo sample imported/netG",
    ):
        assert line in done.err
    told = json.loads(ganzoo_cli("import", files / "netG.pth", "--force", "--json").out)
    assert told["origin"]["file"] == "netG.pth"
    assert told["discriminator_parameters"] is None
    again = ganzoo_cli("import", files / "netG.pth")
    assert "already exists; choose another --out, or add --force" in again.err
    shown = ganzoo_cli("show", "imported/netG").out
    assert "dcgan, from netG.pth of the PyTorch examples" in shown
    assert "trained with" not in shown


def test_the_folder_tells_where_it_comes_from(imported, files):
    both, alone = imported
    origin = json.loads((both.folder / "origin.json").read_text())
    assert origin["address"] == "https://example.org/netG.pth"
    assert origin["size"] == (files / "netG.pth").stat().st_size
    assert origin["converter"]["name"] == "pytorch-dcgan"
    card = (both.folder / "README.md").read_text()
    assert "# dcgan from netG.pth of the PyTorch examples" in card
    assert "https://example.org/netG.pth" in card
    assert origin["sha256"] in card
    assert "trained on" not in card.split("## Data")[0]
    assert "discriminator.safetensors" in card
    assert "discriminator.safetensors" not in (alone.folder / "README.md").read_text()
    assert not (alone.folder / "discriminator.safetensors").exists()
    assert alone.origin.licence == "mit"
    assert alone.origin.may_pass_on is None
    assert ganzoo.load(both.folder).config.data.options.get("path") is None


def test_a_model_without_a_discriminator_says_so(imported):
    _, alone = imported
    model = ganzoo.load(alone.folder)
    with pytest.raises(InputError, match="has no discriminator: its weights were imported"):
        model.discriminator  # noqa: B018


def test_fine_tuning_keeps_the_origin(imported, ganzoo_cli):
    _, alone = imported
    Path("photos").mkdir()
    for i in range(4):
        Image.new("RGB", (64, 64), (60 * i, 0, 0)).save(f"photos/{i}.png")
    small = ["--steps", "1", "--batch-size", "2", "--data", "photos", "--device", "cpu"]
    small += ["--set", "train.recipe=paper"]
    done = ganzoo_cli("train", "--init", alone.folder, "--out", "run", *small)
    assert done.code == 0, done.err
    assert "has no discriminator: a new one begins with random weights" in done.err
    model = ganzoo.load("run")
    assert model.folder.origin() == alone.origin
    assert "dcgan trained with" in model.title
    card = Path("run/model/README.md").read_text()
    assert "The weights that training started from are those of the file" in card
    resumed = ganzoo_cli("train", "--resume", "run", "--steps", "2")
    assert resumed.code == 0, resumed.err
    refused = ganzoo_cli("publish", "run", "user/name")
    assert refused.code == 2
    assert "--permitted" in refused.err


def test_a_file_that_nothing_recognises_is_refused(refused):
    torch.save({"a": torch.ones(2)}, "x.pth")
    message = refused("import", "x.pth")
    assert "no converter recognises the file; it begins with 'a'" in message
    assert "pytorch-dcgan" in message
    torch.save({**tutorial_generator().state_dict(), "main.99.extra": torch.ones(1)}, "y.pth")
    message = refused("import", "y.pth", "--from", "pytorch-dcgan")
    assert "does not know these tensors: 'main.99.extra'" in message
    state = tutorial_generator().state_dict()
    state["main.0.weight"][0] = torch.nan
    torch.save(state, "z.pth")
    assert "not finite" in refused("import", "z.pth")
    state = tutorial_generator().state_dict()
    state["main.1.bias"][0] = torch.inf
    torch.save(state, "w.pth")
    assert "'2.bias' has numbers that are not finite" in refused("import", "w.pth")
    assert not Path("imported").exists()


def test_a_map_puts_any_weights_in_their_place(ganzoo_cli, refused):
    torch.save({f"net.{i}": t for i, t in enumerate(_plain_mlp().values())}, "m.pth")
    to = ["--to", "mlp", "--set", "arch.hidden=4", "--set", "arch.z_dim=2", "--image-size", "8"]
    to += ["--set", "data.image_channels=1"]
    message = refused("import", "m.pth", *to)
    assert "does not fit mlp" in message
    assert "--write-map FILE" in message
    report = ganzoo_cli("import", "m.pth", *to, "--write-map", "map.json")
    assert report.code == 0, report.err
    assert "4 of 4 tensors have a place" in report.err
    done = ganzoo_cli("import", "m.pth", *to, "--map", "map.json", "--out", "m")
    assert done.code == 0, done.err
    state = ganzoo.load("m").generator.state_dict()
    assert all(map(torch.equal, state.values(), _plain_mlp().values()))
    names = json.loads(Path("map.json").read_text())
    names[next(iter(names))] = None
    Path("map.json").write_text(json.dumps(names))
    assert "gets no tensor" in refused("import", "m.pth", *to, "--map", "map.json", "--out", "n")
    assert not Path("n").exists()


def _plain_mlp():
    from ganzoo.protocols.dataset import DataSpec
    from ganzoo_zoo.families.mlp import MLP

    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = MLP(hidden=(4,), z_dim=2).generator(DataSpec(shape=(1, 8, 8)))
    return {name: tensor.contiguous() for name, tensor in network.state_dict().items()}


def persist(network, **kwargs):
    """Return a network as NVIDIA's programs pickle it: a call with a dictionary."""
    return Persistent(
        {
            "type": "class",
            "version": 6,
            "module_src": "raise SystemExit('the source was run')\n" * 50,
            "class_name": "Generator",
            "state": {**vars(network), "_init_args": (), "_init_kwargs": kwargs, "z_dim": 4},
        }
    )


class Persistent:
    def __init__(self, meta):
        self.meta = meta

    def __reduce__(self):
        return _reconstruct_persistent_obj, (self.meta,)


def _reconstruct_persistent_obj(meta):
    raise AssertionError("nobody may call this")


def test_networks_of_nvidia_are_read_without_their_source(monkeypatch):
    import pickle
    import sys
    from types import ModuleType

    for name in ("torch_utils", "torch_utils.persistence"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    module = sys.modules["torch_utils.persistence"]
    monkeypatch.setattr(_reconstruct_persistent_obj, "__module__", module.__name__)
    module._reconstruct_persistent_obj = _reconstruct_persistent_obj
    sys.modules["torch_utils"].persistence = module
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    content = {"G_ema": persist(network, img_resolution=8, kw={"fp16": True}), "D": None}
    Path("network.pkl").write_bytes(pickle.dumps(content))
    read = read_weights(Path("network.pkl"))
    state = network.state_dict()
    assert list(read.tensors) == [f"G_ema.{name}" for name in state]
    assert all(torch.equal(read.tensors[f"G_ema.{name}"], each) for name, each in state.items())
    assert read.value("G_ema.init_kwargs.img_resolution") == 8
    assert read.value("G_ema.init_kwargs.kw.fp16") is True
    assert read.value("G_ema.class_name") == "Generator"
    assert read.value("G_ema.z_dim") == 4
    assert read.value("G_ema.0.in_features") == 2


@pytest.mark.parametrize("form", ["new", "old", "safetensors", "whole"])
def test_every_form_of_file_is_read(form):
    from safetensors.torch import save_file

    network = tutorial_generator()
    state, path = network.state_dict(), Path(f"weights.{form}")
    if form == "safetensors":
        save_file(state, path)
    else:
        saved = network if form == "whole" else {"step": 3, "netG": state}
        torch.save(saved, path, _use_new_zipfile_serialization=form != "old")
    read = read_weights(path)
    prefix = "netG." if form in ("new", "old") else ""
    assert set(read.tensors) == {f"{prefix}{name}" for name in state}
    assert all(torch.equal(read.tensors[f"{prefix}{name}"], each) for name, each in state.items())
    assert read.value("step") == (3 if prefix else None)
