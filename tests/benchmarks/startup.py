"""Time ``ganzoo --help`` and ``ganzoo list`` beside a bare Typer program with one command.

Run ``python tests/benchmarks/startup.py``. The programs take turns, so that a busy machine slows
both; the ratio is taken pair by pair, and the median of the ratios is what counts.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PAIRS = 21
BARE = '''
import typer

app = typer.Typer()


@app.command()
def hello(name: str = "world") -> None:
    """Greet someone."""
    print(f"hello {name}")


app()
'''


def seconds(command: list[str]) -> float:
    """Return how long a command takes as a whole process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def compare(name: str, ours: list[str], bare: list[str]) -> None:
    """Print the medians of both commands, and of their ratio."""
    for command in (ours, bare):
        seconds(command)  # the first run fills the disk's cache
    pairs = [(seconds(ours), seconds(bare)) for _ in range(PAIRS)]
    ratios = sorted(mine / theirs for mine, theirs in pairs)
    mine, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(
        f"{name:14} {mine * 1000:4.0f} ms, bare {theirs * 1000:4.0f} ms, ratio "
        f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


def main() -> None:
    """Compare each command with what a bare program takes for the same kind of work."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "bare.py"
        program.write_text(BARE)
        bare = [sys.executable, str(program)]
        ganzoo = [str(Path(sys.executable).with_name("ganzoo"))]
        compare("ganzoo --help", [*ganzoo, "--help"], [*bare, "--help"])
        compare("ganzoo list", [*ganzoo, "list"], bare)


if __name__ == "__main__":
    main()
