"""What a person sees of a training: live lines and samples, plain lines, a table at the end."""

import io
import json
import re
import shutil
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console

import ganzoo
from ganzoo.display.formats import format_duration, format_terms
from ganzoo.display.preview import HALF_BLOCK, Preview, can_show
from ganzoo.display.terminal import ProgressObserver
from ganzoo.media import images
from ganzoo.runs.metrics import loss_terms
from ganzoo.training.observer import Observer
from tiny import TINY

TRAIN = (
    "train mlp --data digits --image-size 8 --set arch.hidden=4 --batch-size 4 --device cpu "
    "--recipe paper"
)
ESCAPE = "\x1b["
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def terminal(width=80, height=24, colours="truecolor", **more):
    return Console(
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=True,
        color_system=colours,
        _environ={"TERM": "xterm"},
        **more,
    )


def solid(*colours, size=(64, 64)):
    """Make an image of one colour for each."""
    return torch.tensor(colours, dtype=torch.uint8)[:, :, None, None].expand(-1, -1, *size)


def preview(stored, columns=8, rows=1):
    return Preview(
        images.render_samples(stored, None, columns), images.describe_layout(stored, columns), rows
    )


def pixels(shown, console):
    """Return the lines of a preview as pairs of colours, above and below; None between samples."""
    lines = [[]]
    for segment in console.render(shown):
        for letter in segment.text:
            if letter == "\n":
                lines.append([])
            elif letter == " ":
                lines[-1].append(None)
            else:
                assert letter == HALF_BLOCK
                style = segment.style
                lines[-1].append((tuple(style.color.triplet), tuple(style.bgcolor.triplet)))
    return lines[:-1]


# The preview ------------------------------------------------------------------------------------


def test_samples_stand_in_a_row_as_many_as_there_is_room_for():
    lines = pixels(preview(solid(RED, GREEN, BLUE, WHITE, RED)), terminal())
    assert len(lines) == 8
    row = [
        pair for colour in (RED, GREEN, BLUE, WHITE) for pair in [*[(colour, colour)] * 16, None]
    ]
    assert lines == [row] * 8
    assert {len(line) for line in pixels(preview(solid(RED)), terminal())} == {17}
    assert len(pixels(preview(solid(*[RED] * 20), 20), terminal(width=400))[0]) == 16 * 17


def test_a_character_shows_the_pixel_above_and_the_one_below():
    stored = solid(RED).clone()
    stored[:, :, 2::4] = stored[:, :, 3::4] = torch.tensor(BLUE).view(3, 1, 1).byte()
    # Of 64 pixels 16 are left: a line of red, and one of blue, makes one of both.
    assert pixels(preview(stored), terminal())[0][0] == ((128, 0, 128), (128, 0, 128))
    stored = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    stored[:, 0, 0:4], stored[:, 2, 4:8] = 255, 255
    assert pixels(preview(stored), terminal())[0][0] == (RED, BLUE)


def test_grey_and_transparent_samples_are_shown():
    grey = torch.full((1, 1, 8, 8), 90, dtype=torch.uint8)
    assert pixels(preview(grey), terminal())[0][0] == ((90,) * 3, (90,) * 3)
    half = solid((200, 100, 50, 128))
    assert pixels(preview(half), terminal())[0][0] == ((100, 50, 25), (100, 50, 25))


@pytest.mark.parametrize(
    ("size", "lines", "columns"), [((64, 128), 8, 33), ((128, 64), 8, 9), ((10, 1000), 8, 80)]
)
def test_samples_keep_their_shape_where_there_is_room(size, lines, columns):
    found = pixels(preview(solid(RED, size=size)), terminal())
    assert (len(found), len(found[0])) == (lines, columns)


