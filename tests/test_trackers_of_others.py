"""The trackers of other projects, offline: what their own readers find is what the run wrote."""

import importlib.util
import io
import json
import shutil
import sqlite3
import struct
import time
from collections import defaultdict
from contextlib import closing

import pytest
from PIL import Image

import ganzoo
from ganzoo import registry
from ganzoo.api.training import resume
from ganzoo.errors import GanzooError, InputError, Interrupted
from ganzoo.testing import tracker_checks
from ganzoo.testing.tracker import check_files, check_options
from ganzoo_zoo.trackers.mlflow import MLflow, metric_name
from ganzoo_zoo.trackers.trackio import Trackio
from ganzoo_zoo.trackers.wandb import WandB
from tiny import TINY, Stopper

pytestmark = [
    # MLflow's own, with a newer SQLAlchemy.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def _no_home(monkeypatch, tmp_path_factory):
    """Keep what the tools write beside the run out of the home folder."""
    folder = str(tmp_path_factory.getbasetemp() / "tools")
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, folder)


# What a run wrote, and what a tool holds ------------------------------------------------------


def train_and_resume(path, tracker, settings=None):
    """Train, interrupt, go back to an earlier checkpoint as after a kill, and resume to the end."""
    options = {**TINY, "steps": 5, "log_every": 1, "eval_every": 2, "eval_metric": "modes"}
    some = {"arch.hidden": (8,), "data.samples": 40, **(settings or {})}
    with pytest.raises(Interrupted):
        ganzoo.train(
            *("mlp", "lsgan", "ring"),
            out=path,
            settings=some,
            trackers=[tracker],
            observer=Stopper(4),
            **options,
        )
    shutil.rmtree(path / "checkpoints" / "00000004")
    return resume(path)


