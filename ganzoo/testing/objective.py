"""What the checks of losses and of penalties share: how far a training is, parts and memory."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ganzoo.protocols.progress import Progress
from ganzoo.storage.tensors import load_tensors, save_tensors
from ganzoo.testing.common import explain_errors, require
from ganzoo.testing.networks import CLASSES, STATE_MESSAGE
from ganzoo.training.terms import find_fault

if TYPE_CHECKING:
    from ganzoo.protocols.dataset import DataSpec
    from ganzoo.protocols.discriminator import Discriminator, Logits
    from ganzoo.protocols.objective import Objective, Terms
    from ganzoo.protocols.outputs import NetworkOutput

LENGTH = 10_000
"""Steps of the training that objectives are tried in."""
IMAGES = 32
"""Images that it shows in a step."""
PROGRESSES = tuple(
    Progress(step, LENGTH, IMAGES * step, step, IMAGES) for step in (0, 1, 240, LENGTH // 2, LENGTH)
)
"""When objectives are tried. 240 is a multiple of the usual intervals, so that lazy terms are
due."""
START = PROGRESSES[0]
ROUNDS = 3
"""Updates after which a memory is looked at."""
FLAGS = (
    "independent_samples",
    "second_order",
    "bounds_slope",
    "needs_pairs",
    "needs_whole_batch",
    "depends_on_steps",
)
PARTS = ("needs_discriminator_parts", "needs_generator_parts")
STATE = "what is to be remembered belongs in buffers that state() builds, and remember() alone "
STATE += "changes them"

Observe = Callable[[nn.Module | None, int], Mapping[str, Tensor]]
"""Computes the terms of a round with a memory, and returns what was observed."""


class Judge(nn.Module):
    """Any function from samples to logits as a discriminator, with parts ``(N, CLASSES)``.

    Args:
        function: The function or network.
        parts: Names of what to return beside the logits, which depends on the samples.
    """

    def __init__(self, function: Logits, parts: Iterable[str]) -> None:
        super().__init__()
        self.function = function
        self.parts = tuple(parts)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor | dict[str, Tensor]:
        """Judge samples ``(N, *shape)``."""
        logits = self.function(samples)
        if not self.parts:
            return logits
        part = samples.flatten(1).mean(1, keepdim=True) * torch.arange(CLASSES)
        return {"logits": logits, **dict.fromkeys(self.parts, part)}


class Function:
    """A function from samples to logits, which knows what a discriminator knows of a training."""

    known: tuple[str, ...] = (
        *("generate", "generated", "inputs", "judge", "labels", "observe", "progress", "source"),
        "state",
    )

    def __init__(self, discriminator: Discriminator) -> None:
        self._discriminator = discriminator

    def __call__(self, samples: Tensor) -> Tensor:
        """Return logits ``(N,)`` or ``(N, P)``."""
        return self._discriminator(samples)

    recall = __call__

    def __getattr__(self, name: str) -> Any:
        if name not in self.known:
            raise AttributeError(f"a plain function has no attribute '{name}'")
        return getattr(self._discriminator, name)


class DoubleBackwardProbe(nn.Module):
    """A network that detects if a gradient of what it gives is itself to be differentiated."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.twice = False

    def forward(self, *given: Tensor) -> NetworkOutput:
        """Return what the network returns."""
        found = self.network(*given)
        for output in found.values() if isinstance(found, Mapping) else (found,):
            if output.requires_grad:
                output.register_hook(self._notice)
        return found

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:  # networks within the network
            return getattr(super().__getattr__("network"), name)

    def _notice(self, slope: Tensor) -> None:
        # A backward pass records its own graph under create_graph=True only.
        self.twice |= torch.is_grad_enabled()


def watch(progress: Progress) -> tuple[Progress, list[str]]:
    """Return a progress, and a list that names what of the run's length is read of it."""
    read: list[str] = []

    class Watched(Progress):
        def __getattribute__(self, name: str) -> Any:
            if name in ("steps", "share"):
                read.append(name)
            return super().__getattribute__(name)

    return Watched(progress.step, progress.steps, progress.images, progress.updates), read


def require_declared_length(read: Iterable[str], is_declared: bool) -> None:
    """Require that what reads the length of a run declares it.

    Args:
        read: What was read, as :func:`watch` lists it.
        is_declared: Whether ``depends_on_steps`` is declared.
    """
    for name in read:
        require(
            is_declared,
            f"progress.{name} is read, so that a longer run is another one from the start: declare "
            "depends_on_steps = True, or use progress.step, images or updates",
        )


def require_declarations(objective: Objective) -> None:
    """Require that the declarations of a loss or a penalty have the right types."""
    for name in FLAGS:
        declared = getattr(objective, name)
        require(
            isinstance(declared, bool),
            f"{name} must be True or False, or a property that returns it, not {declared!r}",
        )
    for name in PARTS:
        declared = getattr(objective, name)
        require(
            isinstance(declared, tuple) and all(isinstance(part, str) for part in declared),
            f"{name} must be a tuple of names, such as ('features',), not {declared!r}",
        )


