"""Samples of other shapes: images of many channels, tables and signals."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import ganzoo
from ganzoo import DataSpec, open_dataset, registry
from ganzoo.component import parse_options
from ganzoo.errors import InputError
from ganzoo.media.images import draw_curves, load_png, render_samples, show_channels, to_pil
from ganzoo.models.sample_files import write_samples
from ganzoo.registry import ARCHITECTURE, AUGMENTATION, DATASET, entries
from ganzoo.testing import ConformanceError, dataset_checks
from ganzoo.testing.dataset import check_samples
from ganzoo_zoo.data.signals import Sines
from tiny import TINY

SHORT = {**TINY, "steps": 2, "log_every": 1, "sample_every": 2, "checkpoint_every": 1}
RNG = np.random.default_rng(0)


def weights_of(run):
    """Return the bytes of the newest model's weights."""
    return [file.read_bytes() for file in sorted(run.model.glob("*.safetensors"))]


def train_twice(tmp_path, architecture, data, **options):
    """Train with and without a stop, which must give the same bytes, and return the model."""
    given = {**SHORT, **options}
    whole = ganzoo.train(architecture, data=data, out=tmp_path / "whole", **given)
    half = ganzoo.train(architecture, data=data, out=tmp_path / "half", **{**given, "steps": 1})
    half = ganzoo.resume(half, {"train.steps": 2})
    assert weights_of(whole) == weights_of(half)
    return ganzoo.load(str(whole.path))


def score_names(model, data, **options):
    rows = ganzoo.evaluate(model, data=data, device="cpu", **options)
    assert all(np.isfinite(row.value) for row in rows)
    return [row.metric for row in rows]


VALUE_SCORES = [
    *("density[values]", "coverage[values]"),
    *("precision[values]", "recall[values]", "f-score[values]"),
]


# Images of many channels


@pytest.fixture
def cells(tmp_path):
    """Write images of 2 channels as npy files, in two class folders."""
    for number in range(8):
        place = tmp_path / "cells" / f"class{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        np.save(place / f"{number}.npy", RNG.integers(0, 256, (2, 16, 16), np.uint8))
    return tmp_path / "cells"


def test_images_of_two_channels_train_are_judged_and_are_written(tmp_path, cells):
    model = train_twice(tmp_path, "dcgan", str(cells), settings={"arch.base_channels": 4})
    spec = model.config.spec
    assert (spec.shape, spec.class_names) == ((2, 16, 16), ("class0", "class1"))
    assert score_names(model, str(cells)) == VALUE_SCORES
    card = model.folder.file("README.md").read_text()
    assert "images of 16 x 16 pixels and 2 channels" in card
    assert [image.size for image in model.images(2)] == [(32, 16)] * 2
    (array,) = write_samples(model, tmp_path / "all.npy", 3, device="cpu")
    assert np.load(array).shape == (3, 2, 16, 16)
    assert np.load(array).dtype == np.uint8
    singles = write_samples(model, tmp_path / "singles", 2, device="cpu")
    assert [file.name for file in singles] == ["seed0-00000.npy", "seed0-00001.npy"]
    assert (np.load(singles[1]) == np.load(array)[1]).all()
    (sheet,) = write_samples(model, tmp_path / "sheet.png", 3, device="cpu")
    assert load_png(sheet)[0].shape[0] == 1


