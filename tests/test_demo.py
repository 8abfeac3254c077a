"""The demo: what can be asked of a model, who may ask, and the page in a browser."""

import contextlib
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import pytest
import torch
from PIL import Image

import ganzoo
from browser import opened
from ganzoo.errors import GanzooError, InputError
from ganzoo.media.images import grid, load_png, save_png
from ganzoo.models.model import load
from ganzoo.models.sample_files import render_model_samples
from ganzoo_zoo.apps.demo import html, served_files, serving
from ganzoo_zoo.apps.demo import session as asking
from ganzoo_zoo.apps.demo.security import MOST_UPLOADS, Guard
from ganzoo_zoo.apps.demo.session import LARGEST_SEED, Session
from ganzoo_zoo.apps.demo.terminal import discard_output, escape_output
from ganzoo_zoo.apps.shared.directions import find_directions
from tiny import TINY

SMALL = {"arch.base_channels": 2, "arch.z_dim": 4, "data.image_size": 16}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def digits(place):
    """A run of a conditional model."""
    settings = {**SMALL, "arch.conditional": True}
    return ganzoo.train("dcgan", "hinge", out=place / "digits", settings=settings, **TINY).path


@pytest.fixture(scope="module")
def points(place):
    settings = {"data.samples": 60, "arch.hidden": (4,)}
    return ganzoo.train("mlp", data="ring", out=place / "points", settings=settings, **TINY).path


@pytest.fixture(scope="module")
def translator(place):
    """A run of a model that translates images, and the images."""
    for i in range(6):
        name = ("night", "day")[i % 2]
        (place / "photos" / name).mkdir(parents=True, exist_ok=True)
        shade = torch.full((3, 24, 24), 30 * i, dtype=torch.uint8)
        save_png(shade, place / "photos" / name / f"{i}.png", {})
    settings = {"arch.base_channels": 2, "arch.blocks": 0}
    return ganzoo.train(
        "cyclegan", data=str(place / "photos"), out=place / "run", settings=settings, steps=0
    ).path


@pytest.fixture
def ask(tmp_path):
    """Make what answers, of a model."""
    return lambda model: Session(load(model), tmp_path / "drawn", "cpu")


# What can be asked -----------------------------------------------------------------------------


def test_samples_are_those_of_the_command_line(digits, ask, ganzoo_cli):
    studio = ask(digits)
    for label, truncation, options in (
        (None, None, []),
        (3, 0.5, ["--label", "3", "--truncation", "0.5"]),
    ):
        drawn = studio.sample(7, 12, label, truncation)
        common = ["-n", "12", "--seed", "7", *options, "--force", "--device", "cpu"]
        assert ganzoo_cli("sample", digits, *common, "--out", "p.png").code == 0
        assert drawn.file.read_bytes() == Path("p.png").read_bytes()
        assert ganzoo_cli("sample", digits, *common, "--out", "single").code == 0
        assert len(drawn.singles) == 12
        for i, (file, about) in enumerate(drawn.singles):
            folder = "single" if label is not None else f"single/{i % 10}"
            assert file.read_bytes() == (Path(folder) / file.name).read_bytes()
            assert about == f"Generated image {i + 1}, class {i % 10 if label is None else 3}"
    assert drawn.about == "12 generated images, seed 7, class 3, truncation 0.5"


def test_a_walk_is_that_of_the_command_line(digits, ask, ganzoo_cli):
    told = []
    drawn = ask(digits).walk(
        " 0, 5 ", 3, 4, True, "webp", 2, 0.5, lambda *report: told.append(report)
    )
    options = ["--walk", "0,5", "--frames", 3, "-n", 4, "--loop", "--label", 2, "--truncation", 0.5]
    assert ganzoo_cli("sample", digits, *options, "--out", "w.webp", "--device", "cpu").code == 0
    assert drawn.file.read_bytes() == Path("w.webp").read_bytes()
    assert drawn.about == (
        "Walk of 4 generated images from seed 0 to 5 to 0, class 2, truncation 0.5"
    )
    assert ("drawing frames", 5, 6) in told


