"""Checks of datasets."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ganzoo.dataset import Dataset
from ganzoo.testing.common import check_options, require, untouched_randomness


def check_samples(dataset: Dataset) -> None:
    """There are samples, and a batch of them is as the specification says."""
    samples = dataset.read()
    require(len(samples) > 0, "a dataset must have samples, or say why not by an InputError")
    batch = samples.batch(torch.arange(min(8, len(samples))))
    require(
        batch.dtype == torch.float32 and tuple(batch.shape[1:]) == samples.spec.shape,
        f"a batch must be float32 of {samples.spec.shape}, not {batch.dtype} of "
        f"{tuple(batch.shape[1:])}",
    )
    require(bool(batch.isfinite().all()), "samples must be finite")


def check_labels(dataset: Dataset) -> None:
    """There are as many labels as samples, from 0 to the number of classes, or none at all."""
    samples = dataset.read()
    if samples.labels is None:
        require(samples.spec.classes is None, "a specification with classes needs labels")
        return
    require(
        len(samples.labels) == len(samples),
        f"there must be one label a sample, not {len(samples.labels)} for {len(samples)}",
    )
    classes = samples.spec.classes or 0
    fit = bool(((samples.labels >= 0) & (samples.labels < classes)).all())
    require(fit, f"labels must lie between 0 and classes - 1, and classes is {classes}")


def check_reading_again(dataset: Dataset) -> None:
    """The same samples come in the same order each time."""
    require(
        dataset.read().fingerprint == dataset.read().fingerprint,
        "a dataset must read the same samples in the same order each time: sort names, and seed "
        "what is drawn by the options alone",
    )


def check_randomness(dataset: Dataset) -> None:
    """Reading leaves torch's global random state alone."""
    with untouched_randomness("read()"):
        dataset.read()


dataset_checks: list[Callable[[Dataset], None]] = [
    check_options,
    check_samples,
    check_labels,
    check_reading_again,
    check_randomness,
]
