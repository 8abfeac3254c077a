"""Published datasets, read by torchvision's loaders."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from ganzoo import DataSpec, ImageDataset, Samples
from ganzoo.component import AbsolutePath
from ganzoo.compute import memory
from ganzoo.errors import GanzooError, InputError, did_you_mean
from ganzoo.protocols.dataset import ImageSize
from ganzoo.storage.cache import cache_folder
from ganzoo.storage.files import regular_size
from ganzoo_zoo.data.files import ImageFiles
from ganzoo_zoo.data.options import FLIP, Mirrored
from ganzoo_zoo.data.shaping import Shaping

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo_zoo.data.files import Classes
    from ganzoo_zoo.data.image_source import ImageSource
    from ganzoo_zoo.data.labelled_folder import LabelledFolder

MAX_NAMED = 3
"""The most missing and damaged files that a message names."""

Check = Callable[[Path], str | None]
"""Returns what is wrong with an existing file, or None."""


@dataclass(frozen=True)
class _Content:
    """The content of a set's files."""

    images: Tensor
    """uint8 ``(N, C, H, W)``."""
    labels: Tensor
    """Class of each image, int ``(N,)``."""
    classes: tuple[str, ...]
    """Names of the classes."""

    def find_flaw(self) -> str | None:
        """Tell what is wrong with it; None if nothing is."""
        count, known = len(self.images), len(self.classes)
        if count != len(self.labels):
            return f"it has {count} images and {len(self.labels)} labels"
        if not self.images.numel():
            return "it has no images"
        largest = int(self.labels.max())
        return f"it has a label {largest}, and {known} classes" if largest >= known else None


class _Published(ImageDataset):
    """Base of torchvision's sets, which are downloaded if they are not there yet."""

    loader: ClassVar[str]
    """Name of the class in ``torchvision.datasets``."""
    instructions: ClassVar[str] = "give torchvision's folder with --set data.root=DIR"
    """How to get the set if it cannot be downloaded."""

    root: AbsolutePath | None = Field(
        default=None,
        description="Folder of the set in torchvision's layout; the set is downloaded there if it "
        "is missing. By default a folder in the cache (see GANZOO_CACHE).",
    )

    @abstractmethod
    def loader_options(self) -> dict[str, Any]:
        """Return the loader's options for the split."""

    @abstractmethod
    def required_files(self, loader: Any) -> dict[str, Check]:
        """Return the files that the loader needs, relative to its root, each with a check."""

    @property
    def folder(self) -> Path:
        """The folder of the set."""
        return Path(self.root) if self.root else cache_folder() / "datasets"

    def needs_download(self) -> bool:
        """Tell whether files of the set are missing."""
        import torchvision

        checks = self.required_files(getattr(torchvision.datasets, self.loader))
        return not all((self.folder / name).exists() for name in checks)

    def load(self, loader: Any, folder: Path) -> Any:
        """Return the set that lies in a folder; raises anything if it cannot be read."""
        return loader(folder, **self.loader_options(), download=False)

    def download(self, loader: Any, folder: Path) -> None:
        """Download the set into a folder."""
        loader(folder, **self.loader_options(), download=True)

    def load_set(self) -> Any:
        """Return the loaded set; download it if none of its files exist.

        Raises:
            InputError: some files are missing or damaged; the message names them.
            GanzooError: the set cannot be downloaded.
        """
        import torchvision

        loader = getattr(torchvision.datasets, self.loader)
        folder = self.folder
        try:
            return self.load(loader, folder)
        except Exception as error:  # readers of broken files raise almost anything
            checks = self.required_files(loader)
            missing = [name for name in checks if not (folder / name).exists()]
            damaged = [
                f"{name} is damaged: {flaw}"
                for name, check in checks.items()
                if name not in missing and (flaw := check(folder / name))
            ]
            # In the cache, missing files mean an interrupted download, which is continued.
            if len(missing) == len(checks) or (missing and not damaged and not self.root):
                return self._download_and_load(loader, folder)
            flaws = [*damaged, *(f"{name} is missing" for name in missing)] or [_cause(error)]
            raise InputError(self._describe_flaws(folder, flaws)) from error

    def _describe_flaws(self, folder: Path, flaws: list[str]) -> str:
        listed = ", ".join(flaws[:MAX_NAMED])
        if len(flaws) > MAX_NAMED:
            listed += f", and {len(flaws) - MAX_NAMED} more"
        advice = (
            "put complete files there, or give another folder with --set data.root=DIR"
            if self.root
            else "remove the damaged files to download the set again"
        )
        return f"{self.loader} in {folder} cannot be read ({listed}); {advice}"

    def _download_and_load(self, loader: Any, folder: Path) -> Any:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.download(loader, folder)
            return self.load(loader, folder)
        except Exception as error:  # URLError is an OSError, and gdown has its own errors
            raise GanzooError(
                f"{self.loader} is not in {folder} and cannot be downloaded ({_cause(error)}); "
                f"{self.instructions}"
            ) from error


