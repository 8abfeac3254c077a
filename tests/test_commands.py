"""Commands that plugins add: found, listed, completed and run through the real command line."""

import json
import os
import re
import subprocess
import sys

import pytest

import ganzoo

GROUP = "ganzoo.commands"

HELLO = '''"""Say hello, and count.

More about it.
"""

from pathlib import Path

import typer

from ganzoo.errors import GanzooError, InputError

Path(__file__).with_suffix(".ran").touch()
app = typer.Typer(rich_markup_mode=None)


@app.command()
def hello(
    name: str = typer.Option("you", help="Whom to greet."),
    times: int = typer.Option(1, min=1, help="How often."),
    fail: str = typer.Option("", help="How to fail."),
):
    """Greet somebody."""
    if fail == "input":
        raise InputError("wrong as it was asked")
    if fail == "work":
        raise GanzooError("the work failed")
    if fail == "fault":
        raise RuntimeError("fell over")
    if fail == "exit":
        raise typer.Exit(5)
    print("\\n".join([f"hello {name}"] * times))
    return 7


several = typer.Typer(rich_markup_mode=None)


@several.command()
def one():
    """Do the first thing."""
    print("first")


@several.command()
def two(count: int = typer.Option(2, "--count", help="How many.")):
    """Do the second thing."""
    raise typer.Exit(count)


empty = typer.Typer()
odd = typer.Typer()


@odd.command()
def strange(what: "no_such_name"):
    pass


number = 3
'''


@pytest.fixture
def acme(plugin):
    """Install a package with working commands; return the file that shows that it was imported."""
    points = {"hello": "acme:app", "several": "acme:several", "train": "acme:app"}
    return plugin("acme", HELLO, {GROUP: points}) / "acme.ran"


