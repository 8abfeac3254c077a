"""Pictures: the one place for ``[-1, 1]`` and uint8, resizing, grids, plots and PNG metadata."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.compute import memory
from ganzoo.errors import GanzooError, InputError, first_line
from ganzoo.storage.files import atomic_path, regular_size

if TYPE_CHECKING:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo


MAX_NUMBERS = 1 << 26
"""Numbers of the images that are resized at once, as floats."""
COLUMNS = 8
"""Images in a row of a picture."""
MAX_COLUMNS = 64
"""Classes, at most, that have columns of their own in a picture."""
PADDING = 2
"""Pixels around images in a picture."""
XMP = "XML:com.adobe.xmp"
"""Under what a PNG has its XMP."""
LAYOUT = "ganzoo:layout"
"""Under what the PNG of a picture says how it is laid out: see :func:`describe_layout`."""
PLOT = "plot"


def to_float(images: Tensor) -> Tensor:
    """Map uint8 images to floats in ``[-1, 1]``."""
    return images.to(torch.float32).div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Map floats in ``[-1, 1]`` to uint8 as a viewer would see them: rounded, clamped.

    Raises:
        GanzooError: a value is not finite; NaN would otherwise become a grey level.
    """
    return (
        require_finite(images).float().add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
    )


def require_finite(samples: Tensor) -> Tensor:
    """Return a generator's samples as they are.

    Raises:
        GanzooError: a value is not finite.
    """
    # Whatever is not a number is the largest and the smallest of all.
    if samples.numel() and not torch.stack(samples.aminmax()).isfinite().all():
        raise GanzooError("the generator gives numbers that are not finite; its run has diverged")
    return samples


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize uint8 images ``(N, C, H, W)`` by antialiased bicubic interpolation.

    Raises:
        InputError: they would not fit into memory.
    """
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    count, pixels = images.shape[0] * images.shape[1], math.prod(size)
    memory.require(2 * count * pixels, f"images of {size[0]} x {size[1]}")
    largest = images.shape[1] * max(pixels, math.prod(images.shape[-2:]))
    chunks = [
        F.interpolate(part.float(), size=size, mode="bicubic", antialias=True)
        .round_()
        .clamp_(0, 255)
        .to(torch.uint8)
        for part in images.split(max(1, min(1024, MAX_NUMBERS // largest)))
    ]
    return torch.cat(chunks)


def choose_columns(classes: int | None) -> int:
    """Return how many images make a row, where they go through the classes in turn.

    Then each column holds one class: as many columns as there are classes, or a multiple of them
    near to 8. It is 8 where there are no classes, or more than 64.
    """
    if classes is None or classes > MAX_COLUMNS:
        return COLUMNS
    return classes * max(1, round(COLUMNS / classes))


def grid(images: Tensor, columns: int = COLUMNS, padding: int = PADDING) -> Tensor:
    """Lay uint8 images ``(N, C, H, W)`` out as one picture ``(C, H', W')``, row by row.

    Small images are enlarged by a whole factor, pixel by pixel, so that a person can read them.
    """
    count, channels, height, width = images.shape
    factor = max(1, 64 // max(height, width))
    images = images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    height, width = height * factor + padding, width * factor + padding
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    # The space between images is white, and opaque where there is an alpha channel.
    shape = (channels, rows * height + padding, columns * width + padding)
    picture = torch.full(shape, 255, dtype=torch.uint8)
    for i, image in enumerate(images):
        top, left = padding + i // columns * height, padding + i % columns * width
        picture[:, top : top + height - padding, left : left + width - padding] = image
    return picture


def to_pil(image: Tensor) -> Image.Image:
    """Turn one uint8 image ``(C, H, W)`` of 1, 3 or 4 channels into a PIL image."""
    from PIL import Image

    array = image.cpu().permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


def find_frame(points: Tensor) -> tuple[Tensor, float]:
    """Return the square of the plane that shows points ``(N, D)`` with some space around.

    Returns:
        Its centre ``(2,)``, and how far it reaches from there to each side.
    """
    flat = _first_two(points.float().cpu())
    centre = (flat.amax(0) + flat.amin(0)) / 2
    return centre, max(1.3 * float((flat - centre).abs().amax()), 1.0)


def lattice(centre: Tensor, reach: float, side: int) -> Tensor:
    """Return places in a square of the plane, at the centres of ``side * side`` smaller ones.

    Args:
        centre: That of the square, ``(2,)``.
        reach: How far it reaches from there to each side.
        side: Places in a row.

    Returns:
        Points ``(side * side, 2)``, row by row, the upper row first.
    """
    steps = (2 * torch.arange(side) + 1) / side - 1
    rows, columns = torch.meshgrid(-steps, steps, indexing="ij")
    return torch.stack([columns, rows], dim=2).reshape(-1, 2) * reach + centre


def scatter(
    points: Tensor, modes: Sequence[Sequence[float]] | None = None, side: int = 640
) -> Tensor:
    """Plot the first two coordinates of points ``(N, D)``, and circles around the true modes.

    The frame follows the modes where they are known, so that the same picture at two steps has
    the same scale; points beyond it lie on its edge. Returns a uint8 picture ``(3, side, side)``.
    """
    from PIL import Image, ImageDraw

    held = torch.tensor(modes) if modes else points
    centre, reach = find_frame(held)
    flat, held = _first_two(points.float().cpu()), _first_two(held.float().cpu())

    def place(xy: Tensor) -> Tensor:
        unit = ((xy - centre) / reach).clamp(-1, 1) * torch.tensor([1.0, -1.0])
        return (unit + 1) / 2 * (side - 1)

    picture = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(picture)
    for x, y in place(held).tolist() if modes else []:
        draw.ellipse((x - 9, y - 9, x + 9, y + 9), outline=(214, 39, 40), width=2)
    for x, y in place(flat).tolist():
        draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=(31, 119, 180))
    data = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return data.view(side, side, 3).permute(2, 0, 1)


def render_samples(
    stored: Tensor,
    modes: Sequence[Sequence[float]] | None = None,
    columns: int = COLUMNS,
) -> Tensor:
    """Show samples as one picture: a grid of images, or a plot of points."""
    return grid(stored, columns) if stored.dim() == 4 else scatter(stored, modes)


def describe_layout(stored: Tensor, columns: int = COLUMNS) -> str:
    """Say how :func:`render_samples` lays samples out: ``8 x 2`` for columns and rows, or ``plot``."""
    if stored.dim() != 4:
        return PLOT
    columns = min(columns, len(stored))
    return f"{columns} x {math.ceil(len(stored) / columns)}"


def split_picture(picture: Tensor, layout: str) -> Tensor | None:
    """Cut a picture ``(C, H', W')`` into what it shows: images ``(rows, columns, C, H, W)``.

    Args:
        picture: As :func:`render_samples` makes it, of any type.
        layout: As :func:`describe_layout` says it; a plot is one image.

    Returns:
        A view of the picture; None if it cannot be laid out so.
    """
    if layout == PLOT:
        return picture[None, None]
    found = re.fullmatch("([1-9][0-9]{0,5}) x ([1-9][0-9]{0,5})", layout)
    if found is None:
        return None
    columns, rows = int(found[1]), int(found[2])
    height, width = (side - PADDING for side in picture.shape[1:])
    if height % rows or width % columns or min(height // rows, width // columns) <= PADDING:
        return None
    within = picture[:, PADDING:, PADDING:].unflatten(2, (columns, -1)).unflatten(1, (rows, -1))
    return within[:, :, :-PADDING, :, :-PADDING].permute(1, 3, 0, 2, 4)


def save_png(image: Tensor, path: Path, texts: dict[str, str]) -> None:
    """Write one uint8 image ``(C, H, W)`` as a PNG, whole or not at all.

    Args:
        image: 1, 3 or 4 channels.
        path: Where to; an existing file is replaced.
        texts: Metadata, such as ``{"Software": "ganzoo 0.1.0"}``.
    """
    with atomic_path(path) as beside:
        to_pil(image).save(beside, format="PNG", pnginfo=_png_info(texts))


def to_png(image: Tensor, texts: dict[str, str]) -> bytes:
    """Return one uint8 image ``(C, H, W)`` of 1, 3 or 4 channels as a small PNG, with metadata."""
    file = io.BytesIO()
    to_pil(image).save(file, format="PNG", optimize=True, pnginfo=_png_info(texts))
    return file.getvalue()


def _png_info(texts: dict[str, str]) -> PngInfo:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, text in texts.items():
        info.add_itxt(key, text)
    return info


def load_png(path: Path) -> tuple[Tensor, dict[str, str]]:
    """Read a picture that :func:`save_png` wrote, or what a stranger put in its place.

    Returns:
        uint8 ``(C, H, W)`` of 1, 3 or 4 channels, and its metadata.

    Raises:
        InputError: it is missing, no PNG or damaged, or does not fit into memory.
    """
    from PIL import Image

    regular_size(path)
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            memory.require(4 * picture.width * picture.height, f"the picture {path}")
            shown = picture.convert(picture.mode if picture.mode in ("L", "RGBA") else "RGB")
            texts = {key: str(text) for key, text in picture.info.items() if isinstance(text, str)}
    except InputError:
        raise
    except Exception as error:  # Pillow raises almost anything
        raise InputError(f"{path} cannot be read as a picture: {first_line(error)}") from None
    pixels = torch.frombuffer(bytearray(shown.tobytes()), dtype=torch.uint8)
    return pixels.view(shown.height, shown.width, -1).permute(2, 0, 1), texts


def provenance(model: str, seed: int | str, truncation: float | None = None) -> dict[str, str]:
    """Return metadata that say that a picture is generated, by which model and seed, or seeds.

    The truncation is named where there is one.
    Among them is the digital source type of the IPTC for what a trained model made.
    """
    from importlib.metadata import version
    from xml.sax.saxutils import escape

    text = f"Generated by a GAN, not a photograph. Model: {model}. Seed: {seed}."
    texts = {} if truncation is None else {"ganzoo:truncation": str(truncation)}
    if texts:
        text += f" Truncation: {truncation}."
    return {
        "Software": f"ganzoo {version('ganzoo')}",
        "Description": text,
        "ganzoo:model": model,
        "ganzoo:seed": str(seed),
        **texts,
        XMP: _XMP.format(text=escape(text)),
    }


_XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"
 Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia">
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></dc:description>
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>"""


def _first_two(points: Tensor) -> Tensor:
    return points[:, :2] if points.shape[1] > 1 else torch.cat([points, points * 0], dim=1)
