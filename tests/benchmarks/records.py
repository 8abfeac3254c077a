"""The records of the time to a score, and the page that shows them.

    python tests/benchmarks/records.py add FILE...
    python tests/benchmarks/records.py render

``add`` takes what ``ganzoo bench --until --json`` or ``time_to_score.py`` printed, appends it as a
line to ``records/DATA.jsonl``, and writes the page. ``render`` only writes the page.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECORDS = HERE / "records"
PAGE = HERE.parents[1] / "docs" / "understand" / "records.md"
KEPT = (
    *("what", "trained", "until", "images", "metric", "command", "eval_every", "max_steps"),
    *("judge", "machine"),
)
KEPT_OF_SEED = (
    *("seed", "reached", "steps", "images", "seconds", "processor_seconds", "scoring_seconds"),
    *("score", "best", "failed"),
)
SETS = ("digits", "mnist", "cifar10")
"""Data in the order of the page; others follow."""
INTRODUCTION = """\
# Records

How long a training takes to reach a score, without the time of scoring: images that the
discriminator was shown, generator updates, seconds by the clock, and seconds of processors, summed
over cores. Numbers are means over the seeds, with the standard deviation between them. The learning
rates are those of the whole training that the command names, even where it ended earlier. A score
is found at the next one after it was reached, so a training may be up to one interval of scores
better than it looks.

The **plain loop** is a training in the manner of the well-known scripts, with the same networks and
the same judge: batches of 64, Adam with rates of 2e-4 and betas of 0.5 and 0.999, no averaged
generator (`tests/benchmarks/time_to_score.py`).

Seconds of different machines do not compare; images and steps do. Where a thread had much less
than a core, other work had the rest, and seconds by the clock say more of that work than of the
training.
"""
INVITATION = """\
## Better one

Any setting, loss, architecture or plugin counts, if the command repeats it:

```console
$ ganzoo bench dcgan --until "fid<=30" --seeds 0,1,2 --json > mine.json
$ python tests/benchmarks/records.py add mine.json
```

Use seeds 0, 1 and 2, and a machine that does nothing else. The second command adds a line to
`tests/benchmarks/records/` and writes this page anew; commit both, and open a pull request. Earlier
records stay.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Add records, or only write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    adding = commands.add_parser("add")
    adding.add_argument("files", nargs="+", type=Path)
    commands.add_parser("render")
    options = parser.parse_args(arguments)
    if options.command == "add":
        for file in options.files:
            add(json.loads(file.read_text(encoding="utf-8")))
    PAGE.write_text(render(read()), encoding="utf-8")


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
    RECORDS.mkdir(exist_ok=True)
    with (RECORDS / f"{row['judge']['data.name']}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _title(config: Mapping[str, Any]) -> str:
    architecture, loss, data = (config[name]["name"] for name in ("architecture", "loss", "data"))
    return f"{architecture} trained with {loss} on {data}"


def read() -> list[dict[str, Any]]:
    """Read all records."""
    return [
        json.loads(line)
        for path in sorted(RECORDS.glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def render(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the page."""
    goals: dict[tuple[int, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        goals.setdefault(_goal(row), []).append(row)
    parts = [INTRODUCTION]
    for (_, title), same in sorted(goals.items()):
        parts.append(_section(title, sorted(same, key=_order)))
    return "\n".join([*parts, INVITATION])


def _goal(row: Mapping[str, Any]) -> tuple[int, str]:
    """Return the place and the title of a record's section."""
    data, size = row["judge"]["data.name"], row["judge"].get("image_size")
    shape = f" at {size[0]} x {size[1]}" if size else ""
    if row["images"]:
        what = f"{row['metric']} after {row['images']:,} images"
    else:
        sign = ">=" if row["judge"]["higher_is_better"] else "<="
        what = f"time to {row['metric']} {sign} {row['until'].partition(sign)[2]}"
    place = SETS.index(data) if data in SETS else len(SETS)
    return place, f"{data}{shape}: {what}"


def _order(row: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the key by which the records of a goal are ordered."""
    reached = sum(seed["reached"] for seed in row["seeds"]) / len(row["seeds"])
    if not row["images"]:
        return -reached, statistics.mean(seed["processor_seconds"] for seed in row["seeds"])
    sign = -1 if row["judge"]["higher_is_better"] else 1
    scores = [seed["score"] for seed in row["seeds"] if seed["score"] is not None]
    return -reached, sign * statistics.mean(scores) if scores else 0.0


def _section(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    header = ("", "trained", "seeds", "score", "images", "steps", "seconds", "processor seconds")
    lines = [f"## {title}", "", _line(header), _line(["---"] * len(header))]
    lines += [_line((str(i), *_cells(row))) for i, row in enumerate(rows, 1)]
    lines += ["", *(f"{i}. {_about(row)}" for i, row in enumerate(rows, 1)), ""]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    seeds = row["seeds"]
    name = row["trained"].partition(" on ")[0].replace(" trained with ", ", ")
    name = name if row["what"] == "ganzoo" else f"{row['what']}: {name}"
    shown = ", ".join(str(seed["seed"]) for seed in seeds)
    reached = [seed for seed in seeds if seed["reached"]]
    score = _mean(seeds, "score", ".1f")
    if len(reached) < len(seeds):
        score = f"reached by {len(reached)} of {len(seeds)}; best {_mean(seeds, 'best', '.1f')}"
    numbers = [
        _mean(seeds, name, digits)
        for name, digits in (
            ("images", ",.0f"),
            ("steps", ",.0f"),
            ("seconds", ",.1f"),
            ("processor_seconds", ",.1f"),
        )
    ]
    if len(reached) < len(seeds):
        numbers = [f"over {number}" for number in numbers]
    return name, shown, score, *numbers


def _mean(seeds: Iterable[Mapping[str, Any]], name: str, digits: str) -> str:
    values = [seed[name] for seed in seeds if seed[name] is not None]
    if not values:
        return "none"
    std = f" ± {statistics.stdev(values):{digits}}" if len(set(values)) > 1 else ""
    return f"{statistics.mean(values):{digits}}{std}"


def _about(row: Mapping[str, Any]) -> str:
    machine, judge = row["machine"], row["judge"]
    threads = f"{machine['threads']} thread{'s' if machine['threads'] != 1 else ''}"
    threads += f" that had {machine['cores_used']} cores"
    device = "" if machine["device"] == "cpu" else f"{machine['device_name']}, "
    return (
        f"`{row['command']}`: {device}{machine['processor']}, {machine['cores']} cores, {threads}, "
        f"torch {machine['torch']}, ganzoo {judge['versions.ganzoo']}; scored every "
        f"{row['eval_every']:,} steps by {judge['fake_samples']:,} fakes against "
        f"{judge['real_samples']:,} reals; {row['date']}."
    )


if __name__ == "__main__":
    main()
