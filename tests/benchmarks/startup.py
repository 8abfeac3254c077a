"""What it costs to start: whole commands beside bare programs that do the same kind of work.

    python tests/benchmarks/startup.py

Both are processes of their own and take turns (``processes.py``). Help, the list and completion are
beside a Typer program with one command, and what a component is beside one that prints the fields
of a pydantic model. Sampling is beside a program that imports torch, writes the same layers down as
the model has, reads its weights, and saves a picture of as many samples. Training, of 20 steps, is
beside a program that reads the same digits, trains the same networks by the same losses and
optimiser, and saves the weights; a run of ganzoo has a moving average, metrics, a checkpoint, a
picture and a card beside that.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ganzoo_zoo.data.digits import FILE
from load import BY_HAND, trained
from measuring import in_words, table
from processes import Program, compared, in_turns

GANZOO = Path(sys.executable).with_name("ganzoo")
TYPER = '''
import typer

app = typer.Typer()


@app.command()
def hello(name: str = "world") -> None:
    """Greet someone."""
    print(f"hello {name}")


app(prog_name="bare")
'''
FIELDS = '''
import typer
from pydantic import BaseModel, Field

app = typer.Typer()


class Options(BaseModel):
    """A generator and a discriminator."""

    z_dim: int = Field(default=100, gt=0, description="Length of a latent.")
    base_channels: int = Field(default=32, gt=0, description="Channels at the highest resolution.")


@app.command()
def show() -> None:
    """Show the options."""
    print(Options.__doc__)
    for name, field in Options.model_fields.items():
        print(f"{name} = {field.default}  {field.description}")


app()
'''
PICTURE = """
from PIL import Image
grid = samples.add(1).mul(127.5).round().clamp(0, 255).byte()
grid = grid.view(8, 8, 32, 32).permute(0, 2, 1, 3).reshape(256, 256)
Image.fromarray(grid.numpy()).save(sys.argv[2])
"""
TRAINING = """
import sys
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn
digits = load_file(sys.argv[1])["images"].float() / 16
digits = F.interpolate(digits, (32, 32), mode="bicubic", antialias=True).clamp(0, 1) * 2 - 1
generator = nn.Sequential(
    nn.Linear(64, 256), nn.ReLU(),
    nn.Linear(256, 256), nn.ReLU(),
    nn.Linear(256, 1024), nn.Tanh(), nn.Unflatten(1, (1, 32, 32)),
)
discriminator = nn.Sequential(
    nn.Flatten(), nn.Linear(1024, 256), nn.LeakyReLU(0.2),
    nn.Linear(256, 256), nn.LeakyReLU(0.2),
    nn.Linear(256, 1), nn.Flatten(0),
)
of_generator, of_discriminator = (
    torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for network in (generator, discriminator)
)
def descend(loss, optimizer):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for step in range(20):
    real = digits[torch.randint(len(digits), (32,))]
    with torch.no_grad():
        fake = generator(torch.randn(32, 64))
    loss = F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(fake)).mean()
    descend(loss, of_discriminator)
    descend(F.softplus(-discriminator(generator(torch.randn(32, 64)))).mean(), of_generator)
save_file(generator.state_dict(), sys.argv[2])
"""


@dataclass(frozen=True)
class Case:
    """A command that is timed."""

    command: str
    programs: Callable[[Path], tuple[Program, Program]]
    """Prepares the command and the bare program in an empty folder."""
    slow: bool = False
    """Whether they import torch."""


def bare(program: str, *arguments: str | Path, **environment: str) -> Program:
    """Return a program from its text."""
    return Program([sys.executable, "-c", program, *arguments], environment=environment)


def completion(folder: Path) -> tuple[Program, Program]:
    """Ask for what ``show d`` may become, and for the bare program's options."""
    ours = {"_GANZOO_COMPLETE": "complete_bash", "COMP_WORDS": "ganzoo show d", "COMP_CWORD": "2"}
    other = {"_BARE_COMPLETE": "complete_bash", "COMP_WORDS": "bare --", "COMP_CWORD": "1"}
    return Program([GANZOO], environment=ours), bare(TYPER, **other)


def sampling(folder: Path) -> tuple[Program, Program]:
    """Save a picture of 64 samples of a DCGAN."""
    run = trained(folder / "run")
    files = [folder / "ganzoo.png", folder / "bare.png"]
    ours = Program([GANZOO, "sample", run.path, "-n", "64", "--out", files[0], "--force"])
    return ours, bare(BY_HAND + PICTURE, run.model, files[1])


def training(folder: Path) -> tuple[Program, Program]:
    """Train for 20 steps."""
    alike = ["--loss", "non-saturating", "--recipe", "paper", "--batch-size", "32"]
    alike += ["--image-size", "32", "--steps", "20", "--device", "cpu"]
    ours = Program([GANZOO, "train", "mlp", *alike], folder)
    return ours, bare(TRAINING, FILE, folder / "bare.safetensors")


CASES = {
    "help": Case("ganzoo --help", lambda _: (Program([GANZOO, "--help"]), bare(TYPER, "--help"))),
    "list": Case("ganzoo list", lambda _: (Program([GANZOO, "list"]), bare(TYPER))),
    "show": Case("ganzoo show dcgan", lambda _: (Program([GANZOO, "show", "dcgan"]), bare(FIELDS))),
    "completion": Case("completion of ganzoo show", completion),
    "sample": Case("ganzoo sample", sampling, slow=True),
    "train": Case("ganzoo train mlp --steps 20", training, slow=True),
}


def main(arguments: list[str] | None = None) -> None:
    """Let each command and its bare program take turns, and print how they compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"Of {', '.join(CASES)}.")
    parser.add_argument("--pairs", type=int, default=21, help="Of what imports no torch.")
    parser.add_argument("--slow-pairs", type=int, default=9, help="Of what does.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(CASES):
        parser.error(f"no such command: {', '.join(sorted(unknown))}")
    found = measure(options.names or CASES, options.pairs, options.slow_pairs)
    print(json.dumps(found, indent=1) if options.json else show(found))


def measure(names: Iterable[str] = (), pairs: int = 21, slow_pairs: int = 9) -> dict[str, Any]:
    """Time commands in turns with their bare programs.

    Args:
        names: Keys of :data:`CASES`; all where there are none.
        pairs: Pairs of what imports no torch.
        slow_pairs: Pairs of what does.

    Returns:
        The machine's ``load`` before, its ``cores``, torch's version, and ``commands`` by name:
        each with how it is typed and what :func:`processes.compared` finds.
    """
    found = {"load": os.getloadavg(), "cores": os.cpu_count(), "torch": torch.__version__}
    commands = {}
    for name in names or CASES:
        case = CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            programs = case.programs(Path(folder))
            took = in_turns(*programs, slow_pairs if case.slow else pairs)
        commands[name] = {"command": case.command, **compared(took)}
    return {**found, "commands": commands}


def show(found: Mapping[str, Any]) -> str:
    """Return what was measured as a table in Markdown."""
    rows = []
    for each in found["commands"].values():
        cells = [in_words(each["wall"][of]) for of in ("ganzoo", "bare", "ratio")]
        cells += [in_words(each["cpu"]["ratio"]), str(each["pairs"])]
        rows.append([f"`{each['command']}`", *cells])
    header = ("command", "seconds", "bare program", "ratio", "of processor time", "pairs")
    return (
        f"{found['cores']} cores, load {found['load'][0]:.1f}, torch {found['torch']}; medians and "
        f"quartiles\n\n{table(header, rows)}"
    )


if __name__ == "__main__":
    main()
