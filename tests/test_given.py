"""Data that a program has at hand: trained on, told in the record, given again, or refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

import ganzoo
from ganzoo.errors import GanzooError, InputError, Interrupted
from ganzoo.training.observer import Observer
from ganzoo_zoo.data import given, given_objects
from ganzoo_zoo.data.given import GivenImages, GivenVectors
from tiny import TINY, Stopper

COUNT = 12
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8, 3), np.uint8)
CHANNELS_FIRST = np.ascontiguousarray(PIXELS.transpose(0, 3, 1, 2))
LABELS = np.arange(COUNT) % 2
POINTS = np.random.default_rng(0).normal(size=(COUNT, 2))


class Photographs(Dataset):
    """A map-style dataset of PIL images, as those of torchvision are."""

    classes = ["cat", "dog"]

    def __init__(self, pixels=PIXELS, labels=LABELS):
        self.pixels, self.labels = pixels, labels

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, number):
        return Image.fromarray(self.pixels[number]), int(self.labels[number])


def table():
    """Return a dataset of Hugging Face with PNGs and named classes."""
    datasets = pytest.importorskip("datasets")
    kinds = {"photo": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog"])}
    images = [Image.fromarray(each) for each in PIXELS]
    return datasets.Dataset.from_dict(
        {"photo": images, "kind": LABELS.tolist()}, features=datasets.Features(kinds)
    )


def some_samples():
    spec = ganzoo.DataSpec(shape=(3, 8, 8), classes=2)
    return ganzoo.Samples(spec, torch.from_numpy(CHANNELS_FIRST), torch.from_numpy(LABELS))


KINDS = {
    "tensor": (lambda: torch.from_numpy(CHANNELS_FIRST), "torch.Tensor", {}),
    "array": (lambda: (PIXELS, LABELS), "numpy.ndarray with labels", {}),
    "floats": (
        lambda: torch.from_numpy(CHANNELS_FIRST) / 255,
        "torch.Tensor",
        {"value_range": (0, 1)},
    ),
    "vectors": (lambda: POINTS, "numpy.ndarray", {}),
    "photographs": (Photographs, "test_given.Photographs", {}),
    "items of floats": (
        lambda: TensorDataset(torch.from_numpy(CHANNELS_FIRST) / 127.5 - 1),
        "torch.TensorDataset",
        {"value_range": (-1, 1)},
    ),
    "part": (lambda: Subset(Photographs(), range(COUNT)), "torch.Subset", {}),
    "list": (lambda: [Image.fromarray(each) for each in PIXELS], "list", {}),
    "samples": (some_samples, "ganzoo.Samples", {}),
    "table": (table, "datasets.Dataset", {}),
}
LABELLED = ("array", "photographs", "part", "samples", "table")


def train(data, out, **options):
    is_vectors = isinstance(data, np.ndarray) and data.ndim == 2
    settings = {"arch.hidden": (8,)} if is_vectors else {"arch.base_channels": 4}
    name = "mlp" if is_vectors else "dcgan"
    return ganzoo.train(name, "wgan", data, out=out, settings=settings, **{**TINY, **options})


def forget():
    """Be another process, to which nothing was given."""
    given._HELD.clear()


@pytest.fixture(autouse=True)
def _forgetful():
    yield
    forget()


@pytest.fixture
def run(tmp_path):
    return train(CHANNELS_FIRST, tmp_path / "run", steps=2)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return the bytes of the models that runs end in, of images in any form and of vectors."""
    place = tmp_path_factory.mktemp("whole")

    def trained(data, name):
        return (train(data, place / name).path / "model" / "model.safetensors").read_bytes()

    return {True: trained(torch.from_numpy(CHANNELS_FIRST), "images"), False: trained(POINTS, "v")}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_trains_is_recorded_and_resumes_to_the_byte(kind, tmp_path, weights):
    make, what, options = KINDS[kind]
    with pytest.raises(Interrupted):
        train(make(), tmp_path / "parted", steps=4, observer=Stopper(2), **options)
    forget()
    parted = ganzoo.resume(tmp_path / "parted", data=make())
    ends_in = (parted.path / "model" / "model.safetensors").read_bytes()
    assert ends_in == weights[kind != "vectors"]
    config = json.loads((parted.path / "config.json").read_text("utf-8"))
    stored = config["data"]["options"]
    shape = [2] if kind == "vectors" else [3, 8, 8]
    assert config["data"]["name"] == ("given-vectors" if kind == "vectors" else "given-images")
    assert [stored["what"], stored["count"], stored["shape"]] == [what, COUNT, shape]
    assert len(stored["fingerprint"]) == 64
    assert ganzoo.load(parted).config.spec.classes == (2 if kind in LABELLED else None)
    card = (parted.path / "model" / "README.md").read_text("utf-8")
    for word in (what, stored["fingerprint"], ",".join(map(str, shape)), str(COUNT)):
        assert f"`{word}`" in card
    assert "no command trains it again" in card
    assert "ganzoo train" not in card