def test_channels_become_grey_tiles_in_a_block():
    images = torch.arange(5, dtype=torch.uint8).view(1, 5, 1, 1).expand(1, 5, 2, 3)
    (tile,) = show_channels(images)
    assert tile[0, ::2, ::3].tolist() == [[0, 1, 2], [3, 4, 255]]
    assert to_pil(images[0]).size == (9, 4)
    many = torch.arange(32, dtype=torch.uint8).view(1, 32, 1, 1)
    assert show_channels(many).flatten().tolist() == list(range(0, 32, 2))
    for channels in (1, 3, 4):
        plain = torch.zeros(1, channels, 2, 2, dtype=torch.uint8)
        assert show_channels(plain) is plain


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_a_tiff_of_many_bands_is_read_with_a_white_level(tmp_path, planar):
    bands = RNG.integers(0, 10_000, (3, 9, 13, 12), np.uint16)
    for number, image in enumerate(bands):
        written = image if planar == "separate" else image.transpose(1, 2, 0)
        file = tmp_path / f"{number}.tif"
        tifffile.imwrite(file, written, photometric="minisblack", planarconfig=planar)
    samples = open_dataset(str(tmp_path), white_level=10_000)
    assert (samples.stored.numpy() == (bands * (255 / 10_000)).round()).all()
    assert samples.spec.shape == (9, 13, 12)
    small = open_dataset(str(tmp_path), white_level=10_000, image_size=8)
    assert small.spec.shape == (9, 8, 8)


def test_pages_of_a_tiff_are_channels_if_that_is_asked_for(tmp_path):
    pages = RNG.integers(0, 256, (2, 8, 8), np.uint8)
    for number in range(2):
        tifffile.imwrite(tmp_path / f"{number}.tif", pages, photometric="minisblack")
    assert open_dataset(str(tmp_path)).spec.shape == (1, 8, 8)  # as viewers show it
    both = open_dataset(str(tmp_path), image_channels=2)
    assert (both.stored[0].numpy() == pages).all()


def test_axes_of_arrays_are_found(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((8, 10, 5), np.uint8))
    assert open_dataset(str(tmp_path)).spec.shape == (5, 8, 10)
    assert open_dataset(str(tmp_path), image_channels=8).spec.shape == (8, 10, 5)
    np.save(tmp_path / "a.npy", np.full((8, 10), 1 << 15, np.uint16))
    grey = open_dataset(str(tmp_path))
    assert (grey.spec.shape, grey.stored.unique().tolist()) == ((1, 8, 10), [128])


def test_arrays_beside_images_are_left_out(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    np.save(tmp_path / "b.npy", np.zeros((2, 8, 8), np.uint8))
    samples = open_dataset(str(tmp_path))
    assert (len(samples), samples.spec.shape) == (1, (3, 8, 8))
    assert "b.npy" in samples.notes[0]


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ([np.zeros((2, 8, 8)), np.zeros((5, 8, 8))], {"white_level": 1}, "have 2 and 5 channels"),
        ([np.zeros((2, 8, 8))], {}, "pixels of float64 have no fixed range"),
        ([np.zeros((2, 2, 8, 8), np.uint8)], {}, r"\(2, 2, 8, 8\) is no image"),
        ([np.zeros((2, 8, 8), np.uint8)], {"image_channels": 3}, "it has 2 channels, not 3"),
        ([np.array(["x"] * 4)], {}, "it holds <U1, not numbers"),
        ([np.zeros((0, 8, 8), np.uint8)], {}, "is no image"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path, arrays, options, message):
    for number, array in enumerate(arrays):
        np.save(tmp_path / f"{number}.npy", array)
    with pytest.raises(InputError, match=message):
        open_dataset(str(tmp_path), **options)


def test_an_array_that_lies_of_its_size_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 8, 8), np.uint8))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole.replace(b"(2, 8, 8)", b"(2, 8, 9)"))
    with pytest.raises(InputError, match="its size is not that of the array"):
        open_dataset(str(tmp_path))


def test_other_formats_have_no_other_channels(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="only TIFF and npy files have 2 channels"):
        open_dataset(str(tmp_path), image_channels=2)


def test_augmentations_change_all_channels_or_refuse():
    torch.manual_seed(0)
    images = torch.rand(16, 6, 8, 8)
    for name in ("color", "translation", "cutout"):
        (entry,) = [each for each in entries(AUGMENTATION) if each.name == name]
        changed = parse_options(entry.load(), {}).augment(images)
        moved = (changed != images).flatten(2).any(2)
        assert (moved.all(1) | ~moved.any(1)).all(), "all channels of an image, or none"
        assert moved.float().mean() > 0.5
    (ada,) = [each for each in entries(AUGMENTATION) if each.name == "ada"]
    assert not parse_options(ada.load(), {}).fits(DataSpec(shape=(6, 8, 8)))


