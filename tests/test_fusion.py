"""Fused layers compute what they do one after another, with the same weights."""

import copy
import itertools
import warnings

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from torch.utils.flop_counter import FlopCounterMode

import ganzoo
from ganzoo import DataSpec
from ganzoo.nn import FusedSequential, apply_layer, conv2d_avg_pool, fuse, upsample_conv2d
from ganzoo.protocols.outputs import pick
from ganzoo.registry import ARCHITECTURE, DATASET
from ganzoo.resolve import resolve
from ganzoo.training.prepare import build_trainer
from tiny import TINY

CIFAR = DataSpec(shape=(3, 32, 32))
SIZES = [(4, 4), (5, 7), (4, 9)]
CONVOLUTIONS = {
    "3": {"kernel_size": 3, "padding": 1},
    "3-no-padding": {"kernel_size": 3, "padding": 0, "bias": False},
    "3-padding-2": {"kernel_size": 3, "padding": 2},
    "5x3": {"kernel_size": (5, 3), "padding": (2, 1)},
    "2": {"kernel_size": 2, "padding": 1},
}
COMPOSITIONS = {
    **{
        f"doubled-{name}": lambda how=how: (nn.Upsample(scale_factor=2), nn.Conv2d(3, 4, **how))
        for name, how in CONVOLUTIONS.items()
    },
    **{
        f"halved-{name}": lambda how=how: (nn.Conv2d(3, 4, **how), nn.AvgPool2d(2))
        for name, how in CONVOLUTIONS.items()
    },
    **{
        f"1-behind-{mode}": lambda mode=mode: (
            nn.Upsample(scale_factor=(2, 3), mode=mode),
            nn.Conv2d(3, 4, 1, padding="same"),
        )
        for mode in ("nearest", "nearest-exact", "bilinear", "bicubic")
    },
    "1-before-mean": lambda: (nn.Conv2d(3, 4, 1), nn.AvgPool2d(2)),
    "1-before-ragged-mean": lambda: (nn.Conv2d(3, 4, 1), nn.AvgPool2d(3, 2, ceil_mode=True)),
}
"""Layers that are fused."""
OTHERS = {
    "strided": lambda: (nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3, stride=2, padding=1)),
    "dilated": lambda: (nn.Conv2d(4, 4, 3, dilation=2, padding=2), nn.AvgPool2d(2)),
    "grouped": lambda: (nn.Conv2d(4, 4, 3, groups=2, padding=1), nn.AvgPool2d(2)),
    "reflected": lambda: (
        nn.Upsample(scale_factor=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
    ),
    "same": lambda: (nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3, padding="same")),
    "padded-1": lambda: (nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 1, padding=1)),
    "much-padded": lambda: (nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3, padding=3)),
    "bilinear": lambda: (nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(4, 4, 3)),
    "tripled": lambda: (nn.Upsample(scale_factor=3), nn.Conv2d(4, 4, 3, padding=1)),
    "resized": lambda: (nn.Upsample(size=(9, 9)), nn.Conv2d(4, 4, 1)),
    "shrunk": lambda: (nn.Upsample(scale_factor=0.5), nn.Conv2d(4, 4, 1)),
    "overlapping": lambda: (nn.Conv2d(4, 4, 3, padding=1), nn.AvgPool2d(2, 1)),
    "ragged": lambda: (nn.Conv2d(4, 4, 3, padding=1), nn.AvgPool2d(2, ceil_mode=True)),
    "padded-mean": lambda: (nn.Conv2d(4, 4, 1), nn.AvgPool2d(2, padding=1)),
    "summed": lambda: (nn.Conv2d(4, 4, 3, padding=1), nn.AvgPool2d(2, divisor_override=1)),
    "one-behind-another": lambda: (nn.AvgPool2d(2), nn.Upsample(scale_factor=2)),
}
"""Layers that are not."""
FILLING = {
    "all-pixels": (lambda: nn.Conv2d(3, 4, (5, 6)), (5, 6)),
    "all-pixels-strided": (lambda: nn.Conv2d(3, 4, (5, 6), stride=2, bias=False), (5, 6)),
    "one-pixel": (lambda: nn.ConvTranspose2d(3, 4, (2, 4)), (1, 1)),
    "one-pixel-strided": (lambda: nn.ConvTranspose2d(3, 4, 3, stride=2, bias=False), (1, 1)),
}
"""Layers that are matrix products, with the size of their features."""
NOT_FILLING = {
    "more-pixels": (lambda: nn.Conv2d(4, 4, (5, 6)), (5, 7)),
    "padded": (lambda: nn.Conv2d(4, 4, 3, padding=1), (3, 3)),
    "dilated": (lambda: nn.Conv2d(4, 4, 2, dilation=2), (3, 3)),
    "grouped": (lambda: nn.Conv2d(4, 4, 3, groups=2), (3, 3)),
    "several-pixels": (lambda: nn.ConvTranspose2d(4, 4, 3), (2, 1)),
    "cropped": (lambda: nn.ConvTranspose2d(4, 4, 3, padding=1), (1, 1)),
    "grown": (lambda: nn.ConvTranspose2d(4, 4, 3, stride=2, output_padding=1), (1, 1)),
    "transposed-grouped": (lambda: nn.ConvTranspose2d(4, 4, 3, groups=4), (1, 1)),
    "transposed-dilated": (lambda: nn.ConvTranspose2d(4, 4, 3, dilation=2), (1, 1)),
}
NORMALISED = {
    "convolution": (lambda: nn.Conv2d(3, 4, 3, stride=2, padding=1, dilation=2), {}),
    "convolution-same": (lambda: nn.Conv2d(3, 4, 3, padding="same", bias=False), {}),
    "transposed": (lambda: nn.ConvTranspose2d(3, 4, 4, stride=2, padding=1), {}),
    "transposed-grown": (
        lambda: nn.ConvTranspose2d(3, 4, 3, stride=2, output_padding=1, bias=False),
        {"affine": False},
    ),
    "all-pixels": (lambda: nn.Conv2d(3, 4, (4, 5), bias=False), {}),
}
"""Layers that take over the normalisation behind them, in evaluation."""
FAMILIES = {
    "resnet": {"base_channels": 4},
    "sngan-resnet": {"base_channels": 4},
    "sngan": {"base_channels": 4},
    "dcgan": {"base_channels": 4, "z_dim": 128},
}
"""Architectures with layers that are fused, and options that make them small."""
FEWER = ("resnet", "sngan-resnet")
"""Those that then need fewer operations in training."""


