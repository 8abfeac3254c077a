"""pix2pix's, CycleGAN's and Real-ESRGAN's files: the published layouts give the same images."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from ganzoo.errors import InputError
from layouts import Tensors, convert_alone
from published import convert

WIDTHS = (2, 4, 8, 16, 16)
"""Channels of a U-Net behind each of its halvings, of images of 32 pixels."""


def close(found, expected):
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


def draw_images(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


# Files of translators ---------------------------------------------------------------------------


class TranslatorFile(Tensors):
    """A generator's tensors: convolutions, and normalisation of whole batches or of images.

    Args:
        norm: What follows them: batch; instance, which has no tensors, behind biases; or recorded,
            which is instance with the statistics that old files hold.
    """

    def __init__(self, norm):
        super().__init__(std=0.2)
        self.norm = norm

    def convolution(self, name, *shape, made, is_last=False):
        self.draw(f"{name}.weight", *shape)
        if is_last or self.norm != "batch":
            self.draw(f"{name}.bias", made)

    def normalisation(self, name, channels):
        if self.norm == "batch":
            self.draw(f"{name}.weight", channels, mean=1)
            self.draw(f"{name}.bias", channels)
        if self.norm != "instance":
            self.draw(f"{name}.running_mean", channels)
            self[f"{name}.running_var"] = torch.rand(channels, generator=self.rng) + 0.5
            self[f"{name}.num_batches_tracked"] = torch.tensor(7)


def unet(norm="batch", widths=WIDTHS):
    """Write a U-Net for sources of 1 channel and images of 3, the outermost part first."""
    made = TranslatorFile(norm)
    prefix = "model.model"
    made.convolution(f"{prefix}.0", widths[0], 1, 4, 4, made=widths[0])
    made.convolution(f"{prefix}.3", 2 * widths[0], 3, 4, 4, made=3, is_last=True)
    prefix = f"{prefix}.1.model"
    for outer, inner in itertools.pairwise(widths[:-1]):
        made.convolution(f"{prefix}.1", inner, outer, 4, 4, made=inner)
        made.normalisation(f"{prefix}.2", inner)
        made.convolution(f"{prefix}.5", 2 * inner, outer, 4, 4, made=outer)
        made.normalisation(f"{prefix}.6", outer)
        prefix = f"{prefix}.3.model"
    outer, inner = widths[-2:]
    made.convolution(f"{prefix}.1", inner, outer, 4, 4, made=inner)
    made.convolution(f"{prefix}.3", inner, outer, 4, 4, made=outer)
    made.normalisation(f"{prefix}.4", outer)
    return made


def resnet(norm="instance", *, width=2, blocks=2, dropout=False):
    """Write a residual generator of images of 3 channels."""
    made = TranslatorFile(norm)
    layers = [(1, 3, width, 7), (4, width, 2 * width, 3), (7, 2 * width, 4 * width, 3)]
    for place, before, after, size in layers:
        made.convolution(f"model.{place}", after, before, size, size, made=after)
        made.normalisation(f"model.{place + 1}", after)
    wide = 4 * width
    for block in range(blocks):
        for place in (1, 6 if dropout else 5):
            name = f"model.{10 + block}.conv_block"
            made.convolution(f"{name}.{place}", wide, wide, 3, 3, made=wide)
            made.normalisation(f"{name}.{place + 1}", wide)
    for place, before, after in ((10 + blocks, wide, 2 * width), (13 + blocks, 2 * width, width)):
        made.convolution(f"model.{place}", before, after, 3, 3, made=after)
        made.normalisation(f"model.{place + 1}", after)
    made.convolution(f"model.{17 + blocks}", 3, width, 7, 7, made=3, is_last=True)
    return made


# The authors' networks --------------------------------------------------------------------------


class Published:
    """The generator that a file describes, in double precision.

    Args:
        running: Whether normalisation uses the statistics of the file.
    """

    def __init__(self, tensors, *, running=False):
        self.tensors = {name: tensor.double() for name, tensor in tensors.items()}
        self.running = running

    def down(self, name, features, stride, padding=0):
        weight, bias = self.tensors[f"{name}.weight"], self.tensors.get(f"{name}.bias")
        return F.conv2d(features, weight, bias, stride, padding)

    def up(self, name, features, **more):
        weight, bias = self.tensors[f"{name}.weight"], self.tensors.get(f"{name}.bias")
        return F.conv_transpose2d(features, weight, bias, stride=2, padding=1, **more)

    def normalise(self, name, features):
        mean = features.mean((2, 3), keepdim=True)
        variance = features.var((2, 3), correction=0, keepdim=True)
        if self.running:
            mean = self.tensors[f"{name}.running_mean"][:, None, None]
            variance = self.tensors[f"{name}.running_var"][:, None, None]
        found = (features - mean) / (variance + 1e-5).sqrt()
        if f"{name}.weight" in self.tensors:
            found = found * self.tensors[f"{name}.weight"][:, None, None]
            found = found + self.tensors[f"{name}.bias"][:, None, None]
        return found

    def unet(self, images):
        features = self.within("model.model.1.model", self.down("model.model.0", images, 2, 1))
        return self.up("model.model.3", features.relu()).tanh()

    def within(self, part, features):
        """Return features beside what a part of the network makes of them."""
        given = F.leaky_relu(features, 0.2)
        found = self.down(f"{part}.1", given, 2, 1)
        last = 4
        if f"{part}.3.model.1.weight" in self.tensors:
            last = 6
            found = self.within(f"{part}.3.model", self.normalise(f"{part}.2", found))
        found = self.up(f"{part}.{last - 1}", found.relu())
        return torch.cat([given, self.normalise(f"{part}.{last}", found)], 1)

    def resnet(self, images, blocks=2):
        features = self.layer("model", 1, F.pad(images, (3,) * 4, mode="reflect"), 1)
        features = self.layer("model", 4, features, 2, 1)
        features = self.layer("model", 7, features, 2, 1)
        for block in range(blocks):
            name = f"model.{10 + block}.conv_block"
            second = 5 if f"{name}.5.weight" in self.tensors else 6
            found = self.layer(name, 1, F.pad(features, (1,) * 4, mode="reflect"), 1)
            found = self.down(f"{name}.{second}", F.pad(found, (1,) * 4, mode="reflect"), 1)
            features = features + self.normalise(f"{name}.{second + 1}", found)
        for place in (10 + blocks, 13 + blocks):
            found = self.up(f"model.{place}", features, output_padding=1)
            features = self.normalise(f"model.{place + 1}", found).relu()
        padded = F.pad(features, (3,) * 4, mode="reflect")
        return self.down(f"model.{17 + blocks}", padded, 1).tanh()

    def layer(self, name, place, features, stride, padding=0):
        found = self.down(f"{name}.{place}", features, stride, padding)
        return self.normalise(f"{name}.{place + 1}", found).relu()


@pytest.mark.parametrize(
    ("norm", "statistics"),
    [("batch", "instance"), ("batch", "batch"), ("instance", "instance"), ("recorded", "batch")],
)
def test_pix2pix_gives_the_published_images(norm, statistics):
    tensors = unet(norm)
    found, generator, _ = convert("pix2pix", tensors, statistics=statistics)
    running = norm == "batch" == statistics
    assert found.options == {
        "base_channels": 2,
        "downs": 5,
        "biases": norm != "batch",
        "norm": "batch" if running else "instance",
    }
    assert (found.data.shape, found.data.source) == ((3, 32, 32), (1, 32, 32))
    sources = draw_images(3, 1, 32, 32)
    with torch.no_grad():
        close(generator(sources), Published(tensors, running=running).unet(sources.double()))


@pytest.mark.parametrize(
    ("options", "statistics"),
    [
        ({}, "instance"),
        ({"norm": "recorded"}, "batch"),
        ({"norm": "batch", "dropout": True}, "batch"),
        ({"norm": "batch"}, "instance"),
    ],
)
def test_cyclegan_gives_the_published_images(options, statistics):
    tensors = resnet(**options)
    found, generator, _ = convert("cyclegan", tensors, statistics=statistics, image_size=16)
    running = options.get("norm") == "batch" == statistics
    assert found.options == {
        "network": "resnet",
        "base_channels": 2,
        "blocks": 2,
        "norm": "batch" if running else "instance",
    }
    assert (found.data.shape, found.data.source) == ((3, 16, 16), (3, 16, 16))
    sources = draw_images(3, 3, 16, 16)
    with torch.no_grad():
        close(generator(sources), Published(tensors, running=running).resnet(sources.double()))


def test_translators_have_the_authors_sizes_and_losses():
    found = convert_alone("cyclegan", resnet(blocks=9))
    assert (found.data.shape, found.loss, found.options["blocks"]) == ((3, 256, 256), "lsgan", 9)
    found = convert_alone("pix2pix", unet(), image_size=(32, 64))
    assert (found.data.shape, found.data.source, found.loss) == ((3, 32, 64), (1, 32, 64), None)


def test_what_cannot_be_known_of_a_translator_is_said():
    said = [convert_alone("pix2pix", unet(norm)).notes for norm in ("batch", "instance")]
    assert [len(notes) for notes in said] == [2, 1]
    assert "statistics=batch" in said[0][0]
    assert said[0][1] == said[1][0]
    assert "dropout" in said[1][0]
    assert convert_alone("cyclegan", resnet()).notes == ()


def patches(norm="batch", given=4, halvings=2, width=2):
    """Write a discriminator of patches, as a file beside a generator's is read."""
    made = TranslatorFile(norm)
    widths = [width * 2**i for i in range(halvings + 1)]
    made.convolution("model.0", width, given, 4, 4, made=width, is_last=True)
    place = 2
    for before, after in itertools.pairwise(widths):
        made.convolution(f"model.{place}", after, before, 4, 4, made=after)
        made.normalisation(f"model.{place + 1}", after)
        place += 3
    made.convolution(f"model.{place}", 1, widths[-1], 4, 4, made=1, is_last=True)
    return made


