"""Reads tensors, arrays and datasets of other libraries into samples."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo import DataSpec, Samples
from ganzoo.compute import memory
from ganzoo.errors import GanzooError, InputError, excerpt, first_line
from ganzoo.media.images import resize
from ganzoo.progress import report_progress
from ganzoo.protocols.dataset import IMAGE_CHANNELS, Units
from ganzoo_zoo.data import decoding
from ganzoo_zoo.data.columns import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    find_image_column,
    find_label_column,
)

REPORT_EVERY = 100
"""Items read between two progress reports."""
CHUNK = 1024
"""Images of floats that are converted at once."""
Range = tuple[float, float]
Size = tuple[int, int]
"""Height and width."""
FORMS = (
    "images (N, C, H, W) or (N, H, W, C) as uint8, or as floats with value_range=(LOW, HIGH), "
    "signals (N, C, T) of floats, or vectors (N, D) of floats"
)
MOST_SIGNAL_CHANNELS = 16
"""Channels of signals, which are told by them from grey images as floats."""


def can_read(given: object) -> bool:
    """Tell whether an object may hold samples."""
    if isinstance(given, Samples) or _is_array(given):
        return True
    return _has_items(given) and not isinstance(given, Mapping | bytes | bytearray)


def find_kind(given: Any, limits: Any = None) -> str:
    """Find what an object holds: ``images``, ``signals`` or ``vectors``.

    Its shape and type tell, or those of its first item.

    Args:
        given: What :func:`can_read` takes.
        limits: The numbers that are black and white, if any are given: then these are images.

    Raises:
        InputError: it cannot be read.
    """
    if isinstance(given, Samples):
        return given.spec.kind
    data, _ = _split_labels(given)
    if _is_array(data):
        if _count_dimensions(data) == 2:
            return "vectors"
        is_signal = _count_dimensions(data) == 3 and _are_signals(_to_tensor(data), limits)
        return "signals" if is_signal else "images"
    if not _count(data):
        return "images"
    first = _read_item(data, 0)[0]
    if first.dim() == 2:
        return "signals" if _are_signals(first[None], limits) else "images"
    return "vectors" if first.dim() == 1 else "images"


def describe(given: object) -> str:
    """Return the type of what is given, as people write it: ``torch.Tensor``."""
    data, labels = _split_labels(given)
    if data is not given:
        return describe(data) if labels is None else f"{describe(data)} with labels"
    kind = type(given)
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}".removeprefix("builtins.")


def read(given: Any, limits: Range | None = None, size: Size | None = None) -> Samples:
    """Read samples.

    Args:
        given: :class:`ganzoo.Samples`; a tensor or an array; a dataset with a length, whose items
            are images (PIL, arrays or tensors), pairs of an image and a label, or tables with an
            image and a label; or a pair of one of these and labels ``(N,)``.
        limits: The numbers that are black and white, if images are floats.
        size: Size to which the images of a dataset are cropped and resized while they are read.

    Raises:
        InputError: it has another form, or does not fit into memory.
    """
    if limits is not None and not limits[0] < limits[1]:
        low, high = limits
        raise InputError(f"value_range is a low and a higher number, not {low:g} and {high:g}")
    if isinstance(given, Samples):
        if not len(given):
            raise InputError("there are no samples in the data")
        return given.to("cpu")
    data, labels = _split_labels(given)
    if _is_array(data):
        return _make(*_to_samples(_to_tensor(data), limits), labels)
    return _read_items(data, labels, limits, size)


def identify(samples: Samples) -> str:
    """Return the SHA-256 of samples and their labels."""
    if samples.labels is None:
        return samples.fingerprint
    labels = hashlib.sha256(samples.labels.long().numpy().tobytes()).hexdigest()
    return hashlib.sha256(f"{samples.fingerprint} {labels}".encode()).hexdigest()


def crop_all(images: Tensor, size: Size) -> Tensor:
    """Crop ``(N, C, H, W)`` around their centres to the aspect ratio of ``size``."""
    cropped = decoding.crop_to_shape(images.flatten(0, 1), size)
    return cropped.unflatten(0, images.shape[:2])


def _is_array(given: object) -> bool:
    return isinstance(given, Tensor) or (hasattr(given, "__array__") and not _is_pil(given))


def _is_pil(given: object) -> bool:
    return hasattr(given, "getbands")


def _has_items(given: object) -> bool:
    """Tell whether an object is a list, or a dataset with a length."""
    return hasattr(given, "__getitem__") and hasattr(given, "__len__") and not _is_pil(given)


def _split_labels(given: Any) -> tuple[Any, Any]:
    """Split a pair of data and their labels; labels are None without."""
    if isinstance(given, tuple) and len(given) == 2:
        data = given[0]
        if _has_items(data) or (_is_array(data) and _count_dimensions(data) > 1):
            return data, given[1]
    return given, None


def _count_dimensions(array: Any) -> int:
    return array.dim() if isinstance(array, Tensor) else np.ndim(array)


def _to_tensor(given: Any) -> Tensor:
    if isinstance(given, Tensor):
        if given.layout != torch.strided or given.is_complex() or given.is_quantized:
            raise InputError(f"data as {_name(given)} {given.layout} are not read: give {FORMS}")
        return given.detach().cpu().as_subclass(Tensor)
    try:
        array = np.asarray(given)
    except Exception as error:  # of somebody's class, in any way
        raise InputError(f"{describe(given)} cannot be read: {first_line(error)}") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"data are numbers, not {array.dtype}: give {FORMS}")
    try:
        with warnings.catch_warnings():  # of arrays that cannot be written to, which nobody does
            warnings.simplefilter("ignore", UserWarning)
            return torch.from_numpy(np.ascontiguousarray(array, array.dtype.newbyteorder("=")))
    except TypeError:
        raise InputError(f"data of the type {array.dtype} are not read: give {FORMS}") from None


def _count(given: Any) -> int:
    try:
        return len(given)
    except Exception as error:  # of somebody's dataset, in any way
        raise InputError(
            f"{describe(given)} does not tell its length ({first_line(error)}); give a dataset "
            "with a length, or a list of its items"
        ) from error


def _read_items(given: Any, labels: Any, limits: Range | None, size: Size | None) -> Samples:
    """Read a dataset item by item into memory."""
    count = _count(given)
    if not count:
        raise InputError("there are no samples in the data")
    store, found = _Store(count), []
    for number in range(count):
        sample, label = _read_item(given, number)
        if sample.dim() == 2 and not _are_signals(sample[None], limits):
            sample = sample[None]
        if sample.dim() == 3:
            sample = _to_images(sample[None], limits)
            if size is not None:
                sample = resize(crop_all(sample, size), size)
            sample = sample[0]
        store.put(number, sample)
        found.append(label)
        if not (number + 1) % REPORT_EVERY or number + 1 == count:
            report_progress("reading the data", number + 1, count)
    with_label = [label is not None for label in found]
    if labels is None and any(with_label):
        if not all(with_label):
            raise InputError("some samples have a label and some have none")
        labels = found
    return _make(*_to_samples(store.stored, None), labels, _find_names(given))


class _Store:
    """Samples of one shape, in memory that is taken at once.

    Args:
        count: Number of samples.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def put(self, number: int, sample: Tensor) -> None:
        """Put a sample at its place; among colour images, grey ones become colour.

        Raises:
            InputError: it has another shape or type than the first one, or there is no memory.
        """
        if not number:
            self.stored = self._reserve(sample)
        first = self.stored[0]
        if sample.dim() == 3 and sample.shape[1:] == first.shape[1:]:
            if len(first) == 1 < len(sample):
                before, self.stored = self.stored, self._reserve(sample)
                self.stored[:number] = before[:number]
            elif len(sample) == 1:
                sample = sample.expand(first.shape)
        first = self.stored[0]
        if sample.shape != first.shape or sample.dtype != first.dtype:
            advice = "give image_size" if sample.dim() == first.dim() == 3 else "mend them first"
            raise InputError(
                f"all samples must be alike: item 0 is {_name(first)}, and item {number} is "
                f"{_name(sample)}; {advice}"
            )
        self.stored[number] = sample

    def _reserve(self, sample: Tensor) -> Tensor:
        shape = " x ".join(map(str, sample.shape))
        memory.require(self.count * sample.nbytes, f"{self.count:,} samples of {shape}")
        return sample.new_empty((self.count, *sample.shape))


