"""Sweeps: what a grid is, that its runs are those of single commands, and how it goes on."""

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo.errors import InputError, Interrupted
from ganzoo.runs.folder import Run
from ganzoo.runs.scores import ScoreRow, read_scores
from ganzoo_zoo.apps.shared.seeds import read_seeds
from ganzoo_zoo.apps.sweep import workers
from ganzoo_zoo.apps.sweep.arguments import read_data, read_settings
from ganzoo_zoo.apps.sweep.folder import Plan, continue_plan, read_plan, write_plan
from ganzoo_zoo.apps.sweep.grid import MOST, Grid
from ganzoo_zoo.apps.sweep.observer import SweepObserver
from ganzoo_zoo.apps.sweep.picture import draw_picture
from ganzoo_zoo.apps.sweep.results import Results, Verdict
from ganzoo_zoo.apps.sweep.sweep import sweep

SETTINGS = {
    "data.samples": ("200",),
    "arch.hidden": ("8,8",),
    "train.steps": ("120",),
    "train.batch_size": ("8",),
    "train.device": ("cpu",),
    "train.log_every": ("3",),
    "train.sample_every": ("60",),
    "train.checkpoint_every": ("60",),
}
GRID = Grid(
    architectures=("mlp",),
    losses=("lsgan", "hinge"),
    data="ring",
    settings=SETTINGS,
    seeds=(0, 1),
)
COMMAND = [
    *("sweep", "mlp", "--loss", "lsgan,hinge", "--data", "ring", "--seeds", "2"),
    *(f"--set={key}={values[0]}" for key, values in SETTINGS.items()),
]
JUDGED = {"metrics": ("modes",), "samples": 100}
JUDGE = ["--metric", "modes", "--samples", "100"]
NAMES = ["mlp-lsgan-seed0", "mlp-hinge-seed0", "mlp-lsgan-seed1", "mlp-hinge-seed1"]
TABLES = ("table.csv", "runs.csv")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Have every run compute by one thread, however many there are at once."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The results of a sweep from Python that nothing disturbed; to be read, not changed."""
    folder = tmp_path_factory.mktemp("sweeps") / "whole"
    options = {"batch_size": 8, "log_every": 3, "sample_every": 60, "checkpoint_every": 60}
    return ganzoo.sweep(
        "mlp",
        ["lsgan", "hinge"],
        "ring",
        settings={"data.samples": 200, "arch.hidden": (8, 8)},
        seeds=2,
        out=folder,
        steps=120,
        device="cpu",
        **options,
        **JUDGED,
    )


def models(folder):
    """Return the bytes of each run's weights, by run and file."""
    return {
        f"{path.parents[1].name}/{path.name}": path.read_bytes()
        for path in folder.glob("*/model/*.safetensors")
    }


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def cells(**given):
    return Grid(**{"architectures": ("mlp",), "losses": ("lsgan",), **given}).cells()


# What a grid is


def test_a_sweep_from_python_is_the_same_and_shows_itself(whole):
    assert read_plan(whole.folder).grid == GRID
    assert repr(whole).startswith(f"<Results {whole.folder}: 4 runs, best modes")
    page = whole._repr_html_()
    header, lines = whole.table()
    assert page.count("<tr>") == 1 + len(lines)
    assert all(f"{name}</th>" in page for name in header)
    assert "<img" in page


def test_a_grid_has_every_combination_by_readable_names():
    assert [cell.name for cell in GRID.cells()] == NAMES
    found = cells(
        architectures=("dcgan", "ganzoo:sngan"),
        losses=("hinge",),
        settings={
            "train.betas": ("0,0.9", "0.5,0.999"),
            "train.batch_size": ("16",),
            "data.image_size": ("32x16", "32"),
        },
        seeds=(7,),
    )
    assert [cell.name for cell in found][-3:] == [
        "sngan-hinge-betas=0,0.9-image_size=32-seed7",
        "sngan-hinge-betas=0.5,0.999-image_size=32x16-seed7",
        "sngan-hinge-betas=0.5,0.999-image_size=32-seed7",
    ]
    assert len(found) == 8
    last = found[-1]
    assert last.label == "sngan, hinge, betas=0.5,0.999, image_size=32, seed 7"
    assert last.config.train.betas == (0.5, 0.999)
    assert (last.config.train.seed, last.config.train.batch_size) == (7, 16)


