"""StyleGAN2-ADA's and R3GAN's files: networks in the published layout give the same samples."""

import math

import pytest
import torch
import torch.nn.functional as F

from ganzoo import registry
from ganzoo.errors import InputError
from layouts import Tensors, convert_alone
from published import convert

FILTER = torch.outer(torch.tensor([1.0, 3.0, 3.0, 1.0]), torch.tensor([1.0, 3.0, 3.0, 1.0])) / 64


def close(found, expected):
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


def insert_zeros(images):
    """Put a row and a column of zeros behind each of images ``(N, C, H, W)``."""
    count, channels, height, width = images.shape
    found = images.new_zeros(count, channels, height, 2, width, 2)
    found[:, :, :, 0, :, 0] = images
    return found.reshape(count, channels, 2 * height, 2 * width)


def filter_binomially(images, *, before, behind, gain=1.0):
    """Filter by [1, 3, 3, 1] / 8 in both directions, with zeros before and behind."""
    line = images.new_tensor([1.0, 3.0, 3.0, 1.0]) / 8
    padded = F.pad(images, (before, behind, before, behind))
    for axis in (2, 3):
        padded = (padded.unfold(axis, 4, 1) * line).sum(-1)
    return gain * padded


def one_hot(labels, classes):
    return F.one_hot(labels, classes).double()


# StyleGAN2-ADA: a file -------------------------------------------------------------------------


def stylegan2(
    sides=(4, 8, 16),
    channels=(6, 6, 3),
    *,
    layers=2,
    classes=0,
    residual=True,
    noise=True,
    grouped=True,
    colours=3,
):
    """Write the tensors of a snapshot: ``G_ema`` and ``D``."""
    made = Tensors()
    mapping(made, "G_ema.mapping", 5 + 4 * bool(classes), 4, layers, classes)
    made.draw("G_ema.mapping.w_avg", 4)
    made.draw("G_ema.synthesis.b4.const", channels[0], 4, 4)
    before = channels[0]
    for side, after in zip(sides, channels, strict=True):
        block = f"G_ema.synthesis.b{side}"
        made[f"{block}.resample_filter"] = FILTER
        if side > 4:
            styled(made, f"{block}.conv0", before, after, side, noise=noise)
        styled(made, f"{block}.conv1", after, after, side, noise=noise)
        affine(made, f"{block}.torgb", after)
        made.draw(f"{block}.torgb.weight", colours, after, 1, 1, std=0.1)
        made.draw(f"{block}.torgb.bias", colours, std=0.1)
        before = after
    discriminator(made, sides, channels, layers, classes, residual, grouped, colours)
    return made


def mapping(made, name, inputs, width, layers, classes):
    if classes:
        made.draw(f"{name}.embed.weight", width, classes)
        made.draw(f"{name}.embed.bias", width)
    for layer in range(layers):
        made.draw(f"{name}.fc{layer}.weight", width, width if layer else inputs, std=100)
        made.draw(f"{name}.fc{layer}.bias", width, std=30)


def affine(made, name, after):
    made.draw(f"{name}.affine.weight", after, 4)
    made.draw(f"{name}.affine.bias", after, mean=1, std=0.3)


def styled(made, name, before, after, side, *, noise):
    affine(made, name, before)
    made.draw(f"{name}.weight", after, before, 3, 3)
    made.draw(f"{name}.bias", after)
    made[f"{name}.resample_filter"] = FILTER
    if noise:
        made.draw(f"{name}.noise_strength")
        made.draw(f"{name}.noise_const", side, side)


def plain(made, name, before, after, size, *, bias=True):
    made.draw(f"{name}.weight", after, before, size, size)
    if bias:
        made.draw(f"{name}.bias", after)
    made[f"{name}.resample_filter"] = FILTER


def discriminator(made, sides, channels, layers, classes, residual, grouped, colours):
    plain(made, f"D.b{sides[-1]}.fromrgb", colours, channels[-1], 1)
    for i in range(len(sides) - 1, 0, -1):
        block, before, after = f"D.b{sides[i]}", channels[i], channels[i - 1]
        made[f"{block}.resample_filter"] = FILTER
        plain(made, f"{block}.conv0", before, before, 3)
        plain(made, f"{block}.conv1", before, after, 3)
        if residual:
            plain(made, f"{block}.skip", before, after, 1, bias=False)
    wide = channels[0]
    plain(made, "D.b4.conv", wide + grouped, wide, 3)
    made.draw("D.b4.fc.weight", wide, wide * 16)
    made.draw("D.b4.fc.bias", wide)
    made.draw("D.b4.out.weight", wide if classes else 1, wide)
    made.draw("D.b4.out.bias", wide if classes else 1)
    if classes:
        mapping(made, "D.mapping", wide, wide, layers, classes)


