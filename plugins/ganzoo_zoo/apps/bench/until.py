"""Training until a score is reached, and what that takes."""

from __future__ import annotations

import operator
import re
import shlex
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import registry
from ganzoo.distributed.environment import rank_and_world
from ganzoo.errors import Diverged, InputError, Interrupted, escape_text
from ganzoo.registry import EVALUATOR
from ganzoo.runs.folder import check_place
from ganzoo.training.observer import Observer

if TYPE_CHECKING:
    from ganzoo.config import RunConfig
    from ganzoo.runs.folder import Run
    from ganzoo.runs.scores import ScoreRow
    from ganzoo_zoo.apps.bench.machine import Machine

TARGET = re.compile(r"\s*([^<>=\s]+)\s*(<=|>=)\s*(\S+)\s*")
COMPARE: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}
SCORES = 40
"""The most scores of a whole training by default."""
ROUND = (1, 2, 5)
"""First digits of the default interval."""
TAKEN = ("steps", "images", "seconds", "processor_seconds")
"""What it takes to reach a score, by name."""


@dataclass(frozen=True)
class Target:
    """A score to reach, such as ``fid<=30``."""

    metric: str
    """A metric's name, with or without its feature extractor in brackets."""
    sign: str
    value: float

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read a target.

        Raises:
            InputError: it is not a metric, ``<=`` or ``>=``, and a number.
        """
        found = TARGET.fullmatch(text)
        try:
            metric, sign, value = found.groups() if found else ("", "", "")
            return cls(metric, sign, float(value))
        except ValueError:
            raise InputError(f"--until {text}: write a score, such as 'fid<=30'") from None

    def __str__(self) -> str:
        return f"{self.metric}{self.sign}{self.value:g}"

    @property
    def evaluator(self) -> str:
        """Name of the metric without its feature extractor."""
        return self.metric.partition("[")[0]

    def find(self, rows: Sequence[ScoreRow]) -> ScoreRow:
        """Return the score of this metric.

        Raises:
            InputError: there is none, or the other direction is better.
        """
        found = [row for row in rows if self.metric in (row.metric, row.family)]
        if not found:
            names = ", ".join(row.metric for row in rows)
            raise InputError(f"--until {self}: the scores here are {names}")
        self.require_direction(found[0].higher_is_better)
        return found[0]

    def require_direction(self, higher_is_better: bool) -> None:
        """Refuse a target that every bad model reaches.

        Raises:
            InputError: the other direction is better.
        """
        better, sign = ("higher", ">=") if higher_is_better else ("lower", "<=")
        if self.sign != sign:
            raise InputError(
                f"--until {self}: {better} {self.evaluator} is better; "
                f"write '{self.metric}{sign}{self.value:g}'"
            )

    def is_reached(self, row: ScoreRow) -> bool:
        """Tell whether a score reaches the target."""
        return COMPARE[self.sign](row.value, self.value)


@dataclass(frozen=True)
class Outcome:
    """One training towards a score."""

    seed: int
    reached: bool
    steps: int
    """Generator updates until the first score that reaches the target, or else the last one."""
    images: int
    """Real images that the discriminator was shown until then."""
    seconds: float
    """Time by the clock until then, without that of scores."""
    processor_seconds: float
    """Time of processors until then, summed over cores, without that of scores."""
    scoring_seconds: float
    """Time by the clock of the scores until then."""
    score: float | None
    """The score then; None if there was none."""
    best: float | None
    """The best score until then."""
    curve: tuple[tuple[int, float], ...]
    """Step and value of each score."""
    failed: str | None
    """Why the training ended early, if it did."""
    run: str | None
    """The run's folder, if it is kept."""


