"""A person's own images: the datasets `folder` and `zip`, and how `--data` finds them."""

import io
import json
import os
import random
import shutil
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo import DataSpec, open_dataset
from ganzoo.errors import InputError
from ganzoo.evaluation.sample_sets import describe_data
from ganzoo.resolve import choose_data
from ganzoo_zoo.data import decoding, listing, sources
from ganzoo_zoo.data.common_size import find_common_size
from ganzoo_zoo.data.files import ImageFolder, ImageZip
from ganzoo_zoo.data.label_table import number_labels, parse_table

READERS = {"folder": ImageFolder, "zip": ImageZip}


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(colour, size=(4, 4), mode="RGB", kind="PNG", **options):
    """Encode an image of one colour; ``size`` is width and height, as Pillow has it."""
    return encoded(Image.new(mode, size, colour), kind, **options)


def noise(kind):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), kind)


def bomb(width, height):
    """Make a PNG of a few bytes that claims to be huge."""

    def chunk(kind, data):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def fill(root, contents):
    for name, data in contents.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return root


def pack(file, contents, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return file


@pytest.fixture(params=["folder", "zip"])
def make(request, tmp_path):
    """Put files into a folder or a zip, and return the dataset that reads them."""

    def made(contents, **options):
        if request.param == "folder":
            (tmp_path / "images").mkdir()
            path = fill(tmp_path / "images", contents)
        else:
            path = pack(tmp_path / "images.zip", contents)
        return READERS[request.param](path=str(path), **options)

    return made


def levels(samples):
    """Return the first value of each image: what tells one plain image from another."""
    return samples.stored[:, :, 0, 0].tolist()


# Which files are images, their order and their classes


def test_flat_files_have_no_classes(make):
    samples = make({"b.png": plain((2, 0, 128)), "a.png": plain((1, 0, 9))}).read()
    assert levels(samples) == [[1, 0, 9], [2, 0, 128]]
    assert samples.stored.shape == (2, 3, 4, 4)
    assert samples.spec.shape == (3, 4, 4)
    assert samples.spec.classes is None
    assert samples.labels is None
    assert samples.skipped == ()
    assert samples.describe_skipped() == []


def test_height_comes_before_width(make):
    samples = make({"a.png": plain((1, 2, 3), size=(6, 2))}).read()
    assert samples.spec.shape == (3, 2, 6)


def test_pixels_keep_their_places(make):
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    samples = make({"a.png": encoded(Image.fromarray(pixels))}).read()
    assert torch.equal(samples.stored[0], torch.from_numpy(pixels).permute(2, 0, 1))


def test_class_folders_give_labels(make):
    contents = {
        "dogs/1.png": plain((20, 0, 0)),
        "cats/2.png": plain((11, 0, 0)),
        "cats/1.png": plain((10, 0, 0)),
        "eels/1.png": plain((30, 0, 0)),
    }
    samples = make(contents).read()
    assert samples.stored[:, 0, 0, 0].tolist() == [10, 11, 20, 30]
    assert samples.spec.classes == 3
    assert samples.labels.dtype == torch.int64
    assert samples.labels.tolist() == [0, 0, 1, 2]


def test_the_outermost_folders_are_the_classes(make):
    contents = {
        "cats/young/1.png": plain((1, 0, 0)),
        "cats/old/x/1.png": plain((2, 0, 0)),
        "dogs/1.png": plain((3, 0, 0)),
    }
    samples = make(contents).read()
    assert samples.stored[:, 0, 0, 0].tolist() == [2, 1, 3]
    assert samples.labels.tolist() == [0, 0, 1]


@pytest.mark.parametrize("names", [("all/1.png", "all/2.png"), ("loose.png", "cats/1.png")])
def test_one_folder_or_loose_images_give_no_classes(make, names):
    samples = make({name: plain((1, 2, 3)) for name in names}).read()
    assert len(samples) == 2
    assert samples.spec.classes is None
    assert samples.labels is None


def test_labels_belong_to_the_images_that_can_be_read(make):
    contents = {
        "ants/1.png": b"",
        "bees/1.png": plain((1, 0, 0)),
        "bees/2.png": b"not an image",
        "cats/1.png": plain((2, 0, 0)),
    }
    samples = make(contents).read()
    assert samples.labels.tolist() == [0, 1]
    assert samples.spec.classes == 2
    assert len(samples.skipped) == 2


def test_what_is_hidden_or_no_image_is_passed_over(make):
    image = plain((7, 0, 0))
    contents = {
        "a/1.png": image,
        "b/2.PNG": image,
        "b/.hidden.png": image,
        "b/._2.png": b"resource fork",
        ".cache/3.png": image,
        "__MACOSX/a/1.png": image,
        "__MACOSX/._1.png": b"resource fork",
        "a/notes.txt": b"text",
        "a/Thumbs.db": b"text",
        "a/labels.csv": b"text",
        "png": image,
    }
    dataset = make(contents)
    samples = dataset.read()
    assert levels(samples) == [[7, 0, 0]] * 2
    assert samples.labels.tolist() == [0, 1]
    assert samples.skipped == ()
    name = Path(dataset.path).name
    assert samples.notes[:2] == (
        f"left out 3 files in {name} whose names do not end as those of images (.csv 1, .txt 1, "
        "no suffix 1), such as a/labels.csv, a/notes.txt and png",
        f"hidden files and folders in {name} were left out, such as b/.hidden.png",
    )


def test_a_folder_called_like_an_image_is_no_image(tmp_path):
    root = fill(tmp_path / "images", {"shots.png/1.png": plain((1, 0, 0))})
    zipped = shutil.make_archive(str(tmp_path / "images"), "zip", root)
    assert "shots.png/" in zipfile.ZipFile(zipped).namelist()
    for samples in (ImageFolder(path=str(root)).read(), ImageZip(path=zipped).read()):
        assert len(samples) == 1
        assert samples.skipped == ()


@pytest.mark.parametrize("suffix", sorted(listing.SUFFIXES))
def test_every_listed_format_is_read(make, suffix):
    kinds = {"jpg": "JPEG", "jpe": "JPEG", "jfif": "JPEG", "tif": "TIFF"}
    kind = kinds.get(suffix[1:], suffix[1:].upper())
    if kind == "AVIF" and not decoding.READS_AVIF:
        pytest.skip("this Pillow does not read AVIF")
    samples = make({f"a{suffix}": plain((200, 200, 200), size=(16, 16), kind=kind)}).read()
    assert samples.stored.shape[2:] == (16, 16)
    assert (samples.stored.int() - 200).abs().max() <= 1


def test_names_are_sorted_whatever_the_order_on_disk(make):
    names = ["b.png", "10.png", "a/z.png", "2.png", "a.png", "C.png", "a/b/c.png"]
    contents = {name: plain((i, 0, 0)) for i, name in enumerate(names)}
    samples = make(contents).read()
    wanted = sorted(range(len(names)), key=lambda i: names[i])
    assert samples.stored[:, 0, 0, 0].tolist() == wanted


def test_folder_and_zip_hold_the_same_data(tmp_path):
    contents = {f"{kind}/{i}.png": plain((i, 50, 99)) for kind in ("x", "y") for i in range(3)}
    root = fill(tmp_path / "images", {**contents, "x/.hidden.png": plain((1, 1, 1))})
    zipped = shutil.make_archive(str(tmp_path / "images"), "zip", root)
    backwards = pack(tmp_path / "back.zip", dict(reversed(contents.items())), zipfile.ZIP_DEFLATED)
    first = ImageFolder(path=str(root)).read()
    for path in (zipped, str(backwards)):
        other = ImageZip(path=path).read()
        assert other.fingerprint == first.fingerprint
        assert torch.equal(other.labels, first.labels)
        assert other.spec == first.spec


def test_links_to_folders_are_not_followed(tmp_path):
    root = fill(tmp_path / "images", {"a/1.png": plain((1, 0, 0))})
    other = fill(tmp_path / "other", {"2.png": plain((2, 0, 0))})
    for link, target in ((root / "a" / "loop", root), (root / "b", other)):
        try:
            link.symlink_to(target, target_is_directory=True)
        except OSError:
            pytest.skip("this system makes no links")
    assert levels(ImageFolder(path=str(root)).read()) == [[1, 0, 0]]


def test_links_to_images_are_read_and_broken_ones_named(tmp_path):
    root = fill(tmp_path / "images", {"1.png": plain((1, 0, 0))})
    other = fill(tmp_path / "other", {"2.png": plain((2, 0, 0))})
    try:
        (root / "2.png").symlink_to(other / "2.png")
        (root / "3.png").symlink_to(other / "3.png")
    except OSError:
        pytest.skip("this system makes no links")
    samples = ImageFolder(path=str(root)).read()
    assert levels(samples) == [[1, 0, 0], [2, 0, 0]]
    assert [what.partition(":")[0] for what in samples.skipped] == ["3.png"]


# What is said of the files that are left out


def test_files_that_are_no_images_by_their_names_are_counted(make):
    image = plain((200, 0, 0))
    others = {f"{i}.heic": image for i in range(4)} | {"x/plain": image, "ORDERS.TXT": b"text"}
    dataset = make({"a.png": image, "b.jpg": image, **others})
    samples = dataset.read()
    assert samples.names == ("a.png", "b.jpg")  # the PNG that is called .jpg is read
    (note,) = samples.notes
    assert note == (
        f"left out 6 files in {Path(dataset.path).name} whose names do not end as those of images "
        "(.heic 4, .txt 1, no suffix 1), such as 0.heic, 1.heic and 2.heic; "
        "convert .heic to JPEG or PNG to train on them"
    )
    assert samples.describe_skipped() == [note]


def test_a_link_to_a_folder_is_said(tmp_path):
    root = fill(tmp_path / "images", {"a/1.png": plain((200, 0, 0))})
    other = fill(tmp_path / "other", {"2.png": plain((2, 0, 0))})
    try:
        (root / "b").symlink_to(other, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    notes = ImageFolder(path=str(root)).read().notes
    assert notes == ("images/b is a link to a folder and was left out",)
    (root / "c").symlink_to(other, target_is_directory=True)
    notes = ImageFolder(path=str(root)).read().notes
    assert notes == ("2 links to folders in images were left out, such as b and c",)
    shutil.rmtree(root / "a")
    with pytest.raises(
        InputError, match=r"no images in .*; 2 links to folders in images were left"
    ):
        ImageFolder(path=str(root)).read()


def test_what_is_left_out_is_said_before_a_training(tmp_path, ganzoo_cli):
    fill(tmp_path / "images", {"a.png": plain((200, 0, 0)), "b": b"text"})
    small = ["--set", "arch.hidden=4", "--steps", 1, "--batch-size", 2, "--device", "cpu"]
    result = ganzoo_cli("train", "mlp", "--data", "images", *small, "--out", "run")
    assert result.code == 0, result
    assert "left out 1 file in images whose name does not end as" in result.err


def test_names_of_left_out_files_are_escaped_and_short():
    left_out = listing.LeftOut()
    left_out.add_file("a\x1b[31m")
    left_out.add_file("b" * 100_000)
    left_out.add_file("c\udcff.\nxt")
    left_out.add_file("d.ends" + "x" * 100)
    (line,) = left_out.describe("x")
    assert line.isprintable()
    assert len(line) < 500
    assert "(no suffix 2, .\\nxt 1, others 1), such as a\\x1b[31m, bbb" in line


def test_the_account_of_left_out_files_stays_small():
    left_out = listing.LeftOut()
    for i in range(3000):
        left_out.add_file(f"{i}/x.{i}")
        left_out.add_file(f"{i}/labels.csv")
        left_out.add_link(f"link {i}")
    left_out.add_file("labels.csv", b"row")
    assert len(json.dumps(left_out.to_facts())) < 100_000
    assert left_out.tables[0] == (0, "labels.csv", b"row")
    again = listing.LeftOut.from_facts(json.loads(json.dumps(left_out.to_facts())))
    assert again.describe("y") == left_out.describe("y")
    assert again.tables == left_out.tables
    links, files = left_out.describe("y", ("labels.csv",))
    assert links == (
        "3,000 links to folders in y were left out, such as link 0, link 1 and link 10"
    )
    assert files.startswith("left out 6,000 files in y whose")


def test_without_a_decoder_avif_is_named(make, monkeypatch):
    monkeypatch.setattr(decoding, "READS_AVIF", False)
    data = b"\0\0\0\x1cftypavif" + bytes(100)
    samples = make({"a.png": plain((200, 0, 0)), "b.avif": data}).read()
    assert samples.skipped == (
        "b.avif: this Pillow does not read AVIF: update it with 'pip install -U pillow'",
    )


# What lies around the images


def pictures(*names):
    return {name: plain((i, 200, 0)) for i, name in enumerate(sorted(names))}


PETS = ["cats/1.png", "cats/2.png", "dogs/1.png"]


@pytest.mark.parametrize("around", ["pets/", "a/b/", "./pets/"])
def test_folders_around_all_images_are_passed_over(make, around):
    dataset = make(pictures(*(around + name for name in PETS)) | {"README.md": b"text"})
    samples = dataset.read()
    assert samples.spec.class_names == ("cats", "dogs")
    assert samples.labels.tolist() == [0, 0, 1]
    assert levels(samples) == [[0, 200, 0], [1, 200, 0], [2, 200, 0]]


def test_a_zip_may_have_absolute_names(tmp_path):
    file = pack(tmp_path / "images.zip", pictures(*(f"/{name}" for name in PETS)))
    assert ImageZip(path=str(file)).read().labels.tolist() == [0, 0, 1]


def test_a_zip_may_have_backslashes(tmp_path):
    file = tmp_path / "win.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in pictures(*PETS, "dogs/é/x.png").items():
            member = zipfile.ZipInfo("x")
            member.filename = f"pets/{name}".replace("/", "\\").replace("\\é\\", "\\é/")
            archive.writestr(member, data)
        archive.writestr(zipfile.ZipInfo("pets\\labels.txt"), b"text")
    samples = ImageZip(path=str(file)).read()
    assert samples.names == tuple(f"pets/{name}" for name in [*PETS, "dogs/é/x.png"])
    assert samples.labels.tolist() == [0, 0, 1, 1]
    assert samples.skipped == ()


def test_what_systems_leave_behind_is_passed_over_in_silence(make):
    contents = pictures(*PETS)
    for name in (
        "@eaDir/cats/1.png",
        "cats/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg",
        "__MACOSX/cats/._1.png",
        "cats/._2.png",
        ".thumbnails/1.png",
        "dogs/.ipynb_checkpoints/1.png",
        "#recycle/1.png",
        "cats/.DS_Store",
        "cats/Thumbs.db",
        "desktop.ini",
    ):
        contents[name] = plain((9, 9, 9))
    samples = make(contents).read()
    assert list(samples.names) == PETS
    assert samples.describe_skipped() == []


# Splits


SPLIT = ["Train/cats/1.png", "Train/dogs/1.png", "Train/dogs/2.png", "val/cats/1.png"]


@pytest.mark.parametrize("around", ["", "pets/"])
def test_splits_are_no_classes(make, around):
    dataset = make(pictures(*(around + name for name in SPLIT)))
    samples = dataset.read()
    assert samples.names == tuple(around + name for name in SPLIT[:3])
    assert samples.spec.class_names == ("cats", "dogs")
    assert samples.labels.tolist() == [0, 1, 1]
    assert samples.split == "train"
    name = Path(dataset.path).name
    assert samples.notes == (
        f"{name} has the splits Train and val: Train is read; choose another with data.split, "
        "or all",
    )


def test_a_split_can_be_chosen(make):
    dataset = make(pictures(*SPLIT))
    chosen = dataset.model_copy(update={"split": "VAL"})
    samples = chosen.read()
    assert levels(samples) == [[3, 200, 0]]
    assert (samples.split, samples.spec.classes, samples.notes) == ("val", None, ())
    every = dataset.model_copy(update={"split": "all"}).read()
    assert every.spec.class_names == ("cats", "dogs")
    assert every.labels.tolist() == [0, 1, 1, 0]
    assert (every.split, every.notes) == (None, ())


def test_of_two_training_splits_one_is_read_and_said(make):
    dataset = make(pictures("TRAIN/1.png", "Train/2.png", "train/3.png", "val/4.png"))
    assert list(dataset.read().names) == ["train/3.png"]
    assert "has the splits TRAIN, Train, train and val: train is read" in dataset.read().notes[0]
    assert len(dataset.model_copy(update={"split": "all"}).read()) == 4


def test_a_split_that_is_not_there_is_refused(make):
    dataset = make(pictures(*SPLIT))
    with pytest.raises(InputError) as caught:
        dataset.model_copy(update={"split": "test"}).read()
    assert str(caught.value) == (
        f"{dataset.path} has the splits Train and val, and no test; choose one with data.split, "
        "or all"
    )


def test_data_without_splits_have_only_all(make):
    dataset = make(pictures(*PETS))
    assert len(dataset.model_copy(update={"split": "all"}).read()) == 3
    with pytest.raises(InputError, match=r"has no splits, such as train and val; drop data\.split"):
        dataset.model_copy(update={"split": "train"}).read()


def test_splits_without_a_training_split_must_be_chosen(make):
    dataset = make(pictures("test/1.png", "dev/1.png"))
    with pytest.raises(InputError, match="has the splits dev and test, and no train"):
        dataset.read()
    assert len(dataset.model_copy(update={"split": "dev"}).read()) == 1


@pytest.mark.parametrize("names", [("train/cats/1.png", "train/dogs/1.png")])
def test_one_split_alone_is_a_folder_around_all(make, names):
    dataset = make(pictures(*names))
    assert dataset.read().spec.class_names == ("cats", "dogs")
    assert dataset.model_copy(update={"split": "train"}).read().split == "train"


def test_other_folders_beside_make_them_classes(make):
    names = ("car/1.png", "plane/1.png", "train/1.png")
    assert make(pictures(*names)).read().spec.class_names == ("car", "plane", "train")


def test_splits_of_domains(tmp_path):
    paths = {word: str(fill(tmp_path / word, pictures(*SPLIT))) for word in ("a", "b")}
    samples = open_dataset("domains", **paths)
    assert list(samples.names) == [f"{word}/{name}" for word in "ab" for name in SPLIT[:3]]
    assert samples.split == "train"
    assert len(samples.notes) == 2
    assert len(open_dataset("domains", **paths, split="val")) == 2


# Tables of labels


def stylegan(labels):
    return {"dataset.json": json.dumps({"labels": labels}).encode()}


PACKED = [f"0000{i // 2}/img{i:08d}.png" for i in range(4)]


@pytest.mark.parametrize("around", ["", "packed/"])
def test_labels_of_a_packed_set_of_stylegan(make, around):
    table = stylegan([[name, label] for name, label in zip(PACKED, [3, 0, 0, 1], strict=True)])
    files = {around + name: data for name, data in {**pictures(*PACKED), **table}.items()}
    samples = make(files).read()
    assert samples.spec.class_names == ("0", "1", "2", "3")
    assert samples.labels.tolist() == [3, 0, 0, 1]
    assert samples.labels.dtype == torch.int64
    assert samples.notes == (f"the classes are those of {around}dataset.json",)


@pytest.mark.parametrize("labels", [None, [], [[name, [0.5, 1.0]] for name in PACKED]])
def test_a_packed_set_without_classes_has_none(make, labels):
    samples = make(pictures(*PACKED) | stylegan(labels)).read()
    assert samples.labels is None
    assert samples.notes == ("the images have no classes: dataset.json names fewer than two",)
    assert len(samples) == 4


TABLES = {
    "columns by name": ("labels.csv", "id,label,File\n7,cat,b.png\n8,dog,a.png\n9,cat,c/d.png\n"),
    "two columns": ("labels.csv", "b.png,cat\na.png,dog\nc/d.png,cat\n"),
    "a header": ("labels.csv", "photo;animal\r\nb.png;cat\r\na.png;dog\r\n.\\c\\d.png;cat\r\n"),
    "quoted": (
        "metadata.csv",
        '\ufefffile_name,text,label\nb.png,"a, b",cat\na.png,,dog\nc/d.png,,cat',
    ),
    "lines": (
        "metadata.jsonl",
        '{"file_name": "b.png", "label": "cat"}\n{"file_name": "a.png", "label": "dog"}\n'
        '\n{"file_name": "c/d.png", "label": "cat", "more": [1]}\n',
    ),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_of_labels(make, kind):
    name, text = TABLES[kind]
    samples = make(pictures("a.png", "b.png", "c/d.png") | {name: text.encode()}).read()
    assert samples.spec.class_names == ("cat", "dog")
    assert samples.labels.tolist() == [1, 0, 0]
    assert samples.notes == (f"the classes are those of {name}",)


def test_labels_may_be_any_text(make):
    labels = ["\ud800", "a\nb", "-1", "007"]
    rows = [{"file_name": f"{i}.png", "label": label} for i, label in enumerate(labels)]
    text = "\n".join(map(json.dumps, rows)).encode()
    samples = make(pictures(*(f"{i}.png" for i in range(4))) | {"metadata.jsonl": text}).read()
    assert samples.spec.class_names == ("-1", "007", "a\nb", "\\ud800")
    assert samples.labels.tolist() == [3, 2, 0, 1]
    assert DataSpec.model_validate_json(samples.spec.model_dump_json()) == samples.spec


def test_any_damage_of_a_table_is_read_or_refused():
    rng = random.Random(0)
    whole = [("labels.csv", b"file,label\na.png,1\nb.png,2\n"), *stylegan([["a", 1]]).items()]
    whole += [(name, text.encode()) for name, text in TABLES.values()]
    for _ in range(2000):
        name, data = rng.choice(whole)
        data = bytearray(data)
        for _ in range(rng.randrange(1, 5)):
            data[rng.randrange(len(data))] = rng.choice([rng.randrange(256), *b'[]{},"\n0'])
        try:
            table = parse_table(name, bytes(data))
            if table is not None:
                number_labels(table.labels, table.all_numbers)
        except ValueError:
            pass


def test_numbers_in_a_table_are_sorted_as_numbers(make):
    text = "file,label\na.png,10\nb.png,9\nc.png,10\n"
    samples = make(pictures("a.png", "b.png", "c.png") | {"labels.csv": text.encode()}).read()
    assert samples.spec.class_names == ("9", "10")
    assert samples.labels.tolist() == [1, 0, 1]


def test_images_without_a_label_are_left_out_and_said(make):
    text = b"a.png,cat\nc.png,dog\nlost.png,dog\ne.png,\n"
    names = ("a.png", "b.png", "c.png", "d/c.png", "e.png")
    dataset = make(pictures(*names) | {"labels.csv": text})
    samples = dataset.read()
    assert list(samples.names) == ["a.png", "c.png"]
    assert levels(samples) == [[0, 200, 0], [2, 200, 0]]
    assert samples.labels.tolist() == [0, 1]
    assert samples.notes == (
        "the classes are those of labels.csv",
        "left out 3 images without a label in labels.csv, such as b.png, d/c.png and e.png",
        "1 files that labels.csv names are not there",
    )


def test_a_table_of_other_files_is_not_used(make):
    samples = make(pictures(*PETS) | {"labels.csv": b"x.png,1\ny.png,2\n"}).read()
    assert samples.spec.class_names == ("cats", "dogs")
    assert samples.notes[0] == "labels.csv names none of the images, and is not used"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metadata.jsonl", '{"file_name": "cats/1.png", "text": "a cat"}'),
        ("metadata.csv", "a,b\n1,2\n"),
        ("dataset.json", '{"title": "pets"}'),
        ("labels.csv", ""),
    ],
)
def test_a_table_without_labels_is_another_file(make, name, text):
    samples = make(pictures(*PETS) | {name: text.encode()}).read()
    assert samples.spec.class_names == ("cats", "dogs")
    assert f"such as {name}" in samples.notes[0]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("dataset.json", b"{"),
        ("dataset.json", b"[" * 100_000),
        ("dataset.json", b'{"labels": [["a.png"]]}'),
        ("labels.csv", b"\xff\xfe\0"),
        ("labels.csv", b"a.png,1\nb.png\n"),
        ("metadata.jsonl", b"[1]"),
        ("metadata.jsonl", b"{}\n{"),
    ],
)
def test_a_damaged_table_is_an_error_in_one_line(make, name, data):
    dataset = make(pictures(*PETS) | {name: data})
    with pytest.raises(InputError) as caught:
        dataset.read()
    message = str(caught.value)
    assert message.startswith(f"the labels in {dataset.path}/{name} cannot be read: ")
    assert message.endswith("; mend the file, or move it away")
    assert len(message.splitlines()) == 1


