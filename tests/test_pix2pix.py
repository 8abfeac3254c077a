"""pix2pix: its networks, the sources that it makes, and runs from them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import ganzoo
from ganzoo import DataSpec, GeneratorInput, Samples
from ganzoo.errors import InputError
from ganzoo.evaluation.sample_sets import draw_fakes
from ganzoo.media.images import load_png, resize, to_float, to_pil, to_uint8
from ganzoo.nn import patch_discriminator
from ganzoo.registry import EVALUATOR, get
from ganzoo.testing.architecture_labels import check_conditional
from ganzoo.testing.architecture_sources import check_sources
from ganzoo_zoo.families.pix2pix import Pix2Pix
from tiny import TINY

PAIRED = DataSpec(shape=(3, 32, 32), source=(1, 32, 32))
KINDS = ("edges", "grey", "mask", "small")
QUICK = {"arch.base_channels": 2, "data.image_size": 8}


def complete(architecture, shape, **more):
    return architecture.complete(DataSpec(shape=shape, **more))


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def noise(*shape, seed=0, dtype=torch.float32):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=rng, dtype=dtype) * 2 - 1


# Networks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_networks_are_as_large_as_the_papers(norm):
    found = {}
    for size in (256, 128):
        data = DataSpec(shape=(3, size, size), source=(3, size, size))
        with torch.device("meta"):
            found[size] = count(Pix2Pix(norm=norm).generator(data))
            found["patches"] = count(Pix2Pix(norm=norm).discriminator(data))
            found["resnet"] = count(Pix2Pix(norm=norm, network="resnet").generator(data))
    assert found == {256: 54_413_955, 128: 41_828_995, "patches": 2_768_705, "resnet": 11_383_427}


def independent_unet(state, image, depth):
    """Isola et al. 2017, appendix 6.1.1, one operation after another."""

    def normal(x, name):
        mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, unbiased=False)
        gain, bias = (state[f"{name}.{part}"].view(1, -1, 1, 1) for part in ("weight", "bias"))
        return gain * (x - mean) / (var + 1e-5).sqrt() + bias

    def descend(x, level):
        name = f"network.encoder.{level}"
        given = x if level == 0 else F.leaky_relu(x, 0.2)
        h = F.conv2d(given, state[f"{name}.0.weight"], state.get(f"{name}.0.bias"), 2, 1)
        if 0 < level < depth - 1:
            h = normal(h, f"{name}.1")
        if level < depth - 1:
            h = torch.cat([h, descend(h, level + 1)], 1)
        name = f"network.decoder.{depth - 1 - level}"
        weight, bias = state[f"{name}.1.weight"], state.get(f"{name}.1.bias")
        h = F.conv_transpose2d(F.relu(h), weight, bias, 2, 1)
        return h.tanh() if level == 0 else normal(h, f"{name}.2")

    return descend(image, 0)


def test_the_unet_is_that_of_the_paper():
    torch.manual_seed(0)
    architecture = Pix2Pix(base_channels=2, dropout=0)
    network = architecture.generator(PAIRED).double()
    for parameter in network.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    image = noise(2, 1, 32, 32, dtype=torch.float64)
    expected = independent_unet(network.state_dict(), image, 5)
    torch.testing.assert_close(network(image), expected, rtol=1e-10, atol=1e-12)
    assert expected.std() > 0.1


@pytest.mark.parametrize("kind", ["unet", "resnet"])
def test_of_single_images_both_normalisations_are_the_same(kind):
    torch.manual_seed(0)
    networks = [
        Pix2Pix(base_channels=2, blocks=1, dropout=0, norm=norm, network=kind).generator(PAIRED)
        for norm in ("instance", "batch")
    ]
    networks[0].load_state_dict(
        {name: networks[1].state_dict()[name] for name in networks[0].state_dict()}
    )
    image = noise(1, 1, 32, 32)
    torch.testing.assert_close(*(network.train()(image) for network in networks))
    trained, drawn = (networks[0].train(mode)(image) for mode in (True, False))
    assert torch.equal(trained, drawn), "samples are made as they were in training"


@pytest.mark.parametrize(("size", "downs"), [(32, 5), (48, 4), (28, 2), (8, 3)])
def test_the_unet_halves_as_often_as_it_can(size, downs):
    data = DataSpec(shape=(1, size, 2 * size), source=(1, size, 2 * size))
    assert len(Pix2Pix(base_channels=1).generator(data).network.encoder) == downs


def test_dropout_is_in_the_first_three_of_the_widest_doublings_and_not_in_samples():
    data = DataSpec(shape=(1, 256, 256), source=(1, 256, 256))
    with torch.device("meta"):
        decoder = Pix2Pix(base_channels=1).generator(data).network.decoder
    dropped = [any(isinstance(each, nn.Dropout) for each in stage) for stage in decoder]
    assert dropped == [True] * 3 + [False] * 5
    torch.manual_seed(0)
    network = Pix2Pix(base_channels=2).generator(PAIRED)
    image = noise(1, 1, 32, 32)
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))


@pytest.mark.parametrize(("layers", "field"), [(0, 1), (1, 16), (2, 34), (3, 70), (5, 286)])
def test_a_patch_has_the_pixels_that_the_paper_says(layers, field):
    network = patch_discriminator(1, 1, layers, norm=lambda channels: nn.Identity())
    for parameter in network.parameters():
        parameter.data.fill_(0.1)
    image = torch.ones(1, 1, 384, 384, requires_grad=True)
    logits = network(image)
    side = 384 if not layers else 384 // 2**layers - 2
    assert logits.shape == (1, side**2)
    logits.view(side, side)[side // 2, side // 2].backward()
    rows = image.grad[0, 0].any(1).nonzero().flatten()
    assert rows[-1] - rows[0] + 1 == field


@pytest.mark.parametrize(("size", "patches"), [(8, 8), (16, 6), (32, 6), (48, 4), (64, 6)])
def test_small_images_have_smaller_patches(size, patches):
    data = DataSpec(shape=(1, size, size), source=(1, size, size))
    network = Pix2Pix(base_channels=1).discriminator(data)
    assert network(noise(2, 1, size, size), noise(2, 1, size, size)).shape == (2, patches**2)


@pytest.mark.parametrize(
    ("options", "shape", "wrong"),
    [
        ({}, (1, 50, 50), "a U-Net halves an image until .* and 50 x 50 stops at 25 x 25"),
        ({"downs": 4}, (1, 24, 24), "24 x 24 can be halved 3 times, not arch.downs=4"),
        ({"network": "resnet"}, (1, 30, 30), "multiples of 4, not 30 x 30"),
        ({"source_of": "small", "scale": 8}, (1, 28, 28), "multiples of arch.scale=8"),
        ({"source_of": "grey"}, (1, 32, 32), "the images are grey"),
        ({"source_of": "mask"}, (4, 32, 32), "data.image_channels=3"),
        ({"source_of": "edges"}, (2,), "vectors"),
        ({}, (3, 32, 64), "these look like pairs, .* --set data.pairs=left-to-right"),
    ],
)
def test_what_it_cannot_serve_is_refused(options, shape, wrong):
    architecture = Pix2Pix(base_channels=1, **options)
    paired = {} if options.get("source_of") or shape[-1] == 64 else {"source": shape}
    with pytest.raises(InputError, match=wrong):
        architecture.generator(complete(architecture, shape, **paired))


def test_a_discriminator_without_patches_is_refused():
    with pytest.raises(InputError, match="patch_layers=5 leaves no patch"):
        Pix2Pix(patch_layers=5).discriminator(PAIRED)
    with pytest.raises(InputError, match="alike in shape"):
        Pix2Pix().discriminator(DataSpec(shape=(3, 32, 32), source=(1, 32, 64)))


def test_losses_that_need_independent_samples_get_no_batch_norm():
    network = Pix2Pix(base_channels=1, norm="batch").discriminator(PAIRED, independent_samples=True)
    assert not any(isinstance(each, nn.BatchNorm2d) for each in network.modules())


@pytest.mark.parametrize("options", [{"source_of": "mask"}, {"network": "resnet", "blocks": 1}])
def test_classes_and_sources_reach_the_networks(options):
    architecture = Pix2Pix(base_channels=2, conditional=True, **options)
    check_conditional(architecture)
    check_sources(architecture)


@pytest.mark.parametrize("kind", ["edges", "grey", "small"])
def test_made_sources_are_what_the_kit_asks_for(kind):
    check_sources(Pix2Pix(base_channels=2, source_of=kind, scale=2))


def test_the_l1_term_is_the_weighted_distance_to_the_target():
    real = noise(2, 1, 4, 4)
    terms = Pix2Pix(l1_weight=10.0).generator_terms(
        nn.Identity(), GeneratorInput(real), real, real + 0.25
    )
    assert terms["l1"].item() == pytest.approx(2.5)
    assert not Pix2Pix(l1_weight=0).generator_terms(nn.Identity(), GeneratorInput(real), real, real)


# Sources ----------------------------------------------------------------------------------------


def source_of(kind, images, **options):
    return Pix2Pix(source_of=kind, **options).make_source(images)


def test_grey_is_what_a_colour_photo_is_read_as():
    colours = torch.randint(0, 256, (2, 3, 9, 9), dtype=torch.uint8)
    made = to_uint8(source_of("grey", to_float(colours)))
    for ours, image in zip(made, colours, strict=True):
        theirs = torch.from_numpy(np.array(to_pil(image).convert("L")))
        assert (ours[0].int() - theirs.int()).abs().max() <= 1


def test_transparent_images_are_seen_on_white():
    images = torch.cat([-torch.ones(1, 3, 4, 4), -torch.ones(1, 1, 4, 4)], 1)
    assert torch.equal(source_of("grey", images), torch.ones(1, 1, 4, 4))


@pytest.mark.parametrize("channels", [1, 3])
def test_edges_are_thin_lines_where_the_grey_level_changes(channels):
    images = -torch.ones(1, channels, 24, 24)
    images[:, :, 6:18, 8:16] = 1
    made = source_of("edges", images)
    assert made.shape == (1, 1, 24, 24)
    assert set(made.unique().tolist()) == {-1.0, 1.0}
    black = made[0, 0] < 0
    assert black[11].nonzero().flatten().diff().tolist() == [8], "a line on each side"
    assert black[:, 11].nonzero().flatten().diff().tolist() == [12]
    assert not black[9:15, 10:14].any()
    assert not (source_of("edges", images, edge_threshold=0.9) < 0).any()


def test_edges_do_not_depend_on_where_they_go():
    image = F.interpolate(noise(1, 1, 5, 5), 20, mode="bilinear")
    made = source_of("edges", image, edge_threshold=0.03)
    share = (made < 0).float().mean()
    assert 0.02 < share < 0.4
    turned = source_of("edges", image.flip(3), edge_threshold=0.03).flip(3)
    assert ((turned < 0).float().mean() - share).abs() < 0.05


def test_small_sources_are_shrunk_as_images_are():
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    made = to_uint8(source_of("small", to_float(images), scale=4))
    assert (made.int() - resize(images, (4, 4)).int()).abs().max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_a_hole_is_a_rectangle_of_a_quarter_to_a_half(channels):
    torch.manual_seed(0)
    images = noise(200, channels, 16, 24)
    made = source_of("mask", images)
    colours, known = made[:, :3], made[:, 3]
    assert set(known.unique().tolist()) == {-1.0, 1.0}
    hole = known < 0
    rows, columns = hole.any(2), hole.any(1)
    assert torch.equal(hole, rows[:, :, None] & columns[:, None, :])
    for sides, size in ((rows.sum(1), 16), (columns.sum(1), 24)):
        assert (sides.min(), sides.max()) == (size // 4, size // 2)
    assert rows.any(0).all(), "everywhere"
    assert torch.equal(colours, torch.where(hole[:, None], 0, images.expand(-1, 3, -1, -1)))


def test_the_middle_may_be_the_hole():
    known = source_of("mask", noise(2, 1, 16, 16), mask="centre")[:, 3]
    assert (known[:, 4:12, 4:12] < 0).all()
    assert (known < 0).sum() == 2 * 64


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_known_stays_and_what_lies_under_a_hole_is_not_looked_at(channels):
    torch.manual_seed(0)
    architecture = Pix2Pix(source_of="mask", base_channels=2)
    images = to_float(torch.randint(0, 256, (3, channels, 16, 16), dtype=torch.uint8))
    generator = architecture.generator(complete(architecture, (channels, 16, 16))).eval()
    source = architecture.make_source(images)
    made, hole = generator(source), source[:, 3:] < 0
    known = ~hole.expand_as(images)
    assert torch.equal(to_uint8(made)[known], to_uint8(images)[known])
    assert not torch.equal(made[~known], images[~known])
    other = torch.where(hole, torch.tensor([0.7, -0.2, 0.4, -0.1]).view(1, 4, 1, 1), source)
    assert torch.equal(generator(other), made)


# Runs -------------------------------------------------------------------------------------------


def colours(folder, count=10):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((16, 16)).save(folder / f"{i}.png")
    return folder


def test_a_coloured_image_keeps_the_luma_of_its_source():
    spec = DataSpec(shape=(3, 32, 32), source=(1, 32, 32))
    generator = Pix2Pix(source_of="grey", base_channels=4).generator(spec)
    images = noise(4, 3, 32, 32) / 2
    source = source_of("grey", images)
    with torch.no_grad():
        made = generator(source)
    free = made.abs().amax(dim=1, keepdim=True) < 1  # a colour that would be too bright is cut off
    assert free.float().mean() > 0.2
    torch.testing.assert_close(source_of("grey", made)[free], source[free], rtol=0, atol=1e-5)
    assert (made[:, 0] - made[:, 1]).abs().max() > 0.1


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """Give a short run with sources of a kind."""
    made = {}

    def make(kind):
        if kind not in made:
            root = tmp_path_factory.mktemp(kind)
            settings = {**QUICK, "arch.source_of": kind, "arch.scale": 2}
            data = str(colours(root / "photos"))
            made[kind] = ganzoo.train(
                "pix2pix", data=data, settings=settings, out=root / "run", **{**TINY, "steps": 2}
            )
        return made[kind]

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_sources_of_whole_pictures_are_made_as_in_training(kind, run_of, tmp_path, ganzoo_cli):
    run = run_of(kind)
    photos = run.path.parent / "photos"
    picture, texts = load_png(run.samples / "00000002.png")
    assert texts["ganzoo:layout"] == "8 x 8"
    assert picture.shape[0] == (4 if kind == "mask" else 3), "a hole is transparent"
    command = ("sample", run.path, "--source", photos, "--make-sources", "--seed", 5)
    result = ganzoo_cli(*command, "--out", tmp_path / "made", "--json")
    assert result.code == 0, result
    assert json.loads(result.out)["make_sources"] is True
    model = ganzoo.load(run)
    samples = ganzoo.open_dataset(str(photos), image_size=(8, 8))
    torch.manual_seed(0)
    if kind != "mask":  # whose holes are drawn
        expected = to_uint8(
            model.translate(model.architecture.make_source(samples.batch(torch.arange(10))))
        )
        assert torch.equal(load_png(tmp_path / "made" / "3.png")[0], expected[3])
    names = {file.name for file in (tmp_path / "made").iterdir()}
    assert names == {f"{i}.png" for i in range(10)}


def test_a_transparent_hole_is_filled(run_of, tmp_path, ganzoo_cli):
    Image.new("RGBA", (8, 8), (200, 10, 10, 255)).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        image.paste((0, 255, 0, 0), (2, 2, 6, 6))
        (tmp_path / "holes").mkdir()
        image.save(tmp_path / "holes" / "a.png")
    run = run_of("mask")
    command = ("sample", run.path, "--source", tmp_path / "holes", "--out")
    assert ganzoo_cli(*command, tmp_path / "out").code == 0
    found, _ = load_png(tmp_path / "out" / "a.png")
    assert found.shape == (3, 8, 8)
    known = torch.ones(8, 8, dtype=torch.bool)
    known[2:6, 2:6] = False
    assert found[:, known].unique(dim=1).flatten().tolist() == [200, 10, 10]
    assert ganzoo_cli(*command, tmp_path / "out.png").code == 0


def test_scores_are_beside_those_of_the_sources(run_of, ganzoo_cli):
    names = ("psnr", "source-psnr")
    found = {}
    for kind in KINDS:
        asked = [word for name in names for word in ("--metric", name)]
        result = ganzoo_cli("eval", run_of(kind).path, *asked, "--json")
        assert result.code == 0, result
        scores = json.loads(result.out)["scores"]
        found[kind] = {row["metric"]: row["value"] for row in scores}
        assert set(found[kind]) == set(names)
    assert found["small"]["source-psnr"] > found["edges"]["source-psnr"]
    assert found["mask"]["source-psnr"] > found["grey"]["source-psnr"]


def plain_score(name, model, samples):
    from ganzoo import SampleSet

    fakes = draw_fakes(model, samples, len(samples), 0)
    order = torch.randperm(len(samples), generator=ganzoo_rng())
    targets = samples.subset(order)
    (score,) = get(EVALUATOR, name)().evaluate(
        SampleSet(fakes, None, targets), SampleSet(samples, None)
    )
    return score.value, fakes, targets


def ganzoo_rng():
    from ganzoo.compute.seeding import make_rng

    return make_rng(0, "labels")


def test_the_score_of_a_source_is_that_of_the_enlarged_or_filled_picture(run_of):
    def ratio(one, other):
        squares = (one.double() - other.double()).square().flatten(1).mean(1)
        return (10 * (255**2 / squares).log10()).mean().item()

    for kind in ("small", "grey", "mask"):
        run = run_of(kind)
        samples = ganzoo.open_dataset(str(run.path.parent / "photos"), image_size=(8, 8))
        value, fakes, targets = plain_score("source-psnr", ganzoo.load(run), samples)
        sources = fakes.sources
        if kind == "small":
            plain = resize(sources, (8, 8))
        elif kind == "grey":
            plain = sources.expand(-1, 3, -1, -1)
        else:
            plain = sources[:, :3].clone()
            for image, alpha in zip(plain, sources[:, 3], strict=True):
                known = alpha > 127
                for channel in image:
                    channel[~known] = channel[known].double().mean().round().byte()
        assert value == pytest.approx(ratio(plain, targets.stored), abs=1e-9)


def test_a_source_without_a_picture_has_no_score():
    metric = get(EVALUATOR, "source-ssim")()
    with pytest.raises(InputError, match="needs the source of each fake"):
        metric.judged(Samples(DataSpec(shape=(1, 16, 16)), torch.zeros(2, 1, 16, 16).byte()))


def test_source_of_is_short_for_the_option(ganzoo_cli, refused):
    asked = ("train", "pix2pix", "--data", "digits", "--source-of", "edges", "--dry-run")
    result = ganzoo_cli(*asked, "--set", "arch.base_channels=2", "--device", "cpu")
    assert result.code == 0, result
    assert json.loads(result.out)["architecture"]["options"]["source_of"] == "edges"
    twice = refused(*asked, "--set", "arch.source_of=grey")
    assert "arch.source_of is given twice" in twice
    wrong = refused("train", "dcgan", "--source-of", "edges", "--dry-run")
    assert "does not make sources of images" in wrong
    assert "drop --source-of" in wrong
    assert "'edges', 'grey', 'mask' or 'small'" in refused(*asked[:-2], "lines", "--dry-run")


def test_data_without_pairs_are_refused_with_both_ways(refused):
    message = refused("train", "pix2pix", "--data", "digits", "--dry-run")
    for way in ("data.pairs=left-to-right", "data.sources=PATH", "--source-of edges"):
        assert way in message


def test_sources_are_made_only_where_the_model_makes_some(run_of, tmp_path, refused):
    assert "give both" in refused("sample", run_of("grey").path, "--make-sources")
    settings = {**QUICK, "data.sources": str(run_of("grey").path.parent / "photos")}
    photos = str(run_of("grey").path.parent / "photos")
    run = ganzoo.train(
        "pix2pix", data=photos, settings=settings, out=tmp_path / "run", **{**TINY, "steps": 0}
    )
    message = refused("sample", run.path, "--source", photos, "--make-sources")
    assert "takes sources as they are" in message


def test_the_page_names_what_there_is():
    page = (Path(__file__).parent.parent / "docs/how-to/translate.md").read_text()
    for word in ("--source-of", "data.pairs", "data.sources", "--make-sources", "source-psnr"):
        assert word in page
    for kind in KINDS:
        assert f"`{kind}`" in page
