"""Checks of architectures.

Each is tried on images of 1, 3 and 4 channels and of two sizes, and on vectors, with two classes
that an unconditional architecture does not look at. It may refuse what it cannot make. Checks in
which shapes play no part are content with one kind of images and one of vectors.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.architecture import Architecture, GeneratorInput
from ganzoo.dataset import DataSpec
from ganzoo.devices import arithmetic, half_precision
from ganzoo.errors import InputError
from ganzoo.files import load_tensors, save_tensors
from ganzoo.loss import Discriminator, mixes_batch
from ganzoo.model import evaluating, raw_samples
from ganzoo.testing.common import (
    check_options,
    explained,
    require,
    seeded,
    untouched_randomness,
)
from ganzoo.testing.steps import PlainLoss, require_exact_steps, some_samples, train_options
from ganzoo.training import Trainer

SIZES = (28, 32, 64, 128)
"""Heights and widths of images that are tried until two of them are served."""
CHANNELS = (1, 3, 4)
LENGTHS = (2, 5)
"""Lengths of vectors."""
CLASSES = 2
MANY_CLASSES = 12
"""More than digits have, for an architecture that counts to ten by itself."""
COUNT = 4
CPU = torch.device("cpu")
STATE = "a state_dict must hold tensors only, of the same names and shapes each time"
LOUD = 10.0
"""Weights are multiplied by this where a bound must hold, or must not be there."""
FAR = 1e4
"""There, so is what a network is given: spectral normalisation undoes a factor of the weights."""
SMALL_TRUNCATION = 0.1
LARGE_TRUNCATION = 10.0
"""One that all of the normal distribution but a share of 1e-23 is within."""
ROUNDS = 40
"""Batches that go through a history, enough to fill one of the usual size."""


def check_shapes(architecture: Architecture) -> None:
    """Two shapes or more are served, and those that are not are refused by an InputError."""
    served, independent = (
        [
            data.shape
            for data, *_ in _networks(architecture, every=True, independent_samples=independent)
        ]
        for independent in (False, True)
    )
    require(
        len(served) >= 2,
        f"one class serves every resolution: at least two of {[data.shape for data in _DATA]} "
        "must fit",
    )
    require(
        served == independent,
        "losses with a penalty on gradients need independent_samples=True: build a discriminator "
        f"for the same shapes with and without; {served} became {independent}",
    )


def check_channels(architecture: Architecture) -> None:
    """Images are served in two sizes or more, and in 1, 3 and 4 channels."""
    served: dict[tuple[int, int] | None, set[int]] = {}
    for data, *_ in _networks(architecture, every=True):
        if data.is_image:
            served.setdefault(data.image_size, set()).add(data.image_channels)
    require(
        len(served) != 1,
        f"an architecture of images serves two sizes or more, and of {SIZES} pixels it takes one: "
        "count its layers by data.image_size",
    )
    for size, channels in served.items():
        missing = sorted(set(CHANNELS) - channels)
        require(
            not missing,
            f"images may be grey, in colour or with transparency, and those of {missing} channels "
            f"are refused at {size}: read and write data.image_channels",
        )


def check_samples(architecture: Architecture) -> None:
    """The generator maps latents, or source images, to samples ``(N, *shape)``."""
    for data, generator, _ in _networks(architecture, every=True):
        with torch.no_grad():
            samples = _generated(generator, _inputs(architecture, data))
        require(
            tuple(samples.shape) == (COUNT, *data.shape),
            f"the generator must give samples {(COUNT, *data.shape)}, not {tuple(samples.shape)}",
        )


def check_sample_range(architecture: Architecture) -> None:
    """Generated images fill ``[-1, 1]``, however large the weights; vectors have no bound."""
    for data, generator, _ in _networks(architecture):
        given = _inputs(architecture, data)
        far = GeneratorInput(FAR * given.given, given.labels, given.source_labels)
        with torch.no_grad():
            samples = _generated(_loud(generator), far)
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
    """The discriminator maps samples to logits ``(N,)``, or ``(N, P)`` of P parts of each."""
    parts = set()
    for data, _, discriminator in _networks(architecture, every=True):
        with torch.no_grad():
            logits = _judged(architecture, discriminator, data)
        require(
            logits.dim() in (1, 2) and len(logits) == COUNT,
            f"the discriminator must give logits {(COUNT,)}, or ({COUNT}, P) of P parts of each "
            f"sample, not {tuple(logits.shape)}: end in nn.Flatten(0), or in nn.Flatten() of parts",
        )
        parts.add(tuple(logits.shape[1:]))
    require(
        parts != {(1,)},
        f"the discriminator must give logits {(COUNT,)}, not {(COUNT, 1)}, which broadcast "
        "against them to a square: end in nn.Flatten(0)",
    )


def check_logits_are_unbounded(architecture: Architecture) -> None:
    """The discriminator gives logits, not probabilities."""
    for data, _, discriminator in _networks(architecture):
        with torch.no_grad():
            logits = _judged(architecture, _loud(discriminator), data, FAR * _samples(data))
        bounded = bool(((logits >= 0) & (logits <= 1)).all() or (logits.abs() <= 1).all())
        require(
            not bounded, "the discriminator must give logits, not probabilities: drop the sigmoid"
        )


def check_every_parameter_learns(architecture: Architecture) -> None:
    """Each parameter of both networks gets a gradient."""
    for data, generator, discriminator in _networks(architecture):
        inputs = _inputs(architecture, data)
        fake = _generated(generator, inputs)
        logits = _judged(architecture, discriminator, data, fake)
        own = _own_terms(architecture, generator, inputs, _samples(data), fake)
        with explained("logits of generated samples must be differentiable"):
            torch.stack([logits.sum(), *own.values()]).sum().backward()
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
        logits = _judged(architecture, discriminator, data, samples)
        with explained("gradient penalties must be able to differentiate a discriminator twice"):
            (slope,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
            slope.square().sum().backward()
        require(bool(slope.isfinite().all()), "the discriminator's gradient must be finite")


def check_independent_samples(architecture: Architecture) -> None:
    """With ``independent_samples``, a sample's logits do not depend on its batch."""
    for data, _, discriminator in _networks(architecture, independent_samples=True):
        with explained("the discriminator must judge a batch of any size in training mode"):
            mixed = mixes_batch(
                discriminator, data, conditional=bool(architecture.takes_labels(data))
            )
        require(
            not mixed,
            "with independent_samples=True the discriminator must not mix its batch: "
            "use layer normalisation or none (Gulrajani et al. 2017, section 4)",
        )


