"""Searches: what they choose from, how poor runs end, and how a killed one goes on."""

import json
import re
import subprocess
from importlib import util
from pathlib import Path

import pytest
import torch

from ganzoo.errors import InputError
from ganzoo.runs.scores import read_scores
from ganzoo_zoo.apps.sweep.folder import Plan, SearchOptions, continue_plan, write_plan
from ganzoo_zoo.apps.sweep.grid import Grid
from ganzoo_zoo.apps.sweep.observer import SweepObserver
from ganzoo_zoo.apps.sweep.pruning import Pruned, Pruner
from ganzoo_zoo.apps.sweep.ranges import Range
from ganzoo_zoo.apps.sweep.results import Results, Verdict
from ganzoo_zoo.apps.sweep.search import Search, open_study, storage_url
from ganzoo_zoo.apps.sweep.space import Space
from ganzoo_zoo.apps.sweep.sweep import sweep
from ganzoo_zoo.apps.sweep.worker import _do_task
from ganzoo_zoo.apps.sweep.workers import Ended
from test_sweep import row

SETTINGS = {
    "train.generator_lr": ("log(1e-5, 1e-2)",),
    "train.batch_size": ("range(4, 8)",),
    "arch.z_dim": ("2", "3"),
    "arch.hidden": ("8",),
    "data.samples": ("100",),
    "train.steps": ("6",),
    "train.device": ("cpu",),
    "train.log_every": ("1",),
    "train.eval_every": ("2",),
    "train.eval_metric": ("modes",),
    "train.eval_samples": ("20",),
}
GRID = Grid(architectures=("mlp",), losses=("lsgan", "hinge"), data="ring", settings=SETTINGS)
JUDGED = {"metrics": ("modes",), "samples": 20}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# What a search chooses from -------------------------------------------------------------------


def test_a_range_is_read_and_a_wrong_one_is_refused():
    assert Range.parse(" log( 1e-5 , 1e-2 )") == Range(1e-5, 1e-2, is_log=True)
    assert Range.parse("range(4,8)") == Range(4, 8, is_log=False)
    assert not any(map(Range.is_written, ("4", "linear(1, 2)", "range", "8,8")))
    for text in ("range(1)", "range(a,b)", "log(1,2,3)"):
        with pytest.raises(InputError, match=r"write range\(LOW, HIGH\) or log\(LOW, HIGH\)"):
            Range.parse(text)
    for text in ("range(2,1)", "range(1,1)", "range(1,inf)", "range(nan,1)"):
        with pytest.raises(InputError, match="the first number must be below the second one"):
            Range.parse(text)
    with pytest.raises(InputError, match="must be above 0"):
        Range.parse("log(0,1)")


def test_a_space_has_choices_and_ranges_of_the_kind_of_the_option():
    space = Space(GRID)
    assert space.describe() == "loss, arch.z_dim, train.generator_lr, train.batch_size"
    assert space.integers == {"train.batch_size"}
    low, *_, high = space.corners()
    assert (low.config.train.generator_lr, low.config.train.batch_size) == (1e-5, 4)
    assert (high.config.train.generator_lr, high.config.train.batch_size) == (1e-2, 8)
    assert len(space.corners()) == 8
    chosen = {
        "loss": "hinge",
        "arch.z_dim": "3",
        "train.generator_lr": 0.000123456,
        "train.batch_size": 5,
    }
    cell = space.cell(7, chosen)
    assert cell.label == (
        "trial-007, mlp, hinge, generator_lr=0.0001235, batch_size=5, z_dim=3, seed 0"
    )
    assert cell.config.train.generator_lr == 0.0001235
    assert (cell.name, cell.config.loss.name, cell.config.train.steps) == ("trial-007", "hinge", 6)


REFUSED = {
    "a range without a search": (
        ["--set", "train.generator_lr=log(1e-5,1e-2)"],
        "train.generator_lr: log(1e-5,1e-2) is a range; search it with --sampler optuna",
    ),
    "trials without a search": (["--trials", "3"], "add --sampler optuna"),
    "nothing": (["--sampler", "optuna"], "nothing is to be searched: write a range such as"),
    "a value out of bounds": (
        ["--sampler", "optuna", "--set", "train.batch_size=range(-3,8)"],
        "option 'train.batch_size'",
    ),
    "a range in a list": (
        ["--sampler", "optuna", "--set", "train.batch_size=range(3,8),4"],
        "train.batch_size: write one range, or a list of values",
    ),
    "seeds": (
        ["--sampler", "optuna", "--set", "arch.z_dim=2,3", "--seeds", "2"],
        "a search has one seed",
    ),
    "commands": (["--sampler", "optuna", "--set", "arch.z_dim=2,3", "--print"], "drop --sampler"),
}


