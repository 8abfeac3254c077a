"""The sample pictures of a run, selected and encoded to fit into a page.

If all pictures fit, they are embedded unchanged, with their metadata. Otherwise some are chosen
evenly, or all are encoded as WebP, which keeps the metadata that mark them as generated.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.errors import GanzooError, first_line
from ganzoo.media.images import LAYOUT
from ganzoo.runs.folder import Run
from ganzoo.storage.files import regular_size
from ganzoo.training.checkpoint import STEP_FOLDER

if TYPE_CHECKING:
    from PIL import Image

BUDGET, LEAST = 2_200_000, 300_000
"""The most bytes of all pictures before base64, which adds a third; beside other large pictures it
is less, down to ``LEAST``."""
MOST, FEWEST = 48, 8
"""The number of pictures, if they are small and if they are large."""
PIXELS = 64_000_000
"""The most pixels of all pictures together, if there are more than ``FEWEST``."""
LARGEST = 64_000_000
"""The most pixels of a picture."""
XMP = "XML:com.adobe.xmp"
"""Key of the PNG metadata that mark a picture as generated, in XMP."""


@dataclass(frozen=True)
class Encoding:
    """Settings for encoding a picture as WebP."""

    quality: int
    side: int
    """The most pixels of the longer side."""
    description: str


ENCODINGS = (
    Encoding(90, 1100, "encoded again, with small losses"),
    Encoding(75, 1100, "encoded again, with losses"),
    Encoding(60, 560, "made smaller, with losses"),
)


@dataclass(frozen=True)
class Picture:
    """A picture, embedded in the page."""

    step: int
    uri: str
    width: int
    """Largest width on the page, in pixels."""
    height: int


@dataclass(frozen=True)
class Pictures:
    """The pictures of a run."""

    taken: tuple[Picture, ...]
    found: int
    note: str
    """How they were selected or encoded; empty if all are unchanged."""
    damaged: tuple[str, ...]
    """Pictures that cannot be shown, each with the reason."""


def gather_pictures(run: Run, wanted: Iterable[int] = (), budget: int = BUDGET) -> Pictures:
    """Select and embed the sample pictures of a run.

    Args:
        run: The run.
        wanted: Steps whose pictures are selected if they exist, besides the first and the last.
        budget: The most bytes of all pictures, before base64; at least one is always selected.
    """
    files = {step: run.picture(step) for step in list_steps(run)}
    found = len(files)
    damaged: list[str] = []
    while True:
        # All pictures of a run have the same size.
        most = _max_count(files[max(files)]) if files else MOST
        chosen = choose_steps(sorted(files), most, set(wanted) & files.keys())
        faults = {step: fault for step in chosen if (fault := _find_fault(files[step]))}
        if not faults:
            break
        damaged += faults.values()
        files = {step: path for step, path in files.items() if step not in faults}
    taken, encoding = _fit_budget({step: files[step] for step in chosen}, budget)
    notes = []
    if len(taken) < len(files):
        notes.append(f"{len(taken)} of {found} pictures, evenly chosen")
    if encoding:
        notes.append(encoding)
    return Pictures(tuple(taken), found, "; ".join(notes), tuple(damaged))


def read_layout(run: Run) -> str:
    """Read the layout of a run's newest picture; empty if it is not known.

    See :func:`ganzoo.media.images.describe_layout`.
    """
    if not (steps := list_steps(run)):
        return ""
    try:
        with open_png(run.picture(max(steps))) as image:
            return str(image.info.get(LAYOUT, ""))
    except GanzooError:
        return ""  # the error is reported for the selected pictures


def _max_count(path: Path) -> int:
    """Return the most pictures of this one's size."""
    try:
        width, height = read_size(path)
    except GanzooError:
        return MOST  # the error is reported for the selected pictures
    return min(MOST, max(FEWEST, PIXELS // (width * height)))


def _find_fault(path: Path) -> str | None:
    """Return why a picture cannot be shown; None if it can."""
    try:
        with open_png(path) as image:
            image.load()
    except GanzooError as error:
        return str(error)
    except Exception as error:  # readers of broken files raise almost anything
        return f"{path} cannot be read: {first_line(error)}"
    return None


def list_steps(run: Run) -> list[int]:
    """Return the steps of a run's sample pictures, in any order."""
    return [
        int(path.stem) for path in run.samples.glob("*.png") if STEP_FOLDER.fullmatch(path.stem)
    ]


def choose_steps(known: Sequence[int], most: int, wanted: Iterable[int] = ()) -> list[int]:
    """Choose at most ``most`` steps, evenly spaced in the list, with the first and the last.

    Wanted steps replace the nearest ones.
    """
    if len(known) <= most:
        return list(known)
    last = len(known) - 1
    places = [round(i * last / (most - 1)) for i in range(most)] if most > 1 else [last]
    chosen = [known[place] for place in places]
    for step in wanted:
        if step not in chosen and len(chosen) > 2:
            near = min(range(1, len(chosen) - 1), key=lambda i: abs(chosen[i] - step))
            chosen[near] = step
    return sorted(chosen)


def read_size(path: Path) -> tuple[int, int]:
    """Return the width and height of a PNG.

    Raises:
        GanzooError: the file is not a PNG, or too large.
    """
    with open_png(path) as image:
        return image.size


def data_uri(data: bytes, kind: str) -> str:
    """Return the bytes of a picture as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def encode_webp(image: Image.Image, way: Encoding) -> bytes:
    """Encode a picture as WebP, with the metadata that mark it as generated."""
    smaller = image.convert("RGBA" if image.mode in ("RGBA", "LA", "PA") else "RGB")
    smaller.thumbnail((way.side, way.side))
    file = io.BytesIO()
    xmp = image.info.get(XMP, "")
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    smaller.save(file, "WEBP", quality=way.quality, method=2, xmp=xmp)
    return file.getvalue()


def _fit_budget(files: dict[int, Path], budget: int) -> tuple[list[Picture], str]:
    """Embed pictures so that they fit the budget, and describe how they were encoded."""
    if sum(path.stat().st_size for path in files.values()) <= budget:
        return [_embed_unchanged(step, path) for step, path in files.items()], ""
    from PIL import features

    for way in ENCODINGS if features.check("webp") else ():
        probes = choose_steps(sorted(files), 3)
        known = {step: _embed_encoded(step, files[step], way) for step in probes}
        mean = sum(len(each.uri) for each in known.values()) / len(known)
        if mean * len(files) > budget * 4 / 3:
            continue
        made = [known.get(step) or _embed_encoded(step, path, way) for step, path in files.items()]
        if sum(len(each.uri) for each in made) <= budget * 4 / 3 or len(made) == 1:
            return made, way.description
    fewer = choose_steps(sorted(files), max(1, len(files) // 2))
    if len(fewer) == len(files):
        return [_embed_unchanged(step, path) for step, path in files.items()], ""
    return _fit_budget({step: files[step] for step in fewer}, budget)


def _embed_unchanged(step: int, path: Path) -> Picture:
    return Picture(step, data_uri(path.read_bytes(), "png"), *read_size(path))


def _embed_encoded(step: int, path: Path, way: Encoding) -> Picture:
    with open_png(path) as image:
        return Picture(step, data_uri(encode_webp(image, way), "webp"), *image.size)


def open_png(path: Path) -> Image.Image:
    """Open a PNG without decoding it.

    Raises:
        GanzooError: the file is not a PNG, is too large, or is a link.
    """
    from PIL import Image

    regular_size(path)
    if path.is_symlink():  # someone else's run must not show other files of this machine
        raise GanzooError(f"{path} is a link")
    try:
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
            image = Image.open(path, formats=("PNG",))
    except Exception as error:  # readers of broken files raise almost anything
        raise GanzooError(f"{path} cannot be read: {first_line(error)}") from None
    if image.width * image.height > LARGEST:
        image.close()
        raise GanzooError(f"{path} is too large to be shown: {image.width} x {image.height}")
    return image