def check_evaluation_is_by_sample(architecture: Architecture) -> None:
    """In evaluation mode, a sample does not depend on its batch, and is the same each time."""
    asked = "in evaluation mode a sample must not depend on its batch or on chance"
    for data, generator, discriminator in _networks(architecture):
        for network, *given in (
            (generator, *_arguments(_inputs(architecture, data))),
            (discriminator, *_labelled(architecture, data, _samples(data))),
        ):
            with evaluating(network), torch.no_grad():
                together = _through(network, *given)
                with explained(asked):  # batch normalisation may refuse one sample
                    alone = network(*(whole[:1] for whole in given))
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
    if architecture.takes_images:
        return
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
            given = (
                _arguments(_inputs(architecture, data)),
                _labelled(architecture, data, _samples(data)),
            )
            for network, other, arguments in zip(ours, theirs, given, strict=True):
                with torch.no_grad():
                    _through(network, *arguments)  # moves running statistics, in buffers or not
                with explained(STATE):
                    save_tensors(file, network.state_dict())
                    other.load_state_dict(load_tensors(file), strict=True)
                with evaluating(network), evaluating(other), torch.no_grad():
                    same = torch.equal(_through(network, *arguments), _through(other, *arguments))
                require(
                    same,
                    "a network must be its weights and options: after a strict load it gave "
                    "other outputs; keep what it needs in parameters or buffers",
                )


def check_autocast(architecture: Architecture) -> None:
    """Both networks learn under ``torch.autocast`` to bfloat16, as in ``train.precision=bf16``."""
    asked = (
        "both networks must work under torch.autocast, where layers compute in bfloat16 and "
        "weights stay float32: mix tensors of two types by operations that promote them, or "
        "convert by .to(other.dtype)"
    )
    for data, generator, discriminator in _networks(architecture):
        inputs = _inputs(architecture, data)
        with explained(asked), arithmetic(CPU, torch.bfloat16):
            with half_precision(CPU, torch.bfloat16):
                fake = inputs.through(generator).float()
                logits = Discriminator(discriminator, inputs.labels)(fake).float()
                own = architecture.generator_terms(generator, inputs, _samples(data), fake)
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
            "compute what is delicate in float32, as x.float(), within torch.autocast(enabled="
            "False)",
        )
        require(
            not data.is_image or float(fake.detach().abs().max()) <= 1.0,
            "images must lie in [-1, 1] under torch.autocast too: let nothing follow nn.Tanh()",
        )