@pytest.mark.parametrize("statistics", ["instance", "batch"])
def test_the_discriminator_beside_a_translator_gives_the_published_logits(statistics):
    judge = patches()
    tensors = unet() | judge.rename(lambda name: f"discriminator.{name}")
    found, _, discriminator = convert("pix2pix", tensors, statistics=statistics)
    assert found.options["patch_layers"] == 2
    sources, images = draw_images(3, 1, 32, 32), draw_images(3, 3, 32, 32)
    published = Published(judge, running=statistics == "batch")
    expected = torch.cat([sources, images], 1).double()
    for place, stride in ((0, 2), (2, 2), (5, 1), (8, 1)):
        expected = published.down(f"model.{place}", expected, stride, 1)
        if place in (2, 5):
            expected = published.normalise(f"model.{place + 1}", expected)
        if place != 8:
            expected = F.leaky_relu(expected, 0.2)
    with torch.no_grad():
        close(discriminator(images, sources), expected.flatten(1))


def test_a_discriminator_of_other_channels_is_refused():
    tensors = unet() | patches(given=3).rename(lambda name: f"discriminator.{name}")
    with pytest.raises(InputError, match="judges 3 channels by 2 in its first layer"):
        convert_alone("pix2pix", tensors)


@pytest.mark.parametrize(
    ("name", "tensors", "expected"),
    [
        ("pix2pix", unet(widths=(2, 4, 4, 16)), "has 2, 4, 4, 16 channels"),
        ("pix2pix", unet().change(**{"model.model.3.weight": None}), "'model.model.3.weight'"),
        ("cyclegan", resnet().change(**{"model.7.weight": None}), "'model.7.weight'"),
        (
            "cyclegan",
            {name: each for name, each in resnet().items() if not name.endswith("bias")},
            "no normalisation",
        ),
    ],
    ids=["other widths", "no last layer", "no third layer", "not normalised"],
)
def test_translators_of_another_form_are_refused(name, tensors, expected):
    with pytest.raises(InputError, match=expected):
        convert_alone(name, tensors)