def test_codes_are_those_of_the_command_line(place, ask, ganzoo_cli):
    sizes = {**SMALL, "arch.dense": 4, "arch.categories": 3, "arch.codes": 1}
    run = ganzoo.train("infogan", out=place / "coded", settings=sizes, **{**TINY, "steps": 0}).path
    studio = ask(run)
    assert [part.name for part in studio.code_parts] == ["category", "code1"]
    drawn = studio.sample(7, 4, codes={"category": 2, "code1": 0.5})
    assert drawn.about == "4 generated images, seed 7, category 2, code1 0.5"
    told = ["--code", "category=2", "--code", "code1=0.5", "-n", "4", "--seed", "7"]
    assert ganzoo_cli("sample", run, *told, "--out", "p.png", "--device", "cpu").code == 0
    assert drawn.file.read_bytes() == Path("p.png").read_bytes()
    assert asking.read_codes(studio.code_parts, [1, True, -0.5]) == {"category": 1, "code1": -0.5}
    assert asking.read_codes(studio.code_parts, [-1, False, -0.5]) == {}


def test_models_without_codes_have_no_controls_for_them(digits, ask):
    assert ask(digits).code_parts == ()


def test_points_are_plotted(points, ask, ganzoo_cli):
    studio = ask(points)
    drawn = studio.sample(0, 64)
    assert ganzoo_cli("sample", points, "--out", "p.png", "--device", "cpu").code == 0
    assert drawn.file.read_bytes() == Path("p.png").read_bytes()
    assert (drawn.about, drawn.singles) == ("64 generated points, seed 0", [])
    assert studio.walk("0 1", 2, 50).file.exists()
    with pytest.raises(InputError, match="vectors, not images"):
        studio.nearest(0)


def test_a_translation_is_that_of_the_command_line(translator, ask, ganzoo_cli, place):
    studio = ask(translator)
    assert studio.classes == ("day", "night")
    assert not studio.can_truncate
    assert not studio.can_walk
    source = place / "photos" / "night" / "2.png"
    drawn = studio.translate(str(source), 0)
    Path("in").mkdir()
    shutil.copy(source, "in")
    options = ["--source", "./in", "--label", "day", "--out", "out", "--device", "cpu"]
    assert ganzoo_cli("sample", translator, *options).code == 0
    (shown, _), (single, _) = load_png(drawn.file), load_png(Path("out/2.png"))
    assert torch.equal(shown, grid(single[None]))
    assert drawn.about == "The image, translated to day"
    (row,) = studio.nearest(0, 0, source=str(source)).rows
    assert len(row) == 5


def test_what_cannot_be_read_is_said_without_where_it_lies(translator, ask, tmp_path):
    studio = ask(translator)
    broken = tmp_path / "image.png"
    broken.write_bytes(b"\x89PNG and no more")
    with pytest.raises(InputError) as caught:
        studio.translate(str(broken), 0)
    assert str(caught.value).startswith("the image cannot be read: ")
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(InputError, match="choose an image first"):
        studio.translate(None, 0)
    with pytest.raises(InputError, match="class must be a whole number from 0 to 1"):
        studio.translate(str(broken), 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": -1}, "seed must be a whole number from 0 to 9,007,199,254,740,991"),
        ({"seed": LARGEST_SEED + 2}, "seed must be a whole number"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"seed": None}, "seed must be a whole number"),
        ({"seed": True}, "seed must be a whole number"),
        ({"seed": float("nan")}, "seed must be a whole number"),
        ({"seed": float("inf")}, "seed must be a whole number"),
        ({"seed": "0"}, "seed must be a whole number"),
        ({"count": 0}, "number of samples must be a whole number from 1 to 64"),
        ({"count": 65}, "number of samples must be a whole number from 1 to 64"),
        ({"label": 10}, "class must be a whole number from 0 to 9"),
        ({"label": -2}, "class must be a whole number from 0 to 9"),
        ({"truncation": 0}, "truncation must be a number from 0.1 to 3"),
        ({"truncation": float("nan")}, "truncation must be a number from 0.1 to 3"),
        ({"truncation": "1"}, "truncation must be a number from 0.1 to 3"),
    ],
)
def test_bounds_hold_whatever_the_page_lets_through(digits, ask, given, message):
    with pytest.raises(InputError, match=re.escape(message)):
        ask(digits).sample(**{"seed": 0, "count": 4, **given})


