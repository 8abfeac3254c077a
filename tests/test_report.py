"""A run as a page: what it says, that it is safe and whole, and that it works in a browser."""

import ast
import base64
import hashlib
import io
import itertools
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import ganzoo
import ganzoo_zoo.apps.report
from browser import opened
from colours import contrast
from document import parsed
from ganzoo import DataSpec, Samples
from ganzoo.api.training import resume
from ganzoo.errors import Diverged, GanzooError, InputError, Interrupted
from ganzoo.media.images import find_frame, scatter, to_uint8
from ganzoo.resolve import resolve
from ganzoo.runs import metrics
from ganzoo.runs.folder import Run
from ganzoo.runs.scores import ScoreRow, log_scores
from ganzoo.storage.json_files import append_line
from ganzoo_zoo.apps.report import charts, collect, history, page, pictures, report
from ganzoo_zoo.apps.report.logits import compute_logits
from ganzoo_zoo.apps.report.surface import SIDE, Surface, compute_surface, read_surface
from ganzoo_zoo.apps.report.tracker import ReportTracker
from tiny import TINY, Stopper

RING = {
    "architecture": "mlp",
    "data": "ring",
    "settings": {"data.samples": 60, "arch.hidden": (4,)},
    **TINY,
}
DIGITS = {"architecture": "mlp", "settings": {"data.image_size": 8, "arch.hidden": (8,)}, **TINY}


@pytest.fixture(scope="module")
def digits(tiny_run, tmp_path_factory):
    """A report of the shared run, and its tree; the run's own folder is left alone."""
    file = tmp_path_factory.mktemp("digits") / "report.html"
    return report(tiny_run, file), parsed(file)


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    """A run on points whose report was written at its end, which judged itself on the way."""
    out = tmp_path_factory.mktemp("ring") / "run"
    asked = {"eval_every": 2, "eval_samples": 40, "trackers": ["report"]}
    return ganzoo.train(**RING, **asked, out=out)


def texts(tree, tag, **attributes):
    return [node.text for node in tree.all(tag, **attributes)]


def pairs(tree):
    """Return what lists of terms say, by term."""
    terms = [node for node in tree.all("div") if node.all("dt")]
    return {node.one("dt").text: node.one("dd").text for node in terms if len(node.all("dt")) == 1}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def copied(run, path):
    return Run.open(shutil.copytree(run.path, path))


# What it says ---------------------------------------------------------------------------------


def test_a_report_says_what_was_trained_and_how_it_went(digits, tiny_run):
    done, tree = digits
    assert tree.one("h1").text == "dcgan trained with wgan-gp on digits"
    assert tree.one("title").text == "dcgan trained with wgan-gp on digits · tiny"
    assert "Finished: all 4 steps are done." in texts(tree, "p")
    facts = pairs(tree)
    assert facts["Steps"] == "4 of 4 updates of the generator"
    assert facts["Real samples shown"].startswith("160 5 updates of the discriminator a step")
    assert facts["Samples"] == "images of 1 x 16 x 16 10 classes"
    model = ganzoo.load(tiny_run)
    counts = [
        sum(p.numel() for p in net.parameters()) for net in (model.generator, model.discriminator)
    ]
    assert facts["Parameters"] == f"generator {counts[0]:,}, discriminator {counts[1]:,}"
    assert facts["data fingerprint"] == tiny_run.config().data_fingerprint
    assert facts["Time"]
    assert done.finished
    assert (done.step, done.steps, done.pictures, done.pictures_found) == (4, 4, 3, 3)
    assert done.missing == ()


def test_every_option_is_there_with_what_it_means(digits, tiny_run):
    tree, config = digits[1], tiny_run.config()
    rows = {row.one("th").text: row for row in tree.one(id="options").all("tr") if row.all("td")}
    for choice in (config.architecture, config.loss, config.data):
        for name in choice.options:
            assert rows[name].all("td")[1].text, name
    for name in type(config.train).model_fields:
        assert name in rows
    assert rows["gp_weight"].all("td")[0].text == "10.0"
    shown = "".join(tree.one(id="options").all("pre")[-1].texts())
    assert json.loads(shown) == json.loads((tiny_run.path / "config.json").read_text())
    versions = {
        row.one("th").text: row.one("td").text
        for row in tree.one(id="again").all("tr")
        if row.all("td")
    }
    assert versions == {**config.versions, "ganzoo": config.versions["ganzoo"]}


def test_the_command_and_the_python_train_the_same_again(digits, tiny_run, ganzoo_cli):
    command, python = ("".join(node.texts()) for node in digits[1].one(id="again").all("pre"))
    wanted = json.loads((tiny_run.path / "config.json").read_text()) | {"data_fingerprint": None}
    _, *words = shlex.split(command.replace("\\\n", " "))
    assert json.loads(ganzoo_cli(*words, "--dry-run").out) == wanted
    call = ast.parse(python).body[-1].value
    assert ast.unparse(call.func) == "ganzoo.train"
    (architecture,) = map(ast.literal_eval, call.args)
    given = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    train = {f"train.{name}": given.pop(name) for name in ("steps", "seed")}
    settings = {**train, **given.pop("settings")}
    again = ganzoo.resolve.resolve(architecture, **given, settings=settings)
    assert again.model_dump(mode="json") == wanted


def test_curves_are_drawn_with_their_names_and_what_they_end_at(digits, tiny_run):
    tree = digits[1]
    rows = lines(tiny_run.path / "metrics.jsonl")
    plots = tree.one(id="curves").all("figure")
    assert texts(tree.one(id="curves"), "h3") == [
        *("Loss of the discriminator", "Loss of the generator", "Gradient norms"),
        *("Images per second", "Logits of the last discriminator"),
    ]
    shown = {
        node.one("span", class_="name").text: node.one("span", class_="value").text
        for node in plots[0].one(class_="legend").all("li")
    }
    assert shown == {
        name: charts.format_number(rows[-1][f"discriminator/{name}"])
        for name in ("wasserstein", "gradient_penalty")
    }
    data = json.loads(tree.one("script", id="plots").text)
    curve = data[0]["curves"][0]
    assert curve["steps"] == [row["step"] for row in rows]
    assert curve["values"] == [
        pytest.approx(row["discriminator/wasserstein"], rel=1e-5) for row in rows
    ]
    assert (curve["run"], curve["metric"]) == ("tiny", "discriminator/wasserstein")
    for plot in plots:
        assert plot.one("p", class_="unseen spoken").text, "said to who does not see it"
        assert plot.one("svg").attributes["aria-hidden"] == "true"


