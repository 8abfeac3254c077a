"""The cache: by content, verified, shared by processes, and never in the way."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from ganzoo.storage import cache
from ganzoo.storage.cache import cache_folder

KEY = {"data": "abc", "size": [1, 2]}


def made(calls, value=1.0):
    def make():
        calls.append(value)
        return {"x": torch.full((3,), value)}

    return make


def test_an_entry_is_made_once():
    calls = []
    for _ in range(2):
        found = cache.get_or_make_tensors("features", KEY, made(calls))
        assert found["x"].tolist() == [1.0] * 3
    assert len(calls) == 1


@pytest.mark.parametrize("other", [{"data": "abd"}, {"size": [1, 3]}, {"more": 1}])
def test_another_key_is_another_entry(other):
    calls = []
    cache.get_or_make_tensors("features", KEY, made(calls))
    found = cache.get_or_make_tensors("features", {**KEY, **other}, made(calls, 2.0))
    assert found["x"].tolist() == [2.0] * 3


def test_an_entry_moved_to_another_key_is_not_used():
    calls = []
    cache.get_or_make_tensors("features", KEY, made(calls))
    (entry,) = [path for path in (cache_folder() / "features").iterdir() if path.is_dir()]
    other = {**KEY, "data": "abd"}
    cache.get_or_make_tensors("features", other, made(calls, 2.0))
    (second,) = {path for path in (cache_folder() / "features").iterdir() if path.is_dir()} - {
        entry
    }
    for file in entry.iterdir():
        (second / file.name).write_bytes(file.read_bytes())
    assert cache.get_or_make_tensors("features", other, made(calls, 3.0))["x"].tolist() == [3.0] * 3


@pytest.mark.parametrize("name", ["tensors.safetensors", "sha256", "key.json"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_entry_is_made_anew(name, damage):
    calls = []
    cache.get_or_make_tensors("features", KEY, made(calls))
    (file,) = (cache_folder() / "features").glob(f"*/{name}")
    content = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(content[:-2])
    else:
        content[-2] ^= 1
        file.write_bytes(content)
    for _ in range(2):
        assert cache.get_or_make_tensors("features", KEY, made(calls))["x"].tolist() == [1.0] * 3
    assert len(calls) == 2


def test_a_cache_that_cannot_be_written_to_stops_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "file"))
    assert cache.get_or_make_tensors("features", KEY, made([]))["x"].tolist() == [1.0] * 3


def test_a_failure_to_make_leaves_nothing():
    def fail(folder):
        (folder / "half").write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.get_or_make_folder("images", KEY, fail)
    assert not [path for path in (cache_folder() / "images").iterdir() if path.is_dir()]


PROCESS = """
import sys, time
import torch
from pathlib import Path
from ganzoo.storage.cache import get_or_make_tensors

def make():
    with Path("made").open("a") as file:
        file.write("x")
    time.sleep(0.5)
    return {"x": torch.ones(3)}

assert get_or_make_tensors("features", {"a": 1}, make)["x"].tolist() == [1.0] * 3
"""


def test_processes_share_an_entry(tmp_path):
    running = [subprocess.Popen([sys.executable, "-c", PROCESS]) for _ in range(3)]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    assert (tmp_path / "made").read_text() == "x"
