"""The card of a run on the page of ``ganzoo watch --web``, in a browser, with a canned run."""

import re
import threading
from contextlib import contextmanager

import pytest

from browser import opened
from fake_run import FakeRun
from ganzoo_zoo.apps.watch.web.classroom import THE_TEACHER
from ganzoo_zoo.apps.watch.web.server import Server
from ganzoo_zoo.apps.watch.web.state import Dashboard


@pytest.fixture(scope="module")
def address():
    """A server of the page that has no runs."""
    board = Dashboard([], None)
    with Server(board, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server.address
        server.shutdown()
        thread.join()
        board.close()


NOTE_SENTENCES = """() => {
    const sentence = document.querySelector(".sentence");
    window.told = [];
    const note = () => told.push(sentence.textContent);
    new MutationObserver(note).observe(sentence, {childList: true});
}"""


@contextmanager
def looking(browser, address, run, width=1280, **options):
    """Open the page with a run, and check that it asks nobody else and complains of nothing."""
    page_options = {"color_scheme": "light", **options}
    with opened(browser, "about:blank", width, **page_options) as seen:
        page = seen.page
        page.route("**/*", run.handle)
        page.goto(address)
        page.locator(".run .counts", has_text="step").wait_for()
        if run.card()["points"]:
            page.locator("canvas.plane").wait_for()
            page.wait_for_timeout(100)  # until it is painted
        yield page
        assert seen.overflow <= 0, "no sideways scroll"
        assert seen.complaints == []
        assert all(each.startswith((address.partition("#")[0], "blob:")) for each in seen.requests)


def pixels(page, what="canvas.plane"):
    page.wait_for_timeout(80)
    return page.locator(what).first.evaluate("canvas => canvas.toDataURL()")


def sentence(page):
    return page.locator(".sentence").inner_text()


def words(run):
    return [word for word, _ in run.posted]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_step_is_taken_apart(browser, address, width, scheme):
    run = FakeRun()
    with looking(browser, address, run, width, color_scheme=scheme) as page:
        whole = pixels(page)
        page.get_by_role("button", name="Discriminator’s turn").click()
        page.locator(".row-discriminator [aria-current=step]").wait_for()
        assert words(run) == ["step-discriminator"]
        assert "noise" in sentence(page)
        assert page.locator(".row-generator button[aria-disabled=true]").count() == 5
        assert pixels(page) != whole, "the samples of this step are on the plane"
        chips = page.locator(".row-discriminator button")
        chips.nth(2).focus()
        page.keyboard.press("Enter")
        assert "0.52 on average, the fakes −0.31" in sentence(page)
        lit = page.locator(".diagram .lit").count()
        assert lit == 3, "the discriminator, the judgements, and the way between"
        chips.nth(3).click()
        assert "0.846" in sentence(page)
        assert "adversarial 0.812 and r1 0.034" in sentence(page)
        chips.nth(4).click()
        assert "0.1234" in sentence(page)
        assert "0.004" in sentence(page)

        page.get_by_role("button", name="Generator’s turn").click()
        page.locator(".row-generator [aria-current=step]").wait_for()
        assert words(run) == ["step-discriminator", "step-generator"]
        before = pixels(page)
        page.locator(".row-generator button").nth(4).click()
        assert pixels(page) != before, "the gradients are on the plane"
        assert "the generator's loss 0.734" in page.locator(".diagram").get_attribute("aria-label")

        page.get_by_role("button", name="Whole step").click()
        page.locator(".counts", has_text="step 122 of").wait_for()
        page.locator(".sentence", has_text="Press a number").wait_for()
        assert words(run)[-1] == "step"
        assert page.locator(".diagram.dims").count() == 0


def test_a_run_that_trains_is_paused_for_a_turn(browser, address):
    run = FakeRun()
    run.kind = "training"
    with looking(browser, address, run) as page:
        page.get_by_role("button", name="Whole step").click()
        page.locator(".counts", has_text="step 121 of").wait_for()
        assert words(run) == ["pause", "step"]


def test_slow_motion_walks_through_both_turns_and_can_be_held(browser, address):
    run = FakeRun()
    with looking(browser, address, run) as page:
        page.evaluate(NOTE_SENTENCES)
        page.get_by_role("button", name="Slow motion").click()
        page.locator(".pace").fill("0.5")
        page.locator(".row-generator li:last-child [aria-current=step]").wait_for()
        told = [text for text in page.evaluate("told") if not re.match("The networks|Press", text)]
        assert ["noise" in told[0], "Real points" in told[1], "logit" in told[2]] == [True] * 3
        assert len(told) == len(set(told)) == 10
        page.get_by_role("button", name="Hold", exact=True).click()
        at, done = sentence(page), words(run)
        page.wait_for_timeout(1200)
        assert (sentence(page), words(run)) == (at, done)
        page.locator(".row-generator button").nth(1).click()
        page.get_by_role("button", name="Play", exact=True).and_(page.locator(".hold")).click()
        page.locator(".row-generator li:nth-child(3) [aria-current=step]").wait_for(timeout=4000)
        page.get_by_role("button", name="End slow motion").click()
        page.locator(".hold").wait_for(state="hidden")
        assert page.locator("[aria-current=step]").count() == 0
        assert words(run)[:2] == ["step-discriminator", "step-generator"]


def test_layers_of_the_plane(browser, address):
    run = FakeRun()
    with looking(browser, address, run) as page:
        for layer in page.locator(".toggles label[data-layer]").all():
            before = pixels(page)
            layer.locator("input").click()
            assert pixels(page) != before, layer.inner_text()
        page.locator('[data-layer="fakes"] input').check()
        before = pixels(page)
        page.get_by_label("The generator itself").check()
        assert pixels(page) != before
        whole = pixels(page)
        page.get_by_label("From noise to points").fill("0")
        noise = pixels(page)
        assert noise != whole
        page.locator(".morph-play").click()
        page.locator(".morph-play", has_text="Hold").wait_for()
        page.locator(".morph-play", has_text="Play").wait_for()
        assert pixels(page) not in (noise, before)
        assert "7 of 8" in page.locator(".facts").inner_text()
        assert "Modes held: 7 of 8." in page.locator("canvas.plane").get_attribute("aria-label")
        shown = page.locator("canvas.noise").evaluate("canvas => canvas.toDataURL()")
        page.locator("#theme").click()
        assert page.locator("canvas.noise").evaluate("canvas => canvas.toDataURL()") != shown


class OlderRun(FakeRun):
    """A run whose frames are of an earlier version."""

    def frame(self, step):
        frame = super().frame(step)
        return {name: frame[name] for name in ("step", "points", "surface", "low", "high")}

    def moves(self):
        found = super().moves()
        names = ("centre", "reach", "modes", "std", "real")
        return found | {"plane": {name: found["plane"][name] for name in names}}


def test_frames_of_an_earlier_version_offer_what_they_have(browser, address):
    with looking(browser, address, OlderRun(own=False), reduced_motion="reduce") as page:
        layers = page.locator(".toggles label[data-layer]:visible").evaluate_all(
            "all => all.map(each => each.dataset.layer)"
        )
        assert sorted(layers) == ["fakes", "modes", "pulls", "reals", "surface"]
        for what in (".noise-box", ".which", ".facts", ".apart", ".buttons", ".change"):
            assert page.locator(what).is_hidden(), what


def test_charts_zoom_together(browser, address):
    run = FakeRun()
    with looking(browser, address, run) as page:
        titles = page.locator(".chart h3").all_inner_texts()
        assert titles[:2] == ["Modes held", "Distance to the true distribution"]
        page.locator(".chart .u-over").nth(2).scroll_into_view_if_needed()
        box = page.locator(".chart .u-over").nth(2).bounding_box()
        page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 40)
        page.wait_for_timeout(100)
        steps = page.locator(".chart .at").all_inner_texts()
        assert re.fullmatch(r"step \d+", steps[0])
        assert set(steps) == {steps[0]}, "one cursor for all charts"
        page.mouse.down()
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 40, steps=4)
        page.mouse.up()
        first, last = map(int, re.findall(r"\d+", page.locator(".zoomed").inner_text()))
        assert 25 <= first < last <= 65
        zoomed = pixels(page, ".chart canvas")
        page.mouse.dblclick(box["x"] + 20, box["y"] + 40)
        page.get_by_role("button", name="Show all").wait_for(state="hidden")
        assert pixels(page, ".chart canvas") != zoomed
        page.locator(".range").select_option("the newest half")
        assert page.locator(".zoomed").inner_text() == "steps 61 to 120"
        page.get_by_role("button", name="Show all").click()
        assert page.locator(".zoomed").inner_text() == ""


