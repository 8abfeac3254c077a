"""Checks of converters, and of what they make of a file."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ganzoo import registry
from ganzoo.protocols.converter import Converted, Converter, ForeignWeights
from ganzoo.registry import ARCHITECTURE
from ganzoo.testing.common import check_options, explain_errors, require

STRANGERS = ("weight", "encoder.embed.position", "somewhere.else.7.scale")
"""Names of tensors of no program."""


def check_licence(converter: Converter) -> None:
    """The program has a name and an address, and nothing is allowed without a licence."""
    program, licence = converter.program, converter.licence
    require(
        isinstance(program, str) and bool(program.strip()) and len(program) <= 200,
        f"program must be the name of the program that writes the files, not {program!r}",
    )
    require(
        licence is None or (isinstance(licence, str) and bool(licence)),
        f"licence must be an identifier of the Hub or None, not {licence!r}",
    )
    require(
        converter.may_pass_on in (True, False, None),
        f"may_pass_on must be True, False or None, not {converter.may_pass_on!r}",
    )
    require(
        licence is not None or not converter.may_pass_on,
        "may_pass_on must not be True without a licence that allows it",
    )


def check_recognition(converter: Converter) -> None:
    """Files of other programs are not recognised, whatever they hold, and nothing is taken."""
    strangers = [ForeignWeights({}), *(ForeignWeights({name: torch.ones(1)}) for name in STRANGERS)]
    for weights in strangers:
        with explain_errors("recognises(weights) must return False for files of other programs"):
            found = converter.recognises(weights)
        require(
            found is False,
            f"recognises(weights) must return False for a file with {weights.names}, not {found!r}",
        )
        require(
            len(weights.left_over()) == len(weights.names),
            "recognises(weights) must take and ignore nothing",
        )


converter_checks: list[Callable[[Converter], None]] = [
    check_options,
    check_licence,
    check_recognition,
]
"""Checks of converters that need no file."""


def check_conversion(converter: Converter, weights: ForeignWeights) -> None:
    """A file of the converter's form is recognised, taken whole, and fits its architecture.

    Args:
        converter: The converter.
        weights: The tensors and values of such a file, such as of a small network.
    """
    with explain_errors("recognises(weights) must work for its own files"):
        found = converter.recognises(weights)
    require(found is True, f"recognises(weights) must return True for its own file, not {found!r}")
    require(
        len(weights.left_over()) == len(weights.names),
        "recognises(weights) must take and ignore nothing",
    )
    with explain_errors("convert(weights) must work for its own files"):
        converted = converter.convert(weights)
    require(
        isinstance(converted, Converted),
        f"convert(weights) must return a Converted, not {type(converted).__name__}",
    )
    left = weights.left_over()
    require(not left, f"convert(weights) must take or ignore every tensor, and left {left[:5]}")
    _check_fit(converted)


def _check_fit(converted: Converted) -> None:
    with explain_errors("the architecture must build networks with the options of convert()"):
        found = registry.get(ARCHITECTURE, converted.architecture)(**converted.options)
        data = found.complete(converted.data)
        networks = {"generator": (found.generator(data), converted.generator)}
        if converted.discriminator is not None:
            networks["discriminator"] = (found.discriminator(data), converted.discriminator)
    for word, (network, state) in networks.items():
        with explain_errors(f"every weight of the {word} must have its place"):
            network.load_state_dict(dict(state))
