"""Networks in the layout of BigGAN-PyTorch become BigGANs that draw and judge the same."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ganzoo.errors import InputError
from published import OneIteration, convert, convert_shapes, find_recognisers, randomise


def convolution(before, after, size, bias=True):
    return OneIteration(nn.Conv2d(before, after, size, padding=size // 2, bias=bias))


class Norm(nn.Module):
    """Gains and biases that are linear in a condition, or looked up by the class."""

    def __init__(self, channels, condition, classes, synced):
        super().__init__()
        self.gain, self.bias = (
            OneIteration(nn.Linear(condition, channels, bias=False))
            if condition
            else nn.Embedding(classes, channels)
            for _ in range(2)
        )
        if synced:
            self.bn = nn.BatchNorm2d(channels, affine=False)
        else:
            self.register_buffer("stored_mean", torch.zeros(channels))
            self.register_buffer("stored_var", torch.ones(channels))

    def forward(self, x, y):
        if hasattr(self, "bn"):
            x = self.bn(x)
        else:
            x = F.batch_norm(x, self.stored_mean, self.stored_var)
        return x * (1 + self.gain(y))[..., None, None] + self.bias(y)[..., None, None]


class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.theta, self.phi = (
            convolution(channels, max(1, channels // 8), 1, bias=False) for _ in range(2)
        )
        self.g = convolution(channels, max(1, channels // 2), 1, bias=False)
        self.o = convolution(max(1, channels // 2), channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.tensor(0.0))

    def forward(self, x, *y):
        keys, values = (F.max_pool2d(each(x), 2).flatten(2) for each in (self.phi, self.g))
        shares = torch.einsum("nci,ncj->nij", self.theta(x).flatten(2), keys).softmax(2)
        found = torch.einsum("ncj,nij->nci", values, shares)
        return x + self.gamma * self.o(found.unflatten(2, x.shape[2:]))


class Block(nn.Module):
    def __init__(self, before, after, norm):
        super().__init__()
        self.bn1, self.bn2 = norm(before), norm(after)
        self.conv1, self.conv2 = convolution(before, after, 3), convolution(after, after, 3)
        self.conv_sc = convolution(before, after, 1)

    def forward(self, x, y):
        h = self.conv1(F.interpolate(self.bn1(x, y).relu(), scale_factor=2))
        return self.conv2(self.bn2(h, y).relu()) + self.conv_sc(F.interpolate(x, scale_factor=2))


class DeepBlock(nn.Module):
    def __init__(self, before, after, norm, doubles):
        super().__init__()
        hidden, self.after, self.factor = max(1, before // 4), after, 1 + doubles
        self.bn1, self.bn2, self.bn3, self.bn4 = map(norm, (before, hidden, hidden, hidden))
        self.conv1, self.conv4 = convolution(before, hidden, 1), convolution(hidden, after, 1)
        self.conv2, self.conv3 = (convolution(hidden, hidden, 3) for _ in range(2))

    def forward(self, x, y):
        h = self.bn2(self.conv1(self.bn1(x, y).relu()), y).relu()
        h, x = (F.interpolate(each, scale_factor=self.factor) for each in (h, x))
        h = self.bn4(self.conv3(self.bn3(self.conv2(h), y).relu()), y).relu()
        return self.conv4(h) + x[:, : self.after]


class Output(nn.Module):
    def __init__(self, channels, synced):
        super().__init__()
        self.gain, self.bias = (nn.Parameter(torch.ones(channels)) for _ in range(2))
        if synced:
            self.bn = nn.BatchNorm2d(channels, affine=False)
        else:
            self.register_buffer("stored_mean", torch.zeros(channels))
            self.register_buffer("stored_var", torch.ones(channels))

    def forward(self, x):
        bn = getattr(self, "bn", None)
        mean, var = (bn.running_mean, bn.running_var) if bn else (self.stored_mean, self.stored_var)
        return F.batch_norm(x, mean, var, self.gain, self.bias)


class Generator(nn.Module):
    def __init__(
        self, widths, *, piece=3, classes=4, shared=5, hier=True, deep=False, at=None, synced=False
    ):
        super().__init__()
        self.piece, self.hier, self.deep = piece, hier, deep
        seen = shared + (piece if hier else 0) if shared else 0

        def norm(channels):
            return Norm(channels, seen, classes, synced)

        self.shared = nn.Embedding(classes, shared) if shared else nn.Identity()
        self.linear = OneIteration(nn.Linear(seen if deep else piece, widths[0] * 16))
        blocks = []
        for i, (before, after) in enumerate(itertools.pairwise(widths)):
            if deep:
                blocks.append([DeepBlock(before, before, norm, False)])
                blocks.append([DeepBlock(before, after, norm, True)])
            else:
                blocks.append([Block(before, after, norm)])
            if i == at:
                blocks[-1].append(Attention(after))
        self.blocks = nn.ModuleList(nn.ModuleList(block) for block in blocks)
        self.output_layer = nn.Sequential(
            Output(widths[-1], synced), nn.ReLU(), convolution(widths[-1], 3, 3)
        )

    def forward(self, z, y):
        y = self.shared(y)
        if self.deep:
            pieces = [torch.cat([y, z], 1)] * (1 + len(self.blocks))
        elif self.hier:
            first, *rest = z.split(self.piece, 1)
            pieces = [first, *(torch.cat([y, each], 1) for each in rest)]
        else:
            pieces = [z, *[y] * len(self.blocks)]
        h = self.linear(pieces[0]).view(len(z), -1, 4, 4)
        for block, given in zip(self.blocks, pieces[1:], strict=True):
            for layer in block:
                h = layer(h, given)
        return self.output_layer(h).tanh()


class Judge(nn.Module):
    def __init__(self, before, after, *, first, halves):
        super().__init__()
        self.first, self.size = first, 1 + halves
        self.conv1, self.conv2 = convolution(before, after, 3), convolution(after, after, 3)
        if halves or before != after:
            self.conv_sc = convolution(before, after, 1)

    def forward(self, x):
        h = self.conv2(self.conv1(x if self.first else x.relu()).relu())
        return F.avg_pool2d(h + (self.conv_sc(x) if hasattr(self, "conv_sc") else x), self.size)


class Discriminator(nn.Module):
    def __init__(self, widths, down, *, classes=4, at=None):
        super().__init__()
        blocks = []
        for i, (before, after) in enumerate(itertools.pairwise([3, *widths])):
            blocks.append([Judge(before, after, first=not i, halves=i < down)])
            if i == at:
                blocks[-1].append(Attention(after))
        self.blocks = nn.ModuleList(nn.ModuleList(block) for block in blocks)
        self.linear = OneIteration(nn.Linear(widths[-1], 1))
        self.embed = OneIteration(nn.Embedding(classes, widths[-1]))

    def forward(self, x, y):
        for block in self.blocks:
            for layer in block:
                x = layer(x)
        h = x.relu().sum((2, 3))
        return (self.linear(h) + (self.embed(y) * h).sum(1, keepdim=True))[:, 0]


CIFAR = {"shared": 0, "hier": False, "piece": 6}
CASES = {
    "64": ([16, 16, 8, 4, 2], {"at": 2}),
    "128": ([16, 16, 8, 4, 2, 1], {"at": 3}),
    "cifar": ([4, 4, 4, 4], CIFAR),
    "shared": ([8, 8, 8, 8], {"hier": False, "synced": True}),
    "deep": ([16, 16, 8, 4, 2], {"deep": True, "at": 2}),
}


def published_generator(case):
    widths, options = CASES[case]
    torch.manual_seed(0)
    return randomise(Generator(widths, **options))


@pytest.mark.parametrize("case", CASES)
def test_samples_are_those_of_the_published_network(case):
    published = published_generator(case)
    widths, options = CASES[case]
    converted, generator, discriminator = convert("biggan", published.state_dict())
    side = 4 * 2 ** (len(widths) - 1)
    assert (converted.data.shape, converted.data.classes) == ((3, side, side), 4)
    assert discriminator is None
    whole = options.get("hier", True) and not options.get("deep")
    z_dim = options.get("piece", 3) * (len(widths) if whole else 1)
    assert converted.options == {
        "z_dim": z_dim,
        "base_channels": {2: 1, 1: 1, 4: 1, 8: 2}[widths[-1]],
        "shared_dim": options.get("shared", 5),
        "hierarchical": options.get("hier", True),
        "deep": options.get("deep", False),
        "attention": 4 * 2 ** (options["at"] + 1) if "at" in options else 0,
        "standing_batches": 0,
    }
    latents, labels = torch.randn(3, z_dim), torch.tensor([0, 3, 1])
    torch.testing.assert_close(
        generator(latents, labels), published(latents, labels), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize(
    ("case", "judge"),
    [
        ("64", lambda: Discriminator([1, 2, 4, 8, 16], 4, at=0)),
        ("cifar", lambda: Discriminator([4, 4, 4, 4], 2)),
    ],
)
def test_a_discriminator_beside_the_generator(case, judge):
    generator, published = published_generator(case), randomise(judge())
    file = {
        f"{part}.{name}": tensor
        for part, network in (("G_ema", generator), ("G", generator), ("D", published))
        for name, tensor in network.state_dict().items()
    }
    converted, _, discriminator = convert("biggan", file)
    images = torch.randn(3, *converted.data.shape)
    labels = torch.tensor([2, 0, 3])
    expected = published(images, labels)
    found = discriminator(images, labels)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize(
    ("size", "widths", "options"),
    [
        (128, (16, 16, 8, 4, 2, 1), {"piece": 20, "at": 3}),
        (256, (16, 16, 8, 8, 4, 2, 1), {"piece": 20, "at": 3}),
        (32, (4, 4, 4, 4), {"piece": 128, "shared": 0, "hier": False}),
    ],
)
def test_published_sizes(size, widths, options):
    base = 96 if size > 32 else 64
    shared = {"shared": 128} | options
    converted = convert_shapes(
        "biggan", lambda: Generator([base * each for each in widths], classes=10, **shared)
    )
    assert converted.data.shape == (3, size, size)
    assert converted.options["base_channels"] == base
    assert converted.options["z_dim"] == {128: 120, 256: 140, 32: 128}[size]


def test_what_cannot_be_expressed_is_refused():
    def refuse(state, message):
        assert find_recognisers(state) == ["biggan"]
        with pytest.raises(InputError, match=message):
            convert("biggan", state)

    state = published_generator("cifar").state_dict()
    refuse(Discriminator([4, 4, 4, 4], 2).state_dict(), "a discriminator .* file of its G_ema")
    plain = {name: state[name] for name in state if not name.endswith(("u0", "sv0"))}
    refuse(plain, "not spectrally normalised")
    refuse(Generator([8, 4, 4, 4]).state_dict(), "its maps have 8, 4, 4, 4 channels")
    twice = published_generator("64").state_dict()
    more = Attention(16).state_dict(prefix="blocks.0.1.")
    refuse({**twice, **more}, "attention at 8, 32 pixels, and biggan at one size alone")
    refuse({**state, "linear.weight": torch.zeros(7, 3)}, "maps of 4 x 4 pixels")
    for missing in ("blocks.1.0.conv_sc.bias", "blocks.2.0.bn1.stored_var", "output_layer.0.gain"):
        refuse({name: state[name] for name in state if name != missing}, f"'{missing}'")
    with pytest.raises(AssertionError, match="u1"):
        convert("biggan", {**state, "linear.u1": torch.zeros(1)})