SLOW_TO_BUILD = ("biggan", "sagan", "fastgan", "esrgan", "sngan", "sngan-resnet")
"""Spectral norms start by iterations, and their layers count channels as the others' do."""
OF_SIGNALS = ("wavegan",)


def build_on_meta(architecture, spec):
    if architecture.takes_sources:
        spec = architecture.complete(spec.model_copy(update={"source": spec.shape}))
    with torch.device("meta"):
        architecture.generator(spec)
        architecture.discriminator(spec)


def families():
    for entry in entries(ARCHITECTURE):
        if entry.package == "ganzoo":
            yield entry.name, parse_options(entry.load(), {})


@pytest.mark.parametrize("channels", [2, 6])
def test_families_of_images_take_any_number_of_channels(channels):
    for name, architecture in families():
        if name not in SLOW_TO_BUILD + OF_SIGNALS:
            build_on_meta(architecture, DataSpec(shape=(channels, 32, 32), classes=2))


@pytest.mark.parametrize("shape", [(2, 64), (5,)])
def test_families_of_images_refuse_other_samples_in_a_line(shape):
    spec = DataSpec(shape=shape, classes=2)
    for name, architecture in families():
        if name not in ("mlp", *OF_SIGNALS):
            with pytest.raises(InputError, match=f"{spec.in_words}$"):
                build_on_meta(architecture, spec)


# Tables


def write_table(path, rows=40):
    numbers = RNG.normal([170, 65, 1.5e9], [10, 12, 1e8], (rows, 3))
    lines = [f"{a:.4f},{b:.4f},{c:.0f},{'xyz'[i % 3]}" for i, (a, b, c) in enumerate(numbers)]
    path.write_text("\n".join(['height,"weight, kg",income,group', *lines]) + "\n")
    return np.array([[float(cell) for cell in line.split(",")[:3]] for line in lines])


def test_a_table_trains_is_judged_and_is_written_in_its_own_units(tmp_path):
    numbers = write_table(tmp_path / "people.csv")
    data, label = str(tmp_path / "people.csv"), {"data.label": "group"}
    model = train_twice(tmp_path, "mlp", data, settings=label)
    spec = model.config.spec
    assert (spec.shape, spec.class_names) == ((3,), ("x", "y", "z"))
    assert spec.units.names == ("height", "weight, kg", "income")
    assert score_names(model, None) == VALUE_SCORES
    assert score_names(model, None, metrics=["memorisation"])[0] == "nearest-distance[values]"
    card = model.folder.file("README.md").read_text()
    assert "rows of 3 columns" in card
    assert "`weight, kg`" in card
    write_samples(model, tmp_path / "made.csv", 8, device="cpu")
    header, *rows = (tmp_path / "made.csv").read_text().splitlines()
    assert header == 'height,"weight, kg",income'
    made = np.array([[float(cell) for cell in row.split(",")] for row in rows])
    drawn = model.sample(8)
    assert np.allclose(made, drawn.numpy() * numbers.std(0) + numbers.mean(0), rtol=1e-6)
    write_samples(model, tmp_path / "made.npy", 8, device="cpu")
    assert np.allclose(np.load(tmp_path / "made.npy"), made, rtol=1e-8)
    assert torch.allclose(spec.from_units(spec.in_units(drawn)), drawn, atol=1e-5)


def test_a_table_is_scaled_column_by_column(tmp_path):
    numbers = write_table(tmp_path / "a.csv")
    samples = open_dataset(str(tmp_path / "a.csv"), columns=["income", "height"])
    assert samples.labels is None
    assert torch.allclose(samples.stored.mean(0), torch.zeros(2), atol=1e-5)
    assert torch.allclose(samples.stored.std(0, correction=0), torch.ones(2), atol=1e-5)
    own = samples.spec.in_units(samples.stored).numpy()
    assert np.allclose(own, numbers[:, [2, 0]], rtol=1e-6)


