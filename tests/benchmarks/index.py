"""What large sets cost before the first step: to index a folder and a zip, and to start again.

    python tests/benchmarks/index.py --files 200000 --images 10000000

makes a folder of small files with the names of images and a zip of them, and indexes both: a first
time, once more, and after one file has changed. Then it makes a set of so many images as a first
pass leaves it in the cache, starts from it, and reads batches in the order of a training. Each of
these is done in a process of its own. What is printed of its memory is by how much it grew, without
what is imported. Linux only; nothing is left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

CLASSES = 100
SHAPE = (3, 64, 64)
BATCH = 64
BATCHES = 200


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--images", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="Where there is room; by default for temps.")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(worked(*options.work)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        os.environ["GANZOO_CACHE"] = str(folder / "cache")
        made(folder, options.files)
        for path in (folder / "files", folder / "files.zip"):
            for what in ("first", "again"):
                told(f"{path.name}, {what}", options.files, measured("index", path))
        (folder / "files" / "00" / "00000000.png").write_bytes(b"another")
        told("files, one changed", options.files, measured("index", folder / "files"))
        start(folder, options.images)


def start(folder: Path, count: int) -> None:
    """Start from the index of a made set, and read batches of it."""
    import torch

    import millions
    from ganzoo.training.batch_order import BatchOrder

    order = BatchOrder(count, BATCH, 0)
    places = torch.cat([order(number) for number in range(2 * BATCHES)]).tolist()
    millions.make(folder / "images.zip", count, SHAPE, places)
    os.environ["GANZOO_MEMORY"] = "1"
    found = measured("open", folder / "images.zip")
    told(f"start with {count:,} images", count, found)
    for name, seconds in found["batches"].items():
        print(f"{name:<34}{1000 * seconds:10.2f} ms")


def made(folder: Path, count: int) -> None:
    """Make files in folders, of 200 bytes each and all different, and a zip of them."""
    rng = random.Random(0)
    with zipfile.ZipFile(folder / "files.zip", "w") as archive:
        for number in range(count):
            name = f"{number * CLASSES // count:02d}/{number:08d}.png"
            path, data = folder / "files" / name, rng.randbytes(200)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            archive.writestr(name, data)
    from ganzoo_zoo.data import image_source

    time.sleep(
        image_source.SETTLE_TIME / 1e9 + 1
    )  # or all would be read again as changed a moment ago


def measured(work: str, path: Path) -> dict[str, Any]:
    """Do some work in a process of its own, and return what it found."""
    command = [sys.executable, __file__, "--work", work, str(path)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def worked(work: str, path: str) -> dict[str, Any]:
    """Do some work in this process."""
    from ganzoo_zoo.data import files, sources

    def index() -> None:
        with (sources.open_folder if os.path.isdir(path) else sources.open_zip)(path) as source:
            source.find_files()
            source.content_hash()

    if work == "index":
        return costs(index)
    opened: list[Any] = []
    found = costs(lambda: opened.append(files.ImageZip(path=path).read()))
    return {**found, **costs_of_batches(opened[0])}


def costs(work: Callable[[], object]) -> dict[str, float]:
    """Return the seconds that work takes, those of processors, and by how many MiB memory grew."""
    Path("/proc/self/clear_refs").write_text("5")
    before, began, used = kilobytes("VmRSS"), time.perf_counter(), time.process_time()
    work()
    return {
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - used,
        "grown": (kilobytes("VmHWM") - before) / 1024,
    }


def costs_of_batches(samples: Any) -> dict[str, Any]:
    """Time what a training waits for: the order of a batch, and a batch that nobody read ahead."""
    import torch

    from ganzoo.training.batch_order import BatchOrder
    from ganzoo.training.batches import BatchLoader

    order = BatchOrder(len(samples), BATCH, 0)
    feed = BatchLoader(samples, torch.device("cpu"), seed=0)
    began = time.perf_counter()
    places = [order(number) for number in range(2 * BATCHES)]
    ordered = (time.perf_counter() - began) / len(places)
    handle = samples.mapped_array._handle
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    cold = timed(lambda at: feed._read(at), places[:BATCHES])
    warm = timed(lambda at: feed._read(at), places[:BATCHES])
    by_map = timed(lambda at: samples.stored.numpy()[at.numpy()], places[BATCHES:])
    return {
        "batches": {
            f"order of a batch of {BATCH}": ordered,
            "a batch from the disk": cold,
            "a batch from the system's cache": warm,
            "a batch from the disk by a map": by_map,
        }
    }


def timed(read: Callable[[Any], object], places: list[Any]) -> float:
    """Return the seconds that one batch takes."""
    began = time.perf_counter()
    for at in places:
        read(at)
    return (time.perf_counter() - began) / len(places)


def kilobytes(word: str) -> int:
    """Return a number that the system knows of this process."""
    return int(Path("/proc/self/status").read_text().partition(f"{word}:")[2].split()[0])


def told(what: str, count: int, found: dict[str, float]) -> None:
    """Print a line of the table."""
    million = count / 1e6
    print(
        f"{what:<34}{found['seconds']:10.2f} s, {found['seconds'] / million:8.2f} s a million, "
        f"{found['processor'] / million:8.2f} s of processors, {found['grown']:8.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