class _Arrays(_Published):
    """Base of sets that are held in memory. torchvision knows their files, and downloads them."""

    features: ClassVar[str | None] = None
    """Name of the feature extractor for these images."""
    has_class_names: ClassVar[bool] = False
    """Whether the loader's class names say more than the class numbers."""

    split: Literal["train", "test"] = Field(default="train", description="Which part is read.")

    def loader_options(self) -> dict[str, Any]:
        """Return the loader's options for the split."""
        return {"train": self.split == "train"}

    def read(self) -> Samples:
        """Read the set; download it if it is missing."""
        found: _Content = self.load_set()
        stored = self.resize(found.images)
        spec = DataSpec(
            shape=tuple(stored.shape[1:]),
            classes=len(found.classes),
            class_names=found.classes if self.has_class_names else None,
            features=self.features,
        )
        return Samples(spec, stored, found.labels, flip=getattr(self, "flip", False))

    def load(self, loader: Any, folder: Path) -> _Content:
        """Return the content of the split's files.

        Raises:
            InputError: its parts do not fit together. Broken files raise almost anything.
        """
        content = self.read_files(loader, folder)
        if flaw := content.find_flaw():
            raise InputError(flaw)
        return content

    @abstractmethod
    def read_files(self, loader: Any, folder: Path) -> _Content:
        """Read the split's files; the loader says which they are."""


class _Digits(_Arrays):
    """Base of sets in the format of MNIST."""

    def load_set(self) -> Any:
        """Return the loaded set; download it if none of its files exist.

        Raises:
            InputError: there are only files of a layout that torchvision has given up, or some
                files are missing or damaged.
            GanzooError: the set cannot be downloaded.
        """
        folder = Path(self.root) if self.root else cache_folder() / "datasets"
        own = folder / self.loader
        if not (own / "raw").exists() and any((own / "processed").glob("*.pt")):
            raise InputError(
                f"{own} has only the folder processed of an old torchvision, whose .pt files are "
                "not read; put the four files that end in -ubyte into the folder raw beside it, or "
                "give an empty folder to download them"
            )
        return super().load_set()

    def read_files(self, loader: Any, folder: Path) -> _Content:
        """Read the IDX files. All four must be there, as torchvision has it."""
        files = [folder / name for name in self.required_files(loader)]
        for file in files:
            regular_size(file)
        begin = "train" if self.split == "train" else "t10k"
        images, labels = (
            read_idx(next(file for file in files if file.name.startswith(f"{begin}-{what}")))
            for what in ("images", "labels")
        )
        return _Content(images.unsqueeze(1), labels.long(), tuple(loader.classes))

    def required_files(self, loader: Any) -> dict[str, Check]:
        """Return the files of both splits: the loader needs all of them."""
        names = [Path(url).stem for url, _ in loader.resources]
        return {f"{loader.__name__}/raw/{name}": _check_idx for name in names}


class MNIST(_Digits):
    """60,000 training and 10,000 test images of handwritten digits, 28 x 28, 10 classes."""

    paper = "LeCun et al. 1998, doi:10.1109/5.726791"
    # Its page states none; Keras, which also distributes it, does, in its authors' names. The Hub's
    # copy says mit.
    licence = "cc-by-sa-3.0"
    homepage = "http://yann.lecun.com/exdb/mnist/"
    hub_id = "ylecun/mnist"
    loader = "MNIST"
    features = "mnist-cnn"


