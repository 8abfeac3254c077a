"""How a run is chosen on the page: controls from options, models to start from, drawing, links."""

import json
import re
import threading
from contextlib import contextmanager

import pytest

from browser import opened
from ganzoo import registry
from ganzoo.api.training import build_config
from ganzoo.component import place_options
from ganzoo.config import TrainSettings
from ganzoo.errors import InputError
from ganzoo.registry import ARCHITECTURE, DATASET, LOSS
from ganzoo_zoo.apps.watch.web import server as servers
from ganzoo_zoo.apps.watch.web.choices import (
    find_fitting_models,
    find_models,
    list_choices,
    resolve_choices,
)
from ganzoo_zoo.apps.watch.web.classroom import Classroom
from ganzoo_zoo.apps.watch.web.controls import list_controls
from ganzoo_zoo.apps.watch.web.server import PAGE, Server
from ganzoo_zoo.apps.watch.web.state import Dashboard
from ganzoo_zoo.apps.watch.web.words import WORDS
from ganzoo_zoo.data.points.drawn import MOST_POINTS, parse_strokes

OFFERED = list_choices()
NAMES = {word: [each["name"] for each in OFFERED[word]] for word in ("losses", "data")}
CHOSEN = [
    ("mlp", None, "ring"),
    ("dcgan", None, "digits"),
    *(("mlp", loss, "ring") for loss in NAMES["losses"]),
    *(("mlp", None, data) for data in NAMES["data"]),
]


@pytest.fixture(params=CHOSEN, ids=lambda names: "-".join(map(str, names)))
def chosen(request):
    """A choice of the page, its configuration and its controls."""
    config = resolve_choices(*request.param, {})
    return request.param, config, {each["key"]: each for each in list_controls(config)}


# Controls ---------------------------------------------------------------------------------------


def test_controls_show_the_values_that_a_run_would_have(chosen):
    names, config, controls = chosen
    shown = {key: each["value"] for key, each in controls.items() if each["value"] != ""}
    again = resolve_choices(*names, shown)
    assert again == config
    assert controls["train.steps"]["value"] == str(config.train.steps)


def test_every_option_has_a_control_but_those_that_may_name_files(chosen):
    names, config, controls = chosen
    parts = {
        "arch": registry.get(ARCHITECTURE, config.architecture.qualified),
        "loss": registry.get(LOSS, config.loss.qualified),
        "data": registry.get(DATASET, config.data.qualified),
        "train": TrainSettings,
    }
    every = {f"{prefix}.{name}" for prefix, part in parts.items() for name in part.model_fields}
    places = {f"{prefix}.{name}" for prefix, part in parts.items() for name in place_options(part)}
    assert set(controls) <= every - places
    assert every - set(controls) - places <= {"loss.base_options", "data.attribute"}
    for key in every - set(controls) - {"loss.base_options"}:
        with pytest.raises(InputError, match="may name a file"):
            resolve_choices(*names, {key: "a"})
    assert all(each["about"] and each["label"] for each in controls.values())


def is_refused(names, key, value):
    """Tell whether a value is refused for its own sake; another option may not allow it."""
    try:
        resolve_choices(*names, {key: value})
    except InputError as error:
        return key in error.message
    return False


def test_controls_hold_the_bounds_of_their_options(chosen):
    names, _, controls = chosen
    for key, each in controls.items():
        for choice in each["choices"]:
            assert resolve_choices(*names, {key: choice}), (key, choice)
        if each["kind"] not in ("integer", "widths"):
            assert each["kind"] in ("number", "choice", "switch", "text")
            continue
        for bound, beyond in (("least", -1), ("most", 1)):
            if each[bound] is not None:
                assert not is_refused(names, key, str(each[bound])), (key, bound)
                with pytest.raises(InputError, match=re.escape(key)):
                    resolve_choices(*names, {key: str(each[bound] + beyond)})


def test_kinds_of_controls():
    controls = {
        each["key"]: each for each in list_controls(resolve_choices("mlp", None, "ring", {}))
    }
    assert {key: controls[key]["kind"] for key in ("arch.z_dim", "arch.prior", "arch.hidden")} == {
        "arch.z_dim": "integer",
        "arch.prior": "choice",
        "arch.hidden": "widths",
    }
    assert controls["arch.discriminator_hidden"]["optional"]
    assert controls["arch.discriminator_hidden"]["value"] == ""
    assert controls["train.generator_lr"]["kind"] == "number"
    assert controls["train.tf32"]["kind"] == "switch"
    assert controls["train.betas"]["kind"] == "text"
    assert not controls["train.tf32"]["front"]


