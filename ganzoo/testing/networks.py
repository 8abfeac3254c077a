"""Networks, inputs and data specifications that the conformance checks share."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError
from ganzoo.models.generation import generate
from ganzoo.nn import fuse
from ganzoo.protocols.architecture import Architecture, GeneratorInput
from ganzoo.protocols.dataset import DataSpec
from ganzoo.testing.common import explain_errors, require, seeded

SIZES = (28, 32, 64, 128)
"""Heights and widths of images that are tried until two of them are served."""
CHANNELS = (1, 3, 4)
LENGTHS = (2, 5)
"""Lengths of vectors."""
CLASSES = 2
COUNT = 4
CPU = torch.device("cpu")
STATE_MESSAGE = "a state_dict must hold tensors only, of the same names and shapes each time"
WEIGHT_FACTOR = 10.0
"""Weights are multiplied by this where a bound must hold, or must not be there."""
INPUT_FACTOR = 1e4
"""There, so is what a network is given: spectral normalisation undoes a factor of the weights."""
_SPECS = [
    *(
        DataSpec(shape=(channels, size, size), classes=CLASSES)
        for size, channels in product(SIZES, CHANNELS)
    ),
    *(DataSpec(shape=(length,), classes=CLASSES) for length in LENGTHS),
]


def _build_fitting(
    architecture: Architecture,
    *,
    every: bool = False,
    independent_samples: bool = False,
    seed: int = 0,
    classes: int | None = CLASSES,
) -> Iterator[tuple[DataSpec, nn.Module, nn.Module]]:
    """Build both networks, in training mode, for data that the architecture does not refuse.

    For images of the first two sizes and all vectors, or for the first images and vectors alone.
    """
    sizes: set[tuple[int, int] | None] = set()
    for data in _SPECS:
        new = data.image_size not in sizes
        enough = data.is_image and len(sizes - {None}) == (2 if every else 1)
        if (new and enough) or not (new or every):
            continue
        data = data.model_copy(update={"classes": classes})
        try:
            networks = _build_pair(architecture, data, independent_samples, seed)
        except InputError:
            continue
        sizes.add(data.image_size)
        yield data, *networks


def _build_pair(
    architecture: Architecture, data: DataSpec, independent_samples: bool, seed: int = 0
) -> tuple[nn.Module, nn.Module]:
    with (
        seeded(seed),
        explain_errors(
            f"networks for samples of {data.shape} must be built, or refused by ganzoo's InputError"
        ),
    ):
        generator = architecture.generator(data)
        discriminator = architecture.discriminator(data, independent_samples=independent_samples)
    for network in (generator, discriminator):
        require(
            isinstance(network, nn.Module),
            f"a network must be a torch.nn.Module, not {type(network).__name__}",
        )
    # As the trainer and a model do.
    return fuse(generator).train(), fuse(discriminator).train()


def _run_network(network: nn.Module, *given: Tensor) -> Tensor:
    labels = ", and labels (N,) as its second argument" if len(given) > 1 else ""
    with explain_errors(
        f"a network must serve the shape it was built for, here {tuple(given[0].shape)}{labels}"
    ):
        found = network(*given)
    require(
        isinstance(found, Tensor), f"a network must give one tensor, not {type(found).__name__}"
    )
    return found


def _generate(generator: nn.Module, inputs: GeneratorInput) -> Tensor:
    return _run_network(generator, *_generator_arguments(inputs))


def _compute_logits(
    architecture: Architecture,
    discriminator: nn.Module,
    data: DataSpec,
    samples: Tensor | None = None,
) -> Tensor:
    samples = _draw_samples(data) if samples is None else samples
    return _run_network(discriminator, *_discriminator_arguments(architecture, data, samples))


def _generator_arguments(inputs: GeneratorInput) -> tuple[Tensor, ...]:
    return (inputs.given,) if inputs.labels is None else (inputs.given, inputs.labels)


def _discriminator_arguments(
    architecture: Architecture, data: DataSpec, samples: Tensor
) -> tuple[Tensor, ...]:
    return (samples, _labels(data)) if architecture.takes_labels(data) else (samples,)


def _labels(data: DataSpec) -> Tensor:
    return torch.arange(COUNT) % data.classes


def _draw_inputs(architecture: Architecture, data: DataSpec) -> GeneratorInput:
    if architecture.takes_images:
        labels = _labels(data)
        return GeneratorInput(_draw_samples(data, seed=1), labels, (labels + 1) % data.classes)
    labels = _labels(data) if architecture.takes_labels(data) else None
    return GeneratorInput(_draw_latents(architecture), labels)


def _draw_latents(architecture: Architecture, seed: int = 0) -> Tensor:
    with explain_errors(
        "latents() must draw (count, z_dim): give the architecture an option z_dim"
    ):
        drawn = architecture.latents(COUNT, torch.Generator().manual_seed(seed))
    require(len(drawn) == COUNT, f"latents() must draw {COUNT} when asked to, not {len(drawn)}")
    return drawn


def _draw_raw_samples(
    generator: nn.Module, inputs: GeneratorInput, data: DataSpec, by: str = "generator()"
) -> Tensor:
    with explain_errors(
        f"{by} must give a torch.nn.Module that takes latents, and labels where it is conditional, "
        "and holds whatever it needs"
    ):
        return generate(generator, inputs, data)


def _draw_samples(data: DataSpec, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(COUNT, *data.shape, generator=rng) * 2 - 1


def _scale_weights(network: nn.Module) -> nn.Module:
    network = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(WEIGHT_FACTOR)
    return network


def _perturb_weights(network: nn.Module) -> nn.Module:
    """Return a network some way from its first weights, at which it may not look at labels yet."""
    network = copy.deepcopy(network)
    with seeded(), torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network
