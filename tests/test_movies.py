"""Movies: frames that are not kept, formats that lose nothing, and a training through time."""

import json
import shutil
import sys
import weakref
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ganzoo.compute import memory
from ganzoo.errors import InputError
from ganzoo.media import images
from ganzoo.media.movies import check_movie_path, write_movie
from ganzoo.runs.folder import Run
from ganzoo_zoo.apps.report.movie import training_movie

ABOUT = images.provenance("a model", "0, 1")
EXACT = [".gif", ".webp"]
ALL = [*EXACT, ".mp4"]


def colours(number, size=(40, 24), mode="RGB", levels=256):
    """Make a picture of smooth colours, as many as are asked for in each band."""
    width, height = size
    across, down = np.meshgrid(np.linspace(0, 210, width), np.linspace(210, 0, height))
    step = 256 // levels
    bands = [(band + 9 * number) // step * step for band in (across, down, (across + down) / 2)]
    if mode == "RGBA":
        bands.append(np.where(across < 105, 255, 0))
    bands = bands[: len(Image.new(mode, (1, 1)).getbands())]
    array = np.stack(bands, axis=-1).astype(np.uint8)
    return Image.fromarray(array[..., 0] if len(bands) == 1 else array)


def shown(file, mode="RGB"):
    """Return the frames of a movie as a viewer shows them, with their milliseconds."""
    if Path(file).suffix == ".mp4":
        with av.open(str(file)) as movie:
            stream = movie.streams.video[0]
            each = round(1000 / stream.average_rate)
            return [(frame.to_image(), each) for frame in movie.decode(stream)]
    found = []
    with Image.open(file) as movie:
        assert movie.info["loop"] == 0
        for number in range(movie.n_frames):
            movie.seek(number)
            movie.load()
            found.append((movie.convert(mode), movie.info["duration"]))
    return found


@pytest.mark.parametrize("suffix", EXACT)
@pytest.mark.parametrize(("mode", "levels"), [("L", 256), ("RGB", 4)])
def test_pixels_and_times_are_kept(suffix, mode, levels):
    frames = [colours(i, mode=mode, levels=levels) for i in range(5)]
    file = Path(f"movie{suffix}")
    durations = [40, 40, 500, 40, 2000]
    for _ in range(2):
        write_movie(file, iter(frames), durations, ABOUT)
        found = shown(file, mode)
        assert [time for _, time in found] == durations
        assert [picture.tobytes() for picture, _ in found] == [f.tobytes() for f in frames]
    first = file.read_bytes()
    write_movie(file, iter(frames), durations, ABOUT)
    assert file.read_bytes() == first, "the same bytes each time"
    assert list(Path().iterdir()) == [file]


def test_a_webp_keeps_every_colour_and_what_can_be_seen_through():
    frames = [colours(i, mode="RGBA") for i in range(3)]
    write_movie(Path("movie.webp"), iter(frames), [40] * 3, ABOUT)
    for (found, _), frame in zip(shown("movie.webp", "RGBA"), frames, strict=True):
        seen = np.array(frame)[..., 3:] > 0  # nobody sees the colour of what is not there
        assert np.array_equal(np.array(found) * seen, np.array(frame) * seen)


@pytest.mark.parametrize(("suffix", "most"), [(".gif", 4), (".mp4", 4)])
def test_formats_that_lose_colours_lose_little(suffix, most):
    frames = [colours(i) for i in range(4)]
    write_movie(Path(f"movie{suffix}"), iter(frames), [40] * 4, ABOUT)
    found = shown(f"movie{suffix}")
    for (picture, _), frame in zip(found, frames, strict=True):
        away = np.abs(np.array(picture).astype(int) - np.array(frame))
        assert away.mean() < most


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_what_can_be_seen_through_lies_on_white(suffix):
    frames = [colours(i, mode="RGBA") for i in range(2)]
    write_movie(Path(f"movie{suffix}"), iter(frames), [40] * 2, ABOUT)
    for picture, _ in shown(f"movie{suffix}"):
        assert min(picture.getpixel((30, 12))) > 240


@pytest.mark.parametrize("size", [(1, 1), (41, 24), (40, 25), (33, 67)])
def test_any_size_can_be_written(size):
    for suffix in ALL:
        write_movie(
            Path(f"movie{suffix}"), (colours(i, size, "L") for i in range(3)), [40] * 3, ABOUT
        )
        found = shown(f"movie{suffix}")
        even = tuple(side + side % 2 for side in size)
        assert {picture.size for picture, _ in found} == {even if suffix == ".mp4" else size}
        # What is the same twice is shown once for longer; of one picture nothing moves.
        assert sum(time for _, time in found) == 120


def test_an_mp4_rests_on_a_frame_by_repeating_it():
    write_movie(Path("m.mp4"), (colours(i) for i in range(3)), [200, 200, 1000], ABOUT)
    found = shown("m.mp4")
    assert [time for _, time in found] == [200] * 7
    assert np.abs(np.array(found[2][0]).astype(int) - np.array(found[6][0])).mean() < 2
    with av.open("m.mp4") as movie:
        assert movie.streams.video[0].codec_context.name == "h264"
        assert movie.streams.video[0].codec_context.pix_fmt == "yuv420p"
        assert movie.metadata["comment"] == ABOUT["Description"]


@pytest.mark.parametrize("suffix", ALL)
def test_frames_are_not_kept(suffix):
    made, most = [], 0

    def frames():
        nonlocal most
        for i in range(30):
            picture = colours(i, mode="L")
            made.append(weakref.ref(picture))
            most = max(most, sum(each() is not None for each in made))
            yield picture

    write_movie(Path(f"movie{suffix}"), frames(), [40] * 30, ABOUT)
    assert most <= 3


@pytest.mark.parametrize("suffix", ALL)
def test_a_movie_is_written_whole_or_not_at_all(suffix):
    file = Path(f"movie{suffix}")
    file.write_text("precious")

    def frames():
        yield colours(0)
        yield colours(1)
        raise InputError("the generator has diverged")

    with pytest.raises(InputError, match="diverged"):
        write_movie(file, frames(), [40] * 3, ABOUT)
    assert file.read_text() == "precious"
    assert list(Path().iterdir()) == [file]


@pytest.mark.parametrize("name", ["movie", "movie.png", "movie.avi", ".gif"])
def test_what_is_no_movie_is_refused(name):
    with pytest.raises(InputError, match=r"write a movie to a \.gif, a \.webp or an \.mp4"):
        write_movie(Path(name), iter([]), [], ABOUT)


def test_a_webp_has_a_largest_size():
    with pytest.raises(InputError, match="at most 16383 pixels wide and high, not 16384 x 1"):
        write_movie(Path("m.webp"), iter([Image.new("L", (16384, 1))]), [40], ABOUT)


def test_without_the_extra_there_is_one_line_that_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    for suffix in EXACT:
        check_movie_path(Path(f"movie{suffix}"))
    with pytest.raises(InputError) as caught:
        check_movie_path(Path("movie.mp4"))
    assert str(caught.value) == (
        "movie.mp4: an .mp4 needs pip install 'ganzoo[mp4]>=0.1'; a .webp works without it"
    )


# A training -------------------------------------------------------------------------------------


@pytest.fixture
def run(tiny_run):
    return Run(Path(shutil.copytree(tiny_run.path, "run")))


@pytest.mark.parametrize("suffix", EXACT)
def test_a_training_shows_its_pictures_with_their_steps_below(run, suffix):
    assert training_movie(run, Path(f"movie{suffix}")) == 3
    found = shown(f"movie{suffix}", "L")
    assert [time for _, time in found] == [500, 500, 2000]
    captions = []
    for (frame, _), step in zip(found, (0, 2, 4), strict=True):
        with Image.open(run.picture(step)) as picture:
            above = frame.crop((0, 0, *picture.size))
            assert above.tobytes() == picture.tobytes()
            captions.append(frame.crop((0, picture.height, *frame.size)))
        assert frame.width == picture.width
        assert 0 < captions[-1].height < 30
    assert len({caption.tobytes() for caption in captions}) == 3
    for caption in captions:
        dark = np.array(caption) < 200
        assert 20 < dark.sum() < 600
        assert not dark[:, 100:].any(), "it is short"


def test_a_long_training_takes_ten_seconds_if_it_can(run):
    for step in (0, 2, 4):
        run.picture(step).unlink()
    done = 0
    for pictures, pace in ((20, 500), (40, 250), (200, 50), (260, 40)):
        for step in range(done, pictures):
            Image.new("L", (20, 20)).save(run.picture(step))
        done = pictures
        assert training_movie(run, Path("movie.gif")) == pictures
        # Frames follow each other though they look the same but for the step.
        times = [time for _, time in shown("movie.gif")]
        assert times[:-1] == [pace] * (pictures - 1)
        assert times[-1] == 2000


def test_pictures_are_in_the_order_of_their_steps(run):
    for step, level in ((99_999_999, 10), (100_000_000, 20), (1_000_000_000, 30)):
        Image.new("L", (200, 200), level).save(run.picture(step))
    for step in (0, 2, 4):
        run.picture(step).unlink()
    for name in ("notes.png", "-0000001.png", "00000001.jpg", ".00000001.png.5.tmp"):
        (run.samples / name).write_text("no picture")
    assert training_movie(run, Path("movie.webp")) == 3
    levels = [frame.getpixel((5, 5)) for frame, _ in shown("movie.webp", "L")]
    assert levels == [10, 20, 30]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_narrow_pictures_have_room_for_the_step(run, mode):
    for step in (0, 2, 4):
        Image.new(mode, (20, 20)).save(run.picture(step))
    for suffix in ALL:
        assert training_movie(run, Path(f"movie{suffix}")) == 3
        frame = np.array(shown(f"movie{suffix}")[0][0])
        below = frame[20:].min(axis=2) < 170
        assert below.any()
        assert not below[:, -4:].any()


def test_a_movie_of_a_training_says_that_it_is_generated(run):
    training_movie(run, Path("movie.gif"))
    with Image.open("movie.gif") as movie:
        assert movie.info["comment"].decode() == (
            "Generated by a GAN, not a photograph. Model: dcgan trained with wgan-gp on digits, "
            "steps 0 to 4. Seed: 0."
        )


def test_a_run_without_pictures_has_no_movie(run):
    for file in run.samples.iterdir():
        file.unlink()
    with pytest.raises(InputError, match="run has no sample pictures yet"):
        training_movie(run, Path("movie.gif"))


def torn(path):
    path.write_bytes(path.read_bytes()[:300])


def no_png(path):
    Image.new("L", (200, 200)).save(path, format="GIF")


def other_size(path):
    Image.new("L", (200, 201)).save(path)


def other_mode(path):
    with Image.open(path) as picture:
        Image.new("RGB", picture.size).save(path)


def folder(path):
    path.unlink()
    path.mkdir()


def enormous(path):
    header = (2**30).to_bytes(4) * 2 + b"\x08\0\0\0\0"
    torn(path)
    data = path.read_bytes()
    start = data.index(b"IHDR") + 4
    import zlib

    crc = zlib.crc32(b"IHDR" + header).to_bytes(4)
    path.write_bytes(data[:start] + header + crc + data[start + 17 :])


@pytest.mark.parametrize("broken", [torn, no_png, other_size, other_mode, folder, enormous])
def test_a_picture_that_does_not_fit_is_named(run, broken):
    broken(run.picture(2))
    with pytest.raises(InputError, match=r"00000002\.png") as caught:
        training_movie(run, Path("movie.webp"))
    assert len(str(caught.value).splitlines()) == 1
    assert not Path("movie.webp").exists()


def test_a_picture_that_does_not_fit_into_memory_is_refused(run, monkeypatch):
    monkeypatch.setenv(memory.VARIABLE, "0.0001")
    with pytest.raises(InputError, match=r"00000000\.png would take"):
        training_movie(run, Path("movie.webp"))


def test_what_a_run_is_decides_and_not_its_model(run):
    shutil.rmtree(run.model)
    assert json.loads((run.path / "config.json").read_text())["train"]["steps"] == 4
    assert training_movie(run, Path("movie.webp")) == 3
