"""MNIST, Fashion-MNIST and CIFAR-10, from made folders in torchvision's own layout."""

import gc
import gzip
import hashlib
import io
import pickle
import shutil
import socket
import struct
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import torchvision

from ganzoo import open_dataset
from ganzoo.errors import GanzooError, InputError
from ganzoo.media import images
from ganzoo.testing import dataset_checks
from ganzoo_zoo.data.published import CIFAR10, MNIST, FashionMNIST, StackedMNIST

SETS = {"mnist": MNIST, "fashion-mnist": FashionMNIST, "cifar10": CIFAR10}
GREY = ("mnist", "fashion-mnist")
CIFAR = torchvision.datasets.CIFAR10
TRAIN, TEST = 20, 12
ADVICE = "; put complete files there, or give another folder with --set data.root=DIR"
IDX = {"train": "train", "test": "t10k"}
BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}


def loader(name):
    return getattr(torchvision.datasets, SETS[name].loader)


def truth(name, split):
    """Return the made images ``(N, C, H, W)`` and labels of one split."""
    rng = torch.Generator().manual_seed(len(name) + len(split))
    count = TRAIN if split == "train" else TEST
    shape = (1, 28, 28) if name in GREY else (3, 32, 32)
    stored = torch.randint(0, 256, (count, *shape), generator=rng).byte()
    return stored, torch.randint(0, 10, (count,), generator=rng)


def idx(values):
    """Encode a uint8 tensor in the IDX format."""
    return struct.pack(f">HBB{values.dim()}I", 0, 8, values.dim(), *values.shape) + bytes(
        values.flatten().tolist()
    )


def idx_files(name):
    found = {}
    for split, prefix in IDX.items():
        stored, labels = truth(name, split)
        found[f"{prefix}-images-idx3-ubyte"] = idx(stored[:, 0])
        found[f"{prefix}-labels-idx1-ubyte"] = idx(labels)
    return found


def cifar_files():
    found = {"batches.meta": pickle.dumps({"label_names": [f"kind {i}" for i in range(10)]})}
    for split, names in BATCHES.items():
        stored, labels = truth("cifar10", split)
        for name, data, classes in zip(
            names, stored.chunk(len(names)), labels.chunk(len(names)), strict=True
        ):
            batch = {"data": data.flatten(1).numpy(), "labels": classes.tolist()}
            found[name] = pickle.dumps(batch, protocol=4)
    return found


def raw_files(name):
    return idx_files(name) if name in GREY else cifar_files()


def inner(name, root):
    """Return the folder in which torchvision looks for the files."""
    return root / (f"{SETS[name].loader}/raw" if name in GREY else CIFAR.base_folder)


def made(name, root):
    folder = inner(name, root)
    folder.mkdir(parents=True)
    for file, data in raw_files(name).items():
        (folder / file).write_bytes(data)
    return root


