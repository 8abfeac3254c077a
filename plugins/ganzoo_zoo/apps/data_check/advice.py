"""What to train on a set of images, by their number, size and classes: the advice of data check."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ganzoo import DataSpec, registry
from ganzoo.config import RunConfig
from ganzoo.errors import InputError
from ganzoo.models.size_check import build_on_meta
from ganzoo.registry import ARCHITECTURE
from ganzoo.resolve import resolve
from ganzoo_zoo.apps.data_check.survey import Survey
from ganzoo_zoo.data.shaping import LARGEST_SIDE, SMALLEST_SIDE

FEW, MANY = 2_000, 30_000
"""Sets below the first are few images; from the second on, augmentation helps little."""


@dataclass(frozen=True)
class Choice:
    """An architecture, with the settings that suit a number of images, and why they do."""

    architecture: str
    settings: Mapping[str, str]
    why: str


@dataclass(frozen=True)
class Row:
    """What suits sets below a number of images."""

    below: float
    choices: tuple[Choice, ...]
    """The first one that is installed and fits the images is advised."""
    besides: str = ""
    """What else a person should know."""


FASTGAN = Choice(
    "fastgan",
    {},
    "fastgan is made for tens to some hundreds of images (Liu et al. 2021, arXiv:2101.04775), and "
    "augments what its discriminator sees",
)
DIFFAUGMENT = Choice(
    "dcgan",
    {"train.augment": "color,translation,cutout"},
    "with so few, what the discriminator sees must be augmented (Zhao et al. 2020, "
    "arXiv:2006.10738)",
)
ADA = Choice(
    "stylegan2",
    {"train.augment": "ada", "augment.ada.speed": "100000"},
    "with 2,000 to 30,000, ADA finds out how much augmentation helps (Karras et al. 2020, "
    "arXiv:2006.06676, figure 7)",
)
PLENTY = "with so many, augmentation helps little (Karras et al. 2020, arXiv:2006.06676, figure 7)"
TABLE = (
    Row(
        20,
        (FASTGAN, DIFFAUGMENT),
        "fewer than 20 give little more than copies of them: look for more, or start from a model",
    ),
    Row(FEW, (FASTGAN, DIFFAUGMENT)),
    Row(MANY, (ADA, DIFFAUGMENT)),
    Row(math.inf, (Choice("r3gan", {}, PLENTY), Choice("dcgan", {}, PLENTY))),
)
"""What is advised, by the number of images that are not copies of others."""
FOR_CLASSES = "stylegan2"
"""What learns classes, where the advised architecture does not."""


@dataclass(frozen=True)
class Advice:
    """What to train, and why."""

    architecture: str
    command: str
    """Trains it."""
    bench: str
    """Measures how long a step takes on this machine."""
    image_size: tuple[int, int]
    """Height and width."""
    steps: int
    batch_size: int
    reasons: tuple[str, ...]
    """Each in a sentence."""


def advise(found: Survey, data: str, options: Mapping[str, Any]) -> Advice | None:
    """Advise what to train on images.

    Args:
        found: What was found of them.
        data: Name or path of the data.
        options: Options of the data that were given.

    Returns:
        The advice; None for vectors, and if nothing that could be advised is installed.
    """
    if len(found.shape) != 3:
        return None
    count = found.samples - _count_copies(found)
    row = next(row for row in TABLE if count < row.below)
    size = _choose_size(found, options)
    classes = len([name for name, of_class in (found.classes or {}).items() if of_class])
    given = {f"data.{name}": value for name, value in options.items() if name != "image_size"}
    size_text = str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"
    for choice in row.choices:
        settings = {**given, **choice.settings, "data.image_size": size_text}
        config = _resolve_fitting(choice, data, settings, (found.shape[0], *size), classes)
        if config is None:
            continue
        words = [choice.architecture, "--data", data, "--image-size", size_text]
        for name, value in {**given, **choice.settings}.items():
            words += ["--set", f"{name}={value}"]
        return Advice(
            choice.architecture,
            shlex.join(["ganzoo", "train", *words]),
            shlex.join(["ganzoo", "bench", *words]),
            size,
            config.train.steps,
            config.train.batch_size,
            (
                *_explain_count(found, count, row, choice),
                *_explain_size(found, size, options),
                *_explain_length(config, count),
                *_explain_more(found, count, classes, choice),
            ),
        )
    return None


def _choose_size(found: Survey, options: Mapping[str, Any]) -> tuple[int, int]:
    """Return the size that was given or chosen, or one that a first training is bearable at."""
    height, width = found.shape[1:]
    is_power = height == width and height & (height - 1) == 0
    if "image_size" in options or (is_power and SMALLEST_SIDE <= height <= LARGEST_SIDE):
        return height, width
    side = 1 << min(height, width).bit_length() - 1
    return (min(max(side, SMALLEST_SIDE), LARGEST_SIDE),) * 2


def _resolve_fitting(
    choice: Choice, data: str, settings: Mapping[str, Any], shape: tuple[int, ...], classes: int
) -> RunConfig | None:
    """Return the configuration of a choice; None if it is not installed or does not fit."""
    if not registry.find_all(ARCHITECTURE, choice.architecture):
        return None
    try:
        config = resolve(choice.architecture, None, data, settings)
        architecture = config.architecture.build(ARCHITECTURE)
        spec = architecture.complete(DataSpec(shape=shape, classes=classes or None))
        build_on_meta(lambda: architecture.generator(spec))
    except InputError:
        return None
    return config


def _count_copies(found: Survey) -> int:
    return sum(len(group) - 1 for group in (*found.copies, *found.near_copies))


def _explain_count(found: Survey, count: int, row: Row, choice: Choice) -> Iterable[str]:
    copies = found.samples - count
    besides = f", without {copies:,} copies or near-copies" if copies else ""
    yield f"{count:,} images{besides}: {choice.why}"
    if row.besides:
        yield row.besides


def _explain_size(
    found: Survey, size: tuple[int, int], options: Mapping[str, Any]
) -> Iterable[str]:
    if "image_size" not in options:
        yield (
            f"begin at {size[0]} x {size[1]}: a side of twice the length has four times the pixels "
            "and takes several times as long"
        )


def _explain_length(config: RunConfig, count: int) -> Iterable[str]:
    steps, batch = config.train.steps, config.train.batch_size
    seen = config.progress_at(steps).images / count
    often = f"{seen:,.0f} times" if seen >= 2 else f"{seen:.1f} times"
    yield (
        f"its recipe has {steps:,} steps of {batch} images, in which each image is seen "
        f"{often}; --steps changes that, and 'ganzoo bench' measures a step here"
    )


def _explain_more(found: Survey, count: int, classes: int, choice: Choice) -> Iterable[str]:
    if count < FEW:
        yield (
            "a model of similar images is a better start than none: --init MODEL (Mo et al. 2020, "
            "arXiv:2002.10964)"
        )
        yield "if a mirrored image is as good, --set data.flip=true doubles their number"
        yield "the training warns if samples repeat single images; more of them would help then"
    if classes > 1:
        own = registry.find_all(ARCHITECTURE, choice.architecture)[0].load().model_fields
        name = choice.architecture if "conditional" in own else FOR_CLASSES
        yield (
            f"for samples of one of the {classes:,} classes: ganzoo train {name} --set "
            "arch.conditional=true"
        )
