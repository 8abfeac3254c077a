"""Reads tensors, arrays and datasets of other libraries into samples."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo import DataSpec, Samples
from ganzoo.errors import InputError, first_line
from ganzoo.protocols.dataset import IMAGE_CHANNELS, Units

IMAGE_KEYS = ("image", "img", "images", "pixel_values")
LABEL_KEYS = ("label", "labels", "fine_label", "target", "class")
"""Usual names of the columns of a table of images."""
Range = tuple[float, float]
FORMS = (
    "images (N, C, H, W) or (N, H, W, C) as uint8, or as floats with value_range=(LOW, HIGH), "
    "signals (N, C, T) of floats, or vectors (N, D) of floats"
)
MOST_SIGNAL_CHANNELS = 16
"""Channels of signals, which are told by them from grey images as floats."""


def can_read(given: object) -> bool:
    """Tell whether an object may hold samples."""
    if isinstance(given, Samples | Tensor | np.ndarray):
        return True
    if isinstance(given, tuple | list):
        return len(given) > 0
    return hasattr(given, "__array__") or (
        hasattr(given, "__getitem__")
        and hasattr(given, "__len__")
        and not isinstance(given, Mapping)
    )


def describe(given: object) -> str:
    """Return the type of what is given, as people write it: ``torch.Tensor``."""
    if isinstance(given, tuple) and len(given) == 2:
        return f"{describe(given[0])} with labels"
    kind = type(given)
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}".removeprefix("builtins.")


def read(given: Any, value_range: Any = None) -> Samples:
    """Read samples.

    Args:
        given: :class:`ganzoo.Samples`; a tensor or an array; a pair of one of these and labels
            ``(N,)``; or a dataset with a length, whose items are images (PIL, arrays or tensors),
            pairs of an image and a label, or tables with an image and a label.
        value_range: The numbers that are black and white, if images are floats.

    Raises:
        InputError: it has another form.
    """
    limits = _check_range(value_range)
    if isinstance(given, Samples):
        return given
    if isinstance(given, tuple) and len(given) == 2 and _is_array(given[0]):
        return _make(_to_tensor(given[0]), given[1], None, limits)
    if _is_array(given):
        return _make(_to_tensor(given), None, None, limits)
    return _read_items(given, limits)


def identify(samples: Samples) -> str:
    """Return the SHA-256 of samples and their labels."""
    if samples.labels is None:
        return samples.fingerprint
    labels = hashlib.sha256(samples.labels.long().numpy().tobytes()).hexdigest()
    return hashlib.sha256(f"{samples.fingerprint} {labels}".encode()).hexdigest()


def _is_array(given: object) -> bool:
    return isinstance(given, Tensor | np.ndarray) or (
        hasattr(given, "__array__") and not hasattr(given, "getbands")
    )


def _check_range(value_range: Any) -> Range | None:
    if value_range is None:
        return None
    try:
        low, high = map(float, value_range)
    except (TypeError, ValueError):
        raise InputError(f"value_range is a pair such as (0, 1), not {value_range!r}") from None
    if not low < high:
        raise InputError(f"value_range is a low and a higher number, not {low:g} and {high:g}")
    return low, high


def _to_tensor(given: Any) -> Tensor:
    if isinstance(given, Tensor):
        return given.detach().cpu()
    array = np.asarray(given)
    if array.dtype == object or array.dtype.kind not in "biuf":
        raise InputError(f"data are numbers, not {array.dtype}: give {FORMS}")
    try:
        return torch.from_numpy(np.ascontiguousarray(array))
    except TypeError:
        raise InputError(f"data of the type {array.dtype} are not read: give {FORMS}") from None


def _read_items(given: Any, limits: Range | None) -> Samples:
    """Read a dataset item by item into memory."""
    try:
        count = len(given)
    except TypeError:
        raise InputError(
            f"{describe(given)} has no length; give a dataset with a length, or a list of its items"
        ) from None
    images, labels = [], []
    for i in range(count):
        try:
            item = given[i]
        except Exception as error:  # of somebody's dataset, in any way
            raise InputError(f"item {i} of the data cannot be read: {first_line(error)}") from error
        image, label = _split(item, i)
        images.append(_to_sample(image, i))
        labels.append(label)
        if images[-1].shape != images[0].shape or images[-1].dtype != images[0].dtype:
            raise InputError(
                f"all samples must be alike: item 0 is {_name(images[0])}, and item {i} is "
                f"{_name(images[-1])}; resize them first"
            )
    if not images:
        raise InputError("there are no samples in the data")
    known = [label for label in labels if label is not None]
    if known and len(known) < len(labels):
        raise InputError("some samples have a label and some have none")
    return _make(torch.stack(images), known or None, _find_names(given), limits)


def _split(item: Any, number: int) -> tuple[Any, Any]:
    """Split an item of a dataset into an image and its label, if it has one."""
    if isinstance(item, Mapping):
        image = next((item[key] for key in IMAGE_KEYS if key in item), None)
        if image is None:
            raise InputError(
                f"item {number} has no image: its columns are {', '.join(map(str, item))}, and "
                f"those of images are called {', '.join(IMAGE_KEYS)}"
            )
        return image, next((item[key] for key in LABEL_KEYS if key in item), None)
    if isinstance(item, tuple | list):
        if len(item) == 1:
            return item[0], None
        if len(item) == 2:
            return item[0], item[1]
        raise InputError(f"item {number} has {len(item)} parts: give an image, or it and its label")
    return item, None


def _to_sample(image: Any, number: int) -> Tensor:
    """Return an image as ``(C, H, W)``, and what has fewer axes as it is."""
    if hasattr(image, "getbands"):
        if image.mode not in ("L", "RGB", "RGBA"):
            image = image.convert("RGB")
        array = np.asarray(image)
        return torch.from_numpy(
            np.array(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))
        )
    if not _is_array(image):
        raise InputError(f"item {number} is of the type {describe(image)}: give images, or arrays")
    tensor = _to_tensor(image)
    return _channels_first(tensor[None])[0] if tensor.dim() == 3 else tensor


def _channels_first(images: Tensor) -> Tensor:
    """Return images as ``(N, C, H, W)``; grey ones may lack the channel.

    Channels are the second axis or the last: the one that has 1, 3 or 4, or else the shorter one.
    """
    if images.dim() == 3:
        return images[:, None]
    if images.dim() != 4:
        raise InputError(f"data of the shape {tuple(images.shape)} are not read: give {FORMS}")
    if images.shape[1] in IMAGE_CHANNELS:
        return images
    if images.shape[3] in IMAGE_CHANNELS or images.shape[3] < images.shape[1]:
        return images.permute(0, 3, 1, 2)
    return images


def _make(data: Tensor, labels: Any, names: Sequence[str] | None, limits: Range | None) -> Samples:
    if data.dim() < 2 or not len(data):
        raise InputError(f"data of the shape {tuple(data.shape)} are not read: give {FORMS}")
    found = None if labels is None else _read_labels(labels, len(data))
    classes = None if found is None else max(int(found.max()) + 1, len(names or ()))
    named = tuple(names) if names and classes == len(names) else None
    units = None
    if data.dim() == 2:
        stored = _require_finite(data.float())
    elif _are_signals(data, limits):
        stored, units = _to_signals(data)
    else:
        stored = _to_images(_channels_first(data), limits)
    spec = DataSpec(shape=tuple(stored.shape[1:]), classes=classes, class_names=named, units=units)
    return Samples(spec, stored.contiguous(), found)


def _are_signals(data: Tensor, limits: Range | None) -> bool:
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
    if float(_require_finite(signals).abs().max()) <= 1:
        return signals.float(), None
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
    low, high = (value.item() for value in _require_finite(images).aminmax())
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
    scaled = (images.double() - limits[0]) * (255 / (limits[1] - limits[0]))
    return scaled.round().clamp(0, 255).to(torch.uint8)


def _require_finite(numbers: Tensor) -> Tensor:
    if not numbers.isfinite().all():
        raise InputError("some numbers of the data are not finite")
    return numbers


def _read_labels(labels: Any, count: int) -> Tensor:
    found = _to_tensor(labels if _is_array(labels) else np.asarray(labels))
    if found.dim() != 1 or found.is_floating_point() or len(found) != count:
        raise InputError(
            f"labels are {count:,} whole numbers, a class for each sample, not {_name(found)}"
        )
    if int(found.min()) < 0:
        raise InputError(f"labels begin at 0, and the least of these is {int(found.min())}")
    return found.long()


def _find_names(given: Any) -> Sequence[str] | None:
    """Return the names of classes, as torchvision or a table of the Hub tell them."""
    features = getattr(given, "features", None)
    if isinstance(features, Mapping):
        for key in LABEL_KEYS:
            if names := getattr(features.get(key), "names", None):
                return [str(name) for name in names]
    names = getattr(given, "classes", None)
    return [str(name) for name in names] if isinstance(names, list | tuple) else None


def _name(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
