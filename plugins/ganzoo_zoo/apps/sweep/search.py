"""A search: trials that choose their values by what earlier ones scored.

Optuna chooses, and keeps the trials in a database in the sweep's folder.
"""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.errors import InputError, Interrupted
from ganzoo.requirement import install_command
from ganzoo.runs.scores import ScoreRow
from ganzoo_zoo.apps.sweep.check import is_higher_better
from ganzoo_zoo.apps.sweep.folder import LOG_FILE, STORAGE_FILE, Plan
from ganzoo_zoo.apps.sweep.grid import Cell
from ganzoo_zoo.apps.sweep.observer import SweepObserver
from ganzoo_zoo.apps.sweep.pruning import STUDY, objective
from ganzoo_zoo.apps.sweep.results import Verdict
from ganzoo_zoo.apps.sweep.space import Space
from ganzoo_zoo.apps.sweep.task import Task, make_task, read_final_scores
from ganzoo_zoo.apps.sweep.workers import Ended, Workers

if TYPE_CHECKING:
    from optuna import Study

RANDOM_SHARE = 3
"""The first of so many trials are chosen at random, at most :data:`MOST_RANDOM`."""
MOST_RANDOM = 10


def require_optuna() -> None:
    """Check that the package optuna is installed.

    Raises:
        InputError: it is not.
    """
    if importlib.util.find_spec("optuna") is None:
        raise InputError(
            "--sampler optuna needs a package that is not installed here: "
            f"{install_command('optuna')}"
        )


class Search:
    """A search in its folder.

    Args:
        folder: The sweep's folder.
        plan: The plan of the sweep.
        watcher: Observer of the sweep.
    """

    def __init__(self, folder: Path, plan: Plan, watcher: SweepObserver) -> None:
        assert plan.search is not None
        self.folder = folder
        self.plan = plan
        self.trials = plan.search.trials
        self.watcher = watcher
        self.space = Space(plan.grid)
        self.study = open_study(folder, plan, self.space)
        self.cells: dict[int, Cell] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.numbers: dict[str, int] = {}
        """Numbers of trials by the names of their runs."""
        self.unfinished = self._read_trials()

    def run(self, workers: int) -> tuple[list[Cell], dict[str, Verdict]]:
        """Train the remaining trials, and return all runs and their outcomes."""
        done = len(self.verdicts)
        longest = max(cell.config.train.steps for cell in self.space.corners())
        what = f"{self.trials} trials of {self.space.describe()}"
        began, left = time.monotonic(), self.trials - done
        self.watcher.on_start(self.folder, what, done, longest * left)
        with Workers({}, min(workers, left), self.folder / LOG_FILE, may_grow=True) as pool:
            for _ in range(min(workers, left)):
                self._add_next(pool)
            for news in pool.news():
                cell = self.cells[self.numbers[news.name]]
                if not isinstance(news, Ended):
                    self.watcher.on_step(cell, news.step)
                    continue
                self._tell(news)
                open_ones = self.trials - len(self.verdicts)
                wait = (time.monotonic() - began) / (left - open_ones) * open_ones
                self.watcher.on_end(cell, self.verdicts[cell.name], news.seconds, open_ones, wait)
                self._add_next(pool)
        if pool.signum is not None and len(self.verdicts) < self.trials:
            raise Interrupted(
                f"stopped with {len(self.verdicts)} of {self.trials} trials done, states saved; "
                f"resume with: ganzoo sweep --resume {self.folder}",
                pool.signum,
            )
        return [self.cells[number] for number in sorted(self.cells)], self.verdicts

    def _read_trials(self) -> list[int]:
        """Read the trials of an earlier start, and return the numbers of unfinished ones."""
        from optuna.trial import TrialState

        names, unfinished = {*self.space.choices, *self.space.ranges}, []
        for trial in self.study.trials:
            if trial.params.keys() != names:  # killed while it was chosen
                if not trial.state.is_finished():
                    self.study.tell(trial.number, state=TrialState.FAIL)
                continue
            cell = self._note(trial.number, trial.params)
            scores = read_final_scores(self.folder / cell.name)
            if trial.state == TrialState.PRUNED:
                self.verdicts[cell.name] = Verdict([], pruned_at=trial.last_step)
            elif trial.state == TrialState.FAIL:
                error = f"it failed before; see {self.folder / cell.name}"
                self.verdicts[cell.name] = Verdict([], error)
            elif scores is None:
                unfinished.append(trial.number)
            else:
                self.verdicts[cell.name] = Verdict(scores)
                if trial.state == TrialState.RUNNING:  # killed before it was told
                    self.study.tell(trial.number, self._objective(scores))
        return unfinished

    def _note(self, number: int, chosen: dict[str, object]) -> Cell:
        cell = self.space.cell(number, chosen)
        self.cells[number] = cell
        self.numbers[cell.name] = number
        return cell

    def _add_next(self, pool: Workers) -> None:
        """Give the pool another trial, or tell it that there are no more."""
        if self.unfinished:
            number = self.unfinished.pop(0)
        elif len(self.cells) < self.trials:
            number = self._ask()
        else:
            pool.no_more()
            return
        cell = self.cells[number]
        pool.add(cell.name, self._make_task(cell, number))

    def _ask(self) -> int:
        """Choose the values of another trial, by its number and all trials before it.

        The sampler begins anew with each, so that a search that was killed goes on as it would
        have gone.
        """
        from optuna.samplers import TPESampler

        number = len(self.study.trials)
        random = min(MOST_RANDOM, max(1, self.trials // RANDOM_SHARE))
        self.study.sampler = TPESampler(seed=number, n_startup_trials=random, constant_liar=True)
        trial = self.study.ask(self.space.distributions())
        self._note(trial.number, trial.params)
        return trial.number

    def _make_task(self, cell: Cell, number: int) -> Task:
        task = make_task(cell, self.folder, self.plan)
        if not cell.config.train.eval_every:
            return task
        return task.model_copy(update={"trial": number, "storage": storage_url(self.folder)})

    def _tell(self, news: Ended) -> None:
        """Note the outcome of a trial; one whose folder was deleted was told before."""
        from optuna.trial import TrialState

        self.verdicts[news.name] = Verdict(news.scores or [], news.error, news.pruned_at)
        value = self._objective(news.scores) if news.scores else None
        lost = TrialState.FAIL if news.pruned_at is None else TrialState.PRUNED
        self.study.tell(
            self.numbers[news.name],
            value,
            state=None if news.scores else lost,
            skip_if_finished=True,
        )

    def _objective(self, scores: list[ScoreRow]) -> float:
        return objective(self.study, scores[0])


def open_study(folder: Path, plan: Plan, space: Space) -> Study:
    """Open the study of a search, or begin it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = storage_url(folder)
    if (folder / STORAGE_FILE).exists():
        return optuna.load_study(study_name=STUDY, storage=url)
    higher = is_higher_better(plan, space.corners()[0].config)
    return optuna.create_study(
        study_name=STUDY, storage=url, direction="maximize" if higher else "minimize"
    )


def storage_url(folder: Path) -> str:
    """Return the URL of a search's database."""
    return f"sqlite:///{(folder / STORAGE_FILE).resolve()}"
