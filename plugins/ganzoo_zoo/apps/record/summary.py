"""What a record says over its seeds: scores at marks of the budget, time, machine, failures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganzoo_zoo.apps.record.form import DIVERGED, STOPPED

if TYPE_CHECKING:
    from ganzoo.runs.scores import ScoreRow
    from ganzoo_zoo.apps.record.form import Record, SeedRun

MARKS = {"a tenth": 0.1, "half": 0.5, "the end": 1.0}
"""Shares of the steps at which scores are shown."""
SLACK = 0.1
"""How far behind a mark a score may lie, as a share of the steps."""
LAST_MARK = 1.0
DIGITS = 3
"""Significant digits of a score."""
MINUTE, HOUR = 60, 3600
IDLE = 0.8
"""Share of the time by the clock below which that of processors is said, too."""


@dataclass(frozen=True)
class Spread:
    """The mean of a number over seeds."""

    mean: float
    std: float | None
    """Sample standard deviation; None for one seed."""
    count: int
    """Number of seeds that have the number."""
    of: int
    """Number of seeds."""

    def format(self) -> str:
        """Format the mean and the deviation; if seeds lack the number, say how many have it."""
        digits = choose_digits(self.mean)
        text = f"{self.mean:,.{digits}f}"
        text += "" if self.std is None else f" ± {self.std:,.{digits}f}"
        return text if self.count == self.of else f"{text} ({self.count} of {self.of} seeds)"


def choose_digits(value: float) -> int:
    """Return the digits behind the point with which a score is shown."""
    if not value:
        return 0
    return min(DIGITS, max(0, DIGITS - 1 - math.floor(math.log10(abs(value)))))


def find_protocols(record: Record) -> list[ScoreRow]:
    """Return a score of each protocol of a record, in the order of metrics and of sample counts."""
    found = {row.key: row for run in record.seeds for row in run.scores}
    return sorted(found.values(), key=lambda row: (row.metric, row.fake_samples, row.key))


def find_mean(record: Record, choose: Callable[[SeedRun], float | None]) -> Spread | None:
    """Return the mean over the seeds of a number that some of them have; None if none has it."""
    values = [value for run in record.seeds if (value := choose(run)) is not None]
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), std, len(values), len(record.seeds))


def find_at(record: Record, protocol: ScoreRow, share: float) -> Spread | None:
    """Return the mean of a score at a share of the steps.

    Args:
        record: The record.
        protocol: A score by the protocol.
        share: The share, 1 for the last step. Of each seed, the first score at or behind it counts,
            if it is not far behind.
    """
    return find_mean(record, lambda run: _score_at(run, protocol.key, share))


def find_best(record: Record, protocol: ScoreRow) -> Spread | None:
    """Return the mean of the best score of each seed."""

    def choose(run: SeedRun) -> float | None:
        values = [row.value for row in run.scores if row.key == protocol.key]
        pick = max if protocol.higher_is_better else min
        return pick(values, default=None)

    return find_mean(record, choose)


def _score_at(run: SeedRun, key: str, share: float) -> float | None:
    wanted = share * run.steps
    last = wanted if share == LAST_MARK else wanted + SLACK * run.steps
    rows = [row for row in run.scores if row.key == key and wanted <= (row.step or 0) <= last]
    return rows[0].value if rows else None


def format_protocol(row: ScoreRow) -> str:
    """Say of how many samples a score is, and of which data."""
    split = f" ({row.data['split']})" if row.data.get("split") else ""
    fakes = f"{row.fake_samples:,} fakes" if row.repeats == 1 else f"{row.repeats} draws of fakes"
    return f"{fakes}, {row.real_samples:,} reals of {row.data['name']}{split}"


def format_time(record: Record) -> str:
    """Format the mean time of a training by the clock, and of processors where that is much less.

    It is less where other programs had the machine too.
    """
    clock = find_mean(record, lambda run: run.seconds)
    if clock is None:
        return "not measured"
    text = _format_seconds(clock.mean)
    used = find_mean(record, lambda run: run.processor_seconds)
    if used is None or used.mean > IDLE * clock.mean or _is_on_gpu(record):
        return text
    return f"{text} ({_format_seconds(used.mean)} of a processor)"


def _format_seconds(seconds: float) -> str:
    for unit, word in ((HOUR, "h"), (MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.1f} {word}"
    return f"{seconds:.0f} s"


def _is_on_gpu(record: Record) -> bool:
    rows = (row for run in record.seeds for row in run.machine or ())
    return any(not row.device.startswith("cpu") for row in rows)


def format_machine(record: Record) -> str:
    """Name the machines of the trainings, each once."""
    rows = [row for run in record.seeds for row in run.machine or ()]
    names = []
    for row in rows:
        is_gpu = not row.device.startswith("cpu")
        threads = f"{row.threads} thread{'' if row.threads == 1 else 's'} of {row.processor}"
        count = f"{row.processes} x " if row.processes > 1 else ""
        names.append(f"{count}{row.device_name if is_gpu else threads}")
    return "; ".join(dict.fromkeys(names)) or "not noted"


def format_versions(record: Record) -> str:
    """Name the versions of torch of the trainings, each once."""
    found = (run.versions.get("torch", "unknown") for run in record.seeds)
    return f"torch {', '.join(dict.fromkeys(found))}"


def describe_failures(record: Record) -> Iterator[str]:
    """Yield what went wrong, a line for each seed that did not simply finish."""
    for run in record.seeds:
        if run.state == DIVERGED:
            step = run.failure.step if run.failure else run.step
            yield f"seed {run.seed} diverged at step {step:,} of {run.steps:,}"
        elif run.state == STOPPED:
            yield f"seed {run.seed} stopped after step {run.step:,} of {run.steps:,}"
        if run.retries:
            times = "once" if run.retries == 1 else f"{run.retries} times"
            yield f"seed {run.seed} diverged and went back to a checkpoint {times}"


def format_seeds(runs: Iterable[SeedRun]) -> str:
    """Name the seeds."""
    seeds = [str(run.seed) for run in runs]
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(seeds)}"


def list_rows(record: Record) -> Iterator[Sequence[str]]:
    """Yield the rows of a record's table: metric, scores at the marks, best, protocol."""
    for protocol in find_protocols(record):
        spreads = [find_at(record, protocol, share) for share in MARKS.values()]
        cells = [each.format() if each else "" for each in (*spreads, find_best(record, protocol))]
        yield (protocol.metric, *cells, format_protocol(protocol))
