"""Make the gallery: ``python docs/gallery.py --work DIR`` trains, draws, and writes the page.

Each exhibit consists of the commands that the page shows. They run as shown, in one folder, from
seeds. You can stop the script at any time: it continues unfinished runs and skips finished ones.
``--only NAME`` makes one exhibit again, from the existing runs. A test compares the page with this
file.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE / "understand" / "gallery.md"
PICTURES = HERE / "images" / "gallery"
SERVED = ("demo", "watch")
"""Commands that serve a page until they are stopped."""
COLOURS = 128
"""Colours of a screenshot."""

DOMAINS = """\
from pathlib import Path

import torch

import ganzoo
from ganzoo.media.images import resize, save_png

digits = resize(ganzoo.open_dataset("digits").stored, (24, 24)) / 255
inks = {"night": ((25, 30, 60), (250, 240, 200)), "day": ((250, 225, 140), (30, 60, 140))}
for number, (name, colours) in enumerate(inks.items()):
    paper, ink = (torch.tensor(colour).view(3, 1, 1) for colour in colours)
    Path("domains", name).mkdir(parents=True, exist_ok=True)
    for i in range(number, len(digits), 2):  # no digit is in both
        picture = paper + (ink - paper) * digits[i]
        save_png(picture.byte(), Path("domains", name, f"{i:04}.png"), {})
"""


PAPER = "--recipe paper --batch-size 32"
"""How most runs were made: as the papers do, with smaller batches."""


@dataclass(frozen=True)
class Exhibit:
    """A picture, and how it is made."""

    name: str
    title: str
    about: str
    alt: str
    commands: tuple[str, ...]
    """Trainings first, each into a folder under ``runs/``; the last command makes the picture."""
    made: str = ""
    """The file that they leave; empty if the picture is a screenshot."""
    code: str = ""
    """Python code that runs before them."""
    page: str = ""
    """What a browser shows: ``report``, ``demo`` or ``watch``."""

    @property
    def file(self) -> str:
        """The picture's file."""
        return f"{self.name}{Path(self.made).suffix or '.png'}"


def _family(name: str, title: str, about: str, training: str) -> Exhibit:
    """Describe samples of an architecture's run."""
    train = f"ganzoo train {training} --out runs/{name}"
    sample = f"ganzoo sample runs/{name} -n 24 --out {name}.png"
    return Exhibit(name, title, about, f"24 digits of {title}", (train, sample), f"{name}.png")


CONDITIONAL = (
    "ganzoo train dcgan --loss wgan-gp --image-size 16 --set arch.conditional=true "
    "--recipe paper --batch-size 32 --out runs/dcgan"
)
RING = (
    "ganzoo train mlp --data ring --loss lsgan --recipe paper --batch-size 32 --steps 12000 "
    "--sample-every 400 --tracker report "
    "--tracker watch --out runs/ring"
)

