"""The tutorial works as typed: its commands run in order, with short trainings."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "start" / "tutorial.md"
SMALL = ["--steps=1", "--batch-size=8", "--image-size=8", "--set", "arch.base_channels=4"]


def read_blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def commands():
    lines = "".join(read_blocks("console")).splitlines()
    assert all(line.startswith("ganzoo ") for line in lines)
    return [shlex.split(line)[1:] for line in lines]


def shorten(command):
    """Return a training with the page's options and few steps on small networks."""
    if command[0] != "train":
        return command
    if "--fork" in command:
        return [*command, "--steps=2"]
    return [*command, *SMALL]


def test_the_tutorial_works_in_order(commands, ganzoo_cli):
    for command in commands:
        if command[0] == "train" and "--fork" not in command:
            planned = ganzoo_cli(*command, "--dry-run")
            assert planned.code == 0, (command, planned.err)
        done = ganzoo_cli(*shorten(command))
        assert done.code == 0, (command, done.err)
        for option, name in pairwise(command):
            if option == "--out":
                assert Path(name).exists(), command
    for file in ("runs/digits/report.html", "walk-0-1-2.webp", "sheet.png"):
        assert f"`{file}`" in PAGE.read_text()
        assert Path(file).exists()
    for code in read_blocks("python"):
        names = {}
        exec(code, names)
        assert names["images"].shape[0] == 16
