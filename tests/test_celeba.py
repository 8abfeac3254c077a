"""CelebA, from a made folder in torchvision's own layout, through torchvision's own loader."""

import hashlib
import json
import sys

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from ganzoo import open_dataset
from ganzoo.errors import GanzooError, InputError
from ganzoo.media import images
from ganzoo.testing import dataset_checks
from ganzoo_zoo.data import reading
from ganzoo_zoo.data.published import CelebA

CELEBA = torchvision.datasets.CelebA
ATTRIBUTES = ("Bald", "Male", "Smiling", "Young")
SPLITS = {"train": range(6), "valid": range(6, 8), "test": range(8, 11), "all": range(11)}


def name(number):
    return f"{number + 1:06d}.jpg"


def attributes(number):
    return [1 if (number >> place) & 1 else -1 for place in range(len(ATTRIBUTES))]


def lists():
    """Write the lists as the authors of CelebA do."""
    numbers = SPLITS["all"]
    part = {i: k for k, word in enumerate(("train", "valid", "test")) for i in SPLITS[word]}

    def table(header, row):
        lines = [f"{len(numbers)}", header] if header else []
        lines += [f"{name(i)} {' '.join(f'{value:2d}' for value in row(i))}" for i in numbers]
        return "\n".join(lines) + "\n"

    return {
        "list_attr_celeba.txt": table(" ".join(ATTRIBUTES) + " ", attributes),
        "identity_CelebA.txt": table("", lambda i: [i // 2 + 1]),
        "list_bbox_celeba.txt": table("image_id x_1 y_1 width height", lambda i: [i, 2, 30, 40]),
        "list_landmarks_align_celeba.txt": table("lefteye_x nose_y", lambda i: [69, 109]),
        "list_eval_partition.txt": table("", lambda i: [part[i]]),
    }


def face(number):
    """Paint an image in vertical bands, of which only the middle 178 rows are bright."""
    pixels = np.zeros((218, 178, 3), np.uint8)
    pixels[20:198] = 20 * number + 10
    pixels[20:198, 89:, 0] = 255 - 20 * number
    return pixels


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Lay out a small CelebA, and vouch for its lists."""
    base = tmp_path / "sets" / "celeba"
    (base / "img_align_celeba").mkdir(parents=True)
    sums = [("", "", "img_align_celeba.zip")]
    for file, text in lists().items():
        (base / file).write_text(text)
        sums.append(("", hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(), file))
    monkeypatch.setattr(CELEBA, "file_list", sums)
    for i in SPLITS["all"]:
        Image.fromarray(face(i)).save(base / "img_align_celeba" / name(i), quality=98)
    return tmp_path / "sets"


@pytest.mark.parametrize("split", SPLITS)
def test_samples_are_the_centres_of_the_images(root, split):
    samples = CelebA(root=str(root), split=split).read()
    assert samples.names == tuple(name(i) for i in SPLITS[split])
    assert samples.spec.shape == (3, 64, 64)
    assert (samples.spec.classes, samples.labels, samples.skipped) == (None, None, ())
    assert samples.flip
    for i, image in zip(SPLITS[split], samples.stored, strict=True):
        middle = torch.from_numpy(face(i)[20:198]).permute(2, 0, 1)[None]
        difference = images.resize(middle, (64, 64))[0].int() - image.int()
        assert difference.abs().float().mean() < 2


def test_the_defaults(root):
    dataset = CelebA(root=str(root))
    assert (dataset.split, dataset.image_size, dataset.crop) == ("train", (64, 64), 178)
    assert dataset.split_name == "train"
    assert not open_dataset("celeba", root=str(root), flip="false").flip


def test_sizes_and_crops(root):
    samples = open_dataset("celeba", root=str(root), image_size=178)
    jpeg = np.array(Image.open(root / "celeba/img_align_celeba" / name(0)))
    whole = torch.from_numpy(jpeg).permute(2, 0, 1)
    assert torch.equal(samples.stored[0], whole[:, 20:198])
    small = open_dataset("celeba", root=str(root), image_size="100x100", crop=100)
    assert torch.equal(small.stored[0], whole[:, 59:159, 39:139])
    wide = open_dataset("celeba", root=str(root), image_size="32x64")
    assert wide.spec.shape == (3, 32, 64)
    tall = open_dataset("celeba", root=str(root), image_size="218x178", crop=218)
    assert torch.equal(tall.stored[0], whole)
    for crop in (0, 219):
        with pytest.raises(InputError, match=r"option 'data\.crop'"):
            open_dataset("celeba", root=str(root), crop=crop)


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_an_attribute_gives_two_classes(root, attribute):
    samples = open_dataset("celeba", root=str(root), split="all", attribute=attribute)
    place = ATTRIBUTES.index(attribute)
    assert samples.labels.dtype == torch.int64
    assert samples.labels.tolist() == [(i >> place) & 1 for i in SPLITS["all"]]
    assert samples.spec.classes == 2
    assert samples.spec.class_names == (f"not {attribute}", attribute)
    assert samples.spec.class_index(attribute) == 1


def test_an_unknown_attribute_gets_the_nearest(root):
    with pytest.raises(InputError) as caught:
        open_dataset("celeba", root=str(root), attribute="male")
    assert str(caught.value) == "CelebA has no attribute 'male'; did you mean 'Male'?"
    with pytest.raises(InputError, match=r"there are Bald, Male, Smiling, Young$"):
        open_dataset("celeba", root=str(root), attribute="qqqq")


def test_labels_belong_to_the_images_that_can_be_read(root):
    folder = root / "celeba/img_align_celeba"
    (folder / name(1)).unlink()
    (folder / name(4)).write_bytes(b"text")
    samples = open_dataset("celeba", root=str(root), attribute="Male")
    assert samples.names == tuple(name(i) for i in (0, 2, 3, 5))
    assert samples.labels.tolist() == [0, 1, 1, 0]
    assert [what.partition(":")[0] for what in samples.skipped] == [name(1), name(4)]


def test_it_is_decoded_once(root, monkeypatch):
    wanted = open_dataset("celeba", root=str(root), attribute="Male")
    monkeypatch.setattr(reading, "KEPT_IMAGES", 3)
    for _ in range(2):
        samples = open_dataset("celeba", root=str(root), attribute="Male")
        assert torch.equal(samples.stored, wanted.stored)
        assert torch.equal(samples.labels, wanted.labels)
        assert samples.content == wanted.fingerprint
    # Another label is no other image; another crop is.
    monkeypatch.setattr(reading, "_decode_all", None)
    assert open_dataset("celeba", root=str(root), attribute="Bald").labels.sum() == 3
    with pytest.raises(TypeError):
        open_dataset("celeba", root=str(root), crop=177)


@pytest.mark.parametrize("check", dataset_checks, ids=lambda check: check.__name__)
def test_conformance(root, check):
    check(CelebA(root=str(root), attribute="Smiling"))


def test_networks_train_on_it(root, ganzoo_cli):
    options = ["--set", f"data.root={root}", "--image-size", "16", "--set", "arch.base_channels=4"]
    small = ["--steps", "1", "--batch-size", "4", "--device", "cpu", "--out", "run"]
    result = ganzoo_cli("train", "dcgan", "--data", "celeba", *options, *small)
    assert result.code == 0, result


def test_it_can_be_looked_at(root, ganzoo_cli):
    chosen = ["--set", f"data.root={root}", "--set", "data.attribute=Male"]
    result = ganzoo_cli("data", "check", "celeba", *chosen, "--out", "sheet.png", "--json")
    assert result.code == 0, result
    found = json.loads(result.out)
    assert found["shape"] == [3, 64, 64]
    assert found["sizes"] == {"218x178": 6}
    assert found["classes"] == {"not Male": 4, "Male": 2}
    sheet = np.array(Image.open("sheet.png"))
    wanted = open_dataset("celeba", root=str(root)).stored[0].permute(1, 2, 0).numpy()
    assert np.array_equal(sheet[2:66, 2:66], wanted)


# What is not there


def test_what_is_missing_or_damaged_is_named(root):
    (root / "celeba/list_attr_celeba.txt").write_text("damaged")
    (root / "celeba/list_bbox_celeba.txt").unlink()
    with pytest.raises(InputError) as caught:
        open_dataset("celeba", root=str(root))
    assert str(caught.value) == (
        f"CelebA in {root} cannot be read (celeba/list_attr_celeba.txt is damaged: its MD5 is not "
        "the published one, celeba/list_bbox_celeba.txt is missing); put complete files there, or "
        "give another folder with --set data.root=DIR"
    )
    (root / "celeba/img_align_celeba").rename(root / "celeba/elsewhere")
    with pytest.raises(InputError, match="celeba/img_align_celeba is missing"):
        open_dataset("celeba", root=str(root))
    (root / "celeba/img_align_celeba").write_bytes(b"")
    with pytest.raises(InputError, match="celeba/img_align_celeba is damaged: it is not a folder"):
        open_dataset("celeba", root=str(root))


def test_where_it_cannot_be_downloaded_the_message_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(GanzooError) as caught:
        open_dataset("celeba")
    message = str(caught.value)
    assert caught.value.exit_code == 1
    assert message.startswith(f"CelebA is not in {tmp_path / 'cache' / 'datasets'} and cannot be ")
    assert "pip install gdown" in message
    assert message.endswith(
        "; download it from its authors' page, put the unpacked folder img_align_celeba and the "
        "files identity_CelebA.txt and list_*.txt into DIR/celeba, and add --set data.root=DIR"
    )
    assert len(message.splitlines()) == 1