@pytest.mark.parametrize("height", [16, 24, 36, 60])
def test_a_higher_terminal_shows_more_but_most_of_it_stays_free(height):
    found = pixels(preview(solid(RED)), terminal(height=height))
    assert len(found) == min(12, height // 3)


def test_translations_lie_below_their_sources():
    stored = torch.cat([solid(RED, GREEN), solid(BLUE, WHITE)])
    lines = pixels(preview(stored, 2, 2), terminal())
    assert len(lines) == 8
    assert [line[0] for line in lines] == [(RED, RED)] * 4 + [(BLUE, BLUE)] * 4
    assert lines[0][9] == (GREEN, GREEN)
    assert lines[7][9] == (WHITE, WHITE)


def test_points_of_a_plot_are_not_lost():
    points = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    lines = pixels(preview(points), terminal())
    assert len(lines[0]) == 17
    dark = [
        (x, 2 * y + below)
        for y, line in enumerate(lines)
        for x, pair in enumerate(line[:-1])
        for below in (0, 1)
        if sum(pair[below]) < 600
    ]
    assert dark
    assert all(x + y in range(13, 18) for x, y in dark), "from the left below to the right above"


def test_no_more_than_is_shown_is_kept():
    picture = images.grid(solid(*[RED] * 64))
    small = Preview(picture, "8 x 8")
    assert small._samples.untyped_storage().nbytes() < picture.untyped_storage().nbytes() / 7


@pytest.mark.parametrize(
    "layout", ["", "8", "0 x 1", "5 x 5", "9999999 x 1", "8 x 8 x 8", "528 x 1"]
)
def test_a_layout_that_is_none_shows_nothing(layout):
    assert pixels(Preview(images.grid(solid(*[RED] * 64)), layout), terminal()) == []


def test_a_terminal_that_cannot_show_pictures_is_left_alone():
    assert can_show(terminal())
    assert can_show(terminal(colours="256"))
    for console in (
        terminal(width=39),
        terminal(height=15),
        terminal(colours="standard"),
        terminal(colours=None),
        terminal(no_color=True),
        terminal(legacy_windows=True),
        Console(file=io.StringIO(), width=80, height=24),
        Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"}),
        Console(file=io.TextIOWrapper(io.BytesIO(), "ascii"), force_terminal=True),
    ):
        assert not can_show(console)
        assert pixels(preview(solid(RED)), console) == []


# What watches a run -----------------------------------------------------------------------------


class Pictures(Observer):
    def __init__(self):
        self.seen = []

    def on_picture(self, step, picture, layout):
        self.seen.append((step, picture, layout))


@pytest.mark.parametrize(("data", "layout"), [("digits", "8 x 8"), ("ring", "plot")])
def test_pictures_come_as_they_were_written(data, layout, tmp_path):
    seen = Pictures()
    settings = {"arch.hidden": (4,), **({"data.image_size": 8} if data == "digits" else {})}
    run = ganzoo.train(
        "mlp", data=data, out=tmp_path / "run", settings=settings, observer=seen, **TINY
    )
    assert [step for step, *_ in seen.seen] == [0, 2, 4]
    for step, picture, said in seen.seen:
        with Image.open(run.picture(step)) as file:
            assert file.tobytes() == images.to_pil(picture).tobytes()
            assert file.text["ganzoo:layout"] == said == layout


def test_a_terminal_shows_samples_losses_and_time_left(in_terminal, ganzoo_cli):
    result = ganzoo_cli(*TRAIN.split(), "--steps=3", "--set=train.log_every=1", "--out=run")
    assert (result.code, result.out) == (0, "run\n")
    assert HALF_BLOCK in result.err
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", result.err)
    assert re.search(r"discriminator  \d.\d{3} = real \d.\d{3} \+ fake \d.\d{3}", plain)
    assert re.search(r"step .* 3/3 \d:\d\d:\d\d left  \d+ images/s", plain)
    # The last samples stay on the screen, above the table.
    ending = plain[plain.rindex(HALF_BLOCK) :]
    assert "run            run\n" in ending
    assert "next           ganzoo sample run\n" in ending


@pytest.mark.parametrize("without", [{"NO_COLOR": "1"}, {"COLUMNS": "39"}, {"LINES": "15"}])
def test_where_samples_cannot_be_shown_there_are_lines_alone(
    in_terminal, without, ganzoo_cli, monkeypatch
):
    for name, value in without.items():
        monkeypatch.setenv(name, value)
    result = ganzoo_cli(*TRAIN.split(), "--steps=2", "--set=train.log_every=1", "--out=run")
    assert result.code == 0
    assert HALF_BLOCK not in result.err
    assert "generator" in result.err
    if "NO_COLOR" in without:
        assert not re.search(r"\x1b\[[0-9;]+m", re.sub(r"\x1b\[[01]?m", "", result.err))


def test_without_a_terminal_there_are_plain_lines(ganzoo_cli, in_terminal, monkeypatch):
    for environment in ({"FORCE_COLOR": ""}, {"FORCE_COLOR": "1", "TERM": "dumb"}):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        result = ganzoo_cli(*TRAIN.split(), "--steps=2", "--out", f"run{len(environment)}")
        assert result.code == 0
        assert ESCAPE not in result.err
        assert re.search(
            r"^step 2/2  discriminator \d.\d{3}  generator \d.\d{3}  \d+ images/s  0 s left$",
            result.err,
            re.MULTILINE,
        )


def test_samples_are_shown_at_most_once_a_second(in_terminal, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    observer, picture = ProgressObserver(), images.grid(solid(RED))
    shown = []
    for wait in (0.0, 0.4, 0.5, 0.2, 0.0, 5.0, 0.1):
        now += wait
        observer.on_picture(0, picture, "1 x 1")
        shown.append(observer.progress.preview)
    assert len({id(each) for each in shown}) == 3
    assert [a is b for a, b in pairwise(shown)] == [True, True, False, True, False, True]
    # What came too soon is shown with the next line of metrics, or at the end.
    now += 1.0
    observer.progress.add_task("step", shown="")
    observer.task = 0
    observer.on_log({"step": 1, "images_per_second": 3.0, "generator/a": 1.0})
    assert observer.progress.preview is not shown[-1]
    assert observer.picture is None


def test_a_warning_stays_above_and_is_counted(in_terminal, capsys):
    with ProgressObserver() as observer:
        observer.on_warning("the generator collapses at step 500")
    assert observer.warnings == 1
    assert "warning: the generator collapses at step 500\n" in capsys.readouterr().err


def test_a_warning_that_has_ended_is_told_and_not_counted(in_terminal, capsys):
    with ProgressObserver() as observer:
        observer.on_warning("the generator collapses at step 500")
        observer.on_warning_end("the generator collapses at step 500", "it no longer does")
    assert observer.warnings == 0
    assert capsys.readouterr().err.splitlines()[-1] == "it no longer does"


def test_a_run_that_fails_leaves_no_samples_behind(in_terminal, capsys):
    with suppress(KeyError), ProgressObserver() as observer:
        observer.on_picture(0, images.grid(solid(RED)), "1 x 1")
        assert observer.progress.preview is not None
        raise KeyError
    assert HALF_BLOCK not in capsys.readouterr().err


def test_losses_are_the_sums_of_their_terms():
    row = {
        **{"step": 1, "images_per_second": 2.0, "discriminator/gradient_norm": 9.0},
        **{"discriminator/real": 1.25, "discriminator/fake\x1b[2J": -0.5, "generator/all": 3.0},
    }
    found = loss_terms(row)
    assert found == {
        "discriminator": {"real": 1.25, "fake\x1b[2J": -0.5},
        "generator": {"all": 3.0},
    }
    assert format_terms(found["discriminator"]) == r"0.750 = real 1.250 + fake\x1b[2J -0.500"
    assert format_terms(found["generator"]) == "all 3.000"
    assert loss_terms({}) == {"discriminator": {}, "generator": {}}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (99, "99 s"), (177, "3 min"), (5400, "90 min"), (9000, "2.5 h")],
)
def test_times_are_as_a_person_would_say_them(seconds, words):
    assert format_duration(seconds) == words


