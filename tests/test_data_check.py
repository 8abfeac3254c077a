"""``ganzoo data check``: what a training would read, and what is doubtful about it."""

import io
import json
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from ganzoo import open_dataset
from ganzoo_zoo.apps.data_check import duplicates
from ganzoo_zoo.apps.data_check.duplicates import compute_signature, group_equal
from ganzoo_zoo.apps.data_check.survey import survey


def scene(number, size=(48, 40), mode="RGB"):
    """Paint an image of smooth shapes, as photographs have them."""
    rng = np.random.default_rng(number)
    small = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


CONTENTS = {
    **{f"cats/{i}.png": encoded(scene(i)) for i in range(12)},
    "cats/same.png": encoded(scene(3)),
    "cats/broken.png": b"text",
    "dogs/also.bmp": encoded(scene(5), "BMP"),
    "dogs/alike.jpg": encoded(scene(7), "JPEG", quality=60),
    "dogs/large.png": encoded(scene(70, (96, 90), "L")),
    "dogs/small.png": encoded(scene(80, (10, 20), "P")),
}


@pytest.fixture(params=["folder", "zip"])
def images(request, tmp_path):
    """The path of a set with every doubtful thing in it."""
    if request.param == "zip":
        with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
            for name, data in CONTENTS.items():
                archive.writestr(name, data)
        return tmp_path / "pets.zip"
    for name, data in CONTENTS.items():
        file = tmp_path / "pets" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return tmp_path / "pets"


def checked(ganzoo_cli, *arguments):
    result = ganzoo_cli("data", "check", *arguments, "--json")
    assert result.code == 0, result
    return json.loads(result.out)


def test_all_is_found(images, ganzoo_cli):
    found = checked(ganzoo_cli, images)
    assert found["data"] == str(images)
    assert found["samples"] == 17
    assert found["shape"] == [3, 32, 32]
    assert found["sizes"] == {"20x10": 1, "40x48": 15, "90x96": 1}
    assert found["formats"] == {"PNG": 15, "BMP": 1, "JPEG": 1}
    assert found["modes"] == {"RGB": 15, "L": 1, "P": 1}
    assert found["classes"] == {"cats": 13, "dogs": 4}
    assert found["broken"] == ["cats/broken.png: it is not an image of a known format"]
    assert sorted(found["copies"]) == [
        ["cats/3.png", "cats/same.png"],
        ["cats/5.png", "dogs/also.bmp"],
    ]
    assert found["near_copies"] == [["cats/7.png", "dogs/alike.jpg"]]
    assert found["findings"] == [
        "1 of 18 cannot be read",
        "1 are smaller than 32 x 32, and are enlarged",
        "copies of others: 2, such as cats/3.png and cats/same.png; groups that lie in several "
        "classes: 1",
        "near-copies of others: 1, such as cats/7.png and dogs/alike.jpg; groups that lie in "
        "several classes: 1",
        "the images differ in size, such as 20 x 10 and 90 x 96, and are resized to 32 x 32; "
        "choose another size with --image-size",
    ]
    assert found["sheet"] is None
    assert not Path("cache").exists()


def test_with_a_size_it_is_what_a_training_would_get(images, ganzoo_cli):
    found = checked(ganzoo_cli, images, "--image-size", "16x24")
    samples = open_dataset(str(images), image_size="16x24")
    assert found["shape"] == list(samples.spec.shape)
    assert found["samples"] == len(samples)
    assert found["bytes"] == samples.stored.nbytes
    assert found["streamed"] is False
    assert "1 are smaller than 16 x 24, and are enlarged" in found["findings"]
    assert not any("differ in size" in line for line in found["findings"])
    more = checked(ganzoo_cli, images, "--image-size", 8, "--set", "data.image_channels=4")
    assert more["shape"] == [4, 8, 8]