def test_samples_move_along_directions(digits, ask):
    studio = ask(digits)
    plain, still = studio.sample(1, 3, 4), studio.sample(1, 3, 4, moves=[0, 0.0])
    assert plain.file.read_bytes() == still.file.read_bytes()
    moved = studio.sample(1, 3, 4, moves=[0, -2.5])
    assert moved.about == "3 generated images, seed 1, class 4, direction 2 by -2.5"
    picture, texts = load_png(moved.file)
    assert texts["ganzoo:moved"] == "direction 2 by -2.5"
    model = studio.model
    directions, inputs = find_directions(model, 4), model.inputs.draw(3, 1, 4)
    wanted = inputs.given - 2.5 * directions.vectors[1]
    stored = model.generate(replace(inputs, given=wanted), stored=True)
    assert torch.equal(picture, render_model_samples(model, stored, 4))
    assert "direction 1 by 1" in studio.sample(0, 8, truncation=0.3, moves=[1]).about


@pytest.mark.parametrize("moves", [[5.5], [float("nan")], ["1"], [None], [0] * 5])
def test_directions_have_bounds(digits, ask, moves):
    with pytest.raises(InputError, match="directions"):
        ask(digits).sample(0, 2, moves=moves)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seeds": "0"}, "two to 8 seeds as whole numbers"),
        ({"seeds": "0, -1"}, "two to 8 seeds as whole numbers"),
        ({"seeds": ",".join(map(str, range(9)))}, "two to 8 seeds as whole numbers"),
        ({"seeds": "0, 99999999999999999"}, "two to 8 seeds as whole numbers"),
        ({"seeds": "0, 9999999999999999"}, "seed must be a whole number"),
        ({"seeds": None}, "two to 8 seeds as whole numbers"),
        ({"frames": 101}, "number of frames must be a whole number from 1 to 100"),
        ({"frames": 0}, "number of frames must be a whole number from 1 to 100"),
        ({"count": 65}, "number of samples must be a whole number from 1 to 64"),
        ({"format": "exe"}, "one of webp, gif, mp4"),
        ({"format": "../x.webp"}, "one of webp, gif, mp4"),
    ],
)
def test_bounds_of_a_walk(digits, ask, given, message):
    with pytest.raises(InputError, match=re.escape(message)):
        ask(digits).walk(**{"seeds": "0,1", "frames": 2, "count": 4, **given})


def test_large_samples_are_fewer_at_once(digits, ask, monkeypatch):
    monkeypatch.setattr(asking, "NUMBERS", 10 * 256)
    studio = ask(digits)
    assert studio.max_samples == 10
    monkeypatch.setattr(asking, "WALK_NUMBERS", 8 * 4 * 256)
    assert studio.walk("0,1", 4, 4).file.exists()
    with pytest.raises(InputError, match="choose fewer seeds, frames or samples"):
        studio.walk("0,1", 5, 4)


def test_the_nearest_training_images_stand_beside_samples(digits, ask):
    studio = ask(digits)
    found = studio.nearest(3)
    assert (found.searched, found.total, len(found.rows)) == (1797, 1797, 4)
    for i, (own, *near) in enumerate(found.rows):
        assert own.about == f"Generated image {i + 1}, class {i}"
        assert len(near) == 4
        assert [tile.about.startswith("Training image ") for tile in near] == [True] * 4
        distances = [float(tile.caption) for tile in near]
        assert distances == sorted(distances)
    text = html.comparison(found)
    assert text.count("<img ") == text.count(' alt="') == 20


def test_data_that_are_gone_are_said(translator, ask, place):
    away = place / "elsewhere"
    source = place / "photos" / "night" / "0.png"
    studio, kept = ask(translator), shutil.copy(source, place / "kept.png")
    (place / "photos").rename(away)
    try:
        with pytest.raises(GanzooError, match="photos"):
            studio.nearest(0, 0, source=str(kept))
    finally:
        away.rename(place / "photos")
    assert studio.nearest(0, 0, source=str(kept)).total == 6


def test_files_of_older_answers_are_removed(digits, ask):
    studio = ask(digits)
    drawn = [studio.sample(seed, 2) for seed in range(4)]
    assert [each.file.exists() for each in drawn] == [False, False, True, True]


def test_long_work_ends_with_the_server(digits, ask):
    studio = ask(digits)
    studio.ending.set()
    with pytest.raises(GanzooError, match="the demo ends"):
        studio.walk("0,1", 5, 2)