def test_images_in_a_folder_beside_the_table(make):
    contents = pictures("train/1.png", "train/2.png") | {"labels.csv": b"1.png,a\n2.png,b\n"}
    assert make(contents).read().labels.tolist() == [0, 1]


def test_each_split_may_have_its_table(make):
    names = ("test/1.png", "train/1.png", "train/2.png")
    table = b"file_name,label\n1.png,b\n2.png,a\n"
    dataset = make(pictures(*names) | {f"{x}/metadata.csv": table for x in ("test", "train")})
    assert dataset.read().labels.tolist() == [1, 0]
    every = dataset.model_copy(update={"split": "all"}).read()
    assert every.spec.class_names == ("a", "b")
    assert every.labels.tolist() == [1, 1, 0]


def test_other_labels_are_other_data(make, tmp_path):
    contents = pictures("a.png", "b.png", "c.png")
    dataset = make(contents | {"labels.csv": b"a.png,1\nb.png,2\nc.png,2\n"})
    first = dataset.read().fingerprint
    assert dataset.read().fingerprint == first
    other = fill(tmp_path / "x", contents | {"labels.csv": b"a.png,1\nb.png,1\nc.png,2\n"})
    assert open_dataset(str(other)).fingerprint != first
    (other / "labels.csv").write_bytes(b"c.png,2\na.png,1\nb.png,2\n")
    assert open_dataset(str(other)).fingerprint == first


