"""Watching runs: what is read of their folders, what is said of it, and that nothing is written."""

import io
import json
import re
import shutil
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

import ganzoo
from ganzoo.display.preview import HALF_BLOCK
from ganzoo.runs.folder import Run
from ganzoo.runs.state import SILENCE_SECONDS
from ganzoo.storage.json_files import drop_lines_after
from ganzoo_zoo.apps.watch import command
from ganzoo_zoo.apps.watch.runs import jsonl_reader
from ganzoo_zoo.apps.watch.runs.jsonl_reader import JsonlReader
from ganzoo_zoo.apps.watch.runs.run_reader import MOST_TERMS, RunReader
from ganzoo_zoo.apps.watch.runs.series import MOST, Series
from ganzoo_zoo.apps.watch.view import scores
from tiny import TINY, Stopper

SETTINGS = {"arch.hidden": (4,), "data.image_size": 8}


def row(step, **more):
    return json.dumps({"step": step, **more}) + "\n"


# Lines that grow --------------------------------------------------------------------------------


def test_lines_are_read_once():
    file = Path("m.jsonl")
    follower = JsonlReader(file)
    assert follower.read() == (False, [])
    file.write_text(row(1) + row(2))
    assert follower.read() == (True, [{"step": 1}, {"step": 2}])
    assert follower.read() == (False, [])
    with file.open("a") as more:
        more.write(row(3) + row(4)[:5])
        more.flush()
        assert follower.read() == (False, [{"step": 3}])
        more.write(row(4)[5:])
    assert follower.read() == (False, [{"step": 4}])


def test_a_file_that_was_replaced_begins_anew():
    file = Path("m.jsonl")
    file.write_text(row(1) + row(2) + row(3)[:4])
    follower = JsonlReader(file)
    assert follower.read()[1] == [{"step": 1}, {"step": 2}]
    drop_lines_after(file, 1)
    assert follower.read() == (True, [{"step": 1}])
    file.write_text("")
    assert follower.read() == (True, [])
    file.unlink()
    assert follower.read() == (True, [])
    assert follower.read() == (False, [])


def test_damaged_lines_are_passed_over():
    file = Path("m.jsonl")
    good = row(7, x=1.0)
    file.write_bytes(
        b'{"step": 1\n[2]\nnull\n{"x": 1}\n{"step": "1"}\n{"step": true}\n{"step": -1}\n'
        b'{"step": 1.5}\n\xff\xfe\n' + b"[" * 100_000 + b"\n" + good.encode()
    )
    assert JsonlReader(file).read()[1] == [{"step": 7, "x": 1.0}]


def test_of_a_long_file_the_end_is_read(monkeypatch):
    monkeypatch.setattr(jsonl_reader, "MOST", 1000)
    file = Path("m.jsonl")
    file.write_text("".join(row(step) for step in range(1000)))
    follower = JsonlReader(file)
    found = [each["step"] for each in follower.read()[1]]
    assert found == list(range(found[0], 1000))
    assert 50 < len(found) < 100
    with file.open("a") as more:
        more.write("".join(row(step) for step in range(1000, 1010)))
    assert [each["step"] for each in follower.read()[1]] == list(range(1000, 1010))


def test_what_is_no_file_is_refused():
    Path("m.jsonl").mkdir()
    with pytest.raises(ganzoo.GanzooError, match="is not a regular file"):
        JsonlReader(Path("m.jsonl")).read()


# A number over the steps ------------------------------------------------------------------------


def drawn(values, width):
    series = Series()
    for step, value in enumerate(values):
        series.add(step, value)
    return series.sparkline(width)


def test_a_sparkline_goes_from_the_lowest_to_the_highest():
    assert drawn(range(8), 8) == "▁▂▃▄▅▆▇█"
    assert drawn([3, 3, 3], 10) == "▁▁▁"
    assert drawn([1, 0], 10) == "█▁"
    assert drawn([5], 10) == drawn([], 10) == ""
    assert drawn([0, 0, 1, 1, 0, 0], 3) == "▁█▁"