def test_what_comes_from_files_is_text(points):
    model = load(points)
    evil = "<script>alert(1)</script>"
    options = {**model.config.architecture.options, "x": evil}
    choice = model.config.architecture.model_copy(update={"name": evil, "options": options})
    model.config = model.config.model_copy(update={"architecture": choice})
    for text in (html.heading(model), html.about(model), html.caption(evil), html.alert(evil)):
        assert "<script>" not in text
    assert "&lt;script&gt;" in html.about(model)


# Who may ask -----------------------------------------------------------------------------------

OWN = {"host": "127.0.0.1:7860"}
LINK = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
JOIN = "/gradio_api/queue/join"
SMALL_BODY = {"content-length": "10"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, None),
        ("GET", "/", {"host": "localhost:9000"}, None),
        ("GET", "/", {"host": "[::1]:7860"}, None),
        ("GET", "/", {"host": "192.168.0.7:7860"}, None),
        ("GET", "/", {"host": "Given.Example:7860"}, None),
        ("GET", "/", {"host": "evil.example:7860"}, 403),
        ("GET", "/", {"host": "localhost.evil.example"}, 403),
        ("GET", "/", {"host": "127.0.0.1.evil.example"}, 403),
        ("GET", "/", {"host": ""}, 403),
        ("GET", "/", {"host": "[::1"}, 403),
        ("GET", "/", {"sec-fetch-site": "cross-site", **LINK}, None),
        ("GET", "/", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ("GET", "/", {"sec-fetch-site": "cross-site", **LINK, "sec-fetch-dest": "iframe"}, 403),
        ("GET", "/config", {"origin": "http://evil.example"}, 403),
        ("POST", JOIN, {"origin": "http://127.0.0.1:7860", **SMALL_BODY}, None),
        ("POST", JOIN, {"sec-fetch-site": "same-origin", **SMALL_BODY}, None),
        ("POST", JOIN, {"origin": "http://127.0.0.1:8000", **SMALL_BODY}, 403),
        ("POST", JOIN, {"origin": "http://localhost:7860", **SMALL_BODY}, 403),
        ("POST", JOIN, {"origin": "null", **SMALL_BODY}, 403),
        ("POST", JOIN, {"origin": "http://evil.example", **SMALL_BODY}, 403),
        ("POST", JOIN, {"sec-fetch-site": "same-site", **SMALL_BODY}, 403),
        ("POST", JOIN, {"sec-fetch-site": "cross-site", **LINK, **SMALL_BODY}, 403),
        ("POST", JOIN, {}, 413),
        ("POST", JOIN, {"content-length": str(2 << 20)}, 413),
        ("POST", JOIN, {"content-length": "9" * 5000}, 413),
        ("POST", JOIN, {"transfer-encoding": "chunked", **SMALL_BODY}, 413),
        ("POST", "/gradio_api/upload", SMALL_BODY, 404),
        ("POST", "/gradio_api/run/predict", SMALL_BODY, 404),
        ("POST", "/gradio_api/vibe-edit", SMALL_BODY, 404),
        ("PUT", JOIN, SMALL_BODY, 404),
        ("OPTIONS", JOIN, {}, 404),
        ("GET", "/gradio_api/file=http://example.org/x", {}, 404),
        ("GET", "/gradio_api/file/HTTPS://example.org/x", {}, 404),
        ("GET", "/gradio_api/file=c:/x.png", {}, None),
        ("GET", "/assets/index.js", {}, None),
        ("GET", "/assetsindex.js", {}, 404),
        ("HEAD", "/openapi.json", {}, 404),
        ("GET", "/gradio_api/openapi.json", {}, 404),
        ("GET", "/docs", {}, 404),
        ("GET", "/gradio_api/info", {}, 404),
        ("GET", "/gradio_api/startup-events", {}, 404),
        ("GET", "/gradio_api/stream/a/b/0/playlist-file", {}, 404),
        ("GET", "/gradio_api/proxy=https://example.org/x", {}, 404),
        ("GET", "/gradio_api/deep_link", {}, 404),
        ("GET", "/monitoring", {}, 404),
        ("GET", "/gradio_api/file=/tmp/x.png", {}, None),
    ],
)
def test_who_may_ask_for_what(method, path, headers, status):
    guard = Guard(None, names=["given.example"])
    refusal = guard.refusal(method, path, {**OWN, **headers})
    assert (refusal and refusal[0]) == status


