"""The script that makes the table and the pictures of the points."""

import json
import shlex
from pathlib import Path

import pytest
from PIL import Image

import ganzoo
from ganzoo.resolve import parse_settings, resolve

ROOT = Path(__file__).parent.parent


@pytest.fixture
def modes(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    import modes

    return modes


def test_it_trains_once_and_makes_a_table_and_a_picture(modes, tmp_path, capsys, monkeypatch):
    asked = ["--out", str(tmp_path), "--lines", "hinge", "--sets", "grid", "--seeds", "3"]
    modes.main([*asked, "--steps", "2"])
    table = capsys.readouterr().out
    (row,) = [json.loads(line) for line in (tmp_path / "modes.jsonl").read_text().splitlines()]
    assert (row["line"], row["data"], row["seed"], row["steps"]) == ("hinge", "grid", 3, 2)
    share = f"{100 * row['high-quality']:.1f}"
    cells = f"{row['modes']:.0f} of 25 | {share} % ({share} to {share})"
    assert f"| hinge | {cells} | " in table
    with Image.open(tmp_path / "modes-grid.png") as picture:
        assert picture.size == (modes.MARGIN + modes.SIDE, modes.SIDE)
        assert len(picture.getcolors()) > 3  # points and circles, and not a blank

    monkeypatch.setattr(ganzoo, "train", None)
    modes.main([*asked, "--steps", "2"])
    assert capsys.readouterr().out == table


@pytest.mark.parametrize("data", ["ring", "grid"])
def test_a_line_says_the_command_that_trains_it(modes, data):
    for line in modes.LINES.values():
        words = shlex.split(line.command(data, line.steps[data]))
        plain = f"ganzoo train mlp --data {data} --loss {line.loss} --steps {line.steps[data]}"
        assert words[:9] == shlex.split(plain)
        given = parse_settings(words[i + 1] for i, word in enumerate(words) if word == "--set")
        same = resolve("mlp", line.loss, data, line.settings)
        assert resolve("mlp", line.loss, data, given) == same


def test_the_results_show_the_commands_of_the_recipe(modes):
    page = (ROOT / "docs" / "understand" / "results.md").read_text()
    line = modes.LINES["r3gan-long"]
    for data in modes.SETS:
        assert f"$ {line.command(data, line.steps[data])}\n" in page