# StyleGAN2-ADA: the authors' networks, from their papers ----------------------------------------


class Published:
    """The networks that a snapshot describes, in double precision."""

    def __init__(self, tensors):
        self.tensors = {name: tensor.double() for name, tensor in tensors.items()}

    def dense(self, name, inputs, rate=1.0):
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        return inputs @ (weight * rate / math.sqrt(weight.shape[1])).t() + bias * rate

    def map(self, name, inputs, classes):
        """Return a style of latents, or of nothing, and of classes."""
        given = [] if inputs is None else [normalise(inputs)]
        if classes is not None:
            given.append(normalise(self.dense(f"{name}.embed", classes)))
        found = torch.cat(given, 1)
        for layer in range(sum(f"{name}.fc{i}.weight" in self.tensors for i in range(20))):
            found = activate(self.dense(f"{name}.fc{layer}", found, 0.01))
        return found

    def generate(self, latents, classes=None, truncation=1.0):
        mean = self.tensors["G_ema.mapping.w_avg"]
        style = mean + truncation * (self.map("G_ema.mapping", latents, classes) - mean)
        features = self.tensors["G_ema.synthesis.b4.const"].expand(len(latents), -1, -1, -1)
        images = None
        side = 4
        while f"G_ema.synthesis.b{side}.conv1.weight" in self.tensors:
            block = f"G_ema.synthesis.b{side}"
            if side > 4:
                features = self.modulated(f"{block}.conv0", features, style, up=True)
            features = self.modulated(f"{block}.conv1", features, style)
            added = self.to_image(f"{block}.torgb", features, style)
            if images is not None:
                images = filter_binomially(insert_zeros(images), before=2, behind=1, gain=4)
                added = added + images
            images = added
            side *= 2
        return images

    def modulated(self, name, features, style, *, up=False):
        """Convolve each sample with its own weights."""
        scales = self.dense(f"{name}.affine", style)
        weight = self.tensors[f"{name}.weight"]
        found = []
        for sample, scale in zip(features, scales, strict=True):
            own = weight * scale[None, :, None, None]
            own = own / (own.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
            if up:
                # Transposed: between the pixels are zeros, and the kernel is turned round.
                spread = insert_zeros(sample[None])[..., :-1, :-1]
                out = F.conv2d(spread, own.flip(2, 3), padding=2)
                found.append(filter_binomially(out, before=1, behind=1, gain=4))
            else:
                found.append(F.conv2d(sample[None], own, padding=1))
        out = torch.cat(found)
        if f"{name}.noise_const" in self.tensors:
            strength = self.tensors[f"{name}.noise_strength"]
            out = out + strength * self.tensors[f"{name}.noise_const"]
        return activate(out + self.tensors[f"{name}.bias"][:, None, None])

    def to_image(self, name, features, style):
        scales = self.dense(f"{name}.affine", style)
        weight = self.tensors[f"{name}.weight"][:, :, 0, 0] / math.sqrt(features.shape[1])
        images = torch.einsum("oc,nc,nchw->nohw", weight, scales, features)
        return images + self.tensors[f"{name}.bias"][:, None, None]

    def convolve(self, name, features, stride=1, padding=0):
        weight = self.tensors[f"{name}.weight"]
        scaled = weight / math.sqrt(weight[0].numel())
        return F.conv2d(features, scaled, self.tensors.get(f"{name}.bias"), stride, padding)

    def judge(self, images, classes=None, group=4):
        side = images.shape[-1]
        features = activate(self.convolve(f"D.b{side}.fromrgb", images))
        while side > 4:
            block = f"D.b{side}"
            deep = activate(self.convolve(f"{block}.conv0", features, padding=1))
            deep = filter_binomially(deep, before=2, behind=2)
            deep = activate(self.convolve(f"{block}.conv1", deep, stride=2))
            if f"{block}.skip.weight" in self.tensors:
                short = filter_binomially(features, before=1, behind=1)[:, :, ::2, ::2]
                deep = (deep + self.convolve(f"{block}.skip", short)) / math.sqrt(2)
            features = deep
            side //= 2
        if self.tensors["D.b4.conv.weight"].shape[1] > features.shape[1]:
            features = add_deviation(features, group)
        features = activate(self.convolve("D.b4.conv", features, padding=1))
        features = activate(self.dense("D.b4.fc", features.flatten(1)))
        logits = self.dense("D.b4.out", features)
        if classes is None:
            return logits[:, 0]
        return (logits * self.map("D.mapping", None, classes)).sum(1) / math.sqrt(logits.shape[1])


def activate(features):
    return math.sqrt(2) * F.leaky_relu(features, 0.2)


def normalise(rows):
    return rows / (rows.square().mean(1, keepdim=True) + 1e-8).sqrt()


def add_deviation(features, size):
    """Add a channel: samples i, i + N / size, and so on are a group."""
    step = len(features) // size
    added = features.new_zeros(len(features), 1, *features.shape[2:])
    for start in range(step):
        group = features[start::step]
        added[start::step] = (group.var(0, correction=0) + 1e-8).sqrt().mean()
    return torch.cat([features, added], 1)


# StyleGAN2-ADA: what is converted ----------------------------------------------------------------

FORMS = {
    "as for photographs": {},
    "as for CIFAR-10": {"classes": 3, "residual": False},
    "deep, with classes": {"classes": 2, "layers": 3, "colours": 1},
    "without noise and groups": {"noise": False, "grouped": False, "sides": (4, 8), "layers": 1},
}


@pytest.mark.parametrize("form", FORMS)
def test_stylegan2_gives_the_published_samples(form):
    options = dict(FORMS[form])
    if "sides" in options:
        options["channels"] = (4, 6)[::-1]
    tensors, classes = stylegan2(**options), options.get("classes", 0)
    found, generator, judge = convert("stylegan2-ada", tensors)
    architecture = registry.get(registry.ARCHITECTURE, "stylegan2")(**found.options)
    judge.train()
    rng = torch.Generator().manual_seed(1)
    latents = torch.randn(8, 5, generator=rng)
    labels = torch.arange(8) % classes if classes else None
    classed = one_hot(labels, classes) if classes else None
    given = (latents,) if labels is None else (latents, labels)
    published = Published(tensors)
    for share in (1.0, 0.6):
        expected = published.generate(latents.double(), classed, share)
        network = architecture.truncate(generator, share)
        with torch.no_grad():
            close(network(*given)["samples"], expected.clamp(-1, 1))
            assert 0.05 < expected.abs().mean() < 1, "most of it is not clamped"
    images = torch.randn(8, *found.data.shape, generator=rng)
    with torch.no_grad():
        logits = judge(images, *([] if labels is None else [labels]))
    close(logits, published.judge(images.double(), classed))


def test_stylegan2_options_are_those_of_the_file():
    found = convert_alone("stylegan2-ada", stylegan2(classes=3, residual=False))
    assert found.options == {
        "z_dim": 5,
        "w_dim": 4,
        "channel_base": 48,
        "channel_max": 6,
        "mapping_layers": 2,
        "noise": True,
        "conditional": True,
        "discriminator_form": "plain",
        "label_layers": 2,
        "mixing": 0.0,
    }
    assert (found.data.shape, found.data.classes) == ((3, 16, 16), 3)
    values = {
        "D.init_kwargs.epilogue_kwargs.mbstd_group_size": 8,
        "G_ema.init_kwargs.synthesis_kwargs.conv_clamp": 256,
        "G_ema.init_kwargs.mapping_kwargs.lr_multiplier": 0.01,
    }
    found = convert_alone("stylegan2-ada", stylegan2(), values)
    assert found.options["group_size"] == 8
    assert [note.split(",")[0] for note in found.notes] == [
        "the authors' networks clamp activations at 256",
        "the file has no mean of the minibatch standard deviation: the discriminator's logits of "
        "single samples count once you have trained on",
    ]


def test_stylegan2_generator_alone():
    whole = stylegan2()
    alone = {
        name.removeprefix("G_ema."): tensor
        for name, tensor in whole.items()
        if name.startswith("G_ema.")
    }
    found, *_ = convert("stylegan2-ada", alone)
    expected = convert_alone("stylegan2-ada", whole)
    assert found.discriminator is None
    assert found.options.keys() < expected.options.keys()
    torch.testing.assert_close(found.generator, expected.generator)


def test_stylegan2_ignores_the_live_generator_and_the_augmentation():
    whole = stylegan2()
    live = {name.replace("G_ema.", "G."): tensor for name, tensor in whole.items()}
    convert("stylegan2-ada", {**whole, **live, "augment_pipe.p": torch.zeros(())})


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"G_ema.synthesis.b8.torgb.weight": None}, "does not sum images over its resolutions"),
        ({"G_ema.synthesis.b8.conv0.bias": None}, "no tensor 'G_ema.synthesis.b8.conv0.bias'"),
        ({"D.b8.conv1.weight": None}, "no tensor 'D.b8.conv1.weight'"),
        ({"D.b8.fromrgb.weight": torch.zeros(3)}, "takes images at each resolution"),
        (
            {"G_ema.synthesis.b16.resample_filter": torch.full((4, 4), 1 / 16)},
            "'synthesis.b16.resample_filter' is not the filter",
        ),
    ],
)
def test_stylegan2_of_another_form_is_refused(changed, expected):
    with pytest.raises(InputError, match=expected):
        convert_alone("stylegan2-ada", stylegan2().change(**changed))


