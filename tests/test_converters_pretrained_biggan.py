"""Generators in the layout of pytorch-pretrained-BigGAN become BigGAN-deep that draws the same."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ganzoo.errors import InputError
from published import convert, convert_shapes, randomise


class Divided(nn.Module):
    """A layer whose weight is divided by what two stored vectors find."""

    def __init__(self, layer):
        super().__init__()
        self.weight_orig, self.bias = layer.weight, layer.bias
        self.padding = getattr(layer, "padding", 0)
        self.register_buffer("weight_u", torch.randn(len(layer.weight)))
        self.register_buffer("weight_v", torch.randn(layer.weight[0].numel()))

    def forward(self, x):
        weight = self.weight_orig / (self.weight_u @ self.weight_orig.flatten(1) @ self.weight_v)
        if weight.dim() == 2:
            return F.linear(x, weight, self.bias)
        return F.conv2d(x, weight, self.bias, padding=self.padding)


def convolution(before, after, size, bias=True):
    return Divided(nn.Conv2d(before, after, size, padding=size // 2, bias=bias))


class Norm(nn.Module):
    def __init__(self, channels, seen=0, steps=51):
        super().__init__()
        self.register_buffer("running_means", torch.zeros(steps, channels))
        self.register_buffer("running_vars", torch.ones(steps, channels))
        if seen:
            self.scale, self.offset = (
                Divided(nn.Linear(seen, channels, bias=False)) for _ in range(2)
            )
        else:
            self.weight, self.bias = (nn.Parameter(torch.ones(channels)) for _ in range(2))

    def forward(self, x, step, y=None):
        mean, var = (each[step, :, None, None] for each in (self.running_means, self.running_vars))
        x = (x - mean) / (var + 1e-4).sqrt()
        if y is None:
            return x * self.weight[:, None, None] + self.bias[:, None, None]
        return x * (1 + self.scale(y))[..., None, None] + self.offset(y)[..., None, None]


class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        asked, told = max(1, channels // 8), max(1, channels // 2)
        self.snconv1x1_theta = convolution(channels, asked, 1, bias=False)
        self.snconv1x1_phi = convolution(channels, asked, 1, bias=False)
        self.snconv1x1_g = convolution(channels, told, 1, bias=False)
        self.snconv1x1_o_conv = convolution(told, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x, *_):
        keys = F.max_pool2d(self.snconv1x1_phi(x), 2).flatten(2)
        values = F.max_pool2d(self.snconv1x1_g(x), 2).flatten(2)
        shares = (self.snconv1x1_theta(x).flatten(2).transpose(1, 2) @ keys).softmax(2)
        found = (values @ shares.transpose(1, 2)).unflatten(2, x.shape[2:])
        return x + self.gamma * self.snconv1x1_o_conv(found)


class Block(nn.Module):
    def __init__(self, before, after, seen, doubles):
        super().__init__()
        hidden, self.after, self.factor = max(1, before // 4), after, 1 + doubles
        for i, channels in enumerate((before, hidden, hidden, hidden)):
            setattr(self, f"bn_{i}", Norm(channels, seen))
        self.conv_0, self.conv_3 = convolution(before, hidden, 1), convolution(hidden, after, 1)
        self.conv_1, self.conv_2 = (convolution(hidden, hidden, 3) for _ in range(2))

    def forward(self, x, step, y):
        h = self.bn_1(self.conv_0(self.bn_0(x, step, y).relu()), step, y).relu()
        h = self.conv_1(F.interpolate(h, scale_factor=self.factor))
        h = self.conv_2(self.bn_2(h, step, y).relu())
        h = self.conv_3(self.bn_3(h, step, y).relu())
        return h + F.interpolate(x[:, : self.after], scale_factor=self.factor)


class Generator(nn.Module):
    def __init__(self, widths, seen, at):
        super().__init__()
        self.gen_z = Divided(nn.Linear(seen, 16 * widths[0]))
        layers = []
        for before, after in itertools.pairwise(widths):
            layers += [Block(before, before, seen, False), Block(before, after, seen, True)]
        if at is not None:
            layers.insert(at, Attention(widths[at // 2]))
        self.layers = nn.ModuleList(layers)
        self.bn = Norm(widths[-1])
        self.conv_to_rgb = convolution(widths[-1], max(4, widths[-1]), 3)

    def forward(self, y, step):
        h = self.gen_z(y).unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2)
        for layer in self.layers:
            h = layer(h, step, y)
        return self.conv_to_rgb(self.bn(h, step).relu())[:, :3].tanh()


class BigGAN(nn.Module):
    def __init__(self, widths, *, z_dim=4, embedded=5, classes=6, at=None):
        super().__init__()
        self.embeddings = nn.Linear(classes, embedded, bias=False)
        self.generator = Generator(widths, z_dim + embedded, at)

    def forward(self, z, labels, step):
        one_hot = F.one_hot(labels, self.embeddings.in_features).float()
        return self.generator(torch.cat([z, self.embeddings(one_hot)], 1), step)


@pytest.fixture(scope="module")
def published():
    torch.manual_seed(0)
    network = randomise(BigGAN([32, 32, 16, 8, 4], at=6))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, Divided):  # by the singular value, or what is near to it
                matrix = module.weight_orig.flatten(1)
                left, _, right = torch.linalg.svd(matrix, full_matrices=False)
                module.weight_u.copy_(left[:, 0])
                module.weight_v.copy_(
                    F.normalize(right[0] + 0.1 * torch.randn(len(right[0])), dim=0)
                )
    return network


@pytest.mark.parametrize(("truncation", "step"), [(1.0, 50), (0.4, 20), (0.14, 7)])
def test_samples_are_those_of_the_published_network(published, truncation, step):
    converted, generator, _ = convert(
        "pretrained-biggan", published.state_dict(), truncation=truncation
    )
    assert (converted.data.shape, converted.data.classes) == ((3, 64, 64), 6)
    assert converted.options == {
        "deep": True,
        "z_dim": 4,
        "base_channels": 2,
        "shared_dim": 5,
        "attention": 32,
        "standing_batches": 0,
    }
    assert f"statistics of truncation {truncation:g}" in converted.notes[0]
    latents, labels = torch.randn(3, 4), torch.tensor([5, 0, 2])
    expected = published(latents, labels, step)
    assert expected.std() > 0.05
    torch.testing.assert_close(generator(latents, labels), expected, rtol=0, atol=1e-5)
    other = published(latents, labels, step - 1)
    assert (other - expected).abs().max() > 1e-3, "the statistics differ from step to step"


@pytest.mark.parametrize(
    ("size", "widths"),
    [
        (128, (16, 16, 8, 4, 2, 1)),
        (256, (16, 16, 8, 8, 4, 2, 1)),
        (512, (16, 16, 8, 8, 4, 2, 1, 1)),
    ],
)
def test_published_sizes(size, widths):
    converted = convert_shapes(
        "pretrained-biggan",
        lambda: BigGAN(
            [128 * each for each in widths], z_dim=128, embedded=128, classes=1000, at=8
        ),
    )
    assert converted.data.shape == (3, size, size)
    assert (converted.options["z_dim"], converted.options["attention"]) == (128, 64)


def test_what_cannot_be_expressed_is_refused(published):
    def refuse(state, message, **options):
        with pytest.raises(InputError, match=message):
            convert("pretrained-biggan", state, **options)

    state = published.state_dict()
    refuse(state, r"truncation=0.41: the file has statistics of multiples of 0.02", truncation=0.41)
    refuse(BigGAN([8, 8, 8, 4]).state_dict(), "its maps have 8, 8, 8, 4 channels")
    refuse(BigGAN([8, 8, 8, 8], at=3).state_dict(), "attention behind two")
    for missing in ("generator.layers.2.bn_1.running_vars", "generator.conv_to_rgb.bias"):
        refuse({name: state[name] for name in state if name != missing}, f"'{missing}'")
    with pytest.raises(AssertionError, match=r"layers\.0\.extra"):
        convert("pretrained-biggan", {**state, "generator.layers.0.extra": torch.zeros(1)})
