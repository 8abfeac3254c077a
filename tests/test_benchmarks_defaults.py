"""The table of what the defaults give, and the search for recipes."""

import json
from pathlib import Path

import pytest

from ganzoo.resolve import resolve

ROOT = Path(__file__).parent.parent


@pytest.fixture
def defaults(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    import defaults

    return defaults


@pytest.fixture
def recipes(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    import recipes

    return recipes


def test_the_page_shows_the_records(defaults):
    page = defaults.PAGE.read_text()
    before, after = defaults.MARKS
    shown = page.partition(before)[2].partition(after)[0]
    rows = defaults.read_rows(defaults.RECORDS)
    assert shown == defaults.render(rows)
    assert {tuple(row["names"]) for row in rows} <= set(defaults.LINES)


def test_the_lengths_in_the_records_are_those_of_the_recipes(defaults):
    for row in defaults.read_rows(defaults.RECORDS):
        if not defaults.is_first(row) and not row.get("failed"):
            assert row["steps"] == resolve(*row["names"]).train.steps, row["names"]


def test_every_line_is_a_training_with_a_tuned_recipe(defaults):
    for line in defaults.LINES:
        config = resolve(*line)
        assert config.train.lr_decay == "cosine", line


def test_what_is_recorded_is_not_trained_again(defaults, tmp_path, monkeypatch, capsys):
    asked = []

    def spawn(job, out):
        asked.append((tuple(job["names"]), job["seed"]))
        scores = {"modes": 8.0 - job["seed"], "high-quality": 0.9}
        return {**job, "steps": 7, "cpu_seconds": 3.2, "scores": scores, "seconds": 4.0}

    monkeypatch.setattr(defaults, "spawn", spawn)
    monkeypatch.setattr(defaults, "RECORDS", tmp_path / "records.jsonl")
    line = ("mlp", "r3gan", "ring")
    old = {"names": list(line), "seed": 0, "defaults": "0.1.0", "steps": 1000}
    old |= {"scores": {"modes": 2, "high-quality": 0.01}, "cpu_seconds": 1}
    (tmp_path / "records.jsonl").write_text(json.dumps(old) + "\n")
    for _ in range(2):
        defaults.train(tmp_path, 1, line)
    assert asked == [(line, seed) for seed in defaults.SEEDS]
    (row,) = defaults.render(defaults.read_rows(defaults.RECORDS)).splitlines()[-1:]
    command, modes, share, steps, seconds, before, share_before, _ = row.strip("| ").split(" | ")
    assert command == "`ganzoo train mlp --loss r3gan --data ring`"
    assert (modes, share) == ("8, 7, 6 of 8", "**90.0 %** (90.0, 90.0, 90.0)")
    assert (steps, seconds) == ("7", "3")
    assert (before, share_before) == ("2 of 8", "**1.0 %** (1.0)")


def test_some_lines_have_one_seed(defaults, tmp_path, monkeypatch, capsys):
    def spawn(job, out):
        scores = {"fid[digits-cnn]": 7.04, "is[digits-cnn]": 9.123}
        return {**job, "steps": 1500, "cpu_seconds": 3.2, "scores": scores, "seconds": 4.0}

    monkeypatch.setattr(defaults, "spawn", spawn)
    monkeypatch.setattr(defaults, "RECORDS", tmp_path / "records.jsonl")
    defaults.train(tmp_path, 1, ["biggan"])
    rows = defaults.read_rows(defaults.RECORDS)
    assert [(row["names"], row["seed"]) for row in rows] == [(["biggan", "hinge", "digits"], 0)]
    assert "`ganzoo train biggan --loss hinge` | 7.0 | 9.12 | 1,500 | 3 |" in defaults.render(rows)


def test_a_search_tries_each_combination_once(recipes, tmp_path, monkeypatch, capsys):
    asked = []

    def spawn(job, out):
        asked.append((job["settings"]["train.n_critic"], job["settings"]["train.betas"]))
        quality = float(job["settings"]["train.n_critic"])
        return {**job, "steps": 5, "cpu_seconds": 1, "scores": {"fid[digits-cnn]": 10 / quality}}

    monkeypatch.setattr(recipes, "spawn", spawn)
    words = ["dcgan", "--seconds", "0", "--jobs", "1", "--out", str(tmp_path)]
    words += ["--try", "train.n_critic=1,2", "--set", "train.betas=0,0.9"]
    for _ in range(2):
        recipes.main(words)
    assert asked == [("1", "0,0.9"), ("2", "0,0.9")]
    best, worse = capsys.readouterr().out.splitlines()[-2:]
    for line, score, setting in ((best, "5.00", "n_critic=2"), (worse, "10.00", "n_critic=1")):
        assert line.startswith(f"fid[digits-cnn] {score}")
        assert setting in line
