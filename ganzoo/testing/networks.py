"""Networks, inputs and data specifications for the checks of architectures."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError
from ganzoo.models import generation
from ganzoo.nn import fuse
from ganzoo.protocols.architecture import Architecture, GeneratorInput
from ganzoo.protocols.dataset import DataSpec
from ganzoo.protocols.outputs import pick
from ganzoo.protocols.packing import complete_reals
from ganzoo.protocols.progress import Progress
from ganzoo.testing.common import explain_errors, require, seeded

if TYPE_CHECKING:
    from ganzoo.protocols.outputs import NetworkOutput

SIZES = (28, 32, 64, 128)
"""Heights and widths of images to try, until the architecture accepts two of them."""
CHANNELS = (1, 3, 4)
SIGNALS = ((1, 64), (2, 256))
"""Shapes of signals, for architectures that make nothing else."""
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
LATEST = Progress(10**8, 10**8, 32 * 10**8, 10**8, 32)
"""When networks are tried unless a check says otherwise: all of them have grown by then."""
SPECS = [
    *(
        DataSpec(shape=(channels, size, size), classes=CLASSES)
        for size, channels in product(SIZES, CHANNELS)
    ),
    *(DataSpec(shape=(length,), classes=CLASSES) for length in LENGTHS),
    *(DataSpec(shape=shape, classes=CLASSES) for shape in SIGNALS),
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
            rather than for one kind of images and one of vectors. Likewise for signals, if nothing
            else fits.
        independent_samples: As for :meth:`Architecture.discriminator`.
        seed: Seed of the weights.
        classes: Number of classes in the data, or None.
        progress: How far the training is.
    """
    sizes: set[tuple[int, int] | str] = set()
    for data in SPECS:
        size = data.image_size or data.kind
        new = size not in sizes
        enough = data.is_image and len(sizes) == (2 if every else 1)
        is_other = data.is_signal and bool(sizes - {data.kind})
        if is_other or (new and enough) or not (new or every):
            continue
        data = data.model_copy(update={"classes": classes})
        try:
            data = complete_spec(architecture, data)
            networks = _build_pair(architecture, data, independent_samples, seed, progress)
        except InputError:
            continue
        sizes.add(size)
        yield data, *networks


def complete_spec(architecture: Architecture, data: DataSpec) -> DataSpec:
    """Return a specification with the shape of the sources, if the architecture takes them.

    Data that must have sources get some of the samples' own shape.
    """
    if not architecture.takes_sources:
        return data
    paired = data.model_copy(update={"source": data.shape})
    asked = "make_source() must take samples of any shape, or refuse them by ganzoo's InputError"
    with explain_errors(asked):
        return architecture.complete(paired)


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


def run_network(network: nn.Module, *given: NetworkOutput) -> dict[str, Tensor]:
    """Call a network, and require that it returns tensors.

    Returns:
        Tensors by name; the only one of a network that returns one tensor is ``""``.
    """
    labels = ", and labels (N,) as its second argument" if len(given) > 1 else ""
    shapes = (
        {name: tuple(part.shape) for name, part in given[0].items()}
        if isinstance(given[0], Mapping)
        else tuple(given[0].shape)
    )
    with explain_errors(f"a network must serve the shape it was built for, here {shapes}{labels}"):
        found = network(*given)
    named = name_outputs(found)
    for name, part in named.items():
        where = f" as '{name}'" if name else ", or a dict of tensors by name"
        require(
            isinstance(part, Tensor),
            f"a network must return one tensor{where}, not {type(part).__name__}",
        )
    return named


def name_outputs(found: NetworkOutput) -> dict[str, Tensor]:
    """Return what a network returned by name; ``""`` is the name of a single tensor."""
    return dict(found) if isinstance(found, Mapping) else {"": found}


def generate_parts(generator: nn.Module, inputs: GeneratorInput) -> dict[str, Tensor]:
    """Return all that a generator makes by name, ``samples`` ``(N, *shape)`` among it."""
    return _name_output(run_network(generator, *generator_arguments(inputs)), "samples")