def test_other_rows_are_judged_in_the_units_of_the_model(tmp_path):
    write_table(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("height,weight,income\n180,70,1\n190,90,3\n")
    ours, theirs = (
        open_dataset(str(tmp_path / name), columns=["height", "income"])
        for name in ("a.csv", "b.csv")
    )
    converted = theirs.convert_units(ours.spec)
    assert converted.spec.units == ours.spec.units
    own = ours.spec.in_units(converted.stored)
    assert torch.allclose(own[:, 0], torch.tensor([180.0, 190.0]).double(), rtol=1e-5)
    other = open_dataset(str(tmp_path / "b.csv"), columns=["weight", "income"])
    with pytest.raises(InputError, match="makes height, income, and the data have weight, income"):
        other.convert_units(ours.spec)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "its first line must name the columns"),
        ("1,2\n3,4\n", {}, "must name the columns, and it holds numbers: 1,2"),
        ("a,a\n3,4\n", {}, "'a' is none"),
        ("a,\n3,4\n", {}, "'' is none"),
        ("a,b\n", {}, "has no rows"),
        ("a,b\n1,2\n3,x\n", {}, "line 3 of .* has 'x' in the column 'b', which is no number"),
        ("a,b\n1,\n", {}, "line 2 of .* has '' in the column 'b'"),
        ("a,b\n1,nan\n", {}, "has 'nan' in the column 'b'"),
        ("a,b\n1,2\n3\n", {}, "line 3 of .* has 1 cells, and its first line names 2"),
        ("a,b\n1,2\n", {"label": "c"}, "has no column 'c'"),
        ("aaa,b\n1,2\n", {"columns": ["aab"]}, "did you mean 'aaa'"),
        ("a,b\n1,2\n", {"columns": ["a"], "label": "a"}, "names each column once"),
        ("a,b\n1,\n", {"columns": ["a"], "label": "b"}, "row 1 of .* has no label"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, text, options, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        open_dataset(str(tmp_path / "a.csv"), **options)


def test_tables_of_spreadsheets_are_read(tmp_path):
    (tmp_path / "a.csv").write_bytes("\ufeffé;b\r\n1;2\r\n3;2\r\n".encode())
    samples = open_dataset(str(tmp_path / "a.csv"))
    assert samples.spec.units.names == ("é", "b")
    assert samples.notes == ("the same in every row: b",)
    assert samples.stored.tolist() == [[-1, 0], [1, 0]]
    (tmp_path / "a.csv").write_bytes(b"a,b\n\xff,1\n")
    with pytest.raises(InputError, match="is not text in UTF-8"):
        open_dataset(str(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({"names": ["a"], "offset": [0], "scale": [1]}, "for each column or channel"),
        ({"names": ["a", "b"], "offset": [0, 0], "scale": [1, 0]}, "scale of a unit is above 0"),
        ({"names": ["a", "b"], "offset": [0, float("nan")], "scale": [1, 1]}, "finite number"),
    ],
)
def test_wrong_units_are_refused(units, message):
    with pytest.raises(InputError, match=message):
        DataSpec(shape=(2,), units=units)


def test_specs_without_units_are_written_as_before():
    assert "units" not in DataSpec(shape=(2,)).model_dump()
    with pytest.raises(InputError, match="images have no units"):
        DataSpec(shape=(1, 2, 2), units={"names": ["a"], "offset": [0], "scale": [1]})


# Signals


def write_wav(path, levels, rate=8000):
    from scipy.io import wavfile

    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, levels)


def write_sounds(folder):
    for number in range(6):
        waves = np.sin(np.arange(150) * (number + 1) / 9)
        write_wav(folder / f"kind{number % 2}" / f"{number}.wav", (20_000 * waves).astype("<i2"))