def listing(root):
    return sorted(
        (str(path.relative_to(root)), path.stat().st_size, path.stat().st_mtime_ns)
        for path in root.rglob("*")
    )


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    """Point every download to a port where nobody listens, and vouch for the made CIFAR files."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    monkeypatch.setenv("no_proxy", "*")
    for name in GREY:
        monkeypatch.setattr(loader(name), "mirrors", [nowhere, nowhere])
    monkeypatch.setattr(CIFAR, "url", nowhere + "cifar.tar.gz")
    files = cifar_files()
    for split, names in BATCHES.items():
        sums = [[name, md5(files[name])] for name in names]
        monkeypatch.setattr(CIFAR, f"{split}_list", sums)
    meta = {**CIFAR.meta, "md5": md5(files["batches.meta"])}
    monkeypatch.setattr(CIFAR, "meta", meta)


@pytest.fixture
def server(monkeypatch):
    """Serve bytes by name on this machine; ``asked`` holds the names that were asked for."""
    served: dict[str, bytes] = {}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.lstrip("/")
            asked.append(name)
            self.send_response(200 if name in served else 404)
            self.send_header("Content-Length", str(len(served.get(name, b""))))
            self.end_headers()
            self.wfile.write(served.get(name, b""))

        def log_message(self, *arguments):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    running.served, running.asked = served, asked
    running.url = f"http://127.0.0.1:{running.server_address[1]}/"
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def offer(server, name, monkeypatch):
    """Serve a set as its publisher does, and tell torchvision where."""
    cls = loader(name)
    if name in GREY:
        packed = {f"{file}.gz": gzip.compress(data) for file, data in idx_files(name).items()}
        monkeypatch.setattr(cls, "mirrors", [server.url])
        monkeypatch.setattr(cls, "resources", [(file, md5(d)) for file, d in packed.items()])
    else:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for file, data in cifar_files().items():
                member = tarfile.TarInfo(f"{cls.base_folder}/{file}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        packed = {"cifar.tar.gz": buffer.getvalue()}
        monkeypatch.setattr(cls, "url", server.url + "cifar.tar.gz")
        monkeypatch.setattr(cls, "tgz_md5", md5(buffer.getvalue()))
    server.served.update(packed)
    return packed


# Reading what is there


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", SETS)
def test_samples_are_those_in_the_files(name, split, tmp_path):
    stored, labels = truth(name, split)
    samples = SETS[name](root=str(made(name, tmp_path / "root")), split=split).read()
    assert torch.equal(samples.stored, stored)
    assert samples.stored.is_contiguous()
    assert samples.labels.dtype == torch.int64
    assert torch.equal(samples.labels, labels)
    assert samples.spec.shape == tuple(stored.shape[1:])
    assert samples.spec.classes == 10
    assert samples.skipped == ()


@pytest.mark.parametrize("name", SETS)
def test_the_training_split_is_the_default(name, tmp_path):
    dataset = SETS[name](root=str(made(name, tmp_path / "root")))
    assert (dataset.split, dataset.split_name) == ("train", "train")
    assert len(dataset.read()) == TRAIN
    assert SETS[name](root=dataset.root, split="test").split_name == "test"


@pytest.mark.parametrize("name", SETS)
def test_sizes_can_be_chosen(name, tmp_path):
    root = str(made(name, tmp_path / "root"))
    stored, _ = truth(name, "train")
    for given, size in ((32, (32, 32)), ("20x40", (20, 40))):
        samples = open_dataset(name, root=root, image_size=given)
        assert samples.spec.shape == (stored.shape[1], *size)
        assert torch.equal(samples.stored, images.resize(stored, size))


@pytest.mark.parametrize("name", SETS)
def test_the_folder_is_left_as_it_is(name, tmp_path):
    root = made(name, tmp_path / "root")
    before = listing(root)
    for split in ("train", "test"):
        SETS[name](root=str(root), split=split, image_size=16).read()
    assert listing(root) == before
    assert not Path("cache").exists()


@pytest.mark.parametrize("name", SETS)
def test_the_cache_is_the_default_place(name):
    made(name, Path("cache/datasets"))
    samples = SETS[name](split="test").read()
    assert torch.equal(samples.stored, truth(name, "test")[0])


def test_relative_and_home_folders(tmp_path, monkeypatch):
    made("mnist", tmp_path / "root")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for given in ("root", "~/root"):
        assert MNIST(root=given).root == str((tmp_path / "root").resolve())
    assert len(MNIST(root="root").read()) == TRAIN


def test_other_splits_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"option 'data\.split'.*'train' or 'test'.*'valid'"):
        open_dataset("mnist", root=str(tmp_path), split="valid")


@pytest.mark.parametrize("check", dataset_checks, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", SETS)
def test_conformance(name, check, tmp_path):
    check(SETS[name](root=str(made(name, tmp_path / "root"))))


# Downloading what is not


@pytest.mark.parametrize("name", SETS)
def test_what_is_missing_is_downloaded_once(name, server, monkeypatch):
    packed = offer(server, name, monkeypatch)
    samples = SETS[name](split="test").read()
    stored, labels = truth(name, "test")
    assert torch.equal(samples.stored, stored)
    assert torch.equal(samples.labels, labels)
    folder = inner(name, Path("cache/datasets"))
    for file, data in raw_files(name).items():
        assert (folder / file).read_bytes() == data
    assert set(server.asked) == set(packed)
    server.asked.clear()
    assert len(SETS[name](split="train").read()) == TRAIN
    assert server.asked == []


def test_it_is_downloaded_into_the_given_folder(server, monkeypatch, tmp_path):
    offer(server, "mnist", monkeypatch)
    assert len(MNIST(root=str(tmp_path / "new" / "root")).read()) == TRAIN
    assert (tmp_path / "new/root/MNIST/raw/train-images-idx3-ubyte").exists()
    assert not Path("cache").exists()


def failure(name, **options):
    """Read a set that cannot be had, and return the message."""
    with pytest.raises(GanzooError) as caught:
        SETS[name](**options).read()
    assert caught.type is GanzooError
    assert caught.value.exit_code == 1
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.endswith("; give torchvision's folder with --set data.root=DIR")
    return message


@pytest.mark.parametrize("name", SETS)
def test_without_a_network_the_message_says_what_to_do(name):
    message = failure(name)
    folder = Path("cache/datasets").resolve()
    assert message.startswith(f"{SETS[name].loader} is not in {folder} and cannot be downloaded (")
    assert "urlopen error" in message


def test_the_command_line_says_the_same(refused, tmp_path):
    message = refused("train", "mlp", "--data", "mnist", "--steps", 1, code=1)
    assert "MNIST is not in" in message
    assert "--set data.root=DIR" in " ".join(message.split())


@pytest.mark.parametrize("name", SETS)
def test_a_damaged_download_is_refused(name, server, monkeypatch):
    packed = offer(server, name, monkeypatch)
    server.served.update({file: b"damaged" for file in packed})
    assert "(File not found or corrupted.)" in failure(name)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", SETS)
def test_a_server_without_the_set(name, server, monkeypatch):
    offer(server, name, monkeypatch)
    server.served.clear()
    assert "HTTP Error 404" in failure(name)
    # torchvision leaves the refused answer open; it must not be found in another test.
    gc.collect()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    message = failure("mnist", root=str(tmp_path / "file" / "root"))
    assert str(tmp_path / "file") in message


# Files that are there and broken


@pytest.mark.parametrize("name", GREY)
@pytest.mark.parametrize(
    "data",
    [b"", b"not an idx file", idx(truth("mnist", "test")[1]), idx(truth("mnist", "test")[0])[:6]],
    ids=["empty", "text", "labels", "short"],
)
def test_broken_files_are_an_error_that_names_the_folder(name, data, tmp_path):
    root = made(name, tmp_path / "root")
    (inner(name, root) / "train-images-idx3-ubyte").write_bytes(data)
    with pytest.raises(InputError) as caught:
        SETS[name](root=str(root)).read()
    message = str(caught.value)
    damaged = f"{SETS[name].loader}/raw/train-images-idx3-ubyte is damaged: it does not begin as"
    assert message.startswith(f"{SETS[name].loader} in {root} cannot be read ({damaged} an IDX")
    assert message.endswith(ADVICE)
    assert len(message.splitlines()) == 1


SOME = {
    "mnist": "MNIST/raw/t10k-labels-idx1-ubyte",
    "fashion-mnist": "FashionMNIST/raw/train-images-idx3-ubyte",
    "cifar10": "cifar-10-batches-py/data_batch_3",
}


def unfit(name, root):
    """Read a set of which a part is missing or damaged; nothing may change, or be asked for."""
    before = listing(root)
    with pytest.raises(InputError) as caught:
        SETS[name](root=str(root)).read()
    assert listing(root) == before
    message = str(caught.value)
    assert message.startswith(f"{SETS[name].loader} in {root} cannot be read (")
    assert message.endswith(ADVICE)
    return message


@pytest.mark.parametrize("name", SETS)
def test_a_file_cut_short_is_named_and_kept(name, tmp_path, server, monkeypatch):
    offer(server, name, monkeypatch)
    root = made(name, tmp_path / "root")
    file = root / SOME[name]
    if name == "mnist":  # the loader reads no more than it needs
        file = inner(name, root) / "train-labels-idx1-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    message = unfit(name, root)
    assert f"{file.relative_to(root)} is damaged: it" in message
    assert server.asked == []
    if name in GREY:
        size = file.stat().st_size
        assert f"it has {size:,} bytes, and its header says {size + 1:,}" in message
    else:
        assert "its MD5 is not the published one" in message


@pytest.mark.parametrize("name", SETS)
def test_a_folder_that_lacks_a_file_is_not_filled(name, tmp_path, server, monkeypatch):
    offer(server, name, monkeypatch)
    root = made(name, tmp_path / "root")
    (root / SOME[name]).unlink()
    assert f"({SOME[name]} is missing)" in unfit(name, root)
    for file in list(inner(name, root).iterdir())[:-1]:
        file.unlink()
    assert "is missing, " in unfit(name, root)
    assert server.asked == []
    shutil.rmtree(inner(name, root))
    assert len(SETS[name](root=str(root)).read()) == TRAIN  # of what is not there at all


def test_no_more_than_some_files_are_named(tmp_path):
    root = made("cifar10", tmp_path / "root")
    for file in inner("cifar10", root).glob("data_batch_*"):
        file.write_bytes(b"")
    assert unfit("cifar10", root).count(" is damaged") == 3
    assert ", and 2 more); " in unfit("cifar10", root)


@pytest.mark.parametrize("name", SETS)
def test_in_the_cache_a_download_goes_on(name, server, monkeypatch):
    offer(server, name, monkeypatch)
    folder = inner(name, made(name, Path("cache/datasets")))
    (Path("cache/datasets") / SOME[name]).unlink()
    assert len(SETS[name]().read()) == TRAIN
    file = next(iter(sorted(folder.glob("*train*") or folder.glob("data*"))), folder / "test_batch")
    file.write_bytes(b"damaged")
    with pytest.raises(InputError, match="remove the damaged files to download the set again"):
        SETS[name]().read()
    file.unlink()
    assert len(SETS[name]().read()) == TRAIN


@pytest.mark.parametrize("name", GREY)
def test_labels_of_another_number_are_an_error(name, tmp_path):
    root = made(name, tmp_path / "root")
    labels = inner(name, root) / "train-labels-idx1-ubyte"
    labels.write_bytes(idx(truth(name, "test")[1]))
    assert f"(it has {TRAIN} images and {TEST} labels)" in unfit(name, root)


def test_labels_beyond_the_classes_are_an_error(tmp_path):
    root = made("mnist", tmp_path / "root")
    (inner("mnist", root) / "train-labels-idx1-ubyte").write_bytes(idx(torch.full((TRAIN,), 10)))
    assert "(it has a label 10, and 10 classes)" in unfit("mnist", root)


def test_a_set_without_images_is_an_error(tmp_path):
    root = made("mnist", tmp_path / "root")
    folder = inner("mnist", root)
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(torch.zeros(0)))
    (folder / "train-images-idx3-ubyte").write_bytes(idx(torch.zeros(0, 28, 28)))
    assert "(it has no images)" in unfit("mnist", root)


# What pickled files may do


@pytest.fixture
def processed(tmp_path):
    """Add the folder that an old torchvision made, of other images than the raw files."""

    def add(root):
        folder = root / "MNIST" / "processed"
        folder.mkdir(parents=True)
        for name in ("training.pt", "test.pt"):
            torch.save((torch.zeros(3, 28, 28).byte(), torch.tensor([0.5, 1, 2])), folder / name)
        return root

    return add


def test_the_old_layout_of_mnist_is_not_read_beside_the_raw_files(tmp_path, processed):
    samples = MNIST(root=str(processed(made("mnist", tmp_path / "root")))).read()
    assert torch.equal(samples.stored, truth("mnist", "train")[0])
    assert torch.equal(samples.labels, truth("mnist", "train")[1])


def test_the_old_layout_of_mnist_alone_is_refused(tmp_path, processed, server, monkeypatch):
    offer(server, "mnist", monkeypatch)
    root = processed(tmp_path / "root")
    before = listing(root)
    for read in (MNIST(root=str(root)).read, StackedMNIST(root=str(root)).read):
        with pytest.raises(InputError) as caught:
            read()
        assert str(caught.value).startswith(
            f"{root / 'MNIST'} has only the folder processed of an old torchvision"
        )
    assert (listing(root), server.asked) == (before, [])


def as_in_2009(data, labels):
    """Pickle a batch as its publisher did, with Python 2 and the numpy of that time."""
    rows, columns = data.shape
    shape = struct.pack("<cHcH", b"M", rows, b"M", columns)
    return (
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03"
        + b"U\x06labelsq\x04]q\x05("
        + b"".join(b"K" + bytes([label]) for label in labels)
        + b"eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07"
        + b"cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\t(K\x01"
        + shape
        + b"\x86cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        + b"J\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", data.numel())
        + bytes(data.flatten().tolist())
        + b"tbu."
    )


def vouch(monkeypatch, file, data):
    """Have the MD5 of a file be the published one."""
    monkeypatch.setattr(CIFAR, "test_list", [[file.name, md5(data)]])
    file.write_bytes(data)


def test_a_batch_of_cifar_is_read_as_it_was_published(tmp_path, monkeypatch):
    root = made("cifar10", tmp_path / "root")
    stored, labels = truth("cifar10", "test")
    data = as_in_2009(stored.flatten(1), labels.tolist())
    vouch(monkeypatch, inner("cifar10", root) / "test_batch", data)
    samples = CIFAR10(root=str(root), split="test").read()
    assert torch.equal(samples.stored, stored)
    assert torch.equal(samples.labels, labels)


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("touched"),)


@pytest.mark.parametrize("vouched", [False, True])
def test_a_batch_of_cifar_cannot_call_code(tmp_path, monkeypatch, vouched):
    root = made("cifar10", tmp_path / "root")
    file, data = inner("cifar10", root) / "test_batch", pickle.dumps({"data": Evil()})
    if vouched:
        vouch(monkeypatch, file, data)
    file.write_bytes(data)
    with pytest.raises(InputError) as caught:
        CIFAR10(root=str(root), split="test").read()
    message = str(caught.value)
    assert ("cannot reshape" if vouched else "its MD5 is not the published one") in message
    assert not Path("touched").exists()


def test_a_download_of_cifar_is_not_unpickled_by_the_loader(server, monkeypatch):
    offer(server, "cifar10", monkeypatch)
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, lambda *_, **__: pytest.fail("it is unpickled"))
    assert len(CIFAR10().read()) == TRAIN


# What is mirrored, and by what it is judged


def test_only_photographs_are_mirrored(tmp_path, refused):
    for name in SETS:
        root = str(made(name, tmp_path / name))
        assert open_dataset(name, root=root).flip is (name == "cifar10")
    root = str(tmp_path / "cifar10")
    assert not open_dataset("cifar10", root=root, flip="false").flip
    for name in ("digits", "mnist", "fashion-mnist", "stacked-mnist"):
        message = refused("train", "mlp", "--data", name, "--set", "data.flip=true")
        assert message.startswith("Error: unknown option 'data.flip'; known: image_size")


def test_photographs_have_classes_with_names(tmp_path):
    samples = open_dataset("cifar10", root=str(made("cifar10", tmp_path / "root")))
    assert samples.spec.class_names == tuple(f"kind {i}" for i in range(10))
    assert samples.spec.class_index("kind 3") == 3


def test_digits_are_judged_by_classifiers_of_their_own(tmp_path):
    root = str(made("mnist", tmp_path / "root"))
    assert open_dataset("mnist", root=root).spec.features == "mnist-cnn"
    stacked = open_dataset("stacked-mnist", root=root, samples=4)
    assert stacked.spec.features == "stacked-mnist-cnn"


def test_photographs_are_judged_by_a_classifier_of_their_own(tmp_path):
    root = str(made("cifar10", tmp_path / "root"))
    assert open_dataset("cifar10", root=root).spec.features == "cifar10-cnn"


# Stacked MNIST


@pytest.mark.parametrize("split", ["train", "test"])
def test_stacked_digits_are_three_digits(split, tmp_path):
    root = str(made("mnist", tmp_path / "root"))
    samples = open_dataset("stacked-mnist", root=root, split=split, samples=300)
    stored, labels = truth("mnist", split)
    assert samples.spec.shape == (3, 28, 28)
    assert samples.spec.classes == 1000
    assert samples.labels.dtype == torch.int64
    places = {bytes(image.flatten().tolist()): place for place, image in enumerate(stored)}
    seen = set()
    for image, label in zip(samples.stored, samples.labels.tolist(), strict=True):
        three = [places[bytes(channel.flatten().tolist())] for channel in image]
        seen.update(three)
        red, green, blue = (int(labels[place]) for place in three)
        assert label == 100 * red + 10 * green + blue
    assert seen == set(range(len(stored)))


def test_stacked_digits_are_drawn_the_same_each_time(tmp_path):
    root = str(made("mnist", tmp_path / "root"))
    before = torch.get_rng_state()
    few, more = (open_dataset("stacked-mnist", root=root, samples=n) for n in (50, 90))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(few.stored, more.stored[:50])
    assert torch.equal(few.labels, more.labels[:50])
    assert (few.labels < 100).sum() < 25  # all channels are drawn
    large = open_dataset("stacked-mnist", root=root, samples=50, image_size="16x20")
    wanted = images.resize(few.stored, (16, 20))
    assert torch.equal(large.stored, wanted)
    assert StackedMNIST(root=root).samples == 128_000


@pytest.mark.parametrize("check", dataset_checks, ids=lambda check: check.__name__)
def test_conformance_of_stacked_digits(check, tmp_path):
    check(StackedMNIST(root=str(made("mnist", tmp_path / "root")), samples=60))


def test_too_many_stacked_digits_are_refused(tmp_path, monkeypatch):
    root = str(made("mnist", tmp_path / "root"))
    monkeypatch.setenv("GANZOO_MEMORY", "0.1")
    with pytest.raises(InputError, match=r"100,000 stacked images would take 0\.2 GiB of memory"):
        open_dataset("stacked-mnist", root=root, samples=100_000)


def test_networks_train_on_stacked_digits(tmp_path, ganzoo_cli):
    root = made("mnist", tmp_path / "root")
    chosen = ["mlp", "--data", "stacked-mnist", "--set", f"data.root={root}", "--set"]
    small = ["data.samples=64", "--set", "arch.hidden=8", "--batch-size", "4", "--steps", "1"]
    result = ganzoo_cli("train", *chosen, *small, "--device", "cpu", "--out", "run")
    assert result.code == 0, result


@pytest.mark.parametrize("name", SETS)
def test_networks_train_on_each_set(name, tmp_path, ganzoo_cli):
    root = made(name, tmp_path / "root")
    chosen = ["dcgan", "--data", name, "--set", f"data.root={root}", "--loss", "hinge"]
    small = ["--set", "arch.base_channels=2", "--set", "arch.z_dim=4", "--set"]
    small += ["arch.conditional=true", "--batch-size", "4", "--steps", "1", "--device", "cpu"]
    result = ganzoo_cli("train", *chosen, *small, "--out", "run")
    assert result.code == 0, result
    files = ganzoo_cli("sample", "run", "-n", "10", "--out", "drawn", "--device", "cpu")
    assert files.code == 0, files
    assert len(list((tmp_path / "drawn").iterdir())) == 10