def plain(layers):
    """Return the same layers, of which none is fused."""
    return nn.Sequential(*layers)


def both(made, dtype=torch.float64):
    layers = made()
    fused = FusedSequential(*layers).to(dtype)
    return fused, plain(fused)


def called(run):
    """List the functions of torch that are called."""
    found = []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            found.append(function.__name__)
            return function(*args, **(kwargs or {}))

    with Watch():
        run()
    return found


def calls(network):
    """List what a network of four channels computes."""
    asked = {"dim", "__get__"}  # questions of what its features are like
    return [name for name in called(lambda: network(torch.randn(1, 4, 8, 8))) if name not in asked]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("made", COMPOSITIONS.values(), ids=COMPOSITIONS)
def test_outputs_are_those_of_the_layers(made, size):
    torch.manual_seed(0)
    for dtype, close in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        fused, layers = both(made, dtype)
        features = torch.randn(2, 3, *size, dtype=dtype)
        expected = layers(features)
        found = fused(features)
        assert found.shape == expected.shape
        assert (found - expected).abs().max() <= close * expected.abs().max()


@pytest.mark.parametrize("made", COMPOSITIONS.values(), ids=COMPOSITIONS)
def test_gradients_of_first_and_second_order_are_right(made):
    torch.manual_seed(0)
    fused, layers = both(made)
    names = [name for name, _ in fused.named_parameters()]
    values = [parameter.detach().requires_grad_() for parameter in fused.parameters()]
    features = torch.randn(1, 3, 4, 5, dtype=torch.float64, requires_grad=True)

    def run(network):
        return lambda given, *parameters: torch.func.functional_call(
            network, dict(zip(names, parameters, strict=True)), (given,)
        )

    assert gradcheck(run(fused), (features, *values), fast_mode=True)
    assert gradgradcheck(run(fused), (features, *values), fast_mode=True)
    slopes = []
    for network in (fused, layers):
        out = run(network)(features, *values)
        (slope,) = torch.autograd.grad(out.square().sum(), features, create_graph=True)
        slopes.append(torch.autograd.grad(slope.square().sum(), [features, *values]))
    for mine, theirs in zip(*slopes, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("made", COMPOSITIONS.values(), ids=COMPOSITIONS)
def test_fused_layers_need_fewer_operations(made):
    fused, layers = both(made, torch.float32)
    work = []
    for network in (fused, layers):
        with FlopCounterMode(display=False) as counter:
            network(torch.randn(1, 3, 6, 6))
        work.append(counter.get_total_flops())
    assert work[0] < 0.7 * work[1]


@pytest.mark.parametrize("made", OTHERS.values(), ids=OTHERS)
def test_other_layers_are_called_one_by_one(made):
    fused, layers = both(made, torch.float32)
    assert calls(fused) == calls(layers)
    features = torch.randn(1, 4, 8, 8)
    assert torch.equal(fused(features), layers(features))


def test_functions_are_those_of_their_names():
    features, weight, bias = torch.randn(2, 3, 5, 6), torch.randn(4, 3, 3, 3), torch.randn(4)
    doubled = nn.functional.interpolate(features, scale_factor=2)
    expected = nn.functional.conv2d(doubled, weight, bias, padding=1)
    torch.testing.assert_close(upsample_conv2d(features, weight, bias), expected)
    expected = nn.functional.avg_pool2d(nn.functional.conv2d(features, weight, padding=1), 2)
    torch.testing.assert_close(conv2d_avg_pool(features, weight), expected)


def test_neighbours_in_nested_layers_are_fused_and_the_others_kept():
    torch.manual_seed(0)
    network = FusedSequential(
        nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Upsample(scale_factor=2)),
        nn.Sequential(
            nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), FusedSequential(nn.Conv2d(4, 4, 3))
        ),
        nn.AvgPool2d(2),
    )
    found = calls(network)
    assert "conv_transpose2d" in found
    assert "interpolate" not in found
    # Those of the two kernels; the pixels themselves are not pooled.
    assert found.count("avg_pool2d") == 2
    features = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(network(features), plain(network)(features))


