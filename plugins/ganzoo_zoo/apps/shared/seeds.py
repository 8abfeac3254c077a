"""Seeds on the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from ganzoo.errors import InputError

Seeds = Annotated[
    str | None,
    typer.Option(
        metavar="N or SEED,SEED",
        help="A number of seeds, counted from 0, or a list of seeds; '7,' is the single seed 7. "
        "[default: 1]",
    ),
]


def read_seeds(text: str) -> tuple[int, ...]:
    """Read a number of seeds, counted from 0, or a comma-separated list of seeds.

    ``3`` means 0, 1 and 2; ``3,7`` means 3 and 7; ``7,`` means 7 alone.

    Raises:
        InputError: the text is neither.
    """
    listed = "," in text
    parts = [part.strip() for part in text.strip().removesuffix(",").split(",")]
    # Numbers of 20 or more digits are neither seeds nor numbers of runs.
    if not all(part.isascii() and part.isdecimal() and len(part) < 20 for part in parts):
        raise InputError(f"--seeds {text}: write a number of seeds, or some seeds such as 3,7,11")
    numbers = tuple(map(int, parts))
    if listed:
        return numbers
    if not 1 <= numbers[0] <= 1_000_000:
        raise InputError(f"--seeds {text}: write a number of seeds from 1, or one seed as {text},")
    return tuple(range(numbers[0]))
