"""All that is found of a run for its report; what is missing or damaged is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from ganzoo.errors import GanzooError
from ganzoo.protocols.tracker import METRICS_FILE
from ganzoo.registry import ARCHITECTURE
from ganzoo.runs.scores import read_logged_scores
from ganzoo_zoo.apps.report import history, nearest_and_logits, pictures, scores, training
from ganzoo_zoo.apps.report.history import History
from ganzoo_zoo.apps.report.nearest_and_logits import ModelAnalysis
from ganzoo_zoo.apps.report.surface import Surface, read_surface
from ganzoo_zoo.apps.report.tracker_files import TrackerFiles

if TYPE_CHECKING:
    from ganzoo.config import RunConfig
    from ganzoo.runs.folder import Run

Found = TypeVar("Found")


@dataclass
class ReportData:
    """What there is of a run."""

    run: Run
    config: RunConfig
    history: History
    progress: training.Progress
    pictures: pictures.Pictures
    analysis: ModelAnalysis
    scores: scores.Scores
    surfaces: dict[int, Surface]
    """Of the pictures that are shown, by their steps."""
    machine: dict[str, str]
    missing: list[str] = field(default_factory=list)

    @property
    def takes_images(self) -> bool:
        """Whether its generator takes images; it does not if its package is not here to ask."""
        try:
            return self.config.architecture.build(ARCHITECTURE).takes_images
        except GanzooError:
            return False


def gather_run(run: Run, neighbours: int) -> ReportData:
    """Find all that there is of a run.

    Args:
        run: The run.
        neighbours: As for :func:`ganzoo_zoo.apps.report.report`.

    Raises:
        ganzoo.errors.InputError: its configuration is damaged.
    """
    config = run.config()
    missing: list[str] = []

    def tried(what: str, read: Callable[[], Found], otherwise: Found) -> Found:
        try:
            return read()
        except (GanzooError, OSError) as error:
            missing.append(f"{what}: {error}")
            return otherwise

    kept = TrackerFiles(run.path)
    logits = tried("logits", kept.read_logits, {})
    logged = tried(
        "curves and warnings",
        lambda: history.read_history(run.path / METRICS_FILE, config.train, logits),
        History(),
    )
    logged.warnings += tried("warnings", kept.read_warnings, [])
    drawn = pictures.list_steps(run)
    progress = training.find_progress(run, config, logged.last_step, max(drawn, default=0))
    taken = pictures.gather_pictures(run, [] if progress.best is None else [progress.best])
    missing += taken.damaged
    seen = ModelAnalysis()
    if neighbours:
        seen = nearest_and_logits.analyse_model(run, neighbours)
        missing += seen.missing
    rows = tried("scores", lambda: read_logged_scores(run.scores), [])
    surfaces: dict[int, Surface] = {}
    for step in [picture.step for picture in taken.taken]:
        own = seen.surface if step == progress.model else None
        if (file := kept.surface_path(step)).exists():
            what = f"the surface of step {step}"
            own = tried(what, lambda file=file: read_surface(file), own)
        surfaces |= {} if own is None else {step: own}
    return ReportData(
        run,
        config,
        logged,
        progress,
        taken,
        seen,
        scores.gather_scores(rows, progress.best, progress.model),
        surfaces,
        tried("the machine", kept.read_machine, {}),
        missing,
    )
