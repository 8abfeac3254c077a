"""What looks at GPUs found, a section for each, as ``tests/gpu/look.py`` writes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tables import RECORDS, link, table

FOLDER = RECORDS / "gpu"
NOTHING = (
    "**No look at a GPU is here yet.** ganzoo was never seen on one, and nothing on these pages is "
    "a claim about one."
)
RATES = {"rate in fp32": "fp32", "rate in tf32": "TF32", "rate in bf16": "bf16"}
ARMS = ("ganzoo", "bf16", "fp16", "compile", "graphs", "compile-bf16", "graphs-bf16")
"""What takes turns with the plain loop, in the order of the table."""

Findings = list[dict[str, Any]]


def render(page: Path) -> str:
    """Return a section for each file; a sentence if there is none."""
    sections = [_section(page, path) for path in sorted(FOLDER.glob("*.json"))]
    return "\n\n".join(sections) or NOTHING


def _section(page: Path, path: Path) -> str:
    look = json.loads(path.read_text(encoding="utf-8"))
    found = {name: part["findings"] for name, part in look["parts"].items()}
    machine = next((each for each in found.get("environment", ()) if "torch" in each), {})
    lines = [
        f"## {machine.get('card', look['device'])}, {look['date']}",
        _about(page, path, look, machine, found.get("environment", [])),
        table(("looked at", "how it went", "as it should be", "wrong", "left out"), _parts(look)),
        _speed([*found.get("speed", ()), *found.get("compiled-speed", ())]),
        _waits(found.get("networks", [])),
        _wrong(found),
    ]
    return "\n\n".join(line for line in lines if line)


def _about(
    page: Path, path: Path, look: Mapping[str, Any], machine: Mapping[str, Any], rest: Findings
) -> str:
    """Say what was looked at."""
    rates = ", ".join(
        f"{each['gflops_per_second'] / 1000:.3g} in {RATES[each['what']]}"
        for each in rest
        if each["what"] in RATES and "gflops_per_second" in each
    )
    words = [f"torch {machine.get('torch')}", f"ganzoo {machine.get('ganzoo')}"]
    words += [f"driver {machine['driver']}"] if machine.get("driver") else []
    words += [f"{machine['memory'] / 2**30:.0f} GiB"] if machine.get("memory") else []
    measured = f" TFLOP/s of one 3 x 3 convolution: {rates}." if rates else ""
    quick = " A quick look, whose numbers say little." if look["quick"] else ""
    source = link(page, "All of it", path)
    return f"{', '.join(words)}; {look['seconds']:.0f} seconds.{measured}{quick} {source}."


def _parts(look: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each part."""
    for name, part in look["parts"].items():
        kinds = [kind(each) for each in part["findings"]]
        counts = (
            kinds.count("found"),
            kinds.count("wrong") + kinds.count("failed"),
            kinds.count("skipped"),
        )
        yield name, part["status"], *(str(count or "") for count in counts)


def kind(finding: Mapping[str, Any]) -> str:
    """Return what kind of finding it is: skipped, failed, wrong, or found."""
    for word in ("skipped", "failed"):
        if word in finding:
            return word
    return "wrong" if finding.get("ok") is False or finding.get("failing") else "found"


def _speed(findings: Iterable[Mapping[str, Any]]) -> str:
    """Return the table of speeds beside the plain loop."""
    merged: dict[str, dict[str, Any]] = {}
    for each in findings:
        if "results" in each:
            row = merged.setdefault(each["what"], {"results": {}})
            row.update({key: each[key] for key in ("issue_ms",) if key in each})
            row["results"] = {**each["results"], **row["results"]}
    arms = [arm for arm in ARMS if any(arm in each["results"] for each in merged.values())]
    header = ["trained", "plain, ms", "ganzoo, ms", "handed over in, ms"]
    header += [f"{arm}: times as fast, share of the rate" for arm in arms]
    rows = [
        [
            what,
            f"{each['results']['reference']['ms']:.3g}",
            f"{each['results']['ganzoo']['ms']:.3g}",
            f"{each['issue_ms']:.3g}" if "issue_ms" in each else "",
            *(_cell(each["results"].get(arm)) for arm in arms),
        ]
        for what, each in merged.items()
    ]
    return table(header, rows) if rows else ""


def _cell(arm: Mapping[str, float] | None) -> str:
    return f"{arm['times_as_fast']:.2f}, {arm['share_of_rate']:.0%}" if arm else ""


def _waits(networks: Findings) -> str:
    """Say where the host waits in a step."""
    looked = [each for each in networks if "waits" in each]
    if not looked:
        return ""
    waiting = [each["what"] for each in looked if each["waits"]]
    places = f": {', '.join(waiting)}" if waiting else ""
    return f"The host waits in the steps of {len(waiting)} of {len(looked)} trainings{places}."


def _wrong(found: Mapping[str, Findings]) -> str:
    """List what failed or is not as it should be."""
    lines = [
        f"- {part}, {each.get('what', '')}: {each.get('failed') or _values(each)}"
        for part, findings in found.items()
        for each in findings
        if kind(each) in ("failed", "wrong")
    ]
    return "\n".join(["What is not as it should be:", "", *lines]) if lines else ""


def _values(finding: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in finding.items() if key != "what")