def test_what_memory_cannot_hold_is_said(images, ganzoo_cli, monkeypatch):
    monkeypatch.setenv("GANZOO_MEMORY", "1e-6")
    assert checked(ganzoo_cli, images, "--image-size", 32)["streamed"]
    shown = ganzoo_cli("data", "check", images, "--image-size", 32)
    assert "on disk, too large for memory" in shown.out


def test_it_is_printed_for_people(images, ganzoo_cli):
    result = ganzoo_cli("data", "check", images)
    assert result.code == 0
    lines = [line.split(maxsplit=1) for line in result.out.splitlines()]
    assert ["samples", "17"] in lines
    assert ["sizes", "3, from 20x10 to 90x96, most often 40x48 (15)"] in lines
    assert ["formats", "PNG 15, JPEG 1, BMP 1"] in lines
    assert ["classes", "2: cats 13, dogs 4"] in lines
    assert ["broken", "cats/broken.png: it is not an image of a known format"] in lines
    assert ["copies", "cats/3.png, cats/same.png"] in lines
    assert ["alike", "cats/7.png, dogs/alike.jpg"] in lines
    assert [word for word, _ in lines].count("note") == 5
    assert result.err.strip() == "--out FILE.png writes a contact sheet"


def test_a_set_without_doubts(tmp_path, ganzoo_cli):
    (tmp_path / "a").mkdir()
    for i in range(3):
        scene(i).save(tmp_path / "a" / f"{i}.png")
    result = ganzoo_cli("data", "check", "a")
    assert "note        no problems found" in result.out
    assert "shape       3 x 40 x 48" in result.out


def test_classes_of_unequal_size_are_said(tmp_path, ganzoo_cli):
    for i in range(12):
        file = tmp_path / "set" / ("few" if i == 0 else "many") / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        scene(i).save(file)
    found = checked(ganzoo_cli, "set")
    assert found["findings"] == ["the largest class has 11, the smallest 1"]


def test_the_layout_and_what_is_left_out_are_said(tmp_path, ganzoo_cli):
    for split in ("train", "test"):
        for i, kind in enumerate(("cats", "dogs")):
            (tmp_path / "set" / split / kind).mkdir(parents=True)
            scene(10 * len(split) + i).save(tmp_path / "set" / split / kind / "1.png")
    (tmp_path / "set" / "train" / "notes").write_text("text")
    found = checked(ganzoo_cli, "set")
    assert found["classes"] == {"cats": 1, "dogs": 1}
    assert found["findings"] == [
        "set has the splits test and train: train is read; choose another with data.split, or all",
        "left out 1 file in set whose name does not end as that of an image (no suffix 1), such as "
        "train/notes",
    ]
    every = checked(ganzoo_cli, "set", "--set", "data.split=all", "--out", "sheet.png")
    assert every["classes"] == {"cats": 2, "dogs": 2}
    assert every["findings"] == found["findings"][1:]


def test_a_range_that_is_hardly_used_is_said(tmp_path, ganzoo_cli):
    (tmp_path / "ct").mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 4096, (8, 8)).astype(np.uint16)
        pixels[0, 0] = 4095
        Image.fromarray(pixels).save(tmp_path / "ct" / f"{i}.png")
    (finding,) = checked(ganzoo_cli, "ct")["findings"]
    assert finding.startswith("the brightest value of all 16-bit images is 4,095 of 65,535")
    option = finding.rpartition(" --set ")[2]
    assert checked(ganzoo_cli, "ct", "--set", option)["findings"] == []


# The contact sheet


def test_a_sheet_has_a_row_for_each_class(images, ganzoo_cli):
    result = ganzoo_cli("data", "check", images, "--image-size", 64, "--out", "new/sheet.png")
    assert result.code == 0, result
    sheet = np.array(Image.open("new/sheet.png"))
    assert sheet.shape == (2 * 66 + 2, 10 * 66 + 2, 3)
    samples = open_dataset(str(images), image_size=64)
    tile = sheet[2:66, 2:66]
    assert np.array_equal(tile, samples.stored[0].permute(1, 2, 0).numpy())
    dog = samples.stored[samples.labels == 1][3].permute(1, 2, 0).numpy()
    assert np.array_equal(sheet[68:132, 2 + 3 * 66 : 66 + 3 * 66], dog)
    assert (sheet[68:132, 2 + 4 * 66 :] == 255).all()


