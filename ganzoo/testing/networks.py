"""Networks, inputs and data specifications for the checks of architectures."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError
from ganzoo.models import generation
from ganzoo.nn import fuse
from ganzoo.protocols.architecture import Architecture, GeneratorInput
from ganzoo.protocols.dataset import DataSpec
from ganzoo.protocols.progress import Progress
from ganzoo.testing.common import explain_errors, require, seeded

SIZES = (28, 32, 64, 128)
"""Heights and widths of images to try, until the architecture accepts two of them."""
CHANNELS = (1, 3, 4)
LENGTHS = (2, 5)
"""Lengths of vectors."""
CLASSES = 2
COUNT = 4
"""Samples in a batch."""
CPU = torch.device("cpu")
STATE_MESSAGE = "a state_dict must hold tensors only, of the same names and shapes each time"
WEIGHT_FACTOR = 10.0
"""Factor on weights where an output must be bounded, or must not be."""
INPUT_FACTOR = 1e4
"""Factor on a discriminator's inputs there, as spectral normalisation undoes one on the weights."""
LATEST = Progress(10**8, 10**8, 32 * 10**8, 10**8)
"""When networks are tried unless a check says otherwise: all of them have grown by then."""
SPECS = [
    *(
        DataSpec(shape=(channels, size, size), classes=CLASSES)
        for size, channels in product(SIZES, CHANNELS)
    ),
    *(DataSpec(shape=(length,), classes=CLASSES) for length in LENGTHS),
]


def build_fitting(
    architecture: Architecture,
    *,
    every: bool = False,
    independent_samples: bool = False,
    seed: int = 0,
    classes: int | None = CLASSES,
    progress: Progress = LATEST,
) -> Iterator[tuple[DataSpec, nn.Module, nn.Module]]:
    """Build both networks, in training mode, for each specification that the architecture accepts.

    Args:
        architecture: The architecture.
        every: Whether to build for all images of the first two sizes that fit and for all vectors,
            rather than for one kind of images and one of vectors.
        independent_samples: As for :meth:`Architecture.discriminator`.
        seed: Seed of the weights.
        classes: Number of classes in the data, or None.
        progress: How far the training is.
    """
    sizes: set[tuple[int, int] | None] = set()
    for data in SPECS:
        new = data.image_size not in sizes
        enough = data.is_image and len(sizes - {None}) == (2 if every else 1)
        if (new and enough) or not (new or every):
            continue
        data = data.model_copy(update={"classes": classes})
        try:
            networks = _build_pair(architecture, data, independent_samples, seed, progress)
        except InputError:
            continue
        sizes.add(data.image_size)
        yield data, *networks


