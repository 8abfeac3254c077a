"""SRGAN and ESRGAN: the published networks, sources, pre-training, and pictures of any size."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import ganzoo
from ganzoo import DataSpec, GeneratorInput, Progress
from ganzoo.errors import InputError, Interrupted
from ganzoo.media.images import to_float, to_uint8
from ganzoo.models import tiles
from ganzoo.models.generation import evaluation_mode, generate
from ganzoo.models.sample_files import write_samples
from ganzoo.models.tiles import MARGIN, generate_in_tiles
from ganzoo_zoo.families.srgan import ESRGAN, SRGAN
from ganzoo_zoo.families.srgan.networks import DenseBlock, RRDBNet, SRResNet, UNet
from test_training import content
from tiny import TINY, Stopper

SMALL = {"arch.base_channels": 2, "arch.blocks": 1, "data.image_size": 16}


def spec_of(side, scale=4, channels=3):
    return DataSpec(shape=(channels, side, side), source=(channels, side // scale, side // scale))


def count(build):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build().parameters())


# Networks


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: ESRGAN(blocks=6).generator(spec_of(128)), 4_467_779),
        (lambda: ESRGAN(patches="pixel").discriminator(spec_of(128)), 4_376_897),
    ],
    ids=["rrdb6", "u-net"],
)
def test_published_configurations_have_their_parameters(build, expected):
    assert count(build) == expected


def test_rrdbnet_has_the_names_of_the_published_models():
    """Of RealESRGAN_x4plus and x2plus, as their state dicts have them."""
    names = ["conv_first", "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    names += [
        f"body.{i}.rdb{j}.conv{k}" for i in range(23) for j in range(1, 4) for k in range(1, 6)
    ]
    wanted = {f"{name}.{kind}" for name in names for kind in ("weight", "bias")}
    for scale, channels in ((4, 3), (2, 12)):
        with torch.device("meta"):
            network = ESRGAN(scale=scale, pixel_unshuffle=scale == 2).generator(spec_of(64, scale))
        state = network.state_dict()
        assert set(state) == wanted
        assert state["conv_first.weight"].shape == (64, channels, 3, 3)
        assert state["conv_last.weight"].shape == (3, 64, 3, 3)


def published(network, pixels):
    """Compute RRDBNet as the published programs do, of images in [0, 1]."""
    state = dict(network.named_parameters())

    def conv(name, features):
        return F.conv2d(features, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    def act(features):
        return F.leaky_relu(features, 0.2)

    body = first = conv("conv_first", pixels)
    for i in range(len(network.body)):
        whole = body
        for j in range(1, 4):
            grown, block = [body], f"body.{i}.rdb{j}"
            for k in range(1, 5):
                grown.append(act(conv(f"{block}.conv{k}", torch.cat(grown, 1))))
            body = conv(f"{block}.conv5", torch.cat(grown, 1)) * 0.2 + body
        body = body * 0.2 + whole
    features = first + conv("conv_body", body)
    for name in ("conv_up1", "conv_up2"):
        features = act(conv(name, F.interpolate(features, scale_factor=2, mode="nearest")))
    return conv("conv_last", act(conv("conv_hr", features)))


@pytest.mark.parametrize("unshuffles", [False, True])
def test_rrdbnet_computes_what_the_published_programs_do(unshuffles):
    torch.manual_seed(0)
    scale = 2 if unshuffles else 4
    network = RRDBNet(3, 4, 2, 2, scale, unshuffles=unshuffles).double()
    pixels = torch.rand(2, 3, 6, 8, dtype=torch.float64)
    seen = F.pixel_unshuffle(pixels, 2) if unshuffles else pixels
    torch.testing.assert_close(network(2 * pixels - 1), 2 * published(network, seen) - 1)
    with evaluation_mode(network):
        assert network(50 * pixels).abs().max() <= 1


def test_odd_pixels_without_a_partner_are_repeated():
    network = RRDBNet(3, 4, 1, 2, 2, unshuffles=True)
    sources = torch.rand(1, 3, 5, 7)
    whole = network(F.pad(sources, (0, 1, 0, 1), mode="replicate"))
    assert network(sources).shape == (1, 3, 10, 14)
    torch.testing.assert_close(network(sources), whole[..., :10, :14])


def test_scale_two_without_squares_doubles_once():
    network = ESRGAN(scale=2, base_channels=4, growth=2, blocks=1).generator(spec_of(16, 2))
    assert "conv_up2.weight" not in network.state_dict()
    assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 16, 16)


def test_srresnet_is_the_papers():
    torch.manual_seed(0)
    network = SRResNet(3, 4, 2, 4).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    state = network.state_dict()
    sources = 2 * torch.rand(2, 3, 5, 6, dtype=torch.float64) - 1

    def conv(name, features, padding=1):
        return F.conv2d(features, state[f"{name}.weight"], state.get(f"{name}.bias"), 1, padding)

    def norm(name, features):
        moments = (state[f"{name}.running_{each}"] for each in ("mean", "var"))
        return F.batch_norm(features, *moments, state[f"{name}.weight"], state[f"{name}.bias"])

    def act(name, features):
        slope = state[f"{name}.weight"]
        return features.clamp(min=0) + slope * features.clamp(max=0)

    body = first = act("first.1", conv("first.0", (sources + 1) / 2, 4))
    for i in range(2):
        inner = norm(f"body.{i}.branch.1", conv(f"body.{i}.branch.0", body))
        inner = act(f"body.{i}.branch.2", inner)
        body = body + norm(f"body.{i}.branch.4", conv(f"body.{i}.branch.3", inner))
    features = first + norm("body.3", conv("body.2", body))
    for i in (0, 3):
        features = act(f"ending.{i + 2}", F.pixel_shuffle(conv(f"ending.{i}", features), 2))
    torch.testing.assert_close(network(sources), conv("ending.6", features, 4).clamp(-1, 1))


@pytest.mark.parametrize("architecture", [SRGAN(residual=True), ESRGAN(residual=True)])
def test_a_residual_generator_begins_at_its_source_enlarged(architecture):
    small = architecture.model_copy(update={"base_channels": 2, "blocks": 1})
    network = small.generator(spec_of(16))
    sources = 2 * torch.rand(2, 3, 5, 7) - 1
    wanted = F.interpolate(sources, scale_factor=4, mode="bicubic")
    torch.testing.assert_close(network(sources), wanted)
    with evaluation_mode(network):
        torch.testing.assert_close(network(sources), wanted.clamp(-1, 1))


def test_dense_blocks_begin_at_a_tenth_of_he():
    torch.manual_seed(0)
    block = DenseBlock(64, 32)
    for number in range(1, 6):
        conv = getattr(block, f"conv{number}")
        wanted = 0.1 * (2 / (9 * conv.in_channels)) ** 0.5
        assert conv.weight.std().item() == pytest.approx(wanted, rel=0.03)
        assert not conv.bias.any()


def test_the_unet_normalises_all_but_the_first_and_the_last_layer():
    network = UNet(3, 2)
    plain = {name for name, module in network.named_children() if isinstance(module, nn.Conv2d)}
    normed = {name for name in plain if hasattr(getattr(network, name), "parametrizations")}
    assert plain - normed == {"conv0", "conv9"}
    found = network(torch.rand(2, 3, 16, 24))
    assert found["logits"].shape == (2, 16 * 24)
    assert found["features"].shape == (2, 16, 2, 3)


@pytest.mark.parametrize("side", [16, 28, 96])
def test_the_discriminator_serves_other_sizes_than_the_papers(side):
    network = SRGAN(base_channels=2).discriminator(spec_of(side))
    found = network(torch.rand(2, 3, side, side))
    assert found["logits"].shape == (2,)
    assert found["features"].shape[1] == 16


@pytest.mark.parametrize(
    ("architecture", "side", "wrong"),
    [
        (SRGAN(), 12, "from 16 x 16 pixels on"),
        (ESRGAN(patches="pixel"), 20, "in multiples of 8"),
    ],
)
def test_sizes_that_cannot_be_judged_are_refused(architecture, side, wrong):
    with pytest.raises(InputError, match=wrong):
        architecture.discriminator(spec_of(side))


def test_options_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="pixel_unshuffle is for scale=2"):
        ESRGAN(pixel_unshuffle=True)
    with pytest.raises(InputError, match=r"cannot be reduced by arch.scale=4"):
        SRGAN().complete(DataSpec(shape=(3, 30, 30)))
    with pytest.raises(InputError, match="only images can be enlarged"):
        SRGAN().complete(DataSpec(shape=(5,)))


# Sources and terms


@pytest.mark.parametrize("scale", [2, 4])
def test_sources_are_reduced_as_pillow_reduces(scale):
    """Whose bicubic filter is Matlab's, widened by the factor."""
    pixels = np.random.default_rng(0).random((24, 32), dtype=np.float32)
    reduced = Image.fromarray(pixels).resize((32 // scale, 24 // scale), Image.Resampling.BICUBIC)
    made = SRGAN(scale=scale).make_source(torch.from_numpy(pixels)[None, None])
    torch.testing.assert_close(made[0, 0], torch.from_numpy(np.array(reduced)), atol=1e-5, rtol=0)


def test_the_pixel_term_has_its_weight_in_the_game_and_is_all_before_it():
    real, fake = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)
    early, late = Progress(images=10), Progress(images=20)

    def term(architecture, progress):
        inputs = GeneratorInput(real, progress=progress)
        found = architecture.generator_terms(nn.Identity(), inputs, real, fake)
        return found["pixel"].item() if found else None

    mse, mae = SRGAN(pretrain_images=20), ESRGAN(pretrain_images=20)
    assert not mse.is_adversarial(early)
    assert mse.is_adversarial(late)
    assert term(mse, late) == term(mse, None) == pytest.approx(1000 * 0.25)
    assert term(mae, late) == pytest.approx(100 * 0.5)
    without = SRGAN(pretrain_images=20, pixel_weight=0)
    assert (term(without, early), term(without, late)) == (pytest.approx(0.25), None)


# The phase without a game


def train(name="srgan", out="run", **more):
    settings = {**SMALL, "arch.pretrain_images": 16, **more.pop("settings", {})}
    return ganzoo.train(name, data="digits", out=out, settings=settings, **{**TINY, **more})


@pytest.fixture
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def metrics_of(run):
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if "warning" not in row]


