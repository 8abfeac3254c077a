"""Comparing models: only like with like, and what differs is said."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

import ganzoo
from ganzoo.errors import InputError
from ganzoo.evaluation.compare import compare, differences
from ganzoo.runs.scores import ScoreRow, log_scores, read_logged_scores, read_scores, write_scores
from tiny import TINY, sealed

ROW = ScoreRow(
    metric="fid",
    value=10.0,
    std=None,
    higher_is_better=False,
    features={"name": "inception-v3-compat", "sha256": "a" * 64},
    data={"name": "digits", "split": "all", "fingerprint": "b" * 64},
    real_samples=1000,
    fake_samples=1000,
    image_size=(16, 16),
    seed=0,
    step=4,
    note=None,
    versions={"torch": "2.15.0"},
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three runs that were never judged."""
    folder = tmp_path_factory.mktemp("runs")
    settings = {"arch.hidden": (8,), "data.image_size": 8}
    return [
        ganzoo.train("mlp", data="digits", out=folder / name, settings=settings, **TINY)
        for name in ("a", "b", "c")
    ]


@pytest.fixture
def judged(runs):
    """Give the runs scores of their own."""

    def judge(*lists):
        for run, rows in zip(runs, lists, strict=False):
            log_scores(run.score_log, rows)
        return [run.path for run, _ in zip(runs, lists, strict=False)]

    yield judge
    for run in runs:
        run.score_log.unlink(missing_ok=True)


def changed(**values):
    return ROW.model_copy(update=values)


def test_like_is_ranked_with_like_the_best_first(judged):
    a, b, c = judged([changed(value=12.0)], [changed(value=9.0)], [changed(value=12.0)])
    (group,) = compare([a, b, c])
    assert [(place.rank, place.model) for place in group.places] == [
        (1, str(b)),
        (2, str(a)),
        (2, str(c)),
    ]
    assert differences([group]) == []


def test_higher_may_be_better(judged):
    rows = [changed(metric="is", higher_is_better=True, value=value) for value in (2.0, 3.0)]
    (group,) = compare(judged([rows[0]], [rows[1]]))
    assert [place.row.value for place in group.places] == [3.0, 2.0]


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (
            {"metric": "fid[digits-cnn]", "features": {"name": "digits-cnn", "sha256": "c" * 64}},
            "features.name (digits-cnn / inception-v3-compat)",
        ),
        ({"features": {**ROW.features, "sha256": "c" * 64}}, "features.sha256 (aaaaaaaa / cccc"),
        ({"image_size": (32, 32)}, "image_size (16 x 16 / 32 x 32)"),
        ({"fake_samples": 999}, "fake_samples (1000 / 999)"),
        ({"real_samples": 999}, "real_samples (1000 / 999)"),
        ({"data": {**ROW.data, "fingerprint": "d" * 64}}, "data.fingerprint"),
        ({"data": {**ROW.data, "split": "test"}}, "data.split (all / test)"),
        ({"options": {"splits": 5}}, "options.splits (none / 5)"),
        ({"versions": {"torch": "2.0"}}, "versions.torch (2.15.0 / 2.0)"),
    ],
)
def test_what_was_judged_otherwise_is_not_ranked_and_the_reason_is_said(judged, other, word):
    groups = compare(judged([ROW], [changed(**other)]))
    assert [len(group.places) for group in groups] == [1, 1]
    assert {place.rank for group in groups for place in group.places} == {1}
    (line,) = differences(groups)
    assert line.startswith("fid: 2 groups are not ranked together, as they differ in ")
    assert word.split(" (")[0] in line
    assert all(part in line for part in word.partition(" (")[2].rstrip(")").split(" / "))


@pytest.mark.parametrize(
    "other", [{"seed": 3}, {"step": 4, "std": 0.5}, {"note": "few"}, {"repeats": 5}]
)
def test_what_is_incidental_keeps_no_two_apart(judged, other):
    (group,) = compare(judged([ROW], [changed(**other)]))
    assert len(group.places) == 2


def test_the_newest_of_a_protocol_counts(judged):
    (a,) = judged([changed(value=5.0), changed(value=6.0, seed=1)])
    (group,) = compare([a])
    assert [place.row.value for place in group.places] == [6.0]


def test_scores_of_earlier_steps_are_not_the_model_s(judged):
    (a,) = judged([changed(value=1.0, step=2), changed(value=5.0)])
    (group,) = compare([a])
    assert [place.row.value for place in group.places] == [5.0]


def test_a_metric_is_asked_for_with_or_without_its_extractor(judged):
    rows = [ROW, changed(metric="is"), changed(metric="fid[x]")]
    (a,) = judged(rows)
    assert {group.metric for group in compare([a], ["fid"])} == {"fid", "fid[x]"}
    assert {group.metric for group in compare([a], ["fid[x]"])} == {"fid[x]"}
    with pytest.raises(InputError, match="none of these models has scores by prc"):
        compare([a], ["prc"])


