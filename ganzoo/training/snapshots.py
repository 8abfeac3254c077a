"""Scores of snapshots during training. All scores are kept, and the best model beside the last.

A snapshot is the averaged generator at a step. It is scored with few samples, which is enough to
tell snapshots apart, but not for a number to publish.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.config import ModelConfig, RunConfig
from ganzoo.distributed import sharing
from ganzoo.errors import Diverged, GanzooError, InputError
from ganzoo.evaluation.features import Extractors
from ganzoo.evaluation.judge import Judge
from ganzoo.evaluation.metrics import choose_ranking_metrics
from ganzoo.evaluation.sample_sets import choose_reals, choose_targets, describe_data, draw_fakes
from ganzoo.models.model import Model
from ganzoo.models.write import write_model
from ganzoo.registry import DATASET
from ganzoo.runs.scores import ScoreRow, log_scores, read_scores

if TYPE_CHECKING:
    from ganzoo.runs.folder import Run
    from ganzoo.training.stopwatch import TrainingTime
    from ganzoo.training.trainer import Trainer

SEED = 0
"""Seed of the fakes: the default of ``ganzoo eval``, for the same scores at the same counts."""


class Snapshots:
    """Scores the snapshots of one run.

    Args:
        config: The run's configuration.
        trainer: The training that the snapshots are of.

    Raises:
        InputError: the name of a metric or of the feature extractor is wrong, or it does not suit
            the data.
        GanzooError: weights of a feature extractor are missing.
    """

    def __init__(self, config: RunConfig, trainer: Trainer) -> None:
        self.config = config
        self.trainer = trainer
        options, samples = config.train, trainer.samples
        evaluators = choose_ranking_metrics(
            options.eval_metric,
            samples.spec,
            options.eval_features,
            paired=bool(trainer.architecture.takes_sources),
        )
        extractors = Extractors(options.eval_features, None, samples.spec, trainer.device)
        extractors.check_used(evaluators)
        with preserve_rng_state():
            extractors.load_for(evaluators.values())
        self.count = min(options.eval_samples, len(samples))
        reals = choose_reals(samples, self.count).to("cpu")
        data = describe_data(config.data, config.data.build(DATASET), samples)
        self.judge = Judge(reals, data, evaluators, extractors)

    def is_due(self, step: int) -> bool:
        """Tell whether to score the snapshot of a step; that of the last step always is."""
        return step > 0 and (
            step % self.config.train.eval_every == 0 or step == self.config.train.steps
        )

    def score(self, run: Run, time_taken: TrainingTime | None) -> list[ScoreRow]:
        """Score the present snapshot, write the scores and, for the best so far, its model.

        Each process draws and scores its share, and the first one writes. The sample picture of
        the step must exist.

        Args:
            run: The run's folder.
            time_taken: The time of the training until this step; None if it is unknown.

        Returns:
            The scores, as they are in the run's list, with the images seen and the time.

        Raises:
            Diverged: a sample is not finite.
        """
        trainer, state = self.trainer, self.trainer.state
        config = ModelConfig.of(self.config, trainer.setup.data, state.step)
        model = Model(None, config, trainer.architecture, state.generator_ema.module)
        with preserve_rng_state(), sharing():
            try:
                fakes = draw_fakes(model, self.judge.reals, self.count, SEED)
            except InputError:
                raise
            except GanzooError as error:
                raise Diverged(f"training diverged by step {state.step}: {error}") from None
            targets = choose_targets(model, self.judge.reals, self.count, SEED)
            rows = self.judge.judge(fakes, seed=SEED, step=state.step, targets=targets)
        timed = [self._add_time(row, time_taken) for row in rows]
        if not trainer.team.is_first:
            return timed
        log_scores(run.score_log, timed)
        best = read_scores(run.best)
        if not _is_judged_alike(best, rows) or _sort_key(rows) > _sort_key(best):
            write_model(
                run.best,
                config,
                state.generator_ema.module,
                state.discriminator,
                run.picture(state.step),
                rows,
            )
        return timed

    def _add_time(self, row: ScoreRow, time_taken: TrainingTime | None) -> ScoreRow:
        """Return a score with what the training of its snapshot took."""
        seen = self.trainer.setup.progress_at(self.trainer.state.step).images
        taken = {} if time_taken is None else asdict(time_taken)
        return row.model_copy(update={"images_seen": seen, **taken})


def _is_judged_alike(best: list[ScoreRow], rows: list[ScoreRow]) -> bool:
    """Tell whether two snapshots have the same scores: a resumed run may have another judge."""
    return [_describe_judge(row) for row in best] == [_describe_judge(row) for row in rows]


def _describe_judge(row: ScoreRow) -> dict[str, Any]:
    protocol = row.protocol()
    return {key: value for key, value in protocol.items() if not key.startswith("versions.")}


def _sort_key(rows: list[ScoreRow]) -> tuple[float, ...]:
    """Return the key by which snapshots are ordered: the first score, then the next ones."""
    return tuple(row.sign * row.value for row in rows)
