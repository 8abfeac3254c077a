"""Applications on top of ganzoo, each of which adds a command."""
