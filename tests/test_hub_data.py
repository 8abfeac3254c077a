"""Data sets in the form of the Hub's, which the tests write and the library of its own reads."""

import builtins
import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo import registry
from ganzoo.errors import GanzooError, InputError
from ganzoo.testing import dataset_checks
from ganzoo_zoo.data import hub_table, image_source, reading
from ganzoo_zoo.data.hub import HubImages
from tiny import TINY

datasets = pytest.importorskip("datasets")

COUNT = 10
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8, 3), np.uint8)
IMAGES = [Image.fromarray(each) for each in PIXELS]
LABELS = [number % 2 for number in range(COUNT)]
NAMED = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Let the library keep what it prepares in the folder of the test, and be quiet."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def write_table(folder="photos", split="train", columns=None, kinds=NAMED, part=slice(None)):
    """Write a split as a file of parquet, as the Hub keeps it."""
    columns = columns or {"image": IMAGES, "label": LABELS}
    columns = {name: column[part] for name, column in columns.items()}
    table = datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))
    (Path(folder) / "data").mkdir(parents=True, exist_ok=True)
    table.to_parquet(f"{folder}/data/{split}-00000-of-00001.parquet")
    return f"hf:./{folder}"


def write_shards(folder="shards"):
    """Write images and their classes as two shards of WebDataset."""
    Path(folder).mkdir()
    for shard in range(2):
        with tarfile.open(f"{folder}/train-{shard:05}.tar", "w") as tar:
            for number in range(shard, COUNT, 2):
                png = io.BytesIO()
                IMAGES[number].save(png, "png")
                parts = (("png", png.getvalue()), ("cls", str(LABELS[number]).encode()))
                for suffix, content in parts:
                    member = tarfile.TarInfo(f"{number:04}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return f"hf:./{folder}"


def keep_as_of_the_hub(folder="photos", commit="a" * 40):
    """Have the library's cache hold a folder as if it were ``somebody/photos``, downloaded."""
    cache = datasets.config.HF_DATASETS_CACHE
    datasets.load_dataset(folder)
    (prepared,) = (cache / folder).glob("*/*/*/dataset_info.json")
    kept = cache / "somebody___photos" / "default" / "0.0.0" / commit
    shutil.copytree(prepared.parent, kept)
    shutil.rmtree(cache / folder)
    return "hf:somebody/photos"


def read(data, **options):
    return ganzoo.open_dataset(data, **options)


def write_two_splits():
    write_table("photos", "test", part=slice(4))
    return write_table()


def test_a_folder_of_parquet_trains_and_resumes(tmp_path, ganzoo_cli, refused):
    data = write_two_splits()
    settings = {"arch.base_channels": 4}
    run = ganzoo.train("dcgan", "wgan", data, out="run", settings=settings, **TINY)
    options = run.config().data.options
    assert options["path"] == str(tmp_path / "photos")
    assert options["split"] == "train"
    card = Path("run/model/README.md").read_text("utf-8")
    assert "`photos`" in card
    assert str(tmp_path) not in card
    Path("photos").rename("moved")
    assert "there is no folder" in refused("train", "--resume", "run", "--steps", 6)
    resume = ("train", "--resume", "run", "--steps", 6, "--device", "cpu")
    assert ganzoo_cli(*resume, "--data", "hf:./moved").code == 0
    write_table("moved", columns={"image": IMAGES[::-1], "label": LABELS})
    changed = refused("train", "--resume", "run", "--steps", 8)
    assert "have changed since it was started" in changed


def test_images_labels_and_splits_are_those_of_the_table():
    data = write_two_splits()
    with pytest.warns(ganzoo.GanzooWarning, match="has the splits train and test: train is read"):
        samples = read(data)
    assert torch.equal(samples.stored, torch.from_numpy(PIXELS).permute(0, 3, 1, 2))
    assert samples.labels.tolist() == LABELS
    assert samples.spec.class_names == ("cat", "dog")
    assert (samples.split, samples.names[3]) == ("train", "train/3")
    assert len(read(data, split="test")) == 4
    assert len(read(data, split="all")) == 14
    assert len(read(data, split="train[:30%]+test")) == 7
    assert read(data, split="train", image_size=4).spec.shape == (3, 4, 4)


def test_shards_of_webdataset_are_read():
    samples = read(write_shards())
    order = [*range(0, COUNT, 2), *range(1, COUNT, 2)]
    assert torch.equal(samples.stored, torch.from_numpy(PIXELS[order]).permute(0, 3, 1, 2))
    assert samples.labels.tolist() == [LABELS[number] for number in order]


def test_a_data_set_of_the_hub_is_read_from_the_cache(monkeypatch, ganzoo_cli):
    write_table()
    data = keep_as_of_the_hub()
    Path("somebody/photos").mkdir(parents=True)  # which is not what is meant
    run = ganzoo.train("mlp", None, data, out="run", settings={"arch.hidden": (8,)}, **TINY)
    options = run.config().data.options
    assert options["repo"] == "somebody/photos"
    assert options["revision"] == "a" * 40
    card = Path("run/model/README.md").read_text("utf-8")
    assert "datasets:\n- somebody/photos\n" in card
    assert "https://huggingface.co/datasets/somebody/photos" in card
    assert ganzoo.resume(run, {"train.steps": 6}).config().train.steps == 6
    assert not HubImages(repo="somebody/photos").needs_download()
    assert HubImages(repo="somebody/else").needs_download()
    dry = ganzoo_cli("train", "mlp", "--data", "hf:somebody/else", "--dry-run")
    assert "is not here yet, and the training will download it first" in dry.err


def test_an_address_is_a_name_and_a_revision_or_a_path():
    assert HubImages.parse_address("user/name") == {"repo": "user/name"}
    assert HubImages.parse_address("user/na.me@v1") == {"repo": "user/na.me", "revision": "v1"}
    for path in ("./name", "../name", "/a/b", "~/b", "a/b/c"):
        assert HubImages.parse_address(path) == {"path": path}


def test_any_dataset_with_a_path_may_be_named_before_it(refused):
    Path("photos.data").mkdir()
    IMAGES[0].save("photos.data/a.png")
    assert len(read("folder:photos.data")) == len(read("ganzoo:folder:./photos.data")) == 1
    assert "no dataset is called 'digits:photos'" in refused("data", "check", "digits:photos")
    twice = refused("data", "check", "folder:photos.data", "--set", "data.path=elsewhere")
    assert "the path of the data is given twice" in twice


WRONG = {
    "split": ({"split": "val"}, "has the splits train and test, and no val; choose one"),
    "split misspelt": ({"split": "tran[:2]"}, "and no tran; did you mean 'train'"),
    "slice": ({"split": "train[:x]"}, r"cannot be read: .*train\[:x\]"),
    "image column": ({"image_column": "imag"}, "no column imag: it has image and label; did you"),
    "no images": ({"image_column": "label"}, "the column label .* holds no images, but int64"),
    "label column": ({"label_column": "kind"}, "has no column kind: it has image and label"),
    "no labels": ({"label_column": "image"}, "the column image .* holds"),
    "revision": ({"revision": "main"}, "a folder has no revisions"),
    "configuration": ({"config_name": "other"}, "cannot be read: .*other"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_a_line(case):
    options, message = WRONG[case]
    data = write_two_splits()
    with pytest.raises(InputError, match=message) as refused:
        read(data, **options)
    assert len(str(refused.value).splitlines()) == 1


def test_what_is_not_there():
    with pytest.raises(InputError, match="there is no folder"):
        read("hf:./nowhere")
    with pytest.raises(InputError, match="write --data hf:user/name for the Hub"):
        read("hf")
    with pytest.raises(GanzooError, match="not on this machine, and the Hub cannot be reached"):
        read("hf:somebody/nothing")
    Path("empty").mkdir()
    with pytest.raises(GanzooError, match="empty cannot be read"):
        read("hf:./empty")
    Path("damaged").mkdir()
    Path("damaged/train.parquet").write_bytes(b"PAR1")
    with pytest.raises(GanzooError, match="damaged cannot be read") as refused:
        read("hf:./damaged")
    assert len(str(refused.value).splitlines()) == 1


def test_several_configurations_are_named():
    write_table("photos", "grey")
    write_table("photos", "colour")
    listed = "".join(
        f"- config_name: {name}\n  data_files: data/{name}-*.parquet\n"
        for name in ("grey", "colour")
    )
    Path("photos/README.md").write_text(f"---\nconfigs:\n{listed}---\n", "utf-8")
    with pytest.raises(InputError, match=r"configurations .*grey.* choose one with data\.config"):
        read("hf:./photos")
    assert len(read("hf:./photos", config_name="grey")) == COUNT


def test_the_library_may_be_missing(monkeypatch):
    def import_others(name, *rest, **named):
        if name.partition(".")[0] == "datasets":
            raise ImportError(name)
        return before(name, *rest, **named)

    before = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", import_others)
    for data in ("hf:somebody/photos", "hf:./photos"):
        with pytest.raises(InputError, match=r"pip install 'ganzoo\[datasets\]"):
            read(data)
    with pytest.raises(InputError, match=r"pip install 'ganzoo\[datasets\]"):
        HubImages(repo="somebody/photos").needs_download()


def test_columns_may_have_other_names_and_types():
    png = io.BytesIO()
    IMAGES[0].save(png, "png")
    columns = {"picture": [png.getvalue()] * 3, "mask": IMAGES[:3], "kind": ["b", "a", "b"]}
    kinds = {
        "picture": datasets.Value("binary"),
        "mask": datasets.Image(),
        "kind": datasets.Value("string"),
    }
    data = write_table("photos", columns=columns, kinds=kinds)
    samples = read(data, image_column="picture", label_column="kind")
    assert torch.equal(samples.stored[2], torch.from_numpy(PIXELS[0]).permute(2, 0, 1))
    assert samples.spec.class_names == ("a", "b")
    assert samples.labels.tolist() == [1, 0, 1]
    assert read(data).labels is None


def test_labels_that_are_none_are_left_out_and_said():
    kinds = {"image": datasets.Image(), "label": datasets.Value("int64")}
    hidden = {"image": IMAGES, "label": [-1] * COUNT}
    data = write_table("photos", columns=hidden, kinds=kinds)
    with pytest.warns(ganzoo.GanzooWarning, match="no classes: the column label has labels below"):
        assert read(data).spec.classes is None
    with pytest.raises(InputError, match=r"the column label of .* below 0, such as -1"):
        read(data, label_column="label")


def test_rows_that_cannot_be_read_are_skipped():
    png = io.BytesIO()
    IMAGES[0].save(png, "png")
    columns = {"image": [png.getvalue(), b"no image", None, png.getvalue()], "label": [0, 1, 1, 2]}
    kinds = {"image": datasets.Value("binary"), "label": datasets.Value("int64")}
    data = write_table("photos", columns=columns, kinds=kinds)
    with pytest.warns(ganzoo.GanzooWarning):
        samples = read(data)
    assert samples.labels.tolist() == [0, 2]
    assert samples.skipped == (
        "train/1: it is not an image of a known format",
        "train/2: the row is empty",
    )


def test_labels_belong_to_the_fingerprint():
    first = read(write_table("a")).fingerprint
    other = read(write_table("b", columns={"image": IMAGES, "label": LABELS[::-1]})).fingerprint
    assert first != other
    assert read(write_table("c")).fingerprint == first


def test_large_sets_are_hashed_once_and_cached(monkeypatch, tmp_path):
    monkeypatch.setattr(reading, "KEPT_IMAGES", 2)
    data = write_table()
    whole = read(data)
    assert len(list((tmp_path / "cache" / "images").glob("*/images.npy"))) == 1
    monkeypatch.setattr(image_source, "SETTLE_TIME", 0)
    hashed = []
    before = hub_table.HubSource._hash_content
    monkeypatch.setattr(
        hub_table.HubSource, "_hash_content", lambda self: hashed.append(1) or before(self)
    )
    monkeypatch.setattr(reading, "_decode_all", None)  # it is not needed again
    assert read(data).fingerprint == read(data).fingerprint == whole.fingerprint
    assert hashed == [1]
    monkeypatch.setenv("GANZOO_MEMORY", str(4 * 1000 / 2**30))
    streamed = read(data)
    assert streamed.streamed
    assert streamed.labels_of(torch.tensor([1, 2])).tolist() == [1, 0]


@pytest.mark.parametrize("check", dataset_checks, ids=lambda check: check.__name__)
def test_conformance(check):
    path = write_table().removeprefix("hf:")
    check(registry.get(registry.DATASET, "hf")(path=path))


def test_data_check_surveys_it(ganzoo_cli):
    found = json.loads(ganzoo_cli("data", "check", write_table(), "--json").out)
    assert found["samples"] == COUNT
    assert found["classes"] == {"cat": 5, "dog": 5}
