"""Converting a file: choosing the converter, and holding its result against the networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ganzoo import registry
from ganzoo.component import parse_options
from ganzoo.config import RunConfig
from ganzoo.errors import GanzooError, InputError, PluginError, excerpt, first_line
from ganzoo.models.size_check import build_on_meta
from ganzoo.registry import ARCHITECTURE, CONVERTER, Entry
from ganzoo.resolve import resolve
from ganzoo.storage.paths import user_path

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.protocols.architecture import Architecture
    from ganzoo.protocols.converter import Converted, Converter, ForeignWeights
    from ganzoo.protocols.dataset import DataSpec

MAX_NAMED = 6
"""The most tensors that a message names."""


@dataclass(frozen=True)
class Networks:
    """The networks of an imported model."""

    config: RunConfig
    architecture: Architecture
    data: DataSpec
    generator: nn.Module
    discriminator: nn.Module | None


def find_converter(name: str, options: Mapping[str, Any]) -> tuple[Entry, Converter]:
    """Return the converter of a name, with options.

    Raises:
        InputError: there is none of the name, or an option is wrong.
        PluginError: it is broken.
    """
    entry = registry.find(CONVERTER, name)
    return entry, parse_options(entry.load(), options)


def choose_converter(
    weights: ForeignWeights, options: Mapping[str, Any]
) -> tuple[Entry, Converter]:
    """Return the converter that recognises a file.

    Raises:
        InputError: not exactly one recognises it, or an option is wrong.
    """
    found = list(_recognise(weights))
    if len(found) == 1:
        entry = found[0]
        return entry, parse_options(entry.load(), options)
    known = sorted({entry.name for entry in registry.entries(CONVERTER)})
    if found:
        names = " or ".join(f"--from {entry.name}" for entry in found)
        raise InputError(f"several converters recognise the file: choose {names}")
    raise InputError(
        f"no converter recognises the file; it begins with {describe_names(weights.names)}",
        f"name one of {', '.join(known) or 'none'} by --from, or say which tensor is which: "
        "--to ARCHITECTURE",
    )


def _recognise(weights: ForeignWeights) -> Iterator[Entry]:
    """Yield the converters that recognise a file; a broken one recognises none."""
    for entry in registry.entries(CONVERTER):
        try:
            if entry.load()().recognises(weights):
                yield entry
        except Exception:
            continue


def convert(converter: Converter, weights: ForeignWeights) -> Converted:
    """Convert a file, all of which must be taken.

    Raises:
        InputError: the file is not of this form, or tensors are left over.
        PluginError: the converter fails.
    """
    try:
        converted = converter.convert(weights)
    except GanzooError:
        raise
    except Exception as error:
        raise PluginError(
            f"the converter {type(converter).__name__} fails: {type(error).__name__}: "
            f"{first_line(error)}"
        ) from error
    if left := weights.left_over():
        raise InputError(f"the converter does not know these tensors: {describe_names(left)}")
    return converted


def build_networks(converted: Converted) -> Networks:
    """Build the networks of an architecture and fill them, with every weight in its place.

    Raises:
        InputError: a weight is missing, left over, of another shape or not finite.
    """
    config = resolve_config(converted)
    architecture: Architecture = config.architecture.build(ARCHITECTURE)
    data = architecture.complete(converted.data)
    generator = _fill("generator", lambda: architecture.generator(data), converted.generator)
    discriminator = None
    if converted.discriminator is not None:
        independent = config.needs_independent_samples()
        discriminator = _fill(
            "discriminator",
            lambda: architecture.discriminator(data, independent_samples=independent),
            converted.discriminator,
        )
    return Networks(config, architecture, data, generator, discriminator)


def resolve_config(converted: Converted) -> RunConfig:
    """Resolve what a file holds to the configuration of a model on a folder without a path.

    Raises:
        InputError: the samples are no images, or an option is wrong.
    """
    if not converted.data.is_image:
        raise InputError("only models of images are imported")
    component = registry.get(ARCHITECTURE, converted.architecture)
    # All of them, because a recipe may have options of the architecture too.
    options = parse_options(component, converted.options, "arch.").model_dump(mode="json")
    settings: dict[str, Any] = {f"arch.{name}": value for name, value in options.items()}
    settings["train.recipe"] = "paper"
    here = user_path(".")  # a folder dataset needs one, and the model keeps none
    config = resolve(converted.architecture, converted.loss, here, settings, like=converted.data)
    return config.model_copy(
        update={"data": config.data.without_places(registry.DATASET), "trackers": ()}
    )


def _fill(word: str, build: Callable[[], nn.Module], state: Mapping[str, Tensor]) -> nn.Module:
    from ganzoo.compute.seeding import preserve_rng_state
    from ganzoo.models.model import find_nonfinite

    with preserve_rng_state(), _explain_build(word):
        outline = build_on_meta(build) or build()
        wanted = outline.state_dict()
        problems = list(compare(state, wanted))
        if not problems and (name := find_nonfinite(outline, state)):
            problems = [f"'{excerpt(name)}' has numbers that are not finite"]
        if problems:
            more = f"; and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
            raise InputError(
                f"the {word} does not fit its architecture: {'; '.join(problems[:MAX_NAMED])}{more}"
            )
        network = build()
    network.load_state_dict({name: state[name].to(wanted[name].dtype) for name in wanted})
    return network.eval().requires_grad_(False)


@contextmanager
def _explain_build(word: str) -> Iterator[None]:
    try:
        yield
    except GanzooError:
        raise
    except Exception as error:
        raise InputError(
            f"the {word} cannot be built: {type(error).__name__}: {first_line(error)}"
        ) from error


def compare(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield what keeps weights from being those of a network."""
    for name in wanted:
        if name not in state:
            yield f"'{excerpt(name)}' is missing"
        elif state[name].shape != wanted[name].shape:
            found, needed = tuple(state[name].shape), tuple(wanted[name].shape)
            yield f"'{excerpt(name)}' is {found}, not {needed}"
    for name in state:
        if name not in wanted:
            yield f"'{excerpt(name)}' belongs nowhere"


def describe_names(names: Iterable[str]) -> str:
    """Return the first of some names, and how many more there are."""
    names = list(names)
    shown = ", ".join(f"'{excerpt(name)}'" for name in names[:MAX_NAMED])
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"{shown}{more}"