def test_charts_are_smoothed_and_logarithmic_on_request_and_follow_the_theme(browser, address):
    run = FakeRun()
    with looking(browser, address, run) as page:
        seen = [pixels(page, ".chart canvas")]
        page.get_by_label("Smoothing").fill("80")
        seen.append(pixels(page, ".chart canvas"))
        page.get_by_label("logarithmic axis").check()
        seen.append(pixels(page, ".chart canvas"))
        page.locator("#theme").click()
        seen.append(pixels(page, ".chart canvas"))
        assert len(set(seen)) == 4
        assert "on a logarithmic axis" in page.locator(".chart .spoken").first.text_content()
        page.set_viewport_size({"width": 390, "height": 800})
        page.wait_for_timeout(200)
        widths = page.locator(".chart").evaluate_all(
            "all => all.map(each => [each.querySelector('.uplot').offsetWidth, each.offsetWidth])"
        )
        assert all(inner <= outer < 390 for inner, outer in widths)


class LowRun(FakeRun):
    """A run with losses of 0 and below."""

    def curves(self):
        found = super().curves()
        numbers = found["numbers"]
        loss = numbers["generator/adversarial"]
        loss["values"] = [(-1) ** step * value for step, value in enumerate(loss["values"])]
        numbers["below/zero"] = {"steps": [1, 2, 3], "values": [-1, 0, -2]}
        return found


