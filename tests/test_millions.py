"""A set of ten million images: how it starts, and what it takes of the memory."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import pytest
import torch

import millions
from ganzoo.training.batch_order import BatchOrder

COUNT = 10_000_000
SHAPE = (3, 8, 8)
WORLD, BATCH, BATCHES = 4, 64, 30

PROCESS = f"""
import json, time
from pathlib import Path
import torch
from ganzoo import open_dataset
from ganzoo.training.batches import BatchLoader
from ganzoo.distributed import Processes
from ganzoo.training.batch_order import BatchOrder
from ganzoo_zoo.data import files

class Team(Processes):
    world = {WORLD}

    def __init__(self, rank):
        self.rank = rank

    def take_share(self, whole):
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
for rank in range({WORLD}):
    feed = BatchLoader(samples, torch.device("cpu"), seed=0, team=Team(rank))
    order = BatchOrder(len(samples), {BATCH}, 0)
    batches = [feed.batch(number, order) for number in range({BATCHES})]
    found.append([(float(real.sum()), labels.tolist()) for real, labels, _ in batches])
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


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="measures as on Linux")
def test_ten_million_images(tmp_path):
    order = BatchOrder(COUNT, BATCH, 0)
    wanted = [order(number) for number in range(BATCHES)]
    millions.make(tmp_path / "images.zip", COUNT, SHAPE, torch.cat(wanted).tolist())
    done = subprocess.run(
        [sys.executable, "-c", PROCESS],
        env={**os.environ, "GANZOO_MEMORY": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    last = millions.name_of(COUNT - 1, COUNT)
    assert (found["count"], found["streamed"], found["last"]) == (COUNT, True, last)
    assert found["classes"] == [f"{label:02d}" for label in range(millions.CLASSES)]
    assert found["sizes"] == [COUNT // millions.CLASSES] * millions.CLASSES
    # Each process has its share of each batch.
    for rank, batches in enumerate(found["found"]):
        for places, (total, labels) in zip(wanted, batches, strict=True):
            mine = places[rank::WORLD]
            assert labels == millions.label_of(mine, COUNT).tolist()
            levels = millions.level_of(mine).float() / 127.5 - 1
            assert total == pytest.approx(float(levels.sum()) * math.prod(SHAPE), abs=0.1)
    # As a list the names alone would take 700 MiB; an order and labels in int64 take 76 each.
    assert found["grown"] < 70
    # It takes less time than to look at each name once.
    assert found["started"] < found["names"] / 2