def test_many_values_are_thinned_and_keep_their_shape():
    series = Series()
    count = 20 * MOST + 3
    for i in range(count):
        series.add(2 * i, float(i))
        assert series.last == i
    assert len(series._means) <= MOST
    assert series.sparkline(8) == "▁▂▃▄▅▆▇█"
    means = series._means
    assert means == sorted(means)
    assert means[0] < 32
    assert means[-1] > count - 64
    steps, values = series.curve(100)
    assert len(steps) == len(values) == 100
    assert steps == pytest.approx([2 * value for value in values])


# A run ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of a moment."""
    return ganzoo.train(
        "mlp", out=tmp_path_factory.mktemp("runs") / "run", settings=SETTINGS, **TINY
    ).path


@pytest.fixture
def run(finished):
    """The same, in the working folder."""
    return Run(Path(shutil.copytree(finished, "run")))


def followed(run):
    found = RunReader(run)
    assert found.update()
    return found


def unfinished(run, step=2):
    """Make a run as it was after a step, while it was trained."""
    shutil.rmtree(run.model)
    drop_lines_after(run.path / "metrics.jsonl", step)
    shutil.rmtree(run.checkpoints)
    return run


def test_a_finished_run_is_read_whole(run):
    found = followed(run)
    assert (found.step, found.steps, found.state()) == (4, 4, "finished")
    assert found.seconds_left() is None
    assert found.picture == run.picture(4)
    last = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])
    for name, value in last.items():
        assert found.numbers[name].last == value if "/" in name else name not in found.numbers
    assert not found.update(), "nothing is new"


def test_a_run_that_trains_says_how_long_it_takes(run):
    unfinished(run)
    (run.path / "metrics.jsonl").write_text(
        row(1, images_seen=10, images_per_second=20.0)
        + row(2, images_seen=20, images_per_second=40.0)
    )
    found = followed(run)
    assert found.state() == "training"
    assert found.speed == 30.0
    assert found.seconds_left() == pytest.approx(2 * 10 / 30.0)
    assert found.state(found.last_written + SILENCE_SECONDS - 1) == "training"
    assert found.state(found.last_written + SILENCE_SECONDS + 60) == "no sign of life for 2 min"


def test_slow_steps_are_no_silence(run):
    unfinished(run)
    # A line each 2 steps of 10 images, of which there is one in 100 seconds.
    (run.path / "metrics.jsonl").write_text(row(2, images_seen=20, images_per_second=0.01))
    found = followed(run)
    assert found.state(found.last_written + 9000) == "training"
    assert found.state(found.last_written + 11_000) == "no sign of life for 3.1 h"


def test_a_run_before_its_first_line(run):
    unfinished(run, 0)
    (run.path / "metrics.jsonl").unlink()
    found = followed(run)
    assert found.state() == "waiting for its first numbers"
    assert (found.step, found.speed, found.seconds_left()) == (0, None, None)


def test_an_interrupted_run_says_so_until_it_goes_on(tmp_path):
    long = {**TINY, "steps": 9, "log_every": 1, "checkpoint_every": 5}
    with pytest.raises(ganzoo.errors.Interrupted):
        ganzoo.train("mlp", out=tmp_path / "run", settings=SETTINGS, observer=Stopper(3), **long)
    found = followed(Run(tmp_path / "run"))
    assert found.state() == "interrupted after step 3, state saved"
    with (tmp_path / "run" / "metrics.jsonl").open("a") as more:
        more.write(row(4))
    assert found.update()
    assert found.state() == "training"


def test_a_run_that_diverged_says_so_until_it_goes_on(run):
    shutil.rmtree(run.path / "model")
    with (run.path / "metrics.jsonl").open("a") as more:
        more.write(row(4, warning="diverged", message="training diverged by step 4"))
    found = followed(run)
    assert found.state() == "diverged"
    with (run.path / "metrics.jsonl").open("a") as more:
        more.write(row(4))
    assert found.update()
    assert found.state() == "training"