# The table at the end ---------------------------------------------------------------------------


def table(err):
    """Return the table at the end of what was said, by its words; lines below go on with one."""
    lines = err.splitlines()
    start = next(i for i, line in enumerate(lines) if re.match("run  ", line))
    column = re.search(r"\S+ +", lines[start]).end()
    found, word = {}, ""
    for line in lines[start:]:
        word = line[:column].strip() or word
        found.setdefault(word, []).append(line[column:])
    return found


def test_the_end_says_what_came_of_it_and_what_comes_next(ganzoo_cli, monkeypatch):
    monkeypatch.setattr("ganzoo.cli.summary.find_missing_extra", lambda entry: None)
    result = ganzoo_cli(*TRAIN.split(), "--steps=3", "--seed=7", "--out=a run")
    found = table(result.err)
    assert list(found) == [
        *("run", "steps", "time", "discriminator", "generator", "samples", "next")
    ]
    assert found["run"] == ["a run"]
    assert found["steps"] == ["3 of batch size 4, seed 7"]
    assert re.fullmatch(r"\d s, \d+ images/s", found["time"][0])
    assert found["samples"] == ["a run/model/samples.png"]
    assert found["next"] == [
        "ganzoo sample 'a run'",
        "ganzoo eval 'a run'",
        "ganzoo report 'a run'",
        "ganzoo watch 'a run' --web --open",
        "ganzoo demo 'a run' --open",
        "ganzoo train --resume 'a run' --steps 6",
        "ganzoo publish 'a run' USER/NAME",
    ]
    last = json.loads(Path("a run/metrics.jsonl").read_text().splitlines()[-1])
    assert found["generator"] == [f"adversarial {last['generator/adversarial']:.3f}"]