CHANGED = {
    "folders that became splits": (
        {"a/1.png": "train/1.png", "b/2.png": "test/2.png", "b/3.png": "test/3.png"},
        {},
    ),
    "a table of labels": ({}, {"labels.csv": b"a/1.png,x\nb/2.png,y\nb/3.png,x\n"}),
}


@pytest.mark.parametrize("change", CHANGED)
def test_a_run_does_not_go_on_with_data_that_are_read_otherwise(tmp_path, ganzoo_cli, change):
    root = fill(tmp_path / "images", pictures("a/1.png", "b/2.png", "b/3.png"))
    small = ["--set", "arch.hidden=4", "--batch-size", 2, "--device", "cpu", "--steps", 1]
    small += ["--recipe", "paper"]
    assert ganzoo_cli("train", "mlp", "--data", "images", *small, "--out", "run").code == 0
    more = ("train", "--resume", "run", "--steps", 2)
    moved, added = CHANGED[change]
    for before, after in moved.items():
        (root / after).parent.mkdir(exist_ok=True)
        (root / before).rename(root / after)
    fill(root, added)
    result = ganzoo_cli(*more)
    assert result.code == 2, result
    assert "have changed since it was started" in " ".join(result.err.split())
    for name in added:
        (root / name).unlink()
    if not moved:
        assert ganzoo_cli(*more).code == 0


