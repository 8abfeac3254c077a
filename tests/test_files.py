"""Files that appear whole or not at all."""

import math
from pathlib import Path

import pytest
import torch

from ganzoo.errors import InputError
from ganzoo.storage.cache import cache_folder
from ganzoo.storage.files import atomic_folder, atomic_path, write_text
from ganzoo.storage.json_files import read_json, to_json
from ganzoo.storage.tensors import load_tensors, save_tensors


class Stop(Exception):
    pass


def fill_and_stop(path):
    path.write_text("half")
    raise Stop


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole(tmp_path):
    file = tmp_path / "a.txt"
    write_text(file, "one")
    write_text(file, "two")
    assert file.read_text() == "two"
    assert names(tmp_path) == ["a.txt"]


def test_a_file_that_fails_leaves_the_old_one(tmp_path):
    file = tmp_path / "a.txt"
    write_text(file, "old")
    with pytest.raises(Stop), atomic_path(file) as beside:
        fill_and_stop(beside)
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path):
    folder = tmp_path / "model"
    with atomic_folder(folder) as beside:
        (beside / "old").touch()
    with pytest.raises(Stop), atomic_folder(folder) as beside:
        fill_and_stop(beside / "new")
    assert names(folder) == ["old"]
    with atomic_folder(folder) as beside:
        (beside / "new").touch()
    assert names(folder) == ["new"]
    assert names(tmp_path) == ["model"]


def test_a_folder_comes_back_when_the_last_rename_fails(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    with atomic_folder(folder) as beside:
        (beside / "old").touch()
    rename = Path.rename

    def failing(self, target):
        if "before" not in target.name and "before" not in self.name:
            raise OSError("the disk is gone")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="the disk is gone"), atomic_folder(folder):
        pass
    assert names(folder) == ["old"]
    assert names(tmp_path) == ["model"]


def test_a_folder_comes_back_after_a_kill_between_the_renames(tmp_path):
    (tmp_path / ".model.before.tmp").mkdir()
    (tmp_path / ".model.before.tmp" / "old").touch()
    with pytest.raises(Stop), atomic_folder(tmp_path / "model") as beside:
        fill_and_stop(beside / "new")
    assert names(tmp_path / "model") == ["old"]
    assert names(tmp_path) == ["model"]


def test_leftovers_of_a_killed_process_are_cleared(tmp_path):
    left = tmp_path / ".model.12345.tmp"
    left.mkdir()
    (left / "half").touch()
    with atomic_folder(tmp_path / "model"):
        pass
    assert names(tmp_path) == ["model"]


def test_tensors_keep_every_bit_and_give_the_same_bytes(tmp_path):
    tensors = {
        "floats": torch.tensor([0.1, -0.0, math.inf, 1e-45]),
        "transposed": torch.arange(6).view(2, 3).t(),
        "count": torch.tensor(3),
        "half": torch.ones(2, dtype=torch.bfloat16),
    }
    for name in ("one", "two"):
        save_tensors(tmp_path / name, tensors)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    found = load_tensors(tmp_path / "one")
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)
    assert found["floats"][1].signbit()


def test_shared_tensors_are_written_apart(tmp_path):
    shared = torch.arange(3.0)
    save_tensors(tmp_path / "shared", {"a": shared, "b": shared})
    assert torch.equal(load_tensors(tmp_path / "shared")["b"], shared)


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\xff" * 100])
def test_what_is_no_safetensors_is_refused(tmp_path, content):
    file = tmp_path / "file.safetensors"
    file.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        load_tensors(file)


@pytest.mark.parametrize(
    "content",
    [b"{", b"\xff", b'{"a": NaN}', b"[" * 100_000, b" " * (1 << 20) + b"1"],
    ids=["half", "not utf-8", "nan", "deep", "large"],
)
def test_what_is_no_json_is_refused(tmp_path, content):
    file = tmp_path / "file.json"
    file.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as JSON"):
        read_json(file)


def test_missing_files_are_named(tmp_path):
    for read in (read_json, load_tensors):
        with pytest.raises(InputError, match="nothing is missing"):
            read(tmp_path / "nothing")


def test_json_refuses_what_is_no_number():
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"value": math.nan})


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("GANZOO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "ganzoo"