def test_a_run_that_went_on_says_what_was_done_now(ganzoo_cli):
    assert ganzoo_cli(*TRAIN.split(), "--steps=2", "--out=run").code == 0
    again = ganzoo_cli("train", "--resume", "run", "--steps", "5")
    found = table(again.err)
    assert found["steps"] == ["5 of batch size 4, seed 0"]
    assert " for the last 3, " in found["time"][0]
    assert "time" not in table(ganzoo_cli("train", "--resume", "run").err), "nothing was done"


def test_scores_and_the_best_snapshot_are_in_the_table(ganzoo_cli):
    judged = ["--eval-every=1", "--set=train.eval_samples=20", "--steps=2", "--out=run"]
    found = table(ganzoo_cli(*TRAIN.split(), *judged).err)
    assert re.fullmatch(r"fid\[digits-cnn\] .* at step 2 \(run/model\)", found["last"][0])
    assert re.fullmatch(r"fid\[digits-cnn\] .* at step [12] \(run/best\)", found["best"][0])


BROUGHT = """
import typer
app = typer.Typer()

@app.command()
def frame(run: str):
    '''Put a run in a frame.'''
"""


def test_a_command_is_offered_where_a_package_brings_it(ganzoo_cli, plugin, monkeypatch):
    monkeypatch.setattr("ganzoo.cli.summary.OPTIONAL_COMMANDS", {"frame": ""})
    assert "frame" not in ganzoo_cli(*TRAIN.split(), "--steps=0", "--out=one").err
    plugin("acme", BROUGHT, {"ganzoo.commands": {"frame": "acme:app"}})
    found = table(ganzoo_cli(*TRAIN.split(), "--steps=0", "--out=two").err)
    assert "ganzoo frame two" in found["next"]


@pytest.mark.parametrize("needed", ["pip", "no-such-package-anywhere"])
def test_a_command_whose_extra_is_not_installed_says_how_to_install_it(
    ganzoo_cli, plugin, monkeypatch, needed
):
    monkeypatch.setattr("ganzoo.cli.summary.OPTIONAL_COMMANDS", {"frame": " --gold"})
    site = plugin("acme", BROUGHT, {"ganzoo.commands": {"frame": "acme:app"}})
    needs = f"Requires-Dist: {needed}>=1; extra == 'frame'\nRequires-Dist: nothing; extra == 'x'\n"
    with (site / "acme-1.0.dist-info" / "METADATA").open("a") as file:
        file.write(needs)
    found = table(ganzoo_cli(*TRAIN.split(), "--steps=0", "--out=run").err)
    hint = "" if needed == "pip" else "   (first: pip install 'acme[frame]')"
    assert f"ganzoo frame run --gold{hint}" in found["next"]


def test_after_a_decay_more_steps_are_a_new_run(ganzoo_cli):
    decayed = ("--set=train.lr_decay=cosine", "--steps=2", "--out=run")
    (command,) = (
        each
        for each in table(ganzoo_cli(*TRAIN.split(), *decayed).err)["next"]
        if each.startswith("ganzoo train ")
    )
    assert command == "ganzoo train --fork run --steps 4"
    assert ganzoo_cli(*command.split()[1:], "--out=more").code == 0
    assert ganzoo.load("more").config.step == 4


def test_one_document_is_all_that_json_prints(ganzoo_cli, in_terminal):
    result = ganzoo_cli(*TRAIN.split(), "--steps=1", "--out=run", "--json")
    assert json.loads(result.out)["run"] == "run"
    assert "ganzoo sample" not in result.err


def test_warnings_are_counted_in_the_table(ganzoo_cli, tiny_run):
    shutil.copytree(tiny_run.path, "run")
    odd = ["train", "mlp", "--loss=wgan", "--data=ring", "--set=data.samples=3", "--set"]
    result = ganzoo_cli(*odd, "arch.hidden=4", "--batch-size=64", "--steps=1", "--device=cpu")
    said = [line for line in result.err.splitlines() if line.startswith("warning: ")]
    assert table(result.err).get("warnings", []) == ([f"{len(said)}, above"] if said else [])
    assert said, result.err