@pytest.mark.parametrize(
    ("names", "options", "split"),
    [
        (PETS, {}, "all"),
        (SPLIT, {}, "train"),
        (SPLIT, {"split": "val"}, "val"),
        (SPLIT, {"split": "all"}, "all"),
    ],
)
def test_score_rows_name_the_split_that_was_read(make, names, options, split):
    dataset = make(pictures(*names), **options)
    choice = choose_data(dataset.path, options)
    assert describe_data(choice, dataset, dataset.read())["split"] == split
    assert dataset.read().subset(torch.tensor([0])).split == dataset.read().split


# What cannot be read


def test_unreadable_images_are_named_and_skipped(make):
    contents = {
        "a.png": plain((1, 2, 3), size=(64, 64)),
        "bomb.png": bomb(60_000, 60_000),
        "empty.png": b"",
        "large.png": bomb(10_000, 10_000),
        "short.jpg": noise("JPEG")[:1500],
        "short.png": noise("PNG")[:1500],
        "text.png": b"a page of text, and no image",
        "z.png": plain((4, 5, 255), size=(64, 64)),
    }
    samples = make(contents).read()
    assert levels(samples) == [[1, 2, 3], [4, 5, 255]]
    reasons = dict(what.split(": ", 1) for what in samples.skipped)
    assert list(reasons) == [name for name in contents if name not in ("a.png", "z.png")]
    assert "decompression bomb" in reasons["bomb.png"]
    assert reasons["empty.png"] == "it is not an image of a known format"
    assert reasons["large.png"] == "10000 x 10000 pixels are too many"
    assert "truncated" in reasons["short.jpg"]
    assert "truncated" in reasons["short.png"]
    assert reasons["text.png"] == "it is not an image of a known format"
    lines = samples.describe_skipped()
    assert lines[0] == "6 of 8 images cannot be read"
    assert lines[1:] == [f"skipped {what}" for what in samples.skipped]


