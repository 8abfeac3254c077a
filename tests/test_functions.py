"""Functions of ``import ganzoo`` that packages add, and those of the box."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

import ganzoo
from ganzoo.errors import GanzooError, InputError, PluginError
from ganzoo.registry import FUNCTION
from ganzoo.runs.scores import log_scores
from test_compare import ROW
from tiny import TINY

SMALL = {"arch.hidden": (8,), "arch.z_dim": 4}


def test_a_package_adds_a_function(plugin):
    code = "def paint(colour): return f'painted {colour}'"
    plugin("ganzoo-paint", code, {FUNCTION.group: {"paint": "ganzoo_paint:paint"}})
    assert ganzoo.paint("red") == "painted red"
    assert "paint" in dir(ganzoo)
    assert "paint" not in ganzoo.__all__


def test_a_package_replaces_no_name_of_ganzoo(plugin):
    code = "train = registry = None\nraise SystemExit"
    names = {name: f"ganzoo_bold:{name}" for name in ("train", "registry", "config")}
    plugin("ganzoo-bold", code, {FUNCTION.group: names})
    from ganzoo import registry

    assert ganzoo.train.__module__ == "ganzoo.api.training"
    assert ganzoo.registry is registry


def test_two_packages_with_a_function_of_one_name_are_named(plugin):
    for package in ("ganzoo-one", "ganzoo-two"):
        module = package.replace("-", "_")
        plugin(package, "def paint(): pass", {FUNCTION.group: {"paint": f"{module}:paint"}})
    with pytest.raises(PluginError, match=r"claimed by ganzoo-one and ganzoo-two; import .*_one\."):
        ganzoo.paint()
    assert dir(ganzoo).count("paint") == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import no_such_module", "fails to import"),
        ("paint = 3", "is not a collections.Callable"),
    ],
)
def test_a_broken_function_is_named(plugin, code, words):
    plugin("ganzoo-bad", code, {FUNCTION.group: {"paint": "ganzoo_bad:paint"}})
    with pytest.raises(PluginError, match=words):
        _ = ganzoo.paint


# Those of the box ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of points."""
    out = tmp_path_factory.mktemp("runs") / "ring"
    return ganzoo.train("mlp", data="ring", out=out, settings=SMALL, **TINY)


def test_a_report_is_written(run, capsys):
    done = ganzoo.report(run, "page.html", neighbours=0)
    assert done.file == Path("page.html")
    assert "<html" in done.file.read_text()
    with pytest.raises(InputError, match="already exists"):
        ganzoo.report(run, "page.html")
    assert capsys.readouterr() == ("", "")


def test_the_format_of_an_export_is_that_of_its_suffix(run, capsys):
    done = ganzoo.export(ganzoo.load(run), "ring.pt2")
    assert (done.format, done.file) == ("torch-export", Path("ring.pt2"))
    assert done.largest_difference <= done.tolerance
    with pytest.raises(InputError, match=re.escape("needs the suffix .pt2 (torch-export) or")):
        ganzoo.export(run, "ring.pth")
    assert not Path("ring.pth").exists()
    assert capsys.readouterr() == ("", "")


def test_a_comparison_shows_itself(run, tmp_path):
    scored = ROW.model_copy(update={"metric": "<fid>"})
    log_scores(run.path / "scores.jsonl", [scored])
    found = ganzoo.compare([run, run.path])
    assert repr(found).startswith("<Comparison by <fid>: 1. ")
    page = found._repr_html_()
    assert "&lt;fid&gt;, lower is better: 1000 fakes against 1000 reals of digits (all)" in page
    assert page.count("<tr>") == 1 + len(found[0].places)
    assert found.differences == []


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The folder of a sweep of two widths."""
    return tmp_path_factory.mktemp("swept") / "sweep"


def sweep(out, **more):
    return ganzoo.sweep(
        "mlp",
        data="ring",
        settings={"arch.hidden": [(8,), (4, 4)], "arch.z_dim": 4},
        samples=64,
        out=out,
        **{**TINY, **more},
    )


def test_a_sweep_trains_ranks_and_resumes(swept, capfd):
    results = sweep(swept, metrics=["modes"])
    assert [cell.combination["arch.hidden"] for cell in results.cells] == ["8", "4,4"]
    assert results.failed == []
    header, rows = results.table()
    assert header[:4] == ["architecture", "loss", "hidden", "seeds"]
    assert len(rows) == 2
    assert repr(results).startswith(f"<Results {swept}: 2 runs, best modes")
    page = results._repr_html_()
    assert page.count("<tr>") == 3
    assert "<img" in page
    assert ganzoo.load(swept / results.cells[0].name).config.step == TINY["steps"]
    before = (swept / "table.csv").read_bytes()
    again = sweep(swept, metrics=["modes"])
    assert (swept / "table.csv").read_bytes() == before
    assert again.table() == (header, rows)
    with pytest.raises(InputError, match="holds another sweep"):
        sweep(swept, metrics=["modes"], steps=2)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"steps": 3, "settings": {"train.steps": 2}}, "train.steps is given twice"),
        ({"settings": {"arch.hidden": []}}, "arch.hidden has no values"),
        ({"settings": {"arch.hidden": object()}}, "arch.hidden: a value must be"),
        ({"settings": {"arch.hiden": 8}}, "did you mean 'hidden'"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"seeds": "two"}, "seeds must be a whole number"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"metrics": "modes"}, "give metrics as a list"),
        ({"data": [1, 2]}, "give the name of a dataset or a path"),
        ({"loss": ["hinge", "hinge"]}, "hinge is given twice"),
    ],
)
def test_what_is_wrong_with_a_sweep_is_said_before_a_run_starts(given, words, tmp_path):
    with pytest.raises(InputError) as caught:
        ganzoo.sweep("mlp", **{"data": "ring", "out": tmp_path / "sweep", **given})
    assert words in str(caught.value)
    assert not (tmp_path / "sweep").exists()


def test_runs_that_fail_are_warned_about_and_an_error_if_all_do(monkeypatch, swept):
    from ganzoo_zoo.apps.sweep import function
    from ganzoo_zoo.apps.sweep.results import Results, Verdict

    kept = []

    def fail(grid, out, **_):
        cells = grid.cells()
        return Results(
            Path(out), cells, {c.name: Verdict([], "out of luck") for c in kept or cells}
        )

    def fail_partly(grid, out, **_):
        cells = grid.cells()
        verdicts = {cell.name: Verdict([ROW]) for cell in cells}
        return Results(Path(out), cells, {**verdicts, cells[0].name: Verdict([], "out of luck")})

    monkeypatch.setattr(function, "train_grid", fail)
    with pytest.raises(GanzooError, match=r"all 2 runs in .* failed; mlp.*: out of luck"):
        sweep("nowhere")
    monkeypatch.setattr(function, "train_grid", fail_partly)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(sweep("nowhere").failed) == 1
    assert [str(each.message) for each in caught if "a run failed" in str(each.message)] != []


def test_a_training_is_timed(capsys):
    found = ganzoo.bench("mlp", data="ring", settings={**SMALL, "train.batch_size": 4}, steps=1)
    assert found.steps_per_second.median > 0
    assert capsys.readouterr() == ("", "")