def test_words_for_a_class_are_of_options_that_there_are():
    every = {
        f"{prefix}.{name}"
        for prefix, kind in (("arch", ARCHITECTURE), ("loss", LOSS), ("data", DATASET))
        for entry in registry.entries(kind)
        for name in entry.load().model_fields
    }
    every |= {f"train.{name}" for name in TrainSettings.model_fields}
    assert set(WORDS) <= every


def test_every_preset_can_be_started_and_filled_into_the_form():
    for preset in OFFERED["presets"]:
        config = resolve_choices(**preset["asked"])
        names = [preset["asked"][word] for word in ("architecture", "loss", "data")]
        controls = {each["key"] for each in list_controls(resolve_choices(*names, {}))}
        assert set(preset["asked"]["settings"]) <= controls, preset["name"]
        assert config.title


def test_sketches_fit_their_square():
    sketches = {each["name"]: each["sketch"] for each in OFFERED["data"]}
    assert len(sketches["ring"]["dots"]) == 8
    assert len(sketches["moons"]["lines"]) == 2
    assert sketches["digits"] is None
    for sketch in filter(None, sketches.values()):
        points = [*sketch["dots"], *(point for line in sketch["lines"] for point in line)]
        assert max(abs(each) for point in points for each in point) + 2 * sketch["spread"] < 1.01


# What a drawing may be --------------------------------------------------------------------------


def test_strokes_are_numbers_and_no_path():
    given = {"data.strokes": "0,0.5 0.25,-1; -.5,+0.5"}
    assert resolve_choices("mlp", None, "drawn", given).data.options["strokes"]
    for text in ("..", "../a", "a", "/", "~", "1/2", "", " ", "0,0.5\x00"):
        with pytest.raises(InputError, match="may name a file"):
            resolve_choices("mlp", None, "drawn", {"data.strokes": text})
    with pytest.raises(InputError, match="is not a point"):
        resolve_choices("mlp", None, "drawn", {"data.strokes": "2,2"})


# Models to start from ---------------------------------------------------------------------------


def test_a_run_starts_from_a_model_as_with_init():
    found = resolve_choices("mlp", None, "grid", {"train.steps": "7"}, "ring-mlp")
    looks = {"train.log_every": 1, "train.sample_every": 50, "train.steps": "7"}
    like, _ = build_config("ring-mlp", "mlp", None, "grid", looks, ["watch"])
    assert found == like
    assert found.init is not None
    assert found.init.name == "ring-mlp"


@pytest.mark.parametrize(
    "name", ["runs/x", "/etc", "user/name", "./ring-mlp", "emoji-fastgan", "nowhere", ""]
)
def test_no_other_model_can_be_started_from(name):
    with pytest.raises(InputError, match="no model to start from"):
        resolve_choices("mlp", None, "ring", {}, name)


def test_models_are_offered_where_they_fit():
    assert [each["name"] for each in OFFERED["models"]] == list(find_models())
    offered = {each["data"] for each in OFFERED["models"]}
    assert offered <= set(NAMES["data"])
    assert find_fitting_models(resolve_choices("mlp", None, "moons", {})) == ["ring-mlp"]
    assert find_fitting_models(resolve_choices("mlp", None, "digits", {})) == ["digits-mlp"]
    assert find_fitting_models(resolve_choices("sngan", None, "digits", {})) == []


# The page ---------------------------------------------------------------------------------------


PRESETS = [
    {
        "name": "first",
        "title": "It learns",
        "sentence": "All modes are found.",
        "look": "Count the modes.",
        "asked": {"architecture": "mlp", "data": "ring", "settings": {"arch.hidden": "8,4"}},
    }
]


@pytest.fixture
def serving(monkeypatch):
    """Serve a page with a preset, which notes what it was asked to start."""
    asked = []

    def start(self, given, person, **more):
        resolve_choices(**{key: value for key, value in given.items() if key != "preset"})
        asked.append({**given, **more, "owner": person.owner})
        return "7"

    monkeypatch.setattr(Dashboard, "start", start)
    monkeypatch.setattr(servers, "list_choices", lambda: {**list_choices(), "presets": PRESETS})

    @contextmanager
    def serve(classroom=None):
        board = Dashboard([], None, classroom)
        with Server(board, "127.0.0.1", 0) as server:
            thread = threading.Thread(target=server.serve_forever, args=[0.01])
            thread.start()
            try:
                yield server.address, asked
            finally:
                server.shutdown()
                thread.join()
                board.close()

    return serve


def open_form(page):
    page.locator("#new summary").first.click()
    page.get_by_label("Steps", exact=True).wait_for()