def test_names_are_fit_for_files_and_unlike(tmp_path):
    for name in ("a/ b", "a*b"):
        (tmp_path / name).mkdir(parents=True)
    paths = tuple(str(tmp_path / name) for name in ("a/ b", "a*b"))
    settings = {"data.path": paths, "arch.z_dim": ("2", "3")}
    found = [cell.name for cell in cells(data="folder", settings=settings)]
    assert len(set(found)) == 4
    assert all(set(name) <= set(shlex.quote(name)) and "/" not in name for name in found)
    assert all(shlex.quote(name) == name for name in found)


def test_an_architectures_own_loss_and_data_are_named():
    (cell,) = Grid(architectures=("dcgan",)).cells()
    assert cell.name == "dcgan-wgan-gp-seed0"
    assert cell.command(Path("out")) == (
        "ganzoo train dcgan --set train.seed=0 --out out/dcgan-wgan-gp-seed0"
    )


def read(*items, architectures=("mlp",), losses=(), data=None):
    return read_settings(items, architectures, losses, data)


def test_a_comma_separates_values_but_not_within_a_list():
    assert read("arch.z_dim=2, 3") == {"arch.z_dim": ("2", "3")}
    assert read("arch.hidden=8,8", "arch.hidden=16") == {"arch.hidden": ("8,8", "16")}
    assert read("train.betas=0,0.9", "train.steps=1,2") == {
        "train.betas": ("0,0.9",),
        "train.steps": ("1", "2"),
    }
    assert read("data.image_size=8,16", data="digits") == {"data.image_size": ("8,16",)}
    assert read("data.modes=8,16", data="ring") == {"data.modes": ("8", "16")}
    assert read(
        "loss.base=hinge,lsgan", 'loss.base_options={"a": 1, "b": 2}', losses=("unrolled",)
    ) == {
        "loss.base": ("hinge", "lsgan"),
        "loss.base_options": ('{"a": 1, "b": 2}',),
    }
    assert read("augment.translation.ratio=0.1,0.2") == {
        "augment.translation.ratio": ("0.1", "0.2")
    }
    assert read("train.no_such=1,2") == {"train.no_such": ("1", "2")}


def test_data_of_a_path_may_be_read_from_elsewhere(tmp_path):
    Path("photos").mkdir()
    assert read_data("photos") == str(tmp_path / "photos")
    assert read("data.image_size=8,16", data="photos") == {"data.image_size": ("8,16",)}
    assert (read_data("ring"), read_data("nowhere"), read_data(None)) == ("ring", "nowhere", None)


def test_seeds_are_a_number_or_a_list():
    assert read_seeds("3") == (0, 1, 2)
    assert read_seeds("3,7, 11") == (3, 7, 11)
    assert read_seeds("7,") == (7,)


# What is refused