def complete(words, *sites):
    """Ask for completions as a shell does."""
    path = os.pathsep.join([*map(str, sites), *filter(None, [os.environ.get("PYTHONPATH")])])
    code = (
        "import sys\nfrom ganzoo.cli import main\n"
        "try:\n    main([])\n"
        "finally:\n    print('torch' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "PYTHONPATH": path,
            "_GANZOO_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "False\n", "completing imported torch, or said something"
    return done.stdout.split()


def rows_of(result):
    return {(row["package"], row["name"]): row for row in json.loads(result.out)}


def test_help_and_list_name_commands_without_importing_them(acme, ganzoo_cli):
    shown = ganzoo_cli("--help")
    assert (shown.code, shown.err) == (0, "")
    assert re.search(r"^  hello       Say hello, and count\. \[acme 1\.0\]$", shown.out, re.M)
    assert re.search(r"^  new-plugin  Write a package .*install\.$", shown.out, re.M)
    assert re.search(r"^  acme:train  Say hello", shown.out, re.M)
    listed = rows_of(ganzoo_cli("list", "commands", "--json"))
    assert listed["acme", "hello"] == {
        "kind": "command",
        "name": "hello",
        "package": "acme",
        "version": "1.0",
        "summary": "Say hello, and count",
        "state": "installed",
    }
    assert not acme.exists()
    assert ganzoo_cli("hello", "--help").code == 0
    assert acme.exists()


MODULES = {
    "a module": ("acme.py", "acme:app", '"""Said."""\nraise OSError', "Said. [acme 1.0]"),
    "a package": ("acme/__init__.py", "acme:app", '"""Said."""', "Said. [acme 1.0]"),
    "within a package": ("acme/deep/cli.py", "acme.deep.cli:app", '"""Said."""', "Said. [acme"),
    "no docstring": ("acme.py", "acme:app", "x = 1", "A command of acme 1.0."),
    "a syntax error": ("acme.py", "acme:app", "def (:", "A command of acme 1.0."),
    "no text": ("acme.py", "acme:app", b"\xff\x00", "A command of acme 1.0."),
    "no module": ("other.py", "acme_elsewhere:app", "", "A command of acme 1.0."),
    "no inner module": ("other.py", "json.no.such:app", "", "A command of acme 1.0."),
    "not Python": ("other.py", "itertools:app", "", "A command of acme 1.0."),
}


@pytest.mark.parametrize(("path", "target", "code", "said"), MODULES.values(), ids=MODULES.keys())
def test_the_line_of_help_is_read_from_the_source(plugin, ganzoo_cli, path, target, code, said):
    site = plugin("acme", "raise RuntimeError('imported')", {GROUP: {"mine": target}})
    (site / "acme.py").unlink()
    file = site / path
    file.parent.mkdir(parents=True, exist_ok=True)
    if "/" in path:
        (site / "acme" / "__init__.py").write_text("raise RuntimeError('imported')")
    file.write_bytes(code if isinstance(code, bytes) else code.encode())
    shown = ganzoo_cli("--help")
    assert (shown.code, shown.err) == (0, "")
    assert re.search(rf"^  mine +{re.escape(said)}", shown.out, re.M)
    assert "acme" not in sys.modules


def test_a_command_runs_with_its_options(acme, ganzoo_cli):
    assert ganzoo_cli("hello").out == "hello you\n"
    result = ganzoo_cli("hello", "--name", "me", "--times", "2")
    assert (result.code, result.out, result.err) == (0, "hello me\nhello me\n", "")
    assert ganzoo_cli("acme:hello").out == "hello you\n"
    shown = ganzoo_cli("hello", "--help").out
    assert "Usage: ganzoo hello [OPTIONS]" in shown
    assert "Whom to greet." in shown
    assert "completion" not in shown


def test_an_app_with_several_commands_has_subcommands(acme, ganzoo_cli, refused):
    assert ganzoo_cli("several", "one").out == "first\n"
    assert ganzoo_cli("several", "two").code == 2
    assert ganzoo_cli("several", "two", "--count", "9").code == 9
    shown = ganzoo_cli("several", "--help").out
    assert "Do the first thing." in shown
    assert "completion" not in shown
    assert ganzoo_cli("several", "two", "-h").out.startswith("Usage: ganzoo several two")
    assert "Missing command. Try 'ganzoo several --help'." in refused("several")
    assert "No such command 'tow'. Did you mean 'two'?" in refused("several", "tow")


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("input", 2, "Error: wrong as it was asked"),
        ("work", 1, "Error: the work failed"),
        ("fault", 1, "Error: RuntimeError: fell over\nthis is a bug in ganzoo or in a plugin"),
    ],
)
def test_errors_of_a_command_are_said_as_ganzoos_own(acme, refused, how, code, said):
    assert refused("hello", "--fail", how, code=code).startswith(said)


def test_exit_codes_and_bad_usage_of_a_command(acme, ganzoo_cli, refused):
    assert ganzoo_cli("hello", "--fail", "exit").code == 5
    assert refused("hello", "--times", "0").endswith("Try 'ganzoo hello --help'.")
    assert "No such option: --naem" in refused("hello", "--naem", "x")


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [("helo", "hello"), ("new-plugni", "new-plugin"), ("trian", "train"), ("acme:helo", "hello")],
)
def test_an_unknown_command_offers_the_nearest_of_all(acme, refused, typed, nearest):
    message = refused(typed)
    assert message == (
        f"Error: No such command '{typed}'; did you mean '{nearest}'? Try 'ganzoo --help'."
    )
    assert not acme.exists()


def test_a_command_of_ganzoo_is_never_replaced(acme, ganzoo_cli):
    assert "Train a GAN." in ganzoo_cli("train", "--help").out
    assert not acme.exists()
    assert ganzoo_cli("acme:train").out == "hello you\n"
    hidden = "hidden by ganzoo's own command: write acme:train"
    for check in ([], ["--check"]):
        states = rows_of(ganzoo_cli("list", "commands", "--json", *check))
        assert states["acme", "train"]["state"] == hidden
    shown = ganzoo_cli("show", "acme:train").out
    assert "'ganzoo acme:train --help' shows its options" in shown


