"""Indexes of image files: sorted in parts, kept as arrays, and used only while they are right."""

import dataclasses
import io
import json
import os
import random
import shutil
import time
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo import open_dataset
from ganzoo.errors import GanzooError, InputError
from ganzoo.registry import DATASET
from ganzoo.resolve import choose_data
from ganzoo_zoo.data import archive, files, image_source, index, listing, reading, sources
from ganzoo_zoo.data.files import repeat_labels
from ganzoo_zoo.data.index import FilteredNames, Index, JoinedNames, sort_records, to_bytes, to_name
from ganzoo_zoo.data.layout import outermost_folders

KIND = np.dtype("V3")
ODD = ["", "a", "a/b", "A", "é", "\udcff", "\ud800", "￿", "\U00010000", "a\nb", "a\0b", "z" * 300]
"""Names as systems may have them: with halves of surrogate pairs, and beyond them."""


def records(count, seed=0, same=0.2):
    """Make records in any order; some names come several times."""
    rng = random.Random(seed)
    names = [to_bytes(f"{rng.randrange(count)}/{i}é.png") for i in range(count)]
    return [
        (rng.choice(names) if rng.random() < same else name, rng.randbytes(3)) for name in names
    ]


# Names


def test_bytes_sort_as_names_do():
    assert [to_name(text) for text in sorted(map(to_bytes, ODD))] == sorted(ODD)


def test_names_are_a_sequence_of_str(monkeypatch):
    monkeypatch.setattr(index, "BLOCK", 4)
    wanted = sorted(ODD)
    names = Index.of([(to_bytes(name), b"xyz") for name in ODD], KIND).names
    assert len(names) == len(wanted)
    assert list(names) == wanted
    assert [names[i] for i in range(-len(wanted), len(wanted))] == wanted * 2
    assert names[2:5] == tuple(wanted[2:5])
    assert names[::-2] == tuple(wanted[::-2])
    assert names == wanted == names
    assert names == tuple(wanted)
    assert names != wanted[:-1]
    assert names != [*wanted[:-1], "other"]
    assert names != "text"
    assert [to_name(text) for text in names.iter_bytes()] == wanted
    for place in (len(wanted), -len(wanted) - 1):
        with pytest.raises(IndexError):
            names[place]


@pytest.mark.parametrize("places", [[], [0], [7], [0, 1, 2], [2, 5], [0, 3, 4, 7], list(range(8))])
def test_names_without_some(places):
    names = list("abcdefgh")
    assert list(FilteredNames(names, places)) == [
        name for at, name in enumerate(names) if at not in places
    ]


def test_names_of_several_sets_stand_behind_their_words():
    joint = JoinedNames({"x": ["a", "b"], "y": [], "z": ["c/d"]})
    assert joint == ["x/a", "x/b", "z/c/d"]
    assert joint.locate(2) == ("z", 0)


# Sorting and writing


@pytest.mark.parametrize("run", [1, 7, 100, 1000])
@pytest.mark.parametrize("count", [1, 6, 7, 8, 500])
def test_records_are_sorted_in_parts(tmp_path, monkeypatch, run, count):
    monkeypatch.setattr(index, "RUN", run)
    monkeypatch.setattr(index, "BLOCK", 16)
    given = records(count)
    wanted = sorted(dict(given).items())
    assert list(sort_records(iter(given), tmp_path)) == wanted
    assert list(tmp_path.iterdir()) == []
    index.write_index(iter(wanted), tmp_path)
    index.write_facts(tmp_path, {"state": "s"})
    for found in (Index.load(tmp_path, KIND), Index.of(given, KIND)):
        assert list(found.records()) == wanted
    assert Index.load(tmp_path, KIND).facts["state"] == "s"


@pytest.mark.parametrize("name", [*index.FILES, index.FACTS, index.MANIFEST])
@pytest.mark.parametrize("damage", ["cut", "emptied", "flipped", "gone"])
def test_a_damaged_index_is_not_opened(tmp_path, name, damage):
    index.write_index(sorted(dict(records(50)).items()), tmp_path)
    index.write_facts(tmp_path, {})
    assert Index.load(tmp_path, KIND)
    file = tmp_path / name
    data = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    elif damage == "flipped":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    else:
        file.write_bytes(data[:-3] if damage == "cut" else b"")
    assert Index.load(tmp_path, KIND) is None


