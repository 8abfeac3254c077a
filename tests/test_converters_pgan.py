"""Generators in the layout of pytorch_GAN_zoo's PGAN become ProGAN's that draw the same."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ganzoo import Progress, registry
from ganzoo.errors import InputError
from published import convert, convert_shapes, randomise


class Scaled(nn.Module):
    """Scales what the layer returns, its bias as well."""

    def __init__(self, layer):
        super().__init__()
        self.module = layer

    def forward(self, x):
        return self.module(x) * math.sqrt(2 / self.module.weight[0].numel())


def convolution(before, after, size):
    return Scaled(nn.Conv2d(before, after, size, padding=size // 2))


def steady(x):
    return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()


class Generator(nn.Module):
    def __init__(self, widths, z_dim=6, colours=3):
        super().__init__()
        self.formatLayer = Scaled(nn.Linear(z_dim, 16 * widths[0]))
        self.groupScale0 = nn.ModuleList([convolution(widths[0], widths[0], 3)])
        self.scaleLayers = nn.ModuleList(
            nn.ModuleList([convolution(before, after, 3), convolution(after, after, 3)])
            for before, after in itertools.pairwise(widths)
        )
        self.toRGBLayers = nn.ModuleList(convolution(width, colours, 1) for width in widths)

    def forward(self, z):
        h = F.leaky_relu(self.formatLayer(steady(z)), 0.2).view(len(z), -1, 4, 4)
        h = steady(F.leaky_relu(self.groupScale0[0](steady(h)), 0.2))
        for scale in self.scaleLayers:
            h = h.repeat_interleave(2, 2).repeat_interleave(2, 3)
            for layer in scale:
                h = steady(F.leaky_relu(layer(h), 0.2))
        return self.toRGBLayers[-1](h)


def published_file(widths, **options):
    torch.manual_seed(0)
    network = randomise(Generator(widths, **options))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(parameter[0].numel() ** 0.5 if parameter.dim() > 1 else 1)
        network.toRGBLayers[-1].module.weight.mul_(0.2)  # within [-1, 1], mostly
    return network, {f"avgG.{name}": each for name, each in network.state_dict().items()}


@pytest.mark.parametrize(
    ("widths", "colours", "base"),
    [([6, 6, 3], 3, 24), ([8, 4], 1, 16), ([4, 4, 4], 3, 32)],
)
def test_samples_are_those_of_the_published_network(widths, colours, base):
    published, file = published_file(widths, colours=colours)
    other = {f"netG.{name}": each + 1 for name, each in published.state_dict().items()}
    converted, generator, _ = convert("pgan", {**file, **other, "netD.x": torch.ones(1)})
    side = 4 * 2 ** (len(widths) - 1)
    assert converted.data.shape == (colours, side, side)
    assert converted.options == {
        "z_dim": 6,
        "channel_max": widths[0],
        "channel_base": base,
        "phase_images": 0,
        "pixel_bias": True,
    }
    # In 64 bits: where features are small, the normalisation of a pixel enlarges what is rounded.
    latents = torch.randn(4, 6).double()
    expected, generator = published.double()(latents), generator.double()
    assert (expected.abs() < 1).float().mean() > 0.5
    torch.testing.assert_close(generator(latents), expected.clamp(-1, 1), rtol=0, atol=1e-5)
    architecture = registry.get(registry.ARCHITECTURE, "progan")(**converted.options)
    architecture.advance(generator, Progress(images=0))
    assert (generator.level, generator.share) == (generator.levels, 1.0), "it is grown at step 0"


def test_older_files_and_files_without_an_average():
    published, file = published_file([4, 2])
    older = {
        name.replace("avgG", "netG").replace(".module", ""): each for name, each in file.items()
    }
    converted, generator, _ = convert("pgan", older)
    assert "last step" in converted.notes[1]
    latents = torch.randn(2, 6).double()
    expected = published.double()(latents).clamp(-1, 1)
    torch.testing.assert_close(generator.double()(latents), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("levels", [6, 7, 8])
def test_published_sizes(levels):
    widths = [512, 512, 512, 512, 256, 128, 64, 32][:levels]
    converted = convert_shapes("pgan", lambda: Generator(widths, z_dim=512))
    assert converted.data.shape == (3, 2 ** (levels + 1), 2 ** (levels + 1))
    assert converted.options["channel_base"] == 8192


def test_what_cannot_be_expressed_is_refused():
    def refuse(file, message, **values):
        named = {f"config.{name}": value for name, value in values.items()}
        with pytest.raises(InputError, match=message):
            convert("pgan", file, named)

    _, file = published_file([4, 4, 2])
    refuse(file, "configuration has alpha=0.25, and progan is as with 0", alpha=0.25)
    refuse(file, "lossCriterion=MSE", lossCriterion="MSE")
    convert("pgan", file, {"config.alpha": 0, "config.lossCriterion": "WGANGP"})
    refuse(published_file([4, 3, 2])[1], "its levels have 4, 3, 2 channels")
    wide = torch.zeros(5 * 16, 6)
    refuse({**file, "avgG.formatLayer.module.weight": wide}, "80 numbers, which are not 4 maps")
    missing = "avgG.scaleLayers.1.1.module.bias"
    refuse({name: file[name] for name in file if name != missing}, f"no tensor '{missing}'")
    with pytest.raises(AssertionError, match="noise"):
        convert("pgan", {**file, "avgG.noise": torch.zeros(1)})