def start(page, asked, count):
    page.locator("#start").click()
    page.locator("#new > details:not([open])").wait_for()
    assert len(asked) == count
    return asked[-1]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_lesson_is_started_and_a_drawing_is_learnt(browser, serving, width, scheme):
    with (
        serving() as (address, asked),
        opened(browser, address, width, color_scheme=scheme) as seen,
    ):
        page = seen.page
        first = page.locator(".preset").first
        first.get_by_text("All modes are found.").wait_for()
        first.get_by_role("button", name="Start").click()
        page.locator("#lesson > details:not([open])").wait_for()
        assert asked[0]["preset"] == "first"
        assert asked[0]["settings"] == {"arch.hidden": "8,4"}

        # What is chosen in the form is what is asked for, and nothing else.
        open_form(page)
        page.get_by_role("button", name="Generator’s layers: one layer more").click()
        page.get_by_label("Generator’s layers: units of layer 5").fill("16")
        page.get_by_label("Kind of noise").select_option("uniform")
        page.get_by_label("Generator’s learning rate").fill("0.001")
        found = start(page, asked, 2)
        assert found["settings"] == {
            "arch.hidden": "128,128,128,128,16",
            "arch.prior": "uniform",
            "train.generator_lr": "0.001",
        }
        assert (found["loss"], found["data"], found["preset"]) == (None, "ring", None)

        # A drawing by hand.
        open_form(page)
        page.get_by_role("radio", name="draw your own").check()
        pad = page.locator(".pad")
        pad.wait_for()
        pad.scroll_into_view_if_needed()
        box = pad.bounding_box()
        for shift in (0, 30):
            page.mouse.move(box["x"] + 30, box["y"] + 30 + shift)
            page.mouse.down()
            for i in range(40):
                page.mouse.move(box["x"] + 30 + 4 * i, box["y"] + 30 + shift + 5 * (i % 9))
            page.mouse.up()
        page.get_by_role("button", name="Undo").click()
        found = start(page, asked, 3)
        (stroke,) = parse_strokes(found["settings"]["data.strokes"])
        assert 5 < len(stroke) < 60
        assert stroke[0] == pytest.approx((60 / box["width"] - 1, 1 - 60 / box["height"]), abs=0.02)
        assert all(
            len(each.partition(".")[2]) <= 2
            for each in re.findall(r"[\d.]+", found["settings"]["data.strokes"])
        )
        assert seen.overflow <= 0
    assert seen.complaints == []
    assert seen.requests == []


def test_a_drawing_has_at_most_as_many_points_as_the_dataset_takes(browser, serving):
    text = (PAGE / "draw.js").read_text()
    assert f"MOST_POINTS = {MOST_POINTS};" in text
    with serving() as (address, _), opened(browser, address) as seen:
        written = seen.page.evaluate(
            """async () => {
                const { simplify, write } = await import("/draw.js");
                const at = (i, j) => [Math.sin(i + 99 * j), Math.cos(3 * i + 77 * j)];
                const wild = Array.from({ length: 300 }, (_, i) =>
                  Array.from({ length: 60 }, (_, j) => at(i, j)));
                return [write(simplify(wild)), write(simplify([[[5, 0.123456]]]))];
            }"""
        )
    assert sum(map(len, parse_strokes(written[0]))) <= MOST_POINTS
    assert written[1] == "1,0.12"


def test_links_hold_settings_and_no_key(browser, serving):
    with serving() as (address, asked), opened(browser, address) as seen:
        page, key = seen.page, address.partition("#")[2]
        open_form(page)
        page.get_by_label("Loss", exact=True).select_option("wgan-gp")
        page.get_by_label("Weight of the gradient penalty").fill("5")
        page.get_by_label("Steps", exact=True).fill("300")
        page.get_by_text("More", exact=True).click()
        page.get_by_label("KEY=VALUE").fill("train.penalty=r1")
        page.get_by_text("Links", exact=True).click()
        page.get_by_role("button", name="Make a link").click()
        link = page.locator("#share-link").input_value()
        assert link.startswith(address.partition("#")[0] + "?s=")
        assert key not in link
        assert page.locator("#share-command").input_value() == (
            "ganzoo train mlp --loss wgan-gp --data ring --set loss.gp_weight=5 "
            "--set train.steps=300 --set train.penalty=r1 --tracker watch"
        )
        page.get_by_role("button", name="Close").click()
        whole = start(page, asked, 1)

        # Elsewhere it fills the form, from the address or pasted.
        with opened(browser, f"{link}#{key}") as other:
            field = other.page.get_by_label("Weight of the gradient penalty")
            field.wait_for()
            assert field.input_value() == "5"
            assert start(other.page, asked, 2) == whole
            open_form(other.page)
            other.page.get_by_role("button", name="Back to the usual values").click()
            other.page.get_by_text("Links", exact=True).click()
            other.page.get_by_label("Open a link").fill("https://example.org/x")
            other.page.get_by_role("button", name="Open", exact=True).click()
            other.page.get_by_text("not a link with settings").wait_for()
            other.page.get_by_label("Open a link").fill(link)
            other.page.get_by_role("button", name="Open", exact=True).click()
            field.wait_for()
            assert start(other.page, asked, 3) == whole
        assert other.complaints == []

        # Without a key the page says what it holds.
        with opened(browser, link) as looker:
            looker.page.get_by_text("ganzoo train mlp --loss wgan-gp").wait_for()
            assert looker.page.locator("#new").is_hidden()
    assert seen.complaints == []