def generate(generator: nn.Module, inputs: GeneratorInput) -> Tensor:
    """Return a generator's samples ``(N, *shape)``."""
    return generate_parts(generator, inputs)["samples"]


def judge_parts(
    architecture: Architecture, discriminator: nn.Module, data: DataSpec, given: NetworkOutput
) -> dict[str, Tensor]:
    """Return all that a discriminator says by name, ``logits`` among it.

    Args:
        architecture: The architecture.
        discriminator: The network.
        data: The data that it was built for.
        given: Samples, or what a generator made by name.
    """
    arguments = discriminator_arguments(architecture, data, given)
    return _name_output(run_network(discriminator, *arguments), "logits")


def compute_logits(
    architecture: Architecture,
    discriminator: nn.Module,
    data: DataSpec,
    samples: Tensor | None = None,
) -> Tensor:
    """Return a discriminator's logits of samples, by default of random ones."""
    given = draw_batch(data) if samples is None else samples
    return judge_parts(architecture, discriminator, data, given)["logits"]


def _name_output(found: dict[str, Tensor], main: str) -> dict[str, Tensor]:
    named = {main: found[""]} if "" in found else found
    require(main in named, f"a network that returns a dict must have '{main}' in it")
    return named


def generator_arguments(inputs: GeneratorInput) -> tuple[Tensor, ...]:
    """Return the arguments of a generator: its input, and labels if there are any."""
    return (inputs.given,) if inputs.labels is None else (inputs.given, inputs.labels)


def discriminator_arguments(
    architecture: Architecture, data: DataSpec, samples: NetworkOutput
) -> tuple[NetworkOutput, ...]:
    """Return the arguments of a discriminator: samples, and labels and sources if it takes them.

    Args:
        architecture: The architecture. If it has judged parts, those of the samples are made as
            those of reals are, unless they are given.
        data: The data of the discriminator.
        samples: Samples, or what a generator made by name.
    """
    judged: NetworkOutput = pick(samples, "samples")
    if architecture.judged_parts:
        with explain_errors(
            "real_parts() must return the judged_parts of samples, as a dict of tensors by name"
        ):
            judged = (
                {name: samples[name] for name in ("samples", *architecture.judged_parts)}
                if isinstance(samples, Mapping)
                else complete_reals(architecture, samples)
            )
    labels = (class_labels(data),) if architecture.takes_labels(data) else ()
    return (judged, *labels, *source_arguments(architecture, data))


def first_rows(given: NetworkOutput, count: int = 1) -> NetworkOutput:
    """Return the first samples of a batch, or of each of its parts."""
    if isinstance(given, Mapping):
        return {name: part[:count] for name, part in given.items()}
    return given[:count]


def source_arguments(architecture: Architecture, data: DataSpec) -> tuple[Tensor, ...]:
    """Return the source that a discriminator takes; empty if it takes none."""
    return (draw_sources(data),) if architecture.judges_source else ()


def draw_sources(data: DataSpec, seed: int = 1) -> Tensor:
    """Draw ``COUNT`` sources, uniform in [-1, 1]."""
    require(data.source is not None, "judges_source is declared, and there is no source to judge")
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(COUNT, *(data.source or ()), generator=rng) * 2 - 1


def class_labels(data: DataSpec) -> Tensor:
    """Return labels ``(COUNT,)`` of all classes in turn; of class 0 for data without classes."""
    return torch.arange(COUNT) % (data.classes or 1)


def draw_inputs(architecture: Architecture, data: DataSpec) -> GeneratorInput:
    """Draw the input of a generator for ``COUNT`` samples."""
    labels = class_labels(data)
    if architecture.takes_images:
        sources = (labels + 1) % (data.classes or 1)
        return GeneratorInput(draw_batch(data, seed=1), labels, sources)
    given = draw_sources(data) if architecture.takes_sources else draw_latents(architecture)
    return GeneratorInput(given, labels if architecture.takes_labels(data) else None)


def draw_latents(architecture: Architecture, seed: int = 0) -> Tensor:
    """Draw ``COUNT`` latents."""
    with explain_errors(
        "latents() must draw (count, D): give the architecture an option z_dim, or latent_parts()"
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
