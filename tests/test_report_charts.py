"""What a report adds to curves and pictures: charts to work with, real samples, names, notes."""

import json

import pytest
import torch

import ganzoo
from browser import opened
from document import parsed
from ganzoo import DataSpec
from ganzoo.errors import GanzooError
from ganzoo.media.images import choose_columns
from ganzoo.runs.scores import ScoreRow
from ganzoo.storage.json_files import append_line
from ganzoo_zoo.apps.report import charts, history, numbers, reading, reals, report, scores
from ganzoo_zoo.apps.report import page as page_of_report
from tiny import TINY

RING = {
    "data": "ring",
    "settings": {"data.samples": 60, "arch.hidden": (4,)},
    "eval_every": 2,
    "eval_samples": 40,
    **TINY,
}
DIGITS = {
    "settings": {"data.image_size": 8, "arch.hidden": (8,), "arch.conditional": True},
    **TINY,
}
CURVE = {100 * i: float(i % 10 - 2) for i in range(1, 101)}
"""A curve of the test's run: from -2 to 7, at steps 100 to 10,000."""


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    """A run on points, with a curve that has zeros and numbers of a tracker."""
    run = ganzoo.train("mlp", **RING, out=tmp_path_factory.mktemp("ring") / "run")
    for step, value in CURVE.items():
        append_line(run.path / "metrics.jsonl", {"step": step, "augmentation/x": value})
    (run.path / "watch").mkdir()
    for step in (0, 2, 4):
        measured = {"modes": step, "of": 8, "high_quality": step / 8, "kl": 1.5, "js": 0.25}
        row = {"step": step, "points": "", "numbers": measured}
        append_line(run.path / numbers.FRAMES, row)
    return run


