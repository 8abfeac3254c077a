"""Several runs in one page, and the curves of runs as a table."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

import ganzoo
from browser import opened
from document import parsed
from ganzoo.errors import InputError
from ganzoo.runs.folder import Run
from ganzoo.storage.json_files import append_line
from ganzoo_zoo.apps.report import csv_file, names, report
from tiny import TINY

RING = {"data": "ring", "settings": {"data.samples": 60, "arch.hidden": (4,)}, **TINY}
JUDGED = {"eval_every": 2, "eval_samples": 40, **RING}
EVIL = "<img src=x onerror=alert(1)>&\"'</script>"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two runs on the same points that differ in their seed and their critic."""
    folder = tmp_path_factory.mktemp("pair")
    first = ganzoo.train("mlp", **JUDGED, out=folder / "first")
    return [first, ganzoo.train("mlp", **JUDGED, seed=7, n_critic=2, out=folder / "second")]


@pytest.fixture(scope="module")
def page(pair, tmp_path_factory):
    """The report of both, and its tree."""
    file = tmp_path_factory.mktemp("page") / "both.html"
    return report(pair, file), parsed(file)


def curves(tree):
    """Yield the curves of each chart that scripts draw, without lines at totals."""
    for plot in json.loads(tree.one("script", id="plots").text):
        yield [curve for curve in plot["curves"] if "metric" in curve]


def test_each_metric_has_one_chart_and_each_run_one_colour(page):
    charts = list(curves(page[1]))
    metrics = [{curve["metric"] for curve in chart} for chart in charts]
    assert all(len(each) == 1 for each in metrics)
    assert len(set(map(frozenset, metrics))) == len(metrics), "none stands twice"
    assert {"modes", "generator/gradient_norm", "images_per_second"} <= set().union(*metrics)
    for chart in charts:
        assert {(curve["run"], curve["name"], curve["colour"]) for curve in chart} == {
            ("first", "first", 0),
            ("second", "second", 1),
        }


def test_what_differs_between_runs_is_a_table(page, pair):
    first, second = (run.config() for run in pair)
    rows = page[1].one(id="differences").all("tr")
    shown = {row.one("th").text: tuple(cell.text for cell in row.all("td")) for row in rows[1:]}
    assert shown.keys() == first.changes(second).keys()
    assert shown["train.seed"] == ("0", "7")
    assert shown["train.n_critic"] == ("1", "2")
    notes = page[1].one(id="curves").text
    assert "A step is not the same work in each run" in notes
    assert "Another seed can change the order" in notes


def test_a_third_run_has_its_own_values_and_those_of_the_first(pair, tmp_path):
    third = ganzoo.train(
        "mlp", **{"eval_every": 2, "eval_samples": 40, **RING, "seed": 8}, out=tmp_path / "third"
    )
    tree = parsed(report([*pair, third], tmp_path / "three.html").file)
    rows = tree.one(id="differences").all("tr")
    shown = {row.one("th").text: [cell.text for cell in row.all("td")] for row in rows[1:]}
    assert shown["train.seed"] == ["0", "7", "8"]
    assert shown["train.n_critic"] == ["1", "2", "1"]


def test_runs_that_differ_in_their_seed_alone_show_chance(pair, tmp_path):
    other = ganzoo.train("mlp", **JUDGED, seed=1, out=tmp_path / "other")
    said = parsed(report([pair[0], other], tmp_path / "seeds.html").file).one(id="curves").text
    assert "differ in their seed alone" in said
    assert "Another seed can change" not in said
    assert "A step is not the same work" not in said


def test_scores_of_runs_stand_side_by_side(page, pair):
    section = page[1].one(id="scores")
    table = section.all("table")[0]
    assert [cell.text.strip() for cell in table.all("th", scope="col")] == [
        "metric",
        "first",
        "second",
    ]
    (row,) = [row for row in table.all("tr") if row.all("td") and row.one("code").text == "modes"]
    for cell, run in zip(row.all("td"), pair, strict=True):
        last = next(each for each in reversed(run.scores) if each.metric == "modes")
        assert f"{last.value:.4f} " in cell.text
        assert "last, step 4)" in cell.text


