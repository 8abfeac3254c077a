"""Checks of converters. What they convert is for their own tests, which write such files."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ganzoo.protocols.converter import Converter, ForeignWeights
from ganzoo.testing.common import check_options, explain_errors, require


def check_program(converter: Converter) -> None:
    """A converter names the program, with its address, and what is known of the licence."""
    program = getattr(converter, "program", None)
    require(
        isinstance(program, str) and "https://" in program,
        f"program must be the name and the address of the other program, such as 'BasicSR, "
        f"https://github.com/XPixelGroup/BasicSR', not {program!r}",
    )
    require(
        converter.licence is None or isinstance(converter.licence, str),
        f"licence must be an identifier of the Hub or None, not {converter.licence!r}",
    )
    require(
        converter.may_pass_on in (True, False, None),
        f"may_pass_on must be True, False or None, not {converter.may_pass_on!r}",
    )


def check_strangers(converter: Converter) -> None:
    """Files of other forms are not recognised, and nothing is taken of them."""
    layer = {"weight": torch.zeros(4, 3), "bias": torch.zeros(4)}
    nested = {f"generator.layers.0.{name}": tensor for name, tensor in layer.items()}
    for tensors in ({}, layer, nested):
        weights = ForeignWeights(tensors)
        names = ", ".join(tensors) or "none"
        with explain_errors("recognises(weights) must take any file"):
            found = converter.recognises(weights)
        require(
            found is False,
            f"recognises(weights) must return False for a file of other tensors, {names}, not "
            f"{found!r}",
        )
        require(
            weights.left_over() == weights.names,
            "recognises(weights) must neither take nor ignore tensors: look at names and shapes",
        )


converter_checks: list[Callable[[Converter], None]] = [
    check_options,
    check_program,
    check_strangers,
]
"""Checks of converters."""