def test_kinds_of_the_same_images_are_the_same_data():
    kinds = [kind for kind in KINDS if kind not in ("vectors", *LABELLED)]
    found = {GivenImages.hold(KINDS[kind][0](), KINDS[kind][2]).fingerprint for kind in kinds}
    assert len(found) == 1
    found = {GivenImages.hold(KINDS[kind][0](), {}).fingerprint for kind in LABELLED}
    assert len(found) == 1


def test_the_same_data_of_another_type_resume_a_run(run):
    before = run.config().data
    resumed = ganzoo.resume(
        run, {"train.steps": 3}, data=[Image.fromarray(each) for each in PIXELS]
    )
    assert resumed.config().data == before


def test_a_path_is_data_too(tmp_path):
    for number, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    config = train(tmp_path, tmp_path / "run", steps=1).config()
    assert config.data.name == "folder"


def test_other_data_or_none_are_refused_in_a_line(run):
    known = GivenImages(**run.config().data.options).fingerprint[:12]
    with pytest.raises(InputError, match="these are other data") as refused:
        ganzoo.resume(run, {"train.steps": 4}, data=CHANNELS_FIRST[::-1])
    assert known in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="these are other data"):
        ganzoo.resume(run, {"train.steps": 4}, data=(CHANNELS_FIRST, LABELS))
    with pytest.raises(InputError, match="these are other data: 12 samples of 2, given"):
        ganzoo.resume(run, {"train.steps": 4}, data=POINTS)
    forget()
    with pytest.raises(InputError, match="in the memory of a Python program") as refused:
        ganzoo.resume(run, {"train.steps": 4})
    assert f"12 samples of 3 x 8 x 8, given as numpy.ndarray, with the fingerprint {known}" in str(
        refused.value
    )


def test_a_run_on_other_data_does_not_take_data_at_hand(tmp_path):
    ring = ganzoo.train("mlp", data="ring", out=tmp_path / "ring", **{**TINY, "steps": 1})
    with pytest.raises(InputError, match=r"data\.name: ring -> given-vectors"):
        ganzoo.resume(ring, {"train.steps": 2}, data=POINTS)


def test_data_that_change_in_place_are_noticed():
    pixels = torch.from_numpy(CHANNELS_FIRST).clone()
    held = GivenImages.hold(pixels, {})
    pixels[0, 0, 0, 0] ^= 1
    with pytest.raises(InputError, match="changed in place"):
        held.read()


def test_while_a_program_holds_data_it_need_not_give_them_again(run):
    assert ganzoo.resume(run, {"train.steps": 3}).config().train.steps == 3