class StackedMNIST(_Digits):
    """Three random digits of MNIST as the red, green and blue of an image: 1,000 modes.

    Labels, and thus modes, are three-digit numbers, red first. Metz et al. 2017, section 3.3,
    VEEGAN (Srivastava et al. 2017, arXiv:1705.07761) and PacGAN (Lin et al. 2018,
    arXiv:1712.04086), which gives the default number of training images.
    """

    paper = "Metz et al. 2017, arXiv:1611.02163"
    licence, homepage, hub_id = MNIST.licence, MNIST.homepage, MNIST.hub_id
    loader = "MNIST"
    features = "stacked-mnist-cnn"

    samples: int = Field(default=128_000, gt=0, le=10_000_000, description="Images to draw.")

    def read(self) -> Samples:
        """Draw the images from a fixed seed."""
        import torch

        from ganzoo.compute.seeding import make_rng

        digits = super().read()
        shape = (3, *digits.spec.shape[1:])
        memory.require(self.samples * math.prod(shape), f"{self.samples:,} stacked images")
        # The seed is fixed: the run's seed must not change the data.
        rng = make_rng(0, "stacked")
        chosen = torch.randint(len(digits), (self.samples, 3), generator=rng)
        assert digits.labels is not None  # MNIST is labelled
        labels = digits.labels[chosen] @ torch.tensor([100, 10, 1])
        spec = DataSpec(shape=shape, classes=1000, features=self.features)
        return Samples(spec, digits.stored[chosen.flatten()].view(-1, *shape), labels)


class FashionMNIST(_Digits):
    """60,000 training and 10,000 test images of clothing, 28 x 28 greyscale, 10 classes."""

    paper = "Xiao et al. 2017, arXiv:1708.07747"
    licence = "mit"
    homepage = "https://github.com/zalandoresearch/fashion-mnist"
    hub_id = "zalando-datasets/fashion_mnist"
    loader = "FashionMNIST"


class CIFAR10(_Arrays, Mirrored):
    """50,000 training and 10,000 test photographs, 32 x 32 in colour, 10 classes."""

    paper = "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"
    licence = "unknown"
    homepage = "https://www.cs.toronto.edu/~kriz/cifar.html"
    hub_id = "uoft-cs/cifar10"
    loader = "CIFAR10"
    features = "cifar10-cnn"
    has_class_names = True

    flip: bool = Field(default=True, description=FLIP)

    def required_files(self, loader: Any) -> dict[str, Check]:
        """Return the batches of both splits, and the file of the class names."""
        return {
            f"{loader.base_folder}/{name}": _md5_check(md5)
            for name, md5 in self._published_sums(loader)
        }

    def download(self, loader: Any, folder: Path) -> None:
        """Download and unpack the archive. The loader would go on to unpickle the files."""
        from torchvision.datasets.utils import download_and_extract_archive

        download_and_extract_archive(
            loader.url, str(folder), filename=loader.filename, md5=loader.tgz_md5
        )

    def read_files(self, loader: Any, folder: Path) -> _Content:
        """Read the split's batches. The files of both splits must be there, and unchanged."""
        import numpy as np
        import torch

        from ganzoo_zoo.data.pickled_batches import PublishedPickle

        found = {
            name: PublishedPickle(folder / loader.base_folder / name, md5)
            for name, md5 in self._published_sums(loader)
        }
        parts = loader.train_list if self.split == "train" else loader.test_list
        batches = [found[name] for name, _ in parts]
        images = np.concatenate([batch.images() for batch in batches])
        labels = [label for batch in batches for label in batch.numbers("labels")]
        names = found[loader.meta["filename"]].names(loader.meta["key"])
        return _Content(torch.from_numpy(images), torch.tensor(labels), tuple(names))

    def _published_sums(self, loader: Any) -> list[tuple[str, str]]:
        """Return the name of each file with its published MD5."""
        meta = loader.meta["filename"], loader.meta["md5"]
        return [*map(tuple, [*loader.train_list, *loader.test_list]), meta]