def test_a_name_of_a_parameter_and_its_shape_are_those_of_the_layers():
    made = COMPOSITIONS["doubled-3"]
    fused, layers = both(made)
    assert {name: value.shape for name, value in fused.state_dict().items()} == {
        name: value.shape for name, value in nn.Sequential(*layers).state_dict().items()
    }
    assert repr(fused).replace("FusedSequential", "Sequential") == repr(nn.Sequential(*layers))


@pytest.mark.parametrize("normalise", [spectral_norm, weight_norm])
@pytest.mark.parametrize("name", ["doubled-3", "halved-3", "1-before-mean"])
def test_parametrised_weights_are_fused_and_computed_once(name, normalise):
    features = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    states = []
    for kind in (FusedSequential, nn.Sequential):
        torch.manual_seed(0)
        network = kind(*COMPOSITIONS[name]()).double()
        network.apply(lambda layer: normalise(layer) if isinstance(layer, nn.Conv2d) else None)
        out = network(features)
        slopes = torch.autograd.grad(out.square().sum(), list(network.parameters()))
        # One power iteration a pass: a weight that is looked at twice would be another.
        states.append([out, *slopes, *network.state_dict().values()])
    for mine, theirs in zip(*states, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-12)


def test_a_layer_with_hooks_is_called_with_what_it_expects():
    for place, method in itertools.product(
        range(2),
        (
            "register_forward_hook",
            "register_forward_pre_hook",
            "register_full_backward_hook",
            "register_full_backward_pre_hook",
        ),
    ):
        network, _ = both(COMPOSITIONS["halved-3"], torch.float32)
        seen = []
        handle = getattr(network[place], method)(lambda *given, seen=seen: seen.append(given))
        network(torch.randn(1, 3, 6, 6, requires_grad=True)).sum().backward()
        assert len(seen) == 1, method
        handle.remove()
        network(torch.randn(1, 3, 6, 6))
        assert len(seen) == 1