@pytest.mark.usefixtures("_in_folder")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_generator_trains_alone_and_then_in_the_game(precision):
    settings = {"train.precision": precision, "train.accumulate": 2, "train.n_critic": 2}
    run = train(settings={**settings, "arch.pretrain_images": 32})
    alone, game = metrics_of(run)
    terms = [name for name in alone if "/" in name and not name.endswith("gradient_norm")]
    assert terms == ["generator/pixel"]
    assert "discriminator/gradient_norm" not in alone
    assert (alone["step"], alone["images_seen"]) == (2, 32)
    assert {"discriminator/real", "generator/adversarial", "generator/pixel"} <= game.keys()


@pytest.mark.usefixtures("_in_folder")
def test_the_discriminator_and_its_optimiser_rest_until_the_game():
    run = train("esrgan", steps=2, settings={"arch.growth": 2})
    before = train("esrgan", "start", steps=0, settings={"arch.growth": 2})
    ours, theirs = (
        (each.path / "model" / "discriminator.safetensors").read_bytes() for each in (run, before)
    )
    assert ours == theirs
    optimiser = run.path / "checkpoints" / "00000002" / "discriminator_optimizer.safetensors"
    assert "exp_avg" not in optimiser.read_bytes().decode("latin-1")


@pytest.mark.usefixtures("_in_folder")
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_run_that_is_stopped_in_either_phase_ends_in_the_same_bytes(step):
    settings = {"arch.growth": 2, "train.checkpoint_every": 1, "train.penalty": ["perceptual"]}
    whole = train("esrgan", "whole", settings=settings)
    with pytest.raises(Interrupted):
        train("esrgan", "stopped", settings=settings, observer=Stopper(step))
    assert content(ganzoo.resume("stopped")) == content(whole)


