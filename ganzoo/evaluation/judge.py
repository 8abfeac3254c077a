"""A judge: real samples, and the metrics that score generated ones against them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ganzoo import distributed
from ganzoo.config import versions
from ganzoo.errors import InputError, name_errors
from ganzoo.evaluation.features import Extractors
from ganzoo.protocols.dataset import Samples
from ganzoo.protocols.evaluator import Evaluator, SampleSet, Score
from ganzoo.runs.scores import ScoreRow

if TYPE_CHECKING:
    from torch import Tensor


class Judge:
    """Reals, and the metrics that score fakes against them; features of reals are extracted once.

    Args:
        reals: The real samples.
        data: Name and split of the data they come from.
        evaluators: Metrics by name.
        extractors: The metrics' feature extractors.
        lenient: Whether a metric that cannot score these samples is left out, instead of raising
            an error.
    """

    def __init__(
        self,
        reals: Samples,
        data: Mapping[str, str],
        evaluators: Mapping[str, Evaluator],
        extractors: Extractors,
        *,
        lenient: bool = False,
    ) -> None:
        self.reals = reals
        self.lenient = lenient
        self.left_out: dict[str, str] = {}
        """Why metrics were left out, by their names; known in the first process."""
        self.data = {**data, "fingerprint": reals.fingerprint}
        self.evaluators = evaluators
        self.extractors = extractors
        self._real_sets: dict[str | None, SampleSet] = {
            name: extractors.prepare_set(reals, name, "reals", keep=True)
            for name in self._extractor_names()
        }

    def judge(
        self,
        fakes: Samples,
        *,
        seed: int,
        step: int | None,
        targets: Tensor | None = None,
    ) -> list[ScoreRow]:
        """Return the scores of all metrics, in their order.

        Args:
            fakes: The samples to score.
            seed: The seed they were drawn with.
            step: Generator updates of the model; None for reals in place of fakes.
            targets: Which of the reals each fake is to equal ``(N,)``; None if they are no pairs.

        Raises:
            InputError: a metric cannot score these samples; the message begins with its name. If
                metrics may be left out, none can.
        """
        paired = any(metric.needs_pairs for metric in self.evaluators.values())
        wanted = self.reals.subset(targets) if paired and targets is not None else None
        fake_sets = {
            name: self.extractors.prepare_set(fakes, name, "fakes", keep=False, targets=wanted)
            for name in self._extractor_names()
        }
        team = distributed.sharers()
        if team.world > 1:  # the first process scores alone, from features that all have extracted
            for name in sorted(filter(None, self._extractor_names())):
                _ = self._real_sets[name].features, fake_sets[name].features
        rows = team.run_on_first(
            lambda: [
                row.model_dump(mode="json")
                for row in self._score_rows(fake_sets, fakes, seed, step)
            ]
        )
        return [ScoreRow.model_validate(row) for row in rows]

    def _score_rows(
        self,
        fake_sets: Mapping[str | None, SampleSet],
        fakes: Samples,
        seed: int,
        step: int | None,
    ) -> list[ScoreRow]:
        shared: dict[str, Any] = {
            "data": self.data,
            "real_samples": len(self.reals),
            "fake_samples": len(fakes),
            "image_size": self.reals.spec.image_size,
            "seed": seed,
            "step": step,
            "versions": versions(),
        }
        rows: list[ScoreRow] = []
        for name, metric in self.evaluators.items():
            extractor = self.extractors.name_for(metric)
            try:
                scores = self._evaluate(name, metric, fake_sets[extractor])
            except InputError as error:
                if not self.lenient:
                    raise
                self.left_out[name] = str(error)
                continue
            short = name.rpartition(":")[2]
            rows += [
                ScoreRow(
                    metric=(score.name or short) + self.extractors.metric_suffix(metric),
                    value=score.value,
                    std=score.std,
                    higher_is_better=(
                        metric.higher_is_better
                        if score.higher_is_better is None
                        else score.higher_is_better
                    ),
                    options=metric.model_dump(mode="json"),
                    features=self.extractors.describe(extractor) if extractor else None,
                    note=score.note,
                    **shared,
                )
                for score in scores
            ]
        if not rows:
            raise InputError(f"no metric can be computed: {'; '.join(self.left_out.values())}")
        return rows

    def _evaluate(self, name: str, metric: Evaluator, fakes: SampleSet) -> list[Score]:
        extractor = self.extractors.name_for(metric)
        with name_errors(f"metric '{name}'"):
            if metric.needs_logits and fakes.features.logits is None:
                raise InputError(f"needs a classifier, and {extractor} is not one")
            return metric.evaluate(fakes, self._real_sets[extractor])

    def _extractor_names(self) -> set[str | None]:
        return {self.extractors.name_for(metric) for metric in self.evaluators.values()}
