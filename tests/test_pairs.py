"""Pairs of images: two in each file, or a source of the same name elsewhere."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo import open_dataset
from ganzoo.errors import InputError
from ganzoo.storage.mapped_array import MappedArray
from ganzoo.testing import dataset_checks
from ganzoo.training.batch_order import BatchOrder
from ganzoo.training.batches import BatchLoader
from ganzoo_zoo.data import reading
from ganzoo_zoo.data.files import ImageFolder, ImageZip
from ganzoo_zoo.data.pairs import match_names
from tiny import TINY

CPU = torch.device("cpu")


def draw(file, number, size=(8, 8), mode="RGB"):
    """Write an image whose pixels are of its number."""
    file.parent.mkdir(parents=True, exist_ok=True)
    colour = number if mode == "L" else (number, 0, 255 - number)
    Image.new(mode, size, colour).save(file)


def side_by_side(root, names=("a.png", "b.png", "c.png"), width=8):
    """Write files whose left half is dark, whose right half is light, both of their number."""
    for i, name in enumerate(names):
        pixels = np.full((8, 2 * width, 3), 10 + i, np.uint8)
        pixels[:, width:] += 200
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    return root


def levels(stored):
    return stored[:, 0].flatten(1).float().mean(1).tolist()


def zipped(folder):
    return Path(shutil.make_archive(str(folder), "zip", folder))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("way", "first"), [("left-to-right", 210), ("right-to-left", 10)])
def test_each_file_holds_a_source_and_what_is_made_of_it(tmp_path, way, first, packed):
    path = side_by_side(tmp_path / "pairs")
    samples = open_dataset(str(zipped(path) if packed else path), pairs=way)
    assert samples.spec.shape == samples.spec.source == (3, 8, 8)
    other = 220 - first
    assert levels(samples.stored) == [first, first + 1, first + 2]
    assert levels(samples.sources) == [other, other + 1, other + 2]
    assert list(samples.names) == ["a.png", "b.png", "c.png"]
    assert not samples.notes


def test_each_half_is_cropped_and_resized_on_its_own(tmp_path):
    path = side_by_side(tmp_path / "pairs", width=9)
    samples = open_dataset(str(path), pairs="left-to-right", image_size=(4, 4), source_channels=1)
    assert samples.spec.shape == (3, 4, 4)
    assert samples.spec.source == (1, 4, 4)
    assert levels(samples.sources) == [10, 11, 12]
    assert levels(samples.stored) == [210, 211, 212], "nothing of the other half"


def test_a_column_in_the_middle_is_in_neither_half(tmp_path):
    pixels = np.zeros((4, 9, 3), np.uint8)
    pixels[:, 5:] = 200
    pixels[:, 4] = 90
    Image.fromarray(pixels).save(tmp_path / "a.png")
    samples = open_dataset(str(tmp_path), pairs="left-to-right")
    assert samples.spec.shape == samples.spec.source == (3, 4, 4)
    assert samples.stored.unique().tolist() == [200]
    assert samples.sources.unique().tolist() == [0]


def two_folders(root, suffix=".jpg"):
    for i, name in enumerate(("x", "y", "z")):
        draw(root / "photos" / f"{name}.png", 10 * i)
        draw(root / "outlines" / f"{name}{suffix}", 150 + 10 * i, mode="L")
    return str(root / "photos"), str(root / "outlines")


@pytest.mark.parametrize("packed", [False, True])
def test_sources_have_the_names_of_their_images(tmp_path, packed):
    photos, outlines = two_folders(tmp_path)
    if packed:
        outlines = str(zipped(Path(outlines)))
    samples = open_dataset(photos, sources=outlines)
    assert samples.spec.source == (1, 8, 8)
    assert levels(samples.stored) == [0, 10, 20]
    assert levels(samples.sources) == [150, 160, 170]
    assert open_dataset(photos, sources=outlines, source_channels=3).spec.source == (3, 8, 8)


def test_images_without_a_source_are_left_out_and_named(tmp_path):
    photos, outlines = two_folders(tmp_path)
    (tmp_path / "outlines" / "y.jpg").rename(tmp_path / "outlines" / "other.jpg")
    samples = open_dataset(photos, sources=outlines)
    assert list(samples.names) == ["x.png", "z.png"]
    assert levels(samples.sources) == [150, 170]
    assert samples.notes == (
        f"left out 1 images without a source in {outlines}, such as y.png",
        f"1 files in {outlines} are the source of no image",
    )


def test_images_none_of_which_has_a_source_are_refused(tmp_path):
    photos, outlines = two_folders(tmp_path)
    for file in (tmp_path / "outlines").iterdir():
        file.rename(file.with_name(f"edges of {file.name}"))
    with pytest.raises(InputError, match=r"has the name of an image in .*such as x\.png"):
        open_dataset(photos, sources=outlines)
    with pytest.raises(InputError, match="nowhere is missing"):
        open_dataset(photos, sources=str(tmp_path / "nowhere"))


def test_pairs_of_which_one_image_cannot_be_read_are_skipped(tmp_path):
    photos, outlines = two_folders(tmp_path, suffix=".png")
    (tmp_path / "outlines" / "x.png").write_text("no image")
    (tmp_path / "photos" / "z.png").write_text("no image")
    samples = open_dataset(photos, sources=outlines)
    assert list(samples.names) == ["y.png"]
    assert levels(samples.sources) == [160]
    assert [what.partition(":")[0] for what in samples.skipped] == ["z.png", f"{outlines}/x.png"]


def test_splits_and_classes_are_those_of_the_images(tmp_path):
    for split in ("train", "val"):
        for i, kind in enumerate(("cats", "dogs")):
            draw(tmp_path / "photos" / split / kind / "1.png", i)
            draw(tmp_path / "outlines" / split / kind / "1.png", 100 + i, mode="L")
    given = str(tmp_path / "photos"), str(tmp_path / "outlines")
    samples = open_dataset(given[0], sources=given[1], split="val")
    assert samples.split == "val"
    assert samples.spec.class_names == ("cats", "dogs")
    assert samples.labels.tolist() == [0, 1]
    assert levels(samples.sources) == [100, 101]
    assert len(open_dataset(given[0], sources=given[1], split="all")) == 4
    flat = open_dataset(str(tmp_path / "photos" / "val"), sources=str(tmp_path / "outlines"))
    assert levels(flat.sources) == [100, 101], "names within what holds all"


def test_names_match_within_the_folders_or_within_what_holds_all():
    assert match_names(["a/1.png", "b/1.png"], ["a/1.jpg", "b/1.jpg"]).tolist() == [0, 1]
    assert match_names(["1.png", "2.png"], ["in/1.jpg", "in/2.jpg", "in/3.jpg"]).tolist() == [0, 1]
    assert match_names(["t/1.png", "t/2.png"], ["2.png"]).tolist() == [-1, 0]
    assert match_names(["1.png"], ["1.jpg", "1.png"]).tolist() == [1], "the same suffix first"
    assert match_names(["1.tar.png", ".hidden"], ["1.tar.jpg"]).tolist() == [0, -1]
    assert match_names(["1.png"], []).tolist() == [-1]


def test_the_fingerprint_knows_the_sources_however_they_are_read(tmp_path, monkeypatch):
    photos, outlines = two_folders(tmp_path, suffix=".png")
    before = open_dataset(photos, sources=outlines)
    assert before.fingerprint == replace(before, content=None).fingerprint
    assert before.fingerprint != open_dataset(photos).fingerprint
    monkeypatch.setattr(reading, "KEPT_IMAGES", 0)
    cached = [open_dataset(photos, sources=outlines) for _ in range(2)]
    assert {each.fingerprint for each in cached} == {before.fingerprint}
    draw(tmp_path / "outlines" / "y.png", 200, mode="L")
    after = open_dataset(photos, sources=outlines)
    assert after.fingerprint != before.fingerprint
    assert levels(after.sources) == [150, 200, 170]


def test_halves_are_cached_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "KEPT_IMAGES", 0)
    path = str(side_by_side(tmp_path / "pairs"))
    for _ in range(2):
        for way in ("left-to-right", "right-to-left"):
            samples = open_dataset(path, pairs=way)
            assert levels(samples.stored)[0] == (210 if way == "left-to-right" else 10)
        assert open_dataset(path).spec.shape == (3, 8, 16)


@pytest.mark.parametrize("way", ["pairs", "sources"])
def test_large_sets_stay_on_the_disk_with_their_sources(tmp_path, monkeypatch, way):
    names = [f"{i:02}.png" for i in range(12)]
    if way == "pairs":
        path, options = str(side_by_side(tmp_path / "pairs", names)), {"pairs": "left-to-right"}
    else:
        for i, name in enumerate(names):
            draw(tmp_path / "photos" / name, 110 + i)
            draw(tmp_path / "outlines" / name, 10 + i)
        path, options = str(tmp_path / "photos"), {"sources": str(tmp_path / "outlines")}
    whole = open_dataset(path, flip=True, **options)
    monkeypatch.setattr(reading, "KEPT_IMAGES", 0)
    monkeypatch.setattr(reading, "_memory_share", lambda: 4)
    streamed = open_dataset(path, flip=True, **options)
    assert streamed.streamed
    assert isinstance(streamed.mapped_sources, MappedArray)
    assert streamed.fingerprint == whole.fingerprint
    order = BatchOrder(12, 8, seed=1)
    loaders = [BatchLoader(each, CPU, seed=1, with_sources=True) for each in (whole, streamed)]
    for number in range(3):
        ours, theirs = (each.batch(number, order) for each in loaders)
        assert torch.equal(ours.real, theirs.real)
        assert torch.equal(ours.sources, theirs.sources)
    chosen = torch.tensor([7, 2])
    assert torch.equal(streamed.subset(chosen).sources, whole.sources[chosen])
    assert streamed.to("cpu").mapped_sources is streamed.mapped_sources


@pytest.mark.parametrize("check", dataset_checks, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_pairs_pass_the_kit(kind, check, tmp_path):
    if kind == "folder":
        photos, outlines = two_folders(tmp_path)
        check(ImageFolder(path=photos, sources=outlines))
    else:
        path = zipped(side_by_side(tmp_path / "pairs"))
        check(ImageZip(path=str(path), pairs="right-to-left"))


def test_halves_and_files_of_their_own_exclude_each_other(tmp_path, refused):
    photos, outlines = two_folders(tmp_path)
    both = ("--set", "data.pairs=left-to-right", "--set", f"data.sources={outlines}")
    message = refused("train", "pix2pix", "--data", photos, *both, "--dry-run")
    assert "choose pairs or sources" in message


def test_a_training_without_sources_is_told_of_pairs(tmp_path, refused):
    path = side_by_side(tmp_path / "pairs")
    assert "data.pairs=left-to-right" in refused("train", "pix2pix", "--data", path, "--dry-run")


def test_data_check_notices_files_that_look_like_pairs(tmp_path, ganzoo_cli):
    path = side_by_side(tmp_path / "pairs")
    shown = ganzoo_cli("data", "check", path, "--image-size", "8").out
    assert "twice as wide as high" in shown
    draw(tmp_path / "pairs" / "c.png", 1, (12, 8))
    assert "twice as wide" not in ganzoo_cli("data", "check", path, "--image-size", "8").out


def test_data_check_looks_at_the_halves_and_tells_of_missing_sources(tmp_path, ganzoo_cli):
    path = side_by_side(tmp_path / "pairs")
    sheet = tmp_path / "sheet.png"
    asked = ("data", "check", path, "--set", "data.pairs=left-to-right", "--out", sheet)
    result = ganzoo_cli(*asked)
    assert result.code == 0, result
    assert "3 x 8 x 8" in result.out
    with Image.open(sheet) as image:
        assert image.getpixel((6, 6))[0] >= 210
    photos, outlines = two_folders(tmp_path)
    (tmp_path / "outlines" / "y.jpg").unlink()
    result = ganzoo_cli("data", "check", photos, "--set", f"data.sources={outlines}")
    assert "left out 1 images without a source" in result.out


def test_a_model_of_pairs_is_trained_judged_and_sampled(tmp_path, ganzoo_cli):
    photos, outlines = two_folders(tmp_path)
    settings = {"arch.base_channels": 2, "data.sources": outlines, "data.flip": True}
    run = ganzoo.train(
        "pix2pix", data=photos, settings=settings, out=tmp_path / "run", **{**TINY, "steps": 2}
    )
    result = ganzoo_cli("eval", run.path, "--metric", "psnr", "--metric", "source-psnr")
    assert result.code == 0, result
    again = ("--data", photos, "--set", f"data.sources={outlines}")
    assert ganzoo_cli("eval", run.path, "--metric", "psnr", *again).code == 0
    result = ganzoo_cli("sample", run.path, "--source", outlines, "--out", tmp_path / "out")
    assert result.code == 0, result
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"x.png", "y.png", "z.png"}
