"""Where a reader of charts and scores may go wrong: short notes, shown only where they apply."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from ganzoo.config import RunConfig
from ganzoo.runs.scores import ScoreRow
from ganzoo_zoo.apps.report import history

WORK = ("n_critic", "batch_size")
"""Training options that decide what a step is."""
BIASED = ("fid", "is")
"""Metrics whose expectation depends on the number of samples: Chong and Forsyth 2020."""
MANY = 50_000
"""Samples from which on papers take FID and IS."""
STANDARD = "inception-v3-compat"
"""The feature extractor of papers."""

LOSS = "The loss of a GAN need not fall while samples improve: judge by samples and scores."
LOGIT = "Means over a few training samples, and over samples of the averaged generator."
BEST = "The ring marks the best snapshot. It was chosen by such a score, so this one flatters it."
ONE_SEED = (
    "Each line is a single run. Another seed can change the order: train several seeds before you "
    "call one setting better."
)
SEEDS = "The runs differ in their seed alone: how far their lines lie apart is chance."
FORMULAS = "Losses of different names are different formulas: their values do not compare."
STEPS = (
    "A step is not the same work in each run: batches, or updates of the discriminator a step, "
    "differ."
)
PROTOCOLS = "Scores in different tables were taken in different ways and do not compare."


def about_curves(title: str) -> Iterator[str]:
    """Yield the notes for the plot of a title in :class:`~history.History`."""
    if title in history.LOSSES:
        yield LOSS
    if title == history.LOGIT_TITLE:
        yield LOGIT


def about_runs(configs: Sequence[RunConfig], differences: Collection[str]) -> Iterator[str]:
    """Yield the notes for the curves of several runs.

    Args:
        configs: Their configurations.
        differences: The options in which these differ.
    """
    yield LOSS
    if len({config.loss.name for config in configs}) > 1:
        yield FORMULAS
    if differences:
        yield SEEDS if set(differences) == {"train.seed"} else ONE_SEED
    if {f"train.{name}" for name in WORK} & set(differences):
        yield STEPS


def about_score(rows: Sequence[ScoreRow], *, is_best_marked: bool) -> Iterator[str]:
    """Yield the notes for the plot of comparable scores."""
    row = rows[0]
    fewest = min(row.fake_samples, row.real_samples)
    if row.family in BIASED and fewest < MANY:
        way = "too high" if row.family == "fid" else "too low"
        yield (
            f"{row.family.upper()} of few samples is biased: with {fewest:,} it is {way}, by an "
            "amount of its own for each model. Compare it only with scores of as many samples."
        )
    if is_best_marked:
        yield BEST


def about_extractors(rows: Iterable[ScoreRow]) -> Iterator[str]:
    """Yield the notes for all scores of a page."""
    seen: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.features:
            name = row.features.get("name", "")
            seen[name, row.features.get("sha256", "")] = name
    names = sorted(seen.values())
    if len(names) > 1:
        yield (
            f"Scores through different feature extractors ({', '.join(names)}) do not compare, "
            "even if they have the same name."
        )
    for name in dict.fromkeys(names):
        if name != STANDARD:
            yield (
                f"{name} is not the Inception network of papers: do not compare scores through it "
                "with theirs."
            )
