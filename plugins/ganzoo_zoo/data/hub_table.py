"""Tables of images that the library ``datasets`` keeps on the disk."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ganzoo.errors import GanzooError, InputError, did_you_mean, excerpt, hide_token
from ganzoo.progress import report_progress
from ganzoo.protocols.dataset import MOST_CLASSES
from ganzoo.requirement import install_command
from ganzoo.storage.cache import get_or_make_folder
from ganzoo.storage.files import write_text
from ganzoo_zoo.data.columns import find_image_column, find_label_column
from ganzoo_zoo.data.image_source import KIND, ImageSource, is_settled, pack_state
from ganzoo_zoo.data.index import NameSequence
from ganzoo_zoo.data.listing import join_words
from ganzoo_zoo.data.sources import read_file

if TYPE_CHECKING:
    from ganzoo_zoo.data.files import Classes

TRAIN, ALL = "train", "all"
COMMIT = re.compile("[0-9a-f]{40}")
ROWS_AT_ONCE = 1000
"""Rows of which the images are hashed together."""
HASH_VERSION = 1
"""Version of how a table is hashed; increase it when that changes."""
CONTENT_FILE = "content"
MOST_SMALL_CLASSES = 256
LONGEST_REASON = 300
"""Letters of another program's message."""


@dataclass(frozen=True)
class TableChoice:
    """Which table to read, and which columns of it; None leaves it to what is there."""

    repo: str | None
    """Name on the Hub."""
    path: str | None
    """Folder, in place of a name on the Hub."""
    config_name: str | None
    revision: str | None
    split: str | None
    image_column: str | None
    label_column: str | None

    @property
    def title(self) -> str:
        """Name of the data set in messages."""
        return self.path or self.repo or ""


class RowNames(NameSequence):
    """Names of the rows of a table: the split and the number.

    Args:
        split: The split.
        count: Number of rows.
    """

    def __init__(self, split: str, count: int) -> None:
        self.split = split
        self._count = count

    def __len__(self) -> int:
        return self._count

    def _at(self, place: int) -> str:
        return f"{self.split}/{place}"


