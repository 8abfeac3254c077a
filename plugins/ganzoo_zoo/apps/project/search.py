"""The search of a projection, by gradient descent from several starts at once."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo import GeneratorInput
from ganzoo.arguments import require_int
from ganzoo.compute.seeding import make_rng
from ganzoo.media.images import to_float, to_uint8
from ganzoo.models.generation import evaluation_mode
from ganzoo.models.mixing import MAPPED, map_latents, require_styles
from ganzoo.progress import report_progress
from ganzoo_zoo.apps.project.projection import Projection
from ganzoo_zoo.apps.shared.many_latents import draw_many

if TYPE_CHECKING:
    from ganzoo.models.model import Model

DRAWN = 10_000
"""Latents that the mean style and its spread are of (Karras et al. 2020, appendix D)."""
CANDIDATES = 256
"""Drawn latents or styles among which searches start."""
AT_ONCE = 64
"""Most samples at once."""
NUMBERS = 1 << 24
"""Most numbers of all samples at once, unless it is a single one."""
RATE = 0.1
"""Largest learning rate, in deviations of a single number of the space."""
RAMP_UP, RAMP_DOWN = 0.05, 0.25
"""Shares of the steps in which the learning rate rises, and falls."""
NOISE, NOISE_END = 0.05, 0.75
"""Noise at the start, in spreads of the space, and the share of the steps by which it is gone."""
SMALLEST = 4
"""Fewest pixels of a side at the coarsest scale."""
FRAMES = 50
"""Most points of the way that are kept, and the last one."""


@dataclass(frozen=True)
class Search:
    """How to search."""

    space: str
    steps: int
    restarts: int
    seed: int
    label: int | None


def pixel_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean squared difference ``(N,)`` of images ``(N, C, H, W)``.

    It is the mean over several scales, each of half the resolution of the one before. Coarse scales
    tell which way to go where shapes do not overlap yet.
    """
    losses = []
    while True:
        losses.append((made - wanted).square().flatten(1).mean(1))
        if min(made.shape[2:]) < 2 * SMALLEST:
            return torch.stack(losses).mean(0)
        made, wanted = F.avg_pool2d(made, 2), F.avg_pool2d(wanted, 2)


