"""Checks of architectures.

An architecture is tried on images of 1, 3 and 4 channels in two sizes and on vectors, all of two
classes, which an unconditional architecture ignores; and on signals, if it makes nothing else. It
may refuse samples that it cannot generate. Checks that do not depend on shapes use one of each
kind. Networks are tried as they are at the end of a training, by when all of them have grown,
unless a check says otherwise.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.compute.devices import arithmetic, half_precision
from ganzoo.models.generation import evaluation_mode
from ganzoo.protocols.architecture import Architecture
from ganzoo.protocols.dataset import DataSpec
from ganzoo.protocols.discriminator import mixes_batch
from ganzoo.protocols.packing import judge_samples
from ganzoo.protocols.progress import Progress
from ganzoo.storage.tensors import load_tensors, save_tensors
from ganzoo.testing.architecture_generator import (
    check_generator_terms,
    check_history,
    check_phases,
    compute_own_terms,
)
from ganzoo.testing.architecture_labels import check_conditional, check_unlabelled
from ganzoo.testing.architecture_parts import check_extra_networks, check_parts
from ganzoo.testing.architecture_sampling import (
    check_interpolation,
    check_latent_parts,
    check_sampler,
    check_truncation,
)
from ganzoo.testing.architecture_sources import check_sources
from ganzoo.testing.architecture_styles import check_styles
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
    LATEST,
    SIZES,
    SPECS,
    STATE_MESSAGE,
    advance,
    build_fitting,
    compute_logits,
    discriminator_arguments,
    draw_batch,
    draw_inputs,
    draw_latents,
    first_rows,
    generate,
    generate_parts,
    generator_arguments,
    judge_parts,
    name_outputs,
    run_network,
    scale_weights,
)
from ganzoo.testing.objective import (
    IMAGES,
    PROGRESSES,
    copy_buffers,
    require_declared_length,
    watch,
)
from ganzoo.testing.steps import PlainLoss, draw_samples, require_exact_steps, train_options

if TYPE_CHECKING:
    from ganzoo.protocols.outputs import NetworkOutput

GROWTH = tuple(
    Progress(step, LATEST.steps, IMAGES * step, step, IMAGES)
    for step in (0, *sorted({int(2 ** (power / 2)) for power in range(54)}))
)
"""Times of a training, near enough to each other that none of a growing network's levels is
skipped."""


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
    """Images and signals fill ``[-1, 1]`` in evaluation mode, even with large weights.

    While a generator trains, they need only be finite. Vectors are unbounded.
    """
    for data, generator, _ in build_fitting(architecture):
        given, large = draw_inputs(architecture, data), scale_weights(generator)
        with torch.no_grad():
            trained = generate(large, given)
            with evaluation_mode(large):
                samples = generate(large, given)
        require(
            bool(trained.isfinite().all()),
            "samples must be finite in training mode, not only in evaluation mode",
        )
        largest = float(samples.abs().max())
        if data.is_bounded:
            require(
                largest <= 1.0,
                f"{data.kind} must lie in [-1, 1], and one reaches {largest:.3g}: end in "
                "nn.Tanh(), or clamp them where the network is not training",
            )
            require(
                bool((samples < 0).any()),
                f"{data.kind} must reach from -1 to 1, and none goes below 0: end in nn.Tanh(), "
                "not in nn.Sigmoid()",
            )
        else:
            require(largest > 1.0, "vectors have no fixed range: end them in a linear layer")


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
    """Each parameter of both networks gets a gradient, at some time of a training."""
    for data, generator, discriminator in build_fitting(architecture):
        unused = ""
        for progress in (LATEST, *GROWTH):
            for network in (generator, discriminator):
                advance(architecture, network, progress)
            _learn(architecture, data, generator, discriminator, progress)
            unused = _find_unused(architecture, generator, discriminator)
            if not unused:
                break
        require(
            not unused,
            f"parameter {unused} gets no gradient, at the end of a training nor on its way: use "
            "it, remove it, or freeze it by a factor of 0 in learning_rates()",
        )


def check_progress(architecture: Architecture) -> None:
    """Networks serve however far the training is, which :meth:`advance` alone tells them."""
    for (data, *networks), (_, *others) in zip(
        build_fitting(architecture, progress=PROGRESSES[0]),
        build_fitting(architecture),
        strict=True,
    ):
        before = [copy_buffers(network) for network in networks]
        for progress in (*PROGRESSES, LATEST):
            looked_at, read = watch(progress)
            for network, other in zip(networks, others, strict=True):
                advance(architecture, network, looked_at)
                for _ in range(2):  # once, or twice and after a later time, must be the same
                    advance(architecture, other, LATEST)
                    advance(architecture, other, progress)
            _require_serving(architecture, data, networks, others)
            _require_reals(architecture, data, looked_at)
            require_declared_length(read, bool(architecture.depends_on_steps))
        require(
            all(
                torch.equal(state[name], value)
                for state, network in zip(before, networks, strict=True)
                for name, value in copy_buffers(network).items()
            ),
            "advance() must leave the state_dict alone: set plain attributes, as it is called "
            "again wherever a training goes on",
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
            mixed = mixes_batch(
                judge_samples(architecture, discriminator, data),
                data,
                conditional=bool(architecture.takes_labels(data)),
            )
        require(
            not mixed,
            "with independent_samples=True the discriminator must not mix its batch: "
            "use layer normalisation or none (Gulrajani et al. 2017, section 4)",
        )


def check_evaluation_is_by_sample(architecture: Architecture) -> None:
    """In evaluation mode, a sample does not depend on its batch or on random numbers.

    A discriminator may look at its batch unless its samples must be independent.
    """
    asked = "in evaluation mode a sample must not depend on its batch or on random numbers"
    for independent in (False, True):
        for data, generator, discriminator in build_fitting(
            architecture, independent_samples=independent
        ):
            judged = discriminator_arguments(architecture, data, draw_batch(data))
            _require_by_sample(discriminator, judged, asked, may_mix=not independent)
            if not independent:
                drawn = generator_arguments(draw_inputs(architecture, data))
                _require_by_sample(generator, drawn, asked)


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
                    found = run_network(network, *arguments), run_network(other, *arguments)
                require(
                    all(torch.equal(part, found[1][name]) for name, part in found[0].items()),
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
                made = inputs.outputs(generator)
                fake = made["samples"].float()
                logits = judge_parts(architecture, discriminator, data, made)["logits"].float()
                own = architecture.generator_terms(generator, inputs, draw_batch(data), fake)
            torch.stack([F.softplus(-logits).mean(), *own.values()]).sum().backward()
        with (
            evaluation_mode(generator),
            torch.no_grad(),
            arithmetic(CPU, torch.bfloat16),
            half_precision(CPU, torch.bfloat16),
        ):
            shown = inputs.through(generator).float()
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
            not data.is_bounded or float(shown.abs().max()) <= 1.0,
            f"{data.kind} must lie in [-1, 1] under torch.autocast too: end in nn.Tanh(), or clamp "
            "them where the network is not training",
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
    check_progress,
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
    check_phases,
    check_parts,
    check_extra_networks,
    check_latent_parts,
    check_sampler,
    check_truncation,
    check_interpolation,
    check_styles,
    check_history,
    check_recipes,
    check_steps,
]
"""Checks of architectures."""


def _learn(
    architecture: Architecture,
    data: DataSpec,
    generator: nn.Module,
    discriminator: nn.Module,
    progress: Progress,
) -> None:
    """Collect gradients of everything that the networks return for a batch."""
    inputs = replace(draw_inputs(architecture, data), progress=progress)
    made = generate_parts(generator, inputs)
    said = judge_parts(architecture, discriminator, data, made)
    own = compute_own_terms(architecture, generator, inputs, draw_batch(data), made["samples"])
    logits, _ = said.pop("logits"), made.pop("samples")
    others = [part.sum() for part in (*made.values(), *said.values()) if part.requires_grad]
    asked = "logits of generated samples must be differentiable"
    require(logits.requires_grad, asked)
    with explain_errors(asked):
        torch.stack([logits.sum(), *others, *own.values()]).sum().backward()


def _find_unused(architecture: Architecture, generator: nn.Module, discriminator: nn.Module) -> str:
    """Name a parameter without a gradient, if there is one.

    What trains a network of its own may be a loss or a penalty.
    """
    apart = tuple(f"{name}." for name in architecture.extra_networks)
    for word, network in (("generator", generator), ("discriminator", discriminator)):
        for name, parameter in network.named_parameters():
            is_used = parameter.grad is not None or not parameter.requires_grad
            if not is_used and not name.startswith(apart):
                return f"{name} of the {word}"
    return ""


def _require_serving(
    architecture: Architecture,
    data: DataSpec,
    networks: list[nn.Module],
    others: list[nn.Module],
) -> None:
    """Require that networks give what they should, and the same as others."""
    samples, logits = _run_both(architecture, data, *networks)
    require(
        tuple(samples.shape) == (COUNT, *data.shape) and bool(samples.isfinite().all()),
        f"samples must be finite and of shape {(COUNT, *data.shape)} however far the training is, "
        f"not {tuple(samples.shape)}: a growing network resizes what it makes",
    )
    require(
        len(logits) == COUNT and bool(logits.isfinite().all()),
        "logits must be finite however far the training is",
    )
    again = _run_both(architecture, data, *others)
    require(
        all(torch.equal(one, other) for one, other in zip((samples, logits), again, strict=True)),
        "advance() must do the same for the same progress, called once or often, and after a later "
        "time too, as a run may go back to a checkpoint: set all that depends on it each time, and "
        "count nothing",
    )


def _run_both(
    architecture: Architecture, data: DataSpec, generator: nn.Module, discriminator: nn.Module
) -> tuple[Tensor, Tensor]:
    """Return samples and logits in evaluation mode."""
    with evaluation_mode(generator), evaluation_mode(discriminator), torch.no_grad():
        return (
            generate(generator, draw_inputs(architecture, data)),
            compute_logits(architecture, discriminator, data),
        )


def _require_reals(architecture: Architecture, data: DataSpec, progress: Progress) -> None:
    """Require that reals are prepared without being changed."""
    real = draw_batch(data)
    with explain_errors("prepare_real() must take samples of the data, at any progress"):
        shown = architecture.prepare_real(real, progress)
        again = architecture.prepare_real(real, progress)
    require(torch.equal(real, draw_batch(data)), "prepare_real() must not change reals in place")
    require(
        shown.shape == real.shape and bool(shown.isfinite().all()) and torch.equal(shown, again),
        f"prepare_real() must return finite samples {tuple(real.shape)}, the same for the same "
        "progress",
    )


def _require_by_sample(
    network: nn.Module, given: tuple[NetworkOutput, ...], asked: str, *, may_mix: bool = False
) -> None:
    """Require that what a network gives for a sample is the same without the others.

    Args:
        network: The network.
        given: Its arguments.
        asked: What the protocol requires.
        may_mix: Whether the batch may matter, but not random numbers.
    """
    with evaluation_mode(network), torch.no_grad():
        together, again = (run_network(network, *given) for _ in range(2))
        with explain_errors(asked):  # batch normalisation may refuse one sample
            alone = name_outputs(network(*map(first_rows, given)))
    for name, whole in together.items():
        require(whole.dim() > 0, f"'{name}' must have a row for each sample, and is one number")
        own, first = alone[name], whole[:1]
        require(
            own.shape == first.shape,
            f"a batch of one must give {tuple(first.shape)}, not {tuple(own.shape)}: do not use "
            "squeeze(), which drops that dimension too",
        )
        require(torch.equal(whole, again[name]), asked)
        require(may_mix or torch.allclose(first, own, rtol=1e-4, atol=1e-5), asked)