class HubSource(ImageSource):
    """The images in a column of a table, which the library maps from its files.

    Args:
        choice: Which table and which columns.

    Raises:
        InputError: the library is not installed.
    """

    labels_stand_apart = True

    def __init__(self, choice: TableChoice) -> None:
        self._library = _require_library()
        self.choice = choice
        self.title = choice.title

    def find_files(self, *, verified: bool = False) -> None:
        """Open the table; download it if it is not here.

        Raises:
            InputError: there is no such data set, split or column.
            GanzooError: it cannot be downloaded.
        """
        with _explain_errors(self.choice):
            builder = _prepare(self.choice)
            names = list(builder.info.splits or {})
            self.split = _choose_split(self.title, names, self.choice.split)
            self._table = builder.as_dataset(split=self.split)
        self.notes = ()
        self.chosen_options = {}
        if self.choice.split is None:
            self.chosen_options["split"] = self.split
            if len(names) > 1:
                self.notes = (
                    f"{self.title} has the splits {join_words(names)}: {self.split} is read; "
                    "choose another with data.split, or all",
                )
        if self.choice.revision is None and COMMIT.fullmatch(builder.hash or ""):
            self.chosen_options["revision"] = builder.hash
        self._column = self._choose_image_column()
        self._images = self._table.select_columns([self._column])
        if _holds_images(self._table.features[self._column]):
            encoded = self._library.Image(decode=False)
            self._images = self._images.cast_column(self._column, encoded)
        self.names = RowNames(self.split, len(self._images))
        self._content: str | None = None

    def read(self, place: int) -> bytes:
        """Return the bytes of the image in a row.

        Raises:
            ValueError: there is none.
        """
        return _read_value(self._images[place][self._column])

    def total_bytes(self) -> int:
        """Return the size of the table."""
        return int(self._images.data.nbytes)

    def content_hash(self) -> str:
        """Hash every image, unless the cache knows the hash of this table.

        Raises:
            OSError: the cache cannot be written to.
        """
        if self._content is None:
            state = self._describe_state()
            if state is None:
                self._content = self._hash_content()
            else:
                folder = get_or_make_folder(KIND, state, self._write_content)
                self._content = (folder / CONTENT_FILE).read_text(encoding="utf-8")
        return self._content

    def find_classes(self, names: Sequence[str]) -> Classes:
        """Return the names of the classes, and the class of each of some rows.

        Args:
            names: Names of the rows, in order.

        Raises:
            InputError: the column of labels that was asked for holds no classes.
        """
        column = self._choose_label_column()
        if column is None:
            return None, None
        try:
            classes, numbers = self._number_labels(column)
        except ValueError as error:
            if self.choice.label_column is not None:
                raise InputError(f"the column {column} of {self.title} {error}") from None
            self.notes = (*self.notes, f"the images have no classes: the column {column} {error}")
            return None, None
        if len(names) < len(self.names):
            numbers = numbers[[int(name.rpartition("/")[2]) for name in names]]
        smallest = np.uint8 if len(classes) <= MOST_SMALL_CLASSES else np.int32
        return classes, torch.from_numpy(numbers.astype(smallest))

    def _choose_image_column(self) -> str:
        features, wanted = self._table.features, self.choice.image_column
        column = find_image_column(features) if wanted is None else wanted
        if column is None:
            raise InputError(
                f"it is not clear which column of {self.title} holds the images: it has "
                f"{_list_columns(features)}; choose one with data.image_column"
            )
        self._require_column(column, "image_column")
        feature = features[column]
        if not _holds_images(feature) and "binary" not in getattr(feature, "dtype", ""):
            raise InputError(
                f"the column {excerpt(column)} of {self.title} holds no images, but "
                f"{_name_type(feature)}; choose one of {_list_columns(features)} with "
                "data.image_column"
            )
        return column

    def _choose_label_column(self) -> str | None:
        if self.choice.label_column is None:
            return find_label_column(self._table.features)
        self._require_column(self.choice.label_column, "label_column")
        return self.choice.label_column

    def _require_column(self, name: str, option: str) -> None:
        features = self._table.features
        if name not in features:
            hint = did_you_mean(name, features) or f"; choose one with data.{option}"
            raise InputError(
                f"{self.title} has no column {excerpt(name)}: it has "
                f"{_list_columns(features)}{hint}"
            )

    def _number_labels(self, column: str) -> tuple[tuple[str, ...], np.ndarray]:
        """Return the names of all classes, and the class of every row.

        Raises:
            ValueError: the column holds no classes; the message goes on behind its name.
        """
        feature = self._table.features[column]
        table = self._table.select_columns([column]).with_format("numpy")
        values = np.asarray(table[:][column])
        if values.dtype.kind in "OU" and all(isinstance(each, str) for each in values.flat):
            known, numbers = np.unique(values.astype(str), return_inverse=True)
            classes = tuple(map(str, known))
        elif values.dtype.kind in "biu" and values.ndim == 1:
            numbers = values.astype(np.int64)
            if int(numbers.min()) < 0:
                raise ValueError(f"has labels below 0, such as {int(numbers.min())}")
            named = getattr(feature, "names", None)
            classes = tuple(named or map(str, range(min(int(numbers.max()), MOST_CLASSES) + 1)))
        else:
            raise ValueError(f"holds {_name_type(feature)}, or has empty rows")
        if not 2 <= len(classes) <= MOST_CLASSES:
            raise ValueError(f"has {len(classes):,} classes")
        return classes, numbers

    def _describe_state(self) -> dict[str, Any] | None:
        """Return what tells that the table is the same; None if it may still change unnoticed."""
        stats = [Path(file["filename"]).stat() for file in self._table.cache_files]
        if not stats or not all(map(is_settled, stats)):
            return None
        return {
            "hash": HASH_VERSION,
            "files": [pack_state(stat).hex() for stat in stats],
            "split": self.split,
            "rows": len(self._images),
            "column": self._column,
        }

    def _write_content(self, folder: Path) -> None:
        write_text(folder / CONTENT_FILE, self._hash_content())

    def _hash_content(self) -> str:
        joint, done = hashlib.sha256(), 0
        for rows in self._images.iter(ROWS_AT_ONCE):
            for value in rows[self._column]:
                try:
                    data = _read_value(value)
                except Exception as error:  # decoding treats errors the same way
                    data = repr(error).encode()
                joint.update(hashlib.sha256(data).digest())
            done += len(rows[self._column])
            report_progress(f"hashing {self.title}", done, len(self._images))
        return joint.hexdigest()