def test_stylegan2_of_other_settings_or_widths_is_refused():
    values = {"G_ema.init_kwargs.mapping_kwargs.activation": "relu"}
    with pytest.raises(InputError, match=r"mapping_kwargs.activation relu, .* has lrelu"):
        convert_alone("stylegan2-ada", stylegan2(), values)
    with pytest.raises(InputError, match="have 4, 6, 3 channels"):
        convert_alone("stylegan2-ada", stylegan2(channels=(4, 6, 3)))


# R3GAN ------------------------------------------------------------------------------------------


def r3gan(channels=(8, 8, 4), *, classes=0, blocks=2, z_dim=5, group=2, colours=3, wrapped=True):
    """Write the tensors of a snapshot: ``G_ema`` and ``D``, widths from the lowest resolution."""
    made = Tensors(std=0.4)
    g, d = ("G_ema.Model.", "D.Model.") if wrapped else ("G_ema.", "D.")
    last = len(channels) - 1
    made.draw(f"{g}MainLayers.0.Layers.0.Basis", channels[0], 4, 4)
    made.draw(
        f"{g}MainLayers.0.Layers.0.LinearLayer.weight", channels[0], z_dim * (1 + (classes > 0))
    )
    for stage, width in enumerate(channels):
        if stage:
            transition(made, f"{g}MainLayers.{stage}.Layers.0", channels[stage - 1], width)
        for block in range(blocks):
            grouped_block(made, f"{g}MainLayers.{stage}.Layers.{1 + block}", width, group)
    made.draw(f"{g}AggregationLayer.Layer.weight", colours, channels[-1], 1, 1, std=0.05)
    made.draw(f"{d}ExtractionLayer.Layer.weight", channels[-1], colours, 1, 1)
    for stage, width in enumerate(channels[::-1]):
        for block in range(blocks):
            grouped_block(made, f"{d}MainLayers.{stage}.Layers.{block}", width, group)
        if stage < last:
            transition(made, f"{d}MainLayers.{stage}.Layers.{blocks}", width, channels[-2 - stage])
    end = f"{d}MainLayers.{last}.Layers.{blocks}"
    made.draw(f"{end}.Basis.weight", channels[0], 1, 4, 4)
    made.draw(f"{end}.LinearLayer.weight", channels[0] if classes else 1, channels[0])
    if classes:
        made.draw(f"{g}EmbeddingLayer.weight", z_dim, classes)
        made.draw(f"{d}EmbeddingLayer.weight", channels[0], classes)
    return made


