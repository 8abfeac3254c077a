"""People's pictures at their own sizes, for models that take images of any size."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo import registry
from ganzoo.errors import InputError
from ganzoo.protocols.dataset import DataSpec
from ganzoo.registry import DATASET
from ganzoo.resolve import choose_data
from ganzoo.storage.paths import user_path

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.models.model import Model


@dataclass(frozen=True)
class Pictures:
    """Files of pictures, which are read one by one."""

    root: Path
    names: tuple[str, ...]
    """Paths of the files in the folder ``root``."""
    channels: int
    """Channels that each of them gets: 1 grey, 3 RGB, 4 RGBA."""

    def read(self, number: int) -> Tensor:
        """Read a picture, uint8 ``(C, H, W)``.

        Raises:
            InputError: it cannot be read, or does not fit into memory.
        """
        name = self.names[number]
        with tempfile.TemporaryDirectory() as folder:
            # Read as a dataset, which handles files of every kind.
            shutil.copyfile(self.root / name, Path(folder) / f"image{Path(name).suffix.lower()}")
            try:
                data = choose_data(folder, {"image_channels": self.channels})
                return data.build(DATASET).read().stored[0].clone()
            except InputError as error:
                reason = str(error).rpartition(": ")[2]  # without the path of the copy
                raise InputError(f"{self.root / name} cannot be read: {reason}") from None


def is_path(source: str) -> bool:
    """Tell whether sources are a folder, or a file that no dataset reads: a single picture."""
    path, readers = user_path(source), {entry.name for entry in registry.entries(DATASET)}
    if source.rpartition(":")[2] in readers:
        return False
    return path.is_dir() or (path.is_file() and path.suffix.lower().lstrip(".") not in readers)


def find_pictures(
    model: Model, source: str, count: int | None, warn: Callable[[str], None]
) -> Pictures:
    """List the pictures of a folder, or the one of a file.

    Args:
        model: The model that takes them.
        source: The path.
        count: How many to take; None for all.
        warn: Called with a message about files that cannot be read.

    Raises:
        InputError: there are none, or none can be read.
    """
    shape, path = model.inputs.source_shape, user_path(source)
    if path.is_file():
        return Pictures(path.parent, (path.name,), shape[0])
    # The same files as in a training, which this reads at a small size.
    samples = choose_data(source, {}, like=DataSpec(shape=shape)).build(DATASET).read()
    for message in samples.describe_skipped():
        warn(message)
    names = tuple(samples.names or ())[:count]
    return Pictures(path, names, shape[0])
