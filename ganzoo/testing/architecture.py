"""Checks of architectures."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ganzoo.architecture import Architecture
from ganzoo.dataset import DataSpec
from ganzoo.errors import InputError
from ganzoo.files import load_tensors, save_tensors
from ganzoo.loss import mixes_batch
from ganzoo.model import evaluating
from ganzoo.testing.common import (
    ConformanceError,
    check_options,
    require,
    seeded,
    untouched_randomness,
)

SHAPES = ((1, 28, 28), (1, 32, 32), (3, 32, 32), (3, 64, 64), (2,), (5,))
"""Samples that an architecture is tried on; it may refuse those that it cannot make."""
COUNT = 4
LOUD = 10.0
"""Weights are multiplied by this where a bound must hold, or must not be there."""


def check_shapes(architecture: Architecture) -> None:
    """Two shapes or more are served, and those that are not are refused by an InputError."""
    require(
        len(_fitting(architecture)) >= 2,
        f"one class serves every resolution: at least two of {SHAPES} must fit",
    )


def check_samples(architecture: Architecture) -> None:
    """The generator maps latents to samples ``(N, *shape)``."""
    for data, generator, _ in _networks(architecture):
        samples = generator(_latents(architecture))
        require(
            tuple(samples.shape) == (COUNT, *data.shape),
            f"the generator must give samples {(COUNT, *data.shape)}, not {tuple(samples.shape)}",
        )


def check_sample_range(architecture: Architecture) -> None:
    """Generated images stay in ``[-1, 1]``, however large the weights."""
    for data, generator, _ in _networks(architecture):
        if data.is_image:
            samples = _loud(generator)(LOUD * _latents(architecture))
            largest = float(samples.detach().abs().max())
            require(
                largest <= 1.0,
                f"images must lie in [-1, 1], and one reaches {largest:.3g}: end in nn.Tanh()",
            )


def check_logits(architecture: Architecture) -> None:
    """The discriminator maps samples to logits ``(N,)``."""
    for data, _, discriminator in _networks(architecture):
        logits = discriminator(_samples(data))
        require(
            tuple(logits.shape) == (COUNT,),
            f"the discriminator must give logits {(COUNT,)}, not {tuple(logits.shape)}: "
            "end in nn.Flatten(0)",
        )


def check_logits_are_unbounded(architecture: Architecture) -> None:
    """The discriminator gives logits, not probabilities."""
    for data, _, discriminator in _networks(architecture):
        logits = _loud(discriminator)(LOUD * _samples(data))
        bounded = bool(((logits >= 0) & (logits <= 1)).all() or (logits.abs() <= 1).all())
        require(
            not bounded, "the discriminator must give logits, not probabilities: drop the sigmoid"
        )


def check_every_parameter_learns(architecture: Architecture) -> None:
    """Each parameter of both networks gets a gradient."""
    for _, generator, discriminator in _networks(architecture):
        discriminator(generator(_latents(architecture))).sum().backward()
        for word, network in (("generator", generator), ("discriminator", discriminator)):
            for name, parameter in network.named_parameters():
                require(
                    parameter.grad is not None,
                    f"parameter {name} of the {word} gets no gradient: use it or remove it",
                )


def check_double_backward(architecture: Architecture) -> None:
    """The discriminator's gradient can itself be differentiated, as gradient penalties do."""
    for data, _, discriminator in _networks(architecture, independent_samples=True):
        samples = _samples(data).requires_grad_()
        try:
            logits = discriminator(samples).sum()
            (slope,) = torch.autograd.grad(logits, samples, create_graph=True)
            slope.square().sum().backward()
        except RuntimeError as error:
            raise ConformanceError(
                f"the discriminator cannot be differentiated twice ({error}); "
                "gradient penalties need it"
            ) from error
        require(bool(slope.isfinite().all()), "the discriminator's gradient must be finite")