def test_a_link_with_unknown_names_says_so(browser, serving):
    with serving() as (address, _), opened(browser, address) as seen:
        page = seen.page
        link = page.evaluate(
            """async (asked) => (await import("/link.js")).makeLink(asked)""",
            {
                "architecture": "mlp",
                "loss": "nowhere",
                "data": "elsewhere",
                "settings": {"arch.x": "1"},
            },
        )
        open_form(page)
        page.get_by_text("Links", exact=True).click()
        page.get_by_label("Open a link").fill(link)
        page.get_by_role("button", name="Open", exact=True).click()
        wrong = page.locator("#wrong")
        wrong.get_by_text("The loss ‘nowhere’ is not installed here.").wait_for()
        assert "The data ‘elsewhere’ is not installed here." in wrong.inner_text()
        assert page.get_by_label("KEY=VALUE").input_value() == "arch.x=1"
        for text, message in (
            ("?s=W10", "not a link with settings"),
            ("?s=eyJvdXQiOiJ4In0", "does not know: out"),
            ("?s=eyJzZXR0aW5ncyI6eyJhIjoxfX0", "not texts"),
            ("?s=e30", "names no architecture"),
        ):
            page.get_by_label("Open a link").fill(text)
            page.get_by_role("button", name="Open", exact=True).click()
            wrong.get_by_text(message).wait_for()
    assert seen.complaints == []


def test_a_run_starts_from_a_model_that_fits(browser, serving):
    with serving() as (address, asked), opened(browser, address) as seen:
        page = seen.page
        open_form(page)
        page.get_by_label("Start from").select_option("ring-mlp")
        page.get_by_text("The model decides the noise and the layers.").wait_for()
        assert page.get_by_label("Length of the noise").count() == 0
        assert start(page, asked, 1)["init"] == "ring-mlp"
        open_form(page)
        page.get_by_role("radio", name="digits", exact=True).check()
        page.locator("#init option[value=digits-mlp]").wait_for(state="attached")
        assert start(page, asked, 2)["init"] is None
    assert seen.complaints == []


def test_a_pupil_enters_with_the_code_and_stays_in(browser, serving):
    room = Classroom("KLAXUW")
    with serving(room) as (address, asked), opened(browser, address) as teacher:
        teacher.page.locator("#class-code", has_text="KLA-XUW").wait_for()
        with opened(browser, address.partition("#")[0], 390) as seen:
            page = seen.page
            page.get_by_label("Code").fill("kla-xux")
            page.get_by_label("Your name").fill("Anna <b>")
            page.get_by_role("button", name="Enter").click()
            page.get_by_text("not the code of this class").wait_for()
            seen.complaints.clear()  # a browser says that a request was refused
            assert page.locator("#new").is_hidden()
            page.get_by_label("Code").fill("kla xuw")
            page.get_by_role("button", name="Enter").click()
            page.get_by_text("Hello, Anna <b>").wait_for()
            page.get_by_text("You can have 3 runs on this page. Each may take").wait_for()
            assert page.locator("#class-code").is_hidden()
            page.reload()
            page.locator(".preset").get_by_role("button", name="Start").click()
            page.locator("#lesson > details:not([open])").wait_for()
            assert asked[-1]["owner"] == "Anna <b>"
            assert "#" not in page.url
            assert seen.overflow <= 0
        teacher.page.locator("#pupils", has_text="Anna <b>").wait_for()
    assert seen.complaints == teacher.complaints == []


def test_settings_of_a_link_are_the_same_on_every_page(browser, serving):
    asked = {
        "architecture": "mlp",
        "loss": None,
        "data": "drawn",
        "init": None,
        "preset": None,
        "settings": {"data.strokes": "0,0.5 0.25,-1; 1,1", "train.seed": "é’\u202e"},
    }
    with serving() as (address, _), opened(browser, address) as seen:
        found = seen.page.evaluate(
            """async (asked) => {
                const { makeLink, readLink, makeCommand } = await import("/link.js");
                return [readLink(makeLink(asked)), makeCommand(asked)];
            }""",
            asked,
        )
    assert found[0] == asked
    assert json.dumps(found[1])
    assert "--set 'data.strokes=0,0.5 0.25,-1; 1,1'" in found[1]
