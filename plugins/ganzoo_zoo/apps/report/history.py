"""The log of a run: curves, warnings, and the duration of training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganzoo.config import RunConfig
from ganzoo.runs.metrics import (
    AUGMENTATION,
    GRADIENT_NORM,
    LOGITS,
    NETWORKS,
    SAMPLES,
    Curve,
    CurveGroup,
    CurveReader,
    WarningReader,
    is_number,
    read_metrics,
)

SPEED = "images_per_second"
TERMS = {
    **{network: f"Loss of the {network}" for network in NETWORKS},
    AUGMENTATION: "Augmentation",
    SAMPLES: "Samples that repeat a training image",
}
"""Titles of plots, by what stands before the names of their curves."""
LOSSES = tuple(TERMS[network] for network in NETWORKS)
NORMS = "Gradient norms"
LOGIT_TITLE = "Logits"
SPEED_TITLE = "Images per second"


@dataclass
class History:
    """The lines of ``metrics.jsonl``."""

    curves: dict[str, dict[str, Curve]] = field(default_factory=dict)
    """Curves by plot title and name, in the order of the plots."""
    warnings: list[str] = field(default_factory=list)
    """Messages of the warnings that hold."""
    past_warnings: dict[str, str] = field(default_factory=dict)
    """Warnings of what has ended, each with its steps, by their messages."""
    last_step: int = 0
    seconds: float | None = None
    """Time from the first step to the last line, pictures and scores included."""
    speed: float | None = None
    """Mean images per second over this time."""


def read_history(path: Path, config: RunConfig, logits: Mapping[str, Curve]) -> History:
    """Read the log of a run; it may not exist.

    Args:
        path: The log.
        config: Configuration of the run.
        logits: Curves of logits from another file.

    Raises:
        ganzoo.errors.InputError: the log is not a regular file.
        OSError: the log cannot be read.
    """
    history, speeds = History(), CurveReader()
    groups = {title: CurveGroup() for title in (*TERMS.values(), LOGIT_TITLE, NORMS)}
    warnings = WarningReader()
    for step, row in read_metrics(path) if path.exists() else ():
        history.last_step = max(history.last_step, step)
        if "warning" in row:
            warnings.add(step, row)
        else:
            _add_row(groups, speeds, step, row)
    history.warnings = [each.message for each in warnings.current()]
    history.past_warnings = {each.message: each.describe() for each in warnings.past()}
    _estimate_time(history, speeds.points, config)
    found = {title: group.curves() for title, group in groups.items()}
    found[LOGIT_TITLE] = {**logits, **found[LOGIT_TITLE]}
    found[SPEED_TITLE] = {"images": speeds.curve()}
    history.curves = {
        title: kept
        for title, curves in found.items()
        if (kept := {name: curve for name, curve in curves.items() if len(curve) > 1})
    }
    return history


def _add_row(
    groups: Mapping[str, CurveGroup], speeds: CurveReader, step: int, row: Mapping[str, Any]
) -> None:
    for key, value in row.items():
        network, _, name = key.partition("/")
        if not is_number(value):
            continue
        if key == SPEED:
            speeds.add(step, value)
        elif network in TERMS and name:
            if name == GRADIENT_NORM:
                title, label = NORMS, network
            elif LOGITS.removesuffix("s") in name:
                title, label = LOGIT_TITLE, key
            else:
                title, label = TERMS[network], name
            groups[title].add(label, step, value)


def _estimate_time(history: History, speeds: Curve, config: RunConfig) -> None:
    """Estimate the duration of training; each line has the speed since the previous one."""
    before, images, seconds = 0, 0, 0.0  # images seen before a line, and those that took time
    for step, speed in sorted(speeds.items()):
        now = config.progress_at(step).images
        if speed > 0:
            images, seconds = images + now - before, seconds + (now - before) / speed
        before = now
    if seconds:
        history.seconds, history.speed = seconds, images / seconds


def downsample(curve: Mapping[float, float], most: int) -> list[tuple[float, float, float, float]]:
    """Average a curve over neighbouring steps to at most ``most`` points.

    Returns:
        The mean step, the mean, the minimum and the maximum of each group of neighbours.
    """
    points = sorted(curve.items())
    together = -(-len(points) // most)
    parts = [points[start : start + together] for start in range(0, len(points), together)]
    return [
        (_mean(step for step, _ in part), _mean(values), min(values), max(values))
        for part in parts
        if (values := [value for _, value in part])
    ]


def thin(curve: Mapping[float, float], most: int) -> dict[float, float]:
    """Return a curve in order, with at most about ``most`` of its points.

    Of a longer one these are every k-th point, the lowest, the highest and the last: values as they
    were logged, whose mean is that of the curve.
    """
    steps = sorted(curve)
    if len(steps) <= most:
        return {step: curve[step] for step in steps}
    every = -(-len(steps) // most)
    ends = {min(steps, key=curve.__getitem__), max(steps, key=curve.__getitem__), steps[-1]}
    return {step: curve[step] for i, step in enumerate(steps) if i % every == 0 or step in ends}


def metric_name(title: str, label: str) -> str:
    """Return the name of a curve in the log, from its plot's title and its own name there."""
    if title == SPEED_TITLE:
        return SPEED
    if title == NORMS:
        return f"{label}/{GRADIENT_NORM}"
    if title == LOGIT_TITLE:
        return label if "/" in label else f"{LOGITS}/{label}"  # without: those of the tracker
    return f"{next(network for network, each in TERMS.items() if each == title)}/{label}"


def _mean(numbers: Iterable[float]) -> float:
    listed = list(numbers)
    return sum(number / len(listed) for number in listed)  # the plain sum might overflow
