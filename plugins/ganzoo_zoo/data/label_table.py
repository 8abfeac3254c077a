"""Tables with the label of each image: of StyleGAN's packed sets, of Hugging Face, and plain ones.

Names in a table are relative to the folder that it lies in.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ganzoo.protocols.dataset import MOST_CLASSES
from ganzoo_zoo.data.listing import SUFFIXES

FILE_COLUMNS = ("file_name", "filename", "file", "image", "path", "name")
LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target")
DELIMITERS = ",;\t"

Label = int | str


@dataclass(frozen=True)
class LabelTable:
    """What a table says."""

    labels: Mapping[str, Label]
    """Label of each file, by its name with forward slashes."""
    all_numbers: bool = False
    """Whether labels are numbers, and each one from 0 to the largest is a class."""


def parse_table(name: str, data: bytes) -> LabelTable | None:
    """Parse a table.

    Args:
        name: Its file name, which tells its format.
        data: Its bytes.

    Returns:
        The table; None if it is another kind of file, or has no column of labels.

    Raises:
        ValueError: it is damaged.
        RecursionError: it is JSON that is nested too deep.
    """
    text = data.decode("utf-8-sig")
    if name == "dataset.json":
        return _parse_stylegan(json.loads(text))
    if name == "metadata.jsonl":
        return _parse_rows(json.loads(line) for line in text.splitlines() if line.strip())
    return _parse_csv(text, positional=name == "labels.csv")


def number_labels(labels: Mapping[str, Label], all_numbers: bool) -> tuple[tuple[str, ...], dict]:
    """Number the classes that labels name: in order, numbers as such and others by name.

    Args:
        labels: The labels, by any key.
        all_numbers: See :class:`LabelTable`.

    Returns:
        The names of the classes, and the class of each key.

    Raises:
        ValueError: there are too many classes.
    """
    found = set(labels.values())
    if all_numbers and found:
        largest = max(label for label in found if isinstance(label, int))
        ordered: list[Label] = list(range(min(largest, MOST_CLASSES) + 1))
    elif all(isinstance(label, int) for label in found):
        ordered = sorted(found)
    else:
        ordered = sorted(found, key=str)
    if len(ordered) > MOST_CLASSES:
        raise ValueError(f"there are more than {MOST_CLASSES:,} classes")
    numbers = {label: number for number, label in enumerate(ordered)}
    # JSON can hold halves of surrogate pairs, which no file of ours can.
    names = (str(label).encode("utf-8", "backslashreplace").decode() for label in ordered)
    return tuple(names), {key: numbers[label] for key, label in labels.items()}


def _parse_stylegan(value: Any) -> LabelTable | None:
    if not isinstance(value, dict) or "labels" not in value:
        return None
    pairs = value["labels"] or []
    if not isinstance(pairs, list) or not all(_is_pair(pair) for pair in pairs):
        raise ValueError("its labels are not pairs of a file and a number")
    if not all(type(label) is int and label >= 0 for _, label in pairs):
        pairs = []  # vectors, such as the pose of a camera
    return LabelTable({_normal(file): label for file, label in pairs}, all_numbers=True)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def _parse_csv(text: str, positional: bool) -> LabelTable | None:
    head = text[: text.find("\n")]
    delimiter = max(DELIMITERS, key=head.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise ValueError(str(error)) from None
    rows = [row for row in rows if row]
    if not rows:
        return None
    header = [cell.strip().lower() for cell in rows[0]]
    if _first_of(FILE_COLUMNS, header) and _first_of(LABEL_COLUMNS, header):
        return _parse_rows(dict(zip(header, row, strict=False)) for row in rows[1:])
    if not positional:
        return None
    if not rows[0][0].lower().endswith(SUFFIXES):
        rows = rows[1:]
    if any(len(row) < 2 for row in rows):
        raise ValueError("a row has less than two columns")
    return _parse_rows({"file": row[0], "label": row[1]} for row in rows)


def _parse_rows(rows: Iterable[Any]) -> LabelTable | None:
    labels: dict[str, Label] = {}
    for row in rows:
        if not isinstance(row, dict):
            raise ValueError("a row names no columns")
        file = row.get(_first_of(FILE_COLUMNS, row))
        label = row.get(_first_of(LABEL_COLUMNS, row))
        if isinstance(file, str) and isinstance(label, int | str) and label != "":
            labels[_normal(file)] = label
    if not labels:
        return None
    if all(_is_number(label) for label in labels.values()):
        return LabelTable({file: int(label) for file, label in labels.items()})
    return LabelTable({file: str(label).strip() for file, label in labels.items()})


def _first_of(known: Iterable[str], names: Any) -> str | None:
    return next((name for name in known if name in names), None)


def _is_number(label: Label) -> bool:
    text = str(label)
    return text.isascii() and text.isdecimal() and text == str(int(text[:10]))


def _normal(file: str) -> str:
    return file.strip().replace("\\", "/").removeprefix("./")
