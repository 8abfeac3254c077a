"""Checks of architectures.

An architecture is tried on images of 1, 3 and 4 channels in two sizes and on vectors, all of two
classes, which an unconditional architecture ignores. It may refuse samples that it cannot generate.
Checks that do not depend on shapes use one kind of images and one of vectors.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from ganzoo.compute.devices import arithmetic, half_precision
from ganzoo.models.generation import evaluation_mode
from ganzoo.protocols.architecture import Architecture, GeneratorInput
from ganzoo.protocols.discriminator import Discriminator, bind_source, mixes_batch
from ganzoo.storage.tensors import load_tensors, save_tensors
from ganzoo.testing.architecture_generator import (
    check_generator_terms,
    check_history,
    compute_own_terms,
)
from ganzoo.testing.architecture_labels import check_conditional, check_unlabelled
from ganzoo.testing.architecture_sampling import check_interpolation, check_truncation
from ganzoo.testing.architecture_sources import check_sources
from ganzoo.testing.common import (
    check_options,
    explain_errors,
    require,
    require_recipes,
    untouched_randomness,
)
from ganzoo.testing.networks import (
    CHANNELS,
    COUNT,
    CPU,
    INPUT_FACTOR,
    SIZES,
    SPECS,
    STATE_MESSAGE,
    build_fitting,
    compute_logits,
    discriminator_arguments,
    draw_batch,
    draw_inputs,
    draw_latents,
    generate,
    generator_arguments,
    run_network,
    scale_weights,
)
from ganzoo.testing.steps import PlainLoss, draw_samples, require_exact_steps, train_options


def check_shapes(architecture: Architecture) -> None:
    """Two shapes or more are supported, and an InputError refuses the others."""
    served, independent = (
        [data.shape for data, *_ in build_fitting(architecture, every=True, independent_samples=on)]
        for on in (False, True)
    )
    require(
        len(served) >= 2,
        f"one class serves every resolution: at least two of {[data.shape for data in SPECS]} "
        "must fit",
    )
    require(
        served == independent,
        "losses with a penalty on gradients need independent_samples=True: build a discriminator "
        f"for the same shapes with and without; {served} became {independent}",
    )


def check_channels(architecture: Architecture) -> None:
    """Images are supported in two sizes or more, and with 1, 3 and 4 channels."""
    served: dict[tuple[int, int] | None, set[int]] = {}
    for data, *_ in build_fitting(architecture, every=True):
        if data.is_image:
            served.setdefault(data.image_size, set()).add(data.image_channels)
    require(
        len(served) != 1,
        f"an architecture of images must support two sizes or more, and of {SIZES} pixels it takes "
        "one: derive the number of layers from data.image_size",
    )
    for size, channels in served.items():
        missing = sorted(set(CHANNELS) - channels)
        require(
            not missing,
            f"images may be grey, in colour or transparent, and those of {missing} channels are "
            f"refused at {size}: build layers for data.image_channels",
        )


def check_samples(architecture: Architecture) -> None:
    """The generator maps latents, or source images, to samples ``(N, *shape)``."""
    for data, generator, _ in build_fitting(architecture, every=True):
        with torch.no_grad():
            samples = generate(generator, draw_inputs(architecture, data))
        require(
            tuple(samples.shape) == (COUNT, *data.shape),
            f"the generator must return samples {(COUNT, *data.shape)}, not {tuple(samples.shape)}",
        )


def check_sample_range(architecture: Architecture) -> None:
    """Generated images fill ``[-1, 1]``, even with large weights; vectors are unbounded."""
    for data, generator, _ in build_fitting(architecture):
        given = draw_inputs(architecture, data)
        far = given
        if architecture.takes_latents:  # images lie in [-1, 1], wherever they come from
            far = GeneratorInput(INPUT_FACTOR * given.given, given.labels)
        with torch.no_grad():
            samples = generate(scale_weights(generator), far)
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
            require(largest > 1.0, "vectors have no fixed range: end in nn.Tanh() for images only")


def check_logits(architecture: Architecture) -> None:
    """The discriminator maps samples to logits ``(N,)``, or ``(N, P)`` of P patches of each."""
    parts = set()
    for data, _, discriminator in build_fitting(architecture, every=True):
        with torch.no_grad():
            logits = compute_logits(architecture, discriminator, data)
        require(
            logits.dim() in (1, 2) and len(logits) == COUNT,
            f"the discriminator must return logits {(COUNT,)}, or ({COUNT}, P) of P patches of "
            f"each sample, not {tuple(logits.shape)}: end in nn.Flatten(0), or nn.Flatten() for P",
        )
        parts.add(tuple(logits.shape[1:]))
    require(
        parts != {(1,)},
        f"the discriminator must return logits {(COUNT,)}, not {(COUNT, 1)}, which would broadcast "
        "to a square: end in nn.Flatten(0)",
    )


def check_logits_are_unbounded(architecture: Architecture) -> None:
    """The discriminator returns logits, not probabilities."""
    for data, _, discriminator in build_fitting(architecture):
        with torch.no_grad():
            logits = compute_logits(
                architecture,
                scale_weights(discriminator),
                data,
                INPUT_FACTOR * draw_batch(data),
            )
        bounded = bool(((logits >= 0) & (logits <= 1)).all() or (logits.abs() <= 1).all())
        require(
            not bounded, "the discriminator must return logits, not probabilities: drop the sigmoid"
        )


def check_every_parameter_learns(architecture: Architecture) -> None:
    """Each parameter of both networks gets a gradient."""
    for data, generator, discriminator in build_fitting(architecture):
        inputs = draw_inputs(architecture, data)
        fake = generate(generator, inputs)
        logits = compute_logits(architecture, discriminator, data, fake)
        own = compute_own_terms(architecture, generator, inputs, draw_batch(data), fake)
        with explain_errors("logits of generated samples must be differentiable"):
            torch.stack([logits.sum(), *own.values()]).sum().backward()
        for word, network in (("generator", generator), ("discriminator", discriminator)):
            for name, parameter in network.named_parameters():
                require(
                    parameter.grad is not None,
                    f"parameter {name} of the {word} gets no gradient: use it or remove it",
                )


def check_double_backward(architecture: Architecture) -> None:
    """The discriminator's gradient can itself be differentiated, as gradient penalties do."""
    for data, _, discriminator in build_fitting(architecture, independent_samples=True):
        samples = draw_batch(data).requires_grad_()
        logits = compute_logits(architecture, discriminator, data, samples)
        with explain_errors(
            "gradient penalties must be able to differentiate a discriminator twice"
        ):
            (slope,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
            slope.square().sum().backward()
        require(bool(slope.isfinite().all()), "the discriminator's gradient must be finite")


def check_independent_samples(architecture: Architecture) -> None:
    """With ``independent_samples``, a sample's logits do not depend on its batch."""
    for data, _, discriminator in build_fitting(architecture, independent_samples=True):
        with explain_errors("the discriminator must judge a batch of any size in training mode"):
            judge = bind_source(discriminator, data, judges_source=bool(architecture.judges_source))
            mixed = mixes_batch(judge, data, conditional=bool(architecture.takes_labels(data)))
        require(
            not mixed,
            "with independent_samples=True the discriminator must not mix its batch: "
            "use layer normalisation or none (Gulrajani et al. 2017, section 4)",
        )


def check_evaluation_is_by_sample(architecture: Architecture) -> None:
    """In evaluation mode, a sample does not depend on its batch or on random numbers."""
    asked = "in evaluation mode a sample must not depend on its batch or on random numbers"
    for data, generator, discriminator in build_fitting(architecture):
        for network, given in (
            (generator, generator_arguments(draw_inputs(architecture, data))),
            (discriminator, discriminator_arguments(architecture, data, draw_batch(data))),
        ):
            with evaluation_mode(network), torch.no_grad():
                together = run_network(network, *given)
                with explain_errors(asked):  # batch normalisation may refuse one sample
                    alone = network(*(whole[:1] for whole in given))
            require(
                alone.shape == together[:1].shape,
                f"a batch of one must give {tuple(together[:1].shape)}, not "
                f"{tuple(alone.shape)}: do not use squeeze(), which drops that dimension too",
            )
            require(torch.allclose(together[:1], alone, rtol=1e-4, atol=1e-5), asked)


def check_seeding(architecture: Architecture) -> None:
    """The same seed gives the same weights and the same latents."""
    for (_, *first), (_, *second) in zip(
        build_fitting(architecture), build_fitting(architecture), strict=True
    ):
        for network, other in zip(first, second, strict=True):
            with explain_errors(STATE_MESSAGE):
                states = network.state_dict().values(), other.state_dict().values()
                equal = all(torch.equal(a, b) for a, b in zip(*states, strict=True))
            require(equal, "the same seed must give the same weights: draw them by torch")
    if not architecture.takes_latents:
        return
    with untouched_randomness("latents()"):
        drawn, again, others = (draw_latents(architecture, seed) for seed in (1, 1, 2))
    require(
        torch.equal(drawn, again) and not torch.equal(drawn, others),
        "latents() must draw from the generator in its argument rng",
    )


def check_weights_round_trip(architecture: Architecture) -> None:
    """Weights survive a safetensors file and a strict load into a new network."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        for (data, *ours), (_, *theirs) in zip(
            build_fitting(architecture), build_fitting(architecture, seed=1), strict=True
        ):
            given = (
                generator_arguments(draw_inputs(architecture, data)),
                discriminator_arguments(architecture, data, draw_batch(data)),
            )
            for network, other, arguments in zip(ours, theirs, given, strict=True):
                with torch.no_grad():
                    run_network(network, *arguments)  # updates running statistics
                with explain_errors(STATE_MESSAGE):
                    save_tensors(file, network.state_dict())
                    other.load_state_dict(load_tensors(file), strict=True)
                with evaluation_mode(network), evaluation_mode(other), torch.no_grad():
                    same = torch.equal(
                        run_network(network, *arguments), run_network(other, *arguments)
                    )
                require(
                    same,
                    "a network must depend on its state_dict and options alone: after a strict "
                    "load its outputs differ; keep its state in parameters or buffers",
                )


def check_autocast(architecture: Architecture) -> None:
    """Both networks learn under ``torch.autocast`` to bfloat16, as in ``train.precision=bf16``."""
    asked = (
        "both networks must work under torch.autocast, where layers compute in bfloat16 and "
        "weights stay float32: combine tensors of different types by operations that promote "
        "them, or convert by .to(other.dtype)"
    )
    for data, generator, discriminator in build_fitting(architecture):
        inputs = draw_inputs(architecture, data)
        with explain_errors(asked), arithmetic(CPU, torch.bfloat16):
            with half_precision(CPU, torch.bfloat16):
                fake = inputs.through(generator).float()
                source = inputs.given if architecture.judges_source else None
                D = Discriminator(discriminator, inputs.labels, source=source)
                logits = D(fake).float()
                own = architecture.generator_terms(generator, inputs, draw_batch(data), fake)
            torch.stack([F.softplus(-logits).mean(), *own.values()]).sum().backward()
        learnt = [
            parameter.grad
            for network in (generator, discriminator)
            for parameter in network.parameters()
            if parameter.grad is not None
        ]
        require(
            all(bool(tensor.isfinite().all()) for tensor in (fake, logits, *learnt)),
            "samples, logits and gradients must be finite under torch.autocast to bfloat16: "
            "compute sensitive parts in float32, as x.float(), within torch.autocast(enabled="
            "False)",
        )
        require(
            not data.is_image or float(fake.detach().abs().max()) <= 1.0,
            "images must lie in [-1, 1] under torch.autocast too: end in nn.Tanh()",
        )


def check_steps(architecture: Architecture) -> None:
    """Training steps depend on seed and step alone, and a resumed run continues exactly."""
    for data, *_ in build_fitting(architecture):
        require_exact_steps(architecture, PlainLoss(), draw_samples(data), train_options())


def check_recipes(architecture: Architecture) -> None:
    """Recipes have the right types, and set options that the architecture has."""
    require_recipes(architecture, "arch")


architecture_checks: list[Callable[[Architecture], None]] = [
    check_options,
    check_shapes,
    check_channels,
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
    check_autocast,
    check_conditional,
    check_unlabelled,
    check_sources,
    check_generator_terms,
    check_truncation,
    check_interpolation,
    check_history,
    check_recipes,
    check_steps,
]
"""Checks of architectures."""