@pytest.fixture(scope="module")
def page(ring, tmp_path_factory):
    """Its report, and the tree."""
    file = tmp_path_factory.mktemp("page") / "report.html"
    return report(ring, file).file, parsed(file)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The report of a class-conditional run on digits, and its tree."""
    run = ganzoo.train("mlp", **DIGITS, out=tmp_path_factory.mktemp("digits") / "run")
    return run, parsed(report(run).file)


def plotted(tree):
    """Return the data of each chart that scripts draw, by its title."""
    titles = [node.one("h3").text for node in tree.all("figure", class_="chart")]
    data = json.loads(tree.one("script", id="plots").text)
    return {title: each for title, each in reversed(list(zip(titles, data, strict=True))) if each}


# Real samples and classes ---------------------------------------------------------------------


def test_as_many_real_samples_as_fakes_stand_beside_them(digits):
    tree = digits[1]
    figure = tree.one(id="samples").one(class_="reals")
    (picture,) = figure.all("img")
    fakes = tree.one(class_="stage").all("img")[-1]
    for name in ("width", "height"):
        assert picture.attributes[name] == fakes.attributes[name]
    said = figure.one("figcaption").text
    assert said.startswith("Real samples, not the model's: 60 of 1,797 training samples")
    assert "class of the fakes' column" in said
    assert picture.attributes["alt"] == said


def test_real_samples_stay_out_of_a_report_without_neighbours(digits, tmp_path, monkeypatch):
    monkeypatch.setattr("ganzoo_zoo.data.digits.Digits.read", None)
    tree = parsed(report(digits[0], tmp_path / "r.html", neighbours=0).file)
    assert not tree.all(class_="reals")
    assert tree.all("ol", class_="classes"), "names of classes are no training images"


def test_each_column_of_a_conditional_picture_is_named(digits):
    tree = digits[1]
    for frame in tree.one(class_="stage").all("figure"):
        assert [node.text for node in frame.one("ol").all("li")] == list("0123456789")
    names = tree.one(class_="reals").one("ol")
    assert names.attributes["aria-label"] == "Classes of the columns"


def test_columns_that_are_no_classes_have_no_names(page):
    assert not page[1].all("ol")
    spec = DataSpec(shape=(1, 8, 8), classes=3, class_names=("cat", "dog", "owl"))
    assert choose_columns(3) == 9
    assert reals.class_columns(spec, "9 x 7") == ("cat", "dog", "owl") * 3
    assert reals.class_columns(spec, "8 x 8") == ()
    assert reals.class_columns(spec, "plot") == ()
    assert reals.class_columns(spec, "") == ()
    many = DataSpec(shape=(1, 8, 8), classes=100)
    assert reals.class_columns(many, "8 x 8") == ()


def test_each_real_sample_has_the_class_of_its_column(digits):
    run, _ = digits
    samples = ganzoo.open_dataset("digits", image_size=8)
    wanted = torch.arange(60) % 10
    chosen = reals._choose_by_class(samples.labels, wanted, samples.spec)
    assert samples.labels[chosen].tolist() == wanted.tolist()
    assert len(chosen.unique()) == 60, "none stands twice"
    spec = DataSpec(shape=(2,), classes=3, class_names=("cat", "dog", "owl"))
    with pytest.raises(GanzooError, match="class dog has no training sample"):
        reals._choose_by_class(torch.tensor([0, 2]), torch.tensor([0, 1]), spec)
    drawn = reals.draw_reals(ganzoo.load(run), samples, "10 x 6")
    assert (drawn.shown, drawn.total, drawn.by_class) == (60, 1797, True)
    assert reals.draw_reals(ganzoo.load(run), samples, "") is None


# Modes ----------------------------------------------------------------------------------------


def test_modes_are_drawn_over_the_steps_below_a_line_at_all_of_them(page, ring):
    plots = plotted(page[1])
    held = plots["Modes held of 8, higher is better"]
    kept, line = held["curves"]
    modes = {row.step: row.value for row in ring.scores if row.metric == "modes"}
    assert dict(zip(kept["steps"], kept["values"], strict=True)) == modes
    assert (line["name"], line["values"]) == ("all", [8.0, 8.0])
    assert (held["low"], held["high"]) == (0, 8.0)
    quality = plots["Share of samples near a mode, higher is better"]
    assert (quality["low"], quality["high"]) == (0, 1.0)


def test_numbers_of_the_tracker_are_drawn_over_the_steps(page):
    plots = plotted(page[1])
    held, line = plots["Modes held"]["curves"]
    assert (held["metric"], held["values"]) == ("plane/modes", [0.0, 2.0, 4.0])
    assert line["values"] == [8.0, 8.0]
    assert plots["Share of points near a mode"]["high"] == 1.0
    names = [curve["metric"] for curve in plots["Divergence from the reals"]["curves"]]
    assert names == ["plane/kl", "plane/js"]


def test_classes_are_modes_too(ring):
    (row, *_) = [row for row in ring.scores if row.metric == "modes"]
    classes = row.model_copy(update={"note": "of 10 classes", "metric": "modes[digits-cnn]"})
    assert scores.describe_metric(classes).startswith("Classes held of 10[digits-cnn],")
    assert scores.find_total(classes) == 10
    assert scores.find_total(row.model_copy(update={"note": "often"})) is None


def test_numbers_that_are_damaged_are_left_out(tmp_path):
    assert numbers.read_numbers(tmp_path).curves == {}
    (tmp_path / "watch").mkdir()
    for row in ({"step": 1, "numbers": 3}, {"step": 2, "numbers": {"kl": "x", "modes": 1}}):
        append_line(tmp_path / numbers.FRAMES, row)
    assert numbers.read_numbers(tmp_path) == numbers.Numbers({}, None), "one point is no curve"


# Notes ----------------------------------------------------------------------------------------


def judged(ring, metric, **changed):
    rows = [ScoreRow.model_validate(row) for row in map(dict, ring.scores[:1])]
    return [row.model_copy(update={"metric": metric, **changed}) for row in rows]


def test_notes_stand_only_where_they_apply(ring):
    assert list(reading.about_curves("Loss of the generator")) == [reading.LOSS]
    assert list(reading.about_curves("Images per second")) == []
    few = judged(ring, "fid[digits-cnn]", fake_samples=500, real_samples=60_000)
    (note,) = reading.about_score(few, is_best_marked=False)
    assert note.startswith("FID of few samples is biased: with 500 it is too high")
    many = judged(ring, "fid", fake_samples=50_000, real_samples=60_000)
    assert list(reading.about_score(many, is_best_marked=False)) == []
    (note,) = reading.about_score(judged(ring, "is"), is_best_marked=False)
    assert "too low" in note
    other = judged(ring, "precision", fake_samples=10)
    assert list(reading.about_score(other, is_best_marked=True)) == [reading.BEST]


def test_scores_through_different_extractors_do_not_compare(ring):
    def of(name, sha):
        return judged(ring, "fid", features={"name": name, "sha256": sha})

    standard = of("inception-v3-compat", "1")
    assert list(reading.about_extractors(standard)) == []
    (note,) = reading.about_extractors(of("digits-cnn", "2"))
    assert note.startswith("digits-cnn is not the Inception network of papers")
    first, second = reading.about_extractors([*standard, *of("digits-cnn", "2")])
    assert "(digits-cnn, inception-v3-compat) do not compare" in first
    assert second == note
    assert list(reading.about_extractors(judged(ring, "modes", features=None))) == []


def test_notes_are_shown_beside_what_they_are_about(page):
    notes = {
        node.one("h3").text: [item.text for item in node.all("ul", class_="hints")]
        for node in page[1].all("figure", class_="chart")
    }
    assert reading.LOSS in notes["Loss of the generator"][0]
    assert notes["Images per second"] == []


# Curves ---------------------------------------------------------------------------------------


def test_a_long_curve_keeps_values_that_were_logged_and_its_extremes():
    curve = {step: float(step % 7) for step in range(5000)} | {1234: 99.0, 4321: -99.0}
    kept = history.thin(curve, 100)
    assert len(kept) <= 103
    assert kept.items() <= curve.items()
    assert list(kept) == sorted(kept)
    assert {1234, 4321, 4999} <= kept.keys()
    assert history.thin({3: 1.0, 2: 0.0}, 2) == {2: 0.0, 3: 1.0}
    chart = charts.draw_curves("long", {"x": curve}, most=100)
    assert len(chart.data["curves"][0]["steps"]) == len(kept)
    assert chart.reading[-1].startswith("Of long curves, only every k-th point")


@pytest.mark.parametrize(
    ("title", "label", "name"),
    [
        ("Loss of the generator", "adversarial", "generator/adversarial"),
        ("Augmentation", "ada_probability", "augmentation/ada_probability"),
        ("Gradient norms", "discriminator", "discriminator/gradient_norm"),
        ("Images per second", "images", "images_per_second"),
        ("Logits", "generator/logit", "generator/logit"),
        ("Logits", "real", "logits/real"),
    ],
)
def test_a_curve_has_the_name_that_the_log_has(title, label, name):
    assert history.metric_name(title, label) == name


NUMBERS = (0.0, 1.0, -1.5, 30630.4, 99999.0, 123456.0, 1e-4, 0.00012345, 5.6274e-5, 1e30, -1e-12)


def test_numbers_are_written_alike_by_scripts_and_without(browser, tmp_path):
    script = page_of_report.join_modules(page_of_report.MODULES).replace("export const", "const")
    page = browser.new_page()
    try:
        written = page.evaluate(
            "(numbers) => {" + script + "return [numbers.map(number), smoothed([4, 0, 8], 0.5)]; }",
            list(NUMBERS),
        )
    finally:
        page.close()
    assert written[0] == [charts.format_number(number) for number in NUMBERS]
    assert written[1] == pytest.approx([4, 1 / 0.75, 4.5 / 0.875]), "not pulled to 0 at first"


# In a browser ---------------------------------------------------------------------------------


def chart(seen, title):
    """Return the chart of a title, in view."""
    found = seen.page.locator(
        ".chart", has=seen.page.get_by_role("heading", name=title, exact=True)
    )
    found.scroll_into_view_if_needed()
    return found


def under(seen, found, share):
    """Move the pointer to a share of a chart's width, and return the step there."""
    box = found.locator(".u-over").bounding_box()
    seen.page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
    return int(found.locator(".at").inner_text().removeprefix("step ").replace(",", ""))