def test_memory_does_not_grow_with_the_number_of_files(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "RUN", 2000)

    def peak(count):
        """Index so many made files, and return the most bytes that Python had at once."""
        numbers = range(count * 7, 0, -7)
        found = ((b"class/%08d.png" % (number * 7919 % 10**8), b"xyz") for number in numbers)
        tracemalloc.start()
        index.write_index(sort_records(found, tmp_path), tmp_path)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    small, large = peak(5_000), peak(60_000)
    assert len(np.memmap(tmp_path / index.ENDS, "<i8")) == 60_000
    # A run in memory, and a little for each that lies on the disk.
    assert large < 2 * small


# Zips


def packed(path, names, comment=b"", before=b"", kind=zipfile.ZIP_STORED):
    with path.open("wb") as file:
        file.write(before)
        with zipfile.ZipFile(file, "w", kind, allowZip64=True) as made:
            made.comment = comment
            for number, name in enumerate(names):
                made.writestr(name, f"{number} " * (number % 7))
    return path


NAMES = [
    *(f"a/{i:03d}.png" for i in range(150)),
    "é.png",
    "folder/",
    "日本/x.jpg",
    "a b",
    "b\\c.png",
]


@pytest.mark.parametrize("block", [200, 1 << 18])
@pytest.mark.parametrize("comment", [b"", b"a comment", b"PK\5\6" + bytes(40)])
@pytest.mark.parametrize("before", [b"", b"#!/bin/sh\n" * 9])
def test_members_are_those_that_zipfile_finds(tmp_path, monkeypatch, block, comment, before):
    monkeypatch.setattr(archive, "BLOCK", block)
    path = packed(tmp_path / "x.zip", NAMES, comment, before, zipfile.ZIP_DEFLATED)
    compared(path)


def compared(path):
    """Compare a zip's members, and what each holds, with what zipfile says."""
    try:
        with zipfile.ZipFile(path) as wanted:
            members = wanted.infolist()
            contents = [wanted.read(member) for member in members]
    except zipfile.BadZipFile as error:
        with path.open("rb") as file, pytest.raises(zipfile.BadZipFile, match=str(error)):
            list(archive.read_members(file))
        return
    fields = sources.ZipSource.kind.names
    with path.open("rb") as file:
        found = list(archive.read_members(file))
        assert [each.filename for each in found] == [each.filename for each in members]
        for field in fields:
            assert [getattr(a, field) for a in found] == [getattr(b, field) for b in members]
        bare = archive.open_without_directory(file)
        assert bare.namelist() == []
        made = [zipfile.ZipInfo(each.filename) for each in found]
        for copy, each in zip(made, found, strict=True):
            for field in fields:
                setattr(copy, field, getattr(each, field))
        assert [bare.read(each) for each in made] == contents


def test_zips_with_the_records_that_many_members_need(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 20)
    for number, before in enumerate((b"", b"#!/bin/sh")):
        path = packed(tmp_path / f"{number}.zip", NAMES, before=before)
        assert b"PK\6\6" in path.read_bytes()
        compared(path)


def test_broken_zips_are_refused_as_by_zipfile(tmp_path):
    rng = random.Random(0)
    whole = packed(tmp_path / "x.zip", NAMES[:5]).read_bytes()
    for cut in (*range(0, len(whole), 37), len(whole) - 1):
        (tmp_path / "y.zip").write_bytes(whole[:cut])
        compared(tmp_path / "y.zip")
    begin = whole.index(b"PK\1\2")
    for _ in range(200):
        data = bytearray(whole)
        data[rng.choice([rng.randrange(begin, len(data)), len(data) - rng.randrange(1, 22)])] ^= 255
        (tmp_path / "y.zip").write_bytes(data)
        try:
            with zipfile.ZipFile(tmp_path / "y.zip") as wanted:
                names = [(each.filename, each.header_offset) for each in wanted.infolist()]
        except Exception:
            names = None
        with (tmp_path / "y.zip").open("rb") as file:
            try:
                found = [(each.filename, each.header_offset) for each in archive.read_members(file)]
            except Exception:
                found = None
        assert found == names


# Which index is used


def picture(number):
    pixels = np.random.default_rng(number).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "BMP")  # all of one size
    return buffer.getvalue()


