"""Reads tables of numbers into samples."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ganzoo import DataSpec, Samples
from ganzoo.compute import memory
from ganzoo.errors import InputError, did_you_mean, excerpt
from ganzoo.protocols.dataset import MOST_CLASSES, Units
from ganzoo.storage.files import explain_read_errors, regular_size

DELIMITERS = (",", ";", "\t", "|")
ENCODING = "utf-8-sig"  # spreadsheets begin files with a mark
LONGEST_NAME = 200
SHOWN = 3


def read_table(path: str, columns: Sequence[str] | None, label: str | None) -> Samples:
    """Read a CSV file.

    Args:
        path: The file.
        columns: Columns that samples have; all but the label if None.
        label: Column of the class of each row, if there is one.

    Raises:
        InputError: it is no such table.
    """
    file = Path(path)
    memory.require(4 * regular_size(file), f"the table {path}")
    with explain_read_errors(file):
        try:
            header, delimiter = read_header(file)
            chosen = _choose(file, header, columns, label)
            numbers = read_numbers(file, header, chosen, delimiter)
            named = _read_labels(file, header, label, delimiter) if label else None
        except UnicodeDecodeError:
            raise InputError(f"{path} is not text in UTF-8") from None
    names = tuple(header[place] for place in chosen)
    offset, spread = numbers.mean(0), numbers.std(0)
    scale = np.where(spread > 0, spread, 1.0)
    classes, labels = (None, None) if named is None else _number(file, named)
    spec = DataSpec(
        shape=(len(names),),
        classes=None if classes is None else len(classes),
        class_names=classes,
        units=Units(names=names, offset=tuple(offset.tolist()), scale=tuple(scale.tolist())),
    )
    stored = torch.from_numpy(((numbers - offset) / scale).astype(np.float32))
    return Samples(spec, stored, labels, notes=_describe(names, spread))


def read_header(file: Path) -> tuple[list[str], str]:
    """Return the names of the columns of a CSV file, and what separates them.

    Raises:
        InputError: the first line does not name columns.
        UnicodeDecodeError: it is no text.
    """
    with file.open(encoding=ENCODING, newline="") as opened:
        line = opened.readline(1 << 20)
    delimiter = max(DELIMITERS, key=line.count)
    header = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
    if not header:
        raise InputError(f"{file} is empty: its first line must name the columns")
    if all(map(_is_number, header)):
        raise InputError(
            f"the first line of {file} must name the columns, and it holds numbers: "
            f"{excerpt(line.strip(), 60)}"
        )
    wrong = [name for name in header if not name or len(name) > LONGEST_NAME]
    wrong += [name for name in header if header.count(name) > 1]
    if wrong:
        raise InputError(
            f"the first line of {file} must give each column a name of its own, and "
            f"'{excerpt(wrong[0], 60)}' is none"
        )
    return header, delimiter


def read_numbers(
    file: Path, header: Sequence[str], chosen: Sequence[int], delimiter: str
) -> np.ndarray:
    """Read columns of numbers, float64 ``(rows, columns)``.

    Args:
        file: The file.
        header: Names of all columns.
        chosen: Which columns to read.
        delimiter: What separates them.

    Raises:
        InputError: there are no rows, or a cell holds no number.
    """
    try:
        numbers = _load(file, chosen, delimiter, np.float64)
    except ValueError:
        raise InputError(_find_flaw(file, header, chosen, delimiter)) from None
    if not len(numbers):
        raise InputError(f"{file} has no rows")
    if not np.isfinite(numbers).all():
        raise InputError(_find_flaw(file, header, chosen, delimiter))
    return numbers


def _load(file: Path, chosen: Sequence[int], delimiter: str, kind: type) -> np.ndarray:
    with warnings.catch_warnings():  # of a file without rows
        warnings.simplefilter("ignore")
        return np.loadtxt(
            file,
            dtype=kind,
            delimiter=delimiter,
            skiprows=1,
            usecols=list(chosen),
            quotechar='"',
            comments=None,
            encoding=ENCODING,
            ndmin=2,
        )


def _choose(
    file: Path, header: Sequence[str], columns: Sequence[str] | None, label: str | None
) -> list[int]:
    """Return the places of the columns that samples have."""
    for name in (*(columns or ()), *([label] if label else [])):
        if name not in header:
            hint = did_you_mean(name, header) or f"; there are {excerpt(', '.join(header), 200)}"
            raise InputError(f"{file} has no column '{name}'{hint}")
    wanted = [name for name in header if name != label] if columns is None else list(columns)
    if label in wanted or len(set(wanted)) < len(wanted) or not wanted:
        raise InputError(f"data.columns names each column once, and not the label: {wanted}")
    return [header.index(name) for name in wanted]


def _find_flaw(file: Path, header: Sequence[str], chosen: Sequence[int], delimiter: str) -> str:
    """Return what is wrong with the first cell that holds no number."""
    with file.open(encoding=ENCODING, newline="") as opened:
        reader = csv.reader(opened, delimiter=delimiter)
        next(reader)
        for row in filter(None, reader):
            where = f"line {reader.line_num} of {file}"
            if len(row) <= max(chosen):
                return f"{where} has {len(row)} cells, and its first line names {len(header)}"
            for place in chosen:
                if not _is_number(row[place]):
                    cell = excerpt(row[place], 40)
                    return (
                        f"{where} has '{cell}' in the column '{header[place]}', which is no number;"
                        " choose columns with data.columns, or name the classes with data.label"
                    )
    return f"{file} cannot be read as a table of numbers"


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def _read_labels(file: Path, header: Sequence[str], label: str, delimiter: str) -> list[str]:
    found = _load(file, [header.index(label)], delimiter, str)[:, 0]
    return [cell.strip() for cell in found.tolist()]


def _number(file: Path, named: Sequence[str]) -> tuple[tuple[str, ...], torch.Tensor]:
    """Return the classes in order, numbers by their size, and the number of each row's class."""
    found = set(named)
    if "" in found:
        raise InputError(f"row {named.index('') + 1} of {file} has no label")
    if len(found) > MOST_CLASSES:
        raise InputError(f"{file} has more than {MOST_CLASSES:,} classes")
    if all(map(_is_number, found)):
        classes = tuple(sorted(found, key=lambda name: (float(name), name)))
    else:
        classes = tuple(sorted(found))
    numbers = {name: number for number, name in enumerate(classes)}
    return classes, torch.tensor([numbers[name] for name in named])


def _describe(names: Sequence[str], spread: np.ndarray) -> tuple[str, ...]:
    same = [name for name, each in zip(names, spread.tolist(), strict=True) if not each > 0]
    if not same:
        return ()
    listed = ", ".join(same[:SHOWN]) + (" and others" if len(same) > SHOWN else "")
    return (f"the same in every row: {excerpt(listed, 200)}",)
