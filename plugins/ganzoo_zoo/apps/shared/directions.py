"""Directions of latents or of styles along which samples change most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ganzoo import GeneratorInput
from ganzoo.compute import memory
from ganzoo.errors import InputError
from ganzoo.models.generation import generate
from ganzoo.models.mixing import map_latents, require_layers, require_styles
from ganzoo_zoo.apps.shared.first_layers import find_affine_map, find_first_features
from ganzoo_zoo.apps.shared.many_latents import draw_many

if TYPE_CHECKING:
    from ganzoo.models.model import Model

AUTO, SEFA, PCA = "auto", "sefa", "pca"
METHODS = (AUTO, SEFA, PCA)
SAMPLES = 2048
"""How many latents principal components are of, and deviations of styles."""
VARIANCES = {"normal": 1.0, "uniform": 1 / 3, "category": 0.0}
"""Variance of each number of a latent by its distribution; categories do not move."""


@dataclass(frozen=True)
class Directions:
    """Some directions of one model, the one that changes samples most first."""

    method: str
    """``sefa``: eigenvectors of the weights of the affine maps that latents or styles come to first
    (Shen and Zhou 2021, arXiv:2007.06600, section 3.2). ``pca``: principal components of styles, or
    of the first features, regressed to latents (Haerkoenen et al. 2020, arXiv:2004.02546, section
    2)."""
    space: str
    """``w`` for directions of styles, ``z`` for those of latents."""
    vectors: Tensor
    """The directions ``(K, D)``, each of length 1."""
    deviations: Tensor
    """Standard deviation ``(K,)`` of drawn latents or styles along each direction."""
    strengths: Tensor
    """The eigenvalue ``(K,)`` of each direction."""
    layers: tuple[int, ...] = ()
    """The layers whose styles move; none in ``z``."""

    def __len__(self) -> int:
        return len(self.vectors)


def count_directions(model: Model) -> int:
    """Return how many directions a model has; 0 if it has no latents that can move."""
    if not model.architecture.takes_latents:
        return 0
    styles = model.styles
    if styles is not None:
        return len(styles.mean)
    return sum(part.size for part in model.inputs.codes if VARIANCES[part.distribution])


def find_directions(
    model: Model,
    count: int = 10,
    method: str = AUTO,
    *,
    layers: Sequence[int] | None = None,
    seed: int = 0,
    label: int | None = None,
) -> Directions:
    """Find the directions along which the samples of a model change most.

    With styles, directions are of these. Of latents, normal and uniform parts move, and categories
    stay.

    Args:
        model: A model that starts from noise.
        count: Number of directions, at most.
        method: ``sefa``, ``pca``, or ``auto``: the first of these that the model serves.
        layers: The layers whose styles move; None for all.
        seed: Seed of the latents of principal components and deviations.
        label: Class of these; None for all in turn.

    Raises:
        InputError: the model has no latents, or does not serve the method or the layers.
    """
    if not model.architecture.takes_latents:
        raise InputError("this model makes samples from images, and has no latents to move")
    if method not in METHODS:
        raise InputError(f"--method {method}: choose {', '.join(METHODS)}")
    inputs = draw_many(model, SAMPLES, seed, label)
    if model.styles is not None:
        return _find_in_styles(model, count, method, layers, inputs)
    if layers is not None:
        require_styles(None)
    if not model.inputs.codes:
        raise InputError(
            "this model draws latents of its own, and does not say which of their numbers can move"
        )
    weight = None if method == PCA else _find_affine_map(model, inputs)
    if weight is not None:
        return _in_latents(model, SEFA, *_principal(weight.T @ weight, count))
    if method == SEFA:
        raise InputError(
            "no layer of this model is an affine map of a whole latent: use --method pca"
        )
    return _in_latents(model, PCA, *_regress(model, inputs, count))


def _find_in_styles(
    model: Model,
    count: int,
    method: str,
    layers: Sequence[int] | None,
    inputs: GeneratorInput,
) -> Directions:
    styles = require_styles(model.styles)
    drawn = map_latents(styles, inputs).double()
    chosen = require_layers(range(drawn.shape[1]) if layers is None else layers, drawn.shape[1])
    covariance = drawn[:, 0].T.cov()
    if method == PCA:
        strengths, vectors = _principal(covariance, count)
    else:
        rows = torch.isin(torch.tensor(styles.affine_layers), torch.tensor(chosen))
        weight = styles.affine.detach().cpu().double()[rows]
        strengths, vectors = _principal(weight.T @ weight, count)
    deviations = ((vectors @ covariance) * vectors).sum(1).clamp(min=0).sqrt()
    found = (vectors.float(), deviations.float(), strengths.float())
    return Directions(PCA if method == PCA else SEFA, "w", *found, tuple(chosen))


def _find_affine_map(model: Model, inputs: GeneratorInput) -> Tensor | None:
    few = next(inputs.parts(2, torch.device("cpu")))
    weight = find_affine_map(model.generator, few)
    return None if weight is None else weight * (_variances(model) > 0)


def _variances(model: Model) -> Tensor:
    """Return the variance of each number of a latent, float64 ``(D,)``; 0 of those that stay."""
    parts = model.inputs.codes
    return torch.cat(
        [torch.full((part.size,), VARIANCES[part.distribution]).double() for part in parts]
    )


def _in_latents(model: Model, method: str, strengths: Tensor, vectors: Tensor) -> Directions:
    variances = _variances(model)
    moves = int((variances > 0).sum())
    vectors, strengths = vectors[:moves], strengths[:moves]
    deviations = (vectors.square() @ variances).sqrt()
    return Directions(method, "z", vectors.float(), deviations.float(), strengths.float())


def _principal(gram: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the largest eigenvalues ``(K,)`` of a matrix, and their eigenvectors ``(K, D)``.

    The number of an eigenvector that is largest is positive, as its sign means nothing.
    """
    values, vectors = torch.linalg.eigh(gram)
    values, vectors = values.flip(0)[:count], vectors.T.flip(0)[:count]
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return values.clamp(min=0), vectors * largest.sign()