def transition(made, name, before, after):
    made[f"{name}.Resampler.Kernel"] = FILTER
    if before != after:
        made.draw(f"{name}.LinearLayer.Layer.weight", after, before, 1, 1)


def grouped_block(made, name, width, group):
    made.draw(f"{name}.LinearLayer1.Layer.weight", 2 * width, width, 1, 1)
    made.draw(f"{name}.LinearLayer2.Layer.weight", 2 * width, group, 3, 3)
    made.draw(f"{name}.LinearLayer3.Layer.weight", width, 2 * width, 1, 1)
    made.draw(f"{name}.NonLinearity1.Bias", 2 * width)
    made.draw(f"{name}.NonLinearity2.Bias", 2 * width)


class PublishedR3GAN:
    """The networks that a snapshot of R3GAN describes, in double precision."""

    def __init__(self, tensors):
        self.tensors = {
            name.replace(".Model.", "."): tensor.double() for name, tensor in tensors.items()
        }

    def pixelwise(self, name, features):
        weight = self.tensors.get(f"{name}.weight")
        if weight is None:
            return features
        return torch.einsum("oc,nchw->nohw", weight[:, :, 0, 0], features)

    def block(self, name, features):
        inside = self.pixelwise(f"{name}.LinearLayer1.Layer", features)
        inside = self.bend(f"{name}.NonLinearity1", inside)
        weight = self.tensors[f"{name}.LinearLayer2.Layer.weight"]
        groups = zip(weight.split(weight.shape[1]), inside.split(weight.shape[1], 1), strict=True)
        inside = torch.cat([F.conv2d(part, kernel, padding=1) for kernel, part in groups], 1)
        inside = self.bend(f"{name}.NonLinearity2", inside)
        return features + self.pixelwise(f"{name}.LinearLayer3.Layer", inside)

    def bend(self, name, features):
        return F.leaky_relu(features + self.tensors[f"{name}.Bias"][:, None, None], 0.2)

    def generate(self, latents, classes, stages, blocks):
        if classes is not None:
            latents = torch.cat(
                [latents, classes @ self.tensors["G_ema.EmbeddingLayer.weight"].t()], 1
            )
        first = "G_ema.MainLayers.0.Layers.0"
        scales = latents @ self.tensors[f"{first}.LinearLayer.weight"].t()
        features = scales[:, :, None, None] * self.tensors[f"{first}.Basis"]
        for stage in range(stages):
            name = f"G_ema.MainLayers.{stage}.Layers"
            if stage:
                features = self.pixelwise(f"{name}.0.LinearLayer.Layer", features)
                features = filter_binomially(insert_zeros(features), before=2, behind=1, gain=4)
            for block in range(blocks):
                features = self.block(f"{name}.{1 + block}", features)
        return self.pixelwise("G_ema.AggregationLayer.Layer", features)

    def judge(self, images, classes, stages, blocks):
        features = self.pixelwise("D.ExtractionLayer.Layer", images)
        for stage in range(stages):
            name = f"D.MainLayers.{stage}.Layers"
            for block in range(blocks):
                features = self.block(f"{name}.{block}", features)
            if stage < stages - 1:
                features = filter_binomially(features, before=1, behind=1)[:, :, ::2, ::2]
                features = self.pixelwise(f"{name}.{blocks}.LinearLayer.Layer", features)
        weight = self.tensors[f"{name}.{blocks}.Basis.weight"][:, 0]
        flat = (features * weight).sum((2, 3))
        flat = flat @ self.tensors[f"{name}.{blocks}.LinearLayer.weight"].t()
        if classes is None:
            return flat[:, 0]
        return (flat * (classes @ self.tensors["D.EmbeddingLayer.weight"].t())).sum(1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"classes": 3, "blocks": 1, "colours": 1},
        {"channels": (4, 4), "group": 4, "wrapped": False},
    ],
    ids=["of three widths' kinds", "with classes", "of one width"],
)
def test_r3gan_gives_the_published_samples(options):
    tensors, classes = r3gan(**options), options.get("classes", 0)
    found, generator, judge = convert("r3gan", tensors)
    rng = torch.Generator().manual_seed(1)
    latents = torch.randn(6, 5, generator=rng)
    labels = torch.arange(6) % classes if classes else None
    classed = one_hot(labels, classes) if classes else None
    given = () if labels is None else (labels,)
    size = len(options.get("channels", (8, 8, 4))), options.get("blocks", 2)
    published = PublishedR3GAN(tensors)
    images = torch.randn(6, *found.data.shape, generator=rng)
    expected = published.generate(latents.double(), classed, *size)
    assert 0.02 < expected.abs().mean() < 1
    with torch.no_grad():
        close(generator(latents, *given), expected.clamp(-1, 1))
        close(judge(images, *given), published.judge(images.double(), classed, *size))


