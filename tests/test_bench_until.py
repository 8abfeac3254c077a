"""``ganzoo bench --until``: trains to a score as ``ganzoo train`` would, and says what it took."""

import json
import shlex
from pathlib import Path

import pytest

import ganzoo
from ganzoo.errors import InputError, Interrupted
from ganzoo.evaluation.judge import Judge
from ganzoo.runs.folder import Run
from ganzoo.runs.scores import read_logged_scores
from ganzoo.training.observer import Observer
from ganzoo_zoo.apps.bench import until
from ganzoo_zoo.apps.bench.until import Target, choose_interval, time_to_score
from tiny import TINY

SMALL = {
    "train.recipe": "paper",
    "arch.hidden": (8,),
    "data.image_size": 8,
    "train.eval_samples": 20,
    **{f"train.{name}": value for name, value in TINY.items()},
    "train.steps": 10,
    "train.lr_decay": "cosine",
}
WORDS = [f"--set={key}={value}" for key, value in SMALL.items() if "hidden" not in key]
WORDS = [*WORDS, "--set=arch.hidden=8"]


@pytest.fixture
def values(monkeypatch):
    """Lets the scores be these numbers, one after the other."""
    left, judge = [], Judge.judge

    def fake(self, *given, **named):
        rows = judge(self, *given, **named)
        return [rows[0].model_copy(update={"value": float(left.pop(0))})]

    monkeypatch.setattr(Judge, "judge", fake)
    return lambda *numbers: left.extend(numbers)


def measured(target="fid<=30", **named):
    settings = {**SMALL, "train.eval_every": 2, **named.pop("settings", {})}
    return time_to_score("mlp", None, "digits", until=target, settings=settings, **named)


def test_it_ends_at_the_first_score_that_is_good_enough(values, tmp_path):
    values(90, 40, 30, 29, 10)
    found = measured(out=tmp_path / "kept")
    (outcome,) = found.seeds
    assert (outcome.reached, outcome.steps, outcome.images) == (True, 6, 48)
    assert outcome.curve == ((2, 90.0), (4, 40.0), (6, 30.0))
    assert min(outcome.seconds, outcome.processor_seconds, outcome.scoring_seconds) > 0
    rows = read_logged_scores(tmp_path / "kept" / "seed0" / "scores.jsonl")
    assert (rows[-1].seconds, rows[-1].processor_seconds) == (
        outcome.seconds,
        outcome.processor_seconds,
    )
    assert ganzoo.load(tmp_path / "kept" / "seed0" / "best").config.step == 6


def test_the_training_is_that_of_train(values, tmp_path):
    """Also its learning rates, which decay over all of its steps."""
    values(*[90, 80, 70, 60], *[90, 80, 70, 60, 50])
    often = {"train.checkpoint_every": 6}
    measured(max_steps=9, out=tmp_path, settings=often)
    ganzoo.train(
        "mlp",
        None,
        "digits",
        out=tmp_path / "whole",
        settings={**SMALL, **often, "train.eval_every": 2},
    )
    place = Path("checkpoints", "00000006")
    files = sorted((tmp_path / "seed0" / place).glob("*.safetensors"))
    assert files
    for file in files:
        assert file.read_bytes() == (tmp_path / "whole" / place / file.name).read_bytes()
    assert list(Run(tmp_path / "seed0").pictures()) == [0, 2, 4, 6, 8], "the last score is of 8"


def test_seeds_are_trained_apart_and_their_mean_is_given(values):
    values(90, 20, 90, 90, 20)
    found = measured(seeds=(3, 5))
    assert [(each.seed, each.steps) for each in found.seeds] == [(3, 4), (5, 6)]
    means = found.means()
    assert (means["steps"].mean, means["steps"].std) == (5, pytest.approx(2**0.5))
    assert means["images"].mean == 40
    assert all(each.run is None for each in found.seeds), "nothing is kept"


def test_what_was_not_reached_has_no_mean(values, ganzoo_cli):
    values(90, 20, 90, 80, 70)
    result = ganzoo_cli(
        "bench",
        "mlp",
        "--until",
        "fid<=30",
        "--seeds",
        2,
        "--eval-every=2",
        "--max-steps=7",
        *WORDS,
    )
    assert result.code == 1
    seed0, seed1 = (line.split() for line in result.out.splitlines()[1:3])
    assert seed0[:4] == ["0", "20.00", "32", "4"]
    assert seed1[:8] == ["1", "not", "reached:", "70.00,", "best", "70.00", "48", "6"]
    assert "mean" not in result.out.split("measured")[0]
    assert "reached by 1 of 2 seeds within 6 steps" in result.err