def test_what_was_never_judged_is_said(runs):
    with pytest.raises(InputError, match="evaluate each with: ganzoo eval MODEL"):
        compare([run.path for run in runs])


def test_a_model_folder_brings_its_scores(runs, judged, tmp_path):
    shutil.copytree(runs[0].model, tmp_path / "alone")
    write_scores(tmp_path / "alone", [ROW])
    sealed(tmp_path / "alone")
    (b,) = judged([changed(value=8.0)])
    (group,) = compare([tmp_path / "alone", b])
    assert [place.model for place in group.places] == [str(b), str(tmp_path / "alone")]


def test_the_best_snapshot_enters_beside_the_last(tmp_path):
    settings = {"arch.hidden": (8,), "data.image_size": 8, "train.eval_metric": ("fid",)}
    run = ganzoo.train(
        "mlp", data="digits", out=tmp_path / "run", settings=settings, **TINY, eval_every=1
    )
    rows = read_logged_scores(run.score_log)
    assert [row.step for row in rows] == [1, 2, 3, 4]
    (best,) = read_scores(run.best)
    assert best.value == min(row.value for row in rows)
    (group,) = compare([run])
    called = {place.model: place.row.step for place in group.places}
    if best.step == 4:
        assert called == {str(run.path): 4}
    else:
        assert called == {f"{run.path} (best)": best.step, f"{run.path} (last)": 4}


def test_the_command_prints_tables_and_reasons(judged, ganzoo_cli):
    a, b, c = judged([ROW], [changed(value=9.5, std=0.25, repeats=3)], [changed(fake_samples=9)])
    result = ganzoo_cli("compare", a, b, c)
    assert result.code == 0, result
    lines = result.out.splitlines()
    assert lines[0] == (
        "fid, lower is better: 1000 fakes against 1000 reals of digits (all), 16 x 16"
    )
    assert lines[2].split() == ["1", str(b), "9.5000", "+-", "0.2500", "0", "to", "2", "4"]
    assert lines[3].split() == ["2", str(a), "10.0000", "0", "4"]
    assert "9 fakes against" in result.out
    assert "not ranked together, as they differ in fake_samples (1000 / 9)" in result.err


def test_the_command_as_json(judged, ganzoo_cli):
    a, b = judged([ROW], [changed(value=9.0)])
    printed = json.loads(ganzoo_cli("compare", a, b, "--metric", "fid", "--json").out)
    (group,) = printed["groups"]
    assert [(place["rank"], place["value"]) for place in group["ranking"]] == [(1, 9.0), (2, 10.0)]
    assert group["protocol"]["fake_samples"] == 1000
    assert printed["differences"] == []


@pytest.mark.parametrize("text", ["{", "[1]", "{}", '[{"metric": "fid"}]', "[[]]"])
def test_damaged_scores_are_refused_by_name(runs, tmp_path, refused, text):
    shutil.copytree(runs[0].model, "alone")
    Path("alone/scores.json").write_text(text)
    message = refused("compare", sealed(Path("alone")))
    assert re.match("Error: alone/scores.json (cannot be read as JSON|contains no scores)", message)


def test_torn_lines_are_passed_over(judged, runs):
    (a,) = judged([ROW])
    with runs[0].score_log.open("a") as file:
        file.write('{"metric": "fid", "val')
    (group,) = compare([a])
    assert [place.row.value for place in group.places] == [10.0]


def test_what_is_no_model_is_refused(refused, tmp_path):
    assert "no run or model folder named" in refused("compare", tmp_path / "none")
    assert "Missing argument" in refused("compare")


def test_models_without_scores_are_named(judged, runs, ganzoo_cli):
    a, b = judged([ROW], [changed(metric="is", higher_is_better=True)])
    c = runs[2].path
    said = []
    assert len(compare([a, b, c], warn=said.append)) == 2
    assert said == [f"{c} has no scores; get them with: ganzoo eval {c}"]
    with pytest.warns(ganzoo.GanzooWarning, match="has no scores by fid") as warned:
        compare([a, b, c], ["fid"])
    assert [warning.filename for warning in warned] == [__file__, __file__]
    result = ganzoo_cli("compare", a, c, "--metric", "fid", "--json")
    assert (result.code, len(json.loads(result.out)["groups"])) == (0, 1)
    assert result.err == (
        f"warning: {c} has no scores by fid; get them with: ganzoo eval {c} --metric fid\n"
    )


def test_a_single_model_is_no_list(runs):
    for models in (runs[0], runs[0].path, str(runs[0].path)):
        with pytest.raises(InputError, match="give models as a list"):
            compare(models)