def written(run):
    """Return the numbers of a run's own files by name: pairs of a step and a value."""
    found = defaultdict(list)
    for line in (run.path / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        for name in row.keys() - {"step"}:
            found[name].append((row["step"], row[name]))
    for line in (run.path / "scores.jsonl").read_text().splitlines():
        row = json.loads(line)
        found[f"score/{row['metric']}"].append((row["step"], row["value"]))
    assert {"images_seen", "generator/adversarial", "score/modes"} <= found.keys()
    assert [step for step, _ in found["images_seen"]] == [1, 2, 3, 4, 5]
    return dict(found)


def sample_pictures(run):
    """Return the pixels of a run's pictures by their steps."""
    return {int(path.stem): pixels(path) for path in (run.path / "samples").glob("*.png")}


def pixels(file):
    with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
        return image.size, image.convert("RGB").tobytes()


def numbers_by_name(rows):
    """Return pairs of a step and a value by name, of rows as pairs of a step and values."""
    found = defaultdict(list)
    for step, values in rows:
        for name, value in values.items():
            if not isinstance(value, dict):
                found[name].append((step, value))
    return dict(found)


# Weights & Biases -----------------------------------------------------------------------------


def read_wandb(folder):
    """Yield the records of the only offline run, by wandb's own messages.

    The file is a log of LevelDB: blocks of 32 KiB, of records in pieces.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    data = file.read_bytes()
    assert data[:4] == b":W&B"
    at, parts = 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # the rest of a block is padding
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or a last piece
            yield Record.FromString(parts)
            parts = b""


def test_wandb_holds_each_step_once(tmp_path):
    pytest.importorskip("wandb", reason="needs ganzoo[wandb]")
    run = train_and_resume(tmp_path / "run", "wandb", {"tracker.wandb.project": "mine"})
    from wandb.sdk.lib.proto_util import dict_from_proto_list as items

    # Its service writes behind the run's back.
    end = time.monotonic() + 30
    while not any(record.HasField("exit") for record in list(read_wandb(run.path))):
        assert time.monotonic() < end, "the service did not end the file"
        time.sleep(0.2)
    records = list(read_wandb(run.path))
    (opened,) = (record.run for record in records if record.HasField("run"))
    assert (opened.project, opened.display_name) == ("mine", "run")
    config = items(opened.config.update)
    assert config["architecture"]["options"]["hidden"] == [8]
    rows = [items(record.history.item) for record in records if record.HasField("history")]
    assert [row["_step"] for row in rows] == [0, 1, 2, 3, 4, 5]
    found = numbers_by_name((row["_step"], row) for row in rows)
    assert {name: found[name] for name in found if not name.startswith("_")} == written(run)
    images = opened_images(run, rows)
    assert images == sample_pictures(run)


def opened_images(run, rows):
    (files,) = run.path.glob("wandb/offline-run-*/files")
    return {
        row["_step"]: pixels(files / row["samples"]["path"]) for row in rows if "samples" in row
    }


@pytest.mark.parametrize("check", tracker_checks, ids=lambda check: check.__name__)
def test_wandb_conforms(check):
    pytest.importorskip("wandb", reason="needs ganzoo[wandb]")
    check(WandB())


def test_wandb_asks_nobody_to_log_in(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="needs ganzoo[wandb]")
    for name in ("HOME", "NETRC"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(InputError, match="run 'wandb login' once, or set WANDB_API_KEY"):
        WandB(mode="online").check()


# MLflow ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory):
    """An empty database of MLflow, which takes it seconds to make."""
    pytest.importorskip("mlflow", reason="needs ganzoo[mlflow]")
    folder = tmp_path_factory.mktemp("mlflow")
    MLflow().start(folder, {"train": {"steps": 0}}, 0).close()
    database = folder / "mlflow" / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        for table in ("metrics", "latest_metrics", "params", "tags", "runs", "experiments"):
            connection.execute(f"DELETE FROM {table}")
    return database


@pytest.fixture
def _prepared(monkeypatch, empty_database):
    """Have each run begin with the empty database."""
    start = MLflow.start

    def prepare_and_start(self, folder, *given):
        (folder / "mlflow").mkdir(exist_ok=True)
        if not (folder / "mlflow" / "mlflow.db").exists():
            shutil.copy(empty_database, folder / "mlflow" / "mlflow.db")
        return start(self, folder, *given)

    monkeypatch.setattr(MLflow, "start", prepare_and_start)


def open_mlflow(folder, uri=None):
    """Return a client of MLflow and the only run that it knows."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri or f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}")
    experiments = [each.experiment_id for each in client.search_experiments()]
    (run,) = client.search_runs(experiments)
    return client, run


def mlflow_numbers(client, run):
    return {
        name: sorted((each.step, each.value) for each in client.get_metric_history(run, name))
        for name in client.get_run(run).data.metrics
    }


@pytest.mark.usefixtures("_prepared")
def test_mlflow_holds_each_step_once(tmp_path):
    run = train_and_resume(tmp_path / "run", "mlflow")
    client, found = open_mlflow(run.path)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "run")
    assert client.get_experiment(found.info.experiment_id).name == "ganzoo"
    assert found.data.params["train.generator_lr"] == str(run.config().train.generator_lr)
    assert mlflow_numbers(client, found.info.run_id) == written(run)
    folder = run.path / "mlflow" / "artifacts" / found.info.run_id / "artifacts"
    assert json.loads((folder / "config.json").read_text())["architecture"]["name"] == "mlp"
    images = {
        int(path.name.split("+")[2]): pixels(path) for path in (folder / "images").glob("*.png")
    }
    assert len([*(folder / "images").glob("*.png")]) == len(images)
    assert images == sample_pictures(run)


@pytest.mark.usefixtures("_prepared")
@pytest.mark.parametrize("check", tracker_checks, ids=lambda check: check.__name__)
def test_mlflow_conforms(check):
    check(MLflow())


@pytest.mark.usefixtures("_prepared")
def test_mlflow_goes_on_in_a_folder_that_was_moved(tmp_path):
    config = {"train": {"steps": 2}}
    (tmp_path / "before").mkdir()
    MLflow().start(tmp_path / "before", config, 0).close()
    (tmp_path / "before").rename(tmp_path / "after")
    MLflow().start(tmp_path / "after", config, 0).close()
    _, run = open_mlflow(tmp_path / "after")
    place = tmp_path / "after" / "mlflow" / "artifacts" / run.info.run_id / "artifacts"
    assert run.info.artifact_uri == place.as_uri()


