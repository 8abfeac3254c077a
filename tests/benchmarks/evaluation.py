"""What judging costs beside the network that looks: its share of the time, and the peak memory.

    python tests/benchmarks/evaluation.py --data photos.zip --samples 10000

judges an untrained model by the named metrics and prints the time of the whole, that of it which
passed inside the feature extractor, and the most memory that the process had. A second pass, with
--passes 2, finds the reals' features in the cache.
"""

from __future__ import annotations

import argparse
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
from ganzoo.evaluator import LoadedExtractor
from ganzoo.extraction import Extractors

STANDARD = "inception-v3-compat"
spent: list[float] = []


def main() -> None:
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
    options = parser.parse_args()
    metrics = options.metric or ["fid", "is", "kid", "prc"]
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
            settings={"data.image_size": options.image_size},
        )
        reals = options.real_samples or options.samples
        print(f"{options.samples} fakes and {reals} reals by {', '.join(metrics)}; ", end="")
        print(f"before that {memory():.2f} GB", flush=True)
        for number in range(1, options.passes + 1):
            spent.clear()
            began = time.perf_counter()
            evaluate(
                run,
                metrics,
                samples=options.samples,
                real_samples=reals,
                features=options.features,
                features_weights=weights,
            )
            whole, inside = time.perf_counter() - began, sum(spent)
            print(
                f"pass {number}: {whole:.1f} s, of which the extractor {inside:.1f} s: "
                f"{whole / inside:.3f} times; peak memory {memory():.2f} GB",
                flush=True,
            )


def memory() -> float:
    """Return the most memory that this process had at once, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def timed_extractors() -> Any:
    """Time each call of any extractor."""
    load = Extractors._load

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

    return mock.patch.object(Extractors, "_load", loading)


def random_inception(path: Path) -> Path:
    """Write random weights for the standard network: what it costs does not depend on them."""
    import torch_fidelity

    torch.manual_seed(0)
    with (
        mock.patch("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url"),
        mock.patch.object(torch_fidelity.FeatureExtractorInceptionV3, "load_state_dict"),
    ):
        network = torch_fidelity.FeatureExtractorInceptionV3("made", ["2048"], verbose=False)
    torch.save(network.state_dict(), path)
    return path


if __name__ == "__main__":
    main()
