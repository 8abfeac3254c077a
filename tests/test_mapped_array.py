"""Arrays that stay on the disk, of which rows are read."""

from __future__ import annotations

import gc
import os

import numpy as np
import pytest
import torch

from ganzoo.compute import memory
from ganzoo.errors import InputError
from ganzoo.protocols.dataset import DataSpec, Samples, fingerprint
from ganzoo.storage import mapped_array
from ganzoo.storage.mapped_array import MappedArray

SHAPES = [(50, 3, 4, 6), (7, 1), (1, 2, 3)]


@pytest.fixture(params=["by place", "by the map"])
def way(request, monkeypatch):
    if request.param == "by the map":
        monkeypatch.setattr(mapped_array, "HAS_PREAD", False)


def stored(path, shape, kind=np.uint8):
    array = np.random.default_rng(0).integers(0, 256, shape).astype(kind)
    np.save(path, array)
    return array


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_rows_are_those_of_the_array(tmp_path, way, shape, kind):
    array = stored(tmp_path / "x.npy", shape, kind)
    found = MappedArray(tmp_path / "x.npy")
    assert np.array_equal(found.tensor.numpy(), array)
    for places in ([], [0], [shape[0] - 1, 0, 0], list(range(shape[0])) * 2):
        read = found.read(torch.tensor(places, dtype=torch.int64))
        assert np.array_equal(read.numpy(), array[places])
        assert read.dtype == found.tensor.dtype
    assert b"".join(found.blocks()) == array.tobytes()


@pytest.mark.parametrize("places", [[50], [0, 50], [1 << 40]])
def test_what_is_not_there_is_an_error(tmp_path, way, places):
    stored(tmp_path / "x.npy", SHAPES[0])
    with pytest.raises(IndexError):
        MappedArray(tmp_path / "x.npy").read(torch.tensor(places))


@pytest.mark.skipif(not mapped_array.HAS_PREAD, reason="reads by the map")
def test_a_file_that_has_become_shorter_is_an_error(tmp_path):
    stored(tmp_path / "x.npy", SHAPES[0])
    found = MappedArray(tmp_path / "x.npy")
    os.truncate(tmp_path / "x.npy", 500)
    with pytest.raises(OSError, match=r"x\.npy has become shorter"):
        found.read(torch.tensor([49]))


def test_what_is_written_to_the_map_never_reaches_the_file(tmp_path):
    array = stored(tmp_path / "x.npy", SHAPES[0])
    found = MappedArray(tmp_path / "x.npy")
    found.tensor.fill_(0)
    assert np.array_equal(np.load(tmp_path / "x.npy"), array)


def test_the_file_is_closed_when_nobody_wants_it_any_more(tmp_path):
    stored(tmp_path / "x.npy", SHAPES[0])
    found = MappedArray(tmp_path / "x.npy")
    handle, kept = found._handle, found.tensor
    del found
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handle)
    assert len(kept) == 50


def test_more_than_there_is_memory_can_be_mapped(tmp_path):
    count = 4 * memory.limit() // 4096
    path = tmp_path / "large.npy"
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, 4096)}
        np.lib.format.write_array_header_1_0(file, header)
        begin = file.tell()
        try:
            file.truncate(begin + 4096 * count)
        except OSError:
            pytest.skip("this system has no files with holes")
        file.seek(begin + 4096 * (count - 1))
        file.write(b"\1" * 4096)
    found = MappedArray(path)
    assert found.tensor[-1].sum() == found.read(torch.tensor([count - 1])).sum() == 4096
    assert found.read(torch.tensor([count // 2])).sum() == 0


def on_the_disk(path, **more):
    array = stored(path, SHAPES[0])
    found = MappedArray(path)
    labels = (torch.arange(50) % 5).to(torch.uint8)
    spec = DataSpec(shape=(3, 4, 6), classes=5)
    return array, Samples(spec, found.tensor, labels, streamed=True, mapped_array=found, **more)


def test_samples_are_read_from_their_file(tmp_path, monkeypatch):
    array, samples = on_the_disk(tmp_path / "x.npy", names=[str(i) for i in range(50)])
    assert samples.fingerprint == fingerprint(torch.from_numpy(array))
    places = torch.tensor([40, 3, 3])
    assert np.array_equal(samples.select(places).numpy(), array[[40, 3, 3]])
    subset = samples.subset(places)
    assert np.array_equal(subset.stored.numpy(), array[[40, 3, 3]])
    assert (subset.mapped_array, subset.streamed, subset.names) == (None, False, ("40", "3", "3"))
    for labels in (subset.labels, samples.labels_of(places)):
        assert labels.tolist() == [0, 3, 3]
        assert labels.dtype == torch.int64
    assert samples.to("cpu").mapped_array is samples.mapped_array
    assert samples.to("meta").mapped_array is None
    monkeypatch.setenv(memory.VARIABLE, str(100 / memory.GIB))
    with pytest.raises(InputError, match=r"^3 samples would take 0\.0 GiB of memory"):
        samples.subset(places)


def test_samples_in_memory_have_no_file():
    points = Samples(DataSpec(shape=(2,)), torch.randn(5, 2))
    assert points.labels_of(torch.tensor([1])) is None
    assert torch.equal(points.select(torch.tensor([4, 1])), points.stored[[4, 1]])