EXHIBITS = (
    Exhibit(
        "dcgan",
        "A conditional DCGAN",
        "WGAN-GP on the embedded digits at 16 x 16, a column for each class.",
        "40 digits, four of each class from 0 to 9",
        (CONDITIONAL, "ganzoo sample runs/dcgan -n 40 --out dcgan.png"),
        "dcgan.png",
    ),
    Exhibit(
        "walk",
        "A walk",
        "From the samples of seed 0 to those of seeds 1 and 2, and back. Latents move along a "
        "sphere, and each sample keeps its class.",
        "Ten digits that change their handwriting and keep their class",
        (
            CONDITIONAL,
            "ganzoo sample runs/dcgan --walk 0,1,2 -n 10 --frames 20 --loop --out walk.webp",
        ),
        "walk.webp",
    ),
    Exhibit(
        "truncation",
        "Truncation",
        "The latents of the first picture, mapped into [-0.3, 0.3]: less variety, each class "
        "nearer to its mean.",
        "40 digits that are more alike within each class",
        (CONDITIONAL, "ganzoo sample runs/dcgan -n 40 --truncation 0.3 --out truncation.png"),
        "truncation.png",
    ),
    Exhibit(
        "demo",
        "The demo",
        "`ganzoo demo` in a browser: [demo](../how-to/watch.md#demo).",
        "The page of the demo: seed, class and truncation beside samples",
        (CONDITIONAL, "ganzoo demo runs/dcgan"),
        page="demo",
    ),
    _family(
        "mlp",
        "a multilayer perceptron",
        "No convolutions, at 16 x 16.",
        "mlp --loss wgan-gp --image-size 16 --steps 1500 " + PAPER,
    ),
    _family(
        "sngan",
        "SN-GAN's CNN",
        "Spectral normalisation and the hinge loss, at a quarter of the width.",
        "sngan --image-size 16 --set arch.base_channels=16 --steps 1000 " + PAPER,
    ),
    _family(
        "sngan-resnet",
        "SN-GAN's ResNet",
        "Five discriminator updates a step.",
        "sngan-resnet --image-size 16 --set arch.base_channels=24 --steps 700 " + PAPER,
    ),
    _family(
        "resnet",
        "WGAN-GP's ResNet",
        "The network of Improved Training of Wasserstein GANs, at a fifth of its width.",
        "resnet --image-size 16 --set arch.base_channels=24 --steps 700 " + PAPER,
    ),
    _family(
        "r3gan",
        "R3GAN",
        "A relativistic loss with two gradient penalties, on the paper's networks made small.",
        "r3gan --image-size 16 --set arch.base_channels=16 --set arch.growth=4 --steps 600",
    ),
    Exhibit(
        "cyclegan",
        "CycleGAN",
        "Two disjoint sets of digits, translated into each other's colours: a row of sources above "
        "a row of translations. Each digit keeps its shape.",
        "Rows of digits by night above their translations by day",
        (
            "ganzoo train cyclegan --data ./domains --image-size 24 --set arch.base_channels=12 "
            "--set arch.blocks=2 --steps 3000 --out runs/cyclegan",
            "ganzoo sample runs/cyclegan --source ./domains/night --label day -n 16 "
            "--out cyclegan.png",
        ),
        "cyclegan.png",
        code=DOMAINS,
    ),
    Exhibit(
        "ring",
        "A training, as a movie",
        "A perceptron on a ring of eight Gaussians, with the least-squares loss: its pictures "
        "through time. One of the eight is missed.",
        "Points that spread from the middle along a ring of eight circles, and miss one",
        (RING, "ganzoo report runs/ring --out ring.html --movie ring.webp"),
        "ring.webp",
    ),
    Exhibit(
        "report",
        "The report",
        "The same run as one page that needs no server: [report](../how-to/watch.md#report).",
        "The head of a report: points on the discriminator's logits beside what the run is",
        (RING, "ganzoo report runs/ring --out ring.html"),
        page="report",
    ),
    Exhibit(
        "watch",
        "Watching runs",
        "The same run on the page of `ganzoo watch --web`, which can show several runs and train "
        "small ones: [watch in a browser](../how-to/watch.md#in-a-browser).",
        "A page with points before the discriminator's logits, and a slider through the steps",
        (RING, "ganzoo watch runs/ring --web"),
        page="watch",
    ),
    Exhibit(
        "data",
        "A look at the data",
        "The contact sheet of `ganzoo data check`: a row for each class.",
        "Rows of real handwritten digits, one for each class",
        ("ganzoo data check digits --image-size 16 --out data.png",),
        "data.png",
    ),
)


def page() -> str:
    """Return the page."""
    parts = [
        "# Gallery",
        "Each picture took some minutes on a processor. The seeds were not chosen; the lengths of "
        "the runs were, to fit those minutes. `python docs/gallery.py --work DIR` runs the "
        "commands below each picture and writes this page. The runs are small and only for looking "
        "at. Scores are in [results](results.md), and more families at other sizes in "
        "[the zoo](zoo.md).",
    ]
    for each in EXHIBITS:
        title = each.title[0].upper() + each.title[1:]
        parts += [f"## {title}", each.about, f"![{each.alt}](../images/gallery/{each.file})"]
        if each.code:
            parts.append(f"```python\n{each.code}```")
        commands = "\n".join(f"$ {command}" for command in each.commands)
        parts.append(f"```console\n{commands}\n```")
    return "\n\n".join(parts) + "\n"