def check_conditional(architecture: Architecture) -> None:
    """Where both networks take labels, they look at them, and serve each class."""
    for data in _DATA:
        conditional = architecture.takes_labels(data)
        require(
            isinstance(conditional, bool),
            f"takes_labels(data) must answer True or False, not {conditional!r}",
        )
        require(
            conditional or not architecture.takes_images,
            "an architecture that takes images is told by labels to which class they go: leave "
            "takes_labels() as it is, or answer True",
        )
    for classes in (CLASSES, MANY_CLASSES):
        for data, *networks in _networks(architecture, classes=classes):
            if architecture.takes_labels(data):
                given = (_inputs(architecture, data).given, _samples(data))
                for word, network, same in zip(
                    ("generator", "discriminator"), networks, given, strict=True
                ):
                    _require_labels(word, _moved(network), same, classes)


def check_unlabelled(architecture: Architecture) -> None:
    """Data without classes are served without labels, or refused by an InputError."""
    for data, generator, discriminator in _networks(architecture, classes=None):
        require(
            not architecture.takes_labels(data),
            "networks that take labels must not be built for data without classes: refuse them by "
            "an InputError, or let takes_labels(data) answer False",
        )
        with torch.no_grad():
            fake = _generated(generator, _inputs(architecture, data))
            _judged(architecture, discriminator, data, fake)


def check_generator_terms(architecture: Architecture) -> None:
    """The generator's own terms are named scalars that teach it, and nothing is changed by them."""
    for data, generator, _ in _networks(architecture):
        inputs, real = _inputs(architecture, data), _samples(data)
        fake = _generated(generator, inputs)
        own = _own_terms(architecture, generator, inputs, real, fake)
        require(
            all(parameter.grad is None for parameter in generator.parameters()),
            "generator_terms() must not call backward(): only the trainer does",
        )
        require(
            torch.equal(real, _samples(data))
            and torch.equal(inputs.given, _inputs(architecture, data).given),
            "generator_terms() must not change in place what it is given",
        )
        for name, term in own.items():
            with explained(f"term '{name}' must be differentiable"):
                slopes = torch.autograd.grad(
                    term, tuple(generator.parameters()), retain_graph=True, allow_unused=True
                )
            require(
                any(slope is not None for slope in slopes),
                f"term '{name}' must reach the generator's parameters: do not detach the fakes",
            )


def check_truncation(architecture: Architecture) -> None:
    """Truncated samples stay in range: others than without, but for a truncation of 10."""
    if architecture.takes_images:
        return
    for data, generator, _ in _networks(architecture):
        generator, inputs = _moved(generator).eval(), _inputs(architecture, data)
        plain = _drawn(generator, inputs, data)
        for truncation in (SMALL_TRUNCATION, LARGE_TRUNCATION):
            try:
                with untouched_randomness("truncated()"):
                    drawn = _drawn(
                        architecture.truncated(generator, truncation), inputs, data, "truncated()"
                    )
            except InputError:
                continue
            require(
                torch.equal(_drawn(generator, inputs, data), plain),
                "truncated() must leave the generator that it is given as it is",
            )
            require(
                drawn.shape == plain.shape and bool(drawn.isfinite().all()),
                f"truncated samples must be finite, and of shape {tuple(plain.shape)}",
            )
            require(
                not data.is_image or float(drawn.abs().max()) <= 1.0,
                "truncated images must lie in [-1, 1], as others do",
            )
            # Rounding may show in networks that divide by what they find.
            same = torch.allclose(drawn, plain, rtol=1e-2, atol=1e-2)
            require(
                same == (truncation == LARGE_TRUNCATION),
                "truncated() must give other samples the smaller the truncation, and nearly the "
                f"same at {LARGE_TRUNCATION:g}, or refuse by an InputError: at {truncation:g} they "
                f"were {'the same' if same else 'others'}",
            )