def test_a_drag_zooms_and_a_button_shows_all_again(browser, page):
    with opened(browser, page[0]) as seen:
        found = chart(seen, "Augmentation")
        reset = found.get_by_role("button", name="Reset zoom")
        assert not reset.is_visible()
        assert under(seen, found, 0.99) > 9500
        middle = under(seen, found, 0.5)
        seen.page.mouse.down()
        begin = under(seen, found, 0.25)
        seen.page.mouse.up()
        assert reset.is_visible()
        assert begin - 50 <= under(seen, found, 0.01) <= under(seen, found, 0.99) <= middle + 50
        assert seen.page.locator(".frame:visible figcaption").inner_text().startswith("Step 4")
        reset.click()
        assert under(seen, found, 0.99) > 9500
        assert not reset.is_visible()
        found.locator(".chart-plot").focus()
        for key in ("+", "+", "ArrowRight"):
            seen.page.keyboard.press(key)
        assert reset.is_visible()
        seen.page.keyboard.press("0")
        assert not reset.is_visible()
    assert seen.complaints == []


def test_a_log_axis_says_what_it_hides(browser, page):
    hidden = sum(value <= 0 for value in CURVE.values())
    with opened(browser, page[0]) as seen:
        found = chart(seen, "Augmentation")
        about, button = found.locator(".chart-about"), found.get_by_role("button", name="Log axis")
        assert not about.is_visible()
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        assert f"0 and below: {hidden} points are not shown" in about.inner_text()
        assert under(seen, found, 0.99) > 9500
        button.click()
        assert not about.is_visible()
        positive = chart(seen, "Images per second")
        positive.get_by_role("button", name="Log axis").click()
        assert "not shown" not in positive.locator(".chart-about").inner_text()
    assert seen.complaints == []