def test_a_command_claimed_twice_is_refused_until_one_is_chosen(acme, plugin, ganzoo_cli, refused):
    plugin("rival", HELLO.replace("hello {name}", "rival {name}"), {GROUP: {"hello": "rival:app"}})
    for command in (["hello"], ["hello", "--help"], ["hello", "--name", "x"]):
        assert refused(*command) == (
            "Error: command 'hello' is claimed by acme and rival; "
            "write 'acme:hello' or 'rival:hello'"
        )
    assert ganzoo_cli("acme:hello").out == "hello you\n"
    assert ganzoo_cli("rival:hello").out == "rival you\n"
    shown = ganzoo_cli("--help").out
    assert re.search(r"^  acme:hello ", shown, re.M)
    assert re.search(r"^  rival:hello ", shown, re.M)
    assert not re.search(r"^  hello ", shown, re.M)
    states = rows_of(ganzoo_cli("list", "--check", "--json"))
    assert states["rival", "hello"]["state"] == "claimed twice: write rival:hello"
    assert ganzoo_cli("show", "hello").out.count("Greet somebody.") == 2


BROKEN = {
    "an exception": ("raise RuntimeError('out of order')", "bust:app", "fails to import (bust:app"),
    "an exit": ("import sys\nsys.exit(3)", "bust:app", "SystemExit: 3"),
    "no attribute": ("", "bust:app", "AttributeError: module 'bust' has no attribute 'app'"),
    "no module": ("", "bust_elsewhere:app", "No module named 'bust_elsewhere'"),
    "no app": (HELLO, "bust:number", "is not a typer.Typer: bust:number must be an instance of it"),
    "a function": (HELLO, "bust:hello", "is not a typer.Typer"),
    "an empty app": (HELLO, "bust:empty", "cannot be built: Could not get a command"),
    "an odd type": (HELLO, "bust:odd", "cannot be built: name 'no_such_name' is not d"),
}


