"""Published sets through torchvision's own loaders."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field

from ganzoo import DataSpec, ImageDataset, Samples
from ganzoo.errors import GanzooError, InputError
from ganzoo.files import cache_folder
from ganzoo_data.options import AbsolutePath


class _Published(ImageDataset):
    """Base of torchvision's sets: used where they are, downloaded when they are not."""

    loader: ClassVar[str]
    """Name of the class in ``torchvision.datasets``."""

    split: Literal["train", "test"] = Field("train", description="Which part is read.")
    root: AbsolutePath | None = Field(
        None,
        description="Folder that holds the set as torchvision lays it out; downloaded there when "
        "missing. By default a folder in the cache, which GANZOO_CACHE moves.",
    )

    def read(self) -> Samples:
        """Read the set, downloading it if it is not there."""
        import torchvision

        loader = getattr(torchvision.datasets, self.loader)
        folder = Path(self.root) if self.root else cache_folder() / "datasets"
        train = self.split == "train"
        try:
            found = loader(folder, train=train, download=False)
        except RuntimeError:  # torchvision's word for "not there"
            found = self._download(loader, folder, train)
        except Exception as error:  # readers of broken files raise almost anything
            raise InputError(
                f"{self.loader} in {folder} cannot be read ({_cause(error)}); "
                "remove it, or give another folder with --set data.root=DIR"
            ) from error
        stored = torch.as_tensor(found.data)
        # torchvision keeps greyscale as (N, H, W) and colour as (N, H, W, C).
        stored = stored.unsqueeze(1) if stored.dim() == 3 else stored.permute(0, 3, 1, 2)
        stored = self.resized(stored.contiguous())
        spec = DataSpec(shape=tuple(stored.shape[1:]), classes=len(found.classes))
        return Samples(spec, stored, torch.as_tensor(found.targets))

    def _download(self, loader: type, folder: Path, train: bool) -> object:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return loader(folder, train=train, download=True)
        except (RuntimeError, OSError) as error:  # URLError is an OSError
            raise GanzooError(
                f"{self.loader} is not in {folder} and cannot be downloaded ({_cause(error)}); "
                "give torchvision's folder with --set data.root=DIR"
            ) from error


def _cause(error: Exception) -> str:
    """Return the last line of a message: where torchvision tries mirrors, what went wrong."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


class MNIST(_Published):
    """60,000 training and 10,000 test images of handwritten digits, 28 x 28, 10 classes."""

    paper = "LeCun et al. 1998, doi:10.1109/5.726791"
    loader = "MNIST"


class FashionMNIST(_Published):
    """60,000 training and 10,000 test images of clothing, 28 x 28 greyscale, 10 classes."""

    paper = "Xiao et al. 2017, arXiv:1708.07747"
    loader = "FashionMNIST"


class CIFAR10(_Published):
    """50,000 training and 10,000 test photographs, 32 x 32 in colour, 10 classes."""

    paper = "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"
    loader = "CIFAR10"
