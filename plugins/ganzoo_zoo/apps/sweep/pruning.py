"""Pruning: a trial that scores worse than the median of the others ends early."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganzoo.runs.scores import ScoreRow

if TYPE_CHECKING:
    from optuna import Study

STUDY = "sweep"
"""Name of a search in its database."""


class Pruned(Exception):
    """A trial is ended early.

    Args:
        step: Its last step.
    """

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


class Pruner:
    """Reports the scores of a trial's snapshots, and ends it if it is poor.

    Args:
        storage: URL of the search's database.
        number: Number of the trial.
        steps: Steps of the whole training, after which nothing is left to be saved.
    """

    def __init__(self, storage: str, number: int, steps: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.load_study(
            study_name=STUDY, storage=storage, pruner=optuna.pruners.MedianPruner()
        )
        known = self.study.trials[number]
        self.trial = optuna.trial.Trial(self.study, known._trial_id)
        self.reported = set(known.intermediate_values)  # before it was interrupted
        self.steps = steps

    def __call__(self, rows: list[ScoreRow]) -> None:
        """Report the scores of a snapshot, of which the first one counts.

        Raises:
            Pruned: it is worse than the median of the other trials at this step.
        """
        step = rows[0].step
        assert step is not None
        if step not in self.reported:
            self.trial.report(objective(self.study, rows[0]), step)
        if step < self.steps and self.trial.should_prune():
            raise Pruned(step)


def objective(study: Study, row: ScoreRow) -> float:
    """Return a score in the direction of the study."""
    from optuna.study import StudyDirection

    is_alike = row.higher_is_better == (study.direction == StudyDirection.MAXIMIZE)
    return row.value if is_alike else -row.value