CONTENTS = {f"{kind}/{i}.bmp": picture(10 * i + len(kind)) for kind in ("a", "bb") for i in (1, 2)}


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Have the smallest sets treated as large ones, and trusted at once."""
    monkeypatch.setattr(image_source, "FEW_FILES", 3)
    monkeypatch.setattr(image_source, "SETTLE_TIME", -1)
    monkeypatch.setattr(reading, "KEPT_IMAGES", 3)


@pytest.fixture
def read(monkeypatch):
    """Collect the files that are read."""
    names, before = [], sources.read_file
    monkeypatch.setattr(sources, "read_file", lambda path: names.append(path.name) or before(path))
    return names


def fill(root, contents):
    for name, data in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def entries(kind):
    return [path for path in Path("cache", kind).glob("*") if path.is_dir()]


def same(one, other):
    assert one.names == other.names
    assert one.fingerprint == other.fingerprint
    assert one.labels.tolist() == other.labels.tolist()
    assert one.spec == other.spec
    assert one.skipped == other.skipped


def test_of_a_folder_that_has_not_changed_no_file_is_read(tmp_path, read):
    root = fill(tmp_path / "images", CONTENTS)
    first = open_dataset(str(root))
    assert sorted(read) == sorted(2 * [Path(name).name for name in CONTENTS])
    read.clear()
    for _ in range(2):
        same(first, open_dataset(str(root)))
        same(first, open_dataset(str(root), image_size=(4, 5)))
    assert sorted(read) == ["1.bmp", "1.bmp", "2.bmp", "2.bmp"]  # another size is decoded anew
    assert len(entries("index")) == 1


def restored(file, data):
    """Write to a file, and set back what can be set back of what the system knows of it."""
    before = file.stat()
    file.write_bytes(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (before.st_size, before.st_mtime_ns, before.st_ino) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ino,
    )


def replaced(file, data):
    """Put another file in the place of one."""
    before = file.stat()
    beside = file.with_suffix(".new")
    beside.write_bytes(data)
    os.utime(beside, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(beside, file)


CHANGES = {
    "a byte": (lambda root: restored(root / "a/1.bmp", picture(99)), ["1.bmp"]),
    "another file": (lambda root: replaced(root / "a/1.bmp", picture(99)), ["1.bmp"]),
    "added": (lambda root: (root / "a/9.bmp").write_bytes(picture(9)), ["9.bmp"]),
    "removed": (lambda root: (root / "bb/2.bmp").unlink(), []),
    "renamed": (lambda root: (root / "a/1.bmp").rename(root / "a/7.bmp"), ["7.bmp"]),
    "moved": (lambda root: (root / "a/1.bmp").rename(root / "bb/7.bmp"), ["7.bmp"]),
    "changed places": (
        lambda root: [
            (root / "a/1.bmp").rename(root / "x"),
            (root / "bb/1.bmp").rename(root / "a/1.bmp"),
            (root / "x").rename(root / "bb/1.bmp"),
        ],
        ["1.bmp", "1.bmp"],
    ),
    "touched": (lambda root: os.utime(root / "a/1.bmp"), ["1.bmp"]),
    "a folder added": (lambda root: fill(root, {"c/3.bmp": picture(3)}), ["3.bmp"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_seen_and_no_more_is_read(tmp_path, read, change):
    root = fill(tmp_path / "images", CONTENTS)
    before = open_dataset(str(root))
    read.clear()
    make, wanted = CHANGES[change]
    make(root)
    with sources.open_folder(str(root)) as source:
        source.find_files()
        content = source.content_hash()
    if len(source.names) > image_source.FEW_FILES:  # else all are read, as of any small set
        assert sorted(read) == wanted
    after = open_dataset(str(root))
    for name, image in zip(after.names, after.stored, strict=True):
        pixels = np.array(Image.open(root / name))
        assert np.array_equal(image.permute(1, 2, 0).numpy(), pixels)
    found = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.bmp"))
    assert list(after.names) == found
    assert (after.fingerprint == before.fingerprint) == (change == "touched")
    with sources.open_folder(str(shutil.copytree(root, tmp_path / "copy"))) as copy:
        copy.find_files()
        assert copy.content_hash() == content


def test_the_content_is_that_of_files_that_are_all_read(tmp_path, monkeypatch):
    root = fill(tmp_path / "images", {**CONTENTS, "a/0.bmp": b"", "bb/9.bmp": b"text"})
    (root / "bb" / "gone.png").symlink_to("nowhere")
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as made:
        for name, data in CONTENTS.items():
            made.writestr(name, data)

    def contents():
        for opened in (
            sources.open_folder(str(root)),
            sources.open_zip(str(path)),
            sources.open_joined({"x": str(path), "y": str(root)}),
        ):
            with opened as source:
                source.find_files()
                yield list(source.names), source.content_hash()

    kept = [list(contents()) for _ in range(3)]
    assert entries("index")
    monkeypatch.setattr(image_source, "FEW_FILES", 2000)
    shutil.rmtree("cache")
    assert kept == [list(contents())] * 3
    assert not Path("cache").exists()


def test_what_has_changed_a_moment_ago_is_read_again(tmp_path, read, monkeypatch):
    root = fill(tmp_path / "images", CONTENTS)
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as made:
        for name, data in CONTENTS.items():
            made.writestr(name, data)
    monkeypatch.setattr(image_source, "SETTLE_TIME", 60 * 10**9)
    hashed = []
    content = sources.ZipSource._hash_content
    monkeypatch.setattr(
        sources.ZipSource, "_hash_content", lambda self: hashed.append(1) or content(self)
    )
    first = [open_dataset(str(root)), open_dataset(str(tmp_path / "images.zip"))]
    read.clear()
    hashed.clear()
    same(first[0], open_dataset(str(root)))
    same(first[1], open_dataset(str(tmp_path / "images.zip")))
    assert sorted(read) == ["1.bmp", "1.bmp", "2.bmp", "2.bmp"]
    assert len(hashed) == 1
    monkeypatch.setattr(image_source, "SETTLE_TIME", -1)
    for _ in range(3):
        same(first[0], open_dataset(str(root)))
        same(first[1], open_dataset(str(tmp_path / "images.zip")))
    assert len(read) == 8
    assert len(hashed) == 2


def test_what_cannot_be_read_is_tried_each_time(tmp_path, read):
    root = fill(tmp_path / "images", CONTENTS)
    (root / "a" / "3.bmp").symlink_to(tmp_path / "late.bmp")
    assert open_dataset(str(root)).skipped == (f"a/3.bmp: {root / 'a' / '3.bmp'} is missing",)
    read.clear()
    assert len(open_dataset(str(root)).skipped) == 1
    assert read == []
    (tmp_path / "late.bmp").write_bytes(picture(50))
    samples = open_dataset(str(root))
    assert samples.skipped == ()
    assert "a/3.bmp" in samples.names


def test_a_zip_that_has_not_changed_is_not_looked_through(tmp_path, monkeypatch):
    path = packed_pictures(tmp_path / "images.zip", CONTENTS)
    first = open_dataset(str(path))
    with monkeypatch.context() as patched:
        patched.setattr(archive, "read_members", lambda file: pytest.fail("it is listed"))
        patched.setattr(
            sources.ZipSource, "_hash_content", lambda self: pytest.fail("it is hashed")
        )
        same(first, open_dataset(str(path)))
    packed_pictures(path, {**CONTENTS, "bb/2.bmp": picture(77)})
    after = open_dataset(str(path))
    assert after.names == first.names
    assert after.fingerprint != first.fingerprint


def packed_pictures(path, contents):
    with zipfile.ZipFile(path, "w") as made:
        for name, data in contents.items():
            made.writestr(name, data)
    return path


def test_what_is_left_out_is_known_from_the_index(tmp_path):
    contents = {f"top/{name}": data for name, data in CONTENTS.items()}
    table = {
        "top/labels.csv": "".join(f"{name},{i % 2}\n" for i, name in enumerate(CONTENTS)).encode()
    }
    others = {"top/notes.txt": b"text", "top/.old/1.png": b"", "top/plain": b""}
    files = {**contents, **table, **others}
    folder = fill(tmp_path / "images", files)
    for path in (str(folder), str(packed_pictures(tmp_path / "images.zip", files))):
        first = open_dataset(path)
        assert first.labels.tolist() == [0, 1, 0, 1]
        assert len(first.notes) == 3
        for _ in range(2):
            again = open_dataset(path)
            same(first, again)
            assert again.notes == first.notes
            with dataset_of(path).open_source() as source:
                source.find_files(verified=True)
                assert source.labels.classes == ("0", "1")
                assert source.notes == first.notes
    assert len(entries("index")) == 2


def dataset_of(path):
    return choose_data(path, {}).build(DATASET)


def test_a_new_table_is_seen(tmp_path):
    root = fill(tmp_path / "images", CONTENTS)
    assert open_dataset(str(root)).spec.class_names == ("a", "bb")
    (root / "labels.csv").write_text("a/1.bmp,x\na/2.bmp,y\nbb/1.bmp,y\nbb/2.bmp,y\n")
    assert open_dataset(str(root)).spec.class_names == ("x", "y")
    with dataset_of(str(root)).open_source() as source:
        source.find_files(verified=True)
        assert source.labels.classes == ("x", "y")


def test_a_split_of_a_kept_set(tmp_path):
    names = [f"{split}/{name}" for split in ("test", "train") for name in CONTENTS]
    contents = {name: picture(i) for i, name in enumerate(names)}
    for path in (
        str(fill(tmp_path / "images", contents)),
        str(packed_pictures(tmp_path / "images.zip", contents)),
    ):
        for split, begin in (("train", 4), ("test", 0), ("all", 0), ("train", 4)):
            samples = open_dataset(path, split=split)
            assert list(samples.names) == names[begin : begin + (8 if split == "all" else 4)]
            assert samples.spec.class_names == ("a", "bb")
            for name, image in zip(samples.names, samples.stored, strict=True):
                pixels = np.array(Image.open(io.BytesIO(contents[name])))
                assert np.array_equal(image.permute(1, 2, 0).numpy(), pixels)


def test_images_without_a_label_in_a_kept_set(tmp_path):
    root = fill(tmp_path / "images", {**CONTENTS, "c/3.bmp": picture(3), "c/4.bmp": picture(4)})
    (root / "labels.csv").write_text("a/2.bmp,x\nbb/1.bmp,y\nc/3.bmp,x\nc/4.bmp,y\n")
    for _ in range(2):
        samples = open_dataset(str(root))
        assert list(samples.names) == ["a/2.bmp", "bb/1.bmp", "c/3.bmp", "c/4.bmp"]
        assert samples.labels.tolist() == [0, 1, 0, 1]
        assert samples.labels.dtype == torch.int64
        for name, image in zip(samples.names, samples.stored, strict=True):
            pixels = np.array(Image.open(root / name))
            assert np.array_equal(image.permute(1, 2, 0).numpy(), pixels)


def test_a_zip_that_changes_while_it_is_read_is_an_error(tmp_path, monkeypatch):
    path = packed_pictures(tmp_path / "images.zip", CONTENTS)
    content = sources.ZipSource.content_hash

    def changing(self):
        found = content(self)
        with path.open("ab") as file:
            file.write(b"x")
        return found

    monkeypatch.setattr(sources.ZipSource, "content_hash", changing)
    with pytest.raises(
        GanzooError, match=r"images\.zip has changed while it was read; start again"
    ):
        open_dataset(str(path))
    assert entries("images") == []


@pytest.mark.parametrize("name", [*index.FILES, index.FACTS, index.MANIFEST])
def test_a_damaged_index_is_made_anew(tmp_path, read, name):
    root = fill(tmp_path / "images", CONTENTS)
    first = open_dataset(str(root))
    first = dataclasses.replace(first, names=tuple(first.names))
    (file,) = Path("cache/index").glob(f"*/{name}")
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    read.clear()
    same(first, open_dataset(str(root)))
    assert len(read) == len(CONTENTS)
    same(first, open_dataset(str(root)))
    assert len(read) == len(CONTENTS)


def test_without_a_cache_all_is_listed_in_memory(tmp_path, read, monkeypatch):
    root = fill(tmp_path / "images", CONTENTS)
    first = open_dataset(str(root))
    Path("file").write_bytes(b"")
    monkeypatch.setenv("GANZOO_CACHE", str(Path("file").resolve()))
    same(first, open_dataset(str(root)))


def test_where_the_system_cannot_tell_changes_no_index_is_kept(tmp_path, read, monkeypatch):
    root = fill(tmp_path / "images", CONTENTS)
    open_dataset(str(root))
    monkeypatch.setattr(image_source, "TELLS_CHANGES", False)
    read.clear()
    open_dataset(str(root))
    assert len(read) == len(CONTENTS)


def test_a_look_at_the_data_makes_the_index(tmp_path, read, ganzoo_cli):
    root = fill(tmp_path / "images", {**CONTENTS, "a/3.bmp": picture(11), "bb/9.bmp": b"text"})
    found = json.loads(ganzoo_cli("data", "check", root, "--json").out)
    assert found["samples"] == 5
    assert found["copies"] == [["a/1.bmp", "a/3.bmp"]]
    assert found["classes"] == {"a": 3, "bb": 2}
    assert found["broken"] == ["bb/9.bmp: it is not an image of a known format"]
    assert len(entries("index")) == 1
    read.clear()
    open_dataset(str(root))
    assert len(read) == 6  # to be decoded


def test_of_several_that_want_an_index_one_makes_it(tmp_path, monkeypatch):
    root = str(fill(tmp_path / "images", CONTENTS))
    read, before = [], sources.read_file

    def slowly(path):
        read.append(path.name)
        time.sleep(0.1)
        return before(path)

    monkeypatch.setattr(sources, "read_file", slowly)
    with ThreadPoolExecutor(3) as pool:
        first, *others = pool.map(open_dataset, [root] * 3)
    for other in others:
        same(first, other)
    assert len(read) == 2 * len(CONTENTS)  # to be hashed, and to be decoded


def test_a_folder_is_listed_however_deep_it_is_and_whatever_is_hidden(tmp_path):
    contents = {
        "a.png": b"1",
        "b/c/d/e/f.PNG": b"2",
        "b/c.png/g.jpeg": b"3",
        "b/.hidden/h.png": b"4",
        "b/c/.i.png": b"5",
        "__MACOSX/j.png": b"6",
        "b/k.txt": b"7",
        "b/c/png": b"8",
    }
    root = fill(tmp_path / "images", contents)
    (root / "circle.png").symlink_to("circle.png")
    (root / "again").symlink_to(root / "b")
    found = sorted(name for name, _ in listing.find_images(root, listing.LeftOut()))
    assert found == ["a.png", "b/c.png/g.jpeg", "b/c/d/e/f.PNG", "circle.png"]
    walked = [
        (Path(parent) / name).relative_to(root).as_posix()
        for parent, _, names in os.walk(root)
        for name in names
    ]
    assert found == sorted(name for name in walked if listing.is_image(name, listing.LeftOut()))


def test_what_is_an_image_is_told_as_by_pathlib():
    rng = random.Random(0)
    pieces = [
        "a",
        ".",
        "..",
        "/",
        "//",
        ".png",
        ".PNG",
        ".txt",
        "__MACOSX",
        "x.jpg",
        " ",
        "é",
        ".a",
    ]
    for _ in range(5000):
        name = "".join(rng.choices(pieces, k=rng.randrange(1, 7)))
        path = PurePosixPath(name)
        hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
        wanted = not hidden and path.suffix.lower() in listing.SUFFIXES
        assert listing.is_image(name, listing.LeftOut()) == wanted, name


# Classes


def test_the_outermost_folders_are_found_without_looking_at_each_name():
    rng = random.Random(0)
    pieces = ["a", "b", "0", "/", ".", "-", "é", "\udcff"]
    for _ in range(2000):
        names = {"".join(rng.choices(pieces, k=rng.randrange(1, 6))) for _ in range(8)}
        odd = {name for name in names if name.endswith(("/", "/.")) or not name.strip("./")}
        names = sorted(names - odd)
        parts = [PurePosixPath(name).parts for name in names]
        wanted = [part[0] if len(part) > 1 else None for part in parts]
        found = [folder for folder, count in outermost_folders(names) for _ in range(count)]
        assert found == wanted, names

    class Counted(list):
        looked = 0

        def __getitem__(self, place):
            self.looked += 1
            return super().__getitem__(place)

    names = Counted(f"{folder}/{i:05d}.png" for folder in "abc" for i in range(10_000))
    assert list(outermost_folders(names)) == [(folder, 10_000) for folder in "abc"]
    assert names.looked < 60


@pytest.mark.parametrize(("classes", "kind"), [(2, "uint8"), (256, "uint8"), (257, "int16")])
def test_labels_are_as_small_as_they_can_be(classes, kind):
    labels = repeat_labels([(label, 1 + label % 3) for label in range(classes)])
    assert str(labels.dtype) == f"torch.{kind}"
    assert labels.tolist() == [label for label in range(classes) for _ in range(1 + label % 3)]


def test_more_class_folders_than_there_may_be_classes_are_refused(tmp_path, monkeypatch):
    root = fill(tmp_path / "images", {f"{i}/1.bmp": picture(i) for i in range(5)})
    monkeypatch.setattr(files, "MOST_CLASSES", 4)
    with pytest.raises(InputError, match="has more than 4 class folders"):
        open_dataset(str(root))