def _read_item(given: Any, number: int) -> tuple[Tensor, Any]:
    """Return an item of a dataset as an image ``(C, H, W)`` or a vector ``(D,)``, and its label.

    Raises:
        InputError: it cannot be read, or is neither.
    """
    try:
        item = given[number]
    except GanzooError:
        raise
    except Exception as error:  # of somebody's dataset, in any way
        raise InputError(
            f"item {number} of the data cannot be read: {type(error).__name__}: {first_line(error)}"
        ) from error
    image, label = _split(item, number, _find_features(given))
    return _to_sample(image, number), label


def _find_features(given: Any) -> Mapping[str, Any]:
    """Return the types of the columns of a table of the library ``datasets``; empty otherwise."""
    features = getattr(given, "features", None)
    return features if isinstance(features, Mapping) else {}


def _split(item: Any, number: int, features: Mapping[str, Any]) -> tuple[Any, Any]:
    """Split an item of a dataset into an image and its label, if it has one."""
    if isinstance(item, Mapping):
        image = next(
            (key for key in (find_image_column(features), *IMAGE_COLUMNS) if key in item), None
        )
        label = next(
            (key for key in (find_label_column(features), *LABEL_COLUMNS) if key in item), None
        )
        if image is None:
            raise InputError(
                f"item {number} has no image: its columns are "
                f"{excerpt(', '.join(map(str, item)))}, and those of images are called "
                f"{', '.join(IMAGE_COLUMNS)}"
            )
        return item[image], None if label is None else item[label]
    if isinstance(item, tuple | list):
        if len(item) == 1:
            return item[0], None
        if len(item) == 2:
            return item[0], item[1]
        raise InputError(f"item {number} has {len(item)} parts: give an image, or it and its label")
    return item, None