def test_the_older_spectral_normalisation_by_a_hook_still_works():
    torch.manual_seed(0)
    network = FusedSequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 4, 3, padding=1))
    with warnings.catch_warnings(action="ignore"):  # some versions of torch say that it is old
        nn.utils.spectral_norm(network[1])
    before = network[1].weight_u.clone()
    network(torch.randn(1, 3, 4, 4))
    assert not torch.equal(network[1].weight_u, before)


def test_a_layer_that_is_more_than_its_kind_is_called():
    class Scaled(nn.Conv2d):
        def _conv_forward(self, given, weight, bias):
            return 2 * super()._conv_forward(given, weight, bias)

    changed = nn.Conv2d(3, 4, 3, padding=1)
    changed.forward = lambda given: given[:, :1]
    for layer in (Scaled(3, 4, 3, padding=1), changed):
        network = FusedSequential(nn.Upsample(scale_factor=2), layer)
        features = torch.randn(1, 3, 4, 4)
        assert torch.equal(network(features), plain(network)(features))


@pytest.mark.parametrize("name", ["doubled-3", "halved-3"])
def test_half_precision_under_autocast_is_about_as_close_as_the_layers(name):
    torch.manual_seed(0)
    fused, layers = both(COMPOSITIONS[name], torch.float32)
    features = torch.randn(2, 3, 16, 16)
    exact = layers(features)
    before, torch.backends.mkldnn.enabled = torch.backends.mkldnn.enabled, False
    try:
        with torch.autocast("cpu", torch.bfloat16):
            mine, theirs = fused(features), layers(features)
            mine.float().square().sum().backward()
    finally:
        torch.backends.mkldnn.enabled = before
    assert mine.dtype == theirs.dtype == torch.bfloat16
    assert (mine - exact).abs().mean() < 2 * (theirs - exact).abs().mean()
    assert all(parameter.grad.dtype == torch.float32 for parameter in fused.parameters())


@pytest.mark.parametrize("name", ["doubled-3", "halved-3"])
def test_channels_last_memory_stays_so(name):
    fused, layers = both(COMPOSITIONS[name], torch.float32)
    last = torch.channels_last
    fused.to(memory_format=last)
    features = torch.randn(2, 3, 16, 16).contiguous(memory_format=last)
    found = fused(features)
    assert found.is_contiguous(memory_format=last)
    torch.testing.assert_close(found, layers(features))


# Layers that are products of matrices, and what is settled in evaluation ------------------------


@pytest.mark.parametrize(("made", "size"), FILLING.values(), ids=FILLING)
def test_a_layer_of_all_pixels_or_of_one_is_a_product(made, size):
    torch.manual_seed(0)
    layer = made().double()
    features = torch.randn(2, 3, *size, dtype=torch.float64)
    for memory in (torch.contiguous_format, torch.channels_last):
        layer.to(memory_format=memory)
        given = features.contiguous(memory_format=memory)
        assert (apply_layer(layer, given) - layer(given)).abs().max() < 1e-12
    names = called(lambda: FusedSequential(layer)(features))
    assert not any("conv" in name for name in names), names

    def run(given, *values):
        named = dict(zip(dict(layer.named_parameters()), values, strict=True))
        return torch.func.functional_call(
            FusedSequential(layer), {f"0.{k}": v for k, v in named.items()}, given
        )

    values = [parameter.detach().requires_grad_() for parameter in layer.parameters()]
    assert gradcheck(run, (features.requires_grad_(), *values), fast_mode=True)
    assert gradgradcheck(run, (features, *values), fast_mode=True)


