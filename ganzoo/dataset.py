"""The protocol of a dataset, and the samples that it gives."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator, Field, PositiveInt, model_validator
from torch import Tensor

from ganzoo import images
from ganzoo.component import Component, Options

NAMED = 10
"""Unreadable files that are named one by one."""


class DataSpec(Options):
    """What one sample of a dataset is; architectures fit themselves to it.

    Image samples are ``(C, H, W)`` in ``[-1, 1]``; vector samples are ``(D,)`` with no fixed range.
    """

    shape: tuple[PositiveInt, ...] = Field(description="(C, H, W) of an image or (D,) of a vector.")
    classes: PositiveInt | None = Field(None, description="Number of classes, if labelled.")
    features: str | None = Field(None, description="Feature extractor made for these samples.")
    modes: tuple[tuple[float, ...], ...] | None = Field(
        None, description="Centres of the true modes of a toy set."
    )
    mode_std: float | None = Field(None, gt=0, description="Standard deviation of each mode.")

    @model_validator(mode="after")
    def _check(self) -> DataSpec:
        if len(self.shape) not in (1, 3):
            raise ValueError(f"a sample is (C, H, W) or (D,), not {self.shape}")
        if (self.modes is None) != (self.mode_std is None):
            raise ValueError("modes and mode_std go together")
        return self

    @property
    def is_image(self) -> bool:
        """Whether samples are images rather than vectors."""
        return len(self.shape) == 3

    @property
    def size(self) -> int:
        """Numbers in one sample."""
        return math.prod(self.shape)

    @property
    def image_channels(self) -> int:
        """C of an image."""
        return self.shape[0]

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of an image; None for vectors."""
        return (self.shape[1], self.shape[2]) if self.is_image else None


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples held in memory: uint8 ``(N, C, H, W)`` images or float32 ``(N, D)`` vectors."""

    spec: DataSpec
    stored: Tensor
    labels: Tensor | None = None
    skipped: tuple[str, ...] = ()
    """What could not be read, each with the reason."""

    def __post_init__(self) -> None:
        wanted = torch.uint8 if self.spec.is_image else torch.float32
        if self.stored.dtype != wanted or tuple(self.stored.shape[1:]) != self.spec.shape:
            raise ValueError(
                f"samples of {self.spec.shape} are stored as (N, *{self.spec.shape}) {wanted}, "
                f"not {tuple(self.stored.shape)} {self.stored.dtype}"
            )

    def __len__(self) -> int:
        return len(self.stored)

    def complaints(self) -> list[str]:
        """Say what could not be read: the count, and a line for each of the first few."""
        if not self.skipped:
            return []
        count = len(self.skipped)
        shown = [f"skipped {what}" for what in self.skipped[:NAMED]]
        more = [f"and {count - NAMED} more"] if count > NAMED else []
        return [f"{count} of {count + len(self)} images cannot be read", *shown, *more]

    def batch(self, indices: Tensor) -> Tensor:
        """Return chosen samples as networks take them: images become floats in ``[-1, 1]``."""
        chosen = self.stored[indices]
        return images.to_float(chosen) if self.spec.is_image else chosen

    def subset(self, indices: Tensor) -> Samples:
        """Return a set of the chosen samples only."""
        labels = None if self.labels is None else self.labels[indices]
        return Samples(self.spec, self.stored[indices], labels)

    def to(self, device: torch.device | str) -> Samples:
        """Return the same set with its tensors on a device."""
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, stored=self.stored.to(device), labels=labels)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the content: shape and every sample, in order. SHA-256, hexadecimal."""
        stored = self.stored.detach().cpu().contiguous()
        digest = hashlib.sha256(repr((tuple(stored.shape), str(stored.dtype))).encode())
        digest.update(memoryview(stored.numpy()).cast("B"))
        return digest.hexdigest()


class Dataset(Component, ABC):
    """Base of datasets.

    ``split`` is what score rows call the part that is read; a dataset with several declares it
    as an option.
    """

    @abstractmethod
    def read(self) -> Samples:
        """Read all samples, the same ones in the same order each time.

        Raises:
            ganzoo.errors.GanzooError: they cannot be found, downloaded or read.
        """

    @property
    def split_name(self) -> str:
        """Name of the part of the data that is read: the option ``split``, or ``all``."""
        return getattr(self, "split", "all")


def _height_and_width(value: Any) -> Any:
    if isinstance(value, str):
        value = value.lower().split("x")
    if isinstance(value, int):
        value = (value,)
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = (value[0], value[0])
    return value


Side = Annotated[int, Field(ge=1, le=4096)]
ImageSize = Annotated[tuple[Side, Side], BeforeValidator(_height_and_width)]


class ImageDataset(Dataset):
    """Base of image datasets: adds the option to resize."""

    image_size: ImageSize | None = Field(
        None, description="Resize to N x N, or to HEIGHTxWIDTH; the data's own size if not given."
    )

    def resized(self, stored: Tensor) -> Tensor:
        """Resize uint8 images ``(N, C, H, W)`` to the asked size, with antialiasing."""
        return stored if self.image_size is None else images.resize(stored, self.image_size)
