"""Checks that refuse options and data on which a run could not train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from ganzoo.config import TrainOptions
from ganzoo.errors import InputError

if TYPE_CHECKING:
    from ganzoo.protocols.augmentation import Augmentation
    from ganzoo.protocols.dataset import DataSpec, Samples


def _check_shares(batch_size: int, world: int) -> None:
    if batch_size % world:
        raise InputError(
            f"train.batch_size must be a multiple of the {world} processes, which share each "
            f"batch; it is {batch_size}"
        )


def _check_options(options: TrainOptions, device: torch.device) -> None:
    if options.precision == "fp16" and options.optimizer != "adam":
        raise InputError(
            "train.precision=fp16 leaves updates out that overflow, which train.optimizer="
            f"{options.optimizer} cannot do by itself; choose bf16, or train.optimizer=adam"
        )
    if options.cuda_graphs and not (options.compile and device.type == "cuda"):
        raise InputError("train.cuda_graphs is of networks that are compiled for a GPU: --compile")


def _check_labels(samples: Samples) -> None:
    if samples.labels is None or not samples.spec.classes:
        raise InputError(
            "the architecture needs the class of each sample, and these data have no labels; "
            "give data with classes, such as a folder with a folder for each"
        )


def _check_augmentations(augmentations: Mapping[str, Augmentation], data: DataSpec) -> None:
    for name, augmentation in augmentations.items():
        if not augmentation.fits(data):
            what = "images" if data.is_image else "vectors"
            raise InputError(
                f"the augmentation '{name}' does not fit these samples, {what} of "
                f"{data.size_in_words}; leave it out of train.augment"
            )


def _check_balance(samples: Samples, options: TrainOptions, world: int) -> None:
    data = samples.spec
    if data.classes < 2:
        raise InputError("the architecture translates between classes, and these data have one")
    if empty := set(range(data.classes)) - set(samples.labels.unique().tolist()):
        raise InputError(f"there are no samples of class {min(empty)} to translate from or to")
    if options.batch_size % (data.classes * world):
        shared = f" times the {world} processes" if world > 1 else ""
        raise InputError(
            f"train.batch_size must be a multiple of the {data.classes} classes{shared}, as each "
            f"batch holds as many samples of each; it is {options.batch_size}"
        )