def test_a_logarithmic_axis_says_what_it_hides(browser, address):
    run = LowRun()
    with looking(browser, address, run) as page:
        about = page.locator(".chart .chart-about:visible")
        assert about.count() == 0
        page.get_by_label("logarithmic axis").check()
        assert sorted(about.all_inner_texts()) == [
            "A log axis has no place for 0 and below: 60 points are not shown.",
            "No value is above 0, so this axis is linear.",
        ]


def test_charts_obey_the_keyboard_and_keep_the_cursor_as_the_run_goes_on(browser, address):
    run = FakeRun()
    with looking(browser, address, run) as page:
        plot, steps = page.locator(".chart .chart-plot").nth(2), page.locator(".chart .at")
        plot.focus()
        for key in ("+", "ArrowRight"):
            page.keyboard.press(key)
        assert page.locator(".zoomed").inner_text() == "steps 31 to 90"
        said = steps.all_inner_texts()
        assert set(said) == {"step 62"}
        page.keyboard.press("0")
        assert page.locator(".zoomed").inner_text() == ""
        run.step, run.more["numbers"] = 200, {"generator/adversarial": 0.5}
        page.locator(".spoken", has_text="at step 200").first.wait_for(state="attached")
        assert steps.all_inner_texts() == said
        cursor = plot.locator(".u-cursor-x").bounding_box()["x"]
        box = plot.locator(".u-over").bounding_box()
        assert (cursor - box["x"]) / box["width"] == pytest.approx(61 / 199, abs=0.02)