def test_files_of_too_many_bytes_are_skipped_unread(make, monkeypatch):
    small, large = plain((1, 0, 0)), noise("PNG")
    monkeypatch.setattr(sources, "BYTE_LIMIT", len(small))
    samples = make({"a.png": small, "b.png": large}).read()
    assert len(samples) == 1
    assert samples.skipped == (
        f"b.png: {len(large)} bytes are more than the limit of {len(small)} for an image",
    )


@pytest.mark.parametrize("kind", ["I", "F"])
def test_numbers_of_no_fixed_range_are_refused(make, kind):
    image = Image.new(kind, (4, 4), 1)
    samples = make({"a.png": plain((1, 0, 0)), "b.tif": encoded(image, "TIFF")}).read()
    assert len(samples) == 1
    assert samples.skipped == (
        f"b.tif: pixels of mode {kind} have no fixed range; give it with --set data.white_level=N, "
        "or use 8 or 16 bits",
    )


@pytest.mark.parametrize("contents", [{}, {"a.txt": b"text", "b/labels.csv": b"text"}])
def test_no_images_at_all_is_an_error(make, contents):
    dataset = make(contents)
    with pytest.raises(InputError) as caught:
        dataset.read()
    why = (
        f"; left out 2 files in {Path(dataset.path).name} whose names do not end as those of "
        "images (.csv 1, .txt 1), such as a.txt and b/labels.csv"
    )
    assert str(caught.value) == f"there are no images in {dataset.path}{why if contents else ''}"


def test_no_readable_image_is_an_error(make):
    dataset = make({"a.png": b"text", "b.png": b""})
    with pytest.raises(InputError) as caught:
        dataset.read()
    assert str(caught.value) == (
        f"none of the 2 images in {dataset.path} can be read; "
        "the first is a.png: it is not an image of a known format"
    )