@dataclass
class Workshop:
    """The folder in which commands run."""

    folder: Path
    done: set[str] = field(default_factory=set)

    def make(self, each: Exhibit, again: bool) -> None:
        """Make an exhibit, unless its picture exists."""
        picture = PICTURES / each.file
        if picture.exists() and not again:
            return
        print(each.name, flush=True)
        if each.code:
            subprocess.run([sys.executable, "-c", each.code], cwd=self.folder, check=True)
        for command in each.commands:
            self.run(shlex.split(command)[1:])
        PICTURES.mkdir(parents=True, exist_ok=True)
        if each.page:
            _take_screenshot(self, each, picture)
        else:
            shutil.copyfile(self.folder / each.made, picture)

    def run(self, words: list[str]) -> None:
        """Run a command of ganzoo; an unfinished training is resumed."""
        if words[0] in SERVED:
            return  # served when the screenshot is taken
        if words[0] == "train":
            run = Path(words[words.index("--out") + 1])
            if (self.folder / run / "model" / "manifest.json").exists():
                return
            if (self.folder / run / "config.json").exists():
                words = ["train", "--resume", str(run)]
        elif words[0] in ("sample", "report"):
            words = [*words, "--force"]
        self.ganzoo(*words)

    def ganzoo(self, *words: str) -> None:
        """Run a command of ganzoo and wait for it."""
        subprocess.run([sys.executable, "-m", "ganzoo", *words], cwd=self.folder, check=True)


def _take_screenshot(workshop: Workshop, each: Exhibit, picture: Path) -> None:
    """Take a screenshot of a page in a browser."""
    from PIL import Image

    sys.path.append(str(HERE.parent / "tests"))
    from playwright.sync_api import sync_playwright

    from browser import NAMES, QUIET

    path = next(filter(None, map(shutil.which, NAMES)))
    with sync_playwright() as engine, _serve(workshop, each) as address:
        browser = engine.chromium.launch(executable_path=path, args=list(QUIET))
        window = browser.new_page(viewport={"width": 1152, "height": 660})
        window.goto(address)
        if each.page == "demo":
            window.get_by_label("number input for Number of samples").fill("40")
            window.get_by_role("button", name="Sample", exact=True).click()
            window.locator('.drawn img[alt^="40 "]').wait_for()
        if each.page == "watch":
            window.get_by_text("Train a small run").click()  # the form for it is open, and large
        window.mouse.move(5, 5)
        window.wait_for_timeout(1000)
        window.screenshot(path=picture)
        browser.close()
    with Image.open(picture) as shot:
        small = shot.convert("RGB").quantize(COLOURS)
    small.save(picture, optimize=True)


@contextlib.contextmanager
def _serve(workshop: Workshop, each: Exhibit) -> Iterator[str]:
    """Serve a page if necessary, and yield its address."""
    if each.page == "report":
        yield (workshop.folder / "ring.html").resolve().as_uri()
        return
    words = shlex.split(each.commands[-1])[1:]
    command = [sys.executable, "-m", "ganzoo", *words, "--port", "0"]
    served: Any = subprocess.Popen(
        command, cwd=workshop.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield served.stdout.readline().strip()
    finally:
        served.terminate()
        served.wait()


def main() -> None:
    """Make missing exhibits, or one again, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [each.name for each in EXHIBITS]
    parser.add_argument("--work", type=Path, default=Path("gallery"), help="where runs are kept")
    parser.add_argument("--only", choices=names, help="make this one again")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    os.environ["NO_COLOR"] = "1"
    workshop = Workshop(given.work)
    for each in EXHIBITS:
        if given.only in (None, each.name):
            workshop.make(each, again=given.only is not None)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