@pytest.mark.parametrize(("made", "size"), NOT_FILLING.values(), ids=NOT_FILLING)
def test_any_other_layer_is_called(made, size):
    layer, features = made(), torch.randn(2, 4, *size)
    assert torch.equal(apply_layer(layer, features), layer(features))
    names = called(lambda: apply_layer(layer, features))
    assert any("conv" in name for name in names), names


def test_a_product_under_autocast_is_in_half_precision():
    layer, features = nn.ConvTranspose2d(3, 4, 2), torch.randn(2, 3, 1, 1)
    with torch.autocast("cpu", torch.bfloat16):
        found = apply_layer(layer, features)
    torch.testing.assert_close(found.float(), layer(features), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize(("made", "options"), NORMALISED.values(), ids=NORMALISED)
def test_normalisation_that_is_settled_costs_nothing(made, options):
    torch.manual_seed(0)
    layers = plain([made(), nn.BatchNorm2d(4, **options), nn.ReLU()]).double()
    fused = FusedSequential(*layers)
    features = torch.randn(6, 3, 4, 5, dtype=torch.float64)
    for _ in range(3):
        layers(features)  # learns what the features are like
    learning = called(lambda: fused(features))
    assert "batch_norm" in learning
    fused.eval()
    assert (fused(features) - layers(features)).abs().max() < 1e-12
    settled = called(lambda: fused(features))
    assert "batch_norm" not in settled
    slopes = [
        torch.autograd.grad(network(features).square().sum(), list(layers.parameters()))
        for network in (fused, layers)
    ]
    for mine, theirs in zip(*slopes, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
        (nn.Conv2d(4, 4, 3, groups=2), nn.BatchNorm2d(4)),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(4)),
        (nn.ConvTranspose2d(4, 4, 3, groups=2), nn.BatchNorm2d(4)),
        (nn.Conv2d(4, 4, 3), nn.GroupNorm(1, 4)),
    ],
    ids=["batch", "grouped", "reflected", "transposed-grouped", "layer"],
)
def test_any_other_normalisation_is_computed(layers):
    network = FusedSequential(*layers).eval()
    features = torch.randn(2, 4, 5, 5)
    assert torch.equal(network(features), plain(network)(features))


# Networks ---------------------------------------------------------------------------------------


class Stranger(nn.Module):
    """A network of plain layers, as an author writes it who has not heard of fusion."""

    class Named(nn.Sequential):
        """A Sequential that does more than pass features on."""

        def forward(self, features):
            return 2 * super().forward(features)

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3, padding=1))
        self.down = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.AvgPool2d(2))
        self.again = self.down
        self.own = self.Named(nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3, padding=1))
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(256, 3), nn.ReLU())

    def forward(self, features):
        for layer in self.main:
            features = layer(features)
        features = self.again(self.down(self.own(features)))
        return self.dense(self.main[:1](features[:, :, :4, :4]))


def stranger():
    torch.manual_seed(0)
    return Stranger().double()


def test_a_strangers_plain_sequentials_are_fused_and_all_else_stays():
    network, before = stranger(), stranger()
    tensors = list(network.parameters())
    assert fuse(network) is network
    assert type(network.main) is type(network.down) is FusedSequential
    assert network.again is network.down
    assert type(network.own) is Stranger.Named
    assert type(network.dense) is nn.Sequential, "without a convolution"
    assert list(network.state_dict()) == list(before.state_dict())
    assert all(mine is it for mine, it in zip(network.parameters(), tensors, strict=True))
    features = torch.randn(2, 4, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(network(features), before(features), rtol=1e-12, atol=1e-12)
    assert "interpolate" not in called(lambda: network.main(features))
    assert "interpolate" in called(lambda: network.own(features))


def test_a_network_that_is_a_sequential_is_fused_itself():
    network = fuse(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.AvgPool2d(2)))
    assert type(network) is FusedSequential
    assert type(fuse(network)) is FusedSequential