def _build_pair(
    architecture: Architecture,
    data: DataSpec,
    independent_samples: bool,
    seed: int,
    progress: Progress,
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
    networks = fuse(generator).train(), fuse(discriminator).train()
    for network in networks:
        advance(architecture, network, progress)
    return networks


def advance(architecture: Architecture, network: nn.Module, progress: Progress) -> None:
    """Prepare a network for how far a training is."""
    with explain_errors("advance() must take each network of the architecture, at any progress"):
        architecture.advance(network, progress)


def run_network(network: nn.Module, *given: Tensor) -> Tensor:
    """Call a network, and return its samples or logits."""
    return pick_main(run_network_for_all(network, *given))


def run_network_for_all(network: nn.Module, *given: Tensor) -> dict[str, Tensor]:
    """Call a network, and return all its outputs by name; a single one is called ``samples``."""
    labels = ", and labels (N,) as its second argument" if len(given) > 1 else ""
    with explain_errors(
        f"a network must serve the shape it was built for, here {tuple(given[0].shape)}{labels}"
    ):
        found = network(*given)
    return name_outputs(found)


def name_outputs(found: Any) -> dict[str, Tensor]:
    """Require that a network returned one tensor, or several by name, and return them by name."""
    if not isinstance(found, dict):
        require(
            isinstance(found, Tensor),
            "a network must return one tensor, or a dict of tensors by name, not "
            f"{type(found).__name__}",
        )
        return {"samples": found}
    require(
        all(isinstance(part, Tensor) for part in found.values())
        and len({"samples", "logits"} & found.keys()) == 1,
        "a network that returns several tensors must name them, the samples of a generator "
        f"'samples' and the logits of a discriminator 'logits'; it names {list(found)}",
    )
    return found


def pick_main(outputs: dict[str, Tensor]) -> Tensor:
    """Return the samples or the logits among a network's outputs."""
    return outputs["samples"] if "samples" in outputs else outputs["logits"]


def generate(generator: nn.Module, inputs: GeneratorInput) -> Tensor:
    """Return a generator's samples ``(N, *shape)``."""
    return run_network(generator, *generator_arguments(inputs))


def compute_logits(
    architecture: Architecture,
    discriminator: nn.Module,
    data: DataSpec,
    samples: Tensor | None = None,
) -> Tensor:
    """Return a discriminator's logits of samples, by default of random ones."""
    samples = draw_batch(data) if samples is None else samples
    return run_network(discriminator, *discriminator_arguments(architecture, data, samples))


def generator_arguments(inputs: GeneratorInput) -> tuple[Tensor, ...]:
    """Return the arguments of a generator: its input, and labels if there are any."""
    return (inputs.given,) if inputs.labels is None else (inputs.given, inputs.labels)


def discriminator_arguments(
    architecture: Architecture, data: DataSpec, samples: Tensor
) -> tuple[Tensor, ...]:
    """Return the arguments of a discriminator: samples, and labels if it takes them."""
    return (samples, class_labels(data)) if architecture.takes_labels(data) else (samples,)


def class_labels(data: DataSpec) -> Tensor:
    """Return labels ``(COUNT,)`` of all classes in turn; of class 0 for data without classes."""
    return torch.arange(COUNT) % (data.classes or 1)


def draw_inputs(architecture: Architecture, data: DataSpec) -> GeneratorInput:
    """Draw the input of a generator for ``COUNT`` samples."""
    labels = class_labels(data)
    if architecture.takes_images:
        sources = (labels + 1) % (data.classes or 1)
        return GeneratorInput(draw_batch(data, seed=1), labels, sources)
    return GeneratorInput(
        draw_latents(architecture), labels if architecture.takes_labels(data) else None
    )


def draw_latents(architecture: Architecture, seed: int = 0) -> Tensor:
    """Draw ``COUNT`` latents."""
    with explain_errors(
        "latents() must draw (count, z_dim): give the architecture an option z_dim"
    ):
        drawn = architecture.latents(COUNT, torch.Generator().manual_seed(seed))
    require(len(drawn) == COUNT, f"latents({COUNT}, rng) must draw {COUNT}, not {len(drawn)}")
    return drawn


def draw_raw_samples(
    generator: nn.Module, inputs: GeneratorInput, data: DataSpec, by: str = "generator()"
) -> Tensor:
    """Generate samples as :meth:`ganzoo.Model.sample` does; ``by`` names the method to blame."""
    with explain_errors(
        f"{by} must return a torch.nn.Module that takes latents, and labels if it is conditional, "
        "and holds whatever it needs"
    ):
        return generation.generate(generator, inputs, data)


def draw_batch(data: DataSpec, seed: int = 0) -> Tensor:
    """Draw ``COUNT`` samples, uniform in [-1, 1]."""
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(COUNT, *data.shape, generator=rng) * 2 - 1


def scale_weights(network: nn.Module) -> nn.Module:
    """Return a copy of a network with its parameters multiplied by ``WEIGHT_FACTOR``."""
    network = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(WEIGHT_FACTOR)
    return network


def perturb_weights(network: nn.Module) -> nn.Module:
    """Return a copy of a network with noise on its parameters.

    A network may ignore its labels as it is built, because their weights begin at 0.
    """
    network = copy.deepcopy(network)
    with seeded(), torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network
