"""Drawing from a model beside a plain loop over batches of 64, on the same network.

    python tests/benchmarks/sampling.py dcgan --samples 1024

trains a model for a moment, loads it, and draws with :meth:`ganzoo.Model.generate`, in turns
with a loop as scripts have it: the network of ``plain/`` with the model's weights, in evaluation
mode and memory as it comes, under ``torch.no_grad()``. Both give uint8 images, which must be the
same for the same latents, but for one level where rounding falls otherwise.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import ganzoo
from ganzoo.media.images import save_png
from ganzoo.registry import ARCHITECTURE, get
from ganzoo_zoo.apps.bench.clocks import clock_for
from measuring import Turns, column, conditions, in_words, ratio, spread, table
from plain.networks import NETWORKS
from reference import ENDLESS, WIDTHS, made, take_over

BATCH = 64
"""Latents of a pass of the plain loop."""
TRAINED = {
    "steps": 2,
    "batch_size": 4,
    "n_critic": 1,
    "sample_every": ENDLESS,
    "checkpoint_every": ENDLESS,
    "device": "cpu",
}
"""Enough for statistics that are none of the first."""


def main(arguments: list[str] | None = None) -> None:
    """Draw by both in turns, and print how they compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    architectures = [name for name in NETWORKS if get(ARCHITECTURE, name)().takes_latents]
    parser.add_argument("architecture", choices=architectures)
    parser.add_argument("--image-size", type=int, choices=(16, 32, 64, 128), default=32)
    parser.add_argument("--base-channels", type=int, help="By default the paper's or script's.")
    parser.add_argument("--samples", type=int, default=1024, help="Of a turn.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = measured(options)
    print(json.dumps(found, indent=1)) if options.json else print(show(found))


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Let both take turns."""
    device = torch.device(options.device)
    clock = clock_for(device)
    with tempfile.TemporaryDirectory() as folder:
        own = {"arch.base_channels": options.base_channels} if options.base_channels else {}
        model = trained(options.architecture, options.image_size, Path(folder), settings=own).to(
            device
        )
    z_dim, count = model.architecture.z_dim, options.samples
    plain = plain_generator(model).to(device)

    def latents() -> Iterable[Tensor]:
        for start in range(0, count, BATCH):
            yield torch.randn(min(BATCH, count - start), z_dim, device=device)

    def stored() -> Tensor:
        return model.generate(model.inputs.draw(count, seed=0), stored=True)

    ours = stored()
    theirs = drawn_plainly(plain, model.inputs.latents(count, 0).to(device).split(BATCH))
    levels = (ours.int() - theirs.int()).abs()
    assert levels.max() <= 1, f"other images, by up to {levels.max()} levels"
    turns = Turns(
        {
            "plain": lambda: drawn_plainly(plain, latents()),
            "ganzoo": stored,
        },
        rounds=options.rounds,
        clock=clock,
    )
    turns.play()
    told = turns.told(device)
    walls, owns = (
        {arm: column(told["raw"], kind, arm) for arm in turns.arms} for kind in ("wall", "process")
    )
    return {
        **vars(options),
        **told,
        "title": model.config.architecture.name,
        "images_a_second": {
            arm: spread(count / wall for wall in found) for arm, found in walls.items()
        },
        "times_as_fast": ratio(walls["plain"], walls["ganzoo"]),
        "times_as_fast_by_process_time": ratio(owns["plain"], owns["ganzoo"]),
        "other_levels": float((levels > 0).float().mean()),
    }


def trained(
    architecture: str,
    size: int,
    folder: Path,
    *,
    images: int = 16,
    settings: Mapping[str, Any] | None = None,
) -> ganzoo.Model:
    """Train a model for a moment on images that are made, and load it."""
    data = folder / "images"
    data.mkdir()
    for number, image in enumerate(made(images, size).stored):
        save_png(image, data / f"{number}.png", {})
    run = ganzoo.train(
        architecture,
        data=str(data),
        out=folder / "run",
        settings={
            **WIDTHS.get(architecture, {}),
            **(settings or {}),
            "data.image_size": size,
        },
        **TRAINED,
    )
    return ganzoo.load(run)


def plain_generator(model: ganzoo.Model) -> nn.Module:
    """Return the plain network with the weights of a model."""
    choice, shape = model.config.architecture, model.config.spec.shape
    generator, _ = NETWORKS[choice.name](shape, **choice.options)
    take_over(generator, model.generator)
    return generator.eval()


@torch.no_grad()
def drawn_plainly(generator: nn.Module, latents: Iterable[Tensor]) -> Tensor:
    """Return uint8 images ``(N, C, H, W)`` on the CPU."""
    parts = [
        ((generator(part) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()
        for part in latents
    ]
    return torch.cat(parts)


def show(found: dict[str, Any]) -> str:
    """Return a table, and a line of what it is about."""
    about = (
        f"{found['title']}, {found['image_size']} x {found['image_size']}, {found['samples']} "
        f"images a turn; {conditions(found)}; {found['other_levels']:.1e} of all numbers another "
        "level"
    )
    return f"{about}\n\n{table(HEADER, [row(found)])}"


HEADER = ("generator", "plain, images/s", "ganzoo, images/s", "times as fast", "by process time")


def row(found: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    speeds = found["images_a_second"]
    return [
        f"{found['title']}, {found['image_size']}",
        *(f"{speeds[arm]['median']:.4g}" for arm in ("plain", "ganzoo")),
        in_words(found["times_as_fast"]),
        in_words(found["times_as_fast_by_process_time"]),
    ]


if __name__ == "__main__":
    main()
