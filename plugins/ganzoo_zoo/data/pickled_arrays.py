"""Published files of pickled arrays, read without calling any code that they name."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from ganzoo.errors import InputError
from ganzoo.storage.files import regular_size

_REBUILD = np.empty(0).__reduce__()[0]
"""The function that makes an empty array, which numpy then fills from the file."""
ADMITTED = {
    "numpy.core.multiarray._reconstruct": _REBUILD,
    "numpy._core.multiarray._reconstruct": _REBUILD,
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
}
"""All that a file may name: what numpy needs to rebuild an array."""


class _ArrayUnpickler(pickle.Unpickler):
    """Rebuilds arrays in plain containers."""

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the admitted names; any other is refused before anything is called."""
        try:
            return ADMITTED[f"{module}.{name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}") from None


def load_published(path: Path, md5: str) -> Any:
    """Load a file whose MD5 was published, after comparing it.

    Raises:
        InputError: the file is missing, or has another MD5.
        pickle.UnpicklingError: the file names anything but arrays.
    """
    regular_size(path)
    data = path.read_bytes()
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
        raise InputError("its MD5 is not the published one")
    return _ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
