"""Draw shapes in a terminal."""

from __future__ import annotations

import typer

app = typer.Typer(help="Draw shapes in a terminal.", rich_markup_mode=None)


@app.command()
def square(side: int = typer.Option(2, min=1, help="Characters of a side.")) -> None:
    """Draw a square."""
    print("\n".join(["#" * side] * side))


@app.command()
def line(length: int = typer.Option(2, min=1, help="Characters.")) -> None:
    """Draw a line."""
    print("-" * length)