def test_a_sheet_is_never_replaced_unasked(images, ganzoo_cli, refused):
    Path("sheet.png").write_bytes(b"mine")
    message = refused("data", "check", images, "--out", "sheet.png")
    assert message == ("Error: sheet.png already exists; choose another --out, or add --force")
    assert Path("sheet.png").read_bytes() == b"mine"
    found = checked(ganzoo_cli, images, "--out", "sheet.png", "--force")
    assert found["sheet"] == "sheet.png"
    with Image.open("sheet.png") as sheet:
        assert sheet.format == "PNG"
    assert "the contact sheet must be a .png" in refused(
        "data", "check", images, "--out", "sheet.jpg"
    )


def test_a_sheet_is_spread_over_many_classes():
    from ganzoo_zoo.apps.data_check.survey import _choose_rows

    labels = torch.arange(1000).repeat(3)
    rows = _choose_rows(labels, len(labels))
    assert [len(row) for row in rows] == [10] * 8
    assert len({int(labels[place]) for row in rows for place in row}) == 80
    assert _choose_rows(None, 7) == [[0, 1, 2, 3, 4, 5, 6]]
    assert _choose_rows(torch.tensor([1, 0, 1]), 3) == [[1], [0, 2]]


# Other kinds of data


def test_a_set_by_name(ganzoo_cli):
    found = checked(ganzoo_cli, "digits", "--image-size", 16, "--out", "sheet.png")
    assert found["samples"] == 1797
    assert found["shape"] == [1, 16, 16]
    assert found["sizes"] == {"16x16": 1797}
    assert found["classes"]["3"] == 183
    assert found["formats"] == {}
    assert found["copies"] == []
    assert np.array(Image.open("sheet.png")).ndim == 2


def test_points(ganzoo_cli):
    found = checked(ganzoo_cli, "ring", "--set", "data.samples=200", "--out", "sheet.png")
    assert found["samples"] == 200
    assert found["shape"] == [2]
    assert found["classes"] is None
    assert found["sizes"] == {}
    assert found["findings"] == []
    assert np.array(Image.open("sheet.png")).shape == (640, 640, 3)


def test_domains(tmp_path, ganzoo_cli):
    for name, number in (("day", 1), ("night", 2)):
        (tmp_path / name).mkdir()
        scene(number).save(tmp_path / name / "1.png")
    paths = ["--set", "data.a=day", "--set", "data.b=night"]
    assert checked(ganzoo_cli, "domains", *paths)["classes"] == {"day": 1, "night": 1}


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4)])
def test_images_of_every_kind_are_read_mirrored_and_sampled(tmp_path, ganzoo_cli, mode, channels):
    (tmp_path / "set").mkdir()
    for i in range(5):
        scene(i, (24, 16), mode).save(tmp_path / "set" / f"{i}.png")
    options = ["--set", f"data.image_channels={channels}"]
    assert checked(ganzoo_cli, "set", *options)["shape"] == [channels, 16, 24]
    small = ["--set", "arch.base_channels=4", "--steps", 1, "--batch-size", 4, "--device", "cpu"]
    chosen = [*options, "--set", "data.flip=true", *small, "--out", "run"]
    result = ganzoo_cli("train", "dcgan", "--data", "set", *chosen)
    assert result.code == 0, result
    result = ganzoo_cli("sample", "run", "-n", 1, "--out", "drawn", "--device", "cpu")
    assert result.code == 0, result
    (file,) = Path("drawn").rglob("*.png")
    with Image.open(file) as image:
        assert (image.size, image.mode) == ((24, 16), mode)


# What cannot be looked at


