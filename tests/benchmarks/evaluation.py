"""What judging costs beside the network that looks: its share of the time, and the peak memory.

    python tests/benchmarks/evaluation.py --data photos.zip --samples 10000

judges an untrained model by the named metrics and prints the time of the whole, that of it which
passed inside the feature extractor, and the most memory that the process had. A second pass, with
--passes 2, finds the reals' features in the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import torch

import ganzoo
from ganzoo import evaluate
from ganzoo.evaluation.features import Extractors
from ganzoo.protocols.evaluator import LoadedExtractor
from measuring import busy, own
from random_weights import random_inception

STANDARD = "inception-v3-compat"
spent: list[float] = []


def main(arguments: list[str] | None = None) -> None:
    """Judge, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits", help="A set with as many samples at least.")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--samples", type=int, default=10_000, help="Fakes.")
    parser.add_argument("--real-samples", type=int, help="By default as many as the fakes.")
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--metric", action="append", help="By default fid, is, kid and prc.")
    parser.add_argument("--features", default=STANDARD)
    parser.add_argument("--features-weights", type=Path, help="By default random ones.")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    options.metric = options.metric or ["fid", "is", "kid", "prc"]
    options.real_samples = options.real_samples or options.samples
    found = measured(options)
    print(json.dumps(found, indent=1)) if options.json else print(show(found))


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Judge an untrained model, once or more often."""
    passes: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder, timed_extractors():
        os.environ["GANZOO_CACHE"] = str(Path(folder) / "cache")
        weights = options.features_weights
        if weights is None and options.features == STANDARD:
            weights = random_inception(Path(folder) / "inception.pth")
        run = ganzoo.train(
            "mlp",
            data=options.data,
            out=Path(folder) / "run",
            steps=0,
            settings={"data.image_size": options.image_size, "train.device": options.device},
        )
        before = memory()
        for _ in range(options.passes):
            spent.clear()
            mine, all_cores, began = own(), busy(), time.perf_counter()
            evaluate(
                run,
                options.metric,
                samples=options.samples,
                real_samples=options.real_samples,
                features=options.features,
                features_weights=weights,
                device=options.device,
            )
            seconds = time.perf_counter() - began
            foreign = busy() - all_cores - (own() - mine)
            passes.append(
                {
                    "seconds": seconds,
                    "extractor_seconds": sum(spent),
                    "times_the_extractor": seconds / sum(spent),
                    "peak_gb": memory(),
                    "cores_of_others": max(0.0, foreign / seconds),
                }
            )
    given = {**vars(options), "features_weights": str(options.features_weights or "random")}
    return {**given, "before_gb": before, "passes": passes}


def show(found: dict[str, Any]) -> str:
    """Return a line for each pass."""
    lines = [
        f"{found['samples']} fakes and {found['real_samples']} reals by "
        f"{', '.join(found['metric'])}; before that {found['before_gb']:.2f} GB"
    ]
    lines += [
        f"pass {number}: {each['seconds']:.1f} s, of which the extractor "
        f"{each['extractor_seconds']:.1f} s: {each['times_the_extractor']:.3f} times; peak memory "
        f"{each['peak_gb']:.2f} GB; others had {each['cores_of_others']:.2f} cores"
        for number, each in enumerate(found["passes"], 1)
    ]
    return "\n".join(lines)


def memory() -> float:
    """Return the most memory that this process had at once, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def timed_extractors() -> Any:
    """Time each call of any extractor."""
    load = Extractors._get_extractor

    def loading(self: Extractors, name: str) -> LoadedExtractor:
        found = load(self, name)
        if not hasattr(found.extract, "timed"):

            def extract(batch: torch.Tensor, extract: Any = found.extract) -> Any:
                began = time.perf_counter()
                try:
                    return extract(batch)
                finally:
                    spent.append(time.perf_counter() - began)

            extract.timed = True
            found = LoadedExtractor(**{**vars(found), "extract": extract})
            self._loaded[name] = found
        return found

    return mock.patch.object(Extractors, "_get_extractor", loading)


if __name__ == "__main__":
    main()