# ESRGAN -----------------------------------------------------------------------------------------


def esrgan(*, given=3, ups=2, blocks=2, channels=4, growth=2):
    """Write a generator by the names of Real-ESRGAN."""
    made = Tensors(std=0.2)

    def convolution(name, before, after):
        made.draw(f"{name}.weight", after, before, 3, 3)
        made.draw(f"{name}.bias", after)

    convolution("conv_first", given, channels)
    for block in range(blocks):
        for dense in range(1, 4):
            for place in range(1, 6):
                name = f"body.{block}.rdb{dense}.conv{place}"
                after = growth if place < 5 else channels
                convolution(name, channels + (place - 1) * growth, after)
    for name in ("conv_body", *(f"conv_up{number}" for number in range(1, ups + 1)), "conv_hr"):
        convolution(name, channels, channels)
    convolution("conv_last", channels, 3)
    return made


def enlarge(tensors, images):
    """Enlarge images in [0, 1] as the file's network does."""
    tensors = {name: tensor.double() for name, tensor in tensors.items()}

    def conv(name, features):
        return F.conv2d(features, tensors[f"{name}.weight"], tensors[f"{name}.bias"], padding=1)

    def bend(features):
        return F.leaky_relu(features, 0.2)

    features = first = conv("conv_first", images)
    block = 0
    while f"body.{block}.rdb1.conv1.weight" in tensors:
        before = features
        for dense in range(1, 4):
            beside = [features]
            for place in range(1, 5):
                name = f"body.{block}.rdb{dense}.conv{place}"
                beside.append(bend(conv(name, torch.cat(beside, 1))))
            added = conv(f"body.{block}.rdb{dense}.conv5", torch.cat(beside, 1))
            features = features + 0.2 * added
        features = before + 0.2 * features
        block += 1
    features = first + conv("conv_body", features)
    for number in (1, 2):
        if f"conv_up{number}.weight" in tensors:
            larger = features.repeat_interleave(2, 2).repeat_interleave(2, 3)
            features = bend(conv(f"conv_up{number}", larger))
    return conv("conv_last", bend(conv("conv_hr", features)))