def test_what_cannot_be_read_is_refused(tmp_path, refused):
    assert "there is no folder or file ./nothing" in refused("data", "check", "./nothing")
    (tmp_path / "empty").mkdir()
    assert "there are no images in" in refused("data", "check", "empty")
    (tmp_path / "empty" / "a.png").write_bytes(b"text")
    assert "none of the 1 images in" in refused("data", "check", "empty")
    assert "did you mean 'digits'" in refused("data", "check", "digts")
    assert "unknown option 'data.image_size'" in refused("data", "check", "ring", "--image-size", 8)
    said = refused("data", "check", "digits", "--set", "train.steps=3")
    assert said == "Error: --set train.steps: only options that begin with data. can be set here"
    assert "Missing command" in refused("data")


# Near-duplicates


def near_duplicates(gists):
    hashes = np.array([each.hash for each in gists], np.uint64)
    small = np.frombuffer(b"".join(each.small for each in gists), np.uint8)
    return duplicates.group_near_duplicates(hashes, small.reshape(len(gists), duplicates.SIDE**2))


def variants(image):
    width, height = image.size
    yield image.resize((width // 2, height // 2), Image.Resampling.BICUBIC)
    yield Image.open(io.BytesIO(encoded(image, "JPEG", quality=40)))
    yield ImageEnhance.Brightness(image).enhance(1.04)
    yield ImageEnhance.Contrast(image).enhance(0.95)


def test_variants_of_an_image_are_alike_and_others_are_not():
    scenes = [scene(i, (96, 64)) for i in range(60)]
    every = [variant for one in scenes for variant in (one, *variants(one))]
    found = near_duplicates([compute_signature(image) for image in every])
    assert sorted(found) == [list(range(5 * i, 5 * i + 5)) for i in range(60)]


def test_plain_images_of_other_levels_are_not_alike():
    levels = (0, 8, 100, 104, 180, 255)
    plain = [compute_signature(Image.new("RGB", (9, 9), (level,) * 3)) for level in levels]
    assert near_duplicates(plain) == [[0, 1], [2, 3]]


def test_all_pairs_of_near_hashes_are_compared():
    rng = np.random.default_rng(0)
    small = bytes(duplicates.SIDE**2)
    hashes = [int(each) for each in rng.integers(0, 2**64, 300, dtype=np.uint64)]
    near, far = [], []
    for at, each in enumerate(hashes[:100]):
        bits = rng.choice(64, duplicates.DISTANCE + 1, replace=False).tolist()
        flipped = sum(1 << bit for bit in bits[: at % (duplicates.DISTANCE + 1)])
        near.append(each ^ flipped)
        far.append(hashes[100 + at] ^ sum(1 << bit for bit in bits))
    gists = [duplicates.Signature(each, small) for each in (*hashes, *near, *far)]
    assert sorted(near_duplicates(gists)) == [[at, 300 + at] for at in range(100)]
    assert near_duplicates(gists[:1]) == near_duplicates([]) == []


def test_groups_are_joined_and_sorted():
    assert group_equal("abcabab") == [[0, 3, 5], [1, 4, 6]]
    steps = [Image.new("L", (9, 9), level) for level in (0, 10, 20, 30, 200)]
    assert near_duplicates([compute_signature(image) for image in steps]) == [[0, 1, 2, 3]]


def test_many_images_take_seconds():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 20_000, dtype=np.uint64)
    hashes[:5000] = 0  # as drawings on an empty ground have
    small = rng.integers(0, 256, (20_000, duplicates.SIDE**2), dtype=np.uint8)
    gists = [
        duplicates.Signature(int(each), row.tobytes())
        for each, row in zip(hashes, small, strict=True)
    ]
    began = time.monotonic()
    assert near_duplicates(gists) == []
    assert time.monotonic() - began < 60


def test_only_what_is_asked_for_is_drawn():
    from ganzoo import registry

    digits = registry.get(registry.DATASET, "digits")(image_size=(8, 8))
    assert survey(digits)[1] is None