def test_json_is_one_document_of_fixed_keys(values, ganzoo_cli):
    values(90, 20)
    result = ganzoo_cli("bench", "mlp", "--until", "fid<=30", "--eval-every=2", "--json", *WORDS)
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert document.keys() == {
        *("until", "metric", "eval_every", "max_steps", "command", "config", "judge", "machine"),
        *("seeds", "reached", "mean"),
    }
    assert document["mean"]["images"] == {"mean": 32, "std": None}
    assert document["seeds"][0].keys() == {
        *("seed", "reached", "steps", "images", "seconds", "processor_seconds"),
        *("scoring_seconds", "score", "best", "curve", "failed", "run"),
    }
    assert (document["until"], document["metric"]) == ("fid<=30", "fid[digits-cnn]")
    values(90, 20)
    again = ganzoo_cli(*shlex.split(document["command"])[1:], "--json")
    assert again.code == 0, again.err
    config = json.loads(again.out)["config"]
    assert config == document["config"]


def test_a_metric_that_is_better_higher_and_one_of_points():
    settings = {**SMALL, "train.eval_every": 2, "arch.hidden": (8,), "data.samples": 500}
    settings.pop("data.image_size")
    found = time_to_score("mlp", None, "ring", until="modes>=0", settings=settings)
    assert (found.is_reached, found.seeds[0].steps) == (True, 2)
    settings["train.eval_metric"] = ("modes",)
    found = time_to_score("mlp", None, "ring", until="high-quality>=0", settings=settings)
    assert found.metric == "high-quality"


@pytest.mark.parametrize(
    ("target", "settings", "message"),
    [
        ("fid<30", {}, "--until fid<30: write a score, such as 'fid<=30'"),
        ("fid<=low", {}, "write a score"),
        ("fid>=30", {}, "lower fid is better; write 'fid<=30'"),
        ("is<=8", {}, "higher is is better; write 'is>=8'"),
        ("fud<=30", {}, "did you mean 'fid'"),
        ("kid<=1", {"train.eval_metric": ("fid",)}, r"the scores here are fid\[digits-cnn\]"),
        ("fid<=1", {"train.eval_every": 11}, "within 10 steps there is no score of every 11"),
    ],
)
def test_what_cannot_be_measured_is_refused(target, settings, message):
    with pytest.raises(InputError, match=message):
        measured(target, settings=settings)


def test_options_that_do_not_belong_together_are_refused(refused, tmp_path):
    assert "--seeds belongs to --until" in refused("bench", "mlp", "--seeds", 3)
    words = ["bench", "mlp", "--until", "fid<=30"]
    assert "--seconds does not belong to --until" in refused(*words, "--seconds", 3)
    (tmp_path / "out" / "seed2").mkdir(parents=True)
    (tmp_path / "out" / "seed2" / "file").touch()
    assert "seed2 exists already" in refused(*words, "--seeds", 3, "--out", tmp_path / "out")
    assert not (tmp_path / "out" / "seed0").exists()


def test_divergence_is_told(plugin, values):
    code = "\n".join(
        (
            "import torch",
            "from ganzoo import Loss",
            "class Nan(Loss):",
            "    '''Is not a number.'''",
            "    def discriminator_loss(self, D, real, fake):",
            "        return {'nan': D(fake).mean() * float('nan')}",
            "    def generator_loss(self, D, real, fake):",
            "        return {'nan': D(fake).mean() * float('nan')}",
        )
    )
    plugin("ganzoo-nan", code, {"ganzoo.losses": {"nan": "ganzoo_nan:Nan"}})
    said = []
    found = time_to_score("mlp", "nan", "digits", until="fid<=30", settings=SMALL, tell=said.append)
    assert (found.is_reached, found.metric) == (False, None)
    assert "diverged" in found.seeds[0].failed
    assert (found.seeds[0].score, found.seeds[0].steps) == (None, 0)


def test_an_interrupt_says_that_nothing_is_kept(values, monkeypatch):
    def start(*given):
        raise Interrupted("continue with: ganzoo train --resume /gone", 2)

    monkeypatch.setattr(ganzoo.api.training, "start", start)
    with pytest.raises(Interrupted, match="without --out, nothing is kept") as stopped:
        measured()
    assert stopped.value.exit_code == 130


@pytest.mark.parametrize(
    ("steps", "every"), [(1, 1), (10, 1), (100, 5), (1000, 50), (2200, 100), (10**5, 5000)]
)
def test_the_interval_is_round(steps, every):
    assert choose_interval(steps) == every


def test_targets_are_read():
    assert Target.parse(" fid[mnist-cnn] <= 1e1 ") == Target("fid[mnist-cnn]", "<=", 10.0)
    assert Target.parse("fid[mnist-cnn]<=10").evaluator == "fid"
    assert str(Target.parse("is>=8.40")) == "is>=8.4"
    assert issubclass(until._Watcher, Observer)
