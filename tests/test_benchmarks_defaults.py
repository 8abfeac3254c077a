"""The table of what the defaults give, and the search for recipes."""

import json
from pathlib import Path

import pytest

from ganzoo.resolve import resolve

ROOT = Path(__file__).parent.parent


@pytest.fixture
def defaults(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    import defaults

    return defaults


@pytest.fixture
def recipes(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    import recipes

    return recipes


@pytest.fixture
def elsewhere(defaults, monkeypatch, tmp_path):
    """Keeps records in a folder of the test, and returns the table of them."""
    from tables import defaults as shown

    (tmp_path / "records").mkdir()
    monkeypatch.setattr(shown, "FOLDER", tmp_path / "records")
    return lambda: shown.render(tmp_path / "page.md")


def all_rows(defaults):
    return [
        row for line in defaults.LINES for row in defaults.read_rows(defaults.record_path(line))
    ]


def test_each_file_of_records_is_of_a_line(defaults):
    known = {defaults.record_path(line).name for line in defaults.LINES}
    folder = ROOT / "docs" / "records" / "defaults"
    assert {path.name for path in folder.iterdir()} <= known
    for line in defaults.LINES:
        for row in defaults.read_rows(defaults.record_path(line)):
            assert tuple(row["names"]) == line


def test_the_lengths_in_the_records_are_those_of_the_recipes(defaults):
    rows = all_rows(defaults)
    assert len(rows) > 100
    for row in rows:
        if not defaults.is_first(row) and not row.get("failed"):
            assert row["steps"] == resolve(*row["names"]).train.steps, row["names"]


def test_every_line_is_a_training_with_a_tuned_recipe(defaults):
    for line in defaults.LINES:
        config = resolve(*line)
        assert config.train.lr_decay == "cosine", line


def test_what_is_recorded_is_not_trained_again(defaults, elsewhere, tmp_path, monkeypatch, capsys):
    asked = []

    def spawn(job, out):
        asked.append((tuple(job["names"]), job["seed"]))
        scores = {"modes": 8.0 - job["seed"], "high-quality": 0.9}
        return {**job, "steps": 7, "cpu_seconds": 3.2, "scores": scores, "seconds": 4.0}

    monkeypatch.setattr(defaults, "spawn", spawn)
    line = ("mlp", "r3gan", "ring")
    old = {"names": list(line), "seed": 0, "defaults": "0.1.0", "steps": 1000}
    old |= {"scores": {"modes": 2, "high-quality": 0.01}, "cpu_seconds": 1}
    defaults.record_path(line).write_text(json.dumps(old) + "\n")
    for _ in range(2):
        defaults.train(tmp_path, 1, line)
    assert asked == [(line, seed) for seed in defaults.SEEDS]
    (row,) = elsewhere().splitlines()[-1:]
    command, modes, share, steps, seconds, before, share_before, _ = row.strip("| ").split(" | ")
    assert command == "[`ganzoo train mlp --loss r3gan --data ring`](records/mlp-r3gan-ring.jsonl)"
    assert (modes, share) == ("8, 7, 6 of 8", "**90.0 %** (90.0, 90.0, 90.0)")
    assert (steps, seconds) == ("7", "3")
    assert (before, share_before) == ("2 of 8", "**1.0 %** (1.0)")


def test_some_lines_have_one_seed(defaults, elsewhere, tmp_path, monkeypatch, capsys):
    def spawn(job, out):
        scores = {"fid[digits-cnn]": 7.04, "is[digits-cnn]": 9.123}
        return {**job, "steps": 1500, "cpu_seconds": 3.2, "scores": scores, "seconds": 4.0}

    monkeypatch.setattr(defaults, "spawn", spawn)
    defaults.train(tmp_path, 1, ["biggan"])
    rows = all_rows(defaults)
    assert [(row["names"], row["seed"]) for row in rows] == [(["biggan", "hinge", "digits"], 0)]
    link = "[`ganzoo train biggan --loss hinge`](records/biggan-hinge-digits.jsonl)"
    assert f"{link} | 7.0 | 9.12 | 1,500 | 3 |" in elsewhere()


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