def test_a_store_of_mlflow_that_cannot_forget_gets_nothing_twice(tmp_path, empty_database):
    shutil.copy(empty_database, tmp_path / "store.db")
    uri = f"sqlite:///{tmp_path / 'store.db'}"
    from mlflow import MlflowClient

    MlflowClient(tracking_uri=uri).create_experiment("all", (tmp_path / "artifacts").as_uri())
    tracker = MLflow(uri=uri, experiment="all", flush_seconds=0)
    (tmp_path / "run").mkdir()
    tracker.check()
    for first, last in ((1, 3), (2, 4)):
        run = tracker.start(tmp_path / "run", {"train": {"steps": 5}}, first - 1)
        for step in range(first, last + 1):
            run.metrics({"step": step, "loss": step / 2})
        run.metrics({"step": last, "score/fid[digits-cnn]": 1.0})
        run.close()
    client, found = open_mlflow(tmp_path, uri)
    assert found.info.status == "KILLED"
    assert mlflow_numbers(client, found.info.run_id) == {
        "loss": [(1, 0.5), (2, 1.0), (3, 1.5), (4, 2.0)],
        "score/fid.digits-cnn": [(3, 1.0), (4, 1.0)],
    }
    assert metric_name("a b/c[d*e]") == "a b/c.d_e"


# Trackio --------------------------------------------------------------------------------------


def test_trackio_holds_each_step_once(tmp_path, monkeypatch):
    pytest.importorskip("trackio", reason="needs ganzoo[trackio]")
    monkeypatch.setenv("TRACKIO_SERVER_URL", "http://localhost:1")  # is not asked
    run = train_and_resume(tmp_path / "run", "trackio")
    with closing(sqlite3.connect(run.path / "trackio" / "ganzoo.db")) as database:
        rows = database.execute(
            "SELECT run_name, step, metrics FROM metrics ORDER BY id"
        ).fetchall()
        ((config,),) = database.execute("SELECT config FROM configs").fetchall()
    assert {name for name, *_ in rows} == {"run"}
    assert json.loads(config)["architecture"]["name"] == "mlp"
    read = [(step, json.loads(text)) for _, step, text in rows]
    assert numbers_by_name(read) == written(run)
    pictures = [(step, row["samples"]) for step, row in read if "samples" in row]
    assert {
        step: pixels(run.path / "trackio" / "media" / picture["file_path"])
        for step, picture in pictures
    } == sample_pictures(run)
    assert len(pictures) == len(sample_pictures(run))
    assert len([*(run.path / "trackio" / "media").rglob("*.png")]) == len(pictures)


@pytest.mark.parametrize("check", [check_options, check_files])
def test_trackio_conforms(check):
    """The other checks are of one process, and Trackio has another."""
    pytest.importorskip("trackio", reason="needs ganzoo[trackio]")
    check(Trackio())


def test_what_trackio_says_when_it_fails_is_passed_on(tmp_path):
    pytest.importorskip("trackio", reason="needs ganzoo[trackio]")
    (tmp_path / "trackio" / "ganzoo.db").mkdir(parents=True)
    run = Trackio().start(tmp_path, {}, 0)
    with pytest.raises(GanzooError, match=r"Error: unable to open .*; see .*writer\.log"):
        run.close()


# A package that is missing --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wandb", "mlflow", "trackio"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_a_missing_package_is_one_line_that_says_what_to_install(
    monkeypatch, name, is_folder, refused
):
    found = importlib.util.find_spec
    folder = importlib.util.spec_from_loader(name, None, is_package=True)
    missing = folder if is_folder else None
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda asked, *rest: missing if asked == name else found(asked, *rest),
    )
    said = refused("train", "mlp", "--data", "ring", "--tracker", name, "--out", "new")
    assert f"tracker '{name}' needs a package that is not installed here: " in said
    assert f"pip install 'ganzoo[{name}]>=0.1'" in said
    assert registry.get(registry.TRACKER, name)