def test_smoothing_keeps_the_curve_as_it_was_logged(browser, page):
    with opened(browser, page[0], color_scheme="dark") as seen:
        found = chart(seen, "Augmentation")
        before = found.locator("canvas").screenshot()
        slider, note = seen.page.get_by_label("Smoothing"), seen.page.locator("#smoothed")
        assert not note.is_visible()
        slider.fill("0.9")
        assert seen.page.locator("#smooth").inner_text() == "0.90"
        assert "faint lines are what was logged" in note.inner_text().replace("\n", " ")
        assert found.locator("canvas").screenshot() != before
        under(seen, found, 0.999)
        value = found.locator(".value").inner_text()
        assert value in {charts.format_number(each) for each in CURVE.values()}, (
            "not the smooth one"
        )
        slider.fill("0")
        seen.page.mouse.move(0, 0)
        assert not note.is_visible()
        for _ in range(40):  # the cursor goes with the next frames
            if found.locator("canvas").screenshot() == before:
                break
            seen.page.wait_for_timeout(50)
        assert found.locator("canvas").screenshot() == before
    assert seen.complaints == []


def test_the_plots_that_stand_without_scripts_are_printed(browser, page):
    with opened(browser, page[0]) as seen:
        drawn = seen.page.locator(".still svg:visible")
        assert drawn.count() == 1, "the histogram, which has no curves"
        assert seen.page.locator(".live:visible").count() > 5
        every = seen.page.locator(".chart:visible").count()
        seen.page.emulate_media(media="print")
        assert seen.page.locator(".live:visible").count() == 0
        assert drawn.count() == every
