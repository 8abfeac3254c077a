"""Components by their names, for Python: what there is, and an architecture's two networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ganzoo import registry
from ganzoo.arguments import require_int
from ganzoo.component import parse_options
from ganzoo.errors import InputError
from ganzoo.protocols.dataset import DataSpec
from ganzoo.registry import ARCHITECTURE, find_kind

if TYPE_CHECKING:
    from torch import nn

    from ganzoo.protocols.architecture import Architecture

SHAPE = (3, 32, 32)
"""Shape of the samples of networks that are built without data."""


class Networks(NamedTuple):
    """The two networks of an architecture."""

    generator: nn.Module
    """Latents, and what else the architecture takes, to samples."""
    discriminator: nn.Module
    """Samples to ``logits``; where it is asked for more, in a dictionary with the rest."""


def list(kind: str) -> tuple[str, ...]:
    """List the names of what is installed of a kind, such as ``ganzoo.list("losses")``.

    Nothing is imported. A name that several packages have comes with its package, as
    ``package:name``.

    Args:
        kind: A kind of component, ``models`` or ``recipes``, in the singular or the plural.

    Raises:
        InputError: there is no such kind.
    """
    entries = registry.entries(find_kind(kind))
    twice = registry.conflicts(entries)
    return tuple(entry.qualified if entry.name in twice else entry.name for entry in entries)


def create(
    architecture: str,
    *,
    image_size: int | tuple[int, int] | None = None,
    image_channels: int | None = None,
    shape: tuple[int, ...] | None = None,
    classes: int | None = None,
    independent_samples: bool = False,
    **options: Any,
) -> Networks:
    """Build the two networks of an architecture, with new weights and without a run.

    ``generator, discriminator = ganzoo.create("dcgan", image_size=64)``

    Weights are drawn from torch's own random numbers: call ``torch.manual_seed`` before.

    Args:
        architecture: Its name.
        image_size: Height and width of the images, 32 by default.
        image_channels: 1 grey, 3 RGB (the default), 4 RGBA.
        shape: The shape of a sample in place of both: ``(C, H, W)``, or ``(D,)`` of a vector.
        classes: Number of classes, for networks that take labels.
        independent_samples: Whether the discriminator must judge each sample independently of its
            batch, as losses with a gradient penalty need it.
        options: Options of the architecture, such as ``base_channels=32``.

    Raises:
        InputError: a name, an option or the shape is wrong.
        ganzoo.errors.PluginError: the architecture is broken.
    """
    if shape is not None and (image_size is not None or image_channels is not None):
        raise InputError("give shape, or image_size and image_channels")
    if shape is None:
        size = SHAPE[1] if image_size is None else image_size
        sides = size if isinstance(size, tuple) else (size, size)
        shape = (SHAPE[0] if image_channels is None else image_channels, *sides)
    data = DataSpec(shape=tuple(require_int("shape", side, 1) for side in shape), classes=classes)
    built: Architecture = parse_options(
        registry.get(ARCHITECTURE, architecture), options, f"{architecture}."
    )
    data = built.complete(data)
    return Networks(
        built.generator(data),
        built.discriminator(data, independent_samples=independent_samples),
    )