@pytest.mark.usefixtures("_in_folder")
def test_a_longer_run_keeps_the_length_of_its_phase():
    train(steps=2)
    run = ganzoo.resume("run", {"train.steps": 4})
    changed = ("config.json", "model/config.json", "model/manifest.json", "samples/00000002.png")
    assert content(run, changed) == content(train(out="whole"), changed)
    assert "discriminator/real" in metrics_of(run)[-1]


@pytest.mark.usefixtures("_in_folder")
def test_a_run_that_never_plays_is_told_of_before_it_starts():
    said = []

    class Listening(Stopper):
        def on_warning(self, message):
            said.append(message)

    train(steps=1, observer=Listening(9))
    assert any("1 steps end before the discriminator begins to learn" in each for each in said)
    said.clear()
    train(out="long", steps=3, observer=Listening(9))
    assert not said


class Silent(SRGAN):
    """Plays no game, and gives its generator nothing to learn from."""

    def generator_terms(self, generator, inputs, real, fake):
        return {}


def test_without_terms_of_its_own_the_generator_cannot_train_alone():
    from ganzoo.config import TrainOptions
    from ganzoo.testing import ConformanceError, architecture_checks
    from ganzoo.training.assembly import assemble_trainer
    from ganzoo_zoo.losses.non_saturating import NonSaturating

    silent = Silent(base_channels=2, blocks=1)
    samples = ganzoo.Samples(DataSpec(shape=(1, 16, 16)), torch.zeros(4, 1, 16, 16).byte())
    options = TrainOptions(steps=1, batch_size=2, device="cpu")
    with pytest.raises(InputError, match="'Silent' plays no game yet"):
        assemble_trainer(silent, NonSaturating(), samples, options).step()
    check = next(each for each in architecture_checks if each.__name__ == "check_phases")
    with pytest.raises(ConformanceError, match="return some in generator_terms"):
        check(silent)