@dataclass(frozen=True)
class Mean:
    """Mean over the seeds, and the standard deviation between them."""

    mean: float
    std: float | None
    """None for a single seed."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        """Compute it of at least one value."""
        std = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.mean(values), std)


@dataclass(frozen=True)
class TimeToScore:
    """What it took to reach a score."""

    until: str
    metric: str | None
    """Name of the score with its feature extractor; None if nothing was scored."""
    eval_every: int
    """Steps between two scores: so much later than reached may a score be found."""
    max_steps: int
    """Step of the last score that counts."""
    command: str
    config: RunConfig
    """The configuration of the first seed. Its steps are those of the learning-rate schedule."""
    judge: dict[str, Any] | None
    """Everything that decides whether two such scores are comparable."""
    machine: Machine
    seeds: tuple[Outcome, ...]

    @property
    def is_reached(self) -> bool:
        """Whether every seed reached it."""
        return all(each.reached for each in self.seeds)

    def means(self) -> dict[str, Mean] | None:
        """Return what it took by name; None if a seed did not reach it, as a mean would flatter."""
        if not self.is_reached:
            return None
        return {name: Mean.of([getattr(each, name) for each in self.seeds]) for name in TAKEN}

    def as_json(self) -> dict[str, Any]:
        """Return the result as a JSON document."""
        means = self.means()
        return {
            **asdict(self),
            "config": self.config.model_dump(mode="json"),
            "reached": self.is_reached,
            "mean": means and {name: asdict(each) for name, each in means.items()},
        }


def time_to_score(
    architecture: str | None,
    loss: str | None = None,
    data: str | None = None,
    *,
    until: str,
    settings: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    max_steps: int | None = None,
    out: Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> TimeToScore:
    """Train until a score is reached, once for each seed, and measure what that takes.

    The training is that of ``ganzoo train`` with the same options: the learning rates are those of
    its whole number of steps, even if it ends earlier. It is scored every ``train.eval_every``
    steps, by default at most 40 times.

    Args:
        architecture: Name of an architecture; None if the settings name a whole recipe.
        loss: Name of a loss; the architecture's own default if None.
        data: Name of a dataset or a path; the architecture's own default if None.
        until: The score, such as ``fid<=30``.
        settings: Options by their full names, such as ``{"train.batch_size": 64}``.
        seeds: Seeds of the trainings; that of the settings if None.
        max_steps: Steps after which a training ends anyway; the run's own number if None.
        out: Folder in which the runs are kept; they are removed if None.
        tell: Receives a line at each score and each warning.

    Raises:
        InputError: a name, an option or the data are wrong, or do not fit together; the score's
            metric is unknown, or its other direction is better.
    """
    from ganzoo.compute.devices import resolve_device
    from ganzoo_zoo.apps.bench.clocks import clock_for
    from ganzoo_zoo.apps.bench.machine import describe_machine

    target = Target.parse(until)
    if rank_and_world()[1] > 1:
        raise InputError("--until measures a single process: start it without torchrun")
    config = _configure(architecture, loss, data, settings or {}, target, max_steps)
    every, limit = config.train.eval_every, min(config.train.steps, max_steps or config.train.steps)
    last = limit if limit == config.train.steps else limit // every * every
    chosen = tuple(seeds or (config.train.seed,))
    began, worked = time.perf_counter(), time.process_time()
    if out is not None:
        for seed in chosen:
            check_place(_run_folder(out, seed))
    with _place(out) as folder:
        watchers = [
            _train(config, seed, target, last, _run_folder(folder, seed), tell) for seed in chosen
        ]
    cores_used = (time.process_time() - worked) / (time.perf_counter() - began)
    rows = [each.row for each in watchers if each.row is not None]
    device = resolve_device(config.train.device)
    return TimeToScore(
        until=str(target),
        metric=rows[0].metric if rows else None,
        eval_every=every,
        max_steps=last,
        command=_command(config, target, chosen, max_steps),
        config=config,
        judge=rows[0].protocol() if rows else None,
        machine=describe_machine(device, clock_for(device), cores_used),
        seeds=tuple(each.outcome(is_kept=out is not None) for each in watchers),
    )


def _configure(
    architecture: str | None,
    loss: str | None,
    data: str | None,
    settings: Mapping[str, Any],
    target: Target,
    max_steps: int | None,
) -> RunConfig:
    """Return the configuration of the trainings, with the metric and the interval of its scores."""
    from ganzoo.recipes import resolve_run

    config = resolve_run(architecture, loss, data, settings)
    options = config.train
    limit = min(options.steps, max_steps or options.steps)
    every = options.eval_every or choose_interval(limit)
    if every > limit:
        raise InputError(
            f"within {limit} steps there is no score of every {every}: give more steps, or a "
            "lower --eval-every"
        )
    update: dict[str, Any] = {"eval_every": every}
    if not options.eval_metric:
        found = registry.get(EVALUATOR, target.evaluator)
        target.require_direction(found.higher_is_better)
        update["eval_metric"] = (target.evaluator,)
    return config.model_copy(update={"train": options.model_copy(update=update)})


def choose_interval(steps: int) -> int:
    """Return a round number of steps between scores, of which there are few enough."""
    wanted, power = -(-steps // SCORES), 1
    while ROUND[-1] * power < wanted:
        power *= 10
    return next(first * power for first in ROUND if first * power >= wanted)


@contextmanager
def _place(out: Path | None) -> Iterator[Path]:
    """Yield the folder of the runs: a temporary one if they are not kept."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="ganzoo-bench-") as folder:
        try:
            yield Path(folder)
        except Interrupted as error:
            message = "stopped before all seeds were done; without --out, nothing is kept"
            raise Interrupted(message, error.exit_code - 128) from None