def test_samples_have_the_bytes_of_the_run(digits, tiny_run):
    images = digits[1].one(class_="stage").all("img")
    for image, step in zip(images, (0, 2, 4), strict=True):
        kind, data = image.attributes["src"].split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data) == tiny_run.picture(step).read_bytes()
        assert image.attributes["alt"] == f"Sample picture at step {step}"


def test_fakes_stand_above_their_nearest_training_samples(digits, tiny_run):
    (columns,) = digits[1].all("ul", class_="tiles")
    assert len(columns.all("li")) == ganzoo_zoo.apps.report.NEIGHBOURS == digits[0].neighbours
    stored = ganzoo.open_dataset("digits", image_size=16).stored.flatten(1).double()
    fakes = to_uint8(ganzoo.load(tiny_run).sample(8)).flatten(1).double()
    away = ((fakes[:, None] - stored).square().mean(2)).sqrt().sort(dim=1).values
    for column, distances in zip(columns.all("li"), away, strict=True):
        own, *near = column.all("figure")
        assert own.one("img").attributes["alt"].startswith("Generated image")
        assert texts(column, "figcaption")[1:] == [f"{d:.1f}" for d in distances[:4].tolist()]
        assert all("Training image" in each.one("img").attributes["alt"] for each in near)
    said = texts(digits[1].one(id="neighbours"), "p")[0]
    assert "all 1,797 training images" in said
    assert "median distance of a training image" in said


def test_the_same_run_gives_the_same_bytes(ring, tmp_path):
    files = [tmp_path / name for name in ("one.html", "two.html")]
    for file in files:
        report(ring, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].read_bytes() == (ring.path / "report.html").read_bytes()


def test_scores_stand_side_by_side_with_their_whole_protocol(ring):
    tree = parsed(ring.path / "report.html").one(id="scores")
    rows = lines(ring.score_log)
    assert {row["step"] for row in rows} == {2, 4}
    best = json.loads((ring.best / "config.json").read_text())["step"]
    assert best in (2, 4)
    head = texts(tree.all("table")[0], "th", scope="col")
    columns = ["best, step 2", "last, step 4"] if best == 2 else ["best and last, step 4"]
    assert head == ["metric", *columns]
    line = tree.all("table")[0].all("tr")[1]
    value = next(row["value"] for row in rows if (row["metric"], row["step"]) == ("modes", best))
    assert line.all("td")[0].text.startswith(f"{value:.4f}")
    facts = pairs(tree)
    assert facts["real_samples"] == "40"
    assert facts["data.fingerprint"] == rows[0]["data"]["fingerprint"]
    assert facts["versions.torch"] == rows[0]["versions"]["torch"]
    assert facts["features"] == "none"
    every = [[cell.text for cell in row.all("td")] for row in tree.all("table")[-1].all("tr")[1:]]
    assert [(int(step), float(value)) for step, value, *_ in every] == [
        (row["step"], pytest.approx(row["value"], rel=1e-5)) for row in rows
    ]


def test_scores_are_drawn_over_what_the_training_took(ring):
    tree = parsed(ring.path / "report.html").one(id="scores")
    assert texts(tree.one("select", id="axis"), "option") == [
        *("steps", "images seen", "seconds", "processor seconds"),
    ]
    figures = tree.all("figure")
    assert [figure.attributes["data-axis"] for figure in figures[:4]] == texts(tree, "option")
    assert ["hidden" in figure.attributes for figure in figures[:4]] == [False, True, True, True]
    head = texts(tree.all("table")[-1], "th", scope="col")
    assert head[-4:] == ["images seen", "seconds", "processor seconds", "note"]
    row = json.loads(ring.score_log.read_text().splitlines()[0])
    cells = [cell.text for cell in tree.all("table")[-1].all("tr")[1].all("td")]
    shown = (str(row["images_seen"]), f"{row['seconds']:.1f}", f"{row['processor_seconds']:.1f}")
    assert tuple(cells[-4:-1]) == shown


def test_scores_without_times_are_drawn_over_steps(ring, tmp_path):
    run = copied(ring, tmp_path / "run")
    rows = [ScoreRow.model_validate(row).without_time() for row in lines(run.score_log)]
    run.score_log.unlink()
    log_scores(run.score_log, rows)
    tree = parsed(report(run).file).one(id="scores")
    assert tree.all("select") == []
    assert {figure.attributes["data-axis"] for figure in tree.all("figure")} == {"steps"}


# What it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits", "ring"])
def test_nothing_is_fetched_and_only_the_pages_own_code_runs(name, digits, ring):
    tree = digits[1] if name == "digits" else parsed(ring.path / "report.html")
    for node in tree.all():
        for attribute in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            assert re.match("#|data:|$", node.attributes.get(attribute, "")), node.attributes
        handlers = [key for key in node.attributes if key.startswith("on") or key == "style"]
        assert handlers == []
        for value in node.attributes.values():
            assert "javascript:" not in value
            assert all(found == "#" for found in re.findall(r"url\((.)", value))
    (policy,) = tree.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy.attributes["content"].startswith("default-src 'none'; img-src data:;")
    (style,), scripts = tree.all("style"), tree.all("script")
    code = [node for node in scripts if node.attributes.get("type") != "application/json"]
    assert (len(code), len(scripts)) == (1, 2)
    for node in (style, *code):
        digest = hashlib.sha256("".join(node.texts()).encode()).digest()
        assert f"'sha256-{base64.b64encode(digest).decode()}'" in policy.attributes["content"]
    assert not re.search(r"url\(|@import", "".join(style.texts()))
    identities = [node.attributes["id"] for node in tree.all() if "id" in node.attributes]
    assert len(identities) == len(set(identities)), "no name stands twice"