def later(name):
    """Name a tensor as ESRGAN's later files do."""
    pairs = {"conv_body": "trunk_conv", "body.": "RRDB_trunk.", "rdb": "RDB", "conv_hr": "HRconv"}
    for here, there in (*pairs.items(), ("conv_up", "upconv")):
        name = name.replace(here, there)
    return name


def first(name, *, ups=2, blocks=2):
    """Name a tensor as ESRGAN's first files do."""
    layer, end = name.rsplit(".", 1)
    if layer.startswith("body."):
        return f"model.1.sub.{layer.removeprefix('body.').replace('rdb', 'RDB')}.0.{end}"
    numbers = {"conv_first": "0", "conv_body": f"1.sub.{blocks}", "conv_up1": "3", "conv_up2": "6"}
    numbers |= {"conv_hr": str(3 * ups + 2), "conv_last": str(3 * ups + 4)}
    return f"model.{numbers[layer]}.{end}"


ESRGAN = esrgan()
FILES = {
    "Real-ESRGAN": ESRGAN.rename(lambda name: f"params_ema.{name}")
    | ESRGAN.rename(lambda name: f"params.{name}"),
    "ESRGAN": ESRGAN.rename(later),
    "early ESRGAN": ESRGAN.rename(first),
}


def enlarged_by(tensors, shape):
    """Convert a file, and enlarge images of a shape."""
    found, generator, _ = convert("real-esrgan", tensors)
    sources = draw_images(2, *shape)
    with torch.no_grad():
        return found, sources, generator(sources)


@pytest.mark.parametrize("layout", FILES)
def test_esrgan_gives_the_published_images(layout):
    found, sources, images = enlarged_by(FILES[layout], (3, 7, 5))
    expected = 2 * enlarge(ESRGAN, (sources.double() + 1) / 2) - 1
    close(images, expected.clamp(-1, 1))
    assert (expected.abs() < 1).double().mean() > 0.3, "some of it is not clamped"
    assert found.options == {
        "scale": 4,
        "base_channels": 4,
        "blocks": 2,
        "growth": 2,
        "pixel_unshuffle": False,
    }
    assert (found.data.shape, found.data.source) == ((3, 256, 256), (3, 64, 64))


def test_esrgan_of_scale_2_sees_squares_of_pixels():
    tensors = esrgan(given=12)
    found, sources, images = enlarged_by(tensors, (3, 6, 8))
    squares = F.pixel_unshuffle((sources.double() + 1) / 2, 2)
    close(images, (2 * enlarge(tensors, squares) - 1).clamp(-1, 1))
    assert (found.options["scale"], found.options["pixel_unshuffle"]) == (2, True)