def search(model: Model, targets: Tensor, how: Search) -> Projection:
    """Search images, a few at a time.

    Args:
        model: The model, on the device to compute on.
        targets: uint8 ``(N, C, H, W)``.
        how: How to search, in a space that the model has.

    Raises:
        ganzoo.errors.InputError: the numbers of steps and restarts are not above 0.
    """
    require_int("the number of steps", how.steps, 1)
    restarts = require_int("the number of restarts", how.restarts, 1)
    space: _Space = _Latents(model, how) if how.space == "z" else _Styles(model, how)
    with evaluation_mode(space.network):
        groups = targets.split(max(1, _at_once(targets) // restarts))
        found = [_search_group(space, group, how, n, len(groups)) for n, group in enumerate(groups)]
    path = torch.cat([each[0] for each in found], 1)
    given = [each[1] for each in found]
    labels = None if given[0] is None else torch.cat([each for each in given if each is not None])
    images = draw(model, how.space, path[-1], labels)
    errors = (images.float() - targets.float()).abs().flatten(1).mean(1) / 255
    return Projection(how.space, path[-1], labels, targets, images, (*errors.tolist(),), path)


def draw(model: Model, space: str, points: Tensor, labels: Tensor | None) -> Tensor:
    """Return the stored images, uint8 on the CPU, of points of a space."""
    network = model.sampler if space == "z" else require_styles(model.styles).synthesis
    device = next(network.parameters()).device
    with evaluation_mode(network), torch.no_grad():
        parts = [
            to_uint8(part.through(network).float().cpu())
            for part in GeneratorInput(points, labels).parts(AT_ONCE, device)
        ]
    return torch.cat(parts)


def _at_once(images: Tensor) -> int:
    return max(1, min(AT_ONCE, NUMBERS // images[0].numel()))


class _Space(ABC):
    """A space to search in: where to start, and the images of points."""

    network: nn.Module
    device: torch.device
    spread: float
    """Root of the mean squared distance of drawn points from their mean."""
    numbers: int
    """Numbers of a point that was drawn."""
    candidates: Tensor
    """Points to start from, on the CPU."""
    starts_at_mean = False
    """Whether the first candidate is the mean, which is a good start for any image."""
    labels: Tensor | None = None
    """Class of each candidate."""

    def images(self, points: Tensor, labels: Tensor | None) -> Tensor:
        """Return the images of points, with their graph."""
        return GeneratorInput(self.whole(points), labels).through(self.network).float()

    @abstractmethod
    def whole(self, points: Tensor) -> Tensor:
        """Return points as the network takes them."""

    bound: Tensor
    """Largest size of each number."""
    moves: Tensor | float = 1.0
    """1 for each number that moves, and 0 for those that stay."""


class _Styles(_Space):
    """Styles: one for all layers, or one for each."""

    starts_at_mean = True

    def __init__(self, model: Model, how: Search) -> None:
        styles = require_styles(model.styles)
        self.network, self.device = styles.synthesis, styles.mean.device
        self.bound = torch.tensor(math.inf, device=self.device)
        latents = draw_many(model, DRAWN, how.seed, how.label)
        mapped = [map_latents(styles, part) for part in latents.parts(MAPPED, self.device)]
        self.layers = mapped[0].shape[1]
        drawn = torch.cat([part[:, 0] for part in mapped])
        mean = drawn.mean(0)
        self.spread = float((drawn - mean).square().sum(1).mean().sqrt())
        self.numbers = drawn.shape[1]
        layers = self.layers if how.space == "w+" else 1
        started = torch.cat([mean[None], drawn[: CANDIDATES - 1]])
        self.candidates = started[:, None].repeat(1, layers, 1)

    def whole(self, points: Tensor) -> Tensor:
        return points.expand(-1, self.layers, -1)


class _Latents(_Space):
    """Latents, whose categories stay."""

    def __init__(self, model: Model, how: Search) -> None:
        self.network = model.sampler
        self.device = next(self.network.parameters()).device
        drawn = draw_many(model, CANDIDATES, how.seed, how.label)
        self.candidates, self.labels = drawn.given, drawn.labels
        parts = model.inputs.codes
        sizes = [part.size for part in parts]
        moves = [part.distribution != "category" for part in parts]
        bounded = [part.distribution == "uniform" for part in parts]
        each = torch.tensor(sizes)
        self.moves = torch.tensor(moves).repeat_interleave(each).float().to(self.device)
        bounds = torch.tensor([1.0 if end else math.inf for end in bounded])
        self.bound = bounds.repeat_interleave(each).to(self.device)
        self.numbers = int(self.moves.sum())
        self.spread = self.numbers**0.5

    def whole(self, points: Tensor) -> Tensor:
        return points


def _search_group(
    space: _Space, targets: Tensor, how: Search, group: int, groups: int
) -> tuple[Tensor, Tensor | None]:
    """Return the way ``(F, N, ...)`` to the best points of some images, and their labels."""
    wanted = to_float(targets).to(space.device)
    start = _choose_starts(space, wanted, how.restarts)
    labels = None if space.labels is None else space.labels[start].to(space.device)
    points = space.candidates[start].to(space.device)
    repeated = wanted.repeat_interleave(how.restarts, 0)

    def loss(points: Tensor) -> Tensor:
        return pixel_loss(space.images(points, labels), repeated)

    def report(done: int) -> None:
        report_progress("searching", group * how.steps + done, groups * how.steps)

    path = torch.stack(_descend(space, points, loss, how, report))
    with torch.no_grad():
        losses = loss(path[-1].to(space.device)).view(-1, how.restarts)
    best = losses.argmin(1).cpu() + how.restarts * torch.arange(len(wanted))
    whole = torch.stack([space.whole(each) for each in path[:, best]])
    return whole.contiguous(), None if labels is None else labels.cpu()[best]


def _choose_starts(space: _Space, wanted: Tensor, restarts: int) -> Tensor:
    """Return the candidates ``(N * restarts,)`` that are nearest to each image, or the mean."""
    losses = []
    with torch.no_grad():
        for chosen in torch.arange(len(space.candidates)).split(_at_once(wanted)):
            labels = None if space.labels is None else space.labels[chosen].to(space.device)
            made = space.images(space.candidates[chosen].to(space.device), labels)
            losses.append(torch.stack([pixel_loss(made, each.expand_as(made)) for each in wanted]))
    found = torch.cat(losses, 1)
    if space.starts_at_mean and restarts > 1:
        found[:, 0] = -math.inf
    nearest = found.argsort(1)[:, : min(restarts, found.shape[1])]
    return nearest.repeat(1, -(-restarts // nearest.shape[1]))[:, :restarts].flatten().cpu()


def _descend(
    space: _Space,
    points: Tensor,
    loss: Callable[[Tensor], Tensor],
    how: Search,
    report: Callable[[int], None],
) -> list[Tensor]:
    """Follow the gradient, and return points on the way on the CPU, the last at the end."""
    points = points.detach().clone().requires_grad_()
    deviation = space.spread / space.numbers**0.5
    optimizer = torch.optim.Adam([points], lr=0.0)
    rng = make_rng(how.seed, "projection", device=space.device)
    every = max(1, how.steps // FRAMES)
    path = [points.detach().cpu().clone()]
    for step in range(how.steps):
        done = step / how.steps
        noise = NOISE * space.spread * max(0.0, 1 - done / NOISE_END) ** 2
        shaken = torch.randn(points.shape, generator=rng, device=space.device)
        moved = points + noise * shaken * space.moves
        (slope,) = torch.autograd.grad(loss(moved).sum(), points)
        points.grad = slope * space.moves
        optimizer.param_groups[0]["lr"] = RATE * deviation * _ramp(done)
        optimizer.step()
        with torch.no_grad():
            points.clamp_(-space.bound, space.bound)
        if (step + 1) % every == 0 or step + 1 == how.steps:
            path.append(points.detach().cpu().clone())
            report(step + 1)
    return path


def _ramp(done: float) -> float:
    """Return the share of the learning rate after a share of the steps."""
    down = min(1.0, (1 - done) / RAMP_DOWN)
    return min(1.0, (done + 0.01) / RAMP_UP) * (0.5 - 0.5 * math.cos(down * math.pi))