def test_sound_trains_is_judged_and_is_written_as_sound(tmp_path):
    write_sounds(tmp_path / "sounds")
    data, options = str(tmp_path / "sounds"), {"data.length": 64, "arch.base_channels": 4}
    model = train_twice(tmp_path, "wavegan", data, settings=options)
    spec = model.config.spec
    assert (model.config.data.name, spec.shape, spec.units.rate) == ("wav", (1, 64), 8000)
    assert spec.class_names == ("kind0", "kind1")
    assert score_names(model, None) == VALUE_SCORES
    card = model.folder.file("README.md").read_text()
    assert "signals of 64 numbers in 1 channel, 8,000 numbers a second" in card
    files = write_samples(model, tmp_path / "made", 3, device="cpu")
    assert [file.suffix for file in files] == [".wav"] * 3
    again = open_dataset(str(tmp_path / "made"), length=64)
    assert again.spec.units == spec.units
    assert torch.allclose(again.stored, model.sample(3), atol=1e-4)
    (sheet,) = write_samples(model, tmp_path / "sheet.png", 3, device="cpu")
    assert load_png(sheet)[0].shape == (3, 68, 3 * 130 + 2)
    with pytest.raises(InputError, match="samples of this model are signals"):
        model.images(1)
    with pytest.raises(InputError, match=r"write these samples to a .png, a .npy or a folder"):
        write_samples(model, tmp_path / "made.csv", 3, device="cpu")


def test_series_are_written_in_the_units_of_their_channels(tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    runs = RNG.normal([20, 1e5], [5, 1e3], (5, 64, 2))
    for number, rows in enumerate(runs):
        lines = "\n".join(f"{a:.6f},{b:.6f}" for a, b in rows)
        (folder / f"{number}.csv").write_text(f"celsius,pascal\n{lines}\n")
    model = train_twice(tmp_path, "mlp", "series", settings={"data.path": str(folder)})
    spec = model.config.spec
    assert (spec.shape, spec.units.names) == ((2, 64), ("celsius", "pascal"))
    assert "`celsius`, `pascal`" in model.folder.file("README.md").read_text()
    read = open_dataset("series", path=str(folder))
    assert (read.stored.amin().item(), read.stored.amax().item()) == (-1, 1)
    own = read.spec.in_units(read.stored).transpose(1, 2).numpy()
    assert np.allclose(own, runs, rtol=1e-5)
    (file, *_) = write_samples(model, tmp_path / "made", 2, device="cpu")
    header, *rows = file.read_text().splitlines()
    assert (file.name, header, len(rows)) == ("seed0-00000.csv", "celsius,pascal", 64)
    made = np.array([[float(cell) for cell in row.split(",")] for row in rows])
    assert np.allclose(made, spec.in_units(model.sample(2))[0].T.numpy(), rtol=1e-6)


def test_recordings_are_cut_into_pieces_or_end_in_silence(tmp_path):
    write_wav(tmp_path / "a.wav", np.full(150, 16384, "<i2"))
    write_wav(tmp_path / "b.wav", np.full(50, 16384, "<i2"))
    samples = open_dataset(str(tmp_path), length=60)
    assert list(samples.names) == ["a.wav/0", "a.wav/1", "b.wav"]
    assert samples.stored[:, 0].tolist() == [[0.5] * 60] * 2 + [[0.5] * 50 + [0.0] * 10]
    assert samples.labels is None
    assert len(open_dataset(str(tmp_path / "a.wav"), length=60)) == 2


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (np.array([0, 128, 192], np.uint8), [-1, 0, 0.5]),
        (np.array([0, 1 << 30, -(1 << 31)], "<i4"), [0, 0.5, -1]),
        (np.array([0, 0.25, -3], "<f4"), [0, 0.25, -1]),
    ],
)
def test_sound_of_each_kind_of_numbers_is_read(tmp_path, levels, expected):
    write_wav(tmp_path / "a.wav", levels)
    assert open_dataset(str(tmp_path), length=3).stored[0, 0].tolist() == expected


def test_sound_of_two_channels_is_kept_or_mixed(tmp_path):
    write_wav(tmp_path / "a.wav", np.array([[16384, 0], [0, 0]], "<i2"))
    assert open_dataset(str(tmp_path), length=2).stored.tolist() == [[[0.5, 0], [0, 0]]]
    assert open_dataset(str(tmp_path), length=2, mono=True).stored.tolist() == [[[0.25, 0]]]