def test_curves_can_be_downloaded(browser, address, tmp_path):
    run = FakeRun()
    with looking(browser, address, run) as page:
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Download (CSV)").click()
        assert waiting.value.suggested_filename == "mlp-trained-with-r3gan-on-ring-curves.csv"
        waiting.value.save_as(tmp_path / "curves.csv")
        head, *rows = (tmp_path / "curves.csv").read_text().splitlines()
        assert head.split(",")[:2] == ["step", "discriminator/adversarial"]
        assert [row.partition(",")[0] for row in rows] == [str(step) for step in range(1, 121)]
        curve = run.curves()["numbers"]["plane/modes"]
        cells = rows[20].split(",")
        assert float(cells[head.split(",").index("plane/modes")]) == curve["values"][1]


def test_numbers_and_shapes(browser, address):
    with looking(browser, address, FakeRun()) as page:
        asked = "([module, what, given]) => import(module).then(found => found[what](...given))"

        def found(module, what, *given):
            return page.evaluate(asked, [module, what, given])

        assert found("/numbers.js", "ticks", [2, 2.25, 2.5], 0.25) == ["2.00", "2.25", "2.50"]
        assert found("/numbers.js", "ticks", [-0.5, 0, 0.5], 0.5) == ["−0.5", "0.0", "0.5"]
        assert found("/numbers.js", "ticks", [1000, 1500], 500) == ["1,000", "1,500"]
        assert found("/numbers.js", "ticks", [0, 2e-7], 2e-7)[1] == "2e−7"
        names = [found("/numbers.js", "ordinal", place) for place in (1, 2, 3, 4, 11, 12, 21, 112)]
        assert names == ["1st", "2nd", "3rd", "4th", "11th", "12th", "21st", "112th"]
        assert found("/charts.js", "smoothed", [1, 1, 1], 0.9) == pytest.approx([1, 1, 1])
        assert found("/charts.js", "smoothed", [0, 1], 0.5) == pytest.approx([0, 2 / 3])
        evil = {"numbers": {'=1+1,"x"': {"steps": [1], "values": [-2]}}, "scores": {}}
        rows = found("/curves.js", "table", evil)
        assert found("/files.js", "csv", rows) == 'step,"\'=1+1,""x"""\n1,-2\n'
        # The contour of a cone is a circle.
        side = 21
        cone = [10 - ((i // side - 10) ** 2 + (i % side - 10) ** 2) ** 0.5 for i in range(side**2)]
        segments = found("/contours.js", "contour", cone, side, 5.1)
        ends = [(round(x, 9), round(y, 9)) for each in segments for x, y in (each[:2], each[2:])]
        radii = [((x - 0.5) ** 2 + (y - 0.5) ** 2) ** 0.5 * side for x, y in ends]
        assert len(segments) > 20
        assert all(4.7 < radius < 5.1 for radius in radii)
        assert all(ends.count(end) == 2 for end in ends), "it is closed"


def test_images_have_a_walk_and_their_nearest_reals(browser, address):
    run = FakeRun(points=False, live=None, pictures=[0, 20, 120])
    with looking(browser, address, run, 390) as page:
        page.get_by_role("button", name="Generator’s turn").click()
        page.locator(".batch").wait_for()
        assert page.locator(".diagram .cell").count() == 2, "a real and a fake image"
        page.locator(".row-discriminator button").first.click()
        assert "images that it made up" in sentence(page)
        page.get_by_role("button", name="Walk between two samples").click()
        page.locator(".walk-figure img").wait_for()
        page.get_by_role("button", name="Nearest real images").click()
        page.locator(".pairs img").last.wait_for()
        assert page.locator(".pairs img").count() == 12
        assert "3.25" in page.locator(".pairs").inner_text()
        page.get_by_text("among 900 of 4,000 images").wait_for()
        image = page.locator(".picture")
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 8
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Picture").click()
        assert waiting.value.suggested_filename.endswith("step-120.png")
        assert page.get_by_role("button", name="Movie").is_hidden()


def test_what_is_seen_can_be_taken_away(browser, address, tmp_path):
    run = FakeRun()
    with looking(browser, address, run) as page:
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Picture").click()
        waiting.value.save_as(tmp_path / "picture.png")
        assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Movie").click()
            page.get_by_role("button", name="Cancel the movie").wait_for()
            assert "Recording" in page.locator(".take-said").inner_text()
        waiting.value.save_as(tmp_path / "movie.webm")
        data = (tmp_path / "movie.webm").read_bytes()
        assert data.startswith(b"\x1aE\xdf\xa3")
        assert len(data) > 10_000
        assert "Step 120" in page.locator(".caption").inner_text()
        page.get_by_role("button", name="Movie").click()
        page.get_by_role("button", name="Cancel the movie").click()
        page.get_by_role("button", name="Movie", exact=True).wait_for()
        assert page.locator(".take-said").inner_text() == ""


def test_rates_are_changed_while_it_trains(browser, address):
    run = FakeRun()
    with looking(browser, address, run) as page:
        before = pixels(page, ".chart canvas")
        page.get_by_text("Change it while it trains").click()
        field = page.get_by_label("Generator's learning rate").and_(page.locator(".change input"))
        assert field.input_value() == "0.004"
        field.fill("0.001")
        page.wait_for_timeout(1300)
        assert field.input_value() == "0.001", "what is typed stays"
        page.get_by_role("button", name="Apply").click()
        page.get_by_text("From step 120: Generator's learning rate 0.001").wait_for()
        assert run.posted == [("change", {"settings": {"train.generator_lr": "0.001"}})]
        page.wait_for_timeout(1000)
        assert pixels(page, ".chart canvas") != before, "a line marks the change"
        page.get_by_role("button", name="Apply").click()
        assert len(run.posted) == 1, "nothing is changed twice"


def test_whose_run_it_is_and_who_waits(browser, address):
    run = FakeRun(mine=False, owner="Ada", queued=3, kind="waiting", said="waiting", may=[])
    with looking(browser, address, run) as page:
        assert page.locator(".status").inner_text() == "Waiting: 3rd in the queue"
        assert page.locator(".place").inner_text().startswith("Ada · ")
        assert page.locator(".buttons").is_hidden()
        assert page.locator(".turns").is_hidden()
        assert page.locator(".change").is_hidden()


def test_a_stopped_run_trains_on(browser, address):
    run = FakeRun(kind="stopped", said="stopped", over=True, may=["resume"])
    with looking(browser, address, run) as page:
        page.get_by_role("button", name="Train on").click()
        page.wait_for_timeout(200)
        assert words(run) == ["resume"]
        assert page.locator(".apart").is_hidden()


def test_a_real_run_is_taken_apart_and_changed(browser):
    board = Dashboard([], None)
    with Server(board, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        settings = {"data.samples": "600", "arch.hidden": "8", "train.device": "cpu"}
        asked = {"architecture": "mlp", "loss": "hinge", "data": "ring", "settings": settings}
        board.start(asked, THE_TEACHER, paused=True)
        try:
            with opened(browser, server.address) as seen:
                page = seen.page
                page.locator(".status", has_text="Paused").wait_for(timeout=60_000)
                for network, told in (("discriminator", "logit"), ("generator", "arrows")):
                    page.locator(f".turn-{network}").click()
                    page.locator(f".row-{network} [aria-current=step]").wait_for()
                    stage = 2 if network == "discriminator" else 4
                    page.locator(f".row-{network} button").nth(stage).click()
                    assert told in sentence(page)
                    assert re.search(r"\d\.\d", sentence(page)), "with the numbers of the step"
                page.locator(".counts", has_text="step 1 of").wait_for()
                page.get_by_text("Change it while it trains").click()
                page.locator(".change input").first.fill("0.0005")
                page.get_by_role("button", name="Apply").click()
                page.get_by_role("button", name="Whole step").click()
                page.locator(".changes li", has_text="0.0005").wait_for()
                page.locator('[data-layer="manifold"]').wait_for()
                assert page.locator(".problem").inner_text() == ""
            assert seen.complaints == []
        finally:
            server.shutdown()
            thread.join()
            board.close()
