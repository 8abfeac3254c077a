"""What Python shows: progress in notebooks and terminals, runs, models and scores, observers."""

import io
import os
import re
import shutil
import sys
import time
import types
import warnings
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo.display.choice import show_training, show_work
from ganzoo.display.notebook import NotebookBar, NotebookObserver
from ganzoo.display.terminal import ProgressBar, ProgressObserver
from ganzoo.errors import GanzooWarning, InputError
from ganzoo.media import html, images
from ganzoo.runs.scores import ScoreRow, ScoreTable, log_scores
from ganzoo.storage.files import sha256
from ganzoo.storage.json_files import append_line
from ganzoo.training.observer import ObserverGroup
from tiny import TINY

EVIL = "<script>alert(1)</script>&'\"\n\x1b[2J"
MLP = {"settings": {"arch.hidden": (4,), "data.image_size": 8}, **TINY}
ELEMENTS = {
    "div",
    "b",
    "span",
    "img",
    "progress",
    "pre",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}


def parsed(text):
    """Parse HTML strictly; it must be of plain elements, without scripts."""
    tree = ElementTree.fromstring(f"<div>{text}</div>")
    for element in tree.iter():
        assert element.tag in ELEMENTS
        assert not any(name.startswith("on") for name in element.attrib)
        assert element.get("src", "data:image/").startswith("data:image/")
    return tree


def words(tree):
    return " ".join(" ".join(tree.itertext()).split())


class Notebook:
    """What a kernel was told to show, by the number of its place below the cell."""

    def __init__(self):
        self.shown = []

    def display(self, content, display_id):
        assert display_id is True
        place = self.add(content, sum(first for first, *_ in self.shown))
        return types.SimpleNamespace(update=lambda new: self.add(new, place, False))

    def add(self, content, place, first=True):
        parsed(content.data)
        self.shown.append((first, place, content.data))
        return place

    def last(self, place):
        return [text for _, at, text in self.shown if at == place][-1]


@pytest.fixture
def notebook(monkeypatch):
    """Pass for the kernel of a notebook."""
    found = Notebook()
    shell = types.SimpleNamespace(kernel=object())
    package, module = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    package.get_ipython = lambda: shell
    module.display = found.display
    module.HTML = lambda data: types.SimpleNamespace(data=data)
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return found


@pytest.fixture
def terminal(monkeypatch, in_terminal):
    monkeypatch.setattr("ganzoo.display.choice._is_terminal", lambda: True)


def train(out="run", data="digits", **more):
    return ganzoo.train("mlp", data=data, out=out, **{**MLP, **more})


# Progress ---------------------------------------------------------------------------------------


def test_a_notebook_shows_bars_losses_and_samples_in_place(notebook, capsys):
    run = train(log_every=1)
    assert {place for _, place, _ in notebook.shown} == {0, 1}
    bar, picture = parsed(notebook.last(0)), parsed(notebook.last(1))
    assert words(bar).startswith(f"{run.config().title}, in run step 4 of 4 · done, 4 steps in ")
    assert (bar.find(".//progress").get("value"), bar.find(".//progress").get("max")) == ("4", "4")
    assert re.search(r"discriminator \d.\d{3} = .* generator \w+ -?\d.\d{3}", words(bar))
    assert picture.find(".//img").get("alt") == "Samples at step 4"
    assert capsys.readouterr() == ("", "")


