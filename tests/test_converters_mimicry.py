"""Generators in the layout of mimicry become residual networks that draw the same."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ganzoo.errors import InputError
from published import convert, convert_shapes, find_recognisers, randomise


class ClassNorm(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, affine=False)
        self.embed = nn.Embedding(classes, 2 * channels)

    def forward(self, x, y):
        gain, bias = self.embed(y)[..., None, None].chunk(2, dim=1)
        return self.bn(x) * gain + bias


class Block(nn.Module):
    def __init__(self, before, after, classes):
        super().__init__()
        self.c1 = nn.Conv2d(before, after, 3, padding=1)
        self.c2 = nn.Conv2d(after, after, 3, padding=1)
        self.b1, self.b2 = (
            ClassNorm(each, classes) if classes else nn.BatchNorm2d(each)
            for each in (before, after)
        )
        self.c_sc = nn.Conv2d(before, after, 1)

    def forward(self, x, *y):
        h = self.c1(double(self.b1(x, *y).relu()))
        return self.c2(self.b2(h, *y).relu()) + self.c_sc(double(x))


def double(x):
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class Generator(nn.Module):
    def __init__(self, widths, lowest=4, z_dim=5, classes=0):
        super().__init__()
        self.lowest, self.count = lowest, len(widths) - 1
        self.l1 = nn.Linear(z_dim, widths[0] * lowest**2)
        for i in range(self.count):
            setattr(self, f"block{i + 2}", Block(widths[i], widths[i + 1], classes))
        setattr(self, f"b{self.count + 2}", nn.BatchNorm2d(widths[-1]))
        setattr(self, f"c{self.count + 2}", nn.Conv2d(widths[-1], 3, 3, padding=1))

    def forward(self, z, *y):
        h = self.l1(z).view(len(z), -1, self.lowest, self.lowest)
        for i in range(self.count):
            h = getattr(self, f"block{i + 2}")(h, *y)
        h = getattr(self, f"b{self.count + 2}")(h).relu()
        return getattr(self, f"c{self.count + 2}")(h).tanh()


@pytest.mark.parametrize(
    ("widths", "lowest", "classes", "options"),
    [
        ([4, 4, 4, 4], 4, 0, {"base_channels": 2}),
        ([4, 4, 4, 4], 4, 3, {"base_channels": 2, "conditional": True}),
        ([16, 8, 4, 2], 6, 0, {"base_channels": 2, "tapered": True}),
        ([16, 8, 4, 2, 1], 4, 3, {"base_channels": 1, "tapered": True, "conditional": True}),
    ],
)
def test_samples_are_those_of_the_published_network(widths, lowest, classes, options):
    torch.manual_seed(0)
    published = randomise(Generator(widths, lowest, classes=classes))
    converted, generator, _ = convert("mimicry", published.state_dict())
    wanted = {"z_dim": 5, "upsampling": "bilinear", "conditional": False} | options
    assert converted.options == wanted
    side = lowest * 2 ** (len(widths) - 1)
    assert converted.data.shape == (3, side, side)
    assert converted.data.classes == (classes or None)
    given = [torch.randn(4, 5), *([torch.tensor([0, 2, 1, 1])] if classes else [])]
    torch.testing.assert_close(generator(*given), published(*given), rtol=0, atol=1e-5)


def test_a_checkpoint_holds_more_than_weights():
    state = randomise(Generator([4, 4, 4, 4])).state_dict()
    file = {f"model_state_dict.{name}": tensor for name, tensor in state.items()}
    file["optimizer_state_dict.state.0.exp_avg"] = torch.zeros(2)
    converted, *_ = convert("mimicry", file, {"global_step": 100_000})
    assert "SSGAN" in converted.notes[0]


@pytest.mark.parametrize(
    ("widths", "lowest", "size", "base"),
    [
        ([256] * 4, 4, 32, 128),
        ([512, 256, 128, 64], 6, 48, 64),
        ([1024, 512, 256, 128, 64], 4, 64, 64),
        ([1024, 1024, 512, 256, 128, 64], 4, 128, 64),
    ],
)
def test_published_sizes(widths, lowest, size, base):
    converted = convert_shapes("mimicry", lambda: Generator(widths, lowest, z_dim=128))
    assert converted.data.shape == (3, size, size)
    assert converted.options["base_channels"] == base


def test_what_cannot_be_expressed_is_refused():
    def refuse(state, message):
        assert find_recognisers(state) == ["mimicry"]
        with pytest.raises(InputError, match=message):
            convert("mimicry", state)

    refuse(Generator([4, 4, 4, 2]).state_dict(), "its maps have 4, 4, 4, 2 channels")
    refuse(Generator([4, 4], lowest=3).state_dict(), "not 4 maps of 4 x 4 to 7 x 7 pixels")
    state = Generator([4, 4]).state_dict()
    sagan = {name.replace("weight", "weight_orig"): tensor for name, tensor in state.items()}
    refuse(sagan, "SAGAN, whose weights are normalised")
    judge = {
        f"block{i}.{name}.weight_orig": torch.zeros(1)
        for i in (1, 2)
        for name in ("c1", "c2", "c_sc")
    }
    refuse(judge, "discriminator of mimicry; give the file of its netG")
    refuse({name: state[name] for name in state if name != "b3.bias"}, "no tensor 'b3.bias'")
    with pytest.raises(AssertionError, match="extra"):
        convert("mimicry", {**state, "extra": torch.zeros(1)})
