"""Movies: frames written one by one as a GIF, a WebP or an MP4."""

from __future__ import annotations

import importlib.util
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.errors import InputError
from ganzoo.requirement import install_command
from ganzoo.storage.files import atomic_path

if TYPE_CHECKING:
    from PIL.Image import Image

    Texts = Mapping[str, str]
    Writer = Callable[[Path, Iterator[Image], Sequence[int], Texts], None]

WALK_FRAMES = 50
"""Default number of frames of a walk from one seed to the next."""
FRAME_MS = 40
"""Milliseconds for which a frame of a walk is shown."""
H264_OPTIONS = {
    "crf": "18",
    "colorspace": "smpte170m",
    "color_primaries": "smpte170m",
    "color_trc": "smpte170m",
}
"""A quality at which losses are hardly visible, and the colour space, which players would otherwise
guess from the size of the picture."""
LARGEST_WEBP = 16383
"""Largest width and height of a WebP, in pixels."""


def check_movie_path(path: Path) -> None:
    """Check that a movie can be written to a path.

    Raises:
        InputError: it does not end in ``.gif``, ``.webp`` or ``.mp4``, or the package that writes
            such a movie is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITERS or path.is_dir():
        raise InputError(f"{path}: write a movie to a .gif, a .webp or an .mp4")
    if suffix == ".mp4" and importlib.util.find_spec("av") is None:
        raise InputError(
            f"{path}: an .mp4 needs {install_command('mp4')}; a .webp works without it"
        )


def write_movie(
    path: Path, frames: Iterable[Image], durations: Sequence[int], texts: Mapping[str, str]
) -> None:
    """Write a looping movie, atomically.

    Frames are consumed one by one and not kept. A WebP is lossless, and so is a GIF if no frame has
    more than 256 colours; both are reproducible to the byte. An MP4 is H.264, which is lossy.

    Args:
        path: A ``.gif``, a ``.webp`` or an ``.mp4``; an existing file is replaced.
        frames: Pictures of one size and mode: ``L``, ``RGB`` or ``RGBA``. Transparent ones are put
            on white, except in a WebP.
        durations: Time to show each frame, in milliseconds; every format can keep multiples of 10.
        texts: Metadata, as by :func:`ganzoo.media.images.provenance`.

    Raises:
        InputError: as for :func:`check_movie_path`; or the frames are too large for the format.
    """
    check_movie_path(path)
    with atomic_path(path) as beside:
        WRITERS[path.suffix.lower()](beside, iter(frames), durations, texts)


# Formats


def _write_gif(path: Path, frames: Iterator[Image], durations: Sequence[int], texts: Texts) -> None:
    # Pillow's own GIF writer keeps all frames until the end.
    from PIL.GifImagePlugin import getdata, getheader

    with path.open("wb") as file:
        for number, (frame, duration) in enumerate(zip(frames, durations, strict=True)):
            picture = _to_palette(frame)
            if not number:
                about = {"loop": 0, "comment": texts["Description"].encode()}
                file.writelines(getheader(picture.copy(), info=about)[0])
            file.writelines(getdata(picture, duration=duration, include_color_table=True))
        file.write(b";")


def _to_palette(frame: Image) -> Image:
    """Reduce a frame to 256 colours; exact if it has no more than that."""
    frame = _remove_alpha(frame)
    return frame.convert("P") if frame.mode == "L" else frame.quantize(256)


def _write_webp(
    path: Path, frames: Iterator[Image], durations: Sequence[int], texts: Texts
) -> None:
    from ganzoo.media.images import XMP

    reel = _lazy_frames(frames, len(durations))
    if max(reel.size) > LARGEST_WEBP:
        raise InputError(
            f"a .webp is at most {LARGEST_WEBP} pixels wide and high, not {reel.width} x "
            f"{reel.height}: draw fewer samples"
        )
    reel.save(
        path,
        format="WEBP",
        save_all=True,
        duration=list(durations),
        loop=0,
        lossless=True,
        quality=50,
        method=4,
        xmp=texts[XMP].encode(),
    )


def _lazy_frames(frames: Iterator[Image], count: int) -> Image:
    """Wrap frames as one PIL image of many frames, each made when Pillow seeks it."""
    from PIL import Image

    class Reel(Image.Image):
        n_frames = count

        def __init__(self) -> None:
            super().__init__()
            self._place = -1
            self.seek(0)

        def tell(self) -> int:
            return self._place

        def seek(self, frame: int) -> None:
            if frame <= self._place:
                return  # Pillow seeks the first frame again at the end
            shown = next(frames)
            self.im, self._mode, self._size = shown.im, shown.mode, shown.size
            self._place = frame

    return Reel()


def _write_mp4(path: Path, frames: Iterator[Image], durations: Sequence[int], texts: Texts) -> None:
    import av

    tick = math.gcd(*durations)
    first = next(frames)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as movie:
        movie.metadata.update(title=texts["ganzoo:model"], comment=texts["Description"])
        stream = movie.add_stream("libx264", rate=Fraction(1000, tick), options=dict(H264_OPTIONS))
        stream.width, stream.height = (side + side % 2 for side in first.size)
        stream.pix_fmt = "yuv420p"
        for frame, duration in zip(itertools.chain([first], frames), durations, strict=True):
            picture = _pad_to_even(_remove_alpha(frame).convert("RGB"))
            for _ in range(duration // tick):
                movie.mux(stream.encode(av.VideoFrame.from_image(picture)))
        movie.mux(stream.encode())


def _pad_to_even(frame: Image) -> Image:
    """Add a white row or column to odd sides, which H.264 does not support in this pixel format."""
    from PIL import Image

    if not (frame.width % 2 or frame.height % 2):
        return frame
    width, height = (side + side % 2 for side in frame.size)
    even = Image.new("RGB", (width, height), "white")
    even.paste(frame)
    return even


def _remove_alpha(frame: Image) -> Image:
    """Put a transparent frame on white."""
    from PIL import Image

    if frame.mode != "RGBA":
        return frame
    return Image.alpha_composite(Image.new("RGBA", frame.size, "white"), frame).convert("RGB")


WRITERS: dict[str, Writer] = {".gif": _write_gif, ".webp": _write_webp, ".mp4": _write_mp4}