def is_downloaded(name: str) -> bool:
    """Tell whether the library's cache has a data set of the Hub, in any version.

    Raises:
        InputError: the library is not installed.
    """
    library = _require_library()
    from datasets.naming import camelcase_to_snakecase

    user, slash, bare = name.rpartition("/")
    folder = f"{user}{'___' * bool(slash)}{camelcase_to_snakecase(bare)}"
    return any((Path(library.config.HF_DATASETS_CACHE) / folder).glob("*/*/*"))


def _require_library() -> Any:
    try:
        import datasets
    except ImportError:
        raise InputError(
            "data sets of the Hub are read by a package that is not installed here: "
            f"{install_command('datasets')}"
        ) from None
    return datasets


def _prepare(choice: TableChoice) -> Any:
    """Return the library's builder of a data set, once its tables are on the disk."""
    import datasets

    if choice.path is not None and not Path(choice.path).is_dir():
        raise InputError(f"there is no folder {choice.path}")
    # With the prefix, no folder of this name is read in its place.
    path = choice.path or f"hf://datasets/{choice.repo}"
    hidden = not sys.stderr.isatty() and not datasets.are_progress_bars_disabled()
    if hidden:
        datasets.disable_progress_bars()
    try:
        builder = datasets.load_dataset_builder(path, choice.config_name, revision=choice.revision)
        builder.download_and_prepare()
    finally:
        if hidden:
            datasets.enable_progress_bars()
    return builder


def _choose_split(title: str, names: list[str], wanted: str | None) -> str:
    """Return which split to read, as the library writes it.

    Raises:
        InputError: there is no such split.
    """
    if wanted is None:
        wanted = TRAIN if TRAIN in names or len(names) != 1 else names[0]
    if wanted == ALL and ALL not in names:
        return "+".join(names)
    for part in wanted.split("+"):
        name = part.partition("[")[0].strip()
        if name not in names:
            hint = did_you_mean(name, names) or "; choose one with data.split, or all"
            raise InputError(
                f"{title} has the splits {excerpt(join_words(names))}, and no {excerpt(name)}{hint}"
            )
    return wanted


@contextmanager
def _explain_errors(choice: TableChoice) -> Iterator[None]:
    """Explain in one line why the library cannot open a data set."""
    from datasets.exceptions import DatasetNotFoundError

    title = choice.title
    try:
        yield
    except GanzooError:
        raise
    except DatasetNotFoundError as error:
        raise InputError(
            f"{title}: {_shorten(error)} Check its name, or sign in with 'hf auth login' if it is "
            "private"
        ) from error
    except ConnectionError as error:
        raise GanzooError(
            f"{title} is not on this machine, and the Hub cannot be reached: {_shorten(error)}"
        ) from error
    except Exception as error:  # readers of broken files raise almost anything
        if isinstance(error, ValueError) and (names := _list_configurations(choice)):
            raise InputError(
                f"{title} has the configurations {excerpt(join_words(names))}: choose one with "
                "data.config_name"
            ) from error
        kind = GanzooError if isinstance(error, OSError) else InputError
        raise kind(f"{title} cannot be read: {_shorten(error.__cause__ or error)}") from error


def _list_configurations(choice: TableChoice) -> list[str]:
    """Return the configurations of a data set, if none of them is chosen; otherwise nothing."""
    import datasets

    try:
        name = choice.path or choice.repo
        names = datasets.get_dataset_config_names(name, revision=choice.revision)
    except Exception:  # the error that led here tells more
        return []
    return [] if choice.config_name in names or len(names) < 2 else names


def _shorten(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return hide_token(excerpt(text, LONGEST_REASON))


def _read_value(value: Any) -> bytes:
    """Return the bytes of an image in a row, or of the file that it names.

    Raises:
        ValueError: there is none. Reading the file may raise other errors too.
    """
    if isinstance(value, Mapping):
        data, path = value.get("bytes"), value.get("path")
        value = data if data is not None or not path else read_file(Path(path))
    if value is None:
        raise ValueError("the row is empty")
    return bytes(value)


def _holds_images(feature: Any) -> bool:
    return type(feature).__name__ == "Image"


def _name_type(feature: Any) -> str:
    return str(getattr(feature, "dtype", None) or type(feature).__name__)


def _list_columns(features: Mapping[str, Any]) -> str:
    return excerpt(join_words(list(features)), 200)
