"""Pictures: grey levels, resizing, grids, plots and PNG metadata."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo.errors import GanzooError
from ganzoo.media import images

LEVELS = torch.arange(256, dtype=torch.uint8)


def plain(*levels, channels=1, size=(8, 8)):
    """Make one image of one level for each level."""
    stored = torch.tensor(levels, dtype=torch.uint8).view(-1, 1, 1, 1)
    return stored.expand(-1, channels, *size).clone()


# Grey levels


def test_floats_lie_between_minus_one_and_one():
    floats = images.to_float(LEVELS)
    assert floats.dtype == torch.float32
    assert (float(floats[0]), float(floats[255])) == (-1.0, 1.0)
    assert torch.allclose(floats.diff(), torch.full((255,), 2 / 255), atol=1e-6)
    assert float(floats[127] + floats[128]) == pytest.approx(0, abs=1e-6)


def test_every_level_survives_the_round_trip():
    assert torch.equal(images.to_uint8(images.to_float(LEVELS)), LEVELS)
    assert torch.equal(LEVELS, torch.arange(256, dtype=torch.uint8))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_levels_are_rounded_not_cut_off(dtype):
    levels = torch.tensor([0.4, 0.6, 127.4, 127.6, 127.9, 128.1, 254.4, 254.6], dtype=dtype)
    shown = images.to_uint8(levels / 127.5 - 1)
    assert shown.dtype == torch.uint8
    assert shown.tolist() == [0, 1, 127, 128, 128, 128, 254, 255]


def test_what_lies_outside_is_clamped():
    outside = torch.tensor([-100.0, -1.5, -1.001, 1.001, 1.5, 100.0])
    kept = outside.clone()
    assert images.to_uint8(outside).tolist() == [0, 0, 0, 255, 255, 255]
    assert torch.equal(outside, kept)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(wrong):
    values = torch.zeros(2, 1, 4, 4)
    values[1, 0, 2, 3] = wrong
    with pytest.raises(GanzooError, match="not finite") as caught:
        images.to_uint8(values)
    assert caught.value.exit_code == 1


# Resizing


def test_the_same_size_is_the_same_image():
    stored = torch.randint(0, 256, (3, 3, 9, 7), generator=torch.Generator().manual_seed(0)).byte()
    assert images.resize(stored, (9, 7)) is stored


@pytest.mark.parametrize("size", [(2, 2), (5, 11), (16, 16), (33, 8), (1, 1)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sizes_are_height_and_width(size, channels):
    stored = plain(0, 37, 255, channels=channels)
    resized = images.resize(stored, size)
    assert resized.dtype == torch.uint8
    assert torch.equal(resized, plain(0, 37, 255, channels=channels, size=size))


@pytest.mark.parametrize(("side", "smaller"), [(8, 2), (32, 8), (64, 16), (32, 4)])
def test_smaller_images_are_antialiased(side, smaller):
    places = torch.arange(side)
    board = ((places[:, None] + places) % 2 * 255).byte()[None, None]
    resized = images.resize(board, (smaller, smaller))
    # Half of 255 is a tie; without antialiasing, single squares would come through.
    assert set(resized.unique().tolist()) <= {127, 128}


def test_a_thin_line_is_not_lost_when_smaller():
    stored = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    stored[..., 13] = 255
    resized = images.resize(stored, (8, 8)).int()
    assert resized[0, 0].sum(1).float().mean() == pytest.approx(255 / 4, abs=8)


def test_values_do_not_overflow_beside_edges():
    stored = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    stored[..., 4:] = 255
    row = images.resize(stored, (32, 32))[0, 0, 0].int()
    # Bicubic interpolation overshoots here; wrapped around it would be the opposite colour.
    assert row[:14].max() == 0
    assert row[18:].min() == 255
    assert bool((row.diff() >= 0).all())


def test_many_images_are_resized_as_one_is():
    rng = torch.Generator().manual_seed(0)
    stored = torch.randint(0, 256, (2050, 1, 4, 4), generator=rng).byte()
    resized = images.resize(stored, (6, 6))
    assert resized.shape == (2050, 1, 6, 6)
    for i in (0, 1023, 1024, 2049):
        assert torch.equal(resized[i : i + 1], images.resize(stored[i : i + 1], (6, 6)))


# Grids


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_grid_is_filled_row_by_row(channels):
    stored = plain(10, 20, 30, 40, 50, channels=channels, size=(64, 64))
    picture = images.grid(stored, columns=3, padding=2)
    wanted = torch.full((channels, 2 + 2 * 66, 2 + 3 * 66), 255, dtype=torch.uint8)
    for i, (row, column) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]):
        top, left = 2 + 66 * row, 2 + 66 * column
        wanted[:, top : top + 64, left : left + 64] = 10 * (i + 1)
    assert picture.dtype == torch.uint8
    assert torch.equal(picture, wanted)


def test_a_grid_keeps_every_pixel():
    rng = torch.Generator().manual_seed(0)
    stored = torch.randint(0, 256, (2, 3, 70, 90), generator=rng).byte()
    picture = images.grid(stored, columns=1, padding=1)
    assert picture.shape == (3, 2 * 71 + 1, 92)
    assert torch.equal(picture[:, 1:71, 1:91], stored[0])
    assert torch.equal(picture[:, 72:142, 1:91], stored[1])


@pytest.mark.parametrize(
    ("size", "factor"),
    [
        ((8, 8), 8),
        ((28, 28), 2),
        ((32, 32), 2),
        ((33, 33), 1),
        ((64, 64), 1),
        ((100, 100), 1),
        ((8, 32), 2),
        ((16, 4), 4),
        ((1, 1), 64),
    ],
)
def test_small_images_are_enlarged_by_a_whole_factor(size, factor):
    rng = torch.Generator().manual_seed(0)
    stored = torch.randint(0, 255, (1, 1, *size), generator=rng).byte()
    picture = images.grid(stored, padding=0)
    assert picture.shape == (1, size[0] * factor, size[1] * factor)
    for row in {0, factor - 1}:
        assert torch.equal(picture[:, row::factor, row::factor], stored[0])


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (3, 3), (8, 8), (9, 8), (20, 8)])
def test_a_grid_is_no_wider_than_its_images(count, columns):
    picture = images.grid(plain(*range(count), size=(64, 64)))
    rows = math.ceil(count / columns)
    assert picture.shape == (1, 2 + 66 * rows, 2 + 66 * columns)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("count", [1, 5, 8, 11])
@pytest.mark.parametrize("size", [(8, 8), (20, 33), (70, 64)])
def test_a_picture_is_cut_into_what_it_shows(channels, count, size):
    rng = torch.Generator().manual_seed(0)
    stored = torch.randint(0, 255, (count, channels, *size), generator=rng).byte()
    picture, layout = images.render_samples(stored), images.describe_layout(stored)
    assert layout == f"{min(8, count)} x {math.ceil(count / 8)}"
    factor = max(1, 64 // max(size))
    small = images.split_picture(picture, layout)[..., ::factor, ::factor].flatten(0, 1)
    assert torch.equal(small[:count], stored)
    assert bool((small[count:] == 255).all())


def test_a_plot_is_one_image():
    points = torch.zeros(3, 2)
    picture = images.render_samples(points)
    assert images.describe_layout(points) == "plot"
    assert torch.equal(images.split_picture(picture, "plot")[0, 0], picture)


@pytest.mark.parametrize("layout", ["", "x", "8x8", "0 x 8", "-1 x 8", "7 x 8", "8 x 7", "264 x 1"])
def test_a_picture_is_not_cut_by_a_layout_that_cannot_be_its_own(layout):
    assert images.split_picture(images.grid(plain(*range(64))), layout) is None


# Plots


RED, BLUE = (214, 39, 40), (31, 119, 180)
MODES = ((-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0))
SIDE = 400


def where(picture, colour):
    """Return rows and columns of one colour, as a mask."""
    wanted = torch.tensor(colour, dtype=torch.uint8).view(3, 1, 1)
    return (picture == wanted).all(0)


def centre_of(mask):
    rows, columns = mask.nonzero(as_tuple=True)
    return float(rows.float().mean()), float(columns.float().mean())


def shown(*points, modes=MODES):
    return images.scatter(torch.tensor(points), modes, side=SIDE)


def test_a_plot_is_a_colour_picture():
    picture = shown((0.0, 0.0))
    assert picture.shape == (3, SIDE, SIDE)
    assert picture.dtype == torch.uint8
    assert (picture[:, 0, 0] == 255).all()
    colours = set(map(tuple, picture.flatten(1).T.tolist()))
    assert {RED, BLUE, (255, 255, 255)} <= colours


def test_points_lie_where_their_coordinates_say():
    assert centre_of(where(shown((0.0, 0.0)), BLUE)) == pytest.approx((199.5, 199.5), abs=1)
    # Modes are at 1 / 1.3 of the frame's half width.
    reach = 199.5 / 1.3
    row, column = centre_of(where(shown((1.0, 0.5)), BLUE))
    assert (row, column) == pytest.approx((199.5 - 0.5 * reach, 199.5 + reach), abs=1)


def test_modes_are_circled():
    circles = where(shown((0.0, 0.0)), RED)
    reach = 199.5 / 1.3
    for x, y in MODES:
        row, column = round(199.5 - y * reach), round(199.5 + x * reach)
        near = circles[row - 12 : row + 13, column - 12 : column + 13]
        assert near.sum() > 50
        assert centre_of(near) == pytest.approx((12, 12), abs=1)
        assert not circles[row - 4 : row + 5, column - 4 : column + 5].any()
    assert circles.sum() < 4 * 200


def test_the_frame_follows_the_modes_not_the_points():
    near, far = shown((0.0, 0.0)), shown((0.0, 0.0), (500.0, 0.0))
    assert torch.equal(where(near, RED), where(far, RED))
    middle = slice(190, 210)
    assert torch.equal(where(near, BLUE)[middle, middle], where(far, BLUE)[middle, middle])


@pytest.mark.parametrize(
    ("point", "edge"),
    [
        ((500.0, 0.0), (199.5, 399)),
        ((-500.0, 0.0), (199.5, 0)),
        ((0.0, 500.0), (0, 199.5)),
        ((0.0, -500.0), (399, 199.5)),
        ((9.0, 9.0), (0, 399)),
    ],
)
def test_points_beyond_the_frame_lie_on_its_edge(point, edge):
    blue = where(shown(point), BLUE)
    assert blue.any()
    assert centre_of(blue) == pytest.approx(edge, abs=2)


def test_without_modes_the_frame_follows_the_points():
    picture = shown((10.0, 10.0), (20.0, 10.0), (15.0, 15.0), modes=None)
    assert not where(picture, RED).any()
    blue = where(picture, BLUE)
    reach = 199.5 / 1.3
    columns = blue.any(0).nonzero()
    assert int(columns.min()) == pytest.approx(199.5 - reach, abs=3)
    assert int(columns.max()) == pytest.approx(199.5 + reach, abs=3)


def test_a_single_point_has_a_frame():
    blue = where(shown((3.0, 4.0), modes=None), BLUE)
    assert centre_of(blue) == pytest.approx((199.5, 199.5), abs=1)


def test_a_line_of_numbers_lies_in_the_middle():
    picture = images.scatter(torch.tensor([[-1.0], [0.5], [1.0]]), ((0.0,),), side=SIDE)
    rows = where(picture, BLUE).any(1).nonzero()
    assert int(rows.min()) >= 196
    assert int(rows.max()) <= 203


def test_of_many_coordinates_the_first_two_are_shown():
    points = torch.randn(50, 5, generator=torch.Generator().manual_seed(0))
    modes = ((0.0, 0.0, 9.0, 9.0, 9.0),)
    assert torch.equal(images.scatter(points, modes), images.scatter(points[:, :2], ((0.0, 0.0),)))


def test_samples_are_shown_by_their_kind():
    stored = plain(1, 2, 3)
    assert torch.equal(images.render_samples(stored), images.grid(stored))
    points = torch.tensor([[0.3, 0.1], [2.0, -1.0]])
    assert torch.equal(images.render_samples(points, MODES), images.scatter(points, MODES))
    assert torch.equal(images.render_samples(stored, columns=3), images.grid(stored, 3))
    assert torch.equal(images.render_samples(points, MODES, 3), images.scatter(points, MODES))


@pytest.mark.parametrize(
    ("classes", "columns"),
    [(None, 8), (1, 8), (2, 8), (3, 9), (5, 10), (7, 7), (10, 10), (26, 26), (64, 64), (65, 8)],
)
def test_each_class_has_columns_of_its_own(classes, columns):
    assert images.choose_columns(classes) == columns


# PNG files


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_a_png_holds_the_pixels(channels, mode, tmp_path):
    rng = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (channels, 5, 7), generator=rng).byte()
    images.save_png(image, tmp_path / "a.png", {})
    with Image.open(tmp_path / "a.png") as saved:
        assert (saved.format, saved.mode, saved.size) == ("PNG", mode, (7, 5))
        pixels = torch.from_numpy(np.array(saved)).view(5, 7, channels).permute(2, 0, 1)
    assert torch.equal(pixels, image)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_metadata_can_be_read_back(tmp_path):
    texts = {"Software": "ganzoo 9", "Comment": "été, 数字 & <tags>\nsecond line"}
    images.save_png(plain(1)[0], tmp_path / "a.png", texts)
    with Image.open(tmp_path / "a.png") as saved:
        assert dict(saved.text) == texts


def test_a_generated_picture_says_so(tmp_path):
    model = "dcgan & <friends>, trained with wgan-gp on digits"
    images.save_png(plain(1)[0], tmp_path / "a.png", images.provenance(model, 17))
    with Image.open(tmp_path / "a.png") as saved:
        texts = dict(saved.text)
    sentence = f"Generated by a GAN, not a photograph. Model: {model}. Seed: 17."
    xmp = texts.pop("XML:com.adobe.xmp")
    assert texts == {
        "Software": f"ganzoo {ganzoo.__version__}",
        "Description": sentence,
        "ganzoo:model": model,
        "ganzoo:seed": "17",
    }
    root = ElementTree.fromstring(xmp)
    rdf = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
    (description,) = root.iter(f"{rdf}Description")
    assert description.attrib == {
        "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType": (
            "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
        )
    }
    (words,) = root.iter(f"{rdf}li")
    assert words.text == sentence


def test_an_existing_file_is_replaced(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(b"old")
    images.save_png(plain(77)[0], file, {})
    with Image.open(file) as saved:
        assert saved.getpixel((0, 0)) == 77
    assert list(tmp_path.iterdir()) == [file]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "a.png"
    images.save_png(plain(77)[0], file, {})
    before = file.read_bytes()

    def break_off(self, target, **options):
        target.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(Image.Image, "save", break_off)
    with pytest.raises(OSError, match="no space left"):
        images.save_png(plain(5)[0], file, {})
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_the_file_appears_only_when_it_is_whole(tmp_path, monkeypatch):
    file = tmp_path / "a.png"
    save = Image.Image.save
    seen = []

    def watched(self, target, **options):
        save(self, target, **options)
        seen.append((file.exists(), target.parent == tmp_path))

    monkeypatch.setattr(Image.Image, "save", watched)
    images.save_png(plain(5)[0], file, {})
    assert seen == [(False, True)]
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_to_pil(channels, mode):
    image = torch.arange(channels * 6, dtype=torch.uint8).view(channels, 2, 3)
    picture = images.to_pil(image)
    assert (picture.mode, picture.size) == (mode, (3, 2))
    value = picture.getpixel((2, 1))
    assert (value if channels > 1 else (value,)) == tuple(image[:, 1, 2].tolist())