def _to_sample(image: Any, number: int) -> Tensor:
    """Return an image as ``(C, H, W)``, and what has fewer axes as it is."""
    if _is_pil(image):
        try:
            return decoding.decode_pixels(image, None)
        except Exception as error:  # decoders of broken files raise almost anything
            if image.mode in decoding.UNBOUNDED_MODES:
                raise InputError(
                    f"item {number} is an image of mode {image.mode}, whose range is not known: "
                    "give an array, with value_range"
                ) from None
            raise InputError(
                f"item {number} cannot be decoded: {decoding.describe_error(error)}"
            ) from error
    if not _is_array(image):
        raise InputError(f"item {number} is of the type {describe(image)}: give images, or arrays")
    tensor = _to_tensor(image)
    if tensor.dim() not in (1, 2, 3):
        raise InputError(
            f"item {number} is {_name(tensor)}, which is neither image nor signal nor vector"
        )
    return _channels_first(tensor[None])[0] if tensor.dim() == 3 else tensor


def _channels_first(images: Tensor) -> Tensor:
    """Return images as ``(N, C, H, W)``; grey ones may lack the channel.

    Channels are the second axis or the last: the one that has 1, 3 or 4, or else the shorter one.
    """
    if images.dim() == 3:
        return images[:, None]
    if images.shape[1] in IMAGE_CHANNELS:
        return images
    if images.shape[3] in IMAGE_CHANNELS or images.shape[3] < images.shape[1]:
        return images.permute(0, 3, 1, 2)
    return images


def _to_samples(data: Tensor, limits: Range | None) -> tuple[Tensor, Units | None]:
    """Return data as samples are stored, uint8 images or numbers of float32, and their units."""
    if not data.numel() or data.dim() not in (2, 3, 4):
        raise InputError(f"data of the shape {tuple(data.shape)} are not read: give {FORMS}")
    if data.dim() == 4 or (data.dim() == 3 and not _are_signals(data, limits)):
        return _to_images(_channels_first(data), limits).contiguous(), None
    numbers = data.float().contiguous()
    if not numbers.isfinite().all():
        raise InputError("some numbers of the data are not finite")
    return (numbers, None) if data.dim() == 2 else _to_signals(numbers)


