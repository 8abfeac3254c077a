"""The summary of a written report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Report:
    """A written report and its contents."""

    run: Path
    file: Path
    bytes: int
    finished: bool
    """Whether all steps are done and the model was written."""
    step: int
    """The last step of anything in the run's folder."""
    steps: int
    """Number of steps that the run was started for."""
    curves: tuple[str, ...]
    """Titles of the plots."""
    scores: int
    warnings: int
    pictures: int
    """Number of sample pictures in the report."""
    pictures_found: int
    """Number of sample pictures of the run."""
    surfaces: int
    """Number of pictures with the discriminator's logits as background."""
    neighbours: int
    """Number of fakes beside their nearest training samples."""
    missing: tuple[str, ...]
    """What could not be shown, each with the reason."""


@dataclass(frozen=True)
class Reports:
    """A written report of several runs and its contents."""

    file: Path
    bytes: int
    runs: tuple[Path, ...]
    curves: tuple[str, ...]
    """Titles of the plots."""
    pictures: int
    """Number of sample pictures in the report."""
    missing: tuple[str, ...]
    """What could not be shown, each with the run and the reason."""
