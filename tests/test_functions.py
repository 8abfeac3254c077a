"""Functions of ``import ganzoo`` that packages add, and those of the box."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import ganzoo
from ganzoo import registry
from ganzoo.errors import GanzooError, InputError, PluginError
from ganzoo.registry import FUNCTION
from ganzoo.runs.scores import log_scores
from ganzoo_zoo.apps.sweep import function
from ganzoo_zoo.apps.sweep.grid import Grid
from ganzoo_zoo.apps.sweep.results import Results, Verdict
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


def sweep(**given):
    return ganzoo.sweep("mlp", **{"data": "ring", "out": "sweep", **given})


@pytest.fixture
def verdicts(monkeypatch):
    """Have a sweep train nothing and end in some verdicts; returns these, and the grids."""
    ends, grids = [], []

    def end(grid, out, **_):
        grids.append(grid)
        cells = grid.cells()
        names = [cell.name for cell in cells]
        return Results(Path(out), cells, dict(zip(names, ends, strict=True)))

    monkeypatch.setattr(function, "train_grid", end)
    return ends, grids


def test_lists_give_several_values_and_tuples_are_one(verdicts):
    ends, grids = verdicts
    ends += [Verdict([ROW])] * 8
    settings = {"arch.hidden": [(8,), (4, 4)], "arch.z_dim": 4, "arch.prior": "uniform"}
    sweep(loss="hinge", settings=settings, seeds=[3, 7], steps=[2, 3], tf32=True)
    (grid,) = grids
    assert grid == Grid(
        architectures=("mlp",),
        losses=("hinge",),
        data="ring",
        settings={
            "arch.hidden": ("8", "4,4"),
            "arch.z_dim": ("4",),
            "arch.prior": ("uniform",),
            "train.steps": ("2", "3"),
            "train.tf32": ("true",),
        },
        seeds=(3, 7),
    )
    widths = [cell.config.architecture.options["hidden"] for cell in grid.cells()]
    assert [8] in widths
    assert [4, 4] in widths


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
def test_what_is_wrong_with_a_sweep_is_said_before_a_run_starts(given, words):
    with pytest.raises(InputError) as caught:
        sweep(**given)
    assert words in str(caught.value)
    assert not Path("sweep").exists()


def test_runs_that_fail_are_warned_about_and_an_error_if_all_do(verdicts):
    ends, _ = verdicts
    ends += [Verdict([ROW]), Verdict([], "out of luck")]
    with pytest.warns(ganzoo.GanzooWarning, match=r"a run failed: mlp.*: out of luck") as caught:
        assert len(sweep(seeds=2).failed) == 1
    assert caught[0].filename == __file__
    ends[0] = ends[1]
    with pytest.raises(GanzooError, match=r"all 2 runs in sweep failed; mlp.*: out of luck"):
        sweep(seeds=2)


# The page -------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[1] / "docs" / "how-to" / "python.md").read_text("utf-8")
QUICK = {
    "steps=400": 'steps=1, batch_size=4, device="cpu", settings={"arch.base_channels": 4}',
    'metrics=["is"]': 'metrics=["is"], samples=50, real_samples=50',
    "private=True": "dry_run=True",
}


def test_the_page_on_python_runs():
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    for long, short in QUICK.items():
        assert long in code
        code = code.replace(long, short)
    names = {}
    exec(code, names)
    assert names["samples"].shape == (16, 1, 16, 16)
    assert torch.equal(names["model"].sample(16), names["samples"])
    assert names["scores"][0].metric == "is[digits-cnn]"


def test_the_page_on_python_names_functions_and_commands(ganzoo_cli):
    rows = re.findall(r"^\| `ganzoo ([\w-]+).*?` \| `ganzoo\.(\w+)\(", PAGE, re.MULTILINE)
    known = ganzoo_cli("--help").out
    for command, function_name in rows:
        assert re.search(rf"^\W+{command}\b", known, re.MULTILINE), command
        assert callable(getattr(ganzoo, function_name))
    assert {entry.name for entry in registry.entries(FUNCTION)} < {name for _, name in rows}
