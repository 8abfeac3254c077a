"""Readers of what comes from anywhere: whatever it is, they give a value or an InputError."""

import io
import json
import math
import warnings
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from ganzoo.config import ModelConfig, RunConfig, read_config
from ganzoo.errors import InputError, escape_text
from ganzoo.protocols.dataset import DataSpec
from ganzoo.registry import ARCHITECTURE, LOSS
from ganzoo.resolve import parse_settings, resolve
from ganzoo.storage.json_files import DEPTH_LIMIT, read_json, to_json
from ganzoo.storage.tensors import load_tensors, save_tensors
from ganzoo_zoo.data.files import ImageFolder, ImageZip

SETTINGS = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

TEXT = st.text(max_size=12)
HUGE = st.sampled_from([-1, 0, 2**31, 2**63, 10**12, 10**30, 1e38, 1e300, -1e300])
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | HUGE
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda part: st.lists(part, max_size=4) | st.dictionaries(TEXT, part, max_size=4),
    max_leaves=12,
)


def given_or_refused(read, *arguments):
    """Return what a reader gives, or None if it refuses; nothing else may be raised."""
    try:
        return read(*arguments)
    except InputError:
        return None


@st.composite
def damaged(draw, whole):
    """Draw what is left of a file after some damage."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        how = draw(st.sampled_from(["flip", "cut", "insert", "number"]))
        if how == "flip" and place < len(data):
            data[place] ^= draw(st.integers(1, 255))
        elif how == "cut":
            del data[place : place + draw(st.integers(1, len(data) + 1))]
        elif how == "insert":
            data[place:place] = draw(st.binary(max_size=20))
        else:
            data[place : place + 4] = draw(st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\x7f"]))
    return bytes(data)


# JSON


@SETTINGS
@given(st.binary(max_size=60) | damaged(b'{"format": 1, "a": [1.5, "\\u00e9", null, true]}'))
def test_any_bytes_are_json_or_refused(tmp_path, data):
    path = tmp_path / "file.json"
    path.write_bytes(data)
    given_or_refused(read_json, path)


@SETTINGS
@given(JSON)
def test_json_comes_back_as_it_was_written(tmp_path, value):
    path = tmp_path / "file.json"
    path.write_text(to_json(value), encoding="utf-8")
    assert read_json(path) == value


@SETTINGS
@given(st.integers(1, 5000), st.sampled_from(["[", '{"a":']))
def test_depth_is_bounded(tmp_path, depth, opening):
    path = tmp_path / "file.json"
    path.write_text(opening * depth + "1" + {"[": "]"}.get(opening, "}") * depth)
    found = given_or_refused(read_json, path)
    assert (found is not None) == (depth <= DEPTH_LIMIT)


# Tensors


WHOLE = save({"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(2, dtype=torch.int64)})


@SETTINGS
@given(st.binary(max_size=80) | damaged(WHOLE))
def test_any_bytes_are_tensors_or_refused(tmp_path, data):
    path = tmp_path / "file.safetensors"
    path.write_bytes(data)
    given_or_refused(load_tensors, path)
    like = {"a.weight": torch.zeros(2, 3), "b": torch.zeros(2, dtype=torch.int64)}
    found = given_or_refused(load_tensors, path, like)
    if found is not None:
        assert {name: (t.shape, t.dtype) for name, t in found.items()} == {
            name: (t.shape, t.dtype) for name, t in like.items()
        }


HEADER_VALUES = st.integers(-2, 2**70) | NUMBERS | TEXT | st.none() | st.lists(NUMBERS, max_size=3)


@SETTINGS
@given(
    st.dictionaries(
        TEXT,
        st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["F32", "F16", "U8", "BOOL", "F4", "F8_E8M0", "C64", "?"]),
                "shape": st.lists(st.integers(0, 2**64), max_size=3) | HEADER_VALUES,
                "data_offsets": st.just([0, 8]) | st.lists(st.integers(0, 2**64), max_size=3),
            }
        ),
        max_size=2,
    )
)
def test_any_header_is_read_or_refused(tmp_path, header):
    text = json.dumps(header, allow_nan=True).encode()
    path = tmp_path / "file.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    given_or_refused(load_tensors, path)


@SETTINGS
@given(
    st.dictionaries(st.text(max_size=8), st.lists(st.integers(0, 3), max_size=3), max_size=4),
    st.sampled_from([torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.uint8]),
)
def test_tensors_come_back_as_they_were_written(tmp_path, shapes, dtype):
    assume("__metadata__" not in shapes)
    tensors = {name: torch.ones(shape).cumsum(-1).to(dtype) for name, shape in shapes.items()}
    path = tmp_path / "file.safetensors"
    save_tensors(path, tensors)
    found = load_tensors(path, tensors)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


# Configurations


def described(kind):
    config = resolve("mlp", data="ring")
    if kind is RunConfig:
        return config.model_dump(mode="json")
    return ModelConfig.of(config, DataSpec(shape=(2,)), 3).model_dump(mode="json")


def places(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, (*path, key))


def build(path, kind):
    config = read_config(path, kind)
    return config.architecture.build(ARCHITECTURE), config.loss.build(LOSS)


@pytest.mark.parametrize("kind", [RunConfig, ModelConfig])
@SETTINGS
@given(st.data())
def test_any_value_in_a_configuration_fits_or_is_refused(tmp_path, kind, data):
    tree = described(kind)
    *way, last = data.draw(st.sampled_from([place for place in places(tree) if place]))
    holder = tree
    for key in way:
        holder = holder[key]
    holder[last] = data.draw(JSON)
    path = tmp_path / "config.json"
    path.write_text(to_json(tree), encoding="utf-8")
    given_or_refused(build, path, kind)


@pytest.mark.parametrize("kind", [RunConfig, ModelConfig])
@SETTINGS
@given(JSON)
def test_any_document_is_a_configuration_or_refused(tmp_path, kind, value):
    path = tmp_path / "config.json"
    path.write_text(to_json(value), encoding="utf-8")
    assert given_or_refused(read_config, path, kind) is None


@pytest.mark.parametrize("kind", [RunConfig, ModelConfig])
def test_a_configuration_comes_back_as_it_was_written(tmp_path, kind):
    path = tmp_path / "config.json"
    path.write_text(to_json(described(kind)), encoding="utf-8")
    assert read_config(path, kind).model_dump(mode="json") == described(kind)


KEYS = st.sampled_from(
    ["arch.hidden", "arch.z_dim", "train.betas", "train.seed", "train.device", "data.std", "loss"]
)


@SETTINGS
@given(st.lists(st.tuples(KEYS | TEXT, TEXT | NUMBERS.map(str) | JSON.map(json.dumps)), max_size=2))
def test_any_setting_is_taken_or_refused(items):
    def resolved():
        return resolve("mlp", data="ring", settings=parse_settings(f"{k}={v}" for k, v in items))

    config = given_or_refused(resolved)
    if config is not None:
        assert RunConfig.model_validate(json.loads(to_json(config.model_dump(mode="json"))))


@SETTINGS
@given(st.lists(st.integers(1, 99), min_size=1, max_size=3), st.floats(0, 0.999))
def test_a_setting_means_its_value(hidden, beta):
    texts = {"arch.hidden": ",".join(map(str, hidden)), "train.betas": f"{beta},0.5"}
    config = resolve("mlp", data="ring", settings=texts)
    assert config.architecture.options["hidden"] == hidden
    assert config.train.betas == (beta, 0.5)


# Images and zips


def encoded(kind, mode="RGB", size=(5, 4), **options):
    count = math.prod(size) * len(Image.new(mode, (1, 1)).tobytes())
    pixels = np.random.default_rng(0).integers(0, 256, count, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.frombytes(mode, size, pixels.tobytes()).save(buffer, kind, **options)
    return buffer.getvalue()


FILES = [
    encoded("PNG"),
    encoded("PNG", "LA"),
    encoded("PNG", "I;16"),
    encoded("JPEG", "CMYK"),
    encoded("GIF", "L", save_all=True, append_images=[Image.new("L", (5, 4))]),
    encoded("BMP"),
    encoded("WEBP", "RGBA"),
    encoded("TIFF", "I;16B", compression="tiff_deflate"),
]


@pytest.mark.parametrize("whole", FILES, ids=lambda data: repr(data[:4]))
@settings(SETTINGS, max_examples=30)
@given(st.data())
def test_any_damage_of_an_image_is_read_or_named(tmp_path, whole, data):
    folder = tmp_path / "images"
    folder.mkdir(exist_ok=True)
    (folder / "a.png").write_bytes(data.draw(damaged(whole)))
    (folder / "b.png").write_bytes(encoded("PNG", size=(8, 8)))
    samples = ImageFolder(path=str(folder), image_size=8).read()
    assert samples.stored.shape[2:] == (8, 8)
    assert samples.names[-1] == "b.png"
    assert len(samples) + len(samples.skipped) == 2


@SETTINGS
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 4]), st.data())
def test_pixels_come_back_as_they_were_written(tmp_path, height, width, channels, data):
    count = height * width * channels
    pixels = data.draw(st.binary(min_size=count, max_size=count))
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    folder = tmp_path / "images"
    folder.mkdir(exist_ok=True)
    Image.frombytes(mode, (width, height), pixels).save(folder / "a.png")
    samples = ImageFolder(path=str(folder), image_channels=channels).read()
    assert samples.stored.shape == (1, channels, height, width)
    assert samples.stored[0].permute(1, 2, 0).flatten().tolist() == list(pixels)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
PARTS = st.sampled_from(["..", "/", "\\", "C:", "a", "b.png", "\n", "\x1b[2J", "~", ".", "é"])
MEMBERS = st.lists(NAMES | st.lists(PARTS, min_size=1).map("/".join), min_size=1, max_size=4)


@SETTINGS
@given(MEMBERS)
def test_any_member_names_are_read_and_lead_nowhere(tmp_path, names):
    path = tmp_path / "images.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # of two members with one name
        for name in names:
            archive.writestr(f"{name}.png", FILES[0])
    samples = given_or_refused(ImageZip(path=str(path)).read)
    assert list(tmp_path.iterdir()) == [path]
    if samples is not None and samples.spec.class_names:
        to_json(samples.spec.model_dump(mode="json")).encode()


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(2):
            archive.writestr(f"{i}.png", FILES[0])
    return buffer.getvalue()


@SETTINGS
@given(damaged(zipped()) | st.binary(max_size=60))
def test_any_damage_of_a_zip_is_read_or_refused(tmp_path, data):
    path = tmp_path / "images.zip"
    path.write_bytes(data)
    given_or_refused(ImageZip(path=str(path), image_size=8).read)


# What is said


@SETTINGS
@given(st.text())
def test_what_is_said_is_one_line_that_can_be_shown(text):
    line = escape_text(text)
    assert line.isprintable()
    assert len(line.splitlines()) <= 1
    line.encode("utf-8")
    if text.isprintable():
        assert line == text