def test_r3gan_options_are_those_of_the_file():
    found = convert_alone("r3gan", r3gan(classes=3))
    assert found.options == {
        "z_dim": 5,
        "base_channels": 4,
        "growth": 2,
        "blocks": 2,
        "expansion": 2,
        "group_size": 2,
        "conditional": True,
    }
    assert (found.data.shape, found.data.classes) == ((3, 16, 16), 3)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"G_ema.Model.AggregationLayer.Layer.weight": None}, "no tensor 'G_ema.Model.Aggregation"),
        ({"D.Model.MainLayers.1.Layers.0.NonLinearity1.Bias": None}, "no tensor 'D.Model.Main"),
        (
            {"G_ema.Model.EmbeddingLayer.weight": torch.zeros(3, 2)},
            "has 3 numbers and a latent has 2",
        ),
        (
            {"G_ema.Model.MainLayers.1.Layers.0.Resampler.Kernel": torch.ones(4, 4) / 16},
            "is not the filter",
        ),
    ],
)
def test_r3gan_of_another_form_is_refused(changed, expected):
    with pytest.raises(InputError, match=expected):
        convert_alone("r3gan", r3gan().change(**changed))


@pytest.mark.parametrize("channels", [(12, 6, 4), (4, 8, 8)])
def test_r3gan_of_other_widths_is_refused(channels):
    with pytest.raises(InputError, match="no stages of"):
        convert_alone("r3gan", r3gan(channels))