def _regress(model: Model, inputs: GeneratorInput, count: int) -> tuple[Tensor, Tensor]:
    """Return the variances of principal components of first features, and their latents."""
    labels = inputs.labels
    probe = GeneratorInput(inputs.given[:2], None if labels is None else labels[:1].repeat(2))
    features = find_first_features(model.generator, inputs, probe)
    memory.require(16 * features.numel(), "principal components of the first features")
    features = _centre(features.double(), labels)
    if features.shape[1] <= len(features):
        strengths, axes = _principal(features.T @ features, count)
        coordinates = features @ axes.T
    else:  # the same coordinates, by the smaller matrix
        strengths, axes = _principal(features @ features.T, count)
        coordinates = (axes * strengths.sqrt()[:, None]).T
    latents = (inputs.given.double() - inputs.given.double().mean(0)) * (_variances(model) > 0)
    vectors = normalize(coordinates.T @ latents, dim=1)
    return strengths / (len(features) - 1), vectors


def _centre(features: Tensor, labels: Tensor | None) -> Tensor:
    """Subtract the mean of features ``(N, K)``, or that of each class, as classes do not move."""
    if labels is None:
        return features - features.mean(0)
    classes = int(labels.max()) + 1
    sums = features.new_zeros(classes, features.shape[1]).index_add_(0, labels, features)
    counts = labels.bincount(minlength=classes).clamp(min=1)
    return features - (sums / counts[:, None])[labels]


# Moving


def start_points(
    model: Model, directions: Directions, inputs: GeneratorInput, truncation: float | None = None
) -> Tensor:
    """Return where samples lie in the space of directions: ``(N, L, W)`` or ``(N, D)``."""
    if directions.space == "z":
        return inputs.given
    return map_latents(require_styles(model.styles), inputs, truncation)


def move(model: Model, directions: Directions, points: Tensor, steps: Tensor) -> Tensor:
    """Move points along directions.

    Args:
        model: The model.
        directions: Directions of the model.
        points: What :func:`start_points` returns, for N samples. It does not change.
        steps: How far along each of the first directions, in their standard deviations:
            ``(N, M)``, or ``(M,)`` for all samples alike.
    """
    scaled = directions.vectors * directions.deviations[:, None]
    shift = steps @ scaled[: steps.shape[-1]]
    if directions.space == "z":
        return _keep_within(model, points + shift)
    moved = points.clone()
    moved[:, list(directions.layers)] += shift[..., None, :]
    return moved


def _keep_within(model: Model, latents: Tensor) -> Tensor:
    parts = model.inputs.codes
    pieces = latents.split([part.size for part in parts], dim=1)
    return torch.cat(
        [
            piece.clamp(-1, 1) if part.distribution == "uniform" else piece
            for part, piece in zip(parts, pieces, strict=True)
        ],
        dim=1,
    )


def draw_points(
    model: Model,
    directions: Directions,
    points: Tensor,
    labels: Tensor | None = None,
    truncation: float | None = None,
) -> Tensor:
    """Return the stored samples ``(N, *shape)`` at points, on the CPU.

    Args:
        model: The model.
        directions: The directions that the points were moved along.
        points: The points.
        labels: Class of each sample, for latents.
        truncation: As for :meth:`ganzoo.Model.sample`; styles are truncated where they start.
    """
    spec = model.config.spec
    if directions.space == "z":
        given = GeneratorInput(points, labels)
        return model.with_truncation(truncation).generate(given, stored=True)
    synthesis = require_styles(model.styles).synthesis
    return generate(synthesis, GeneratorInput(points), spec, stored=True)
