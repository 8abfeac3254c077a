"""Scores of a training's snapshots: every one is kept, and the best model beside the last.

A snapshot is the averaged generator at a step. It is judged by few samples, which is enough to
tell snapshots apart and too little for a figure to publish.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.config import ModelConfig, RunConfig
from ganzoo.distributed import sharing
from ganzoo.errors import Diverged, GanzooError, InputError
from ganzoo.evaluation.features import Extractors
from ganzoo.evaluation.scoring import (
    Judge,
    choose_ranking_metrics,
    choose_reals,
    describe_data,
    draw_fakes,
)
from ganzoo.models.model import Model
from ganzoo.models.write import write_model
from ganzoo.registry import DATASET
from ganzoo.runs.scores import ScoreRow, log_scores, read_scores

if TYPE_CHECKING:
    from ganzoo.runs.folder import Run
    from ganzoo.training.trainer import Trainer

SEED = 0
"""Of the fakes: that of ``ganzoo eval``, which so finds the same scores at the same counts."""


class Snapshots:
    """Judges the snapshots of one training.

    Raises:
        InputError: a metric's name is wrong, or it cannot judge the data.
        GanzooError: an extractor's weights cannot be had.
    """

    def __init__(self, config: RunConfig, trainer: Trainer) -> None:
        self.config = config
        self.trainer = trainer
        options, samples = config.train, trainer.samples
        evaluators = choose_ranking_metrics(options.eval_metric, samples.spec)
        extractors = Extractors(None, None, samples.spec, trainer.device)
        with preserve_rng_state():
            extractors.load_for(evaluators.values())
        self.count = min(options.eval_samples, len(samples))
        reals = choose_reals(samples, self.count).to("cpu")
        self.judge = Judge(
            reals, describe_data(config.data, config.data.build(DATASET)), evaluators, extractors
        )

    def is_due(self, step: int) -> bool:
        """Tell whether the snapshot of a step is judged; that of the last step always is."""
        return step > 0 and (
            step % self.config.train.eval_every == 0 or step == self.config.train.steps
        )

    def score(self, run: Run) -> list[ScoreRow]:
        """Judge the present snapshot, keep its scores and, if it is the best so far, its model.

        Of several processes each draws and looks at its share, and the first one keeps.
        The sample picture of the step must have been written.

        Raises:
            Diverged: a sample is not finite.
        """
        trainer, state = self.trainer, self.trainer.state
        config = ModelConfig.of(self.config, trainer.samples.spec, state.step)
        model = Model(None, config, trainer.architecture, state.generator_ema.module)
        with preserve_rng_state(), sharing():
            try:
                fakes = draw_fakes(model, self.judge.reals, self.count, SEED)
            except InputError:
                raise
            except GanzooError as error:
                raise Diverged(f"training diverged by step {state.step}: {error}") from None
            rows = self.judge.judge(fakes, seed=SEED, step=state.step)
        if not trainer.team.is_first:
            return rows
        log_scores(run.scores, rows)
        best = read_scores(run.best)
        if not best or _sort_key(rows) > _sort_key(best):
            write_model(
                run.best,
                config,
                state.generator_ema.module,
                state.discriminator,
                run.picture(state.step),
                rows,
            )
        return rows


def _sort_key(rows: list[ScoreRow]) -> tuple[float, ...]:
    """Order snapshots by the first number; by the next ones where those before are equal."""
    return tuple(row.sign * row.value for row in rows)