def test_samples_of_runs_stand_beside_real_ones_of_their_data(page):
    section = page[1].one(id="samples")
    assert len(section.all(class_="stage")) == 2
    assert (
        section.one(class_="reals")
        .text.split("Real", 1)[1]
        .lstrip()
        .startswith("Real samples, not")
    )


def test_runs_on_other_data_have_no_real_samples_beside_them(pair, tmp_path):
    other = ganzoo.train("mlp", **RING | {"data": "grid"}, out=tmp_path / "grid")
    done = report([pair[0], other], tmp_path / "two.html")
    assert not parsed(done.file).all(class_="reals")
    assert done.missing == ()


def test_without_neighbours_no_real_sample_is_in_the_page(pair, tmp_path, monkeypatch):
    monkeypatch.setattr("ganzoo_zoo.apps.report.nearest_and_logits.load", None)
    assert not parsed(report(pair, tmp_path / "r.html", neighbours=0).file).all(class_="reals")


def test_the_same_runs_give_the_same_bytes(page, pair, tmp_path):
    again = report(pair, tmp_path / "again.html")
    assert again.file.read_bytes() == page[0].file.read_bytes()
    assert again.bytes == len(page[0].file.read_bytes()) < 5_000_000


def test_runs_of_one_name_are_told_apart(tmp_path):
    paths = [tmp_path / each for each in ("a/run", "b/run", "other")]
    found = names.name_runs([Run(path) for path in paths])
    assert found == ["a/run", "b/run", f"{tmp_path.name}/other"]
    assert names.name_runs([Run(paths[0])]) == ["run"]
    with pytest.raises(InputError, match="run is named twice"):
        names.name_runs([Run(paths[0]), Run(tmp_path / "b" / ".." / "a" / "run")])


def test_what_comes_from_runs_is_text_and_nothing_else(pair, tmp_path):
    run = Run.open(shutil.copytree(pair[0].path, tmp_path / '<b>run & "co"'))
    for step in (3, 4):
        append_line(run.path / "metrics.jsonl", {"step": step, f"generator/{EVIL}": 1.0})
    row = json.loads(run.score_log.read_text().splitlines()[-1])
    append_line(run.score_log, {**row, "metric": EVIL, "options": {EVIL: EVIL}})
    append_line(run.score_log, {**row, "metric": EVIL, "step": 2, "options": {EVIL: EVIL}})
    done = report([pair[1], run], tmp_path / "both.html")
    tree = parsed(done.file)
    assert "alert(1)" in done.file.read_text()
    assert not any("onerror" in node.attributes for node in tree.all())
    assert len(tree.all("script")) == 2
    assert '<b>run & "co"' in tree.one(id="runs").text
    assert EVIL in tree.one(id="scores").text


# A table --------------------------------------------------------------------------------------


def test_the_table_has_every_value_of_curves_and_scores(pair, ganzoo_cli, tmp_path):
    done = ganzoo_cli(
        "report", *(run.path for run in pair), "--out", "r.html", "--csv", "new/c.csv"
    )
    assert (done.code, done.out) == (0, "r.html\nnew/c.csv\n")
    rows = list(csv.DictReader(io.StringIO(Path("new/c.csv").read_text())))
    wanted = {}
    for run in pair:
        for text in (run.path / "metrics.jsonl").read_text().splitlines():
            row = json.loads(text)
            wanted |= {(run.path.name, key, row["step"]): value for key, value in row.items()}
        wanted |= {(run.path.name, each.metric, each.step): each.value for each in run.scores}
    beside = ("step", "images_seen")  # which are no curves
    wanted = {key: value for key, value in wanted.items() if key[1] not in beside}
    assert list(rows[0]) == list(csv_file.HEADER)
    found = {(row["run"], row["metric"], int(row["step"])): float(row["value"]) for row in rows}
    assert found == wanted
    assert len(rows) == len(found), "none stands twice"


