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
    check_options,
    explained,
    require,
    seeded,
    untouched_randomness,
)

SHAPES = ((1, 28, 28), (1, 32, 32), (3, 32, 32), (3, 64, 64), (2,), (5,))
"""Samples that an architecture is tried on; it may refuse those that it cannot make."""
COUNT = 4
STATE = "a state_dict must hold tensors only, of the same names and shapes each time"
LOUD = 10.0
"""Weights are multiplied by this where a bound must hold, or must not be there."""
FAR = 1e4
"""There, so is what a network is given: spectral normalisation undoes a factor of the weights."""


def check_shapes(architecture: Architecture) -> None:
    """Two shapes or more are served, and those that are not are refused by an InputError."""
    require(
        len(_fitting(architecture)) >= 2,
        f"one class serves every resolution: at least two of {SHAPES} must fit",
    )


def check_samples(architecture: Architecture) -> None:
    """The generator maps latents to samples ``(N, *shape)``."""
    for data, generator, _ in _networks(architecture):
        samples = _through(generator, _latents(architecture))
        require(
            tuple(samples.shape) == (COUNT, *data.shape),
            f"the generator must give samples {(COUNT, *data.shape)}, not {tuple(samples.shape)}",
        )


def check_sample_range(architecture: Architecture) -> None:
    """Generated images fill ``[-1, 1]``, however large the weights; vectors have no bound."""
    for data, generator, _ in _networks(architecture):
        samples = _through(_loud(generator), FAR * _latents(architecture)).detach()
        largest = float(samples.abs().max())
        if data.is_image:
            require(
                largest <= 1.0,
                f"images must lie in [-1, 1], and one reaches {largest:.3g}: end in nn.Tanh()",
            )
            require(
                bool((samples < 0).any()),
                "images must reach from -1 to 1, and none goes below 0: end in nn.Tanh(), "
                "not in nn.Sigmoid()",
            )
        else:
            require(largest > 1.0, "vectors have no fixed range: only images end in nn.Tanh()")


def check_logits(architecture: Architecture) -> None:
    """The discriminator maps samples to logits ``(N,)``."""
    for data, _, discriminator in _networks(architecture):
        logits = _through(discriminator, _samples(data))
        require(
            tuple(logits.shape) == (COUNT,),
            f"the discriminator must give logits {(COUNT,)}, not {tuple(logits.shape)}: "
            "end in nn.Flatten(0)",
        )


def check_logits_are_unbounded(architecture: Architecture) -> None:
    """The discriminator gives logits, not probabilities."""
    for data, _, discriminator in _networks(architecture):
        logits = _through(_loud(discriminator), FAR * _samples(data))
        bounded = bool(((logits >= 0) & (logits <= 1)).all() or (logits.abs() <= 1).all())
        require(
            not bounded, "the discriminator must give logits, not probabilities: drop the sigmoid"
        )


def check_every_parameter_learns(architecture: Architecture) -> None:
    """Each parameter of both networks gets a gradient."""
    for _, generator, discriminator in _networks(architecture):
        logits = _through(discriminator, _through(generator, _latents(architecture)))
        with explained("logits of generated samples must be differentiable"):
            logits.sum().backward()
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
        logits = _through(discriminator, samples)
        with explained("gradient penalties must be able to differentiate a discriminator twice"):
            (slope,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
            slope.square().sum().backward()
        require(bool(slope.isfinite().all()), "the discriminator's gradient must be finite")


def check_independent_samples(architecture: Architecture) -> None:
    """With ``independent_samples``, a sample's logit does not depend on its batch."""
    for data, _, discriminator in _networks(architecture, independent_samples=True):
        with explained("the discriminator must judge a batch of any size in training mode"):
            mixed = mixes_batch(discriminator, data)
        require(
            not mixed,
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
            asked = "in evaluation mode a sample must not depend on its batch or on chance"
            with evaluating(network), torch.no_grad():
                together = _through(network, given)
                with explained(asked):  # batch normalisation may refuse one sample
                    alone = network(given[:1])
            require(
                alone.shape == together[:1].shape,
                f"one sample alone must give {tuple(together[:1].shape)}, not "
                f"{tuple(alone.shape)}: no squeeze(), which drops the batch of one as well",
            )
            require(torch.allclose(together[:1], alone, rtol=1e-4, atol=1e-5), asked)


def check_seeding(architecture: Architecture) -> None:
    """The same seed gives the same weights and the same latents."""
    for (_, *first), (_, *second) in zip(
        _networks(architecture), _networks(architecture), strict=True
    ):
        for one, other in zip(first, second, strict=True):
            with explained(STATE):
                equal = all(
                    torch.equal(a, b)
                    for a, b in zip(
                        one.state_dict().values(), other.state_dict().values(), strict=True
                    )
                )
            require(equal, "the same seed must give the same weights: draw them by torch")
    with untouched_randomness("latents()"):
        one, again, other = (_latents(architecture, seed) for seed in (1, 1, 2))
    require(
        torch.equal(one, again) and not torch.equal(one, other),
        "latents() must draw from the generator that it is given",
    )


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
                with torch.no_grad():
                    _through(network, given)  # moves running statistics, in buffers or not
                with explained(STATE):
                    save_tensors(file, network.state_dict())
                    other.load_state_dict(load_tensors(file), strict=True)
                with evaluating(network), evaluating(other), torch.no_grad():
                    same = torch.equal(_through(network, given), _through(other, given))
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
            for independent_samples in (False, True):
                _built(architecture, data, independent_samples)
        except InputError:
            continue
        fitting.append(data)
    return fitting


def _networks(
    architecture: Architecture, *, independent_samples: bool = False, seed: int = 0
) -> list[tuple[DataSpec, nn.Module, nn.Module]]:
    """Build both networks, in training mode, for all data that fit."""
    return [
        (data, *_built(architecture, data, independent_samples, seed))
        for data in _fitting(architecture)
    ]


def _built(
    architecture: Architecture, data: DataSpec, independent_samples: bool, seed: int = 0
) -> tuple[nn.Module, nn.Module]:
    with (
        seeded(seed),
        explained(
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
    return generator.train(), discriminator.train()


def _through(network: nn.Module, given: Tensor) -> Tensor:
    with explained(f"a network must serve the shape it was built for, here {tuple(given.shape)}"):
        found = network(given)
    require(
        isinstance(found, Tensor), f"a network must give one tensor, not {type(found).__name__}"
    )
    return found


def _latents(architecture: Architecture, seed: int = 0) -> Tensor:
    with explained("latents() must draw (count, z_dim): give the architecture an option z_dim"):
        drawn = architecture.latents(COUNT, torch.Generator().manual_seed(seed))
    require(len(drawn) == COUNT, f"latents() must draw {COUNT} when asked to, not {len(drawn)}")
    return drawn


def _samples(data: DataSpec) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.rand(COUNT, *data.shape, generator=rng) * 2 - 1


def _loud(network: nn.Module) -> nn.Module:
    network = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(LOUD)
    return network
