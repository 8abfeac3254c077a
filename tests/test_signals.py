"""Requests to stop: which there are, what a second one means, and when they reach a command."""

import os
import pty
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import ganzoo
from benchmarks.interrupts import interrupt
from ganzoo import signals
from ganzoo.errors import Interrupted
from ganzoo.training import checkpoint
from tiny import TINY, Stopper

HUP, INT, TERM = signal.SIGHUP, signal.SIGINT, signal.SIGTERM
SMALL = ["--data", "ring", "--device", "cpu", "--set", "arch.hidden=4", "--set", "data.samples=64"]


@pytest.fixture(autouse=True)
def usual_signals():
    """Signals as in a terminal: tests may be run by nohup, or by a script in the background."""
    usual = {HUP: signal.SIG_DFL, INT: signal.default_int_handler, TERM: signal.SIG_DFL}
    before = {each: signal.signal(each, handler) for each, handler in usual.items()}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize(
    ("sent", "asked", "insisted"),
    [
        ([INT], [INT], []),
        ([INT, INT], [INT], [INT]),
        ([TERM, INT, INT], [TERM], [INT, INT]),
        # A terminal that is closed sends its signal twice, and others follow it.
        ([HUP, HUP], [HUP], []),
        ([HUP, TERM, HUP], [HUP], []),
        ([TERM, HUP], [TERM], []),
        ([HUP, TERM, TERM], [HUP], [TERM]),
    ],
)
def test_only_a_person_or_a_scheduler_insists(sent, asked, insisted):
    first, later = [], []
    before = [signal.getsignal(each) for each in (HUP, INT, TERM)]
    with signals.answer_stop_signals(first.append, later.append):
        for signum in sent:
            os.kill(os.getpid(), signum)
    assert (first, later) == (asked, insisted)
    assert [signal.getsignal(each) for each in (HUP, INT, TERM)] == before


def test_a_signal_that_is_ignored_from_the_start_stays_ignored():
    before = signal.signal(HUP, signal.SIG_IGN)
    try:
        with signals.answer_stop_signals(signals.interrupt, signals.interrupt):
            os.kill(os.getpid(), HUP)
            assert signal.getsignal(HUP) == signal.SIG_IGN
    finally:
        signal.signal(HUP, before)


def test_a_system_without_the_signal_has_the_others(monkeypatch):
    monkeypatch.setattr(signals, "HANGUP", None)
    assert signals.stop_signals() == [INT, TERM]


def test_a_closed_terminal_saves_the_state(tmp_path):
    with pytest.raises(Interrupted, match="after step 1 of 4, state saved") as stopped:
        ganzoo.train(*("mlp", None, "ring"), out=tmp_path / "run", observer=Stopper(1, HUP), **TINY)
    assert stopped.value.exit_code == 129
    assert checkpoint.steps(tmp_path / "run" / "checkpoints") == [1]


IN_TERMINAL = """
import fcntl, signal, sys, termios

fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # the terminal of standard input is this session's
if sys.argv.pop(1) == "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
from ganzoo.cli import main

sys.exit(main())
"""


def train_in_terminal(folder, steps, word):
    """Start a training that leads the session of a terminal; return it, and the other end."""
    folder.mkdir()
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL, word, "train", "mlp", *SMALL, "--steps", str(steps)],
        cwd=folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    os.close(slave)
    return process, master


def close_terminal(master):
    """Close a terminal once the first steps are done."""
    shown = b""
    while b"images/s" not in shown:
        shown += os.read(master, 4096)
    os.close(master)


def test_a_training_whose_terminal_is_closed_saves_or_goes_on_if_it_was_told_to(tmp_path):
    stopped, one = train_in_terminal(tmp_path / "one", 9_999_999, "usual")
    goes_on, other = train_in_terminal(tmp_path / "other", 300, "nohup")
    close_terminal(one)
    close_terminal(other)
    assert stopped.wait(60) == 129
    (run,) = (tmp_path / "one" / "runs").iterdir()
    assert checkpoint.steps(run / "checkpoints")
    assert goes_on.wait(60) == 0
    (run,) = (tmp_path / "other" / "runs").iterdir()
    assert checkpoint.steps(run / "checkpoints")[-1] == 300
    assert (run / "model" / "manifest.json").is_file()


def test_starts_that_are_interrupted_end_quietly(tmp_path):
    def at(seconds):
        folder = tmp_path / f"{seconds}"
        folder.mkdir()
        return interrupt(folder, INT if seconds != 0.8 else HUP, seconds)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(at, (0.05, 0.3, 0.8, 1.5))) == [None] * 4


PROCESS = """
import os, signal, sys
from pathlib import Path
from ganzoo.cli.process import run_process

def stop():
    os.kill(os.getpid(), signal.SIGTERM)

def within_an_import():
    Path("stopping.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    sys.path.insert(0, "")
    try:
        import stopping
    except BaseException:
        print("caught")

class Finaliser:
    def __del__(self):
        stop()

def within_a_finaliser():
    Finaliser()
    print("lost")

def within_the_work():
    try:
        stop()
    finally:
        print("closed", file=sys.stderr)

sys.exit(run_process(globals()[sys.argv[1]]))
"""


@pytest.mark.parametrize(
    ("where", "noted"),
    [("within_an_import", ""), ("within_a_finaliser", ""), ("within_the_work", "closed\n")],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_interrupt_is_not_caught_by_an_import_nor_lost_in_a_finaliser(
    where, noted, unbuffered, tmp_path
):
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, where],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (143, "", noted)


def test_every_signal_is_given_its_own_exit_code(ganzoo_cli, plugin):
    stops = "import os, signal, typer\napp = typer.Typer()\n@app.command()\ndef work():\n"
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        package = f"acme-{name.lower()}"
        body = f"    raise KeyboardInterrupt(signal.{name})\n"
        plugin(package, stops + body, {"ganzoo.commands": {package: f"acme_{name.lower()}:app"}})
        result = ganzoo_cli(package)
        assert (result.code, result.out) == (128 + getattr(signal, name), "")
        assert result.err == "interrupted\n"
