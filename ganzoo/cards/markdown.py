"""Escaping for Markdown and HTML. Names come from files that anybody may have made."""

from __future__ import annotations

import re

from ganzoo.errors import escape_text

_PLAIN = re.compile(r"[\w .,:;=+()/@%'\"?\[\]-]+")
"""Text that needs no escaping in a code span, also in tables."""
_SPECIAL = re.compile(r"[^\w .,;()'-]|_")
_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5}(?:v\d+)?|[a-z-]+(?:\.[A-Z]{2})?/\d{7}(?:v\d+)?)")
_ADDRESS = re.compile(r"https?://[^\s<>|]+")
_DOI = re.compile(r"doi:(10\.\d{4,9}/[\w.()/:-]*\w)")


def code(value: object) -> str:
    """Format a value as code, in one line that cannot end a table, a comment or the code."""
    text = escape_text(str(value))
    if _PLAIN.fullmatch(text) and text == text.strip():
        return f"`{text}`"
    return f"<code>{_escape(text)}</code>"


def prose(value: object) -> str:
    """Escape a value as plain words within a line."""
    return _escape(escape_text(str(value)))


def _escape(text: str) -> str:
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", text)


def cell(sentence: str) -> str:
    """Format a text from code, such as an option's description, as one line of a table's cell."""
    return " ".join(sentence.split()).replace("|", "\\|").replace("<", "&lt;")


def address(url: str) -> str:
    """Format an address as a link; as plain words if it is none."""
    return f"<{url}>" if _ADDRESS.fullmatch(url) else prose(url)


def add_links(paper: str) -> str:
    """Format a reference to a paper, and link its arXiv id or DOI."""
    text = cell(paper)
    text = _ARXIV.sub(r"[\g<0>](https://arxiv.org/abs/\1)", text)
    return _DOI.sub(r"[\g<0>](https://doi.org/\1)", text)