def test_uploads_have_a_size():
    guard = Guard(None, upload=1000)
    for size, status in ((1000, None), (1001, 413)):
        asked = {**OWN, "content-length": str(size)}
        refusal = guard.refusal("POST", "/gradio_api/upload", asked)
        assert (refusal and refusal[0]) == status
    guard.uploading = MOST_UPLOADS
    assert guard.refusal("POST", "/gradio_api/upload", {**OWN, **SMALL_BODY})[0] == 503


def test_the_oldest_files_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv(served_files.FOLDER_VARIABLE, str(tmp_path))
    served_files.trim_served_files()

    def write(number, size):
        path = tmp_path / f"{number}" / "a.png"
        path.parent.mkdir()
        path.write_bytes(bytes(size))
        os.utime(path, (number, number))

    def kept():
        served_files.trim_served_files()
        return sorted(int(path.name) for path in tmp_path.iterdir())

    for number in range(6):
        write(number, 100)
    assert kept() == [*range(6)]
    monkeypatch.setattr(served_files, "MOST_BYTES", 450)
    assert kept() == [2, 3, 4, 5]
    monkeypatch.setattr(served_files, "MOST_FILES", 3)
    assert kept() == [3, 4, 5]
    write(7, 1000)
    assert kept() == []


def test_output_is_escaped_or_discarded(capfd):
    with escape_output():
        print("\x1b]0;evil\x07")
        print("line\r", file=sys.stderr)
    with discard_output():
        print("nothing")
        print("nothing", file=sys.stderr)
    print("after")
    assert capfd.readouterr() == ("\\x1b]0;evil\\x07\nafter\n", "line\\r\n")


# The command -----------------------------------------------------------------------------------


def test_without_gradio_the_answer_is_a_line(refused, monkeypatch, digits):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    expected = (
        "Error: the demo needs packages that are not installed here: "
        "pip install 'ganzoo[demo]>=0.1'"
    )
    assert refused("demo", digits) == expected
    assert refused("publish", digits, "a/b", "--space", "--dry-run") == expected


needs_gradio = pytest.mark.skipif(
    not __import__("importlib.util").util.find_spec("gradio"), reason="needs ganzoo[demo]"
)


@pytest.mark.parametrize(
    ("host", "shown", "alone"),
    [("127.0.0.1", "127.0.0.1", True), ("localhost", None, True), ("0.0.0.0", "127.0.0.1", False)],
)
def test_where_it_listens(host, shown, alone):
    with serving.bind_socket(host, 0) as listening:
        port = listening.getsockname()[1]
        if shown is not None:
            assert serving.address_of(listening) == f"http://{shown}:{port}/"
        assert serving.is_loopback(listening) == alone
        with pytest.raises(InputError, match="choose another --port"):
            serving.bind_socket(host, port)