def test_a_copy_of_a_fused_network_is_fused_and_learns_by_itself():
    network = fuse(stranger())
    twin = copy.deepcopy(network)
    assert type(twin.main) is FusedSequential
    assert twin.again is twin.down
    with torch.no_grad():
        twin.main[1].weight.zero_()
    assert network.main[1].weight.any()


@pytest.mark.parametrize("place", ["layer", "nested", "whole"])
def test_hooks_of_a_strangers_network_are_called(place):
    inner = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.AvgPool2d(2))
    network = nn.Sequential(nn.ReLU(), inner, nn.Conv2d(4, 4, 1))
    before = copy.deepcopy(network)
    module = {"layer": inner[0], "nested": inner, "whole": network}[place]
    seen = []
    module.register_forward_hook(lambda module, given, out: seen.append((given[0], out)))
    fuse(network)
    features = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(network(features), before(features))
    ((given, out),) = seen
    expected = {"layer": before[1][0], "nested": before[1], "whole": before}[place]
    torch.testing.assert_close(out, expected(given))


def test_a_nested_sequential_with_a_forward_of_its_own_is_called():
    inner = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.AvgPool2d(2))
    inner.forward = lambda features: -features
    features = torch.randn(2, 4, 8, 8)
    assert torch.equal(fuse(nn.Sequential(nn.Identity(), inner))(features), -features)
    assert torch.equal(fuse(nn.Sequential(nn.Conv2d(4, 4, 1), inner))[1](features), -features)


# The families -----------------------------------------------------------------------------------


def made(name, dtype=torch.float32):
    """Build both networks of a family, of plain layers."""
    torch.manual_seed(3)
    architecture = ganzoo.registry.get(ARCHITECTURE, name)(**FAMILIES[name])
    networks = architecture.generator(CIFAR), architecture.discriminator(CIFAR)
    return [network.to(dtype) for network in networks]


def is_fused(network):
    return any(isinstance(module, FusedSequential) for module in network.modules())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_built_of_plain_layers_and_keeps_its_weights(name):
    for network, before in zip(made(name), made(name), strict=True):
        assert not is_fused(network)
        assert is_fused(fuse(network))
        mine, theirs = network.state_dict(), before.state_dict()
        assert list(mine) == list(theirs)
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_fused_family_computes_what_its_layers_do(name):
    """Samples, logits, a penalty on a gradient, and the gradients of all parameters."""
    found = []
    for networks in ([fuse(network) for network in made(name)], made(name)):
        generator, discriminator = (network.double() for network in networks)
        torch.manual_seed(0)
        images = generator(torch.randn(2, 128, dtype=torch.float64))
        logits = pick(discriminator(images), "logits")
        (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        total = logits.sum() + slope.square().sum()
        parameters = [*generator.parameters(), *discriminator.parameters()]
        slopes = torch.autograd.grad(total, parameters)
        found.append([images, logits, slope, *slopes])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", FEWER)
def test_a_fused_family_needs_fewer_operations(name):
    work = []
    for networks in ([fuse(network) for network in made(name)], made(name)):
        with FlopCounterMode(display=False) as counter:
            networks[1](networks[0](torch.randn(1, 128)))
        work.append(counter.get_total_flops())
    assert work[0] < 0.8 * work[1]


def test_training_and_sampling_fuse(tmp_path):
    settings = {"arch.base_channels": 4, "arch.z_dim": 4, "data.image_size": 8}
    config = resolve("dcgan", settings={**settings, "train.device": "cpu"})
    state = build_trainer(config, config.data.build(DATASET).read()).state
    for network in (state.generator, state.discriminator, state.generator_ema.module):
        assert is_fused(network)
    run = ganzoo.train("dcgan", settings=settings, **{**TINY, "out": tmp_path / "run"})
    model = ganzoo.load(run)
    assert is_fused(model.generator)
    assert is_fused(model.discriminator)
