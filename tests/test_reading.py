"""Image files that are decoded once and kept by their content."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo import open_dataset, progress
from ganzoo.compute import memory
from ganzoo.errors import GanzooError, InputError
from ganzoo.protocols.dataset import fingerprint
from ganzoo_zoo.data import decoding, reading, sources
from ganzoo_zoo.data.parallel import map_in_order
from ganzoo_zoo.data.shaping import Shaping


def picture(number, size=(10, 8), mode="RGB"):
    """Encode an image of noise; ``size`` is width and height, as Pillow has it."""
    rng = np.random.default_rng(number)
    channels = {"L": 1, "RGB": 3, "RGBA": 4}[mode]
    pixels = rng.integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(buffer, "PNG")
    return buffer.getvalue()


CONTENTS = {f"{kind}/{i}.png": picture(10 * i + len(kind)) for kind in ("a", "bb") for i in (1, 2)}


def fill(root, contents):
    for name, data in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def pack(path, contents):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def every(monkeypatch):
    """Have sets of every size kept."""
    monkeypatch.setattr(reading, "KEPT_IMAGES", 0)


@pytest.fixture
def decoded(monkeypatch):
    """Count the images that are decoded."""
    sizes = []
    before = decoding.decode_pixels
    monkeypatch.setattr(
        decoding,
        "decode_pixels",
        lambda *arguments: sizes.append(1) or before(*arguments),
    )
    return sizes


@pytest.fixture(params=["folder", "zip"])
def put(request, tmp_path):
    """Put files into a folder or a zip in the same place, and return its path."""

    def put(contents):
        if request.param == "zip":
            return str(pack(tmp_path / "images.zip", contents))
        shutil.rmtree(tmp_path / "images", ignore_errors=True)
        return str(fill(tmp_path / "images", contents))

    return put


def entries():
    return [path for path in Path("cache/images").glob("*") if path.is_dir()]


def same(one, other):
    assert torch.equal(one.stored, other.stored)
    assert one.spec == other.spec
    assert one.names == other.names
    assert one.skipped == other.skipped
    assert one.fingerprint == other.fingerprint == fingerprint(one.stored)
    assert (one.labels is None) == (other.labels is None)
    assert one.labels is None or torch.equal(one.labels, other.labels)


def test_the_range_of_a_kept_set_is_known(put, every, decoded):
    files = {f"{i}.png": encoded(np.full((4, 4), i * 1000, np.uint16)) for i in range(4)}
    path = put(files)
    first = open_dataset(path)
    assert "3,000 of 65,535" in first.notes[0]
    assert open_dataset(path).notes == first.notes
    assert len(decoded) == 4
    spread = open_dataset(path, white_level=3000)
    assert spread.stored[:, 0, 0, 0].tolist() == [0, 85, 170, 255]
    assert spread.notes == open_dataset(path, white_level=3000).notes == ()
    assert first.fingerprint == open_dataset(path).fingerprint


def encoded(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


KINDS = {
    "plain": ({}, CONTENTS),
    "resized": ({"image_size": 5}, CONTENTS),
    "not square": ({"image_size": "4x6"}, CONTENTS),
    "grey": ({"image_channels": 1}, CONTENTS),
    "with alpha": (
        {"image_channels": 4, "image_size": 5},
        {"a.png": picture(1, mode="RGBA"), "b.png": picture(2), "c.png": picture(3, mode="L")},
    ),
    "all grey": ({}, {"a.png": picture(1, mode="L"), "b.png": picture(2, mode="L")}),
    "grey at first": (
        {},
        {**{f"{i}.png": picture(i, mode="L") for i in range(7)}, "z.png": picture(1)},
    ),
    "other sizes": (
        {"image_size": 6},
        {f"{i}.png": picture(i, (6 + i % 3, 9)) for i in range(8)},
    ),
    "broken": ({}, {**CONTENTS, "a/0.png": b"", "a/3.png": b"text", "bb/3.png": picture(1)[:60]}),
}


@pytest.mark.parametrize("chunk", [1, 3, 256])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_is_what_is_read(put, decoded, monkeypatch, kind, chunk):
    options, contents = KINDS[kind]
    path = put(contents)
    monkeypatch.setattr(reading, "CHUNK_IMAGES", chunk)
    read = open_dataset(path, **options)
    assert not Path("cache").exists()
    monkeypatch.setattr(reading, "KEPT_IMAGES", 0)
    first = open_dataset(path, **options)
    count = len(decoded)
    second = open_dataset(path, **options)
    assert len(decoded) == count
    assert len(entries()) == 1
    same(read, first)
    same(read, second)
    assert second.content == fingerprint(second.stored)
    monkeypatch.setenv(memory.VARIABLE, "1e-7")
    mapped = open_dataset(path, **options)
    assert mapped.streamed
    assert not second.streamed
    assert len(decoded) == count
    same(read, mapped)


@pytest.mark.parametrize("change", ["a byte", "added", "removed", "renamed", "moved"])
def test_other_content_is_read_anew(put, every, change):
    before = open_dataset(put(CONTENTS))
    contents = dict(CONTENTS)
    if change == "a byte":
        data = Image.open(io.BytesIO(contents["a/1.png"]))
        pixels = np.array(data)
        pixels[0, 0, 0] ^= 1
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        contents["a/1.png"] = buffer.getvalue()
    elif change == "added":
        contents["a/9.png"] = picture(99)
    elif change == "removed":
        del contents["bb/2.png"]
    else:
        name = {"renamed": "a/7.png", "moved": "bb/7.png"}[change]
        contents[name] = contents.pop("a/1.png")
    after = open_dataset(put(contents))
    assert after.names == tuple(sorted(contents))
    for name, image in zip(after.names, after.stored, strict=True):
        pixels = np.array(Image.open(io.BytesIO(contents[name])))
        assert torch.equal(image, torch.from_numpy(pixels).permute(2, 0, 1))
    assert after.labels.tolist() == [int(name.startswith("bb")) for name in after.names]
    assert len(entries()) == 2
    same(before, open_dataset(put(CONTENTS)))


def test_one_byte_that_breaks_an_image_is_seen(tmp_path, every):
    root = fill(tmp_path / "images", CONTENTS)
    assert len(open_dataset(str(root))) == 4
    data = bytearray(CONTENTS["a/1.png"])
    data[-20] ^= 1
    stamp = (root / "a/1.png").stat()
    (root / "a/1.png").write_bytes(data)
    os.utime(root / "a/1.png", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert [what.partition(":")[0] for what in open_dataset(str(root)).skipped] == ["a/1.png"]


def test_other_options_are_read_anew(put, every):
    path = put(CONTENTS)
    shapes = {
        (): (3, 8, 10),
        ("image_size", 6): (3, 6, 6),
        ("image_size", "6x7"): (3, 6, 7),
        ("image_channels", 1): (1, 8, 10),
        ("image_channels", 4): (4, 8, 10),
    }
    for _ in range(2):
        for option, shape in shapes.items():
            samples = open_dataset(path, **dict([option] if option else []))
            assert samples.spec.shape == tuple(samples.stored.shape[1:]) == shape
    assert len(entries()) == len(shapes)


def test_a_crop_is_of_the_centre_and_read_anew(tmp_path, every):
    root = fill(tmp_path / "images", CONTENTS)
    found = []
    for crop in (None, 4, 6, 9):
        with sources.open_folder(str(root)) as source:
            found.append(reading.read_images(source, Shaping(None, None, crop)).stored)
    assert torch.equal(found[1], found[0][:, :, 2:6, 3:7])
    assert torch.equal(found[2], found[0][:, :, 1:7, 2:8])
    assert torch.equal(found[3], found[0][:, :, :, :9])
    assert len(entries()) == 4


def test_another_decoder_reads_anew(put, every, decoded, monkeypatch):
    path = put(CONTENTS)
    open_dataset(path)
    monkeypatch.setattr(decoding, "DECODER_VERSION", decoding.DECODER_VERSION + 1)
    open_dataset(path)
    assert len(decoded) == 2 * len(CONTENTS)


def test_a_copy_elsewhere_is_known(tmp_path, every, decoded):
    first = open_dataset(str(fill(tmp_path / "one", CONTENTS)))
    same(first, open_dataset(str(fill(tmp_path / "two", CONTENTS))))
    assert len(decoded) == len(CONTENTS)


def test_domains_are_kept_too(tmp_path, every, decoded):
    fill(tmp_path / "sets", CONTENTS)
    pack(tmp_path / "dark.zip", {"x.png": picture(7, mode="L"), "y.png": b"text"})
    for _ in range(2):
        samples = open_dataset("domains", a="sets", b="dark.zip")
        assert samples.spec.class_names == ("sets", "dark")
        assert samples.names == (*(f"sets/{name}" for name in CONTENTS), "dark/x.png")
        assert samples.labels.tolist() == [0] * 4 + [1]
        assert samples.skipped == ("dark/y.png: it is not an image of a known format",)
    assert len(decoded) == len(CONTENTS) + 1
    for contents, message in (
        ({"y.png": b"text"}, r"none of the images in .*dark\.zip can be read"),
        ({}, r"there are no images in .*dark\.zip"),
    ):
        pack(tmp_path / "dark.zip", contents)
        with pytest.raises(InputError, match=message):
            open_dataset("domains", a="sets", b="dark.zip")


# Which sets are kept


@pytest.mark.parametrize("limit", [("KEPT_IMAGES", 3), ("KEPT_BYTES", 300)])
def test_only_large_sets_are_kept(put, monkeypatch, limit):
    path = put(CONTENTS)
    assert reading.KEPT_IMAGES >= 1000
    assert reading.KEPT_BYTES >= 1 << 20
    open_dataset(path)
    assert entries() == []
    monkeypatch.setattr(reading, *limit)
    open_dataset(path)
    assert len(entries()) == 1


def test_a_small_set_of_large_images_stays_on_the_disk(put, monkeypatch):
    path = put(CONTENTS)
    monkeypatch.setenv(memory.VARIABLE, "1e-6")
    size = 4 * 8 * 10 * 3
    assert memory.limit() // 4 < size < memory.limit()
    samples = open_dataset(path)
    assert samples.streamed
    assert len(entries()) == 1
    monkeypatch.delenv(memory.VARIABLE)
    same(samples, open_dataset(path))


def test_the_processes_of_a_machine_share_its_memory(put, every, monkeypatch):
    path = put(CONTENTS)
    monkeypatch.setenv(memory.VARIABLE, str(4 * 1500 / memory.GIB))
    assert not open_dataset(path).streamed
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "0")
    assert not open_dataset(path).streamed  # all on other machines, for all that is known
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert open_dataset(path).streamed
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert not open_dataset(path).streamed


def test_what_is_mapped_can_be_used_as_any_tensor(put, monkeypatch):
    path = put(CONTENTS)
    whole = open_dataset(path)
    monkeypatch.setenv(memory.VARIABLE, "1e-6")
    samples = open_dataset(path)
    assert torch.equal(samples.batch(torch.tensor([2, 0])), whole.batch(torch.tensor([2, 0])))
    assert not samples.subset(torch.tensor([1])).streamed
    kept = next(Path("cache/images").glob(f"*/{reading.IMAGES}")).read_bytes()
    samples.stored[0] = 0  # a copy of the page: never the file
    assert next(Path("cache/images").glob(f"*/{reading.IMAGES}")).read_bytes() == kept


def test_without_a_cache_it_is_read_into_memory(put, every, monkeypatch):
    path = put(CONTENTS)
    Path("file").write_bytes(b"")
    monkeypatch.setenv("GANZOO_CACHE", str(Path("file").resolve()))
    samples = open_dataset(path)
    assert not samples.streamed
    assert samples.content is None
    monkeypatch.setenv(memory.VARIABLE, "1e-6")
    with pytest.raises(GanzooError) as caught:
        open_dataset(path)
    assert caught.value.exit_code == 1
    assert str(caught.value).endswith(
        "set GANZOO_CACHE to a folder with more room, or give a smaller --image-size"
    )
    assert str(caught.value).startswith(f"the images in {path} take 0.0 GiB")


def test_a_full_disk_is_seen_before_it_is_written_to(put, every, decoded, monkeypatch):
    path = put(CONTENTS)
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(reading.shutil, "disk_usage", lambda path: usage._replace(free=4 * 240 - 1))
    assert not open_dataset(path).streamed
    assert entries() == []
    monkeypatch.setenv(memory.VARIABLE, "1e-6")
    with pytest.raises(GanzooError, match=r"cannot be kept in .* \(No space left on device\)"):
        open_dataset(path)


# What is damaged, changes or is killed


@pytest.mark.parametrize("name", [reading.IMAGES, reading.INDEX])
@pytest.mark.parametrize("damage", ["cut", "emptied", "flipped", "gone"])
def test_a_damaged_entry_is_made_anew(put, every, decoded, name, damage):
    path = put(CONTENTS)
    first = open_dataset(path)
    (file,) = Path("cache/images").glob(f"*/{name}")
    data = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    elif damage in ("cut", "emptied"):
        file.write_bytes(data[:-3] if damage == "cut" else b"")
    else:
        data[-3] ^= 1
        file.write_bytes(data)
    same(first, open_dataset(path))
    assert len(decoded) == 2 * len(CONTENTS)
    same(first, open_dataset(path))
    assert len(decoded) == 2 * len(CONTENTS)


def test_a_file_that_changes_meanwhile_is_an_error(tmp_path, every, monkeypatch):
    root = fill(tmp_path / "images", CONTENTS)
    before = sources.FolderSource.content_hash

    def content(self):
        key = before(self)
        (root / "bb/1.png").write_bytes(picture(99))
        return key

    monkeypatch.setattr(sources.FolderSource, "content_hash", content)
    with pytest.raises(GanzooError, match=r"1\.png has changed while it was read; start again"):
        open_dataset(str(root))
    assert entries() == []


def test_a_set_of_unequal_sizes_is_kept_at_its_common_size_alone(put, every):
    path = put({**CONTENTS, "z.png": picture(1, (11, 8))})
    with pytest.warns(UserWarning, match="such as 8 x 10 and 8 x 11, and are resized to 32 x 32"):
        chosen = open_dataset(path)
    (kept,) = entries()
    assert open_dataset(path, image_size=32).fingerprint == chosen.fingerprint
    assert entries() == [kept]


def test_unreadable_sets_are_refused_and_not_kept(put, every):
    with pytest.raises(InputError, match="none of the 2 images in"):
        open_dataset(put({"a.png": b"text", "b.png": b""}))
    assert entries() == []


PROCESS = """
import sys, time
from ganzoo import open_dataset
from ganzoo_zoo.data import decoding, reading