class CelebA(_Published, ImageFiles):
    """202,599 photographs of 10,177 celebrities, aligned, 178 x 218 in colour.

    The ``crop`` pixels around the centre, 178 as most papers do, are resized to ``image_size``.
    There are 162,770 training, 19,867 validation and 19,962 test images. Its authors allow research
    that is not commercial.
    """

    paper = "Liu et al. 2015, arXiv:1411.7766"
    licence = "other"
    homepage = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
    loader = "CelebA"
    instructions = (
        "download it from its authors' page, put the unpacked folder img_align_celeba and the "
        "files identity_CelebA.txt and list_*.txt into DIR/celeba, and add --set data.root=DIR"
    )

    image_size: ImageSize = Field(
        default=(64, 64), description="Resize to N x N, or to HEIGHTxWIDTH."
    )
    crop: Annotated[int, Field(ge=1, le=218)] = Field(
        default=178, description="Side of the square to crop around the centre, in pixels."
    )
    split: Literal["train", "valid", "test", "all"] = Field(
        default="train", description="Which part is read."
    )
    attribute: str | None = Field(
        default=None, description="One of the 40 attributes, such as Smiling, for two classes."
    )
    flip: bool = Field(default=True, description=FLIP)

    @property
    def shaping(self) -> Shaping:
        """How each image is cropped, resized and converted."""
        return Shaping(self.image_size, 3, self.crop)

    def loader_options(self) -> dict[str, Any]:
        """Return the loader's options for the split."""
        return {"split": self.split, "target_type": "attr"}

    def required_files(self, loader: Any) -> dict[str, Check]:
        """Return the lists, and the folder of the images."""
        lists = {
            f"{loader.base_folder}/{name}": _md5_check(md5)
            for _, md5, name in loader.file_list
            if name.endswith(".txt")
        }
        return {f"{loader.base_folder}/img_align_celeba": _check_folder, **lists}

    @contextmanager
    def open_source(self) -> Iterator[LabelledFolder]:
        """Load the lists; a missing image is reported when it is read."""
        from ganzoo_zoo.data.labelled_folder import LabelledFolder

        found = self.load_set()
        labels = None
        if self.attribute is not None:
            if self.attribute not in (known := [name for name in found.attr_names if name]):
                hint = did_you_mean(self.attribute, known) or f"; there are {', '.join(known)}"
                raise InputError(f"CelebA has no attribute '{self.attribute}'{hint}")
            labels = found.attr[:, known.index(self.attribute)].tolist()
        folder = Path(found.root) / found.base_folder / "img_align_celeba"
        yield LabelledFolder(folder, found.filename, labels)

    def classes(self, source: ImageSource, names: Sequence[str]) -> Classes:
        """Return two classes, without the attribute and with it, and the class of each image."""
        import torch

        from ganzoo_zoo.data.labelled_folder import LabelledFolder

        assert isinstance(source, LabelledFolder)  # from open_source
        if self.attribute is None or source.labels is None:
            return None, None
        labels = torch.tensor([source.labels[name] for name in names])
        return (f"not {self.attribute}", self.attribute), labels


def _check_idx(path: Path) -> str | None:
    """Check a file in MNIST's IDX format; return what is wrong with it, or None."""
    size = regular_size(path)
    dimensions = 3 if "idx3" in path.name else 1
    with path.open("rb") as file:
        head = file.read(4 + 4 * dimensions)
    if len(head) < 4 + 4 * dimensions or head[:4] != bytes([0, 0, 8, dimensions]):
        return f"it does not begin as an IDX file of {dimensions} dimensions"
    sides = [int.from_bytes(head[at : at + 4]) for at in range(4, len(head), 4)]
    wanted = len(head) + math.prod(sides)
    return None if size == wanted else f"it has {size:,} bytes, and its header says {wanted:,}"


def read_idx(path: Path) -> Tensor:
    """Read a file in MNIST's IDX format as uint8, of the shape that its header tells.

    Raises:
        InputError: the file is missing or damaged.
    """
    import numpy as np
    import torch

    if flaw := _check_idx(path):
        raise InputError(flaw)
    data = np.fromfile(path, np.uint8)
    sides = [int.from_bytes(data[4 + 4 * at : 8 + 4 * at].tobytes()) for at in range(data[3])]
    return torch.from_numpy(data[4 + 4 * len(sides) :].reshape(sides))


def _md5_check(md5: str) -> Check:
    """Return a check of a file's MD5 against the published one."""

    def check(path: Path) -> str | None:
        from torchvision.datasets.utils import check_integrity

        return None if check_integrity(path, md5) else "its MD5 is not the published one"

    return check


def _check_folder(path: Path) -> str | None:
    return None if path.is_dir() else "it is not a folder"


def _cause(error: Exception) -> str:
    """Return the last line of an error: torchvision lists every mirror, the cause comes last."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