# Any size


class Blur(nn.Module):
    """Doubles images, of which each pixel depends on those up to 6 away."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        layers = [nn.Conv2d(3 if i == 0 else 4, 4, 3, padding=1) for i in range(5)]
        activated = [each for layer in layers for each in (layer, nn.Tanh())]
        self.layers = nn.Sequential(
            *activated, nn.Upsample(scale_factor=2), nn.Conv2d(4, 3, 3, padding=1), nn.Tanh()
        )

    def forward(self, sources):
        return self.layers(sources)


@pytest.mark.parametrize("size", [(40, 70), (32, 33), (5, 90)])
def test_tiles_are_the_whole(size):
    network, spec = Blur(), spec_of(16, 2)
    inputs = GeneratorInput(2 * torch.rand(2, 3, *size) - 1)
    whole = generate(network, inputs, spec)
    made = generate_in_tiles(network, inputs, spec, 32)
    assert made.shape == (2, 3, 2 * size[0], 2 * size[1])
    torch.testing.assert_close(made, whole, atol=1e-5, rtol=0)
    stored = generate_in_tiles(network, inputs, spec, 16, stored=True)
    assert (stored.int() - to_uint8(whole).int()).abs().max() <= 1


def test_a_tile_sees_its_margin_and_no_more(monkeypatch):
    seen = []
    network, spec = Blur(), spec_of(16, 2)
    monkeypatch.setattr(
        tiles,
        "run_pass",
        lambda net, inputs, stored: seen.append(tuple(inputs.given.shape[2:])) or net(inputs.given),
    )
    generate_in_tiles(network, GeneratorInput(torch.zeros(1, 3, 64, 20)), spec, 32)
    assert seen == [(32 + MARGIN, 20), (32 + MARGIN, 20)]
    for tile in (0, 8, 100):
        with pytest.raises(InputError, match="a multiple of 16 pixels"):
            generate_in_tiles(network, GeneratorInput(torch.zeros(1, 3, 4, 4)), spec, tile)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    out = tmp_path_factory.mktemp("any") / "run"
    return ganzoo.load(train("srgan", out, steps=0, settings=SMALL))


def picture(path, size, mode="RGB"):
    """Write a picture of a width and a height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 4), np.uint8)
    pixels[..., 3] = 255
    image = Image.fromarray(pixels, "RGBA")
    (image if mode == "RGBA" else image.convert("RGB").convert(mode)).save(path)
    return path