def test_a_run_that_goes_back_begins_anew(run):
    found = followed(run)
    drop_lines_after(run.path / "metrics.jsonl", 2)
    assert found.update()
    assert found.step == 2
    assert {len(series._means) for series in found.numbers.values()} == {1}


def test_a_folder_that_vanishes_is_gone_and_may_come_back(run):
    found = followed(run)
    shutil.move("run", "elsewhere")
    assert found.update()
    assert found.state() == "gone"
    assert not found.update()
    shutil.move("elsewhere", "run")
    assert found.update()
    assert found.state() == "finished"


def test_scores_have_a_last_and_a_best(run):
    with run.score_log.open("w") as file:
        for step, fid, high in ((1, 30.0, 0.1), (2, 20.0, 0.3), (3, 25.0, 0.2)):
            file.write(row(step, metric="fid", value=fid, higher_is_better=False))
            file.write(row(step, metric="is", value=high, higher_is_better=True))
    found = followed(run).scores
    assert (found["fid"].last, found["fid"].best) == ((25.0, 3), (20.0, 2))
    assert (found["is"].last, found["is"].best) == ((0.2, 3), (0.3, 2))


def test_scores_say_what_the_training_took(run):
    fid = {"metric": "fid", "higher_is_better": False}
    run.score_log.write_text(
        row(2, **fid, value=9.0, images_seen=16, seconds=3.5, processor_seconds=6.0)
        + row(4, **fid, value=10.0, images_seen=32, seconds=120.0, processor_seconds="many")
    )
    found = followed(run)
    assert found.scores["fid"].as_json() == {
        "last": {"value": 10.0, "step": 4, "images_seen": 32, "seconds": 120.0},
        "best": {
            **{"value": 9.0, "step": 2, "images_seen": 16, "seconds": 3.5},
            "processor_seconds": 6.0,
        },
    }
    assert list(scores(found)) == ["fid 10.0000 at step 4 after 2 min, best 9.0000 at step 2"]


def test_scores_of_steps_that_were_undone_are_forgotten(run):
    run.score_log.write_text(
        row(2, metric="fid", value=9.0)
        + row(4, metric="fid", value=1.0)
        + row(4, metric="is", value=1)
    )
    found = followed(run)
    drop_lines_after(run.score_log, 2)
    assert found.update()
    assert found.scores.keys() == {"fid"}
    assert found.scores["fid"].best == (9.0, 2)


def test_what_a_stranger_wrote_stays_small_and_printable(run):
    terms = {f"a/{i:03d}\x1b[2J" + "x" * 100: 1.0 for i in range(99)}
    with (run.path / "metrics.jsonl").open("w") as file:
        file.write(row(1, **terms, **{"a/b": float("1e400"), "c/d": "text", "e/f": None}))
        for i in range(9):
            file.write(row(1, warning="x", message=f"{i}\x1b[2J" + "y" * 1000))
        file.write(row(4, images_seen="many", images_per_second=-1))
        file.write(row(4, images_seen=10**400, images_per_second=10**400, **{"a/000": 10**400}))
    found = followed(run)
    assert len(found.numbers) == MOST_TERMS
    assert [message[0] for message in found.warnings] == ["6", "7", "8"]
    for text in (*found.numbers, *found.warnings):
        assert text.isprintable()
        assert len(text) < 400
    assert found.speed is None


def test_a_warning_that_has_ended_is_past(run, ganzoo_cli):
    collapse = {"warning": "collapse", "message": "the generator collapses at step 1"}
    (run.path / "metrics.jsonl").write_text(row(1, **collapse) + row(4, **{"generator/x": 1.0}))
    found = followed(run)
    assert (found.warnings, found.past_warnings) == ([collapse["message"]], [])
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write(row(3, warning="collapse", began=1, message="no longer"))
        file.write(row(4, warning="saturated", message="saturated at step 4"))
    assert found.update()
    assert found.warnings == ["saturated at step 4"]
    (shown,) = json.loads(ganzoo_cli("watch", "run", "--json").out)["runs"]
    assert shown["warnings"] == ["saturated at step 4"]
    assert shown["past_warnings"] == [{"message": collapse["message"], "from": 1, "to": 3}]
    lines = [
        line for line in ganzoo_cli("watch", "run", "--once").out.splitlines() if "warn" in line
    ]
    assert lines == [
        "warning: saturated at step 4",
        "past warning, from step 1 to 3: the generator collapses at step 1",
    ]


