"""Help: panels as wide as a terminal, plain text elsewhere, and examples that work."""

import os
import re
import shlex
import struct
import subprocess
import sys

import pytest
import typer

from ganzoo import registry
from ganzoo.cli.commands import app
from ganzoo.cli.help import list_examples
from ganzoo.cli.plugins import build_command
from ganzoo.registry import COMMAND

OWN = dict(typer.main.get_command(app).commands)
PLUGINS = {
    entry.name: build_command(entry)
    for entry in registry.entries(COMMAND)
    if entry.package == "ganzoo"
}
COMMANDS = {
    **OWN,
    **{name: each for name, each in PLUGINS.items() if not hasattr(each, "commands")},
    "data check": PLUGINS["data"].commands["check"],
}


@pytest.fixture
def on_terminal(tmp_path):
    """Run ganzoo in a terminal of a width, and return what it shows, a line each."""
    pty = pytest.importorskip("pty")
    import fcntl
    import termios

    def run(words, width=80, site=None, **environment):
        main, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        path = os.pathsep.join(filter(None, [site and str(site), os.environ.get("PYTHONPATH")]))
        settings = {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", "PYTHONPATH": path}
        unset = {"COLUMNS", "LINES", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"}
        env = {key: value for key, value in os.environ.items() if key not in unset}
        process = subprocess.Popen(
            [sys.executable, "-m", "ganzoo", *words],
            **{"stdin": child, "stdout": child, "stderr": child, "cwd": tmp_path},
            env={**env, **settings, **environment},
        )
        os.close(child)
        shown = b""
        try:
            while part := os.read(main, 1 << 16):
                shown += part
        except OSError:  # the terminal's other end is closed
            pass
        os.close(main)
        assert process.wait() == 0, shown
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
        return text.replace("\r", "").splitlines()

    return run


@pytest.mark.parametrize("width", [80, 140])
def test_help_in_a_terminal_is_as_wide_as_it_and_in_groups(on_terminal, width):
    lines = on_terminal(["train", "--help"], width)
    assert {len(line) for line in lines if line.startswith("╭")} == {width}
    titles = [line.split("─ ")[1].split(" ─")[0] for line in lines if line.startswith("╭")]
    groups = ["What to train", "How to train", "Where to start", "What to keep"]
    assert titles == ["Arguments", *groups, "Other options"]
    text = " ".join(" ".join(lines).replace("│", " ").split())
    assert "Generator updates. [default: 1000]" in text, "brackets are no markup"
    assert "<bool>" not in text
    last = [line.strip() for line in lines if line.strip()][-16:]
    assert "ganzoo train dcgan --data photos --image-size 64" in last


def test_help_of_a_strangers_command_looks_the_same(on_terminal, plugin):
    text = (
        '"""Say [hello]."""\nimport typer\napp = typer.Typer(rich_markup_mode=None)\n'
        "@app.command()\ndef hello(name: str = typer.Option('you', help='A [name].')):\n"
        '    """Say hello.\n\n    Over\n    lines."""\n'
    )
    site = plugin("acme", text, {"ganzoo.commands": {"hello": "acme:app"}})
    listed = on_terminal(["--help"], site=site)
    assert any("Say [hello]. [acme 1.0]" in line for line in listed)
    assert any(line.startswith("╭─ Commands of plugins ─") for line in listed)
    shown = on_terminal(["hello", "--help"], site=site)
    assert any(line.startswith("╭─ Options ─") for line in shown)
    assert any("A [name]." in line for line in shown)
    assert any("Over lines." in line for line in shown)


def test_a_terminal_that_cannot_draw_shows_plain_help(on_terminal):
    lines = on_terminal(["train", "--help"], TERM="dumb")
    assert lines[0] == "Usage: ganzoo train [OPTIONS] [ARCH]"
    assert "Options:" in lines


def test_help_in_a_terminal_imports_no_torch(on_terminal):
    found = on_terminal(["train", "--help"], PYTHONPROFILEIMPORTTIME="1")
    modules = {line.rpartition("|")[2].strip() for line in found if "import time:" in line}
    assert "typer.rich_utils" in modules
    assert not modules & {"torch", "numpy", "ganzoo_zoo"}


def test_help_elsewhere_is_plain_even_where_an_app_asks_for_markup(plugin, ganzoo_cli):
    text = 'import typer\napp = typer.Typer()\n@app.command()\ndef hello():\n    """Say hello."""\n'
    plugin("acme", text, {"ganzoo.commands": {"hello": "acme:app"}})
    shown = ganzoo_cli("hello", "--help").out
    assert shown.startswith("Usage: ganzoo hello [OPTIONS]\n\n  Say hello.\n\nOptions:\n")


def examples_of(command):
    lines = (command.epilog or "").split("Examples:\n")[-1].splitlines()
    meanings, commands = lines[::2], lines[1::2]
    assert all(re.fullmatch(r"  # [A-Z].*\.", each) for each in meanings)
    assert all(len(line) <= 76 for line in lines)
    return [shlex.split(each) for each in commands]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_ends_with_examples_that_work(name, ganzoo_cli):
    command = COMMANDS[name]
    examples = examples_of(command)
    assert examples
    shown = ganzoo_cli(*name.split(), "--help").out
    assert shown.endswith(shlex.join(examples[-1]) + "\n")
    for words in examples:
        start = len(name.split()) + 1
        assert words[:start] == ["ganzoo", *name.split()]
        with command.make_context(name, words[start:], resilient_parsing=True) as context:
            assert not context.args
            known = {option for each in command.params for option in each.opts}
            assert {word for word in words if word.startswith("-")} <= known


def test_examples_are_pairs_of_a_meaning_and_a_command():
    assert list_examples(("This.", "show a"), ("That.", "show b")).splitlines() == [
        *("\b", "Examples:", "  # This.", "  ganzoo show a", "  # That.", "  ganzoo show b")
    ]