def test_a_table_is_written_in_python(pair, tmp_path):
    assert csv_file.write_csv(pair[:1], tmp_path / "c.csv") == (
        len((tmp_path / "c.csv").read_text().splitlines()) - 1
    )


# The command ----------------------------------------------------------------------------------


def test_several_runs_are_written_to_the_current_folder(pair, ganzoo_cli, refused):
    asked = ["report", *(run.path for run in pair), "--neighbours", 0]
    found = json.loads(ganzoo_cli(*asked, "--json").out)
    assert found["file"] == "report.html"
    assert found["runs"] == [str(run.path) for run in pair]
    assert found["missing"] == []
    assert "report.html already exists; choose another --out, or add --force" in refused(*asked)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ONE", "ONE"], "first is named twice"),
        (["ONE"] * 9, "a report has 1 to 8 runs, not 9"),
        (["ONE", "OTHER", "--movie", "m.webp"], "--movie takes one run"),
        (["ONE", "--csv", "table.txt"], "--csv table.txt: the table must be a .csv"),
        (["ONE", "--csv", "there.csv"], "there.csv already exists; choose another --csv"),
        (["ONE", "nowhere"], "there is no run folder nowhere"),
    ],
)
def test_what_cannot_be_reported_is_said_in_a_line(words, message, pair, refused, tmp_path):
    (tmp_path / "there.csv").touch()
    given = {"ONE": pair[0].path, "OTHER": pair[1].path}
    assert message in refused("report", *(given.get(word, word) for word in words))
    assert not Path("report.html").exists()


# In a browser ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_one_slider_moves_the_samples_of_all_runs(width, scheme, browser, page):
    with opened(browser, page[0].file, width, color_scheme=scheme) as seen:
        assert seen.overflow <= 0, "no sideways scroll"
        captions = seen.page.locator(".frame:visible figcaption")
        assert captions.all_inner_texts() == ["Step 4", "Step 4"]
        seen.page.locator("#time").focus()
        seen.page.keyboard.press("Home")
        assert captions.all_inner_texts() == ["Step 0", "Step 0"]
        assert seen.page.locator(".chart canvas").count() == len(list(curves(page[1])))
    assert seen.complaints == []
    assert seen.requests == []


def test_the_page_gives_the_table_that_the_command_writes(browser, page, pair, tmp_path):
    csv_file.write_csv(pair, tmp_path / "c.csv")
    with opened(browser, page[0].file) as seen:
        with seen.page.expect_download() as download:
            seen.page.get_by_role("button", name="Curves as CSV").click()
        assert download.value.suggested_filename == "curves.csv"
        taken = Path(download.value.path()).read_text()
    assert seen.complaints == []

    tables = []
    for text in (taken, (tmp_path / "c.csv").read_text()):
        head, *rows = csv.reader(io.StringIO(text))
        assert head == list(csv_file.HEADER)
        tables.append({(*row[:2], int(row[2])): float(row[3]) for row in rows})
    assert tables[0].keys() == tables[1].keys()
    for key, value in tables[0].items():
        assert value == pytest.approx(tables[1][key], rel=1e-5), key


def test_a_page_of_many_long_runs_is_small_enough(pair, tmp_path):
    rows = []
    for step in range(10, 710):
        terms = {f"generator/term{i}": (step * (i + 7)) % 97 / 31 for i in range(12)}
        rows.append(json.dumps({"step": step, **terms}) + "\n")
    runs = []
    for number in range(8):
        run = Run.open(shutil.copytree(pair[0].path, tmp_path / f"run{number}"))
        with (run.path / "metrics.jsonl").open("a") as file:
            file.writelines(rows)
        runs.append(run)
    done = report(runs, tmp_path / "many.html", neighbours=0)
    assert len([title for title in done.curves if "term" in title]) == 12
    plots = json.loads(parsed(done.file).one("script", id="plots").text)
    longest = max(len(curve["steps"]) for plot in plots for curve in plot["curves"])
    assert longest < 700, "curves are as long as a page of so many has room for"
    assert done.bytes < 5_000_000
