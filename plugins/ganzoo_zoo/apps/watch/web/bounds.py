"""The bounds of what a pupil may train on the teacher's machine.

The server holds them whatever a page asks for, before anything is read or built, and the process
that trains holds them once more. The options of the command and the page's words come from
:class:`Bounds`.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import GanzooError, InputError, excerpt
from ganzoo.registry import ARCHITECTURE, DATASET
from ganzoo_zoo.apps.watch.training.limits import MIB, RunLimits

if TYPE_CHECKING:
    from torch import nn

    from ganzoo.config import RunConfig
    from ganzoo.protocols.dataset import DataSpec

OPTIONS = frozenset(
    {
        "steps",
        "batch_size",
        "n_critic",
        "generator_lr",
        "discriminator_lr",
        "optimizer",
        "betas",
        "generator_betas",
        "discriminator_betas",
        "eps",
        "weight_decay",
        "clip_norm",
        "lr_decay",
        "lr_decay_from",
        "ema_half_life",
        "ema_ramp",
        "recipe",
        "seed",
        "device",
        "log_every",
        "sample_every",
        "retry_lr",
        "penalty",
        "augment",
    }
)
"""Options under ``train.`` that a pupil may set. Others compile, score or fill the disk."""
DEVICE = {"train.device": "cpu"}
MOST_PICTURES = 1000
"""Sample pictures of a run; each is a file."""
MOST_NUMBERS = 1_000_000
"""Numbers in a sample of data that are drawn."""
LEAST_DISK = 2 << 30
"""Bytes that must be free where runs are kept."""
GUESSED_SIDE, GUESSED_CLASSES = 16, 10
"""Images of which nothing is known before they are read: grey, with sides of so many pixels."""


def _bound(default: int, about: str) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True)
class Bounds:
    """What each pupil may have, and what each of their runs may take."""

    runs: int = _bound(3, "Runs that each pupil has on the page.")
    steps: int = _bound(20_000, "Steps of a pupil's run.")
    seconds: int = _bound(120, "Seconds that a pupil's run trains.")
    parameters: int = _bound(2_000_000, "Parameters of both networks of a pupil's run together.")
    memory: int = _bound(1_500, "MiB of memory of the process that trains a pupil's run.")
    samples: int = _bound(100_000, "Samples that are drawn for a pupil's run.")
    side: int = _bound(64, "Pixels along a side of the images of a pupil's run.")
    batch_size: int = _bound(512, "Samples in a batch of a pupil's run.")
    n_critic: int = _bound(20, "Updates of the discriminator in a step of a pupil's run.")

    def as_json(self) -> dict[str, int]:
        """Return the bounds by name."""
        return asdict(self)

    def limits(self) -> RunLimits:
        """Return what the process of a run may take."""
        return RunLimits(self.seconds, self.memory * MIB, self.as_json())

    def complete_settings(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return the options that a pupil asks for, with those that each pupil's run has.

        Raises:
            InputError: a pupil may not set one of them.
        """
        for key, value in settings.items():
            owner, _, name = key.partition(".")
            if (owner == "train" and name not in OPTIONS) or owner == "tracker":
                raise InputError(f"'{excerpt(key)}' cannot be set in a class")
            if value != DEVICE.get(key, value):
                raise InputError("the runs of a class train on the processor: drop train.device")
        return {**settings, **DEVICE}

    def require(self, config: RunConfig) -> None:
        """Refuse a run beyond the bounds. No data are read, and no network takes memory.

        Raises:
            InputError: it is beyond one of them; the message says which and what to do.
        """
        train = config.train
        for name, value in (
            ("steps", train.steps),
            ("batch_size", train.batch_size),
            ("n_critic", _find_highest(config, "n_critic")),
        ):
            self._require_at_most(f"train.{name}", value, getattr(self, name))
        if train.steps > MOST_PICTURES * train.sample_every:
            raise InputError(
                f"a run in a class has at most {MOST_PICTURES:,} pictures: set "
                f"train.sample_every to {math.ceil(train.steps / MOST_PICTURES)} or more"
            )
        self._require_data(config)
        self.require_parameters(_count_before(config))

    def require_change(self, settings: Mapping[str, str]) -> None:
        """Refuse a change of options beyond the bounds.

        Raises:
            InputError: it is beyond one of them.
        """
        with suppress(ValueError):  # the run itself refuses what is no number
            self._require_at_most(
                "train.n_critic", float(settings.get("train.n_critic", 0)), self.n_critic
            )

    def require_parameters(self, count: int | None) -> None:
        """Refuse networks that are too large.

        Args:
            count: Parameters of both; None if that is not known.

        Raises:
            InputError: there are too many.
        """
        if count is not None and count > self.parameters:
            raise InputError(
                f"the two networks have {count:,} parameters, and in this class they may have "
                f"{self.parameters:,}: choose fewer or smaller layers"
            )

    def _require_data(self, config: RunConfig) -> None:
        if config.data.build(DATASET).needs_download() is not False:
            raise InputError(
                f"the data '{config.data.name}' would have to be downloaded first: ask your "
                "teacher to train on them once, or choose others"
            )
        sizes = dict(_list_integers(config.data.options))
        for name, value in sizes.items():
            is_side = name.startswith("image_size")
            self._require_at_most(f"data.{name}", value, self.side if is_side else self.samples)
        numbers = math.prod(max(1, each) for name, each in sizes.items() if name != "samples")
        if numbers > MOST_NUMBERS:
            raise InputError(
                f"each sample of these data may have {numbers:,} numbers, and in this class it may "
                f"have {MOST_NUMBERS:,}: choose smaller {' or '.join(f'data.{n}' for n in sizes)}"
            )

    @staticmethod
    def _require_at_most(name: str, value: float, most: int) -> None:
        if value > most:
            raise InputError(f"{name} is at most {most:,} in this class, and you gave {value:,}")