WRONG = {
    "number": (7, {}, "data of the type int are not read"),
    "bytes": (b"abc", {}, "data of the type bytes are not read"),
    "splits": ({"train": CHANNELS_FIRST}, {}, "the data have the parts train: give one of them"),
    "empty dictionary": ({}, {}, "data of the type dict are not read"),
    "empty list": ([], {}, "there are no samples"),
    "empty array": (CHANNELS_FIRST[:0], {}, r"the shape \(0, 3, 8, 8\) are not read"),
    "empty samples": (some_samples().subset(torch.arange(0)), {}, "there are no samples"),
    "scalar": (np.float32(1), {}, "are not read"),
    "five dimensions": (np.zeros((2, 2, 2, 2, 2), np.uint8), {}, "are not read"),
    "texts": (np.array([["a", "b"]]), {}, "data are numbers, not <U1"),
    "objects": (np.array([object()]), {}, "data are numbers, not object"),
    "complex": (
        torch.zeros(3, 2, dtype=torch.complex64),
        {},
        "complex64 torch.strided are not read",
    ),
    "sparse": (torch.eye(3).to_sparse(), {}, "are not read"),
    "int images": (CHANNELS_FIRST.astype(np.int64), {}, "images are uint8 or floats"),
    "no range": (CHANNELS_FIRST / 255, {}, r"need the numbers that are black and white"),
    "outside of the range": (CHANNELS_FIRST / 1.0, {"value_range": (0, 1)}, "outside of"),
    "range upside down": (CHANNELS_FIRST / 255, {"value_range": (1, 0)}, "a low and a higher"),
    "no range at all": (CHANNELS_FIRST / 255, {"value_range": "a"}, r"data\.value_range"),
    "range of uint8": (CHANNELS_FIRST, {"value_range": (0, 1)}, "drop value_range"),
    "range of vectors": (POINTS, {"value_range": (0, 1)}, r"unknown option 'data\.value_range'"),
    "not finite": (CHANNELS_FIRST * np.nan, {"value_range": (0, 1)}, "not finite"),
    "vectors that are not finite": (POINTS * np.inf, {}, "not finite"),
    "few labels": ((CHANNELS_FIRST, LABELS[:3]), {}, r"12 whole numbers.* not \(3,\) int64"),
    "labels below 0": ((CHANNELS_FIRST, LABELS - 1), {}, "labels begin at 0"),
    "float labels": ((CHANNELS_FIRST, LABELS / 1), {}, "12 whole numbers"),
    "ragged labels": ((CHANNELS_FIRST, [[1], [1, 2]]), {}, "the labels cannot be read"),
    "large labels": ((CHANNELS_FIRST, LABELS + 10**7), {}, "classes"),
    "some labels": ([(PIXELS[0], 1), (PIXELS[1], None)], {}, "some samples have a label"),
    "items of three parts": ([(PIXELS[0], 1, 2)], {}, "item 0 has 3 parts"),
    "items of text": (["a", "b"], {}, "item 0 is of the type str"),
    "items without image": ([{"text": "a"}], {}, "its columns are text, and those of images"),
    "items of four dimensions": ([CHANNELS_FIRST], {}, "neither image nor signal nor vector"),
    "sizes differ": ([PIXELS[0], PIXELS[1, :5]], {}, r"item 1 is \(3, 5, 8\).*give image_size"),
    "lengths differ": ([POINTS[0], POINTS[0, :1]], {}, "all samples must be alike"),
    "image of 32 bits": ([Image.new("F", (8, 8))], {}, "of mode F, whose range is not known"),
    "another option": (CHANNELS_FIRST, {"image_channels": 1}, r"option 'data\.image_channels'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_a_line(case, tmp_path):
    data, options, message = WRONG[case]
    with pytest.raises(GanzooError, match=message) as refused:
        train(data, tmp_path / "run", **options)
    assert len(str(refused.value).splitlines()) <= 2
    assert len(str(refused.value)) < 400
    assert not (tmp_path / "run").exists()


class Endless(IterableDataset):
    def __iter__(self):
        return iter(PIXELS)


class Broken(Photographs):
    def __getitem__(self, number):
        if number == 1:
            raise OSError("a disk is gone")
        return super().__getitem__(number)


class Vast(Photographs):
    def __len__(self):
        return 10**9

    def __getitem__(self, number):
        assert number == 0
        return super().__getitem__(number)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Endless(), "data of the type Endless are not read.* with a length"),
        (Broken(), "item 1 of the data cannot be read: OSError: a disk is gone"),
        (Vast(), "1,000,000,000 samples of 3 x 8 x 8 would take 178.8 GiB of memory"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_dataset_that_cannot_be_read(data, message, tmp_path, monkeypatch):
    monkeypatch.setenv("GANZOO_MEMORY", "100")
    with pytest.raises(InputError, match=message):
        train(data, tmp_path / "run")


def test_reading_is_reported_as_it_goes_on(monkeypatch, tmp_path):
    class Listener(Observer):
        def on_progress(self, what, done, total):
            seen.append((what, done, total))

    seen = []
    monkeypatch.setattr(given_objects, "REPORT_EVERY", 5)
    train(Photographs(), tmp_path / "run", steps=1, observer=Listener())
    assert [each for each in seen if each[0] == "reading the data"] == [
        ("reading the data", done, COUNT) for done in (5, 10, 12)
    ]


def test_forms_of_images():
    read = given_objects.read
    grey = read(PIXELS[..., 0])
    assert grey.spec.shape == (1, 8, 8)
    mixed = read([Image.fromarray(PIXELS[0, ..., 0]), Image.fromarray(PIXELS[1])])
    assert mixed.spec.shape == (3, 8, 8)
    assert torch.equal(mixed.stored[0], torch.from_numpy(PIXELS[0, ..., 0]).expand(3, 8, 8))
    assert torch.equal(mixed.stored[1], torch.from_numpy(CHANNELS_FIRST[1]))
    mixed = read([Image.fromarray(PIXELS[1]), Image.fromarray(PIXELS[0, ..., 0])])
    assert torch.equal(mixed.stored[1], torch.from_numpy(PIXELS[0, ..., 0]).expand(3, 8, 8))
    backwards = read(PIXELS[::-1].astype(PIXELS.dtype.newbyteorder(">")))
    assert torch.equal(backwards.stored, torch.from_numpy(CHANNELS_FIRST).flip(0))
    halves = read(torch.from_numpy(CHANNELS_FIRST).half() / 255, (0.0, 1.0))
    assert (halves.stored.int() - torch.from_numpy(CHANNELS_FIRST).int()).abs().max() <= 1
    fixed = PIXELS.copy()
    fixed.flags.writeable = False
    assert torch.equal(read(fixed).stored, torch.from_numpy(CHANNELS_FIRST))


def test_labels_are_numbers_or_texts():
    found = given_objects.read((CHANNELS_FIRST, ["dog", "cat"] * (COUNT // 2)))
    assert found.spec.class_names == ("cat", "dog")
    assert found.labels.tolist() == [1, 0] * (COUNT // 2)
    assert given_objects.read(Photographs()).spec.class_names == ("cat", "dog")
    listed = given_objects.read(([*CHANNELS_FIRST], torch.from_numpy(LABELS)))
    assert listed.labels.tolist() == LABELS.tolist()


def test_images_of_a_dataset_are_cropped_and_resized_while_they_are_read():
    wide = np.concatenate([PIXELS[:, :, :4] * 0, PIXELS, PIXELS[:, :, :4] * 0], 2)
    items = [Image.fromarray(each) for each in wide]
    held = GivenImages.hold(items, {"image_size": 8})
    assert torch.equal(held.read().stored, torch.from_numpy(CHANNELS_FIRST))
    held = GivenImages.hold(wide, {})
    cropped = held.model_copy(update={"image_size": (8, 8)}).read()
    assert torch.equal(cropped.stored, torch.from_numpy(CHANNELS_FIRST))
    various = GivenImages.hold([items[0], items[1].resize((9, 7))], {"image_size": "4"})
    assert various.read().spec.shape == (3, 4, 4)


def test_samples_keep_what_they_say():
    samples = some_samples()
    flipped = ganzoo.Samples(samples.spec, samples.stored, samples.labels, flip=True)
    held = GivenImages.hold(flipped, {})
    assert held.flip
    assert held.read().flip
    assert not GivenImages.hold(flipped, {"flip": False}).flip
    points = ganzoo.open_dataset("ring", samples=20)
    assert GivenVectors.hold(points, {}).read().spec.modes == points.spec.modes


def test_evaluation_takes_them_as_reals(tmp_path):
    grey = [Image.fromarray(each[..., 0]) for each in PIXELS]
    run = train(grey, tmp_path / "run", steps=1)

    def judge(data=None, **options):
        metrics = {"metrics": ["memorisation"], "features": "digits-cnn"}
        return ganzoo.evaluate(run, data=data, device="cpu", **metrics, **options)[0].data

    trained = judge()
    assert trained["name"] == "given-images"
    assert judge(grey) == trained
    assert judge([each.resize((16, 16)) for each in grey])["fingerprint"] != trained["fingerprint"]
    floats = torch.from_numpy(CHANNELS_FIRST)[:, :1] / 255
    assert judge(floats, data_options={"value_range": (0, 1)}) == trained
    with pytest.raises(InputError, match="value_range"):
        judge(floats)
    forget()
    with pytest.raises(InputError, match="in the memory of a Python program"):
        judge()


def test_the_command_line_asks_for_data_that_only_a_program_can_give(run, refused, ganzoo_cli):
    forget()
    asks = "give the same again from Python, as data=..."
    assert asks in refused("train", "--resume", run.path, "--steps", 4)
    assert asks in refused("eval", run.path, "--device", "cpu")
    assert asks in refused("train", "--init", run.path, "--out", "further")
    assert asks in refused("train", "--fork", run.path, "--out", "fork", "--steps", 4)
    assert asks in refused("train", "--config", run.path / "config.json", "--out", "same")
    assert "what a Python program gives" in refused("train", "dcgan", "--data", "given-images")
    assert "what a Python program gives" in refused("data", "check", "given-vectors")
    assert ganzoo_cli("sample", run.path, "-n", 2, "--device", "cpu").code == 0


def test_lists_name_them(ganzoo_cli):
    assert "given-images" in ganzoo_cli("list", "datasets").out
    shown = ganzoo_cli("show", "given-images").out
    assert "Images that a Python program gives" in shown


def test_a_plugin_that_fails_on_data_is_named(monkeypatch):
    def stumble(given, options):
        raise KeyError("no such thing")

    monkeypatch.setattr(GivenImages, "hold", stumble)
    with pytest.raises(GanzooError, match=r"dataset 'given-images' of ganzoo .* cannot hold"):
        ganzoo.train("dcgan", data=CHANNELS_FIRST)


def test_the_snippets_of_the_page_work():
    page = (Path(__file__).parents[1] / "docs" / "how-to" / "python-data.md").read_text("utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    for before, after in (("=2000", "=1, **TINY"), ('steps": 3000', 'steps": 2')):
        assert before in code
        code = code.replace(before, after)
    code = code.replace('["memorisation"]', '["memorisation"], features="cifar10-cnn"')
    options = {name: value for name, value in TINY.items() if name not in ("steps", "recipe")}
    names = {"TINY": {**options, "recipe": "paper"}}
    exec(code, names)
    assert names["run"].config().data.options["what"] == "torchvision.FakeData"
    assert names["scores"][0].data["name"] == "given-images"