@needs_gradio
def test_what_cannot_be_served_is_said_in_a_line(refused, digits, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        message = refused("demo", digits, "--port", port)
    assert message == (
        f"Error: cannot listen on port {port} of 127.0.0.1: Address already in use; choose another "
        "--port, or 0 for any free one"
    )
    assert "--host no.such.host.invalid: " in refused(
        "demo", digits, "--host", "no.such.host.invalid", "--port", 0
    )
    assert "no run or model folder named" in refused("demo", tmp_path / "none", "--port", 0)


TOLD = {"OMP_NUM_THREADS": "1", "GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SHARE": "True"}
"""What the environment asks of Gradio, and is not done."""


@contextlib.contextmanager
def served(*arguments, ending=signal.SIGINT, **environment):
    """Serve the demo in a process of its own, until a signal ends it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ganzoo", "demo", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **TOLD, **environment},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(ending)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + ending, err
    assert out == ""
    # Whatever was asked of it.
    assert err == "the demo is running; press Ctrl-C to end it\nthe demo has ended\n"


QUIETLY = ("--port", "0", "--device", "cpu")


def address_of(process):
    address = process.stdout.readline().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address), process.communicate()
    return address


@contextlib.contextmanager
def nobody():
    """Stand where requests to other machines go, by the environment, and see that none is made."""
    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        yield {each: address for name in names for each in (name, name.lower())}
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()


@pytest.fixture(scope="module")
def started(digits, translator, place):
    """Two demos, each with its process, its address and its folder for temporary files."""
    pytest.importorskip("gradio", reason="needs ganzoo[demo]")
    folders = [place / "one", place / "other"]
    for folder in folders:
        folder.mkdir()
    with (
        nobody() as proxies,
        served(digits, *QUIETLY, ending=signal.SIGTERM, TMPDIR=str(folders[0]), **proxies) as one,
        served(translator, *QUIETLY, TMPDIR=str(folders[1]), **proxies) as other,
    ):
        yield [
            (each, address_of(each), folder)
            for each, folder in zip((one, other), folders, strict=True)
        ]
    assert not [path for folder in folders for path in folder.glob("ganzoo-demo-*")]


@pytest.fixture(scope="module")
def server(started):
    """The address of the demo of the digits."""
    return started[0][1]


def request(address, method, path, body=None, **headers):
    host, port = re.fullmatch(r"http://(.*):(\d+)/", address).groups()
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    with contextlib.closing(connection):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, names)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.headers)


def test_it_listens_on_loopback_alone_whatever_gradio_is_told(server):
    port = int(server.rstrip("/").rpartition(":")[2])
    for host, reached in (("127.0.0.1", True), ("127.0.0.2", False)):
        with socket.socket() as caller:
            caller.settimeout(5)
            assert (caller.connect_ex((host, port)) == 0) == reached


def test_pages_of_others_are_refused(server):
    job = "{}"  # which Gradio would find fault with
    json_body = {"Content_Type": "application/json"}
    assert request(server, "GET", "/")[0] == 200
    assert request(server, "GET", "/", Host="evil.example")[0] == 403
    assert request(server, "GET", "/config", Origin="http://evil.example")[0] == 403
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        status, body, headers = request(server, "POST", JOIN, job, Origin=origin, **json_body)
        assert (status, body) == (403, b"another page may not request this\n")
        assert not [name for name in headers if name.lower().startswith("access-control")]
    own = server.rstrip("/")
    status, _, headers = request(server, "POST", JOIN, job, Origin=own, **json_body)
    assert status == 422
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert not [name for name in headers if name.lower().startswith("access-control")]


def test_nothing_but_what_was_drawn_can_be_had(server, digits):
    for path in (digits / "config.json", "/etc/passwd", Path.cwd() / "x", __file__):
        assert request(server, "GET", f"/gradio_api/file={path}")[0] == 403
    for path in ("/openapi.json", "/gradio_api/openapi.json", "/gradio_api/info", "/docs"):
        assert request(server, "GET", path)[0] == 404


def sent(address, number, values, session):
    """Send values to an event of the page as they are, and return the answer."""
    job = {"data": values, "fn_index": number, "session_hash": session}
    status, *_ = request(address, "POST", JOIN, json.dumps(job), Content_Type="application/json")
    assert status == 200
    told = f"/gradio_api/queue/data?session_hash={session}"
    return request(address, "GET", told)[1].decode()


@pytest.mark.parametrize("values", [[], ["\x1b]0;evil\x07\n"], [{"\x1b[2J": "\r"}] * 5])
def test_what_gradio_cannot_answer_writes_nothing_to_the_terminal(server, values):
    # The fixture sees that nothing was written.
    config = json.loads(request(server, "GET", "/config")[1])
    for event in config["dependencies"]:
        session = f"odd{len(values)}{event['id']}"
        assert '"msg":"process_completed"' in sent(server, event["id"], values, session)


def test_a_broken_upload_writes_nothing_to_the_terminal(started):
    address = started[1][1]
    data = io.BytesIO()
    Image.new("RGB", (24, 24)).save(data, "TIFF", compression="tiff_lzw")
    whole = data.getvalue()
    broken = whole[:8] + b"\xff" * 32 + whole[40:]  # of which libtiff complains itself
    body = b"\r\n".join(
        [
            b'--b\r\nContent-Disposition: form-data; name="files"; filename="\x1b[2J.tif"',
            b"",
            broken,
            b"--b--\r\n",
        ]
    )
    status, answer, _ = request(
        *(address, "POST", "/gradio_api/upload", body),
        Content_Type="multipart/form-data; boundary=b",
    )
    assert status == 200
    (path,) = json.loads(answer)
    config = json.loads(request(address, "GET", "/config")[1])
    translate = next(each for each in config["dependencies"] if len(each["inputs"]) == 2)
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    assert "process_completed" in sent(address, translate["id"], [file, 0], "broken")


def test_no_file_but_an_upload_is_read(started, place):
    address = started[1][1]
    config = json.loads(request(address, "GET", "/config")[1])
    translate = next(each for each in config["dependencies"] if len(each["inputs"]) == 2)
    source = place / "photos" / "night" / "2.png"
    for number, named in enumerate(
        (
            {"path": str(source)},
            {"path": os.path.relpath(source)},
            {"path": str(source), "url": f"{address}gradio_api/file={source}"},
        )
    ):
        file = {**named, "meta": {"_type": "gradio.FileData"}}
        answer = sent(address, translate["id"], [file, 0], f"session{number}")
        assert '"success":false' in answer
        assert "translated" not in answer


# In a browser ----------------------------------------------------------------------------------


@contextlib.contextmanager
def visited(browser, address, width=1280, **options):
    """Open the page, and see that it says nothing to others and complains of nothing."""
    with opened(browser, address, width, **options) as seen:
        yield seen
    assert seen.requests == []
    # What Gradio's upload says of itself.
    assert set(seen.complaints) <= {"Method not implemented."}


def drawn(page, about):
    """Wait until the visible picture is the one that is described so, and return its bytes."""
    picture = page.locator(f'.drawn img[alt="{about}"]:visible')
    picture.wait_for()
    with urlopen(picture.get_attribute("src")) as answer:
        return answer.read()


def chosen(page, label, name):
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=name, exact=True).click()


def pressed(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def test_samples_by_seed_class_and_truncation(browser, server, digits, ganzoo_cli):
    with visited(browser, server) as seen:
        page = seen.page
        drawn(page, "20 generated images, seed 0")
        page.get_by_label("Seed").fill("7")
        page.get_by_label("number input for Number of samples").fill("6")
        chosen(page, "Class", "3")
        page.get_by_label("Truncate").check()
        pressed(page, "Sample")
        found = drawn(page, "6 generated images, seed 7, class 3, truncation 0.7")
        with page.expect_download() as download:
            page.get_by_text("Download samples-7.png").click()
        assert Path(download.value.path()).read_bytes() == found
        page.get_by_text("Single images").click()
        single = page.get_by_role("button", name="Thumbnail 6 of 6")
        single.or_(page.locator(".singles img").nth(5)).first.wait_for()
        assert page.locator('.singles img:not([alt]), .singles img[alt=""]').count() == 0
        pressed(page, "Random seed")
        page.locator('.drawn img:not([alt*="seed 7,"])').first.wait_for()
        seed = page.get_by_label("Seed").input_value()
        assert seed != "7"
        drawn(page, f"6 generated images, seed {seed}, class 3, truncation 0.7")
        page.get_by_label("Seed").fill("-1")
        pressed(page, "Sample")
        page.get_by_role("alert").get_by_text("seed must be a whole number from 0").wait_for()
    options = ["-n", 6, "--seed", 7, "--label", 3, "--truncation", 0.7, "--device", "cpu"]
    assert ganzoo_cli("sample", digits, *options, "--out", "p.png").code == 0
    assert found == Path("p.png").read_bytes()


def test_walks_and_the_nearest_images(browser, server, digits, ganzoo_cli):
    with visited(browser, server) as seen:
        page = seen.page
        drawn(page, "20 generated images, seed 0")
        page.get_by_role("tab", name="Walk").click()
        page.get_by_label("Seeds").fill("1, 4")
        page.get_by_label("number input for Frames from seed to seed").fill("3")
        pressed(page, "Walk")
        found = drawn(page, "Walk of 10 generated images from seed 1 to 4 to 1")
        page.get_by_label("mp4").check()
        pressed(page, "Walk")
        page.locator("video[src]").wait_for()
        page.get_by_label("Seeds").fill("1")
        pressed(page, "Walk")
        page.get_by_role("alert").get_by_text("give two to 8 seeds as whole numbers").wait_for()
        page.get_by_role("tab", name="Nearest").click()
        pressed(page, "Find the nearest training images")
        page.locator(".nearest").wait_for()
        assert page.locator('.nearest img[alt^="Training image"]').count() == 16
    options = ["--walk", "1,4", "--frames", 3, "-n", 10, "--loop", "--device", "cpu"]
    assert ganzoo_cli("sample", digits, *options, "--out", "w.webp").code == 0
    assert found == Path("w.webp").read_bytes()


def test_samples_follow_the_sliders(browser, server):
    with visited(browser, server) as seen:
        page = seen.page
        drawn(page, "20 generated images, seed 0")
        page.get_by_role("button", name="Directions").click()
        slider = page.get_by_label("range slider for Direction 2")
        slider.focus()
        slider.press("End")
        # A key moves it, and a click asks: only a mouse lets go of a slider.
        pressed(page, "Sample")
        drawn(page, "20 generated images, seed 0, direction 2 by 5")
        pressed(page, "Back to 0")
        drawn(page, "20 generated images, seed 0")
        assert slider.input_value() == "0"


def test_a_second_tab_waits_for_its_turn(browser, server):
    with visited(browser, server) as one, visited(browser, server) as other:
        for seen in (one, other):
            drawn(seen.page, "20 generated images, seed 0")
        one.page.get_by_role("tab", name="Walk").click()
        one.page.get_by_label("number input for Frames from seed to seed").fill("60")
        with one.page.expect_response(lambda answer: JOIN in answer.url):
            pressed(one.page, "Walk")
        other.page.get_by_label("Seed").fill("5")
        pressed(other.page, "Sample")
        drawn(other.page, "20 generated images, seed 5")
        # Else the walk, which was asked for first, would take a while longer.
        walk = "Walk of 10 generated images from seed 0 to 1 to 2 to 0"
        one.page.locator(f'.drawn img[alt="{walk}"]').wait_for(timeout=2000)


def test_a_model_that_vanishes_is_still_in_memory(browser, server, digits):
    with visited(browser, server) as seen:
        drawn(seen.page, "20 generated images, seed 0")
        away = digits.rename(digits.with_name("away"))
        try:
            seen.page.get_by_label("Seed").fill("2")
            pressed(seen.page, "Sample")
            drawn(seen.page, "20 generated images, seed 2")
            seen.page.reload()
            drawn(seen.page, "20 generated images, seed 0")
        finally:
            away.rename(digits)


CONTRAST = (Path(__file__).parent / "contrast.js").read_text()
UNNAMED = """[...document.querySelectorAll("input, select, textarea, button")].filter(
  each => each.checkVisibility() && each.type != "file" && !each.closest("[aria-hidden=true]")
    && !each.getAttribute("aria-label") && !each.labels?.length && !each.innerText.trim()
    && !each.title && !each.querySelector("img[alt]:not([alt=''])")
).map(each => each.outerHTML)"""


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_everything_is_named_and_can_be_read(browser, server, width, scheme):
    with visited(browser, server, width, color_scheme=scheme) as seen:
        page = seen.page
        drawn(page, "20 generated images, seed 0")
        page.get_by_role("button", name="About this model").click()
        page.get_by_role("rowheader", name="architecture").wait_for()
        page.get_by_role("button", name="Directions").click()
        page.get_by_label("number input for Direction 1").wait_for()
        for name in ("Samples", "Walk", "Nearest images"):
            page.get_by_role("tab", name=name).click()
            assert seen.overflow <= 0
            assert page.evaluate(UNNAMED) == []
            assert page.locator("img:visible:not([alt])").count() == 0
            faint = [text for ratio, text in page.evaluate(CONTRAST) if ratio < 4.5]
            assert faint == []
        assert page.locator("h1").count() == 1


def test_an_image_is_translated(browser, started, place):
    with visited(browser, started[1][1]) as seen:
        page = seen.page
        pressed(page, "Translate")
        page.get_by_role("alert").get_by_text("choose an image first").wait_for()
        page.set_input_files("input[type=file]", place / "photos" / "night" / "2.png")
        page.locator(".source img[src]").wait_for()
        pressed(page, "Translate")
        drawn(page, "The image, translated to day")
        assert page.get_by_role("tab").all_inner_texts()[:2] == ["Translate", "Nearest images"]


def test_ctrl_c_frees_the_port_and_the_folder(started):
    process, address, folder = started[1]
    assert len(list(folder.glob("ganzoo-demo-*"))) == 1
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert not list(folder.glob("ganzoo-demo-*"))
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", int(address.rstrip("/").rpartition(":")[2])))
