"""Checks of datasets."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch

from ganzoo.protocols.dataset import Dataset, Samples
from ganzoo.testing.common import check_options, explain_errors, require, untouched_randomness


def check_samples(dataset: Dataset) -> None:
    """There are samples, and a batch of them matches the specification."""
    samples = _read(dataset)
    batch = samples.batch(torch.arange(min(8, len(samples))))
    require(
        batch.dtype == torch.float32 and tuple(batch.shape[1:]) == samples.spec.shape,
        f"a batch must be float32 of {samples.spec.shape}, not {batch.dtype} of "
        f"{tuple(batch.shape[1:])}",
    )
    require(bool(samples.stored.isfinite().all()), "samples must be finite")
    require(
        dataset.holds_images is samples.spec.is_image,
        f"recipes depend on the kind of data: declare holds_images = {samples.spec.is_image}",
    )
    if samples.spec.is_image:
        require(bool((batch.abs() <= 1).all()), "a batch of images must lie in [-1, 1]")
    require(
        samples.sources is not None or samples.spec.source is None,
        "a specification with the shape of a source needs sources: Samples(..., sources=...)",
    )


def check_labels(dataset: Dataset) -> None:
    """There is a label for each sample, from 0 to ``classes - 1``, or there are none at all."""
    samples = _read(dataset)
    if samples.labels is None:
        require(samples.spec.classes is None, "a specification with classes needs labels")
        return
    shape = tuple(samples.labels.shape)
    require(
        shape == (len(samples),),
        f"there must be one label per sample, not labels {shape} for {len(samples)} samples",
    )
    classes = samples.spec.classes
    fit = bool(((samples.labels >= 0) & (samples.labels < (classes or 0))).all())
    require(
        fit and not samples.labels.is_floating_point(),
        f"labels must be whole numbers from 0 to classes - 1, and classes is {classes}",
    )


def check_names(dataset: Dataset) -> None:
    """There is a name for each sample, or none at all."""
    samples = _read(dataset)
    names = samples.names
    require(
        names is None
        or (len(names) == len(samples) and all(isinstance(name, str) for name in names)),
        "names tell where each sample comes from: give one string per sample, in the same order, "
        f"or None, not {0 if names is None else len(names)} for {len(samples)} samples",
    )


def check_reading_again(dataset: Dataset) -> None:
    """The same samples come in the same order each time, with the same labels."""
    first, second = _read(dataset), _read(dataset)
    labels = [torch.zeros(0) if read.labels is None else read.labels for read in (first, second)]
    require(
        first.fingerprint == second.fingerprint and torch.equal(*labels),
        "a dataset must read the same samples in the same order each time: sort names, and seed "
        "random numbers by the options alone",
    )


def check_randomness(dataset: Dataset) -> None:
    """Reading leaves torch's global random state alone."""
    with untouched_randomness("read()"):
        _read(dataset)


def check_default(dataset: Dataset) -> None:
    """Data that are trained on by default come with their package and need no options."""
    if type(dataset).is_default:
        needs = [name for name, field in type(dataset).model_fields.items() if field.is_required()]
        require(not needs, f"default data must need no options, and {needs} have no default")
        require(
            dataset.needs_download() is False,
            "default data must come with their package: needs_download() must return False",
        )


def check_terms(dataset: Dataset) -> None:
    """The licence, the home page and the Hub's id are texts of their form, or None."""
    declared: tuple[tuple[str, str, str], ...] = (
        ("licence", r"[a-z0-9][a-z0-9.-]*", "the Hub's identifier, such as cc-by-4.0"),
        ("homepage", r"https?://\S+", "an address that begins with http"),
        ("hub_id", r"[\w.-]+/[\w.-]+", "user/name"),
    )
    for name, form, words in declared:
        value = getattr(dataset, name)
        require(
            value is None or (isinstance(value, str) and re.fullmatch(form, value) is not None),
            f"{name} must be {words}, or None, not {value!r}",
        )


def check_hold(dataset: Dataset) -> None:
    """Data at hand are declined by None, or held under options that tell them from others."""
    hold = type(dataset).hold
    with explain_errors("hold() must return None for what it does not take"):
        require(hold(object(), {}) is None, "hold() must return None for what it does not take")
    for example in make_examples():
        with explain_errors("hold() must return a dataset or None, or raise an InputError"):
            held, again = hold(example, {}), hold(example.clone(), {"another_option": 1})
            other = hold(example.flip(0), {})
        if held is None:
            require(again is None and other is None, "hold() must take all data of a kind, or none")
            continue
        require(
            isinstance(held, Dataset) and len(held.model_dump(exclude_unset=True)) > 0,
            "hold() must set options that tell what was given, such as a fingerprint",
        )
        require(held == again, "the same data must be held under the same options")
        require(held != other, "other data must be held under other options")
        rebuilt = type(held).model_validate_json(held.model_dump_json())
        require(
            len(_read(rebuilt)) == len(example),
            "a dataset with the options of what is held must read all of it",
        )


def make_examples() -> tuple[torch.Tensor, ...]:
    """Return data that a program may have at hand: images as uint8, and vectors."""
    count = torch.arange(6)
    images = count.view(-1, 1, 1, 1).expand(-1, 3, 8, 8).to(torch.uint8).contiguous()
    return images, torch.stack([count.float(), -count.float()], 1)


def hold_example(component: type[Dataset]) -> Dataset | None:
    """Return a dataset that holds one of the examples; None if it takes none of them."""
    held = (component.hold(example, {}) for example in make_examples())
    return next((each for each in held if each is not None), None)


dataset_checks: list[Callable[[Dataset], None]] = [
    check_options,
    check_samples,
    check_labels,
    check_names,
    check_reading_again,
    check_randomness,
    check_default,
    check_terms,
    check_hold,
]
"""Checks of datasets."""


def _read(dataset: Dataset) -> Samples:
    with explain_errors("read() must return ganzoo.Samples, or raise a GanzooError"):
        samples = dataset.read()
    require(
        isinstance(samples, Samples),
        f"read() must return ganzoo.Samples, not {type(samples).__name__}",
    )
    require(len(samples) > 0, "a dataset must have samples, or raise an InputError")
    return samples