def size_of(file):
    with Image.open(file) as found:
        return found.size


def test_translate_takes_any_size(model):
    sources = 2 * torch.rand(2, 1, 21, 34) - 1
    made = model.translate(sources)
    assert made.shape == (2, 1, 84, 136)
    with evaluation_mode(model.generator), torch.no_grad():
        torch.testing.assert_close(made, model.generator(sources))
    torch.testing.assert_close(model.translate(sources, tile=16), made, atol=1e-4, rtol=0)
    for wrong in (torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 0, 8), torch.zeros(4)):
        with pytest.raises(InputError, match="takes sources of 1 channels and any height"):
            model.translate(wrong)


def test_a_model_of_one_size_refuses_tiles(tmp_path):
    run = ganzoo.train("mlp", data="digits", out=tmp_path / "run", **{**TINY, "steps": 0})
    model = ganzoo.load(run)
    with pytest.raises(InputError, match="drop --tile"):
        model.generate(model.inputs.draw(1, 0), tile=16)
    with pytest.raises(InputError, match="drop it"):
        write_samples(model, tmp_path / "a.png", 1, tile=16)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_one_picture_is_written_at_its_full_size(model, tmp_path, mode, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = picture(tmp_path / "big.png", (50, 21), mode)
    (written,) = write_samples(model, None, source=str(file), tile=32)
    assert str(written) == "translated.png"
    with Image.open(written) as found:
        assert (found.size, found.mode) == ((200, 84), "L")
        assert found.text["ganzoo:model"] == model.title
        pixels = torch.from_numpy(np.array(found))
    with Image.open(file) as given:
        grey = np.asarray(given.convert("RGB" if mode == "P" else mode).convert("L"))
    source = to_float(torch.from_numpy(grey.copy())[None, None])
    wanted = to_uint8(model.translate(source))[0, 0]
    assert (pixels.int() - wanted.int()).abs().max() <= 1
    with pytest.raises(InputError, match="already exists"):
        write_samples(model, None, source=str(file))


def test_each_picture_of_a_folder_keeps_its_size(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "in" / "a.png", (9, 5))
    picture(tmp_path / "in" / "deep" / "b.jpg", (6, 11))
    (tmp_path / "in" / "broken.png").write_text("no picture")
    said = []
    files = write_samples(model, None, source="in", warn=said.append)
    assert [file.as_posix() for file in files] == ["translated/a.png", "translated/deep/b.png"]
    assert [size_of(file) for file in files] == [(36, 20), (24, 44)]
    assert any("broken.png" in message for message in said)
    assert len(write_samples(model, tmp_path / "one", 1, source="in")) == 1
    with pytest.raises(InputError, match="keep their sizes and do not fit into one"):
        write_samples(model, tmp_path / "both.png", source="in")


def test_datasets_are_read_at_the_size_of_the_training(model, tmp_path):
    (file,) = write_samples(model, tmp_path / "all.png", 3, source="digits")
    with Image.open(file) as found:
        assert found.mode == "L"


def test_a_file_that_is_no_picture_is_refused(model, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(InputError, match=r"notes.txt cannot be read"):
        write_samples(model, tmp_path / "out.png", source=str(tmp_path / "notes.txt"))


def test_the_command_line_enlarges_in_tiles(model, tmp_path, ganzoo_cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "big.png", (40, 20))
    command = ["sample", str(model.folder.path), "--source", "big.png", "--tile", "16"]
    result = ganzoo_cli(*command)
    assert (result.code, result.out) == (0, "translated.png\n"), result.err
    assert size_of("translated.png") == (160, 80)
    result = ganzoo_cli(*command, "--json", "--force")
    told = json.loads(result.out)
    assert (told["tile"], told["files"]) == (16, ["translated.png"])
    result = ganzoo_cli("sample", str(model.folder.path), "--tile", "16")
    assert (result.code, "--tile is for large images" in result.err) == (2, True)
    result = ganzoo_cli(*command[:-1], "20", "--force")
    assert "give a multiple of 16 pixels" in result.err