def check_interpolation(architecture: Architecture) -> None:
    """A walk begins at the one latents and ends at the other, or is refused."""
    if architecture.takes_images:
        return
    start, end = (_latents(architecture, seed) for seed in (1, 2))
    given = start.clone(), end.clone()
    for share, wanted in ((0.0, start), (0.5, None), (1.0, end)):
        try:
            with untouched_randomness("interpolated()"):
                found = architecture.interpolated(start, end, share)
        except InputError:
            return
        require(
            torch.equal(start, given[0]) and torch.equal(end, given[1]),
            "interpolated() must not change in place what it is given",
        )
        require(
            found.shape == start.shape and found.dtype == start.dtype,
            f"interpolated() must give latents of shape {tuple(start.shape)} and {start.dtype}",
        )
        require(bool(found.isfinite().all()), "interpolated() must give finite latents")
        require(
            wanted is None or torch.allclose(found, wanted, rtol=1e-3, atol=1e-3),
            "interpolated() must begin at the first latents, for a share of 0, and end at the "
            f"second ones, for 1: at {share:g} there were others",
        )


def check_history(architecture: Architecture) -> None:
    """What stands between fakes and the discriminator keeps its memory in buffers."""
    for data, *_ in _networks(architecture):
        with explained("history() must build a torch.nn.Module, or give None"):
            histories = [architecture.history(data) for _ in range(3)]
        if histories[0] is None:
            continue
        for history in histories:
            require(
                isinstance(history, nn.Module),
                f"history() must build a torch.nn.Module, not {type(history).__name__}",
            )
        _require_history(architecture, data, *histories)


def check_steps(architecture: Architecture) -> None:
    """Training steps are a function of seed and number, and a resumed run goes on exactly."""
    for data, *_ in _networks(architecture):
        samples = some_samples(data)
        require_exact_steps(
            lambda samples=samples: Trainer(architecture, PlainLoss(), samples, train_options())
        )


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
    check_generator_terms,
    check_truncation,
    check_interpolation,
    check_history,
    check_steps,
]

_DATA = [
    *(
        DataSpec(shape=(channels, size, size), classes=CLASSES)
        for size, channels in product(SIZES, CHANNELS)
    ),
    *(DataSpec(shape=(length,), classes=CLASSES) for length in LENGTHS),
]


