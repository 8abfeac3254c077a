"""Channels of BigGAN's generators, by the number of their maps."""

from __future__ import annotations

from ganzoo.errors import InputError

LOWEST = 4
"""Height and width of a generator's first map."""


def find_base(widths: list[int]) -> int:
    """Return the unit of the channels of a generator's maps, the lowest resolution first.

    Raises:
        InputError: they are not BigGAN's.
    """
    factors = {
        4: (4, 4, 4, 4),
        5: (16, 16, 8, 4, 2),
        6: (16, 16, 8, 4, 2, 1),
        7: (16, 16, 8, 8, 4, 2, 1),
        8: (16, 16, 8, 8, 4, 2, 1, 1),
    }.get(len(widths), ())
    base = widths[-1] // factors[-1] if factors else 0
    if widths != [base * factor for factor in factors]:
        raise InputError(
            f"its maps have {', '.join(map(str, widths))} channels, which are not BigGAN's for any "
            "size of images"
        )
    return base