def _make(
    stored: Tensor, units: Units | None, labels: Any, names: Sequence[str] | None = None
) -> Samples:
    found = None
    if labels is not None:
        found, own = _read_labels(labels, len(stored))
        names = own or names
    classes = None if found is None else max(int(found.max()) + 1, len(names or ()))
    named = tuple(names) if names and classes == len(names) else None
    spec = DataSpec(shape=tuple(stored.shape[1:]), classes=classes, class_names=named, units=units)
    return Samples(spec, stored, found)


def _are_signals(data: Tensor, limits: Any) -> bool:
    """Tell signals ``(N, C, T)`` from grey images: floats of few channels, without a range."""
    return (
        data.dim() == 3
        and data.is_floating_point()
        and limits is None
        and data.shape[1] <= MOST_SIGNAL_CHANNELS
        and data.shape[1] < data.shape[2]
    )


def _to_signals(signals: Tensor) -> tuple[Tensor, Units | None]:
    """Return signals in [-1, 1], and what undoes that if they were not."""
    if float(signals.abs().max()) <= 1:
        return signals, None
    from ganzoo_zoo.data.signal_reading import scale_channels

    return scale_channels(signals, [f"x{number}" for number in range(signals.shape[1])])


def _to_images(images: Tensor, limits: Range | None) -> Tensor:
    """Return images as uint8.

    Raises:
        InputError: they are floats without a range, or outside of it; or other numbers.
    """
    if images.dtype == torch.uint8:
        if limits not in (None, (0.0, 255.0)):
            raise InputError("images as uint8 are from 0 to 255: drop value_range")
        return images
    if not images.is_floating_point():
        raise InputError(f"images are uint8 or floats, not {_name(images)}")
    low, high = (value.item() for value in images.aminmax())
    if not np.isfinite([low, high]).all():
        raise InputError("some numbers of the data are not finite")
    if limits is None:
        raise InputError(
            f"images as floats, here from {low:.4g} to {high:.4g}, need the numbers that are black "
            "and white: value_range=(0, 1), for example, or (-1, 1)"
        )
    slack = 1e-4 * (limits[1] - limits[0])
    if low < limits[0] - slack or high > limits[1] + slack:
        raise InputError(
            f"images are from {low:.4g} to {high:.4g}, which is outside of value_range="
            f"({limits[0]:g}, {limits[1]:g})"
        )
    memory.require(images.numel(), f"{len(images):,} images")
    scale = 255 / (limits[1] - limits[0])
    parts = (((part.double() - limits[0]) * scale).round() for part in images.split(CHUNK))
    return torch.cat([part.clamp(0, 255).to(torch.uint8) for part in parts])


def _read_labels(labels: Any, count: int) -> tuple[Tensor, tuple[str, ...] | None]:
    """Return the class of each sample, and the names of the classes if labels are texts.

    Raises:
        InputError: they are no classes.
    """
    try:
        array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    except Exception as error:  # of somebody's objects, in any way
        raise InputError(f"the labels cannot be read: {first_line(error)}") from error
    names = None
    if array.dtype.kind == "U" or (
        array.dtype == object and all(isinstance(each, str) for each in array.flat)
    ):
        known, array = np.unique(array.astype(str), return_inverse=True)
        names = tuple(map(str, known))
    if array.ndim != 1 or array.dtype.kind not in "biu" or len(array) != count:
        raise InputError(
            f"labels are {count:,} whole numbers, a class for each sample, not "
            f"{tuple(array.shape)} {array.dtype}"
        )
    if int(array.min()) < 0:
        raise InputError(f"labels begin at 0, and the least of these is {int(array.min())}")
    return torch.from_numpy(array.astype(np.int64)), names


def _find_names(given: Any) -> Sequence[str] | None:
    """Return the names of classes, as torchvision or a table of the Hub tell them."""
    features = _find_features(given)
    column = features.get(find_label_column(features) or "")
    names = getattr(column, "names", None) or getattr(given, "classes", None)
    return [str(name) for name in names] if isinstance(names, list | tuple) else None


def _name(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
