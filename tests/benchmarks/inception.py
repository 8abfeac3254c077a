"""Inception's features and FID beside torch-fidelity's own loop, in turns.

    python tests/benchmarks/inception.py --samples 256

Both have the same network with the same weights, which are random, as what it costs does not depend
on them. torch-fidelity is called as its documentation says, with its default batches of 64; ganzoo
as a user would. Compared are the features of some images, a FID, and that FID again: ganzoo has the
reals' features in its cache then, and torch-fidelity looks at them anew, as it keeps nothing of a
dataset that has no name. Fakes are the same; torch-fidelity is given them ready made.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
import torch_fidelity
from torch import Tensor
from torch.utils.data import Dataset
from torch_fidelity.utils import create_feature_extractor, get_featuresdict_from_dataset

import ganzoo
from evaluation import STANDARD
from ganzoo.evaluation.features import Extractors
from ganzoo.media.images import to_uint8
from ganzoo.protocols.dataset import DataSpec, Samples
from ganzoo_zoo.apps.bench.clocks import clock_for
from measuring import Turns, column, conditions, in_words, ratio, spread, table
from random_weights import random_inception
from reference import made
from sampling import trained

ARMS = ("torch-fidelity", "ganzoo", "ganzoo, again")
DIGITS = 5
"""Digits of both FIDs that are the same."""


def main(arguments: list[str] | None = None) -> None:
    """Judge by both in turns, and print how they compare."""
    options = parsed(arguments)
    found = measured(options)
    print(json.dumps(found, indent=1)) if options.json else print(show(found))


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=256, help="Fakes, and reals, of a FID.")
    parser.add_argument("--images", type=int, default=64, help="Of a turn, for features alone.")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5, help="Of features.")
    parser.add_argument("--fid-rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Let both take turns, at features and then at FIDs."""
    with tempfile.TemporaryDirectory() as folder:
        weights = random_inception(Path(folder) / "inception.pth")
        return {
            **vars(options),
            "features": features(options, weights),
            "fid": fids(options, weights, Path(folder)),
        }


class Listed(Dataset):
    """Images as torch-fidelity takes them."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def features(options: argparse.Namespace, weights: Path) -> dict[str, Any]:
    """Look at the same images by both."""
    device = torch.device(options.device)
    images = made(options.images, options.image_size).stored
    samples = Samples(DataSpec(shape=tuple(images.shape[1:])), images)
    theirs = create_feature_extractor(
        STANDARD,
        ["2048"],
        cuda=device.type == "cuda",
        feature_extractor_weights_path=str(weights),
        verbose=False,
    )
    ours = Extractors(STANDARD, weights, samples.spec, device)
    found: dict[str, Tensor] = {}

    def by_torch_fidelity() -> None:
        batch = torch_fidelity.defaults.DEFAULTS["batch_size"]
        with warnings.catch_warnings(action="ignore"):  # of more workers than there are cores
            found["torch-fidelity"] = get_featuresdict_from_dataset(
                Listed(images), theirs, batch, device.type == "cuda", False, False
            )["2048"]

    def by_ganzoo() -> None:
        found["ganzoo"] = ours.prepare_set(samples, STANDARD, "images", keep=False).features.pooled

    arms = {"torch-fidelity": by_torch_fidelity, "ganzoo": by_ganzoo}
    turns = Turns(arms, rounds=options.rounds, clock=clock_for(device))
    turns.play()
    told = turns.told(device)
    walls = {arm: column(told["raw"], "wall", arm) for arm in arms}
    apart = (found["ganzoo"] - found["torch-fidelity"]).norm() / found["torch-fidelity"].norm()
    return {
        **told,
        "images_a_second": {
            arm: spread(options.images / wall for wall in each) for arm, each in walls.items()
        },
        "times_as_fast": ratio(walls["torch-fidelity"], walls["ganzoo"]),
        "apart": float(apart),
    }


def fids(options: argparse.Namespace, weights: Path, folder: Path) -> dict[str, Any]:
    """Judge the same fakes by both, and by ganzoo once more."""
    count, device = options.samples, torch.device(options.device)
    model = trained("dcgan", options.image_size, folder, images=count)
    fakes, reals = Listed(to_uint8(model.sample(count))), Listed(images_of(model))
    caches = {arm: folder / arm for arm in ARMS[1:]}
    found: dict[str, float] = {}

    def by_torch_fidelity() -> None:
        with warnings.catch_warnings(action="ignore"):
            judged = torch_fidelity.calculate_metrics(
                input1=fakes,
                input2=reals,
                fid=True,
                cuda=device.type == "cuda",
                feature_extractor_weights_path=str(weights),
                verbose=False,
            )
        found["torch-fidelity"] = judged["frechet_inception_distance"]

    def by_ganzoo(arm: str) -> None:
        os.environ["GANZOO_CACHE"] = str(caches[arm])
        (row,) = ganzoo.evaluate(
            model,
            ["fid"],
            samples=count,
            features=STANDARD,
            features_weights=weights,
            device=options.device,
        )
        found[arm] = row.value

    def anew() -> None:
        shutil.rmtree(caches["ganzoo"], ignore_errors=True)
        by_ganzoo("ganzoo")

    by_ganzoo("ganzoo, again")  # for its cache
    arms = dict(
        zip(ARMS, (by_torch_fidelity, anew, lambda: by_ganzoo("ganzoo, again")), strict=True)
    )
    turns = Turns(arms, rounds=options.fid_rounds, clock=clock_for(device), warm_up=0)
    turns.play()
    told = turns.told(device)
    walls = {arm: column(told["raw"], "wall", arm) for arm in arms}
    return {
        **told,
        "seconds": {arm: spread(each) for arm, each in walls.items()},
        "times_as_fast": {arm: ratio(walls["torch-fidelity"], walls[arm]) for arm in arms},
        "fid": found,
        "same_digits": len({f"{value:.{DIGITS}g}" for value in found.values()}) == 1,
    }


def images_of(model: ganzoo.Model) -> Tensor:
    """Return the images that a model was trained on."""
    choice = model.config.data
    return ganzoo.open_dataset(choice.name, **choice.options).stored


def show(found: dict[str, Any]) -> str:
    """Return two tables, and lines of what they are about."""
    looked, judged = found["features"], found["fid"]
    size = f"{found['image_size']} x {found['image_size']}"
    fid = ", ".join(f"{judged['fid'][arm]:.7g} by {arm}" for arm in ARMS[:2])
    return "\n\n".join(
        [
            f"{found['images']} images of {size} a turn; {conditions(looked)}; features "
            f"{looked['apart']:.0e} apart",
            table(FEATURES, features_rows(looked)),
            f"FID of {found['samples']} fakes and as many reals of {size}: {fid}; "
            f"{conditions(judged)}",
            table(FIDS, fid_rows(judged)),
        ]
    )


FEATURES = ("features", "images/s", "times as fast")
FIDS = ("FID", "seconds", "times as fast")


def features_rows(found: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table of features."""
    speeds = found["images_a_second"]
    return [
        ["torch-fidelity", in_words(speeds["torch-fidelity"], ".1f"), "1"],
        ["ganzoo", in_words(speeds["ganzoo"], ".1f"), in_words(found["times_as_fast"])],
    ]


def fid_rows(found: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table of FIDs."""
    return [
        [arm, in_words(found["seconds"][arm], ".1f"), in_words(found["times_as_fast"][arm])]
        for arm in ARMS
    ]


if __name__ == "__main__":
    main()