def test_a_notebook_is_told_no_more_than_twice_a_second(notebook, monkeypatch, tiny_run):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    picture = images.grid(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
    with NotebookObserver() as observer:
        observer.on_start(tiny_run, tiny_run.config(), 0)
        for step in range(1, 1001):
            now += 0.01
            observer.on_step(step)
            observer.on_log({"step": step, "images_per_second": 5.0, "generator/a": 1.0})
            observer.on_picture(step, picture, "1 x 1")
        assert sum(place == 0 for _, place, _ in notebook.shown) <= 1 + 20
        assert sum(place == 1 for _, place, _ in notebook.shown) <= 10
        assert "5 images/s, " in words(parsed(notebook.last(0)))
    assert "stopped, 1,000 steps in 10 s" in notebook.last(0), "the last update does not wait"
    assert "Samples at step 1,000" in notebook.last(1)


def test_long_work_has_a_bar_while_it_lasts(notebook, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with show_work(None) as bar:
        assert isinstance(bar, NotebookBar)
        bar("reading " + EVIL, 1, 3)
        assert notebook.shown == [], "what is quick shows nothing"
        now += 1
        bar("reading " + EVIL, 2, 3)
        assert "2 of 3" in words(parsed(notebook.last(0)))
    assert notebook.last(0) == ""


def test_a_training_that_is_shown_gives_the_same_model(notebook):
    shown, silent = train("shown"), train("silent", progress=False)
    assert notebook.shown
    assert sha256(shown.model / "model.safetensors") == sha256(silent.model / "model.safetensors")


def test_scripts_are_silent_unless_they_ask(capsys):
    train("silent")
    assert capsys.readouterr() == ("", "")
    train("told", progress=True)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert told[1].startswith("step 4/4  discriminator ")
    ganzoo.resume("told", {"train.steps": 5}, progress=True)
    assert "step 5/5" in capsys.readouterr().err


def test_a_terminal_shows_a_training_unless_one_declines(terminal, capsys):
    train("shown")
    assert "4/4" in capsys.readouterr().err
    train("declined", progress=False)
    ganzoo.evaluate("declined", ["is"], samples=20, real_samples=20, progress=False)
    assert capsys.readouterr().err == ""


def test_evaluation_shows_its_progress_or_tells_a_listener(terminal, tiny_run, monkeypatch):
    seen, told = [], []
    monkeypatch.setattr(ProgressBar, "__call__", lambda self, *news: seen.append(news))
    ganzoo.evaluate(tiny_run.model, ["is"], samples=20, real_samples=20)
    ganzoo.evaluate(
        tiny_run.model, ["is"], samples=20, real_samples=20, progress=lambda *new: told.append(new)
    )
    assert seen == told != []


def test_warnings_are_pythons_however_progress_is_shown(notebook, capsys, tmp_path):
    for i in range(3):
        Image.new("RGB", (8, 8), (80 * i, 0, 0)).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_bytes(b"no")
    with pytest.warns(GanzooWarning, match="broken.png") as noted:
        train("one", tmp_path, steps=0)
    assert {warning.filename for warning in noted} == {__file__}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with show_training(True, None) as observer:
            observer.on_warning("beware")
    assert [str(each.message) for each in caught] == ["beware"]
    assert "beware" not in capsys.readouterr().err + "".join(text for *_, text in notebook.shown)
    with ProgressObserver(prints_warnings=False) as bars:
        bars.on_warning("beware")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("wrong", [1, "yes", [True]])
def test_progress_is_true_false_or_none(wrong):
    with pytest.raises(InputError, match="progress is True, False or None, not "):
        train(progress=wrong)
    with pytest.raises(InputError, match="give as observer an Observer, not a int"):
        train(observer=3)


# Observers --------------------------------------------------------------------------------------


def stop_at(step):
    class Stopping(ganzoo.Observer):
        def __init__(self):
            self.steps = []

        def on_step(self, done):
            self.steps.append(done)

        def on_log(self, row):
            if row["step"] == step:
                self.stop()

    return Stopping()


@pytest.mark.parametrize("step", [1, 2])
def test_an_observer_ends_a_training_which_can_go_on(step):
    whole = train("whole", log_every=1)
    observer = stop_at(step)
    run = train("stopped", observer=observer, log_every=1)
    assert observer.steps == list(range(1, step + 1))
    assert observer.is_stopping
    assert f", stopped, step {step} of 4>" in repr(run)
    model = ganzoo.load(run)
    assert model.config.step == step
    run = ganzoo.resume(run)
    assert ", finished, 4 steps>" in repr(run)
    for file in ("model.safetensors", "samples.png"):
        assert sha256(run.model / file) == sha256(whole.model / file)


def test_a_stop_at_the_last_step_changes_nothing():
    run = train("run", observer=stop_at(4))
    assert ", finished, 4 steps>" in repr(run)


def test_an_observer_stops_a_training_by_its_scores():
    class Good(ganzoo.Observer):
        def on_scores(self, rows):
            assert rows[0].metric == "fid[digits-cnn]"
            self.stop()

    run = train("run", observer=Good(), eval_every=2, eval_samples=20)
    assert ganzoo.load(run).config.step == 2
    assert [row.step for row in run.scores] == [2]


def test_each_of_a_group_is_told_everything(tiny_run):
    class Keeper(ganzoo.Observer):
        def __init__(self):
            self.calls = []

        def __getattribute__(self, name):
            if not name.startswith("on_"):
                return super().__getattribute__(name)
            return lambda *given: self.calls.append((name, given))

    callbacks = {name for name in vars(ganzoo.Observer) if name.startswith("on_")}
    assert callbacks <= vars(ObserverGroup).keys()
    one, two = Keeper(), Keeper()
    group = ObserverGroup(one, two)
    group.on_ready("trainer")
    group.on_start(tiny_run, "config", 0)
    group.on_step(1)
    group.on_log({"step": 1})
    group.on_picture(1, "picture", "1 x 1")
    group.on_scores(["row"])
    group.on_progress("reading", 1, 2)
    group.on_change(1, {"train.generator_lr": 1e-3})
    group.on_warning("beware")
    group.on_warning_end("beware", "it is over")
    assert one.calls == two.calls
    assert {name for name, _ in one.calls} == callbacks
    assert not group.is_stopping
    two.stop()
    assert group.is_stopping


# Runs -------------------------------------------------------------------------------------------


def test_a_run_says_what_it_is(tiny_run):
    title = tiny_run.config().title
    assert repr(tiny_run).startswith(f"<Run {tiny_run.path}: {title}, finished, 4 steps")
    tree = parsed(tiny_run._repr_html_())
    samples, curve = tree.findall(".//img")
    assert samples.get("alt") == "Samples at step 4"
    assert curve.get("alt").startswith("discriminator, generator from ")
    assert tree.find(".//pre").text.splitlines() == [
        f"model = ganzoo.load({str(tiny_run.path)!r})",
        "model.show(16)",
        f"ganzoo.evaluate({str(tiny_run.path)!r})",
    ]
    with Image.open(tiny_run.picture(4)) as picture:
        assert tiny_run.show().tobytes() == picture.tobytes()


def test_a_run_that_is_not_finished_says_how_to_go_on():
    class Broken(ganzoo.Observer):
        def on_step(self, step):
            if step == 3:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        train("run", observer=Broken(), log_every=1)
    run = ganzoo.resume("run", {"train.steps": 4})
    shutil.rmtree(run.model)
    assert ", training, step 4 of 4>" in repr(run)
    assert parsed(run._repr_html_()).find(".//pre").text == "ganzoo.resume('run')"
    append_line(run.path / "metrics.jsonl", {"step": 4, "warning": "diverged", "message": EVIL})
    assert ", diverged, step 4 of 4>" in repr(run)
    assert "diverged" in words(parsed(run._repr_html_()))


DAMAGES = {
    "no folder": shutil.rmtree,
    "no configuration": lambda path: (path / "config.json").unlink(),
    "a damaged configuration": lambda path: (path / "config.json").write_text("{"),
    "a pipe": lambda path: ((path / "config.json").unlink(), os.mkfifo(path / "config.json")),
    "no metrics": lambda path: (path / "metrics.jsonl").unlink(),
    "metrics of all kinds": lambda path: (path / "metrics.jsonl").write_text(
        '{"step": 1, "generator/a": 1e308}\n{"step": 1e400}\n{"step": 2, "generator/a": "x"}\n'
        '{"step": 3, "generator/a": NaN}\n[]\nno\n{"step": 4, "generator/' + "x" * 3000 + '": 1}\n'
    ),
    "metrics that are a folder": lambda path: (
        (path / "metrics.jsonl").unlink(),
        (path / "metrics.jsonl").mkdir(),
    ),
    "scores that are none": lambda path: (path / "scores.jsonl").write_text("{}\nno\n"),
    "a picture that is none": lambda path: (path / "samples" / "00000004.png").write_text("no"),
    "no samples": lambda path: shutil.rmtree(path / "samples"),
    "a model without files": lambda path: (
        shutil.rmtree(path / "model"),
        (path / "model").mkdir(),
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_run_shows_what_is_left(name, tiny_run, tmp_path):
    run = type(tiny_run)(shutil.copytree(tiny_run.path, tmp_path / "copy"))
    DAMAGES[name](run.path)
    assert repr(run).startswith(f"<Run {run.path}: ")
    shown = words(parsed(run._repr_html_()))
    unread = ("no folder", "no configuration", "a damaged configuration", "a pipe")
    unread += ("metrics that are a folder",)
    assert ("it cannot be read" in shown) == (name in unread)
    assert ("ganzoo.resume(" in shown) == (name in ("no folder", "a model without files"))


def test_hostile_names_are_text(tiny_run, tmp_path, notebook):
    evil = EVIL.replace("/", "")
    run = type(tiny_run)(shutil.copytree(tiny_run.path, tmp_path / evil))
    row = ROW.model_copy(update={"metric": EVIL, "data": {"name": EVIL}})
    log_scores(run.score_log, [row])
    append_line(run.path / "metrics.jsonl", {"step": 4, f"generator/{EVIL}": 1.0})
    for shown in (repr(run), repr(run.scores)):
        assert "\x1b" not in shown
        assert "<script>" in shown
    assert "\n" not in repr(run)
    tree = parsed(run._repr_html_())
    assert "<script>" in words(tree)
    assert "<script>" in words(parsed(run.scores._repr_html_()))
    assert "\x1b" not in run._repr_html_()
    with NotebookObserver() as observer:
        observer.title = observer.scores = EVIL
        observer.row = {f"generator/{EVIL}": 1.0, "images_per_second": 2.0}
        assert "<script>" in words(parsed(observer.render()))
        observer.title = ""


# Scores -----------------------------------------------------------------------------------------


ROW = ScoreRow(
    metric="fid",
    value=12.3456,
    std=0.5,
    higher_is_better=False,
    features=None,
    data={"name": "digits", "split": "all", "fingerprint": "0"},
    real_samples=1797,
    fake_samples=500,
    image_size=None,
    seed=0,
    step=1200,
    note=None,
    versions={},
)


def test_scores_are_a_list_that_shows_as_a_table():
    table = ScoreTable([ROW, ROW.model_copy(update={"metric": "is", "std": None, "step": None})])
    assert table == list(table)
    assert repr(table).splitlines() == [
        "metric  value             better  step   fakes  reals  data",
        "fid     12.3456 ± 0.5000  lower   1,200  500    1,797  digits",
        "is      12.3456           lower          500    1,797  digits",
    ]
    rows = [[cell.text for cell in row] for row in parsed(table._repr_html_()).iter("tr")]
    assert rows[0] == list(ScoreTable.HEADER)
    assert rows[1] == ["fid", "12.3456 ± 0.5000", "lower", "1,200", "500", "1,797", "digits"]
    assert repr(ScoreTable()) == "no scores"
    assert words(parsed(ScoreTable()._repr_html_())) == "no scores"


def test_an_evaluation_gives_a_table_which_the_run_keeps():
    run = train()
    assert run.scores == []
    found = ganzoo.evaluate(run, ["is"], samples=20, real_samples=20)
    assert isinstance(found, ScoreTable)
    assert run.scores == found
    assert isinstance(run.scores, ScoreTable)
    assert f", {found[0].metric} {found[0].value:.4g}>" in repr(run)
    assert found[0].metric in words(parsed(run._repr_html_()))
    assert found[0].metric in words(parsed(ganzoo.load(run)._repr_html_()))


# Models -----------------------------------------------------------------------------------------


def test_a_model_shows_its_samples(tiny_run):
    model = ganzoo.load(tiny_run)
    assert repr(model) == f"<Model {model.title}: images of 1 x 16 x 16>"
    tree = parsed(model._repr_html_())
    assert tree.find(".//img").get("alt") == "Samples"
    assert tree.find(".//pre").text.startswith("model.show(16)\nmodel.images(16, seed=0)")
    assert model.show(3, seed=1).size == (3 * 66 + 2, 66 + 2)
    assert model.show().size == (8 * 66 + 2, 2 * 66 + 2)
    drawn = model.images(3, seed=1)
    assert [each.size for each in drawn] == [(16, 16)] * 3
    stored = images.to_uint8(model.sample(3, seed=1))
    assert drawn[2].tobytes() == bytes(stored[2].flatten().tolist())


def test_a_model_whose_files_are_gone_still_shows(tiny_run, tmp_path):
    model = ganzoo.load(shutil.copytree(tiny_run.model, tmp_path / "model"))
    shutil.rmtree(tmp_path / "model")
    assert repr(model).startswith("<Model dcgan trained with wgan-gp on digits")
    assert "model.show(16)" in words(parsed(model._repr_html_()))
    model.folder = None
    assert parsed(model._repr_html_()).find(".//img") is not None


def test_vectors_show_as_a_plot():
    model = ganzoo.load(ganzoo.train("mlp", data="ring", out="run", **{**TINY, "steps": 0}))
    assert repr(model).endswith(": vectors of 2>")
    assert model.show().size == (640, 640)
    assert "model.images" not in words(parsed(model._repr_html_()))
    with pytest.raises(InputError, match="samples of this model are vectors"):
        model.images(4)


def test_a_conditional_model_shows_a_column_for_each_class():
    settings = {**MLP["settings"], "arch.conditional": True}
    model = ganzoo.load(train(settings=settings, steps=0))
    assert repr(model).endswith(": images of 1 x 8 x 8, 10 classes>")
    assert model.show().size[0] == 10 * 66 + 2
    assert len(model.images(2, label=7)) == 2


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan"])
def test_models_that_take_images_show_them_above_what_they_make(name, tmp_path):
    for kind in ("dark", "light"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for i in range(4):
            pixels = torch.randint(0, 255, (24, 24, 3), dtype=torch.uint8).numpy()
            Image.fromarray(pixels).save(tmp_path / "photos" / kind / f"{i}.png")
    own = {"pix2pix": {"arch.source_of": "grey"}, "cyclegan": {"arch.blocks": 1}}[name]
    settings = {"arch.base_channels": 2, "data.image_size": 24, **own}
    run = ganzoo.train(name, data="photos", out="run", settings=settings, **{**TINY, "steps": 0})
    model = ganzoo.load(run)
    tree = parsed(model._repr_html_())
    assert tree.find(".//img") is not None
    assert "model.translate(sources)" in words(tree)
    shown = model.show(3, seed=2)
    assert shown.size == (3 * 50 + 2, 2 * 50 + 2), "each above what becomes of it"
    assert model.show(3, seed=2).tobytes() == shown.tobytes()
    assert model.show(3, seed=3).tobytes() != shown.tobytes()
    with pytest.raises(InputError, match="this model makes images from images"):
        model.images(4)
    shutil.rmtree(tmp_path / "photos")
    with pytest.raises(InputError, match="photos"):
        model.show(3)
    assert parsed(model._repr_html_()).find(".//img") is not None


# Pieces -----------------------------------------------------------------------------------------


def test_a_chart_is_a_picture_of_finite_points():
    assert html.chart({}) == html.chart({"a": {1: 2.0}}) == ""
    assert html.chart({"a": {1: float("nan"), 2: float("inf")}}) == ""
    curve = {step: float(step) for step in range(10_000)} | {7: float("inf")}
    shown = html.chart({EVIL: curve, "flat": {0: 1.0, 5: 1.0}})
    tree = parsed(shown)
    assert len(shown) < 10_000
    assert tree.find(".//img").get("alt").endswith(" from 0 to 1e+04, steps 0 to 9,999")


def test_pictures_are_shrunk_to_a_page():
    wide = torch.zeros(3, 400, 1600, dtype=torch.uint8)
    small = images.to_small_png(wide)
    with Image.open(io.BytesIO(small)) as picture:
        assert picture.size == (640, 160)
