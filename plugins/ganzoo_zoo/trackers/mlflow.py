"""The tracker for MLflow."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import AnyUrl, Field

from ganzoo import TrackedRun, Tracker
from ganzoo.storage.files import write_text
from ganzoo.storage.json_files import read_json, to_json
from ganzoo_zoo.trackers.packages import require_package

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from torch import Tensor

FOLDER = "mlflow"
DATABASE = "mlflow.db"
RUN_FILE = "run.json"
"""File that says which run of which store belongs to the folder."""
MOST_METRICS = 1000
"""The most metrics that MLflow takes in one call."""
MOST_PARAMS = 100
LONGEST_PARAM = 6000
PICTURE = re.compile(r"samples\W+step\W+(\d+)\W")
"""How MLflow begins the name of a picture's file."""


class MLflow(Tracker):
    """Logs metrics, scores and sample pictures to MLflow, by default to a database of the run.

    The database is in the run's folder, and nothing is sent. With ``uri`` everything goes to a
    tracking server or to another store instead. It needs ``pip install 'ganzoo[mlflow]>=0.1'``.
    """

    uri: AnyUrl | None = Field(
        default=None,
        description="Tracking server or store, such as http://localhost:5000; by default a "
        "database in the run's folder.",
    )
    experiment: str = Field(default="ganzoo", min_length=1, description="Experiment of the run.")
    flush_seconds: int = Field(
        default=10, ge=0, description="Longest delay in seconds until new metrics are sent."
    )

    def check(self) -> None:
        """Check that the packages are installed."""
        require_package("mlflow", "mlflow", *([] if self.uri else ["sqlalchemy", "alembic"]))

    def start(self, folder: Path, config: dict[str, Any], step: int) -> MLflowRun:
        """Start or continue the run of the folder, without metrics of later steps.

        A server cannot forget them. It gets each step once.
        """
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        own = folder / FOLDER
        own.mkdir(exist_ok=True)
        if self.uri is None:
            _forget_after(own, step)
        uri = str(self.uri) if self.uri else f"sqlite:///{own / DATABASE}"
        client = MlflowClient(tracking_uri=uri)
        store = str(self.uri or DATABASE)
        run_id = _find_run(own, store)
        if run_id is None:
            run = client.create_run(self._find_experiment(client, own), run_name=folder.name)
            run_id = run.info.run_id
            write_text(own / RUN_FILE, to_json({"store": store, "run": run_id}))
        client.update_run(run_id, status="RUNNING")
        _log_config(client, run_id, config)
        tracked = MLflowRun(client, run_id, config["train"]["steps"], self.flush_seconds)
        if self.uri is not None:
            tracked.skip_sent()
        return tracked

    def _find_experiment(self, client: MlflowClient, own: Path) -> str:
        if found := client.get_experiment_by_name(self.experiment):
            return found.experiment_id
        place = (own / "artifacts").as_uri() if self.uri is None else None
        return client.create_experiment(self.experiment, artifact_location=place)


class MLflowRun(TrackedRun):
    """A run of MLflow.

    Args:
        client: The client of its store.
        run_id: Its identifier there.
        steps: Steps of the whole training.
        flush_seconds: Longest delay until new metrics are sent.
    """

    def __init__(self, client: MlflowClient, run_id: str, steps: int, flush_seconds: int) -> None:
        self._client = client
        self._run_id = run_id
        self._steps = steps
        self._flush_seconds = flush_seconds
        self._flushed = time.monotonic()
        self._pending: list[Metric] = []
        self._sent: dict[str, int] = {}
        self._pictures: set[int] = set()
        self._step = 0

    def skip_sent(self) -> None:
        """Skip what the store has already of each metric, and pictures that it has."""
        for name in self._client.get_run(self._run_id).data.metrics:
            history = self._client.get_metric_history(self._run_id, name)
            self._sent[name] = max(metric.step for metric in history)
        for file in self._client.list_artifacts(self._run_id, "images"):
            if match := PICTURE.match(file.path.rpartition("/")[2]):
                self._pictures.add(int(match[1]))

    def metrics(self, row: dict[str, Any]) -> None:
        """Log every number of a row."""
        from mlflow.entities import Metric

        self._step = row["step"]
        now = time.time_ns() // 1_000_000
        for name, value in row.items():
            key = metric_name(name)
            if name != "step" and self._step > self._sent.get(key, -1):
                self._pending.append(Metric(key, value, now, self._step))
        if time.monotonic() - self._flushed >= self._flush_seconds:
            self.flush()

    def picture(self, step: int, picture: Tensor) -> None:
        """Log the sample picture of a step."""
        from ganzoo.media.images import to_pil

        if step not in self._pictures:
            self._client.log_image(self._run_id, to_pil(picture), key="samples", step=step)

    def flush(self) -> None:
        """Send what is still pending."""
        for start in range(0, len(self._pending), MOST_METRICS):
            self._client.log_batch(
                self._run_id, metrics=self._pending[start : start + MOST_METRICS]
            )
        self._pending = []
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Send what is still pending, and say whether the training was finished."""
        self.flush()
        self._client.set_terminated(
            self._run_id, "FINISHED" if self._step == self._steps else "KILLED"
        )


def metric_name(name: str) -> str:
    """Return a name that MLflow accepts: ``score/fid.digits-cnn`` for ``score/fid[digits-cnn]``."""
    return re.sub(r"[^\w.\-/: ]", "_", name.replace("[", ".").replace("]", ""), flags=re.ASCII)


def _find_run(own: Path, store: str) -> str | None:
    if not (own / RUN_FILE).exists():
        return None
    known = read_json(own / RUN_FILE)
    return str(known["run"]) if known["store"] == store else None


def _log_config(client: MlflowClient, run_id: str, config: dict[str, Any]) -> None:
    """Log the configuration as a file, and as parameters, which MLflow never changes."""
    from mlflow.entities import Param

    client.log_dict(run_id, config, "config.json")
    known = client.get_run(run_id).data.params
    params = [
        Param(metric_name(name), str(value)[:LONGEST_PARAM])
        for name, value in _flatten(config)
        if metric_name(name) not in known
    ]
    for start in range(0, len(params), MOST_PARAMS):
        client.log_batch(run_id, params=params[start : start + MOST_PARAMS])


def _flatten(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return the leaves of nested objects by dotted names, such as ``train.seed``."""
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        is_branch = isinstance(value, dict) and value
        found += _flatten(value, f"{prefix}{name}.") if is_branch else [(f"{prefix}{name}", value)]
    return found


def _forget_after(own: Path, step: int) -> None:
    """Drop later steps from the run's own database and pictures, wherever the folder is now."""
    for file in own.glob("artifacts/*/artifacts/images/*"):
        if (match := PICTURE.match(file.name)) and int(match[1]) > step:
            file.unlink()
    if not (own / DATABASE).exists():
        return
    with closing(sqlite3.connect(own / DATABASE)) as database, database:
        for table in ("metrics", "latest_metrics"):
            database.execute(f"DELETE FROM {table} WHERE step > ?", (step,))
        place = (own / "artifacts").as_uri()
        database.execute(
            "UPDATE runs SET artifact_uri = ? || '/' || run_uuid || '/artifacts'", (place,)
        )