def test_one_array_holds_all_series(tmp_path):
    numbers = RNG.normal(0, 3, (6, 2, 20))
    np.save(tmp_path / "all.npy", numbers)
    samples = open_dataset("series", path=str(tmp_path / "all.npy"))
    assert np.allclose(samples.spec.in_units(samples.stored), numbers, atol=1e-5)
    np.save(tmp_path / "one.npy", numbers[0])
    both = open_dataset("series", path=str(tmp_path), length=10)
    assert len(both) == 14


def test_broken_files_are_skipped_and_said(tmp_path):
    write_wav(tmp_path / "a.wav", np.zeros(8, "<i2"))
    (tmp_path / "b.wav").write_bytes(b"RIFF of nothing")
    with pytest.warns(UserWarning, match=r"1 of 2 signals cannot be read|skipped b.wav"):
        samples = open_dataset(str(tmp_path), length=8)
    assert len(samples.skipped) == 1


def save_all(folder, arrays):
    for number, array in enumerate(arrays):
        np.save(folder / f"{number}.npy", array)


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ([], {}, "there are no files in .* that end in .csv or .npy"),
        ([np.zeros((2, 8)), np.zeros((2, 9))], {}, "have 8 to 9 numbers; choose one length"),
        ([np.zeros((2, 8)), np.zeros((3, 8))], {}, "has the channels x0, x1 and 1.npy x0, x1, x2"),
        ([np.zeros((2, 8))], {"length": 9}, "no signal in .* has 9 numbers"),
        ([np.full((2, 8), np.nan)], {}, "some of its numbers are not finite"),
        ([np.zeros((1, 1, 2, 8))], {}, "is no signal: give"),
        ([np.zeros((2000, 8))], {}, "has more than 1,000 channels"),
    ],
)
def test_wrong_series_are_refused(tmp_path, arrays, options, message):
    save_all(tmp_path, arrays)
    with pytest.raises(InputError, match=message):
        open_dataset("series", path=str(tmp_path), **options)


def test_sound_of_different_rates_is_refused(tmp_path):
    write_wav(tmp_path / "a.wav", np.zeros(8, "<i2"))
    write_wav(tmp_path / "b.wav", np.zeros(8, "<i2"), rate=16_000)
    with pytest.raises(InputError, match=r"has 8,000 numbers a second and b.wav 16,000"):
        open_dataset(str(tmp_path))


def test_a_folder_of_images_beside_a_sound_is_one_of_images(tmp_path):
    for number in range(2):
        Image.new("L", (8, 8)).save(tmp_path / f"{number}.png")
    write_wav(tmp_path / "a.wav", np.zeros(8, "<i2"))
    assert open_dataset(str(tmp_path)).spec.kind == "images"


@pytest.mark.parametrize(("length", "served"), [(64, 16), (1000, 0), (96, 24), (24, 12), (9, 0)])
def test_wavegan_cuts_a_signal_to_quarters_and_halves(length, served):
    from ganzoo_zoo.families.wavegan.networks import find_strides

    spec = DataSpec(shape=(1, length))
    if served:
        assert find_strides(spec)[1] == served
    else:
        with pytest.raises(InputError, match=r"choose another length with --set data.length=N"):
            find_strides(spec)


def test_phases_are_shuffled_in_training_alone():
    from ganzoo_zoo.families.wavegan.networks import PhaseShuffle

    torch.manual_seed(0)
    features = torch.arange(9.0).expand(64, 2, 9)
    shuffled = PhaseShuffle(2)(features)
    assert {tuple(each[0].tolist()) for each in shuffled} == {
        (2, 1, 0, 1, 2, 3, 4, 5, 6),
        (1, 0, 1, 2, 3, 4, 5, 6, 7),
        (0, 1, 2, 3, 4, 5, 6, 7, 8),
        (1, 2, 3, 4, 5, 6, 7, 8, 7),
        (2, 3, 4, 5, 6, 7, 8, 7, 6),
    }
    assert (shuffled[:, 0] == shuffled[:, 1]).all()
    assert PhaseShuffle(2).eval()(features) is features