def check_independent_samples(architecture: Architecture) -> None:
    """With ``independent_samples``, a sample's logit does not depend on its batch."""
    for data, _, discriminator in _networks(architecture, independent_samples=True):
        require(
            not mixes_batch(discriminator, data),
            "with independent_samples=True the discriminator must not mix its batch: "
            "use layer normalisation or none (Gulrajani et al. 2017, section 4)",
        )


def check_evaluation_is_by_sample(architecture: Architecture) -> None:
    """In evaluation mode, a sample does not depend on its batch, and is the same each time."""
    for data, generator, discriminator in _networks(architecture):
        for network, given in (
            (generator, _latents(architecture)),
            (discriminator, _samples(data)),
        ):
            with evaluating(network), torch.no_grad():
                together, alone = network(given), network(given[:1])
            require(
                torch.allclose(together[:1], alone, rtol=1e-4, atol=1e-5),
                "in evaluation mode a sample must not depend on its batch or on chance",
            )


def check_seeding(architecture: Architecture) -> None:
    """The same seed gives the same weights and the same latents."""
    for (_, *first), (_, *second) in zip(
        _networks(architecture), _networks(architecture), strict=True
    ):
        for one, other in zip(first, second, strict=True):
            equal = all(
                torch.equal(a, b)
                for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
            )
            require(equal, "the same seed must give the same weights: draw them by torch")
    with untouched_randomness("latents()"):
        drawn = [_latents(architecture, seed=1) for _ in range(2)]
    require(torch.equal(*drawn), "latents() must draw from the generator that it is given")


def check_weights_round_trip(architecture: Architecture) -> None:
    """Weights survive a safetensors file and a strict load into a new network."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        for (data, *ours), (_, *theirs) in zip(
            _networks(architecture), _networks(architecture, seed=1), strict=True
        ):
            for network, other, given in zip(
                ours, theirs, (_latents(architecture), _samples(data)), strict=True
            ):
                save_tensors(file, network.state_dict())
                other.load_state_dict(load_tensors(file), strict=True)
                with evaluating(network), evaluating(other), torch.no_grad():
                    same = torch.equal(network(given), other(given))
                require(
                    same,
                    "a network must be its weights and options: after a strict load it gave "
                    "other outputs; keep what it needs in parameters or buffers",
                )


architecture_checks: list[Callable[[Architecture], None]] = [
    check_options,
    check_shapes,
    check_samples,
    check_sample_range,
    check_logits,
    check_logits_are_unbounded,
    check_every_parameter_learns,
    check_double_backward,
    check_independent_samples,
    check_evaluation_is_by_sample,
    check_seeding,
    check_weights_round_trip,
]


def _fitting(architecture: Architecture) -> list[DataSpec]:
    """Return the data that the architecture does not refuse."""
    fitting = []
    for shape in SHAPES:
        data = DataSpec(shape=shape)
        try:
            with seeded():
                architecture.generator(data)
                architecture.discriminator(data)
        except InputError:
            continue
        except Exception as error:
            raise ConformanceError(
                f"samples of {shape} that do not fit must be refused by ganzoo's InputError, "
                f"not by {type(error).__name__}: {error}"
            ) from error
        fitting.append(data)
    return fitting


def _networks(
    architecture: Architecture, *, independent_samples: bool = False, seed: int = 0
) -> list[tuple[DataSpec, nn.Module, nn.Module]]:
    """Build both networks, in training mode, for all data that fit."""
    built = []
    for data in _fitting(architecture):
        with seeded(seed):
            generator = architecture.generator(data)
            discriminator = architecture.discriminator(
                data, independent_samples=independent_samples
            )
        built.append((data, generator.train(), discriminator.train()))
    return built


def _latents(architecture: Architecture, seed: int = 0) -> Tensor:
    return architecture.latents(COUNT, torch.Generator().manual_seed(seed))


def _samples(data: DataSpec) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.rand(COUNT, *data.shape, generator=rng) * 2 - 1


def _loud(network: nn.Module) -> nn.Module:
    network = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(LOUD)
    return network