REFUSED = {
    "no architecture": (["--loss", "lsgan"], "name an architecture to train"),
    "a loss": (
        ["mlp", "--loss", "lsgan,hnge"],
        "mlp, hnge, seed 0: no loss is called 'hnge'; did you mean 'hinge'?",
    ),
    "an architecture": (["mlp,mpl"], "mpl, seed 0: no architecture is called 'mpl'"),
    "an option of one loss": (
        ["mlp", "--loss", "wgan-gp,hinge", "--set", "loss.gp_weight=1,2"],
        "mlp, hinge, gp_weight=1, seed 0: unknown option 'loss.gp_weight'",
    ),
    "a value": (
        ["mlp", "--set", "arch.z_dim=4,x"],
        "mlp, z_dim=x, seed 0: option 'arch.z_dim': input should be a valid integer",
    ),
    "no prefix": (["mlp", "--set", "z_dim=4,8"], "'z_dim' does not say whose option it is"),
    "no value": (["mlp", "--set", "arch.z_dim=4,,8"], "a value is missing beside a comma"),
    "no name": (["mlp", "--loss", "lsgan,"], "--loss lsgan,: a value is missing"),
    "no equals": (["mlp", "--set", "arch.z_dim"], "write KEY=VALUE"),
    "a value twice": (["mlp", "--set", "arch.z_dim=4,4"], "arch.z_dim: 4 is given twice"),
    "a loss twice": (["mlp", "--loss", "lsgan,lsgan"], "losses: lsgan is given twice"),
    "a run twice": (
        ["mlp", "--loss", "lsgan", "--set", "arch.z_dim=4,4.0"],
        "mlp-lsgan-z_dim=4-seed0 and mlp-lsgan-z_dim=4.0-seed0 are the same run",
    ),
    "an option twice": (["mlp", "--steps", "1", "--set", "train.steps=1,2"], "is given twice"),
    "the seed by --set": (["mlp", "--set", "train.seed=1"], "train.seed is set by --seeds"),
    "no seeds": (["mlp", "--seeds", "0"], "write a number of seeds from 1"),
    "odd seeds": (["mlp", "--seeds", "3,x"], "write a number of seeds, or some seeds"),
    "too many": (["mlp", "--seeds", f"{MOST + 1}"], f"{MOST + 1} runs; a sweep has at most"),
    "a metric": (["mlp", "--metric", "fdi"], "no evaluator is called 'fdi'"),
    "an unfit metric": (
        ["mlp", "--data", "ring", "--metric", "fid"],
        "metric 'fid' cannot judge samples of 2",
    ),
    "unfit data": (
        ["mlp,cyclegan", "--loss", "lsgan", "--data", "digits"],
        "cyclegan, lsgan: architecture 'cyclegan': two classes are needed, and these data have 10",
    ),
    "a device": (["mlp", "--device", "cuda:99"], "mlp, r3gan: this machine has no device"),
    "a folder": (["mlp", "--out", "taken"], "taken already exists and is not a sweep"),
    "a name that is not UTF-8": (["mlp", "--out", "bad\udcff"], "the name is not UTF-8"),
    "commands as JSON": (["mlp", "--print", "--json"], "drop --json"),
    "no sweep": (["--resume", "taken"], "taken is not a sweep: it has no sweep.json"),
    "more beside --resume": (["--resume", "taken", "--seeds", "3"], "drop --seeds"),
    "another beside --resume": (["mlp", "--resume", "taken"], "drop the architecture"),
}