def test_early_esrgan_of_scale_2():
    tensors = esrgan(ups=1, blocks=1)
    file = tensors.rename(lambda name: first(name, ups=1, blocks=1))
    found, sources, images = enlarged_by(file, (3, 6, 8))
    expected = 2 * enlarge(tensors, (sources.double() + 1) / 2) - 1
    close(images, expected.clamp(-1, 1))
    assert (found.options["scale"], found.options["pixel_unshuffle"]) == (2, False)


def pixels(channels=4):
    """Write a discriminator of Real-ESRGAN, as a file beside a generator's is read."""
    made = Tensors(std=0.3)
    made.draw("conv0.weight", channels, 3, 3, 3)
    made.draw("conv0.bias", channels)
    layers = [(2**i, 2**i * 2, 4) for i in range(3)]
    layers += [(8, 4, 3), (4, 2, 3), (2, 1, 3), (1, 1, 3), (1, 1, 3)]
    for number, (before, after, size) in enumerate(layers, 1):
        before, after = before * channels, after * channels
        made.draw(f"conv{number}.weight_orig", after, before, size, size)
        # What its authors' layers hold: vectors of length 1.
        for end, length in (("u", after), ("v", before * size**2)):
            drawn = torch.randn(length, generator=made.rng)
            made[f"conv{number}.weight_{end}"] = drawn / drawn.norm()
    made.draw("conv9.weight", 1, channels, 3, 3)
    made.draw("conv9.bias", 1)
    return made


def judge_pixels(tensors, images):
    """Return the logits of pixels."""
    tensors = {name: tensor.double() for name, tensor in tensors.items()}

    def conv(number, features, stride=1):
        name, bias = f"conv{number}.weight", tensors.get(f"conv{number}.bias")
        weight = tensors.get(name)
        if weight is None:
            weight = tensors[f"{name}_orig"]
            weight = weight / (tensors[f"{name}_u"] @ weight.flatten(1) @ tensors[f"{name}_v"])
        return F.conv2d(features, weight, bias, stride, padding=1)

    def bend(features):
        return F.leaky_relu(features, 0.2)

    levels = [bend(conv(0, images))]
    for number in (1, 2, 3):
        levels.append(bend(conv(number, levels[-1], 2)))
    features = levels.pop()
    for number in (4, 5, 6):
        larger = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
        features = bend(conv(number, larger)) + levels.pop()
    return conv(9, bend(conv(8, bend(conv(7, features)))))


def test_the_discriminator_beside_esrgan_gives_the_published_logits():
    judge = pixels()
    tensors = FILES["Real-ESRGAN"] | judge.rename(lambda name: f"discriminator.params.{name}")
    found, _, discriminator = convert("real-esrgan", tensors)
    assert found.options["patches"] == "pixel"
    images = draw_images(2, 3, 16, 8)
    with torch.no_grad():
        logits = discriminator(images)["logits"]
    expected = judge_pixels(judge, images.double()).flatten(1)
    torch.testing.assert_close(logits.double(), expected, atol=1e-5, rtol=1e-4)


def test_another_discriminator_beside_esrgan_is_refused():
    for judge in (pixels(8), Tensors()):
        judge.draw("linear.weight", 3)
        tensors = ESRGAN | judge.rename(lambda name: f"discriminator.{name}")
        with pytest.raises(InputError, match="not the U-Net of Real-ESRGAN"):
            convert_alone("real-esrgan", tensors)


def test_esrgan_of_another_form_is_refused():
    with pytest.raises(InputError, match="takes 48 channels, makes 3 and doubles 2 times"):
        convert_alone("real-esrgan", esrgan(given=48))
    with pytest.raises(InputError, match=r"no tensor 'body\.1\.rdb2\.conv3\.bias'"):
        convert_alone("real-esrgan", ESRGAN.change(**{"body.1.rdb2.conv3.bias": None}))
    with pytest.raises(InputError, match="no residual-in-residual dense blocks"):
        convert_alone("real-esrgan", unet())
