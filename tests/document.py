"""An HTML file as a tree, for tests of what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = {"br", "col", "hr", "img", "input", "link", "meta"}
"""What has no end tag."""


@dataclass
class Node:
    """An element, with texts and elements in the order in which they come."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node | str] = field(default_factory=list)

    def all(self, tag: str = "", **attributes: str) -> list[Node]:
        """Return the elements within of a tag, or of any, that have some attributes."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [
            node
            for node in self._within()
            if tag in ("", node.tag) and wanted.items() <= node.attributes.items()
        ]

    def one(self, tag: str = "", **attributes: str) -> Node:
        """Return the only one of these."""
        (found,) = self.all(tag, **attributes)
        return found

    @property
    def text(self) -> str:
        """What stands in it, with single spaces."""
        return " ".join("".join(self.texts()).split())

    def texts(self) -> Iterator[str]:
        """Yield what stands in it, as it stands there."""
        for child in self.children:
            if isinstance(child, str):
                yield child
            else:
                yield from child.texts()

    def _within(self) -> Iterator[Node]:
        for child in self.children:
            if isinstance(child, Node):
                yield child
                yield from child._within()


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Node("")
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(self.open[-1].children[-1])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> ends what was not begun last"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parsed(file: Path) -> Node:
    """Parse a file; every tag must be closed in its turn."""
    builder = _Builder()
    builder.feed(file.read_text(encoding="utf-8"))
    builder.close()
    assert builder.open == [builder.root], "a tag is not closed"
    return builder.root
