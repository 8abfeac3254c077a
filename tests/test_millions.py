"""A set of ten million images: how it starts, and what it takes of the memory.

There are no ten million files: its index and its images are written as a first pass leaves them,
the images into a file of holes. What reads them is what reads any set.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from ganzoo.cache import cached_folder
from ganzoo.seeding import BatchOrder
from ganzoo_data import index, indexed, reading, sources

COUNT, CLASSES = 10_000_000, 100
SHAPE = (3, 8, 8)
WORLD, BATCH, BATCHES = 4, 64, 30

PROCESS = """
import json, time
from pathlib import Path
import torch
from ganzoo import open_dataset
from ganzoo.feed import Feed
from ganzoo.ranks import Ranks
from ganzoo.seeding import BatchOrder
from ganzoo_data import files

class Team(Ranks):
    world = {world}

    def __init__(self, rank):
        self.rank = rank

    def share_of(self, whole):
        return whole[self.rank :: self.world]

def kilobytes(word):
    status = Path("/proc/self/status").read_text()
    return int(status.partition(word + ":")[2].split()[0])

Path("/proc/self/clear_refs").write_text("5")  # the peak is that from here on
before, began = kilobytes("VmRSS"), time.perf_counter()
samples = open_dataset("images.zip")
started = time.perf_counter() - began
began = time.perf_counter()
for place in range(len(samples) // 100):
    samples.names[place]
names = 100 * (time.perf_counter() - began)
found = []
for rank in range({world}):
    feed = Feed(samples, torch.device("cpu"), seed=0, team=Team(rank))
    order = BatchOrder(len(samples), {batch}, 0)
    batches = [feed.batch(number, order) for number in range({batches})]
    found.append([(float(real.sum()), labels.tolist()) for real, labels in batches])
print(json.dumps(dict(
    count=len(samples),
    streamed=samples.streamed,
    classes=samples.spec.class_names,
    sizes=samples.labels.bincount().tolist(),
    last=samples.names[-1],
    grown=(kilobytes("VmHWM") - before) / 1024,
    started=started,
    names=names,
    found=found,
)))
"""


def name_of(place):
    """Return the name of a file, in whose order the files come."""
    return f"{place * CLASSES // COUNT:02d}/{place:08d}.png"


def written(folder):
    """Write the index of all files."""
    width = len(name_of(0))
    with (folder / index.TEXT).open("wb") as text, (folder / index.ENDS).open("wb") as ends:
        for begin in range(0, COUNT, 1_000_000):
            places = np.arange(begin, begin + 1_000_000)
            digits = np.full((len(places), width), ord("/"), np.uint8)
            digits[:, :2] = in_digits(places * CLASSES // COUNT, 2)
            digits[:, 3:11] = in_digits(places, 8)
            digits[:, 11:] = np.frombuffer(b".png", np.uint8)
            text.write(digits.data)
            ends.write(((places + 1) * width).astype("<i8").data)
    with (folder / index.ROWS).open("wb") as rows:
        rows.truncate(COUNT * sources.Zip.kind.itemsize)


def in_digits(numbers, count):
    return (numbers[:, None] // 10 ** np.arange(count - 1, -1, -1) % 10 + ord("0")).astype(np.uint8)


@pytest.fixture
def millions(tmp_path):
    """Put a zip there that is known to hold ten million images."""
    (tmp_path / "images.zip").write_bytes(b"not looked into")
    with sources.zipped(str(tmp_path / "images.zip")) as zipped:
        state, key = zipped._state(), zipped._key()

    def make_index(folder):
        written(folder)
        index.describe(folder, {"state": state, "content": "made", "settled": True})

    def make_images(folder):
        with (folder / reading.IMAGES).open("wb") as images:
            header = {"descr": "|u1", "fortran_order": False, "shape": (COUNT, *SHAPE)}
            np.lib.format.write_array_header_1_0(images, header)
            begin = images.tell()
            images.truncate(begin + COUNT * int(np.prod(SHAPE)))
            for place in wanted_places().flatten().tolist():
                images.seek(begin + place * int(np.prod(SHAPE)))
                images.write(bytes([place % 251]) * int(np.prod(SHAPE)))
        about = {"skipped": [], "content": "made too"}
        (folder / reading.INDEX).write_text(json.dumps(about))

    cached_folder(indexed.KIND, key, make_index)
    cached_folder("images", reading.key_of("made", reading.Shaping(None, None)), make_images)


def wanted_places():
    order = BatchOrder(COUNT, BATCH, 0)
    return torch.stack([order(number) for number in range(BATCHES)])


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="measures as on Linux")
def test_ten_million_images(millions, tmp_path):
    code = PROCESS.format(world=WORLD, batch=BATCH, batches=BATCHES)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "GANZOO_MEMORY": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["count"], found["streamed"], found["last"]) == (COUNT, True, name_of(COUNT - 1))
    assert found["classes"] == [f"{label:02d}" for label in range(CLASSES)]
    assert found["sizes"] == [COUNT // CLASSES] * CLASSES
    # Each process has its share of each batch.
    for rank, batches in enumerate(found["found"]):
        for places, (total, labels) in zip(wanted_places(), batches, strict=True):
            mine = places[rank::WORLD]
            assert labels == (mine * CLASSES // COUNT).tolist()
            levels = (mine % 251).float() / 127.5 - 1
            assert total == pytest.approx(float(levels.sum()) * int(np.prod(SHAPE)), abs=0.1)
    # As a list the names alone would take 700 MiB, an order and labels in int64 76 each.
    assert found["grown"] < 70
    # It takes less time than to look at each name once.
    assert found["started"] < found["names"] / 2
