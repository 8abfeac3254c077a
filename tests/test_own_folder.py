"""A folder of photographs of odd sizes and formats, from data check to the demo."""

import json
import shlex
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import ganzoo
from ganzoo import DataSpec, registry
from ganzoo.registry import ARCHITECTURE
from ganzoo_zoo.apps.data_check import advice
from ganzoo_zoo.apps.data_check.survey import Survey

SIZES = [(80, 60), (60, 80), (128, 96), (67, 51), (40, 30), (100, 100)]
COUNT = 60


def photograph(number):
    """Draw shapes with outlines on a textured ground."""
    rng = np.random.default_rng(number)
    width, height = SIZES[number % len(SIZES)]
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    ground = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float64)
    noisy = (ground + rng.normal(0, 15, (height, width, 1))).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(noisy)
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        x, y, radius = rng.integers(0, [width, height, 25]).tolist()
        box = [x - radius, y - radius, x + radius, y + radius]
        draw.ellipse(box, fill=tuple(rng.integers(0, 256, 3).tolist()), outline="black", width=2)
    return image


def save_as(kind, image, path):
    """Save an image in one of a dozen ways in which photographs come."""
    match kind:
        case "16-bit":
            deep = np.asarray(image.convert("L")).astype(np.uint16) * 257
            Image.fromarray(deep).save(f"{path}.png")
        case "rgba":
            image.putalpha(Image.linear_gradient("L").resize(image.size))
            image.save(f"{path}.png")
        case "turned":
            exif = Image.Exif()
            exif[0x112] = 6
            image.save(f"{path}.jpg", exif=exif)
        case "animated":
            image.save(f"{path}.gif", save_all=True, append_images=[image.rotate(90)])
        case "grey":
            image.convert("L").save(f"{path}.jpeg")
        case "cmyk":
            image.convert("CMYK").save(f"{path}.JPG")
        case "palette":
            image.quantize(32).save(f"{path}.png")
        case suffix:
            image.save(f"{path}.{suffix}")


