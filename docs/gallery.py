"""Make the gallery: ``python docs/gallery.py --work DIR`` trains, draws, and writes the page.

Each exhibit is the commands that the page shows, run as they stand there, in one folder, from
seeds. A run that is there is gone on with, and what is finished is not done again, so that the
script may be stopped at any time; ``--only NAME`` makes one exhibit anew, from the runs that are
there. A test holds the page against this file.
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
PAGE = HERE / "gallery.md"
PICTURES = HERE / "images" / "gallery"
SERVED = ("demo", "watch")
"""Commands whose pages are there until they are ended."""
COLOURS = 128
"""Of a picture of a page, which is drawn by a browser."""

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


@dataclass(frozen=True)
class Exhibit:
    """A picture, and how it is made."""

    name: str
    title: str
    about: str
    alt: str
    commands: tuple[str, ...]
    """Trainings first, each into a folder under ``runs/``; the last ones make the picture."""
    made: str = ""
    """The file that they leave; none where the picture is one of a page."""
    code: str = ""
    """Python that goes before them."""
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
    "ganzoo train dcgan --loss wgan-gp --image-size 16 --set arch.conditional=true --out runs/dcgan"
)
RING = (
    "ganzoo train mlp --data ring --loss lsgan --steps 12000 --sample-every 400 --tracker report "
    "--tracker watch --out runs/ring"
)

EXHIBITS = (
    Exhibit(
        "dcgan",
        "DCGAN, told the classes",
        "WGAN-GP on the embedded digits at 16 x 16, a column for each class.",
        "40 digits, four of each class from 0 to 9",
        (CONDITIONAL, "ganzoo sample runs/dcgan -n 40 --out dcgan.png"),
        "dcgan.png",
    ),
    Exhibit(
        "walk",
        "A walk",
        "From the samples of seed 0 to those of 1 and 2, and back: latents go round a sphere, and "
        "the class of each stays.",
        "Ten digits that change their handwriting and stay what they are",
        (
            CONDITIONAL,
            "ganzoo sample runs/dcgan --walk 0,1,2 -n 10 --frames 20 --loop --out walk.webp",
        ),
        "walk.webp",
    ),
    Exhibit(
        "truncation",
        "Truncation",
        "The same latents as above, moved into [-0.3, 0.3]: less variety, each class nearer to its "
        "mean.",
        "40 digits that are more alike within each class",
        (CONDITIONAL, "ganzoo sample runs/dcgan -n 40 --truncation 0.3 --out truncation.png"),
        "truncation.png",
    ),
    Exhibit(
        "demo",
        "The demo",
        "`ganzoo demo` in a browser: [guide](guide.md#demo).",
        "The page of the demo: seed, class and truncation beside samples",
        (CONDITIONAL, "ganzoo demo runs/dcgan"),
        page="demo",
    ),
    _family(
        "mlp",
        "a multilayer perceptron",
        "No convolution, at 16 x 16.",
        "mlp --loss wgan-gp --image-size 16 --steps 1500",
    ),
    _family(
        "sngan",
        "SN-GAN's CNN",
        "Spectral normalisation and the hinge loss, at a quarter of the width.",
        "sngan --image-size 16 --set arch.base_channels=16 --steps 1000",
    ),
    _family(
        "sngan-resnet",
        "SN-GAN's ResNet",
        "Five updates of the discriminator a step.",
        "sngan-resnet --image-size 16 --set arch.base_channels=24 --steps 700",
    ),
    _family(
        "resnet",
        "WGAN-GP's ResNet",
        "As in the improved training of Wasserstein GANs, at a fifth of the width.",
        "resnet --image-size 16 --set arch.base_channels=24 --steps 700",
    ),
    _family(
        "r3gan",
        "R3GAN",
        "A relativistic loss with both penalties, on its own networks, small.",
        "r3gan --image-size 16 --set arch.base_channels=16 --set arch.growth=4 --steps 600",
    ),
    Exhibit(
        "cyclegan",
        "CycleGAN",
        "Two sets of digits that share none, translated into each other's colours: a row of "
        "sources above a row of what they became. The colours are learnt; few shapes are kept.",
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
        "A perceptron on a ring of eight Gaussians, by least squares: its pictures through time. "
        "One of the eight is missed.",
        "Points that spread from the middle along a ring of eight circles, and miss one",
        (RING, "ganzoo report runs/ring --out ring.html --movie ring.webp"),
        "ring.webp",
    ),
    Exhibit(
        "report",
        "The report",
        "The same run as one page that needs no server: [guide](guide.md#report).",
        "The head of a report: points on the discriminator's logits beside what the run is",
        (RING, "ganzoo report runs/ring --out ring.html"),
        page="report",
    ),
    Exhibit(
        "watch",
        "Runs as they are watched",
        "The same run once more, in the page of `ganzoo watch --web`, which shows others beside it "
        "and trains small ones: [guide](guide.md#watch-in-a-browser).",
        "A page with points before the discriminator's logits, and a slider through the steps",
        (RING, "ganzoo watch runs/ring --web"),
        page="watch",
    ),
    Exhibit(
        "data",
        "A look at the data",
        "What `ganzoo data check` draws of a set: a row for each class.",
        "Rows of real handwritten digits, one for each class",
        ("ganzoo data check digits --image-size 16 --out data.png",),
        "data.png",
    ),
)


def page() -> str:
    """Return the page."""
    parts = [
        "# Gallery",
        "What ganzoo makes on a processor, in some minutes each. No seed was chosen; how long the "
        "runs are was, to fit those minutes. `python docs/gallery.py --work DIR` runs the commands "
        "below each and writes this page. The runs are small, and for looking at: numbers are in "
        "[results.md](results.md), more families at other sizes in [zoo.md](zoo.md).",
    ]
    for each in EXHIBITS:
        title = each.title[0].upper() + each.title[1:]
        parts += [f"## {title}", each.about, f"![{each.alt}](images/gallery/{each.file})"]
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

    def make(self, each: Exhibit, anew: bool) -> None:
        """Make an exhibit, unless its picture is there."""
        picture = PICTURES / each.file
        if picture.exists() and not anew:
            return
        print(each.name, flush=True)
        if each.code:
            subprocess.run([sys.executable, "-c", each.code], cwd=self.folder, check=True)
        for command in each.commands:
            self.run(shlex.split(command)[1:])
        PICTURES.mkdir(parents=True, exist_ok=True)
        if each.page:
            _photograph(self, each, picture)
        else:
            shutil.copyfile(self.folder / each.made, picture)

    def run(self, words: list[str]) -> None:
        """Run a command of ganzoo; a training goes on where it was stopped."""
        if words[0] in SERVED:
            return  # it is served when it is photographed
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
        """Run a command of ganzoo to its end."""
        subprocess.run([sys.executable, "-m", "ganzoo", *words], cwd=self.folder, check=True)


def _photograph(workshop: Workshop, each: Exhibit, picture: Path) -> None:
    """Take a picture of a page as a browser shows it."""
    from PIL import Image

    sys.path.append(str(HERE.parent / "tests"))
    from playwright.sync_api import sync_playwright

    from browser import NAMES, QUIET

    path = next(filter(None, map(shutil.which, NAMES)))
    with sync_playwright() as engine, _shown(workshop, each) as address:
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
def _shown(workshop: Workshop, each: Exhibit) -> Iterator[str]:
    """Yield the address of a page."""
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
    """Make what is missing, or one exhibit anew, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [each.name for each in EXHIBITS]
    parser.add_argument("--work", type=Path, default=Path("gallery"), help="where runs are kept")
    parser.add_argument("--only", choices=names, help="make this one anew")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    os.environ["NO_COLOR"] = "1"
    workshop = Workshop(given.work)
    for each in EXHIBITS:
        if given.only in (None, each.name):
            workshop.make(each, anew=given.only is not None)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