def test_a_package_that_is_not_installed_keeps_no_run_from_being_seen(run, ganzoo_cli):
    config = json.loads((run.path / "config.json").read_text())
    config["architecture"] |= {"name": "nowhere", "package": "nobody"}
    (run.path / "config.json").write_text(json.dumps(config))
    assert followed(run).state() == "finished"
    assert "nowhere trained with" in ganzoo_cli("watch", "run", "--once").out


# The command ------------------------------------------------------------------------------------


def test_one_look_prints_what_there_is(run, ganzoo_cli):
    before = {path: path.stat().st_mtime_ns for path in [run.path, *run.path.rglob("*")]}
    result = ganzoo_cli("watch", "run", "--once")
    assert (result.code, result.err) == (0, "")
    first, second, *more = result.out.splitlines()
    assert first == "mlp trained with non-saturating on digits, batch size 8, seed 0"
    assert re.fullmatch(r"run: finished, step 4 of 4, \d+ images/s", second)
    shown = {line.split()[0]: line.split()[-1] for line in more if "/" in line}
    assert list(shown) == [
        *("discriminator/real", "discriminator/fake", "discriminator/gradient_norm"),
        *("generator/adversarial", "generator/gradient_norm"),
    ]
    assert set(shown["discriminator/real"]) <= set("▁█")
    assert "\x1b" not in result.out
    after = {path: path.stat().st_mtime_ns for path in [run.path, *run.path.rglob("*")]}
    assert after == before, "nothing is written"


def test_json_is_one_document(run, ganzoo_cli):
    run.score_log.write_text(row(4, metric="fid", value=2.5, higher_is_better=False))
    result = ganzoo_cli("watch", "run", "--json")
    assert (result.code, result.err) == (0, "")
    (found,) = json.loads(result.out)["runs"]
    assert found["run"] == "run"
    assert (found["state"], found["finished"]) == ("finished", True)
    assert (found["step"], found["steps"], found["seconds_left"]) == (4, 4, None)
    assert found["scores"] == {
        "fid": {"last": {"value": 2.5, "step": 4}, "best": {"value": 2.5, "step": 4}}
    }
    assert found["picture"] == "run/samples/00000004.png"
    assert found["numbers"].keys() >= {"generator/adversarial", "generator/gradient_norm"}


def test_the_newest_run_is_watched_by_default(finished, ganzoo_cli):
    shutil.copytree(finished, "runs/one")
    assert ganzoo_cli("watch", "--once").out.splitlines()[1].startswith("runs/one: finished")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(command, "SECONDS_BETWEEN_READS", 0.01)
    monkeypatch.setattr(command, "SECONDS_BETWEEN_LINES", 0.05)


def test_lines_come_until_the_run_is_finished(run, finished, ganzoo_cli, quick):
    unfinished(run)

    def train():
        time.sleep(0.3)
        shutil.copy(finished / "metrics.jsonl", "run/metrics.jsonl")
        shutil.copytree(finished / "model", "run/model")

    trainer = threading.Thread(target=train)
    trainer.start()
    result = ganzoo_cli("watch", "run")
    trainer.join()
    assert (result.code, result.err) == (0, "")
    said = result.out.splitlines()
    assert re.fullmatch(
        r"run: training, step 2 of 4, \d+ images/s, \d s left  discriminator \d.\d{3}  "
        r"generator \d.\d{3}",
        said[0],
    )
    assert re.match(r"run: finished, step 4 of 4, \d+ images/s  ", said[-1])