def test_missing_folder(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*nowhere$"):
        ImageFolder(path=str(tmp_path / "nowhere")).read()


def test_a_file_is_no_folder(tmp_path):
    file = fill(tmp_path, {"a.png": plain((1, 0, 0))}) / "a.png"
    with pytest.raises(InputError, match=r"there is no folder .*a\.png$"):
        ImageFolder(path=str(file)).read()


def test_missing_zip(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.zip is missing$"):
        ImageZip(path=str(tmp_path / "nowhere.zip")).read()


def test_a_folder_is_no_zip(tmp_path):
    with pytest.raises(InputError, match="is not a regular file"):
        ImageZip(path=str(tmp_path)).read()


def some_zip(tmp_path):
    contents = {f"{name}.png": plain((i + 1, 0, 0)) for i, name in enumerate("abcé")}
    return pack(tmp_path / "images.zip", contents)


def truncated(data):
    return data[: len(data) // 2]


def random_bytes(data):
    return random.Random(0).randbytes(len(data))


def no_bytes(data):
    return b""


def name_not_unicode(data):
    return data.replace("é".encode(), b"\xff\xff")


def version_unknown(data):
    place = data.index(b"PK\x01\x02")
    return data[: place + 6] + bytes([99]) + data[place + 7 :]


def list_too_long(data):
    end = data.rindex(b"PK\x05\x06")
    return data[: end + 12] + b"\xff\xff\xff\x7f" + data[end + 16 :]


BREAKS = [truncated, random_bytes, no_bytes, name_not_unicode, version_unknown, list_too_long]


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.__name__)
def test_corrupt_zip(tmp_path, broken):
    file = some_zip(tmp_path)
    whole = file.read_bytes()
    assert len(ImageZip(path=str(file)).read()) == 4
    file.write_bytes(broken(whole))
    with pytest.raises(InputError) as caught:
        ImageZip(path=str(file)).read()
    assert str(caught.value).startswith(f"{file} is not a readable zip: ")
    assert len(str(caught.value).splitlines()) == 1


def test_a_member_with_a_wrong_checksum_is_skipped(tmp_path):
    file = some_zip(tmp_path)
    data = bytearray(file.read_bytes())
    data[data.index(b"b.png") + 20] ^= 0xFF
    file.write_bytes(data)
    samples = ImageZip(path=str(file)).read()
    assert samples.stored[:, 0, 0, 0].tolist() == [1, 3, 4]
    assert samples.skipped == ("b.png: Bad CRC-32 for file 'b.png'",)


def test_an_encrypted_member_is_skipped(tmp_path):
    file = some_zip(tmp_path)
    data = bytearray(file.read_bytes())
    first, second = (m for m in range(len(data)) if data[m : m + 5] == b"c.png")
    # The flag that says so stands in the member's own header and in the list at the end.
    data[first - 30 + 6] |= 1
    data[second - 46 + 8] |= 1
    file.write_bytes(data)
    samples = ImageZip(path=str(file)).read()
    assert samples.stored[:, 0, 0, 0].tolist() == [1, 2, 4]
    (skipped,) = samples.skipped
    assert skipped.startswith("c.png: ")
    assert "encrypted" in skipped


def test_of_two_members_with_one_name_the_later_counts(tmp_path):
    file = tmp_path / "images.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.png", plain((1, 0, 0)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.png", plain((2, 0, 0)))
    assert levels(ImageZip(path=str(file)).read()) == [[2, 0, 0]]


def test_a_zip_is_never_unpacked(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    names = ["../above.png", "sub/../../above.png", str(tmp_path / "absolute.png"), "in.png"]
    file = pack(inner / "images.zip", {name: plain((i, 0, 0)) for i, name in enumerate(names)})
    assert zipfile.ZipFile(file).namelist() == names
    before = sorted(tmp_path.rglob("*"))
    samples = ImageZip(path=str(file)).read()
    assert 3 in samples.stored[:, 0, 0, 0].tolist()
    assert sorted(tmp_path.rglob("*")) == before == [inner, file]


def test_the_zip_is_closed(tmp_path):
    file = some_zip(tmp_path)
    ImageZip(path=str(file)).read()
    with ImageZip(path=str(file)).open_source() as source:
        source.find_files()
        assert source.names[0] == "a.png"
        assert source.read(0) == plain((1, 0, 0))
    with pytest.raises(ValueError, match="closed"):
        source.read(0)


# Channels


GREY = {
    "bilevel": plain(1, mode="1"),
    "grey": plain(255, mode="L"),
    "16 bits": plain(65535, mode="I;16"),
    "grey with alpha": plain((255, 255), mode="LA"),
}


@pytest.mark.parametrize("name", GREY)
def test_grey_images_have_one_channel(make, name):
    samples = make({"a.png": GREY[name], "b.png": GREY["grey"]}).read()
    assert samples.spec.image_channels == 1
    assert samples.stored.tolist() == [[[[255] * 4] * 4]] * 2


def palette_of(*colours, used=None, **more):
    """Encode an image with a palette, of which the first colours are used."""
    image = Image.new("P", (4, 4))
    image.putpalette([level for colour in colours for level in colour])
    image.putdata([i % (used or len(colours)) for i in range(16)])
    return encoded(image, **more)


GREYS = [(200, 200, 200), (7, 7, 7), (0, 0, 0)]


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palette_of_greys_is_grey(make, kind):
    suffix = kind.lower()
    contents = {
        f"a.{suffix}": palette_of(*GREYS, kind=kind),
        "b.png": palette_of(*GREYS, (255, 0, 0), used=3),
        "c.png": plain(9, mode="L"),
    }
    samples = make(contents).read()
    assert samples.spec.image_channels == 1
    first = [200, 7, 0, 200, 7, 0, 200, 7, 0, 200, 7, 0, 200, 7, 0, 200]
    assert samples.stored.flatten(1).tolist() == [first, first, [9] * 16]


@pytest.mark.parametrize(
    "data",
    [
        palette_of(*GREYS, (255, 0, 0)),
        palette_of((0, 0, 0), (0, 1, 0), kind="GIF"),
        plain((9, 9, 9)),
    ],
    ids=["a colour in the palette", "a GIF", "grey pixels in RGB"],
)
def test_other_images_are_colour(make, data):
    suffix = "gif" if data.startswith(b"GIF") else "png"
    samples = make({f"a.{suffix}": data, "b.png": plain(9, mode="L")}).read()
    assert samples.spec.image_channels == 3


def test_a_transparent_palette_of_greys_is_grey(make):
    data = palette_of(*GREYS, transparency=0)
    assert levels(make({"a.png": data}).read()) == [[255]]


def test_one_colour_image_makes_all_of_them_colour(make):
    samples = make({"a.png": plain(90, mode="L"), "b.png": plain((1, 2, 3))}).read()
    assert levels(samples) == [[90, 90, 90], [1, 2, 3]]
    assert samples.stored.is_contiguous()


@pytest.mark.parametrize(
    ("channels", "wanted"),
    [
        (1, [[90], [150], [133]]),
        (3, [[90, 90, 90], [0, 255, 0], [133, 133, 133]]),
        (4, [[90, 90, 90, 255], [0, 255, 0, 255], [10, 10, 10, 127]]),
    ],
)
def test_channels_can_be_chosen(make, channels, wanted):
    contents = {
        "a.png": plain(90, mode="L"),
        "b.png": plain((0, 255, 0)),
        "c.png": plain((10, 10, 10, 127), mode="RGBA"),
    }
    samples = make(contents, image_channels=channels).read()
    assert samples.spec.shape == (channels, 4, 4)
    assert levels(samples) == wanted


def test_alpha_is_kept_only_when_asked_for(make):
    samples = make({"a.png": plain((1, 2, 3, 255), mode="RGBA")}).read()
    assert levels(samples) == [[1, 2, 3]]


def test_other_numbers_of_channels_are_refused(tmp_path):
    fill(tmp_path / "images", {"a.png": plain((1, 2, 3))})
    with pytest.raises(InputError, match=r"option 'data\.image_channels'"):
        open_dataset(str(tmp_path / "images"), image_channels=2)


# What the pixels are, as a viewer shows them


@pytest.mark.parametrize(
    ("kind", "mode", "order"), [("PNG", "I;16", "<"), ("TIFF", "I;16", "<"), ("TIFF", "I;16B", ">")]
)
def test_16_bits_become_8_by_their_upper_byte(make, kind, mode, order):
    values = [0, 255, 256, 40_000, 65_535]
    image = Image.frombytes(mode, (5, 1), np.array(values, f"{order}u2").tobytes())
    data = encoded(image, kind)
    assert Image.open(io.BytesIO(data)).mode == mode
    samples = make({f"a.{kind.lower()}": data}).read()
    assert samples.stored.tolist() == [[[[0, 0, 1, 156, 255]]]]


def test_16_bits_in_colour(make):
    image = Image.frombytes("I;16", (1, 1), np.array([40_000], "<u2").tobytes())
    samples = make({"a.png": encoded(image)}, image_channels=3).read()
    assert levels(samples) == [[156, 156, 156]]


@pytest.mark.parametrize(
    ("image", "kind", "white", "wanted"),
    [
        (np.array([[0, 1, 2048, 4095, 5000]], np.uint16), "PNG", 4095, [0, 0, 128, 255, 255]),
        (np.array([[0, 1, 2048, 4095, 5000]], ">u2"), "TIFF", 4095, [0, 0, 128, 255, 255]),
        (np.array([[0, 1]], np.uint8), "PNG", 1, [0, 255]),
        (np.array([[0, 9, 10, 11]], np.uint8), "PNG", 10, [0, 230, 255, 255]),
        (np.array([[-5, 0, 500, 2000]], np.int32), "TIFF", 1000, [0, 0, 128, 255]),
        (
            np.array([[-1, 0, 0.5, 1, np.nan, np.inf]], np.float32),
            "TIFF",
            1,
            [0, 0, 128, 255, 0, 255],
        ),
    ],
    ids=["16 bits", "big endian", "a mask", "8 bits", "signed", "float"],
)
def test_the_white_level_becomes_white(make, image, kind, white, wanted):
    dataset = make({f"a.{kind.lower()}": encoded(Image.fromarray(image), kind)}, white_level=white)
    samples = dataset.read()
    assert samples.stored.tolist() == [[[wanted]]]
    colour = dataset.model_copy(update={"image_channels": 3}).read()
    assert colour.stored.tolist() == [[[wanted]] * 3]


def test_the_white_level_spares_transparency(make):
    contents = {
        "a.png": plain((1, 0, 1, 255), mode="RGBA"),
        "b.png": plain((1, 0, 1, 0), mode="RGBA"),
        "c.png": plain((0, 1), mode="LA"),
    }
    samples = make(contents, white_level=1, image_channels=4).read()
    assert levels(samples) == [[255, 0, 255, 255], [255, 0, 255, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("image", "options", "wanted"),
    [
        (np.array([[7, 4095]], np.uint16), {}, (16, "4,095 of 65,535", "4,095", "4095")),
        (np.array([[7, 3000]], np.uint16), {}, (16, "3,000 of 65,535", "4,095", "4095")),
        (np.array([[0, 1]], np.uint8), {}, (8, "1 of 255", "1", "1")),
        (np.array([[[0, 1, 127]]], np.uint8), {}, (8, "127 of 255", "127", "127")),
        (
            np.array([[7, 400]], np.uint16),
            {"white_level": 1000},
            (16, "400 of 1,000", "511", "511"),
        ),
    ],
)
def test_a_range_that_is_hardly_used_is_said(make, image, options, wanted):
    bits, value, likely, option = wanted
    dark = make({"a.png": encoded(Image.fromarray(image)), "b.png": b"text"}, **options)
    assert dark.read().notes == (
        f"the brightest value of all {bits}-bit images is {value}, so training would see dark "
        f"images; if {likely} is their white, add --set data.white_level={option}",
    )


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (np.array([[7, 32_768]], np.uint16), {}),
        (np.array([[7, 128]], np.uint8), {}),
        (np.array([[7, 4095]], np.uint16), {"white_level": 4095}),
        (np.array([[0, 1]], np.uint8), {"white_level": 1}),
    ],
)
def test_a_range_that_is_used_is_not_mentioned(make, image, options):
    assert make({"a.png": encoded(Image.fromarray(image))}, **options).read().notes == ()


def test_one_bright_image_makes_a_range_used(make):
    contents = {
        "a.png": plain(1, mode="L"),
        "b.png": plain((0, 200, 0)),
        "c.png": plain(2, mode="L"),
    }
    assert make(contents).read().notes == ()


def test_what_exceeds_the_white_level_is_said(make):
    (note,) = make({"a.png": plain(20, mode="L")}, white_level=10).read().notes
    assert note == (
        "the brightest value of all 8-bit images is 20: what exceeds data.white_level=10 "
        "becomes white"
    )


def test_hidden_colours_do_not_count_as_bright(make):
    (note,) = make({"a.png": plain((1, 1, 1, 255), mode="RGBA")}).read().notes
    assert "is 1 of 255" in note


def test_black_images_are_said(make):
    (note,) = make({"a.png": plain((0, 0, 0))}).read().notes
    assert note == "the brightest value of all 8-bit images is 0: they are black"


def palette_image():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    return image


def test_palettes_are_looked_up(make):
    samples = make({"a.png": encoded(palette_image())}).read()
    assert samples.stored[0, :, 0].T.tolist() == [[255, 0, 0], [0, 0, 255]]


def test_cmyk(make):
    samples = make({"a.jpg": plain((0, 255, 255, 0), (16, 16), "CMYK", "JPEG", quality=95)}).read()
    assert samples.spec.shape == (3, 16, 16)
    red = torch.tensor([255, 0, 0]).view(3, 1, 1)
    assert (samples.stored[0].int() - red).abs().max() <= 3


TRANSPARENT = {
    "RGBA": (plain((10, 20, 30, 0), mode="RGBA"), [255, 255, 255]),
    "LA": (plain((10, 0), mode="LA"), [255]),
    "half": (plain((10, 20, 30, 127), mode="RGBA"), [133, 138, 143]),
    "grey level": (plain(10, mode="L", transparency=10), [255]),
    "colour": (plain((1, 2, 3), transparency=(1, 2, 3)), [255, 255, 255]),
    "palette": (encoded(palette_image(), transparency=0), [255, 255, 255]),
    "palette alphas": (encoded(palette_image(), transparency=b"\0\xff"), [255, 255, 255]),
    "GIF": (encoded(palette_image(), "GIF", transparency=0), [255, 255, 255]),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_transparency_shows_white(make, name):
    data, wanted = TRANSPARENT[name]
    (shown,) = levels(make({"a.gif" if name == "GIF" else "a.png": data}).read())
    assert shown == pytest.approx(wanted, abs=1)


def test_what_is_opaque_beside_transparency_stays(make):
    samples = make({"a.png": encoded(palette_image(), transparency=0)}).read()
    assert samples.stored[0, :, 0, 1].tolist() == [0, 0, 255]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_orientation_is_applied(make, kind):
    image = Image.new("L", (32, 16), 0)
    image.paste(255, (16, 0, 32, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown a quarter turn clockwise: what is left goes to the top
    data = encoded(image, kind, exif=exif)
    (stored,) = make({f"a.{kind.lower()}": data}).read().stored.int()
    assert stored.shape == (1, 32, 16)
    assert stored[:, :16].max() <= 2
    assert stored[:, 16:].min() >= 253


def test_the_first_frame_of_an_animation_counts(make):
    first, second = Image.new("RGB", (4, 4), (255, 0, 0)), Image.new("RGB", (4, 4), (0, 0, 255))
    data = encoded(first, "GIF", save_all=True, append_images=[second], duration=100)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    samples = make({"a.gif": data}).read()
    assert levels(samples) == [[255, 0, 0]]


# What is mirrored


def test_images_are_mirrored_when_asked(make, tmp_path):
    dataset = make({"a.png": plain((1, 2, 3))})
    assert dataset.read().flip is False
    assert dataset.model_copy(update={"flip": True}).read().flip is True
    both = {"a": dataset.path, "b": dataset.path}
    assert open_dataset("domains", **both).flip is False
    assert open_dataset("domains", **both, flip="true").flip is True


# Sizes


@pytest.mark.parametrize(
    ("sides", "chosen"),
    [([(6, 4), (4, 4), (4, 8)], 32), ([(300, 90), (63, 40), (20, 20)], 32), ([(200, 90)] * 4, 64)],
    ids=["tiny", "median", "large"],
)
def test_images_of_differing_sizes_get_a_common_one(make, sides, chosen):
    sizes = [*sides, (400, 130)]
    dataset = make({f"{i}.png": plain((200, i, 0), size=size) for i, size in enumerate(sizes)})
    samples = dataset.read()
    assert samples.spec.shape == (3, chosen, chosen)
    assert samples.chosen_options == {"image_size": [chosen, chosen]}
    (note,) = samples.notes
    assert "130 x 400, and are resized to" in note
    assert note.endswith(f"{chosen} x {chosen}; choose another size with --image-size")
    asked = dataset.model_copy(update={"image_size": (chosen, chosen)}).read()
    assert asked.fingerprint == samples.fingerprint
    assert (asked.notes, asked.chosen_options) == ((), {})


def test_images_of_one_size_keep_it_whatever_it_is(make):
    samples = make({f"{i}.png": plain((200, i, 0), size=(90, 7)) for i in range(2)}).read()
    assert samples.spec.shape == (3, 7, 90)
    assert (samples.notes, samples.chosen_options) == ((), {})


def test_a_common_size_is_that_of_images_as_they_are_shown(make):
    turned = Image.Exif()
    turned[0x112] = 6
    upright = encoded(Image.new("RGB", (40, 70), "white"), "JPEG")
    same = encoded(Image.new("RGB", (70, 40), "white"), "JPEG", exif=turned)
    dataset = make({"a.jpg": upright, "b.jpg": same, "c.png": plain((200, 2, 3), size=(70, 40))})
    assert "such as 40 x 70 and 70 x 40" in dataset.read().notes[0]
    with dataset.open_source() as source:
        source.find_files()
        found = find_common_size(source, dataset.shaping)
    assert (found.smallest, found.largest, found.side) == ((40, 70), (70, 40), 32)


def test_photographs_that_are_heic_are_told_apart(make):
    heic = b"\0\0\0\x18ftypheic" + bytes(40)
    samples = make({"a.png": plain((1, 2, 3)), "b.jpg": heic, "c.HEIC": heic}).read()
    assert samples.skipped == ("b.jpg: it is HEIC, whatever its name: convert it to JPEG or PNG",)
    assert samples.notes[0].endswith("such as c.HEIC; convert .heic to JPEG or PNG to train on it")


def framed(width, height, left, top):
    """Encode a green image with red bands on two opposite sides."""
    image = Image.new("RGB", (width, height), (255, 0, 0))
    image.paste((0, 255, 0), (left, top, width - left, height - top))
    return encoded(image)


@pytest.mark.parametrize(
    ("size", "wanted", "images"),
    [
        ("20", (20, 20), [framed(40, 20, 10, 0), framed(20, 60, 0, 20)]),
        (16, (16, 16), [framed(80, 32, 24, 0), framed(10, 30, 0, 10)]),
        ("48x64", (48, 64), [framed(80, 30, 20, 0), framed(40, 90, 0, 30)]),
        ((64, 48), (64, 48), [framed(90, 40, 30, 0), framed(30, 80, 0, 20)]),
    ],
)
def test_images_are_cut_around_the_centre_not_stretched(make, size, wanted, images):
    dataset = make({f"{i}.png": data for i, data in enumerate(images)}, image_size=size)
    samples = dataset.read()
    assert samples.spec.shape == (3, *wanted)
    green = torch.tensor([0, 255, 0], dtype=torch.uint8).view(1, 3, 1, 1)
    assert torch.equal(samples.stored, green.expand(2, 3, *wanted))


def test_the_whole_of_the_cut_is_shown(make):
    image = Image.new("L", (24, 8), 90)
    image.paste(0, (8, 0, 12, 8))
    image.paste(255, (12, 0, 16, 8))
    samples = make({"a.png": encoded(image)}, image_size=8).read()
    assert samples.stored.tolist() == [[[[0] * 4 + [255] * 4] * 8]]


def test_extreme_shapes_are_cut_too(make):
    contents = {"a.png": plain((9, 9, 9), (300, 1)), "b.png": plain((9, 9, 9), (1, 300))}
    samples = make(contents, image_size="4x2").read()
    assert samples.stored.shape == (2, 3, 4, 2)
    assert samples.stored.unique().tolist() == [9]


# By which dataset a path is read


@pytest.fixture
def here(tmp_path):
    """Images in the working folder, as ``images`` and as ``images.zip``."""
    fill(tmp_path / "images", {"a.png": plain((1, 2, 3))})
    shutil.make_archive(str(tmp_path / "images"), "zip", tmp_path / "images")
    return tmp_path


@pytest.mark.parametrize("given", ["images", "./images", "images/", "../{name}/images", "{path}"])
def test_a_folder_is_read_by_folder(here, given):
    given = given.format(name=here.name, path=here / "images")
    choice = choose_data(given, {})
    assert (choice.name, choice.package) == ("folder", "ganzoo")
    assert choice.options["path"] == str((here / "images").resolve())
    assert levels(open_dataset(given)) == [[1, 2, 3]]


@pytest.mark.parametrize("given", ["images.zip", "./images.zip", "IMAGES.ZIP"])
def test_a_zip_is_read_by_zip(here, given):
    if not Path(given).exists():
        os.rename("images.zip", given)
    choice = choose_data(given, {})
    assert choice.name == "zip"
    assert choice.options["path"] == str((here / given).resolve())
    assert levels(open_dataset(given)) == [[1, 2, 3]]


def test_the_home_folder_is_known(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("USERPROFILE", str(here))
    assert choose_data("~/images", {}).options["path"] == str((here / "images").resolve())


def test_options_of_a_path(here):
    choice = choose_data("images", {"image_size": "8x6", "image_channels": "1"})
    assert choice.options["image_size"] == [8, 6]
    assert choice.options["image_channels"] == 1
    assert open_dataset("images", image_size="8x6", image_channels=1).spec.shape == (1, 8, 6)


def test_relative_paths_are_kept_whole(here, monkeypatch):
    dataset = ImageFolder(path="images")
    monkeypatch.chdir(here / "images")
    assert dataset.path == str((here / "images").resolve())
    assert len(dataset.read()) == 1


@pytest.mark.parametrize("name", ["images.tar", "notes.txt", "plain"])
def test_a_file_that_nothing_reads(here, name):
    (here / name).write_bytes(b"text")
    with pytest.raises(InputError) as caught:
        choose_data(name, {})
    assert str(caught.value) == (
        f"no installed dataset reads {name}: give a folder or a zip of images"
    )


@pytest.mark.parametrize("given", ["missing.zip", "./a/b", "missing/images"])
def test_a_path_to_nothing(given):
    with pytest.raises(InputError) as caught:
        choose_data(given, {})
    assert str(caught.value) == f"there is no folder or file {given}; give a path or a name"


def test_a_misspelt_name_gets_the_nearest():
    with pytest.raises(InputError) as caught:
        choose_data("digts", {})
    assert str(caught.value) == "no dataset is called 'digts'; did you mean 'digits'?"


def test_an_unknown_name_gets_the_list():
    with pytest.raises(InputError, match=r"no dataset is called 'qqqq'; installed: .*digits.*zip"):
        choose_data("qqqq", {})


def test_an_installed_name_wins_over_a_folder(here):
    shutil.copytree(here / "images", here / "digits")
    assert choose_data("digits", {}).name == "digits"
    assert choose_data("ganzoo:digits", {}).name == "digits"
    assert len(open_dataset("digits")) == 1797
    assert choose_data("./digits", {}).name == "folder"
    assert levels(open_dataset("./digits")) == [[1, 2, 3]]


@pytest.mark.parametrize("name", ["folder", "zip"])
def test_a_reader_by_name_needs_a_path(here, name):
    with pytest.raises(InputError, match=r"option 'data\.path': field required"):
        choose_data(name, {})
    path = "images" if name == "folder" else "images.zip"
    assert levels(open_dataset(name, path=path)) == [[1, 2, 3]]