def test_headings_pictures_and_controls_are_named(digits):
    tree = digits[1]
    assert tree.one("html").attributes["lang"] == "en"
    levels = [int(node.tag[1]) for node in tree.all() if re.fullmatch("h[1-6]", node.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all("alt" in node.attributes for node in tree.all("img"))
    labelled = {node.attributes.get("for") for node in tree.all("label")}
    labelled |= {own.attributes["id"] for node in tree.all("label") for own in node.all("input")}
    assert {node.attributes["id"] for node in tree.all("input")} <= labelled
    assert all(node.text for node in tree.all("button"))
    for node in tree.all("section"):
        assert tree.one(id=node.attributes["aria-labelledby"]).tag == "h2"


EVIL = "<img src=x onerror=alert(1)>&\"'</script>"
OVERRIDE = "\u202eevil\x1b[31m"


def test_what_comes_from_files_is_text_and_nothing_else(ring, tmp_path):
    run = copied(ring, tmp_path / '<b>run & "co"')
    config = json.loads((run.path / "config.json").read_text())
    config["data"]["name"] = EVIL
    config["data"]["options"][EVIL] = EVIL
    config["train"]["device"] = EVIL
    (run.path / "config.json").write_text(json.dumps(config))
    append_line(run.path / "metrics.jsonl", {"step": 4, "warning": "w", "message": EVIL + OVERRIDE})
    append_line(run.path / "metrics.jsonl", {"step": 3, f"generator/{EVIL}": 1.0})
    append_line(run.path / "metrics.jsonl", {"step": 4, f"generator/{EVIL}": 2.0})
    row = json.loads(run.score_log.read_text().splitlines()[-1])
    append_line(run.score_log, {**row, "metric": EVIL, "note": EVIL, "options": {EVIL: EVIL}})
    append_line(run.score_log, {**row, "metric": EVIL, "step": 2, "options": {EVIL: EVIL}})
    (run.path / "report" / "machine.json").write_text(json.dumps({EVIL: EVIL}))
    done = report(run)
    tree = parsed(done.file)
    assert "alert(1)" in done.file.read_text()
    assert all(node.attributes.get("src", "data:").startswith("data:") for node in tree.all("img"))
    assert not any("onerror" in node.attributes for node in tree.all())
    assert len(tree.all("script")) == 2
    assert tree.one("h1").text.endswith(f"on {EVIL}")
    assert tree.one("p", class_="lead").text == '<b>run & "co"'
    assert any(EVIL in text for text in texts(tree, "li"))
    assert OVERRIDE[0] not in done.file.read_text()
    assert "\\u202eevil\\x1b[31m" in tree.text
    assert EVIL in [node.text for node in tree.all("span", class_="name")]
    assert pairs(tree)[EVIL] == EVIL
    assert json.loads(tree.one("script", id="plots").text)


# Of every kind of run -------------------------------------------------------------------------


def test_points_lie_on_the_discriminators_logits(ring):
    tree = parsed(ring.path / "report.html")
    stage = tree.one(class_="stage")
    assert len(stage.all("img", class_="surface")) == 3 == len(stage.all("img", class_="picture"))
    captions = texts(stage, "figcaption")
    assert re.fullmatch(r"Step 4, logits from \S+ to \S+", captions[-1])
    assert tree.all("input", id="surfaces")
    said = tree.one(id="samples").all("p", class_="fine")[0].text
    assert "Circles are the true modes" in said
    assert "keeps its logits" not in said
    assert "Logits" in texts(tree.one(id="curves"), "h3"), "kept by the tracker at each picture"
    assert pairs(tree)["processor"]
    assert pairs(tree)["threads"] == str(torch.get_num_threads())
    assert not tree.all(id="neighbours")


def test_a_run_without_the_tracker_shows_the_surface_that_its_model_has(ring, tmp_path):
    run = copied(ring, tmp_path / "run")
    shutil.rmtree(run.path / "report")
    done = report(run)
    tree = parsed(done.file)
    (shown,) = tree.one(class_="stage").all("img", class_="surface")
    with_tracker = (
        parsed(ring.path / "report.html").one(class_="stage").all("img", class_="surface")
    )
    assert shown.attributes["src"] == with_tracker[-1].attributes["src"], "the same at the end"
    assert "--tracker report records logits at each picture" in tree.text
    assert done.surfaces == 1


def test_the_classes_of_a_conditional_model_are_named(tmp_path):
    given = {**DIGITS, "settings": {**DIGITS["settings"], "arch.conditional": True}}
    run = ganzoo.train(**given, out=tmp_path / "run")
    tree = parsed(report(run).file)
    columns = tree.one("ul", class_="tiles").all("li")
    assert [texts(column, "figcaption")[0] for column in columns] == list("01234567")
    assert "class 3" in columns[3].all("img")[0].attributes["alt"]
    assert "Logits of the last discriminator" in texts(tree, "h3")


def test_translations_stand_beside_what_they_resemble(tmp_path):
    for name, shade in (("dark", 20), ("light", 200)):
        folder = tmp_path / "domains" / name
        folder.mkdir(parents=True)
        for i in range(3):
            Image.new("L", (24, 24), shade + 10 * i).save(folder / f"{i}.png")
    run = ganzoo.train(
        "cyclegan",
        data=str(tmp_path / "domains"),
        settings={"arch.base_channels": 2, "arch.blocks": 1},
        out=tmp_path / "run",
        **{**TINY, "steps": 2},
    )
    done = report(run, neighbours=4)
    tree = parsed(done.file)
    assert done.missing == ()
    assert done.neighbours == 4
    assert tree.one(id="neighbours").all("p")[0].text.startswith("Translations of training images")
    assert (
        "Rows of source images, each above the averaged generator's" in tree.one(id="samples").text
    )
    assert "Logits of the last discriminator" not in texts(tree, "h3")
    command = "".join(tree.one(id="again").all("pre")[0].texts())
    assert str(tmp_path / "domains") in command, "the path that leads there"


def test_a_run_of_no_steps_has_a_report(tmp_path):
    done = report(ganzoo.train(**{**DIGITS, "steps": 0}, out=tmp_path / "run"), neighbours=2)
    tree = parsed(done.file)
    assert done.finished
    assert (done.step, done.pictures, done.scores) == (0, 1, 0)
    assert "Time" not in pairs(tree)
    assert "There are no scores yet." in tree.one(id="scores").text
    assert not tree.all(id="controls"), "there is nothing to go through"


def test_an_interrupted_run_says_so_and_how_to_go_on(tmp_path):
    with pytest.raises(Interrupted):
        ganzoo.train(**DIGITS, trackers=["report"], observer=Stopper(3), out=tmp_path / "run")
    file = tmp_path / "run" / "report.html"
    tree = parsed(file)
    assert "Not finished: step 3 of 4. There is no model yet." in texts(tree, "p")
    assert f"ganzoo train --resume {tmp_path / 'run'}" in tree.one(id="again").text
    assert "has no model yet" in tree.one(id="missing").text
    whole = ganzoo.train(**DIGITS, trackers=["report"], out=tmp_path / "whole")
    run = resume(tmp_path / "run")
    assert "Finished" in parsed(file).one("p", class_="status done").text
    for name in ("report/logits.jsonl", "report/machine.json"):
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_a_diverged_run_has_a_report(tmp_path):
    wild = {"generator_lr": 1e6, "discriminator_lr": 1e6, "checkpoint_every": 99, "steps": 30}
    with pytest.raises(Diverged):
        ganzoo.train(**{**DIGITS, **wild}, loss="lsgan", trackers=["report"], out=tmp_path / "run")
    tree = parsed(tmp_path / "run" / "report.html")
    assert tree.one("p", class_="status open").text.startswith("Not finished:")
    assert tree.one(class_="stage").all("img")
    *before, last = texts(tree.one(class_="warnings"), "li")
    assert len(before) == 3
    assert all(text.startswith("Training diverged by step ") for text in (*before, last))
    assert "with learning rates times 0.5" in before[0]
    assert "with learning rates lowered 3 times; there was no checkpoint before it" in last


def test_warnings_and_going_back_are_said(ring, tmp_path):
    run = copied(ring, tmp_path / "run")
    shutil.rmtree(run.path / "report")
    message = "the generator collapses at step 4"
    append_line(run.path / "metrics.jsonl", {"step": 4, "warning": "collapse", "message": message})
    state = run.checkpoints / "00000004" / "state.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "retries": 2}))
    done = report(run, neighbours=0)
    assert done.warnings == 2
    assert texts(parsed(done.file).one(class_="warnings"), "li") == [
        "The generator collapses at step 4",
        "The run diverged and returned to a checkpoint 2 times, with lower learning rates.",
    ]


def test_a_warning_that_has_ended_is_shown_as_past(ring, tmp_path):
    run = copied(ring, tmp_path / "run")
    message = "the generator collapses at step 2"
    for row in (
        {"step": 2, "warning": "collapse", "message": message},
        {"step": 4, "warning": "collapse", "began": 2, "message": "it no longer does"},
    ):
        append_line(run.path / "metrics.jsonl", row)
    # A tracker recorded it as well, when it began.
    append_line(run.path / "report" / "warnings.jsonl", {"step": 2, "message": message})
    done = report(run, neighbours=0)
    assert done.warnings == 0
    tree = parsed(done.file)
    assert texts(tree.one(class_="past"), "li") == [f"From step 2 to 4: {message}"]
    assert not tree.all(class_="warnings")


# What is missing or damaged -------------------------------------------------------------------


def test_without_neighbours_neither_model_nor_data_are_read(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr("ganzoo_zoo.apps.report.nearest_and_logits.load", None)
    monkeypatch.setattr("ganzoo_zoo.data.digits.Digits.read", None)
    done = report(tiny_run, tmp_path / "r.html", neighbours=0)
    assert done.neighbours == 0
    assert not parsed(done.file).all(id="neighbours")


def test_data_that_are_gone_or_changed_are_said(tmp_path, ganzoo_cli):
    for i in range(9):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.new("L", (8, 8), 20 * i).save(tmp_path / "photos" / f"{i}.png")
    run = ganzoo.train(**{**DIGITS, "data": str(tmp_path / "photos")}, out=tmp_path / "run")
    assert report(run).missing == ()
    (tmp_path / "photos" / "3.png").unlink()
    (reason,) = report(run).missing
    assert reason == "the training data: they have changed since the run was started"
    shutil.rmtree(tmp_path / "photos")
    result = ganzoo_cli("report", run.path)
    assert (result.code, result.out) == (0, f"{run.path / 'report.html'}\n")
    assert result.err.startswith("not in the report: the training data: ")
    tree = parsed(run.path / "report.html")
    assert "the training data: " in tree.one(id="missing").text
    assert tree.one(class_="stage").all("img"), "and the rest is there"


def test_damaged_files_are_said_and_the_rest_is_shown(ring, tmp_path):
    run = copied(ring, tmp_path / "run")
    run.picture(0).write_bytes(b"no picture")
    whole = run.picture(2).read_bytes()
    run.picture(2).write_bytes(whole[: len(whole) // 2])
    (run.path / "report" / "surfaces" / "00000004.png").write_bytes(whole)
    (run.path / "report" / "machine.json").write_text("[1]")
    (run.path / "report" / "logits.jsonl").unlink()
    (run.path / "report" / "logits.jsonl").mkdir()
    (run.model / "model.safetensors").write_bytes(b"short")
    run.score_log.write_text("{}\nno\n" + run.score_log.read_text())
    with (run.path / "metrics.jsonl").open("a") as lines:
        lines.write('{"step": 5, "gen')
    done = report(run)
    said = " ".join(done.missing)
    assert (done.pictures, done.pictures_found, done.surfaces) == (1, 3, 0)
    for name in ("00000000.png", "00000002.png", "surface", "machine", "logits", "the model"):
        assert name in said, name
    assert done.scores > 0
    assert [text.partition(":")[0] for text in texts(parsed(done.file).one(id="missing"), "li")]


def test_a_link_in_the_place_of_a_picture_is_not_followed(tiny_run, tmp_path):
    run = copied(tiny_run, tmp_path / "run")
    noise(tmp_path / "private.png", 8)
    run.picture(2).unlink()
    run.picture(2).symlink_to(tmp_path / "private.png")
    done = report(run, neighbours=0)
    assert done.missing == (f"{run.picture(2)} is a link",)
    private = base64.b64encode((tmp_path / "private.png").read_bytes()).decode()
    assert private not in done.file.read_text()


def test_a_run_whose_plugin_is_gone_is_shown_without_what_only_that_knows(ring, tmp_path):
    run = copied(ring, tmp_path / "run")
    config = json.loads((run.path / "config.json").read_text())
    config["loss"] |= {"package": "zoo-of-ada", "name": "mine"}
    (run.path / "config.json").write_text(json.dumps(config))
    tree = parsed(report(run, neighbours=0).file)
    assert "The command is not known here" in tree.one(id="again").text
    assert "zoo-of-ada" in tree.one(id="again").text
    assert "mine" in tree.one(id="options").text


# How large it is ------------------------------------------------------------------------------


def noise(path, side, seed=0):
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)


def test_too_many_pictures_are_thinned_evenly_and_keep_their_bytes(ring, tmp_path):
    run = copied(ring, tmp_path / "run")
    for step in range(5, 305):
        shutil.copyfile(run.picture(4), run.picture(step))
    found = pictures.gather_pictures(run, wanted=[77])
    steps = [picture.step for picture in found.taken]
    assert len(steps) == pictures.MOST
    assert (steps[0], steps[-1], found.found) == (0, 304, 303)
    assert 77 in steps
    assert max(b - a for a, b in itertools.pairwise(steps)) <= 12
    assert "of 303 pictures, evenly chosen" in found.note
    done = report(run, neighbours=0)
    assert done.bytes < 5_000_000
    assert "of 303 pictures, evenly chosen" in parsed(done.file).one(id="samples").text


def test_too_large_pictures_are_encoded_again_and_still_say_that_they_are_generated(
    tiny_run, tmp_path
):
    run = copied(tiny_run, tmp_path / "run")
    with Image.open(run.picture(4)) as image:
        note = image.info["XML:com.adobe.xmp"]
    for step in (0, 2, 4, 6):
        noise(run.picture(step), 530, step)
    shutil.copyfile(tiny_run.picture(4), run.picture(8))
    found = pictures.gather_pictures(run)
    assert sum(len(each.uri) for each in found.taken) < pictures.BUDGET * 4 / 3
    assert re.search("encoded again|made smaller", found.note)
    assert all(each.uri.startswith("data:image/webp;") for each in found.taken)
    last = base64.b64decode(found.taken[-1].uri.partition(",")[2])
    assert note.encode() in last
    assert report(run, neighbours=0).bytes < 5_000_000


def test_sample_pictures_leave_room_for_the_other_pictures(tiny_run, tmp_path, monkeypatch):
    run = copied(tiny_run, tmp_path / "run")
    for step in (0, 2, 4):
        noise(run.picture(step), 300, step)
    smaller = "(?i)encoded again|made smaller|evenly chosen"
    assert not re.search(smaller, parsed(report(run, neighbours=0).file).one(id="samples").text)
    monkeypatch.setattr(collect, "MOST_EMBEDDED", pictures.LEAST)
    assert re.search(smaller, parsed(report(run, neighbours=0).file).one(id="samples").text)


def test_what_fits_in_no_other_way_is_fewer_pictures(tiny_run, tmp_path):
    run = copied(tiny_run, tmp_path / "run")
    for step in (0, 2, 4):
        noise(run.picture(step), 300, step)
    size = run.picture(0).stat().st_size
    taken = pictures.gather_pictures(run, budget=size // 20).taken
    assert [each.step for each in taken] == [4], "never fewer than the last"


@pytest.mark.parametrize(
    ("count", "most", "wanted", "chosen"),
    [
        (3, 5, [], [0, 1, 2]),
        (11, 3, [], [0, 5, 10]),
        (11, 3, [4], [0, 4, 10]),
        (11, 1, [], [10]),
        (11, 2, [4], [0, 10]),
        (0, 5, [], []),
    ],
)
def test_steps_are_spread_evenly(count, most, wanted, chosen):
    assert pictures.choose_steps(range(count), most, wanted) == chosen


ON_PAGES = ("ink", "muted", "accent", "good", "warn")
"""Words in the page's colours; other things need less."""


def test_colours_can_be_read_in_both_themes():
    css = "".join((page.HERE / name).read_text() for name in page.STYLES)
    colours = {
        name: shades
        for name, *shades in re.findall(r"--([\w-]+): light-dark\((#\w+), (#\w+)\)", css)
    }
    for theme in (0, 1):
        light = {name: shades[theme] for name, shades in colours.items()}
        for word in ON_PAGES:
            for ground in ("page", "card"):
                assert contrast(light[word], light[ground]) >= 4.5, (word, ground, theme)
        assert contrast(light["warn"], light["warn-page"]) >= 4.5
        assert contrast(light["ink"], light["warn-page"]) >= 4.5
        assert contrast(light["on-accent"], light["accent"]) >= 4.5
        for drawn in ("mark", *(f"line-{i}" for i in range(charts.COLOURS))):
            assert contrast(light[drawn], light["card"]) >= 3, (drawn, theme)


# Its parts ------------------------------------------------------------------------------------


class Plane(nn.Module):
    """A discriminator whose logit is x + 10 y."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 10.0]))

    def forward(self, points):
        assert not self.training
        return points @ self.weight


SPOTS = DataSpec(shape=(2,), modes=((2.0, 1.0), (4.0, 1.0)), mode_std=0.1)


def test_the_surface_is_that_of_the_frame_of_the_points(tmp_path):
    network = Plane()
    found = compute_surface(network, SPOTS)
    assert network.training
    (x, y), reach = find_frame(torch.tensor(SPOTS.modes))
    assert (float(x), float(y), reach) == (3.0, 1.0, pytest.approx(1.3))
    edge = reach * (1 - 1 / SIDE)
    assert (found.low, found.high) == pytest.approx((13 - 11 * edge, 13 + 11 * edge))
    assert found.levels[0, -1] == 255, "up and to the right it is highest"
    assert found.levels[-1, 0] == 0
    assert found.levels[0, 0] > found.levels[-1, -1], "up counts more than to the right"
    found.save(tmp_path / "s.png", {"Description": "x"})
    again = read_surface(tmp_path / "s.png")
    assert torch.equal(again.levels, found.levels)
    assert (again.low, again.high) == (found.low, found.high)


def test_a_mode_lies_where_its_circle_is():
    bump = Plane()
    bump.forward = lambda points: -(points - torch.tensor([2.0, 1.0])).norm(dim=1)
    row, column = divmod(int(compute_surface(bump, SPOTS).levels.argmax()), SIDE)
    circle = (
        (
            scatter(torch.tensor([[2.0, 1.0]]), SPOTS.modes).permute(1, 2, 0).float()
            - torch.tensor([31, 119, 180.0])
        )
        .abs()
        .sum(2)
    )
    down, right = divmod(int(circle.argmin()), 640)
    assert abs((row + 0.5) / SIDE - down / 640) < 2 / SIDE
    assert abs((column + 0.5) / SIDE - right / 640) < 2 / SIDE


def test_a_surface_that_is_not_finite_is_none():
    broken = Plane()
    broken.weight.data[0] = float("nan")
    with pytest.raises(GanzooError, match="not finite"):
        compute_surface(broken, SPOTS)


def test_colours_go_from_the_fakes_to_the_reals():
    levels = torch.arange(256, dtype=torch.uint8)[:, None].expand(256, 256)
    uri = Surface(levels.contiguous(), 0.0, 1.0).uri()
    image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    red, _, blue = (np.asarray(image.convert("RGB"))[..., i].astype(int) for i in range(3))
    assert (red - blue)[0].min() > 50, "orange"
    assert (blue - red)[-1].min() > 50, "blue"


def test_logits_of_parts_are_their_mean_and_nothing_moves():
    class Parts(nn.Module):
        """Judges two parts of each sample, and what class it is of."""

        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(2)

        def forward(self, points, labels):
            return self.norm(points) + labels[:, None]

    samples = Samples(
        DataSpec(shape=(2,), classes=3),
        torch.tensor([[0.0, 2.0], [4.0, 4.0]]),
        torch.tensor([0, 2]),
    )
    network = Parts()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = compute_logits(network, samples, conditional=True)
    assert found.tolist() == pytest.approx([1.0, 6.0], rel=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_time_is_the_sum_of_what_lies_between_lines(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step, speed in ((10, 100.0), (20, 50.0), (25, 100.0)):
        row = {"step": step, "images_per_second": speed, "generator/x": step}
        append_line(path, {**row, "augmentation/y": step / 100})
    config = resolve("mlp", "hinge", "ring", {"train.n_critic": 2, "train.batch_size": 5})
    found = history.read_history(path, config, {})
    assert found.seconds == pytest.approx(1 + 2 + 0.5)
    assert found.speed == pytest.approx(250 / 3.5)
    assert list(found.curves) == ["Loss of the generator", "Augmentation", "Images per second"]


def test_a_log_of_any_length_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "LONGEST_CURVE", 100)
    path = tmp_path / "metrics.jsonl"
    rows = [
        {"step": 10 * i, "images_per_second": 50.0 + i % 3, "generator/x": i, "generator/logit": -i}
        for i in range(1, 5001)
    ]
    warnings = [{"step": 1, "warning": "w", "message": f"number {i}"} for i in range(2000)]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*warnings, *rows]))
    config = resolve("mlp", "hinge", "ring", {"train.n_critic": 1, "train.batch_size": 1})
    found = history.read_history(path, config, {"real": {1: 1.0, 2: 2.0}})
    assert found.last_step == 50_000
    assert found.seconds == pytest.approx(50_000 / 51, rel=0.02)
    assert len(found.warnings) == metrics.MOST_WARNINGS
    assert list(found.curves) == ["Loss of the generator", "Logits", "Images per second"]
    curve = found.curves["Loss of the generator"]["x"]
    assert (min(curve.items()), max(curve.items())) == ((10, 1), (50_000, 5000))
    assert all(len(each) <= 103 for group in found.curves.values() for each in group.values())


def test_many_points_of_a_curve_become_means_and_their_range():
    curve = {step: float(step % 2) for step in range(100)}
    assert history.downsample(curve, 50) == [(2 * i + 0.5, 0.5, 0.0, 1.0) for i in range(50)]
    chart = charts.draw_curves("many", {"x": {step: float(step % 7) for step in range(5000)}})
    assert "means over neighbouring steps" in chart.note


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([1.0, 2.0, 3.0], ""),
        ([1.0, 2.0, 1e6], "logarithmic scale"),
        ([-1.0, 2.0, 1e30], "logarithmic scale, linear near 0"),
        ([0.0, 0.0], ""),
        ([-1e299, 1e299], ""),
    ],
)
def test_a_scale_follows_its_values(values, note):
    chart = charts.draw_curves("scale", {"x": dict(enumerate(values))})
    assert chart.note == note
    assert chart.data["log"] == (note == charts.LOG), "the script begins with no value hidden"
    assert "<path" in chart.svg


def test_more_curves_than_colours_can_be_told_apart():
    curves = {f"term {i}": {1: float(i), 2: float(i)} for i in range(14)}
    chart = charts.draw_curves("terms", curves)
    assert len(chart.lines) == charts.MOST_CURVES
    assert len({(line.colour, line.dashed) for line in chart.lines}) == charts.MOST_CURVES
    assert chart.reading == ("4 more curves are not shown.",)


# The tracker ----------------------------------------------------------------------------------


def test_a_warning_that_a_killed_run_repeats_is_recorded_once(tmp_path):
    warned = []
    for kept in (3, 5, 9):  # killed after its warning of step 4, and after that of step 6
        run = ReportTracker(neighbours=0).start(tmp_path, {}, 3)
        for step, message in ((3, "diverged by step 5"), (4, "at 4"), (6, "at 6"), (8, "at 8")):
            if step <= kept:
                run.warning(step, message)
        run.flush()
        warned.append(run.files.read_warnings())
    assert warned[0] == ["diverged by step 5"]
    assert warned[1] == ["diverged by step 5", "at 4"]
    assert warned[2] == ["diverged by step 5", "at 4", "at 6", "at 8"]


def test_warnings_of_a_killed_run_stand_in_the_order_of_one_that_was_not(tmp_path):
    said = ((0, "diverged"), (3, "collapsed at 3"), (0, "gave up"))
    for _ in range(2):  # killed when all was said, before its first checkpoint
        run = ReportTracker(neighbours=0).start(tmp_path, {}, 0)
        for step, message in said:
            run.warning(step, message)
        assert run.files.read_warnings() == [message for _, message in said]


def test_half_written_files_of_a_killed_tracker_go(tmp_path):
    left = [tmp_path / "report" / ".machine.json.1.tmp"]
    left.append(tmp_path / "report" / "surfaces" / ".00000004.png.1.tmp")
    left[1].parent.mkdir(parents=True)
    for path in left:
        path.touch()
    ReportTracker(neighbours=0).start(tmp_path, {}, 3)
    assert not [path for path in left if path.exists()]


def test_a_report_that_fails_lets_the_training_finish(tmp_path, monkeypatch, ganzoo_cli):
    def fail(*_):
        raise OSError("no room")

    monkeypatch.setattr(page, "write_report", fail)
    monkeypatch.setattr("ganzoo_zoo.apps.report.page.write_report", fail)
    words = (
        "train mlp --data ring --set data.samples=60 --set arch.hidden=4 --steps 2 --batch-size 8"
    )
    result = ganzoo_cli(*words.split(), "--device", "cpu", "--tracker", "report", "--out", "run")
    assert result.code == 0
    assert "tracker 'report' failed and is dropped: no room" in result.err
    assert ganzoo.load("run")


def test_a_followed_run_is_the_same_to_the_bit(ring, tmp_path):
    plain = ganzoo.train(**RING, eval_every=2, eval_samples=40, out=tmp_path / "run")
    for name in ("model/model.safetensors", "model/discriminator.safetensors"):
        assert (ring.path / name).read_bytes() == (plain.path / name).read_bytes()
    assert {path.name for path in ring.path.iterdir()} - {
        path.name for path in plain.path.iterdir()
    } == {"report", "report.html"}


def test_a_resumed_run_keeps_the_surfaces_of_one_that_was_never_stopped(ring, tmp_path):
    with pytest.raises(Interrupted):
        ganzoo.train(
            **RING,
            **{"eval_every": 2, "eval_samples": 40, "trackers": ["report"]},
            observer=Stopper(3),
            out=tmp_path / "run",
        )
    run = resume(tmp_path / "run")
    names = sorted(path.name for path in (ring.path / "report" / "surfaces").iterdir())
    assert names == [f"0000000{step}.png" for step in (0, 2, 4)]
    for name in ("logits.jsonl", *(f"surfaces/{name}" for name in names)):
        kept = [each.path / "report" / name for each in (run, ring)]
        assert kept[0].read_bytes() == kept[1].read_bytes(), name


def test_a_logit_that_is_not_finite_ends_no_report(tmp_path):
    run = ReportTracker().start(tmp_path, {}, 0)
    broken = Plane()
    broken.weight.data[0] = float("inf")
    samples = Samples(SPOTS, torch.ones(3, 2))
    run.discriminator(1, broken, samples, samples)
    assert not (tmp_path / "report" / "logits.jsonl").exists()
    assert json.loads((tmp_path / "report" / "machine.json").read_text())["device"] == "cpu"


# The command ----------------------------------------------------------------------------------


def test_the_newest_run_is_reported_where_none_is_named(ring, ganzoo_cli):
    shutil.copytree(ring.path, "runs/ring")
    result = ganzoo_cli("report", "--neighbours", "0")
    assert (result.code, result.out, result.err) == (0, "runs/ring/report.html\n", "")


def test_json_says_where_it_is_and_what_is_in_it(tiny_run, ganzoo_cli):
    result = ganzoo_cli("report", tiny_run.path, "--out", "new/r.html", "--neighbours", 2, "--json")
    found = json.loads(result.out)
    assert found == {
        **{"run": str(tiny_run.path), "file": "new/r.html", "finished": True},
        **{"step": 4, "steps": 4, "scores": found["scores"], "warnings": 0},
        **{"pictures": 3, "pictures_found": 3, "surfaces": 0, "neighbours": 2, "missing": []},
        "bytes": (tiny_run.path.cwd() / "new" / "r.html").stat().st_size,
        "curves": found["curves"],
    }
    assert "Gradient norms" in found["curves"]


def test_the_command_writes_a_movie_beside_the_report(tiny_run, ganzoo_cli, refused):
    asked = ["report", tiny_run.path, "--out", "r.html", "--neighbours", 0, "--movie", "new/m.webp"]
    result = ganzoo_cli(*asked)
    assert (result.code, result.out) == (0, "r.html\nnew/m.webp\n")
    with Image.open("new/m.webp") as movie:
        assert movie.n_frames == 3
    found = json.loads(ganzoo_cli(*asked, "--force", "--json").out)
    assert found["movie"] == "new/m.webp"
    assert "add --force" in refused(*asked)
    wrong = refused("report", tiny_run.path, "--out", "n.html", "--movie", "m.png")
    assert wrong == "Error: m.png: write a movie to a .gif, a .webp or an .mp4"
    assert not Path("n.html").exists(), "refused before anything is written"


def test_what_is_there_is_replaced_only_if_asked_for(tiny_run, ganzoo_cli, refused, tmp_path):
    asked = ("report", tiny_run.path, "--neighbours", 0, "--out", "r.html")
    (tmp_path / "r.html").write_text("mine")
    assert "r.html already exists; choose another --out, or add --force" in refused(*asked)
    assert (tmp_path / "r.html").read_text() == "mine"
    assert ganzoo_cli(*asked, "--force").code == 0
    assert (tmp_path / "r.html").read_text() != "mine"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "there is no run folder nowhere"),
        (["folder"], "folder is not a run: it has no config.json of one"),
        (["RUN", "--out", "r.txt"], "--out r.txt: the report must be a .html"),
        (["RUN", "--out", "folder.html"], "folder.html is a folder; choose another --out"),
        ([], "there is no run under"),
        (["RUN", "--neighbours", "99"], "Invalid value for '--neighbours'"),
    ],
)
def test_what_cannot_be_reported_is_said_in_a_line(words, message, tiny_run, refused, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.html").mkdir()
    given = [str(tiny_run.path) if word == "RUN" else word for word in words]
    assert message in refused("report", *given)


def test_a_damaged_configuration_is_refused(ring, refused, tmp_path):
    run = copied(ring, tmp_path / "run")
    (run.path / "config.json").write_text("{")
    assert "config.json cannot be read as JSON" in refused("report", run.path)
    assert not [path for path in run.path.iterdir() if path.suffix == ".tmp"]


def test_a_number_of_neighbours_is_checked_in_python_too(tiny_run):
    with pytest.raises(InputError, match="neighbours must be 0 to 32, not -1"):
        report(tiny_run, neighbours=-1)


# In a browser ---------------------------------------------------------------------------------


def shown_picture(page):
    return page.locator(".frame:visible .picture").get_attribute("src")


def colour(page, what):
    return page.evaluate(f"getComputedStyle(document.body).{what}")


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("digits", 1280, "light"),
        ("digits", 360, "dark"),
        ("ring", 1280, "dark"),
        ("ring", 360, "light"),
    ],
)
def test_the_page_works_at_each_width_and_in_each_theme(name, width, scheme, browser, digits, ring):
    file = digits[0].file if name == "digits" else ring.path / "report.html"
    with opened(browser, file, width, color_scheme=scheme) as seen:
        page = seen.page
        assert seen.overflow <= 0, "no sideways scroll"
        assert page.locator(".frame:visible").count() == 1
        last, caption = shown_picture(page), page.locator(".frame:visible figcaption").inner_text()
        assert caption.startswith("Step 4")
        page.locator("#time").focus()
        page.keyboard.press("Home")
        assert shown_picture(page) != last
        assert page.locator("#time").get_attribute("aria-valuetext") == "step 0"
        page.keyboard.press("ArrowRight")
        assert page.locator(".frame:visible figcaption").inner_text().startswith("Step 2")
        assert "step 2" in page.locator("#plot-0 .at").inner_text()
        assert page.locator("#plot-0 .u-cursor-x:not(.u-off)").count() == 1
        for summary in page.locator("summary").all():
            summary.click()
        assert seen.overflow <= 0, "nor with all that can be opened"
        before = colour(page, "backgroundColor")
        page.locator("#theme").click()
        assert colour(page, "backgroundColor") != before
    assert seen.complaints == []
    assert seen.requests == []


def test_pictures_are_played_to_the_end_and_paused(browser, digits):
    with opened(browser, digits[0].file) as seen:
        page = seen.page
        play = page.get_by_role("button", name="Play")
        play.click()
        assert page.locator("#time").input_value() == "0", "it begins anew at the end"
        assert page.locator("#play").inner_text() == "Pause"
        page.locator("#play", has_text="Play").wait_for()
        assert page.locator("#time").input_value() == "2"
        play.focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        assert page.locator("#play").inner_text() == "Play"
        paused = page.locator("#time").input_value()
        page.wait_for_timeout(400)
        assert page.locator("#time").input_value() == paused
    assert seen.complaints == []


def test_who_asks_for_less_motion_sees_less(browser, digits):
    with opened(browser, digits[0].file, reduced_motion="reduce") as seen:
        seen.page.get_by_role("button", name="Play").click()
        seen.page.wait_for_timeout(400)
        assert seen.page.locator("#time").input_value() == "0"
        assert seen.page.locator("#play").inner_text() == "Pause"


def test_a_pointer_over_a_plot_reads_it(browser, digits, tiny_run):
    rows = lines(tiny_run.path / "metrics.jsonl")
    with opened(browser, digits[0].file) as seen:
        page = seen.page
        plot = page.locator("#plot-1 .u-over")
        plot.scroll_into_view_if_needed()
        value = page.locator("#plot-1 .value")
        box = plot.bounding_box()
        page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 40)
        assert value.inner_text() == charts.format_number(rows[0]["generator/adversarial"])
        page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] - 300)
        assert value.inner_text() == charts.format_number(rows[-1]["generator/adversarial"])
        plot.click(position={"x": 0.3 * box["width"], "y": 40})
        assert page.locator(".frame:visible").get_attribute("data-step") == "2"


def test_the_axis_of_scores_is_chosen(browser, ring, tmp_path):
    run = copied(ring, tmp_path / "run")
    rows = [ScoreRow.model_validate(row) for row in lines(run.score_log)]
    run.score_log.unlink()
    log_scores(run.score_log, [row.model_copy(update={"seconds": 30.0 * row.step}) for row in rows])
    report(run)
    with opened(browser, run.path / "report.html") as seen:
        page = seen.page
        shown = page.locator("#scores .chart:visible")
        assert shown.first.get_attribute("data-axis") == "steps"
        before = shown.count()
        page.get_by_label("Scores over").select_option("seconds")
        assert shown.count() == before
        assert shown.first.get_attribute("data-axis") == "seconds"
        page.locator("#time").focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        assert shown.first.locator(".at").inner_text() == "step 2, 60 seconds"
        assert shown.first.locator(".u-cursor-x:not(.u-off)").count() == 1
    assert seen.complaints == []


def test_the_logits_behind_the_points_can_be_taken_away(browser, ring):
    with opened(browser, ring.path / "report.html") as seen:
        assert seen.page.locator(".surface:visible").count() == 1
        seen.page.get_by_label("the discriminator's logits").uncheck()
        assert seen.page.locator(".surface:visible").count() == 0
        assert seen.page.locator(".picture:visible").count() == 1


def test_without_scripts_everything_is_there(browser, digits):
    with opened(browser, digits[0].file, java_script_enabled=False) as seen:
        assert seen.page.locator(".frame:visible").count() == 3
        assert seen.page.locator("#controls:visible, #theme:visible").count() == 0
        assert seen.page.locator(".plot svg:visible").count() >= 5