def require_terms(terms: Any, what: str, *, may_be_empty: bool = False) -> Terms:
    """Require that terms are scalar tensors by name.

    Args:
        terms: What a method returned.
        what: What the method belongs to, for the message.
        may_be_empty: Whether there may be none.
    """
    fault = find_fault(terms, f"a {what}", may_be_empty=may_be_empty)
    require(not fault, fault)
    return terms


def require_same(
    before: Iterable[Terms],
    after: Iterable[Terms],
    when: str,
    advice: str,
    rtol: float = 0.0,
    atol: float = 0.0,
) -> None:
    """Require that terms are the same, by name and value.

    Args:
        before: Terms of each method.
        after: Terms of each method, at another time or of another batch.
        when: What is between the two, for the message.
        advice: What to do where values differ.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
    """
    for one, other in zip(before, after, strict=True):
        require(
            one.keys() == other.keys(),
            f"the terms change from {list(one)} to {list(other)} {when}: which terms there are "
            f"may depend on D.progress and on options alone, so count no calls; {STATE}",
        )
        for name in one:
            require(
                torch.allclose(one[name], other[name], rtol=rtol, atol=atol),
                f"term '{name}' changes from {one[name].item():.4g} to {other[name].item():.4g} "
                f"{when}: {advice}",
            )


def sum_terms(terms: Terms) -> Tensor:
    """Return the sum of terms."""
    return torch.stack(list(terms.values())).sum() if terms else torch.zeros(())


def differentiate(terms: Terms, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Differentiate the sum of terms; a gradient is zero where they do not depend on an input."""
    total = sum_terms(terms)
    if not total.requires_grad:
        return tuple(torch.zeros_like(given) for given in inputs)
    with explain_errors("terms must be differentiable, and only the trainer calls backward()"):
        return torch.autograd.grad(total, inputs, allow_unused=True, materialize_grads=True)


def build_memory(objective: Objective, data: DataSpec) -> nn.Module | None:
    """Build what a loss or a penalty remembers."""
    with explain_errors("state() must build a torch.nn.Module of buffers, or return None"):
        state = objective.state(data)
    require(
        state is None or isinstance(state, nn.Module),
        f"state() must build a torch.nn.Module or return None, not {type(state).__name__}",
    )
    return state


def copy_buffers(state: nn.Module | None) -> dict[str, Tensor]:
    """Return copies of all tensors of a memory or a network, by name."""
    with explain_errors(STATE_MESSAGE):
        return {} if state is None else {name: x.clone() for name, x in state.state_dict().items()}


def require_memory(objective: Objective, data: DataSpec, observe: Observe) -> None:
    """Require that what is remembered lies in buffers, and that ``remember`` alone changes it.

    Args:
        objective: The loss or the penalty.
        data: Shape and classes of the samples.
        observe: Computes the terms of a round.
    """
    first, restored = (build_memory(objective, data) for _ in range(2))
    if first is None or restored is None:
        require(
            not observe(None, 0),
            f"observe() tells remember() of numbers, and there is no state(): {STATE}",
        )
        return
    require(
        not list(first.parameters()),
        "state() must have no parameters, as nothing trains them: register buffers",
    )
    before = copy_buffers(first)
    seen = [_remember(objective, first, observe, number) for number in range(ROUNDS)]
    after = copy_buffers(first)
    require(
        not any(seen) or any(not torch.equal(after[name], before[name]) for name in before),
        "remember() must change the buffers of the state in place, as by copy_() or lerp_(): after "
        f"{ROUNDS} updates in which something was observed, they were as before",
    )
    with explain_errors(STATE_MESSAGE), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state.safetensors"
        save_tensors(file, first.state_dict())
        restored.load_state_dict(load_tensors(file), strict=True)
    for number in (ROUNDS, ROUNDS + 1):
        require(
            _is_same(*(_remember(objective, each, observe, number) for each in (first, restored)))
            and _is_same(copy_buffers(first), copy_buffers(restored)),
            f"after a strict load a memory must go on as it would have without: {STATE}",
        )
    _require_no_waiting(objective, first, seen[-1])


def _remember(
    objective: Objective, state: nn.Module, observe: Observe, number: int
) -> Mapping[str, Tensor]:
    """Do a round: compute terms, and remember what they observed."""
    before = copy_buffers(state)
    observed = observe(state, number)
    for name, value in observed.items():
        require(
            isinstance(value, Tensor) and value.dim() == 0,
            f"what is observed must be scalars, and '{name}' is none: take its mean, so that the "
            "means over parts of a batch and over processes can be taken",
        )
    require(_is_same(copy_buffers(state), before), f"a term changed D.state: {STATE}")
    if observed:
        with torch.no_grad(), explain_errors("remember() must take what was observed, by name"):
            objective.remember(state, observed)
    return observed


def _is_same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def _require_no_waiting(
    objective: Objective, state: nn.Module, observed: Mapping[str, Tensor]
) -> None:
    """Require that ``remember`` works where numbers cannot be looked at."""
    elsewhere = copy.deepcopy(state).to("meta")
    given = {name: value.to("meta") for name, value in observed.items()}
    asked = (
        "remember() must not wait for the device: use torch.where and lerp_() instead of item(), "
        "float() and if (tried on torch's device 'meta', which has shapes but no numbers)"
    )
    if given:
        with torch.no_grad(), explain_errors(asked):
            objective.remember(elsewhere, given)