@pytest.mark.parametrize(("given", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_searched_is_refused_before_the_first_run(refused, given, said):
    assert said in refused("sweep", "mlp", "--data", "ring", *given, "--out", "new")
    assert not Path("new").exists()


def test_a_missing_package_is_named(refused, monkeypatch):
    found = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "optuna" else found(name))
    said = refused("sweep", "mlp", "--sampler", "optuna", "--set", "arch.z_dim=2,3")
    assert "pip install 'ganzoo[optuna]>=0.1'" in said


def test_a_folder_is_gone_on_with_by_the_same_search_and_by_one_of_more_trials(tmp_path):
    def plan(trials=3, grid=GRID):
        search = SearchOptions(trials=trials) if trials else None
        return Plan(grid=grid, threads=1, search=search)

    write_plan(tmp_path, plan())
    assert continue_plan(tmp_path, plan(5), ()) == plan(5)
    other = GRID.model_copy(update={"seeds": (1,)})
    for changed in (plan(grid=other), plan(trials=None)):
        with pytest.raises(InputError, match="holds another sweep, with other options"):
            continue_plan(tmp_path, changed, ())


# How it goes ----------------------------------------------------------------------------------


class Killed(Exception):
    """Ends the search in the middle of a trial."""


class Killer(SweepObserver):
    """Ends the search in its second trial, as a kill of it would."""

    def __init__(self):
        self.ended = 0

    def on_end(self, *news):
        self.ended += 1

    def on_step(self, cell, step):
        if self.ended:
            raise Killed


def test_a_killed_search_goes_on_with_its_trials(tmp_path, ganzoo_cli):
    optuna = pytest.importorskip("optuna", reason="needs ganzoo[optuna]")
    folder = tmp_path / "searched"
    with pytest.raises(Killed):
        sweep(GRID, folder, **JUDGED, search=SearchOptions(trials=3), watcher=Killer())
    storage = storage_url(folder)
    study = optuna.load_study(study_name="sweep", storage=storage)
    before = [(trial.number, trial.params) for trial in study.trials]
    assert len(before) == 2
    assert (study.direction.name, study.trials[1].state.name) == ("MAXIMIZE", "RUNNING")
    result = ganzoo_cli("sweep", "--resume", folder)
    assert result.code == 0, result.err
    assert "3 trials of loss, arch.z_dim" in result.err
    assert ", 1 already done" in result.err
    study = optuna.load_study(study_name="sweep", storage=storage)
    assert [(trial.number, trial.params) for trial in study.trials[:2]] == before
    assert len(study.trials) == 3
    scores = [read_scores(folder / f"trial-00{number}")[0].value for number in range(3)]
    assert [trial.value for trial in study.trials] == scores
    table = [line.split() for line in result.out.splitlines()]
    assert table[0][:3] == ["trial", "architecture", "loss"]
    values = [float(line[table[0].index("modes")]) for line in table[1:]]
    assert max(scores) == values[0] == max(values)
    assert re.search(rf"best of 3 trials \(0 pruned, 0 failed\): {table[1][0]}, mlp, ", result.err)
    assert f"the median of 3 judged trials is {sorted(scores)[1]:.4f}" in result.err
    assert {path.name for path in folder.iterdir()} >= {"table.csv", "runs.csv", "sweep.png"}
    again = ganzoo_cli("sweep", "--resume", folder, "--json")
    assert len(json.loads(again.out)["runs"]) == 3


def test_the_trials_do_not_depend_on_when_a_search_was_killed(tmp_path):
    pytest.importorskip("optuna", reason="needs ganzoo[optuna]")
    plan = Plan(grid=GRID, threads=1, search=SearchOptions(trials=6), **JUDGED)

    def choose(folder, restarts):
        folder.mkdir()
        for number in range(6):
            if number == 0 or restarts:
                search = Search(folder, plan, SweepObserver())
            assert search._ask() == number
            search.study.tell(number, float(number % 3))
        return [trial.params for trial in search.study.trials]

    whole = choose(tmp_path / "whole", restarts=False)
    assert len({str(params) for params in whole}) == 6
    assert choose(tmp_path / "killed", restarts=True) == whole


def test_a_run_that_is_worse_than_the_median_is_pruned(tmp_path):
    pytest.importorskip("optuna", reason="needs ganzoo[optuna]")
    plan = Plan(grid=GRID, threads=1, search=SearchOptions(trials=9), **JUDGED)
    space = Space(GRID)
    study = open_study(tmp_path, plan, space)
    pruners = []
    for number in range(7):
        study.ask(space.distributions())
        pruners.append(Pruner(storage_url(tmp_path), number, steps=6))
    for number in range(5):
        pruners[number]([row(5.0 + number, "modes", step=2)])
        study.tell(number, 1.0)
    pruners[5]([row(8.0, "modes", step=2)])
    pruners[5]([row(1.0, "modes", step=6)])  # nothing is left to be saved
    with pytest.raises(Pruned) as pruned:
        pruners[6]([row(4.0, "modes", step=2)])
    assert pruned.value.step == 2
    with pytest.raises(Pruned):  # as a resumed run finds it, without a second report
        Pruner(storage_url(tmp_path), 6, steps=6)([row(4.0, "modes", step=2)])


def test_pruned_and_failed_trials_are_in_the_table_and_end_nothing(tmp_path):
    space = Space(GRID)
    chosen = {"loss": "lsgan", "arch.z_dim": "2", "train.generator_lr": 1e-3, "train.batch_size": 4}
    cells = [space.cell(number, chosen) for number in range(5)]
    found = [
        Verdict([row(3.0, "modes")]),
        Verdict([], pruned_at=2),
        Verdict([row(5.0, "modes")]),
        Verdict([], "broke"),
        Verdict([row(4.0, "modes")]),
    ]
    verdicts = {cell.name: each for cell, each in zip(cells, found, strict=True)}
    results = Results(tmp_path, cells, verdicts)
    _, lines = results.table()
    assert [(line[0], line[-1]) for line in lines] == [
        ("trial-002", "5.0000"),
        ("trial-004", "4.0000"),
        ("trial-000", "3.0000"),
        ("trial-001", "pruned"),
        ("trial-003", "failed"),
    ]
    assert results.failed == [cells[3]]
    assert results.describe_best() == (
        "best of 5 trials (1 pruned, 1 failed): trial-002, mlp, lsgan, generator_lr=0.001, "
        "batch_size=4, z_dim=2: modes 5.0000; the median of 3 judged trials is 4.0000"
    )
    results.write()
    assert "pruned at step 2" in (tmp_path / "runs.csv").read_text()
    assert results.as_json()["runs"][1]["pruned_at"] == 2


class SilentChannel:
    """Messages to nobody."""

    def tell(self, **news):
        pass


def test_a_worker_ends_a_poor_trial_and_the_search_notes_it(tmp_path):
    optuna = pytest.importorskip("optuna", reason="needs ganzoo[optuna]")
    plan = Plan(grid=GRID, threads=1, search=SearchOptions(trials=6), **JUDGED)
    search = Search(tmp_path, plan, SweepObserver())
    for number in range(5):  # scores that nothing reaches
        trial = search.study.ask(search.space.distributions())
        trial.report(100.0, 2)
        search.study.tell(number, 100.0)
    number = search._ask()
    task = search._make_task(search.cells[number], number)
    ended = _do_task(task.model_dump_json().encode(), SilentChannel())
    assert ended == {"pruned_at": 2}
    search._tell(Ended("trial-005", 1.0, **ended))
    assert search.verdicts["trial-005"] == Verdict([], pruned_at=2)
    study = optuna.load_study(study_name="sweep", storage=storage_url(tmp_path))
    assert study.trials[5].state.name == "PRUNED"
    assert "pruned at step 2" in (tmp_path / "trial-005" / "sweep.log").read_text()
    found = Search(tmp_path, plan, SweepObserver())  # as it is resumed
    assert found.verdicts == {"trial-005": Verdict([], pruned_at=2)}
    assert found.unfinished == [0, 1, 2, 3, 4]  # whose folders are gone


# On a cluster ---------------------------------------------------------------------------------


def test_the_job_array_of_the_page_trains_every_run_and_resumes_one(tmp_path, ganzoo_cli):
    page = Path(__file__).parents[1] / "docs" / "how-to" / "sweep.md"
    (script,) = re.findall(r"```bash\n(#!/bin/bash\n.*?)```", page.read_text(), re.DOTALL)
    Path("sweep.sbatch").write_text(script)
    few = ["--set", "train.steps=2", "--set", "arch.hidden=4", "--set", "data.samples=40"]
    given = ["sweep", "mlp", "--loss", "lsgan,hinge", "--data", "ring", *few, "--out", "runs/grid"]
    Path("commands.txt").write_text(ganzoo_cli(*given, "--print").out)
    program = tmp_path / "bin" / "ganzoo"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@" >> calls.txt\nexit 0\n')
    program.chmod(0o755)

    def run_task(number):
        subprocess.run(
            ["bash", "sweep.sbatch"],
            env={"PATH": f"{program.parent}:/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": str(number)},
            check=True,
        )
        return Path("calls.txt").read_text().splitlines()[-1].split()

    for number, loss in ((1, "lsgan"), (2, "hinge")):
        called = run_task(number)
        assert called[:3] == ["train", "mlp", "--loss"]
        assert called[-1] == f"runs/grid/mlp-{loss}-seed0"
        assert ganzoo_cli(*called).code == 0
    assert run_task(2) == ["train", "--resume", "runs/grid/mlp-hinge-seed0"]
    assert {path.parent.name for path in Path("runs/grid").glob("*/model")} == {
        *("mlp-lsgan-seed0", "mlp-hinge-seed0")
    }
