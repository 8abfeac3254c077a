"""Checks of the generator's own loss terms and of the pool of earlier fakes."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ganzoo.protocols.architecture import Architecture, GeneratorInput
from ganzoo.protocols.dataset import DataSpec
from ganzoo.protocols.packing import Packing, complete_reals
from ganzoo.storage.tensors import load_tensors, save_tensors
from ganzoo.testing.common import explain_errors, require, seeded
from ganzoo.testing.networks import (
    COUNT,
    LATEST,
    STATE_MESSAGE,
    build_fitting,
    class_labels,
    draw_batch,
    draw_inputs,
    generate,
)
from ganzoo.testing.objective import PROGRESSES, require_declared_length, watch

ROUNDS = 40
"""Batches to pass through a history, enough to fill one of the usual size."""


def check_generator_terms(architecture: Architecture) -> None:
    """``generator_terms()`` returns named scalars that train the generator, and changes nothing."""
    for data, generator, _ in build_fitting(architecture):
        inputs, real = draw_inputs(architecture, data), draw_batch(data)
        fake = generate(generator, inputs)
        own = compute_own_terms(architecture, generator, inputs, real, fake)
        require(
            all(parameter.grad is None for parameter in generator.parameters()),
            "generator_terms() must not call backward(): only the trainer does",
        )
        require(
            torch.equal(real, draw_batch(data))
            and torch.equal(inputs.given, draw_inputs(architecture, data).given),
            "generator_terms() must not change its arguments in place",
        )
        for name, term in own.items():
            with explain_errors(f"term '{name}' must be differentiable"):
                slopes = torch.autograd.grad(
                    term, tuple(generator.parameters()), retain_graph=True, allow_unused=True
                )
            require(
                any(slope is not None for slope in slopes),
                f"term '{name}' must reach the generator's parameters: do not detach the fakes",
            )


def check_phases(architecture: Architecture) -> None:
    """Whether the networks play depends on the progress alone; if not, the generator has terms."""
    for data, generator, _ in build_fitting(architecture):
        for progress in (*PROGRESSES, LATEST):
            looked_at, read = watch(progress)
            with explain_errors("is_adversarial() must tell it at any progress"):
                plays, again = (architecture.is_adversarial(looked_at) for _ in range(2))
            require(
                isinstance(plays, bool) and plays == again,
                "is_adversarial() must return True or False, and the same for the same progress",
            )
            require_declared_length(read, bool(architecture.depends_on_steps))
            if plays:
                continue
            inputs = replace(draw_inputs(architecture, data), progress=progress)
            fake = generate(generator, inputs)
            own = compute_own_terms(architecture, generator, inputs, draw_batch(data), fake)
            require(
                bool(own),
                "while is_adversarial() is False the generator minimises its own terms alone: "
                "return some in generator_terms()",
            )


def check_history(architecture: Architecture) -> None:
    """A history of fakes keeps its state in buffers, and returns fakes of the right classes."""
    for data, *_ in build_fitting(architecture):
        first, again, restored = (_build_history(architecture, data) for _ in range(3))
        if first is not None and again is not None and restored is not None:
            _require_history(architecture, data, first, again, restored)


def _build_history(architecture: Architecture, data: DataSpec) -> nn.Module | None:
    with explain_errors("history() must build a torch.nn.Module, or return None"):
        history = architecture.history(data)
    require(
        history is None or isinstance(history, nn.Module),
        f"history() must build a torch.nn.Module, not {type(history).__name__}",
    )
    return history


def compute_own_terms(
    architecture: Architecture,
    generator: nn.Module,
    inputs: GeneratorInput,
    real: Tensor,
    fake: Tensor,
) -> dict[str, Tensor]:
    """Return what ``generator_terms()`` returns, and require that it is named scalars."""
    with (
        seeded(),
        explain_errors("generator_terms() must return a dict of named scalars, or an empty one"),
    ):
        own = architecture.generator_terms(generator, inputs, real, fake)
    require(
        isinstance(own, dict),
        "generator_terms() must return a dict of named scalars, such as {'cycle': ...}, or an "
        f"empty one, not {type(own).__name__}",
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
        "a history must have no parameters, as nothing trains them: keep its state in buffers",
    )
    early = _pass_history(architecture, data, history, seed=0)
    require(
        torch.equal(early, _pass_history(architecture, data, again, seed=0)),
        "a history must draw only from torch's global generator: the same seed gave other fakes",
    )
    with explain_errors(STATE_MESSAGE), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "history.safetensors"
        save_tensors(file, history.state_dict())
        restored.load_state_dict(load_tensors(file), strict=True)
    require(
        torch.equal(
            _pass_history(architecture, data, history, seed=1),
            _pass_history(architecture, data, restored, seed=1),
        ),
        "a history must keep its state in buffers, which a checkpoint saves: after a strict load "
        "it returned other fakes",
    )


def _pass_history(
    architecture: Architecture, data: DataSpec, history: nn.Module, seed: int
) -> Tensor:
    """Pass batches through a history; the sign of a fake stands for its class."""
    rng = torch.Generator().manual_seed(seed)
    labels = class_labels(data) if architecture.takes_labels(data) else None
    signs = 1 - 2 * (class_labels(data) % 2).float().reshape(-1, *[1] * len(data.shape))
    shown = []
    with seeded(seed), torch.no_grad():
        for _ in range(ROUNDS):
            fakes = signs * (0.1 + 0.9 * torch.rand(COUNT, *data.shape, generator=rng))
            if architecture.judged_parts:
                parts = complete_reals(architecture, fakes)
                fakes = Packing.of(parts).pack(parts)
            with explain_errors("a history takes fakes (N, *shape) and their labels, or None"):
                found = history(fakes, labels)
            require(
                isinstance(found, Tensor) and found.shape == fakes.shape,
                f"a history must return as many fakes as it takes, {tuple(fakes.shape)}",
            )
            require(
                labels is None or torch.equal(found.flatten(1).mean(1).sign(), signs.flatten()),
                "a history must return fakes of the same classes in the same order: keep the "
                "fakes of each class apart",
            )
            shown.append(found)
    return torch.cat(shown)
