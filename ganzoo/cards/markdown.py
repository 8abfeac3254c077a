"""Markdown that says what it is given and nothing else: names come from files of anybody."""

from __future__ import annotations

import re

from ganzoo.errors import escape_text

_PLAIN = re.compile(r"[\w .,:;=+()/@%'\"?\[\]-]+")
"""What stands in a code span as it is, in tables too."""
_SPECIAL = re.compile(r"[^\w .,;()'-]|_")
_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5}(?:v\d+)?|[a-z-]+(?:\.[A-Z]{2})?/\d{7}(?:v\d+)?)")
_DOI = re.compile(r"doi:(10\.\d{4,9}/[\w.()/:-]*\w)")


def code(value: object) -> str:
    """Return a value as code, in one line that ends no table, no comment and no code."""
    text = escape_text(str(value))
    if _PLAIN.fullmatch(text) and text == text.strip():
        return f"`{text}`"
    return f"<code>{_escape(text)}</code>"


def prose(value: object) -> str:
    """Return a value as words within a line, in which nothing is a mark."""
    return _escape(escape_text(str(value)))


def _escape(text: str) -> str:
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", text)


def cell(sentence: str) -> str:
    """Return words of code's own, such as an option's description, as a cell of a table."""
    return " ".join(sentence.split()).replace("|", "\\|").replace("<", "&lt;")


def add_links(paper: str) -> str:
    """Return a reference with links where it has an arXiv id or a DOI."""
    text = cell(paper)
    text = _ARXIV.sub(r"[\g<0>](https://arxiv.org/abs/\1)", text)
    return _DOI.sub(r"[\g<0>](https://doi.org/\1)", text)