@pytest.mark.parametrize(("code", "target", "cause"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_command_fails_when_it_is_used(
    acme, plugin, ganzoo_cli, refused, code, target, cause
):
    plugin("bust", code, {GROUP: {"bust": target}}, version="0.9")
    for command in (["bust"], ["bust", "--help"], ["bust:bust"], ["show", "bust"]):
        message = refused(*command)
        assert message.startswith("Error: command 'bust' of bust 0.9 ")
        assert cause in message
        assert "\n" not in message
    for works in (["--help"], ["hello"], ["list"], ["show", "hello"]):
        assert ganzoo_cli(*works).code == 0
    states = rows_of(ganzoo_cli("list", "commands", "--check", "--json"))
    assert states["bust", "bust"]["state"].startswith("broken: command 'bust' of bust 0.9 ")
    assert states["acme", "hello"]["state"] == "works"
    assert states["acme", "hello"]["summary"] == "Greet somebody."


def test_without_the_package_a_command_is_unknown(refused):
    assert refused("acme:hello") == ("Error: No such command 'acme:hello'. Try 'ganzoo --help'.")


def test_show_tells_what_a_command_is(acme, ganzoo_cli):
    assert ganzoo_cli("show", "hello").out == (
        "command hello, acme 1.0\n  Greet somebody.\n  'ganzoo hello --help' shows its options\n"
    )
    document = json.loads(ganzoo_cli("show", "new-plugin", "--json").out)
    assert document["package"] == "ganzoo"
    assert document["version"] == ganzoo.__version__
    assert document["summary"].startswith("Write a package")


COMPLETED = {
    "commands": (["hel"], ["hello"]),
    "qualified commands": (["acme"], ["acme:train"]),
    "options of a command": (["hello", "--"], ["--name", "--times", "--fail", "--help"]),
    "subcommands": (["several", ""], ["one", "two"]),
    "options of a subcommand": (["several", "two", "--c"], ["--count"]),
    "a broken command": (["bust", "--"], []),
    "an unknown command": (["nothing", "--no"], []),
}


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """Packages for a shell's own process: one that works, one that is broken."""
    site = tmp_path_factory.mktemp("shell")
    for package, code, points in (
        ("acme", HELLO, "hello = acme:app\nseveral = acme:several\ntrain = acme:app\n"),
        ("bust", "raise RuntimeError", "bust = bust:app\n"),
    ):
        info = site / f"{package}-1.0.dist-info"
        info.mkdir()
        (site / f"{package}.py").write_text(code)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{points}")
    return site


@pytest.mark.parametrize(("words", "found"), COMPLETED.values(), ids=COMPLETED.keys())
def test_a_shell_completes_commands_of_plugins(shell, words, found):
    assert complete(["ganzoo", *words], shell) == found


def test_a_shell_completes_all_commands(shell):
    found = complete(["ganzoo", ""], shell)
    assert {"train", "show", "hello", "several", "bust", "acme:train", "new-plugin"} <= set(found)
    assert len(found) == len(set(found))


NAMES = {
    "train": (["train", "dcg"], {"dcgan"}),
    "train --loss": (["train", "mlp", "--loss", "wgan"], {"wgan", "wgan-gp"}),
    "train --data": (["train", "mlp", "--data", "cif"], {"cifar10"}),
    "train --tracker": (["train", "mlp", "--tracker", "t"], {"tensorboard", "trackio"}),
    "train --precision": (["train", "mlp", "--precision", ""], {"fp32", "bf16", "fp16"}),
    "sample --source": (["sample", "--source", "mni"], {"mnist"}),
    "eval --metric": (["eval", "--metric", "mod"], {"modes"}),
    "eval --data": (["eval", "--data", "rin"], {"ring"}),
    "eval --features": (["eval", "--features", "dig"], {"digits-cnn"}),
    "sweep, a list": (["sweep", "mlp", "--loss", "lsgan,wg"], {"lsgan,wgan", "lsgan,wgan-gp"}),
    "show": (["show", "unr"], {"unrolled"}),
    "show, of an augmentation": (["show", "cuto"], {"cutout"}),
    "show, of a command": (["show", "new"], {"new-plugin"}),
    "list": (["list", "fea"], {"feature-extractors"}),
    "list, of runs": (["list", "ru"], {"runs"}),
    "list, of augmentations": (["list", "au"], {"augmentations"}),
    "new-plugin --kind": (["new-plugin", "x", "--kind", "eva"], {"evaluator"}),
}


@pytest.mark.parametrize(("words", "found"), NAMES.values(), ids=NAMES.keys())
def test_a_shell_completes_installed_names(words, found):
    assert set(complete(["ganzoo", *words])) == found


EMPTY = {
    "train": "ARCH",
    "train mlp --data": "NAME or PATH",
    "train mlp --loss": "NAME",
    "train mlp --out": "DIR",
    "train mlp --tracker": "NAME",
    "train mlp --set": "KEY=VALUE",
    "train --init": "MODEL",
    "train --resume": "DIR",
    "sample": "MODEL",
    "sample --label": "NAME or NUMBER",
    "sample -n": "a value",
    "eval": "MODEL",
    "eval --json": "MODEL",
    "eval --metric": "a value",
    "compare": "MODEL...",
    "publish user/name": "[RUN] REPO_ID",
    "show": "NAME or MODEL",
    "list": "KIND and DIR",
    "data check": "NAME or PATH",
    "report": "RUN...",
    "hello --name": "a value",
    "several two --count": "a value",
}


@pytest.mark.parametrize("blank", ["", " \t"], ids=repr)
@pytest.mark.parametrize("line", EMPTY)
def test_an_empty_text_is_refused_by_every_command(line, blank, acme, refused, tmp_path):
    *words, last = line.split()
    named = last.startswith("-") and last != "--json"
    message = refused(*words, last, blank)
    assert message == f"Error: {last if named else 'an argument'} is empty: give {EMPTY[line]}"
    if last.startswith("--") and named:
        assert refused(*words, f"{last}={blank}") == message
    assert not (tmp_path / "runs").exists()


def test_the_value_of_a_setting_may_be_empty(ganzoo_cli):
    shown = ganzoo_cli("train", "mlp", "--set", "train.augment=", "--dry-run")
    assert (shown.code, json.loads(shown.out)["augmentations"]) == (0, [])