def _run_folder(folder: Path, seed: int) -> Path:
    return folder / f"seed{seed}"


def _train(
    config: RunConfig,
    seed: int,
    target: Target,
    last: int,
    path: Path,
    tell: Callable[[str], None],
) -> _Watcher:
    """Train with one seed until the score is reached, or until the last step that counts."""
    from ganzoo.api.training import start

    train = config.train.model_copy(update={"seed": seed})
    watcher = _Watcher(seed, target, last, tell)
    try:
        start(config.model_copy(update={"train": train}), path, watcher)
    except _Ended:
        pass
    except Diverged as error:
        watcher.failed = str(error)
        tell(f"seed {seed}: {error}")
    return watcher


class _Ended(Exception):
    """Ends a training that has reached its score, or its limit."""


class _Watcher(Observer):
    """Ends a training once its score is reached or cannot be reached any more."""

    def __init__(self, seed: int, target: Target, last: int, tell: Callable[[str], None]) -> None:
        self.seed = seed
        self.target = target
        self.last = last
        self.tell = tell
        self.run: Run | None = None
        self.rows: dict[int, ScoreRow] = {}
        """The scores by step, without those that a run went back from."""
        self.failed: str | None = None
        self.began = time.perf_counter()
        self.seconds = 0.0

    @property
    def row(self) -> ScoreRow | None:
        """The newest score."""
        return next(reversed(self.rows.values()), None)

    def on_start(self, run: Run, config: RunConfig, step: int) -> None:
        """Begin to measure."""
        self.run, self.began = run, time.perf_counter()

    def on_scores(self, rows: list[ScoreRow]) -> None:
        """End the training if its score is good enough, or the last one that counts."""
        row = self.target.find(rows)
        step = row.step or 0
        self.seconds = time.perf_counter() - self.began
        self.rows = {at: each for at, each in self.rows.items() if at < step} | {step: row}
        self.tell(
            f"seed {self.seed}: step {step:,}, {row.metric} {row.format_value()}, "
            f"after {row.seconds or 0:.1f} s of training"
        )
        if self.target.is_reached(row) or step >= self.last:
            raise _Ended

    def on_warning(self, message: str) -> None:
        """Pass a warning on."""
        self.tell(f"seed {self.seed}: warning: {message}")

    def outcome(self, *, is_kept: bool) -> Outcome:
        """Return what the training came to."""
        row, better = self.row, min if self.target.sign == "<=" else max
        values = [each.value for each in self.rows.values()]
        seconds = (row and row.seconds) or 0.0
        return Outcome(
            seed=self.seed,
            reached=row is not None and self.target.is_reached(row),
            steps=(row and row.step) or 0,
            images=(row and row.images_seen) or 0,
            seconds=seconds,
            processor_seconds=(row and row.processor_seconds) or 0.0,
            scoring_seconds=round(max(0.0, self.seconds - seconds), 3),
            score=None if row is None else row.value,
            best=better(values, default=None),
            curve=tuple((step, each.value) for step, each in self.rows.items()),
            failed=self.failed,
            run=str(self.run.path) if self.run is not None and is_kept else None,
        )


def _command(config: RunConfig, target: Target, seeds: Sequence[int], limit: int | None) -> str:
    """Return the command that measures this again, without folders of this machine."""
    from ganzoo.runs.reproduce import build_reproduction, format_argument

    found = build_reproduction(config, whole=False)
    words = ["ganzoo", "bench", found.architecture, "--loss", found.loss, "--data", found.data]
    words += ["--steps", str(found.steps), "--until", str(target)]
    words += ["--seeds", ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")]
    words += [] if limit is None else ["--max-steps", str(limit)]
    for key, value in found.settings.items():
        words += ["--set", f"{key}={format_argument(value)}"]
    return shlex.join(map(escape_text, words))
