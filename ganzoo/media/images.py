"""Images and pictures: value ranges, resizing, grids, plots, and PNG files with metadata.

An image is one sample; a picture shows many. Images are uint8 tensors ``(N, C, H, W)`` when stored
and floats in ``[-1, 1]`` for networks. Channels are RGB, RGBA or grey.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
"""Most numbers that are resized at once, as floats."""
COLUMNS = 8
"""Default number of images in a row of a picture."""
MAX_COLUMNS = 64
"""Most classes that get columns of their own in a picture."""
SHOWN_SIDE = 640
"""Height and width of a picture in a notebook, at most, in pixels."""
PADDING = 2
"""Width of the border around each image in a picture, in pixels."""
XMP = "XML:com.adobe.xmp"
"""Key of a PNG's XMP metadata."""
LAYOUT = "ganzoo:layout"
"""Key of a picture's layout in the metadata of its PNG: see :func:`describe_layout`."""
PLOT = "plot"
"""Layout of a picture that is a plot."""


def to_float(images: Tensor) -> Tensor:
    """Convert images from uint8 to float32 in ``[-1, 1]``.

    Args:
        images: uint8, of any shape.

    Returns:
        A new tensor of the same shape: ``value / 127.5 - 1``.
    """
    return images.to(torch.float32).div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Convert images from floats in ``[-1, 1]`` to uint8, rounded and clamped.

    Args:
        images: Floats of any shape; values beyond ``[-1, 1]`` are clamped.

    Returns:
        A new tensor of the same shape.

    Raises:
        GanzooError: a value is not finite; NaN would otherwise become a grey level.
    """
    return (
        require_finite(images).float().add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
    )


def require_finite(samples: Tensor) -> Tensor:
    """Return a generator's samples unchanged.

    Raises:
        GanzooError: a value is not finite.
    """
    # If any value is NaN, so are the minimum and the maximum.
    if samples.numel() and not torch.stack(samples.aminmax()).isfinite().all():
        raise GanzooError("the generator makes numbers that are not finite; its run has diverged")
    return samples


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images by antialiased bicubic interpolation.

    Args:
        images: uint8 ``(N, C, H, W)``.
        size: The new height and width, in pixels.

    Returns:
        uint8 ``(N, C, *size)``; the same tensor if it has that size already.

    Raises:
        InputError: the result would not fit into memory.
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


def match_images(sources: Tensor, results: Tensor) -> tuple[Tensor, Tensor]:
    """Bring sources and what was made from them to one shape, to show them in one picture.

    Sources get the height and width of the results, as whole pixels where a factor is whole. Of two
    kinds of channels both get the richer one. Sources of another number of channels than an image
    has are shown by their first one.

    Args:
        sources: uint8 ``(N, C, H, W)``.
        results: uint8 ``(M, C', H', W')``, images.

    Returns:
        Both, of the same channels, height and width.
    """
    if sources.shape[1] not in (1, 3, 4):
        sources = sources[:, :1]
    height, width = results.shape[-2:]
    if height % sources.shape[2] == 0 and width % sources.shape[3] == 0:
        factors = height // sources.shape[2], width // sources.shape[3]
        sources = sources.repeat_interleave(factors[0], 2).repeat_interleave(factors[1], 3)
    channels = max(sources.shape[1], results.shape[1])
    one, other = (_enrich(each, channels) for each in (resize(sources, (height, width)), results))
    return one, other


def _enrich(images: Tensor, channels: int) -> Tensor:
    """Return images of a kind that has at least their channels."""
    if images.shape[1] == 1 < channels:
        images = images.expand(-1, 3, -1, -1)
    if images.shape[1] < channels:
        images = torch.cat([images, torch.full_like(images[:, :1], 255)], dim=1)
    return images


def choose_columns(classes: int | None) -> int:
    """Choose the number of columns for samples that cycle through the classes.

    Args:
        classes: Number of classes; None if there are none.

    Returns:
        The number of classes or a multiple of it near 8, so that each column holds one class.
        8 if there are no classes or more than 64.
    """
    if classes is None or classes > MAX_COLUMNS:
        return COLUMNS
    return classes * max(1, round(COLUMNS / classes))


def grid(images: Tensor, columns: int = COLUMNS, padding: int = PADDING) -> Tensor:
    """Lay out images as one picture, row by row, with a white border around each.

    Images below 64 pixels are enlarged by a whole factor, each pixel to a square.

    Args:
        images: uint8 ``(N, C, H, W)``.
        columns: Number of images in a row, at most.
        padding: Width of the border, in pixels.

    Returns:
        A uint8 picture ``(C, H', W')`` on the CPU.
    """
    count, channels, height, width = images.shape
    factor = max(1, 64 // max(height, width))
    images = images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    height, width = height * factor + padding, width * factor + padding
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    # 255 in each channel: white, and opaque if there is an alpha channel.
    shape = (channels, rows * height + padding, columns * width + padding)
    picture = torch.full(shape, 255, dtype=torch.uint8)
    for i, image in enumerate(images):
        top, left = padding + i // columns * height, padding + i % columns * width
        picture[:, top : top + height - padding, left : left + width - padding] = image
    return picture


def pair_grid(sources: Tensor, translated: Tensor) -> Tensor:
    """Lay out rows of sources, each above the row of its translations, as :func:`grid` does."""
    columns = min(COLUMNS, len(sources))
    rows = []
    for pair in zip(sources.split(columns), translated.split(columns), strict=True):
        for row in pair:
            blank = row.new_full((columns - len(row), *row.shape[1:]), 255)
            rows += [row, blank]
    return grid(torch.cat(rows), columns)


def to_pil(image: Tensor) -> Image.Image:
    """Convert one image to a PIL image.

    Args:
        image: uint8 ``(C, H, W)`` with 1, 3 or 4 channels, on any device.

    Returns:
        An image of mode ``L``, ``RGB`` or ``RGBA``.
    """
    from PIL import Image

    array = image.cpu().permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


def find_frame(points: Tensor) -> tuple[Tensor, float]:
    """Find a square of the plane that contains points with a margin.

    Args:
        points: Floats ``(N, D)``, of which the first two coordinates count.

    Returns:
        The centre of the square ``(2,)``, and half the length of its sides: 1 or more.
    """
    flat = _first_two(points.float().cpu())
    centre = (flat.amax(0) + flat.amin(0)) / 2
    return centre, max(1.3 * float((flat - centre).abs().amax()), 1.0)


def lattice(centre: Tensor, reach: float, side: int) -> Tensor:
    """Return a lattice of points: the centres of ``side * side`` cells of a square.

    Args:
        centre: Centre of the square ``(2,)``.
        reach: Half the length of its sides.
        side: Number of points in a row.

    Returns:
        Points ``(side * side, 2)``, row by row from the top.
    """
    steps = (2 * torch.arange(side) + 1) / side - 1
    rows, columns = torch.meshgrid(-steps, steps, indexing="ij")
    return torch.stack([columns, rows], dim=2).reshape(-1, 2) * reach + centre


def scatter(
    points: Tensor, modes: Sequence[Sequence[float]] | None = None, side: int = 640
) -> Tensor:
    """Plot points, and circles around the true modes.

    Known modes set the frame, so that pictures of two steps have the same scale; points beyond it
    are drawn on its edge.

    Args:
        points: Floats ``(N, D)``, of which the first two coordinates are plotted.
        modes: Coordinates of each true mode; None if there are none.
        side: Height and width of the picture, in pixels.

    Returns:
        A uint8 picture ``(3, side, side)`` on the CPU.
    """
    from PIL import Image, ImageDraw

    framed = torch.tensor(modes) if modes else points
    centre, reach = find_frame(framed)
    flat, framed = _first_two(points.float().cpu()), _first_two(framed.float().cpu())

    def place(xy: Tensor) -> Tensor:
        unit = ((xy - centre) / reach).clamp(-1, 1) * torch.tensor([1.0, -1.0])
        return (unit + 1) / 2 * (side - 1)

    picture = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(picture)
    for x, y in place(framed).tolist() if modes else []:
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
    """Render samples as one picture: a :func:`grid` of images, or a plot (:func:`scatter`).

    Args:
        stored: uint8 images ``(N, C, H, W)``, or float vectors ``(N, D)``.
        modes: Coordinates of the true modes to circle in a plot.
        columns: Number of images in a row of a grid, at most.

    Returns:
        A uint8 picture ``(C, H', W')`` on the CPU.
    """
    return grid(stored, columns) if stored.dim() == 4 else scatter(stored, modes)


def describe_layout(stored: Tensor, columns: int = COLUMNS) -> str:
    """Describe how :func:`render_samples` lays out samples.

    Args:
        stored: As for :func:`render_samples`.
        columns: As for :func:`render_samples`.

    Returns:
        Columns and rows, such as ``8 x 2``, or ``plot``.
    """
    if stored.dim() != 4:
        return PLOT
    columns = min(columns, len(stored))
    return f"{columns} x {math.ceil(len(stored) / columns)}"


def split_picture(picture: Tensor, layout: str) -> Tensor | None:
    """Split a picture into its images; the inverse of :func:`render_samples`.

    Args:
        picture: ``(C, H', W')``, of any type.
        layout: Its layout, as by :func:`describe_layout`; a plot is one image.

    Returns:
        A view ``(rows, columns, C, H, W)`` of the picture; None if the layout does not fit it.
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
    """Write one image as a PNG, atomically.

    Args:
        image: uint8 ``(C, H, W)`` with 1, 3 or 4 channels.
        path: The file to write; an existing one is replaced.
        texts: Metadata, such as ``{"Software": "ganzoo 0.1.0"}``; see :func:`provenance`.
    """
    with atomic_path(path) as beside:
        to_pil(image).save(beside, format="PNG", pnginfo=_png_info(texts))


def to_png(image: Tensor, texts: dict[str, str]) -> bytes:
    """Encode one image as a PNG, optimised for size.

    Args:
        image: uint8 ``(C, H, W)`` with 1, 3 or 4 channels.
        texts: Metadata, as for :func:`save_png`.

    Returns:
        The content of the file.
    """
    file = io.BytesIO()
    to_pil(image).save(file, format="PNG", optimize=True, pnginfo=_png_info(texts))
    return file.getvalue()


def to_small_png(picture: Tensor) -> bytes:
    """Encode a picture as a PNG for a page, quickly; one that is larger than a page is shrunk.

    Args:
        picture: uint8 ``(C, H, W)`` with 1, 3 or 4 channels.
    """
    shown, file = to_pil(picture), io.BytesIO()
    shown.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    shown.save(file, format="PNG")
    return file.getvalue()


def _png_info(texts: dict[str, str]) -> PngInfo:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, text in texts.items():
        info.add_itxt(key, text)
    return info


def load_png(path: Path) -> tuple[Tensor, dict[str, str]]:
    """Read a PNG, which need not be one that :func:`save_png` wrote.

    Returns:
        uint8 ``(C, H, W)`` with 1, 3 or 4 channels, and its metadata.

    Raises:
        InputError: the file is missing, damaged or not a PNG, or does not fit into memory.
    """
    from PIL import Image

    regular_size(path)
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            memory.require(4 * picture.width * picture.height, f"the picture {path}")
            shown = picture.convert(picture.mode if picture.mode in ("L", "RGBA") else "RGB")
            texts = {
                str(key): str(text) for key, text in picture.info.items() if isinstance(text, str)
            }
    except InputError:
        raise
    except Exception as error:  # Pillow may raise almost any exception
        raise InputError(f"{path} cannot be read as a picture: {first_line(error)}") from None
    pixels = torch.frombuffer(bytearray(shown.tobytes()), dtype=torch.uint8)
    return pixels.view(shown.height, shown.width, -1).permute(2, 0, 1), texts


def provenance(
    model: str,
    seed: int | str,
    truncation: float | None = None,
    codes: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Return PNG metadata that mark a picture as generated by a model.

    They include the IPTC's digital source type for media made by a trained model.

    Args:
        model: The model's title.
        seed: The seed, or the seeds of a walk.
        truncation: The truncation; None if there was none.
        codes: Parts of the latents that a person has set, by name.

    Returns:
        Texts by their PNG keywords, for :func:`save_png`.
    """
    from importlib.metadata import version
    from xml.sax.saxutils import escape

    text = f"Generated by a GAN, not a photograph. Model: {model}. Seed: {seed}."
    texts = {} if truncation is None else {"ganzoo:truncation": str(truncation)}
    if texts:
        text += f" Truncation: {truncation}."
    if codes:
        texts["ganzoo:codes"] = ", ".join(f"{name}={code}" for name, code in codes.items())
        text += f" Codes: {texts['ganzoo:codes']}."
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