@pytest.mark.parametrize(("given", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused_before_the_first_run(refused, given, said):
    Path("taken").mkdir()
    Path("taken/notes.txt").touch()
    out = [] if {"--resume", "--out"} & set(given) else ["--out", "new"]
    assert said in refused("sweep", *given, *out)
    assert not Path("new").exists()
    assert not Path("runs").exists()
    assert [path.name for path in Path("taken").iterdir()] == ["notes.txt"]


def test_a_folder_is_gone_on_with_by_the_same_sweep_and_by_one_of_more(tmp_path):
    def plan(**given):
        return Plan(**{"grid": GRID, "threads": 1, **given})

    assert continue_plan(tmp_path / "new", plan(), GRID.cells()) == plan()
    write_plan(tmp_path, plan(threads=3))
    assert continue_plan(tmp_path, plan(), GRID.cells()).threads == 3
    more = GRID.model_copy(update={"seeds": (0, 1, 2), "losses": (*GRID.losses, "wgan")})
    assert continue_plan(tmp_path, plan(grid=more), more.cells()).grid == more
    steps = GRID.model_copy(update={"settings": {**SETTINGS, "train.steps": ("4",)}})
    fewer = GRID.model_copy(update={"seeds": (0,)})
    for grid, name in ((steps, "mlp-lsgan-seed0"), (fewer, "mlp-lsgan-seed1")):
        with pytest.raises(InputError, match=f"holds another sweep, with a run {name} that is not"):
            continue_plan(tmp_path, plan(grid=grid), grid.cells())
    with pytest.raises(InputError, match="with another --metric"):
        continue_plan(tmp_path, plan(metrics=("modes",)), GRID.cells())
    with pytest.raises(InputError, match="with another --samples"):
        continue_plan(tmp_path, plan(samples=3), GRID.cells())
    (tmp_path / "sweep.json").write_text('{"format": 1}')
    with pytest.raises(InputError, match=r"sweep\.json is not a valid plan: grid"):
        continue_plan(tmp_path, plan(), GRID.cells())


# What a sweep leaves


def test_a_sweep_leaves_a_table_a_picture_and_its_runs(whole):
    folder = whole.folder
    assert {path.name for path in folder.iterdir()} == {
        *NAMES,
        *(".lock", "sweep.json", "table.csv", "runs.csv", "sweep.png"),
    }
    for name in NAMES:
        run = Run(folder / name)
        assert run.config().train.steps == 120
        (scores,) = {tuple(row.metric for row in read_scores(run.path))}
        assert scores[0] == "modes"
        assert "mlp trained with" in (run.path / "sweep.log").read_text()
    header, lines = whole.table()
    assert header[:5] == ["architecture", "loss", "seeds", "modes", "high-quality"]
    assert {line[1] for line in lines} == {"lsgan", "hinge"}
    assert {line[2] for line in lines} == {"2"}
    by_run = {row["run"]: float(row["modes"]) for row in rows(folder / "runs.csv")}
    table = rows(folder / "table.csv")
    means = [float(row["modes"]) for row in table]
    assert means == sorted(means, reverse=True)  # more modes are better
    for row in table:
        first, second = (by_run[f"mlp-{row['loss']}-seed{seed}"] for seed in (0, 1))
        assert float(row["modes"]) == pytest.approx((first + second) / 2)
        assert float(row["modes std"]) == pytest.approx(abs(first - second) / 2**0.5)
    with Image.open(folder / "sweep.png") as picture:
        assert min(picture.size) > 500
        assert "Generated by a GAN" in picture.info["Description"]


def test_printed_commands_train_the_same_runs(whole, ganzoo_cli):
    printed = ganzoo_cli(*COMMAND, "--print", "--out", "a sweep")
    assert (printed.code, printed.err) == (0, "")
    assert not Path("a sweep").exists()
    commands = [shlex.split(line) for line in printed.out.splitlines()]
    assert [command[-1] for command in commands] == [f"a sweep/{name}" for name in NAMES]
    for command in commands:
        assert command[0] == "ganzoo"
        assert ganzoo_cli(*command[1:]).code == 0
    assert models(Path("a sweep")) == models(whole.folder)


# What ends in the middle


class Stopper(SweepObserver):
    """Sends a signal in the middle of a run that is trained after others.

    As schedulers do, to this process and to those that it started.
    """

    def __init__(self):
        self.ended_ones = 0
        self.stopped = None
        self.others = children()  # of other tests

    def on_end(self, *news):
        self.ended_ones += 1

    def on_step(self, cell, step):
        if self.ended_ones and self.stopped is None:
            self.stopped = cell.name
            for pid in {*children(), os.getpid()}.difference(self.others):
                os.kill(pid, signal.SIGTERM)


def children():
    """Return the processes that this one started, where the system says so."""
    listed = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
    return [int(pid) for pid in " ".join(listed).split()]


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)


def test_a_killed_and_interrupted_sweep_ends_as_one_that_was_left_alone(
    whole, ganzoo_cli, tmp_path
):
    folder = tmp_path / "disturbed"
    first = ganzoo_cli(*COMMAND, "--print", "--out", folder).out.splitlines()[0]
    assert ganzoo_cli(*shlex.split(first)[1:]).code == 0  # a run of another scheduler
    trained = (folder / NAMES[0] / "metrics.jsonl").stat().st_mtime_ns
    killed = subprocess.Popen(
        [sys.executable, "-m", "ganzoo", *COMMAND, *JUDGE, "--out", folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    until(lambda: len([*folder.glob("*/metrics.jsonl")]) > 1 or killed.poll() is not None)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert len([*folder.glob("*/model")]) < len(NAMES)

    # At once, while the processes of the killed one may still be saving their states.
    stopper = Stopper()
    with pytest.raises(Interrupted, match=r"of 4 runs done, .* ganzoo sweep --resume ") as stop:
        sweep(GRID, folder, **JUDGED, watcher=stopper)
    assert stop.value.exit_code == 143
    interrupted = Run(folder / stopper.stopped)
    assert [*interrupted.checkpoints.iterdir()]
    assert not interrupted.model.exists()
    with interrupted.lock():
        pass

    result = ganzoo_cli("sweep", "--resume", folder, "--workers", "2")
    assert result.code == 0, result.err
    assert "already done" in result.err
    assert not (folder / "workers.log").exists()  # every process ended in good order
    assert models(folder) == models(whole.folder)
    for table in TABLES:
        assert (folder / table).read_bytes() == (whole.folder / table).read_bytes()
    assert (folder / NAMES[0] / "metrics.jsonl").stat().st_mtime_ns == trained
    again = ganzoo_cli("sweep", "--resume", folder)
    assert (again.code, again.out) == (0, result.out)


BROKEN = """
import os
import signal
from pathlib import Path

from pydantic import Field

from ganzoo import Loss

SWITCH = Path(__file__).with_suffix(".repaired")


class Broken(Loss):
    \"\"\"A loss that fails in one of several ways.\"\"\"

    how: str = Field(default="", description="How it fails.")

    def discriminator_loss(self, D, real, fake):
        term = D(fake).mean() - D(real).mean()
        if SWITCH.exists() or not self.how:
            return {"term": term}
        if self.how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "fall":
            raise RuntimeError("fell over")
        return {"term": term * float("nan")}

    def generator_loss(self, D, real, fake):
        return {"term": -D(fake).mean()}
"""


def test_a_run_that_fails_is_a_row_and_ends_no_other(plugin, ganzoo_cli):
    site = plugin("acme", BROKEN, {"ganzoo.losses": {"broken": "acme:Broken"}})
    few = ["--set", "train.steps=2", "--set", "arch.hidden=4", "--set", "data.samples=40"]
    train = ["--data", "ring", *few, "--set", "train.retry_lr=0", "--out", "out"]
    how = ["--loss", "broken", "--set", "loss.how=die,fall,nan", "--set", "loss.how=", "--metric"]
    result = ganzoo_cli("sweep", "mlp", *how, "modes", *train)
    assert result.code == 1
    table = [line.split() for line in result.out.splitlines()]
    assert [line[2:4] for line in table[2:]] == [[how, "0"] for how in ("die", "fall", "nan")]
    assert table[1][2] == "1"
    assert [line[-1] for line in table[2:]] == ["failed"] * 3
    for said in (
        "failed: mlp, broken, how=die, seed 0: its process was ended by SIGKILL; see out",
        "failed: mlp, broken, how=fall, seed 0: RuntimeError: fell over",
        "failed: mlp, broken, how=nan, seed 0: training diverged by step 2",
        "Error: 3 of 4 runs failed; retry them with: ganzoo sweep --resume out",
    ):
        assert said in result.err
    log = Path("out/mlp-broken-how=fall-seed0/sweep.log").read_text()
    assert "Traceback" in log
    (site / "acme.repaired").touch()
    result = ganzoo_cli("sweep", "--resume", "out", "--json")
    assert result.code == 0
    assert "4 runs in out, 1 already done" in result.err
    assert [run["error"] for run in json.loads(result.out)["runs"]] == [None] * 4
    assert len(rows(Path("out/table.csv"))) == 4


def test_a_process_that_cannot_be_started_is_a_failed_run(monkeypatch, tmp_path):
    def fail(*given):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(workers, "start_process", fail)
    with workers.Workers(dict.fromkeys(("a", "b")), 2, tmp_path / "log") as pool:
        ended = sorted((news.name, news.error) for news in pool.news())
    why = "its process could not be started: [Errno 11] Resource temporarily unavailable"
    assert ended == [("a", why), ("b", why)]


# What compares


def row(value, metric="fid", **given):
    known = {
        "metric": metric,
        "value": value,
        "std": None,
        "higher_is_better": metric != "fid",
        "features": None,
        "data": {"name": "digits"},
        "real_samples": 10,
        "fake_samples": 10,
        "image_size": None,
        "seed": 0,
        "step": 1,
        "note": None,
        "versions": {},
    }
    return ScoreRow(**{**known, **given})


def results_of(scores, folder, **given):
    """Return results of as many cells as there are scores; None is a failure."""
    found = Grid(**{"architectures": ("mlp",), **given}).cells()
    verdicts = {
        cell.name: Verdict([], "broke") if each is None else Verdict(each)
        for cell, each in zip(found, scores, strict=True)
    }
    for cell in found:
        picture = Run(folder / cell.name).picture(cell.config.train.steps)
        picture.parent.mkdir(parents=True)
        Image.new("L", (60, 60), 128).save(picture)
    return Results(folder, found, verdicts)


def test_means_over_seeds_are_ranked_and_failures_counted(tmp_path):
    scores = [[row(5.0)], [row(2.0)], [row(9.0)], [row(7.0)], None, None]
    found = results_of(scores, tmp_path, losses=("lsgan", "hinge", "wgan"), seeds=(0, 1))
    header, lines = found.table()
    assert header == ["architecture", "loss", "seeds", "fid"]
    assert lines == [
        ["mlp", "hinge", "1 of 2", "2.0000"],
        ["mlp", "lsgan", "2", "6.0000 +- 1.4142"],
        ["mlp", "wgan", "1 of 2", "9.0000"],
    ]
    assert [cell.name for cell in found.failed] == ["mlp-hinge-seed1", "mlp-wgan-seed1"]
    assert found.differences() == []
    found = results_of([[row(1.0, "is")], [row(2.0, "is")]], tmp_path / "is", seeds=(0, 1))
    assert found.table()[1] == [["mlp", "r3gan", "2", "1.5000 +- 0.7071"]]


def test_scores_that_do_not_compare_are_not_ranked_together(tmp_path):
    small, large = {"image_size": (16, 16)}, {"image_size": (32, 32)}
    scores = [
        [row(5.0, **small)],
        [row(1.0, **large)],
        [row(4.0, **small)],
        None,
        [row(6.0, **small)],
    ]
    found = results_of(scores, tmp_path, settings={"arch.z_dim": ("2", "3", "4", "5", "6")})
    header, lines = found.table()
    assert header == ["group", "architecture", "loss", "z_dim", "seeds", "fid"]
    assert [(line[0], line[3], line[-1]) for line in lines] == [
        ("1", "4", "4.0000"),
        ("1", "2", "5.0000"),
        ("1", "6", "6.0000"),
        ("2", "3", "1.0000"),
        ("", "5", "failed"),
    ]
    (difference,) = found.differences()
    assert "not ranked together, as they differ in image_size (16 x 16 / 32 x 32)" in difference
    found.write()
    assert [line["group"] for line in rows(tmp_path / "table.csv")] == ["1", "1", "1", "2", ""]
    with Image.open(draw_picture(found)) as picture:
        assert picture.mode == "RGB"
    assert json.loads(json.dumps(found.as_json()))["table"][-1]["failed_seeds"] == [0]