def require_disk(folder: Path) -> None:
    """Refuse a run where the disk is nearly full.

    Args:
        folder: Where the run is to be; it need not exist.

    Raises:
        InputError: it is.
    """
    place = folder.absolute()
    with suppress(OSError):
        nearest = next(each for each in (place, *place.parents) if each.exists())
        if shutil.disk_usage(nearest).free < LEAST_DISK:
            raise InputError("the disk of this machine is nearly full: tell your teacher")


def describe_bound(name: str) -> str:
    """Return the description of a bound, for the help of its option."""
    (found,) = (each for each in fields(Bounds) if each.name == name)
    return str(found.metadata["about"])


def _find_highest(config: RunConfig, name: str) -> float:
    """Return the highest value that an option of the training has during a run."""
    schedule = config.schedules.get(f"train.{name}")
    values = () if schedule is None else schedule.values
    return max(getattr(config.train, name), *values, 0)


def _list_integers(options: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in options.items():
        for place, each in enumerate(value if isinstance(value, (list, tuple)) else [value]):
            if isinstance(each, int) and not isinstance(each, bool):
                yield (name if value is each else f"{name}[{place}]"), each


def _count_before(config: RunConfig) -> int | None:
    """Count the parameters of both networks without data; None if the networks do not allow that.

    Of images, the fewest that they can have are counted; the process that trains counts again.
    """
    drawn = "samples" in config.data.options
    if drawn:
        return _count_parameters(config, _draw_spec(config))
    with suppress(GanzooError):  # such as a size that the images do not have
        return _count_parameters(config, _guess_spec(config))
    return None


def _draw_spec(config: RunConfig) -> DataSpec:
    """Return the kind of data that code draws, of which one sample is enough."""
    spec: DataSpec = config.data.with_options({"samples": 1}).build(DATASET).read().spec
    return spec


def _guess_spec(config: RunConfig) -> DataSpec:
    from ganzoo.protocols.dataset import DataSpec

    size = config.data.options.get("image_size") or (GUESSED_SIDE, GUESSED_SIDE)
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    return DataSpec(shape=(1, height, width), classes=GUESSED_CLASSES)


def _count_parameters(config: RunConfig, data: DataSpec) -> int | None:
    from ganzoo.models.size_check import build_on_meta

    architecture = config.architecture.build(ARCHITECTURE)
    spec, independent = architecture.complete(data), config.needs_independent_samples()
    networks: list[nn.Module | None] = [
        build_on_meta(lambda: architecture.generator(spec)),
        build_on_meta(lambda: architecture.discriminator(spec, independent_samples=independent)),
    ]
    counts = [sum(each.numel() for each in net.parameters()) for net in networks if net is not None]
    return sum(counts) if counts else None