def test_curves_lie_within_their_frames():
    signals = torch.tensor([[[-5.0, 5.0]], [[0.0, 0.0]]])
    up, flat = draw_curves(signals, (20, 40))
    ink = (up.float().std(0) > 20).nonzero()
    assert ink[0].tolist()[0] <= 1
    assert ink[-1].tolist()[0] >= 18
    assert (flat.float().std(0) > 20).nonzero()[:, 0].unique().tolist() in ([9, 10], [9], [10])
    assert render_samples(torch.zeros(3, 1, 9000)).shape == (3, 68, 392)
    assert draw_curves(torch.zeros(1, 1, 1)).shape == (1, 3, 64, 128)


# Data at hand


def test_tensors_of_many_channels_and_signals_are_taken():
    from ganzoo_zoo.data.given_objects import read

    assert read(np.zeros((4, 6, 16, 16), np.uint8)).spec.shape == (6, 16, 16)
    assert read(np.zeros((4, 16, 16, 6), np.uint8)).spec.shape == (6, 16, 16)
    signals = read(torch.linspace(-1, 1, 64).view(2, 1, 32))
    assert (signals.spec.shape, signals.spec.units) == ((1, 32), None)
    scaled = read([np.linspace(0, 10, 32).reshape(1, 32)] * 3)
    assert scaled.spec.units.scale == (5.0,)
    with pytest.raises(InputError, match="need the numbers that are black"):
        read(torch.zeros(4, 28, 28))
    assert read(torch.zeros(4, 8, 28), (0, 1)).spec.shape == (1, 8, 28)


def test_signals_at_hand_train(tmp_path):
    signals = torch.randn(20, 2, 32)
    run = ganzoo.train("mlp", data=signals, out=tmp_path / "run", **{**SHORT, "steps": 1})
    assert run.config().data.name == "given-signals"
    assert ganzoo.load(str(run.path)).config.spec.units.names == ("x0", "x1")


def test_datasets_of_other_shapes_pass_the_kit(tmp_path):
    write_table(tmp_path / "a.csv")
    write_sounds(tmp_path / "sounds")
    np.save(tmp_path / "all.npy", RNG.normal(0, 3, (6, 2, 20)))
    given = {
        "csv": {"path": str(tmp_path / "a.csv"), "label": "group"},
        "wav": {"path": str(tmp_path / "sounds"), "length": 64},
        "series": {"path": str(tmp_path / "all.npy")},
    }
    datasets = [registry.get(DATASET, name)(**options) for name, options in given.items()]
    datasets.append(registry.get(DATASET, "given-signals").hold(torch.randn(5, 2, 32), {}))
    for dataset in datasets:
        for check in dataset_checks:
            check(dataset)


def test_a_dataset_must_say_the_kind_that_it_holds():
    class Undeclared(Sines):
        holds = "vectors"

    with pytest.raises(ConformanceError, match='declare holds = "signals"'):
        check_samples(Undeclared(samples=3))
    with pytest.raises(ConformanceError, match=r"a batch of signals must lie in \[-1, 1\]"):
        check_samples(Loud(samples=3))


class Loud(Sines):
    def read(self):
        samples = super().read()
        return replace(samples, stored=5 * samples.stored)


@pytest.mark.parametrize("name", ["mlp", "wavegan"])
def test_signals_lie_within_their_range(name):
    spec = DataSpec(shape=(2, 64))
    generator, discriminator = ganzoo.create(name, shape=spec.shape)
    with torch.no_grad():
        z_dim = registry.get(ARCHITECTURE, name)().z_dim
        made = generator(100 * torch.randn(4, z_dim))
        assert discriminator(made)["logits"].shape == (4,)
    assert made.shape == (4, *spec.shape)
    assert 0.5 < float(made.abs().max()) <= 1
