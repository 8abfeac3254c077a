"""Weights by a map that a person writes: any state dict onto any architecture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import InputError, did_you_mean, excerpt
from ganzoo.models.size_check import build_on_meta
from ganzoo.protocols.converter import Converted
from ganzoo.protocols.dataset import DataSpec
from ganzoo.registry import ARCHITECTURE
from ganzoo.resolve import group_settings
from ganzoo.storage.json_files import read_json
from ganzoo_zoo.apps.import_weights.converting import resolve_config

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.protocols.architecture import Architecture
    from ganzoo.protocols.converter import ForeignWeights

NETWORKS = ("generator", "discriminator")
LEFT_OUT = None
"""What a map gives for a tensor that is not needed."""
COUNTER = "num_batches_tracked"
"""A count of batch normalisation, which no sample depends on."""


@dataclass(frozen=True)
class Target:
    """An architecture for some samples, onto which weights are mapped."""

    architecture: str
    data: DataSpec
    options: dict[str, Any]
    wanted: dict[str, Tensor]
    """Its tensors, without numbers, as ``generator.NAME`` and ``discriminator.NAME``."""


def find_target(architecture: str, settings: Mapping[str, Any]) -> Target:
    """Build an architecture's networks without numbers.

    Args:
        architecture: Its name.
        settings: Its options as ``arch.KEY``, and ``data.image_size``, ``data.image_channels`` and
            ``data.classes`` of its samples.

    Raises:
        InputError: an option is wrong.
    """
    groups = group_settings(settings)
    data = _read_data(groups.pop("data"))
    options = groups.pop("arch")
    if other := [f"{prefix}.{name}" for prefix, group in groups.items() for name in group]:
        raise InputError(f"{other[0]} is no option of networks: give arch.KEY or data.KEY")
    config = resolve_config(Converted(architecture, data, {}, options))
    built: Architecture = config.architecture.build(ARCHITECTURE)
    complete, independent = built.complete(data), config.needs_independent_samples()
    wanted: dict[str, Tensor] = {}
    for word, build in (
        ("generator", lambda: built.generator(complete)),
        ("discriminator", lambda: built.discriminator(complete, independent_samples=independent)),
    ):
        network = build_on_meta(build) or build()
        wanted |= {f"{word}.{name}": each for name, each in network.state_dict().items()}
    return Target(architecture, data, options, wanted)


def _read_data(options: Mapping[str, Any]) -> DataSpec:
    numbers = {"image_size": 32, "image_channels": 3, "classes": None}
    for name, value in options.items():
        if name not in numbers:
            raise InputError(f"unknown option 'data.{name}'{did_you_mean(name, numbers)}")
        if not str(value).isdecimal():
            raise InputError(f"data.{name}: give a whole number, not {excerpt(str(value))}")
        numbers[name] = int(value)
    side = numbers["image_size"]
    return DataSpec(shape=(numbers["image_channels"], side, side), classes=numbers["classes"])


def read_map(path: Path, weights: ForeignWeights, target: Target) -> dict[str, str | None]:
    """Read a map: a JSON object with our name for each of theirs, and null for what is left out.

    Raises:
        InputError: it cannot be read, or names a tensor that is not there, or one twice.
    """
    found = read_json(path)
    if not isinstance(found, dict) or not all(
        isinstance(ours, str) or ours is LEFT_OUT for ours in found.values()
    ):
        raise InputError(f'{path} is no map: it must be like {{"their.name": "generator.name"}}')
    for theirs, ours in found.items():
        if theirs not in weights:
            hint = did_you_mean(theirs, weights.names)
            raise InputError(f"{path}: the file has no tensor '{excerpt(theirs)}'{hint}")
        if ours is not LEFT_OUT and ours not in target.wanted:
            hint = did_you_mean(ours, target.wanted)
            raise InputError(f"{path}: {target.architecture} has no tensor '{excerpt(ours)}'{hint}")
    named = [ours for ours in found.values() if ours is not LEFT_OUT]
    if twice := next((name for name in named if named.count(name) > 1), None):
        raise InputError(f"{path}: '{twice}' gets two tensors")
    return found


def find_same_names(weights: ForeignWeights, target: Target) -> dict[str, str | None]:
    """Return a map of the tensors whose name and shape are also those of the architecture."""
    shapes = {name: tuple(tensor.shape) for name, tensor in target.wanted.items()}
    found: dict[str, str | None] = {}
    for theirs in weights.names:
        for ours in (theirs, *(f"{word}.{theirs}" for word in NETWORKS)):
            if shapes.get(ours) == weights.shape(theirs):
                found[theirs] = ours
                del shapes[ours]
                break
    return found


def propose_map(weights: ForeignWeights, target: Target) -> dict[str, str | None]:
    """Propose a map: by name where names agree, and else by order and shape."""
    proposed = find_same_names(weights, target)
    taken = set(proposed.values())
    shapes = {
        name: tuple(tensor.shape) for name, tensor in target.wanted.items() if name not in taken
    }
    for theirs in weights.names:
        if theirs not in proposed:
            fitting = [ours for ours, shape in shapes.items() if shape == weights.shape(theirs)]
            alike = [ours for ours in fitting if _last(ours) == _last(theirs)]
            proposed[theirs] = next(iter(alike or fitting), LEFT_OUT)
            shapes.pop(str(proposed[theirs]), None)
    return {name: proposed[name] for name in weights.names}


def convert_by_map(
    weights: ForeignWeights, target: Target, names: Mapping[str, str | None]
) -> Converted:
    """Return the tensors under the names of an architecture, if every one of both has its place.

    Raises:
        InputError: something is left over or missing, or has another shape.
    """
    if problems := list(find_misfits(weights, target, names)):
        raise InputError(
            f"the file does not fit {target.architecture}: {problems[0]}"
            + (f", and {len(problems) - 1} more" if len(problems) > 1 else ""),
            "see which tensors fit, and write a map to finish, with --write-map FILE",
        )
    states: dict[str, dict[str, Tensor]] = {word: {} for word in NETWORKS}
    for theirs, full in names.items():
        if full is LEFT_OUT:
            weights.ignore(theirs)
            continue
        word, _, ours = full.partition(".")
        states[word][ours] = weights.take(theirs)
    for full, like in target.wanted.items():
        word, _, ours = full.partition(".")
        if _last(ours) == COUNTER and states[word]:
            states[word].setdefault(ours, like.new_zeros((), device="cpu"))
    return Converted(
        target.architecture,
        target.data,
        states["generator"],
        target.options,
        states["discriminator"] or None,
    )


def find_misfits(
    weights: ForeignWeights, target: Target, names: Mapping[str, str | None]
) -> Iterator[str]:
    """Yield what is wrong with a map: tensors without a place, and places without a tensor."""
    filled = {ours: theirs for theirs, ours in names.items() if ours is not LEFT_OUT}
    for theirs in weights.names:
        if theirs not in names:
            yield f"'{excerpt(theirs)}' {weights.shape(theirs)} of the file has no place"
    words = {ours.partition(".")[0] for ours in filled} | {"generator"}
    for ours, tensor in target.wanted.items():
        if ours.partition(".")[0] not in words:
            continue  # a file may well have no discriminator
        shape = tuple(tensor.shape)
        if ours not in filled:
            if _last(ours) != COUNTER:
                yield f"'{ours}' {shape} gets no tensor"
        elif weights.shape(filled[ours]) != shape:
            found = weights.shape(filled[ours])
            yield f"'{ours}' is {shape}, and '{excerpt(filled[ours])}' is {found}"


def _last(name: str) -> str:
    return name.rpartition(".")[2]
