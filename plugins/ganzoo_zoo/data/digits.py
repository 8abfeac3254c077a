"""The embedded dataset of handwritten digits."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from ganzoo import DataSpec, ImageDataset, Samples
from ganzoo.protocols.dataset import ImageSize
from ganzoo.storage.tensors import load_tensors

FILE = Path(__file__).with_name("digits.safetensors")
GREY_LEVELS = 16


class Digits(ImageDataset):
    """1,797 handwritten digits of 43 writers, 8 x 8 pixels, 10 classes, embedded.

    The test set of Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998, UCI
    Machine Learning Repository, doi:10.24432/C50P49), CC BY 4.0; made by ``make_digits.py``.
    """

    is_default = True
    paper = "Alpaydin and Kaynak 1998, doi:10.24432/C50P49"
    licence = "cc-by-4.0"
    homepage = "https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits"

    image_size: ImageSize = Field(
        default=(16, 16), description="Resize to N x N, or to HEIGHTxWIDTH."
    )

    def needs_download(self) -> bool:
        """Return False: the package holds the digits."""
        return False

    def read(self) -> Samples:
        """Read the embedded file and resize its images."""
        tensors = load_tensors(FILE)
        stored = self.resize((tensors["images"].float() * 255 / GREY_LEVELS).round().byte())
        spec = DataSpec(shape=tuple(stored.shape[1:]), classes=10, features="digits-cnn")
        return Samples(spec, stored, tensors["labels"].long())