KINDS = ["jpg", "png", "webp", "gif", "bmp", "tif"]
KINDS += ["16-bit", "rgba", "turned", "animated", "grey", "cmyk", "palette"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "my photos"
    (folder / "älter").mkdir(parents=True)
    for number in range(COUNT):
        place = folder / ("älter" if number % 2 else ".") / f"Bild {number} ü"
        save_as(KINDS[number % len(KINDS)], photograph(number), place)
    (folder / "broken.jpg").write_bytes((folder / "Bild 0 ü.jpg").read_bytes()[:900])
    (folder / "notes.txt").write_text("text")
    (folder / ".hidden.png").write_bytes(b"no image")
    (folder / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    return folder


def test_from_data_check_to_the_demo(photos, ganzoo_cli):
    shown = ganzoo_cli("data", "check", photos)
    assert shown.code == 0, shown
    lines = [line.split(maxsplit=1) for line in shown.out.splitlines()]
    assert ["samples", str(COUNT)] in lines
    assert ["shape", "3 x 32 x 32"] in lines, "the median shorter side is 60"
    assert "broken.jpg: image file is truncated" in shown.out
    (command,) = [line[1] for line in lines if line[0] == "next"]
    small = "--steps 2 --batch-size 8 --set arch.base_channels=4 --device cpu --out run"
    trained = ganzoo_cli(*shlex.split(command)[1:], *small.split())
    assert trained.code == 0, trained
    assert "convert .heic to JPEG or PNG" in trained.err

    sampled = ganzoo_cli("sample", "run", "-n", 3, "--out", "drawn", "--device", "cpu")
    assert sampled.code == 0, sampled
    for path in Path("drawn").rglob("*.png"):
        with Image.open(path) as image:
            assert image.size == (32, 32)
    reported = ganzoo_cli("report", "run")
    assert reported.code == 0, reported


def test_a_run_keeps_the_size_that_was_chosen(tmp_path, ganzoo_cli):
    (tmp_path / "few").mkdir()
    for number in range(3):
        photograph(number).save(tmp_path / "few" / f"{number}.png")
    small = "--set arch.hidden=8 --batch-size 4 --device cpu --recipe paper --out run --steps"
    begun = ganzoo_cli("train", "mlp", "--data", "few", *small.split(), 2)
    assert "resized to 32 x 32" in begun.err
    config = json.loads(Path("run/config.json").read_text())
    assert config["data"]["options"]["image_size"] == [32, 32]
    resumed = ganzoo_cli("train", "--resume", "run", "--steps", 3)
    assert resumed.code == 0, resumed
    assert "resized" not in resumed.err
    for number in (2, 8, 14, 5, 11):
        photograph(number).save(tmp_path / "few" / f"larger {number}.png")
    with pytest.warns(UserWarning, match="resized to 64 x 64"):
        assert ganzoo.open_dataset("few").spec.shape == (3, 64, 64)
    changed = ganzoo_cli("train", "--resume", "run", "--steps", 4)
    assert changed.code == 2
    assert "the 8 samples of 3 x 32 x 32 have the SHA-256" in changed.err


def test_folder_zip_and_domains_agree(photos, ganzoo_cli):
    with zipfile.ZipFile("photos.zip", "w") as archive:
        for path in sorted(photos.rglob("*")):
            archive.write(path, path.relative_to(photos))
    checked = json.loads(ganzoo_cli("data", "check", "photos.zip", "--json").out)
    both = {"a": str(photos), "b": "photos.zip"}
    with pytest.warns(UserWarning, match="resized to 32 x 32"):
        shapes = [
            ganzoo.open_dataset(photos).spec.shape,
            ganzoo.open_dataset("photos.zip").spec.shape,
            ganzoo.open_dataset("domains", **both).spec.shape,
        ]
    assert shapes == [tuple(checked["shape"])] * 3


# The advice


def advised(samples, shape=(3, 64, 64), **found):
    return advice.advise(Survey(samples, shape, **found), "digits", {})


@pytest.mark.parametrize(
    ("count", "named"), [(5, "fewer than 20"), (60, "augment"), (5_000, "ADA"), (10**5, "so many")]
)
def test_it_depends_on_the_count(count, named):
    found = advised(count)
    assert any(named in reason for reason in found.reasons)
    assert (found.architecture == "stylegan2") == (count == 5_000)
    assert found.command.startswith(f"ganzoo train {found.architecture} --data digits")
    assert any("--init" in reason for reason in found.reasons) == (count < 2000)


def test_copies_do_not_count():
    found = advised(2_100, copies=[list("abc")], near_copies=[[str(i) for i in range(150)]])
    assert found.reasons[0].startswith("1,949 images, without 151 copies or near-copies: ")


@pytest.mark.parametrize(
    ("shape", "options", "size"),
    [
        ((3, 64, 64), {}, (64, 64)),
        ((3, 768, 1024), {}, (64, 64)),
        ((1, 28, 28), {}, (32, 32)),
        ((3, 256, 256), {"image_size": "256"}, (256, 256)),
        ((3, 32, 64), {"image_size": "32x64"}, (32, 64)),
    ],
)
def test_it_names_a_size_that_its_architecture_can_be_trained_at(shape, options, size):
    found = advice.advise(Survey(100, shape), "digits", options)
    assert found.image_size == size
    text = str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"
    assert f"--image-size {text}" in found.command
    architecture = registry.get(ARCHITECTURE, found.architecture)()
    architecture.discriminator(DataSpec(shape=(3, *size)))


def test_classes_are_offered():
    found = advised(300, classes={"cats": 200, "dogs": 100})
    assert "one of the 2 classes: ganzoo train" in found.reasons[-1]
    assert "--set arch.conditional=true" in found.reasons[-1]
    assert not any("classes" in reason for reason in advised(300, classes={"cats": 9}).reasons)


def test_options_of_the_data_are_in_the_command():
    found = advice.advise(Survey(50, (3, 64, 64)), "mnist", {"root": "my data"})
    assert "--set 'data.root=my data'" in found.command


def test_without_what_is_advised_there_is_none(monkeypatch):
    monkeypatch.setattr(advice, "TABLE", (advice.Row(9e9, (advice.Choice("none", {}, ""),)),))
    assert advised(60) is None
    assert advice.advise(Survey(60, (2,)), "ring", {}) is None
