"""The process that writes a run to Trackio, as lines of JSON on standard input say.

It imports nothing of ganzoo, and is started as a file.
"""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import trackio
from filelock import FileLock
from PIL import Image
from trackio.utils import TRACKIO_DIR


def main() -> None:
    """Log every line until standard input ends."""
    options = json.loads(sys.stdin.readline())
    with FileLock(TRACKIO_DIR / "writer.lock"):  # the writer of a killed training may still write
        drop_after(TRACKIO_DIR, options["project"], options["step"])
        run = open_run(options)
        for line in sys.stdin:
            log(run, json.loads(line))
        run.finish()


def open_run(options: dict[str, Any]) -> trackio.Run:
    """Open the run that the folder holds, or a new one."""
    project, name = options["project"], options["name"]
    if (TRACKIO_DIR / f"{project}.db").exists():
        for earlier in trackio.Api().runs(project):
            name = earlier.name  # the run's folder may have been renamed
    return trackio.init(
        project,
        name=name,
        config=options["config"],
        resume="allow",
        embed=False,
        auto_log_gpu=False,
        auto_log_cpu=False,
    )


def log(run: trackio.Run, message: dict[str, Any]) -> None:
    """Log a row of metrics or a picture."""
    if "row" in message:
        row = message["row"]
        run.log({name: row[name] for name in row if name != "step"}, step=row["step"])
        return
    picture = Image.frombytes(
        message["mode"], tuple(message["size"]), base64.b64decode(message["pixels"])
    )
    run.log({"samples": trackio.Image(picture)}, step=message["step"])


def drop_after(folder: Path, project: str, step: int) -> None:
    """Drop what the database holds of later steps."""
    for path in folder.glob(f"media/{project}/*/*"):
        if path.name.isdecimal() and int(path.name) > step:
            shutil.rmtree(path)
    database = folder / f"{project}.db"
    if database.exists():
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("DELETE FROM metrics WHERE step > ?", (step,))


if __name__ == "__main__":
    main()