reading.KEPT_IMAGES = 0
before = decoding.decode_pixels

def slow(image, *options):
    with open("decoded", "a") as file:
        file.write("x")
    time.sleep({seconds})
    return before(image, *options)

decoding.decode_pixels = slow
print(open_dataset("images", image_size=6).fingerprint)
"""


def started(seconds):
    code = PROCESS.format(seconds=seconds)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_two_processes_decode_once(tmp_path):
    fill(tmp_path / "images", CONTENTS)
    both = [started(0.1) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert said[0] == said[1] == open_dataset("images", image_size=6).fingerprint + "\n"
    assert Path("decoded").read_text() == "x" * len(CONTENTS)


@pytest.mark.skipif(os.name != "posix", reason="kills")
def test_a_killed_first_pass_leaves_nothing_that_is_used(tmp_path, every, decoded):
    fill(tmp_path / "images", CONTENTS)
    process = started(600)
    for _ in range(1200):
        if Path("decoded").exists():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list(Path("cache/images").iterdir())
    assert entries() == [] or all(entry.name.startswith(".") for entry in entries())
    assert len(open_dataset("images", image_size=6)) == len(CONTENTS)
    assert len(decoded) == len(CONTENTS)
    (entry,) = entries()
    assert not entry.name.startswith(".")


# Progress, and work in threads


def test_progress_is_told(put, every):
    told = []
    path = put(CONTENTS)
    with progress.send_progress_to(lambda what, done, total: told.append((what, done, total))):
        open_dataset(path)
    name = Path(path).name
    assert told[-1] == (f"reading {name}", 4, 4)
    assert told[-2][0] == f"hashing {name}"
    assert told[-2][1] == told[-2][2]


def test_results_come_in_order_and_few_at_a_time():
    started = []

    def work(item):
        started.append(item)
        time.sleep(0.002 * (item % 3))
        return item * item

    for place, result in enumerate(map_in_order(work, range(50), room=lambda: 2)):
        assert result == place * place
        assert len(started) <= place + 3
    assert list(map_in_order(work, range(50))) == [i * i for i in range(50)]
    assert list(map_in_order(work, [], room=lambda: 0)) == []
    assert list(map_in_order(work, [3], room=lambda: 0)) == [9]


def test_a_failure_in_a_thread_ends_the_work():
    def work(item):
        if item == 3:
            raise ValueError("three")
        return item

    results = map_in_order(work, range(10_000))
    with pytest.raises(ValueError, match="three"):
        list(results)


def test_the_index_holds_any_name(tmp_path, every):
    name = os.fsdecode(b"\xff.png")
    root = tmp_path / "images"
    root.mkdir()
    try:
        (root / name).write_bytes(picture(1))
    except OSError:
        pytest.skip("this system has no such names")
    for _ in range(2):
        assert open_dataset(str(root)).names == (name,)
