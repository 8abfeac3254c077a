"""The pages that people read, and what stands in them to be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / ".github").glob("*.md")),
]
RUNNERS = ("torchrun", "nohup", "python")
"""Programs that run a command of ganzoo, or of another package."""


def snippets(page: str) -> list[tuple[str, str]]:
    """Return the language and the text of every fenced block of a page."""
    text = (ROOT / page).read_text()
    found = re.findall(r"^( *)```(\S*)\n(.*?)^\1```$", text, re.M | re.S)
    return [(language, code) for _, language, code in found]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def typed(page: str) -> Iterator[list[str]]:
    """Yield every command of a page's blocks, in words: without prompt, variables and comment.

    A block that is a script has a test of its own.
    """
    scripts = [block for block in blocks(page, "bash") if not block.startswith("#!")]
    text = "".join(blocks(page, "console") + scripts).replace("\\\n", " ")
    for line in text.splitlines():
        words = shlex.split(line.strip().removeprefix("$ "), comments=True)
        for joined, command in groupby(words, {"&&", "|", "&"}.__contains__):
            if not joined:
                yield _drop_variables(list(command))


def commands(page: str) -> list[list[str]]:
    """Return the ganzoo commands of a page's blocks, without the word ganzoo."""
    found = []
    for words in typed(page):
        if words[0] in RUNNERS and "ganzoo" in words:
            words = words[words.index("ganzoo") :]
        if words[0] == "ganzoo":
            found.append(words[1:])
    return found


def inline_commands(page: str) -> list[list[str]]:
    """Return the ganzoo commands that stand in a page's sentences and tables."""
    text = re.sub(r"^( *)```.*?^\1```$", "", (ROOT / page).read_text(), flags=re.M | re.S)
    found = re.findall(r"`ganzoo\s+([a-z][a-z-]*(?:\s[^`]*)?)`", text)
    return [re.sub(r"\\\|", "|", each).split() for each in found]


def _drop_variables(words: list[str]) -> list[str]:
    """Drop what gives variables of the environment before a command."""
    return words[next((i for i, word in enumerate(words) if not re.match(r"\w+=", word)), 0) :]
