"""Add records of the time to a score.

    python tests/benchmarks/records.py FILE...

takes what ``ganzoo bench --until --json`` or ``time_to_score.py`` printed, appends it as a line to
``docs/records/times/DATA.jsonl``, and writes the pages that show records.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2] / "docs"))

import results
from tables import times

KEPT = (
    *("what", "trained", "until", "images", "metric", "command", "eval_every", "max_steps"),
    *("judge", "machine"),
)
KEPT_OF_SEED = (
    *("seed", "reached", "steps", "images", "seconds", "processor_seconds", "scoring_seconds"),
    *("score", "best", "failed"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Add records, and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    for file in parser.parse_args(arguments).files:
        add(json.loads(file.read_text(encoding="utf-8")))
    results.main()


def add(found: Mapping[str, Any]) -> None:
    """Append what was measured to the records of its data."""
    if not found["judge"]:
        raise SystemExit("nothing was scored, so this is no record")
    trained = found.get("trained") or _title(found["config"])
    filled = {"what": "ganzoo", "images": None, **found, "trained": trained}
    row = {
        "date": datetime.date.today().isoformat(),
        **{name: filled[name] for name in KEPT},
        "seeds": [{name: seed[name] for name in KEPT_OF_SEED} for seed in found["seeds"]],
    }
    times.FOLDER.mkdir(parents=True, exist_ok=True)
    with times.record_path(row).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _title(config: Mapping[str, Any]) -> str:
    architecture, loss, data = (config[name]["name"] for name in ("architecture", "loss", "data"))
    return f"{architecture} trained with {loss} on {data}"


if __name__ == "__main__":
    main()
