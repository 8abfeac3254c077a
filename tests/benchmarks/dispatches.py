"""How much a step hands to the device: the trainer's operators beside those of the plain loop.

    python tests/benchmarks/dispatches.py

counts what one step dispatches, by torch's own dispatcher, without a GPU. Where networks and
batches are small a GPU waits for the host, and a step takes as long as handing over its operators.
Views launch nothing and are not counted; what is fused or done for a list of tensors at once is one
operator. The last columns are the host's time for a step of networks that are as small as
possible, in which there is little but that.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

import reference
from ganzoo.registry import ARCHITECTURE, get
from ganzoo.resolve import resolve
from ganzoo.training.prepare import build_trainer
from measuring import table

ARCHITECTURES = ("mlp", "dcgan", "sngan", "resnet", "sngan-resnet", "r3gan", "stylegan2", "biggan")
ARMS = ("plain", "ganzoo", "floor")
NARROW = {
    "mlp": ["arch.hidden=8,8"],
    "dcgan": ["arch.base_channels=2"],
    "r3gan": ["arch.base_channels=16"],
    "stylegan2": ["arch.channel_max=4", "arch.z_dim=4", "arch.w_dim=4"],
    "biggan": ["arch.base_channels=2", "arch.z_dim=8", "arch.shared_dim=4"],
}
"""What makes networks as narrow as they can be; others are so by their ``base_channels``."""
REST = {"_local_scalar_dense", "empty", "empty_like", "empty_strided", "detach", "lift_fresh"}
"""What launches nothing, beside views."""


class Launches(TorchDispatchMode):
    """Counts the operators that launch something on a device."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if not func.is_view and name not in REST:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


def main(arguments: list[str] | None = None) -> None:
    """Count, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("architectures", nargs="*", default=list(ARCHITECTURES))
    parser.add_argument("--steps", type=int, default=20, help="Steps that are timed.")
    parser.add_argument("--blame", action="store_true", help="List what is dispatched more often.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found = {name: count(name, options.steps) for name in options.architectures}
    if options.json:
        print(json.dumps(found, indent=1))
        return
    print(show(found))
    if options.blame:
        for name, each in found.items():
            print(f"\n{name}: {blame(each)}")


def count(name: str, steps: int) -> dict[str, Any]:
    """Count and time a step of each arm."""
    arms = build(name)
    found: dict[str, Any] = {"operators": {}, "launches": {}, "ms": {}}
    for arm, step in arms.items():
        step()
        step()
        with Launches() as launches:
            step()
        found["operators"][arm] = dict(launches.counts)
        found["launches"][arm] = sum(launches.counts.values())
    times: dict[str, list[float]] = {arm: [] for arm in arms}
    for _ in range(steps):
        for arm, step in arms.items():
            began = time.perf_counter()
            step()
            times[arm].append(1000 * (time.perf_counter() - began))
    found["ms"] = {arm: round(statistics.median(each), 3) for arm, each in times.items()}
    return found


def build(name: str) -> dict[str, Callable[[], object]]:
    """Build the arms of an architecture, as narrow as they can be."""
    narrow = NARROW.get(name)
    if narrow is None:
        narrow = ["arch.base_channels=4"]
        assert "base_channels" in get(ARCHITECTURE, name).model_fields, f"{name}: see NARROW"
    words = [name, "--batch-size=4", *(f"--set={each}" for each in narrow)]
    options = reference.parsed(words)
    config = resolve(name, None, "digits", reference.settings_of(options, {}))
    trainer = build_trainer(config, reference.made(64, options.image_size))
    return {
        "plain": reference.plain_loop(config, trainer).step,
        "ganzoo": trainer.step,
        "floor": reference.tuned_loop(config, trainer).step,
    }


def show(found: dict[str, dict[str, Any]]) -> str:
    """Return a table."""
    header = ["trained", *(f"{arm}, launches" for arm in ARMS), *(f"{arm}, ms" for arm in ARMS)]
    rows = [
        [
            name,
            *(str(each["launches"][arm]) for arm in ARMS),
            *(f"{each['ms'][arm]:.2f}" for arm in ARMS),
        ]
        for name, each in found.items()
    ]
    return table(header, rows)


def blame(found: dict[str, Any], other: str = "floor") -> str:
    """List the operators that the trainer dispatches more often than another arm, and how often."""
    more = Counter(found["operators"]["ganzoo"]) - Counter(found["operators"][other])
    return ", ".join(f"{number} {name}" for name, number in ordered(more.items())) or "nothing"


def ordered(counts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return counts, the largest first."""
    return sorted(counts, key=lambda pair: (-pair[1], pair[0]))


if __name__ == "__main__":
    main()