def test_a_run_that_vanishes_while_it_is_watched(run, refused, quick, ganzoo_cli, monkeypatch):
    unfinished(run)
    with monkeypatch.context() as patched:
        # It is there when it is first looked at, however slow the machine is.
        patched.setattr(command.time, "sleep", lambda _: shutil.rmtree("run", ignore_errors=True))
        result = ganzoo_cli("watch", "run")
    assert result.code == 1
    assert result.out.splitlines()[-1].startswith("run: gone")
    assert result.err == "Error: run: the folder is gone\n"


@pytest.fixture
def in_terminal(in_terminal, monkeypatch):
    """Have the terminal be as high as what is shown."""
    monkeypatch.setenv("LINES", "40")


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def test_a_terminal_shows_samples_beneath(run, ganzoo_cli, in_terminal):
    result = ganzoo_cli("watch", "run")
    assert (result.code, result.err) == (0, "")
    assert HALF_BLOCK in result.out
    assert "run: finished, step 4 of 4" in plain(result.out)


@pytest.mark.parametrize("broken", ["no picture", None])
def test_without_a_picture_there_are_numbers(run, ganzoo_cli, in_terminal, broken):
    for path in run.pictures().values():
        path.unlink()
        if broken:
            path.write_text(broken)
    result = ganzoo_cli("watch", "run")
    assert result.code == 0
    assert HALF_BLOCK not in result.out
    assert "generator/adversarial" in plain(result.out)


def test_two_runs_stand_beside_each_other_where_there_is_room(
    run, ganzoo_cli, in_terminal, monkeypatch
):
    shutil.copytree("run", "other")
    below = plain(ganzoo_cli("watch", "run", "other", "--once").out)
    assert not re.search("run: finished.*other: finished", below)
    assert below.index("run: finished") < below.index("other: finished")
    monkeypatch.setenv("COLUMNS", "160")
    beside = plain(ganzoo_cli("watch", "run", "other", "--once").out)
    assert re.search("run: finished.*other: finished", beside)


@pytest.mark.parametrize("width", [20, 40, 60])
def test_narrow_terminals_cut_lines_and_wrap_none(run, ganzoo_cli, in_terminal, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    run.score_log.write_text(row(4, metric="a-metric-of-a-long-name" * 3, value=2.5))
    for line in plain(ganzoo_cli("watch", "run", "--once").out).splitlines():
        assert len(line) <= width


@pytest.mark.parametrize("live", [True, False])
def test_ctrl_c_leaves_with_130(run, ganzoo_cli, monkeypatch, request, live):
    if live:
        request.getfixturevalue("in_terminal")
    unfinished(run)

    def interrupted(seconds):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(command.time, "sleep", interrupted)
        result = ganzoo_cli("watch", "run")
    assert result.code == 130
    assert result.err == "watch has ended; training continues\n"
    if live:
        assert result.out.rindex("\x1b[?25h") > result.out.rindex("\x1b[?25l"), "a cursor again"


def test_what_is_no_run_is_refused(refused):
    Path("empty").mkdir()
    assert refused("watch", "empty") == "Error: empty is not a run: it has no config.json of one"
    assert refused("watch", "nowhere") == "Error: there is no run folder nowhere"
    assert "there is no run under" in refused("watch")


def test_a_picture_is_read_once(run, monkeypatch, in_terminal):
    from rich.console import Console

    from ganzoo.media import images
    from ganzoo_zoo.apps.watch.view import View

    read = []
    load = images.load_png
    monkeypatch.setattr(images, "load_png", lambda path: read.append(path) or load(path))
    console = Console(
        file=io.StringIO(), force_terminal=True, color_system="truecolor", width=80, height=40
    )
    view, found = View(console), followed(run)
    for _ in range(3):
        console.print(view([found]))
    shutil.copy(run.picture(4), run.picture(5))
    assert found.update()
    console.print(view([found]))
    assert read == [run.picture(4), run.picture(5)]
    with Image.open(run.picture(5)) as picture:
        assert picture.text["ganzoo:layout"] == "8 x 8"