def _networks(
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
    for data in _DATA:
        new = data.image_size not in sizes
        enough = data.is_image and len(sizes - {None}) == (2 if every else 1)
        if (new and enough) or not (new or every):
            continue
        data = data.model_copy(update={"classes": classes})
        try:
            networks = _built(architecture, data, independent_samples, seed)
        except InputError:
            continue
        sizes.add(data.image_size)
        yield data, *networks


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


def _through(network: nn.Module, *given: Tensor) -> Tensor:
    labels = ", and labels (N,) as its second argument" if len(given) > 1 else ""
    with explained(
        f"a network must serve the shape it was built for, here {tuple(given[0].shape)}{labels}"
    ):
        found = network(*given)
    require(
        isinstance(found, Tensor), f"a network must give one tensor, not {type(found).__name__}"
    )
    return found


def _generated(generator: nn.Module, inputs: GeneratorInput) -> Tensor:
    return _through(generator, *_arguments(inputs))


def _judged(
    architecture: Architecture,
    discriminator: nn.Module,
    data: DataSpec,
    samples: Tensor | None = None,
) -> Tensor:
    samples = _samples(data) if samples is None else samples
    return _through(discriminator, *_labelled(architecture, data, samples))


def _arguments(inputs: GeneratorInput) -> tuple[Tensor, ...]:
    return (inputs.given,) if inputs.labels is None else (inputs.given, inputs.labels)


def _labelled(architecture: Architecture, data: DataSpec, samples: Tensor) -> tuple[Tensor, ...]:
    return (samples, _labels(data)) if architecture.takes_labels(data) else (samples,)


def _labels(data: DataSpec) -> Tensor:
    return torch.arange(COUNT) % data.classes


def _inputs(architecture: Architecture, data: DataSpec) -> GeneratorInput:
    if architecture.takes_images:
        labels = _labels(data)
        return GeneratorInput(_samples(data, seed=1), labels, (labels + 1) % data.classes)
    labels = _labels(data) if architecture.takes_labels(data) else None
    return GeneratorInput(_latents(architecture), labels)


def _latents(architecture: Architecture, seed: int = 0) -> Tensor:
    with explained("latents() must draw (count, z_dim): give the architecture an option z_dim"):
        drawn = architecture.latents(COUNT, torch.Generator().manual_seed(seed))
    require(len(drawn) == COUNT, f"latents() must draw {COUNT} when asked to, not {len(drawn)}")
    return drawn


def _drawn(
    generator: nn.Module, inputs: GeneratorInput, data: DataSpec, by: str = "generator()"
) -> Tensor:
    with explained(
        f"{by} must give a torch.nn.Module that takes latents, and labels where it is conditional, "
        "and holds whatever it needs"
    ):
        return raw_samples(generator, inputs, data)


def _samples(data: DataSpec, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(COUNT, *data.shape, generator=rng) * 2 - 1


def _loud(network: nn.Module) -> nn.Module:
    network = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(LOUD)
    return network


def _moved(network: nn.Module) -> nn.Module:
    """Return a network some way from its first weights, at which it may not look at labels yet."""
    network = copy.deepcopy(network)
    with seeded(), torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def _require_labels(word: str, network: nn.Module, given: Tensor, classes: int) -> None:
    found = []
    with evaluating(network), torch.no_grad():
        for label in range(classes):
            with explained(f"a conditional {word} must serve each class from 0 to classes - 1"):
                found.append(network(given, torch.full((COUNT,), label)))
    for label in range(1, classes):
        require(
            not torch.equal(found[0], found[label]),
            f"a conditional {word} must look at the labels: it gave the same for class 0 and "
            f"class {label}",
        )
    labels = torch.arange(COUNT) % classes
    with evaluating(network), torch.no_grad():
        mixed = network(given, labels)
    own = torch.stack([found[label][i] for i, label in enumerate(labels.tolist())])
    require(
        torch.allclose(mixed, own, rtol=1e-4, atol=1e-5),
        f"a conditional {word} must give each sample its own class: in a batch of several classes "
        "it gave others than in batches of one",
    )


def _own_terms(
    architecture: Architecture,
    generator: nn.Module,
    inputs: GeneratorInput,
    real: Tensor,
    fake: Tensor,
) -> dict[str, Tensor]:
    with (
        seeded(),
        explained("generator_terms() must give a dict of named scalars, or an empty one"),
    ):
        own = architecture.generator_terms(generator, inputs, real, fake)
    require(
        isinstance(own, dict),
        "generator_terms() must give a dict of named scalars, such as {'cycle': ...}, or an empty "
        f"one, not {type(own).__name__}",
    )
    for name, term in own.items():
        require(
            isinstance(name, str) and isinstance(term, Tensor) and term.dim() == 0,
            f"term {name!r} of generator_terms() must be a scalar tensor: take the mean",
        )
    return own


def _require_history(
    architecture: Architecture,
    data: DataSpec,
    history: nn.Module,
    again: nn.Module,
    restored: nn.Module,
) -> None:
    require(
        not any(True for _ in history.parameters()),
        "a history must have no parameters, which nobody trains: what it remembers are buffers",
    )
    early = _shown(architecture, data, history, seed=0)
    require(
        torch.equal(early, _shown(architecture, data, again, seed=0)),
        "a history must draw from torch's global generator alone: the same seed gave other fakes",
    )
    with explained(STATE), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "history.safetensors"
        save_tensors(file, history.state_dict())
        restored.load_state_dict(load_tensors(file), strict=True)
    require(
        torch.equal(
            _shown(architecture, data, history, seed=1),
            _shown(architecture, data, restored, seed=1),
        ),
        "a history must remember by buffers alone, which a checkpoint holds: after a strict load "
        "it gave other fakes",
    )


def _shown(architecture: Architecture, data: DataSpec, history: nn.Module, seed: int) -> Tensor:
    """Pass batches through a history; the sign of a fake tells its class."""
    rng = torch.Generator().manual_seed(seed)
    labels = _labels(data) if architecture.takes_labels(data) else None
    signs = 1 - 2 * (_labels(data) % 2).float().reshape(-1, *[1] * len(data.shape))
    shown = []
    with seeded(seed), torch.no_grad():
        for _ in range(ROUNDS):
            fakes = signs * (0.1 + 0.9 * torch.rand(COUNT, *data.shape, generator=rng))
            with explained("a history takes fakes (N, *shape) and their labels, or None"):
                found = history(fakes, labels)
            require(
                isinstance(found, Tensor) and found.shape == fakes.shape,
                f"a history must give as many fakes as it takes, {tuple(fakes.shape)}",
            )
            require(
                labels is None or torch.equal(found.flatten(1).mean(1).sign(), signs.flatten()),
                "a history must give fakes of the classes that it takes, each at its place: "
                "remember those of each class apart",
            )
            shown.append(found)
    return torch.cat(shown)
