"""Watching in a browser: what the server answers and refuses, what trains for it, and the page."""

import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

import ganzoo
from browser import opened
from colours import contrast
from ganzoo.errors import InputError, Interrupted
from ganzoo.runs.folder import Run
from ganzoo.signals import interrupt
from ganzoo.storage.json_files import append_line, drop_lines_after
from ganzoo_zoo.apps.watch.training.training_run import Busy, TrainingRun
from ganzoo_zoo.apps.watch.training.workers import TrainingProcesses
from ganzoo_zoo.apps.watch.web import card as cards
from ganzoo_zoo.apps.watch.web import serve as web
from ganzoo_zoo.apps.watch.web import server as servers
from ganzoo_zoo.apps.watch.web import state as boards
from ganzoo_zoo.apps.watch.web.card import Card
from ganzoo_zoo.apps.watch.web.choices import (
    find_default_loss,
    list_choices,
    placeholders,
    resolve_choices,
)
from ganzoo_zoo.apps.watch.web.server import FILES, KEY_HEADER, LONGEST_BODY, PAGE, Server
from ganzoo_zoo.apps.watch.web.state import Dashboard
from tiny import TINY
from watch_client import serving

DIGITS = {"architecture": "mlp", "settings": {"arch.hidden": (4,), "data.image_size": 8}, **TINY}
RING = {
    "architecture": "mlp",
    "data": "ring",
    "settings": {"data.samples": 60, "arch.hidden": (4,)},
    "trackers": ["watch"],
    **TINY,
}
SMALL = {
    "data.samples": "600",
    "arch.hidden": "8",
    "train.device": "cpu",
    "train.steps": "20000",
}
"""Options of a run whose steps take a moment, and which does not end by itself."""


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A finished run on images."""
    return ganzoo.train(**DIGITS, out=tmp_path_factory.mktemp("runs") / "digits")


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    """A finished run on points, that was looked at as it trained."""
    return ganzoo.train(**RING, out=tmp_path_factory.mktemp("runs") / "ring")


def copied(run, path):
    return Run.open(Path(shutil.copytree(run.path, path)))


@pytest.fixture(autouse=True)
def _looks_each_time(monkeypatch):
    monkeypatch.setattr(boards, "SECONDS_BETWEEN_READS", 0.0)
    monkeypatch.setattr(cards, "SECONDS_BETWEEN_READS_AT_REST", 0.0)


def asked(server, method, path, body=None, **headers):
    """Send a request as it is, and return the status, the headers and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers.setdefault("Host", f"127.0.0.1:{server.server_port}")
    connection.putrequest(method, path, skip_host=True)
    for name, value in headers.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, answer.headers, data


def shown(server, path):
    status, _, data = asked(server, "GET", path)
    assert status == 200, data
    return json.loads(data)


def posted(server, path, body, **headers):
    """Act as the page does, but for some headers."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    usual = {
        "Origin": f"http://127.0.0.1:{server.server_port}",
        "Content_Type": "application/json",
        "Content_Length": str(len(data)),
        KEY_HEADER: server.key,
    }
    status, _, answer = asked(server, "POST", path, data, **{**usual, **headers})
    return status, json.loads(answer)


# What the server answers ------------------------------------------------------------------------


def test_a_page_comes_with_a_policy_that_lets_in_its_own_alone(digits):
    with serving(digits) as server:
        for path, (name, kind) in FILES.items():
            status, headers, data = asked(server, "GET", path)
            assert (status, headers["Content-Type"]) == (200, kind)
            assert data == (PAGE / name).read_bytes()
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Server"] == "ganzoo"
            policy = headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
            assert "frame-ancestors 'none'" in policy
            assert "Access-Control-Allow-Origin" not in headers
    for name, _ in FILES.values():
        text = re.sub(r"^/\*!.*?\*/", "", (PAGE / name).read_text())  # a library names its address
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(", text)
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), "nothing from elsewhere"
        assert not re.search(r"\son\w+=|\sstyle=", text)


def test_the_state_of_a_finished_run(digits):
    with serving(digits) as server:
        found = shown(server, "/state")
        assert found["acts"]
        (run,) = found["runs"]
        assert run["title"] == "mlp trained with non-saturating on digits"
        assert (run["kind"], run["said"], run["step"], run["steps"]) == (
            *("finished", "finished", 4, 4),
        )
        assert (run["own"], run["may"], run["points"], run["pictures"]) == (
            *(False, [], False, [0, 2, 4]),
        )
        name = run["name"]
        curves = shown(server, f"/runs/{name}/curves")["numbers"]
        lines = (digits.path / "metrics.jsonl").read_text().splitlines()
        rows = list(map(json.loads, lines))
        term = "discriminator/real"
        assert curves[term]["steps"] == [2, 4]
        assert curves[term]["values"] == pytest.approx([row[term] for row in rows], rel=1e-4)
        status, headers, data = asked(server, "GET", f"/runs/{name}/pictures/2")
        assert (status, headers["Content-Type"]) == (200, "image/png")
        assert data == digits.picture(2).read_bytes()


def test_points_come_as_frames(ring):
    with serving(ring) as server:
        (run,) = shown(server, "/state")["runs"]
        assert (run["points"], run["live"]) == (True, 4)
        found = shown(server, f"/runs/{run['name']}/moves")
        assert [frame["step"] for frame in found["kept"]] == [0, 2, 4]
        assert found["live"] == found["kept"][-1]
        assert len(found["plane"]["modes"]) == 8
        assert len(base64.b64decode(found["plane"]["real"])) == 4 * 60
        assert shown(server, f"/runs/{run['name']}/moves?after=2")["kept"] == found["kept"][2:]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:9999", 200),
        ("localhost:9999", 200),
        ("[::1]:9", 200),
        ("evil.example", 403),
        ("evil.example:80", 403),
        ("127.0.0.1.evil.example", 403),
        ("10.0.0.1", 403),
        ("evil.example@127.0.0.1.nip.example", 403),
        ("[::1", 403),
        ("", 403),
        (None, 403),
    ],
)
def test_a_name_that_somebody_else_leads_here_is_refused(digits, host, status):
    with serving(digits) as server:
        for path in ("/", "/state"):
            assert asked(server, "GET", path, Host=host)[0] == status
        if status == 403:
            assert posted(server, "/runs", {}, Host=host, Origin=f"http://{host}")[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        *("/page.py", "/../command.py", "//etc/passwd", "/%2e%2e/command.py", "/page.css/"),
        *("/runs/1/config.json", "/runs/1/pictures/../../config.json", "/runs/1/pictures/7"),
        *("/runs/9/curves", "/runs/../state", "/runs/1/pictures/2.png", "/runs/-1/moves"),
        "/runs/1/pictures/" + "9" * 18,
        f"/runs/{'9' * 5000}/curves",
    ],
)
def test_no_path_leads_out_of_what_is_shown(digits, path):
    with serving(digits) as server:
        assert asked(server, "GET", path)[0] == 404


@pytest.mark.parametrize("what", ["link", "text", "pipe", "folder", "linked folder"])
def test_only_a_picture_in_the_runs_own_folder_is_shown(digits, tmp_path, what):
    run = copied(digits, "run")
    (tmp_path / "secret.png").write_bytes(run.picture(2).read_bytes())
    picture = run.picture(2)
    if what == "linked folder":
        shutil.move(run.samples, "elsewhere")
        run.samples.symlink_to(Path("elsewhere").resolve())
    else:
        picture.unlink()
    if what == "link":
        picture.symlink_to(tmp_path / "secret.png")
    elif what == "text":
        picture.write_text("secret")
    elif what == "pipe":
        os.mkfifo(picture)
    elif what == "folder":
        picture.mkdir()
    with serving(run) as server:
        assert asked(server, "GET", "/runs/1/pictures/2")[0] == 404


# What is too much -------------------------------------------------------------------------------


def idle(server, count):
    """Open connections that ask for nothing."""
    address = ("127.0.0.1", server.server_port)
    return [socket.create_connection(address, timeout=10) for _ in range(count)]


def test_idle_connections_make_room_and_those_in_use_stay(digits, monkeypatch):
    monkeypatch.setattr(servers, "MOST_CONNECTIONS", 4)
    with serving(digits) as server:
        used = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        others = []
        for _ in range(4):
            used.request("GET", "/state")
            assert used.getresponse().read()
            others += idle(server, 2)
            assert shown(server, "/state")["runs"]
        assert threading.active_count() < 20
        assert others[0].recv(1) == b"", "it was ended"
        for each in (used, *others):
            each.close()


def test_long_headers_are_refused(digits):
    with serving(digits) as server:
        for lines, size, status in (
            (10, 6000, 200),
            (20, 6000, 431),
            (1, 70_000, 431),
            (101, 1, 431),
        ):
            headers = {f"X{number}": "x" * size for number in range(lines)}
            assert asked(server, "GET", "/", **headers)[0] == status


def test_the_same_failure_is_printed_once(digits, monkeypatch, capsys):
    def fail(*given):
        raise OSError(24, "Too many open\x1b files")

    monkeypatch.setattr(Dashboard, "state", fail)
    with serving(digits) as server:
        for _ in range(3):
            with pytest.raises(http.client.RemoteDisconnected):
                asked(server, "GET", "/state")
    (line,) = capsys.readouterr().err.splitlines()
    assert line == r"a request failed: OSError: [Errno 24] Too many open\x1b files"


STARVED = """
import resource, sys, threading, time
from ganzoo_zoo.apps.watch.web.server import Server
from ganzoo_zoo.apps.watch.web.state import Dashboard

with Server(Dashboard([], None), "127.0.0.1", 0) as server:
    files = [open("/dev/null")]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files[0].fileno() + 8, 4096))
    try:
        while True:
            files.append(open("/dev/null"))
    except OSError:
        files.pop().close()  # for the server's selector
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    print(server.server_port, flush=True)
    sys.stdin.readline()
    used = time.process_time()
    time.sleep(1)
    print(time.process_time() - used, flush=True)
    for file in files:
        file.close()
    sys.stdin.readline()
    server.shutdown()
    thread.join()
"""


@pytest.mark.skipif(os.name == "nt", reason="needs limits on file handles")
def test_without_file_handles_the_server_waits_and_says_so_once():
    with subprocess.Popen(
        [sys.executable, "-c", STARVED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        server = Mock(server_port=int(process.stdout.readline()))
        waiting = idle(server, 3)
        process.stdin.write("\n")
        process.stdin.flush()
        assert float(process.stdout.readline()) < 0.5
        assert shown(server, "/state")["runs"] == []  # with handles it goes on
        out, err = process.communicate("\n", timeout=20)
        assert (process.returncode, out) == (0, "")
        assert err == "cannot accept connections for a while: Too many open files\n"
        for each in waiting:
            each.close()


# Who may act ------------------------------------------------------------------------------------


@pytest.fixture
def guarded(digits, monkeypatch):
    """Serve a board that notes what was done, and does nothing."""
    done = []
    monkeypatch.setattr(Dashboard, "start", lambda *given, **more: done.append(given) or "7")
    monkeypatch.setattr(Dashboard, "send_command", lambda self, *words: done.append(words))
    with serving(digits) as server:
        yield server, done


def test_whoever_has_the_key_may_act(guarded):
    server, done = guarded
    assert server.address == f"http://127.0.0.1:{server.server_port}/#{server.key}"
    assert posted(server, "/runs", {"architecture": "mlp"}) == (200, {"name": "7"})
    assert posted(server, "/runs/3/pause", {}) == (200, {})
    assert len(done) == 2


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": None}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://localhost"}, 403),
        ({KEY_HEADER: None}, 403),
        ({KEY_HEADER: "guess"}, 403),
        ({KEY_HEADER: "schlüssel"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Length": None}, 411),
        ({"Content_Length": "-1"}, 411),
        ({"Content_Length": str(LONGEST_BODY + 1)}, 413),
        ({"Content_Length": "9" * 30}, 413),
    ],
)
def test_nobody_else_may(guarded, headers, status):
    server, done = guarded
    headers = {
        name: value and value.encode().decode("latin-1") if name == KEY_HEADER else value
        for name, value in headers.items()
    }
    for path in ("/runs", "/runs/1/pause"):
        found, answer = posted(server, path, {"architecture": "mlp"}, **headers)
        assert found == status
        assert answer["error"]
    assert done == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/runs", b"{", 400),
        ("/runs", b"[" * 60_000, 400),
        ("/runs", b"[]", 400),
        ("/runs", {}, 400),
        ("/runs", {"architecture": ["mlp"]}, 400),
        ("/runs", {"architecture": "mlp", "settings": {"train.steps": 3}}, 400),
        ("/runs", {"architecture": "mlp", "settings": ["a"]}, 400),
        ("/runs", {"architecture": "mlp", "paused": 1}, 400),
        ("/runs", {"architecture": "mlp", "instead": 1}, 400),
        ("/runs/1/kill", {}, 404),
        ("/runs/x/pause", {}, 404),
        ("/state", {}, 404),
    ],
)
def test_what_asks_for_nothing_that_there_is_does_nothing(guarded, path, body, status):
    server, done = guarded
    assert posted(server, path, body)[0] == status
    assert done == []


def test_other_methods_are_not_known(guarded):
    server, done = guarded
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH"):
        status, headers, _ = asked(server, method, "/runs", KEY=server.key)
        assert status == 501
        assert "Access-Control-Allow-Origin" not in headers
    assert done == []


def test_where_others_reach_it_runs_are_only_looked_at(digits):
    with serving(digits, host="0.0.0.0") as server:
        assert server.address == f"http://0.0.0.0:{server.server_port}/"
        assert not shown(server, "/state")["acts"]
        status, answer = posted(server, "/runs", {"architecture": "mlp"})
        assert status == 403
        assert "view-only" in answer["error"]
        assert asked(server, "GET", "/", Host="10.1.2.3:80")[0] == 200
        assert asked(server, "GET", "/", Host=socket.gethostname())[0] == 200
        assert asked(server, "GET", "/", Host="evil.example")[0] == 403


def test_a_run_that_is_trained_elsewhere_is_only_looked_at(digits):
    with serving(digits) as server:
        for word in ("pause", "stop", "dismiss"):
            status, answer = posted(server, f"/runs/1/{word}", {})
            assert (status, answer["error"]) == (
                *(404, "this run is trained elsewhere and can only be watched here"),
            )
        status, answer = posted(server, "/runs/9/pause", {})
        assert (status, answer["error"]) == (404, "this run is no longer there")


def test_a_warning_that_has_ended_is_past(ring, tmp_path):
    run = copied(ring, tmp_path / "run")
    said = "the generator collapses at step 2"
    mine = TrainingRun("1", run.config(), paused=False)
    mine.take_news({"run": str(run.path)})
    mine.take_news({"warning": said})
    shown = Card("1", trained=mine)
    append_line(run.path / "metrics.jsonl", {"step": 2, "warning": "collapse", "message": said})
    shown.update()
    assert (shown.as_json()["warnings"], shown.as_json()["past"]) == ([said], [])
    mine.take_news({"ended_warning": said})
    ended = {"step": 4, "warning": "collapse", "began": 2, "message": "it no longer does"}
    append_line(run.path / "metrics.jsonl", ended)
    shown.update()
    assert shown.as_json()["warnings"] == []
    assert shown.as_json()["past"] == [f"from step 2 to 4: {said}"]


# What may be asked for --------------------------------------------------------------------------


def test_what_is_offered_is_what_is_installed_and_needs_no_path():
    found = list_choices()
    names = {word: [each["name"] for each in found[word]] for word in ("losses", "data")}
    assert {"hinge", "wgan-gp", "unrolled"} <= set(names["losses"])
    points = [each["name"] for each in found["data"] if each["points"]]
    assert {"gaussian", "grid", "ring", "drawn"} <= set(points)
    assert names["data"][: len(points)] == points, "points first"
    assert "digits" in names["data"]
    assert not {"folder", "zip", "domains"} & set(names["data"])
    assert found["first"]["data"] in names["data"]
    assert all(
        each["about"] for word in ("architectures", "losses", "data") for each in found[word]
    )
    assert all(each["about"] != "None" for each in found["options"])


def test_defaults_are_those_of_the_recipe():
    for names in (("mlp", None, "ring"), ("mlp", "wgan-gp", "ring"), ("dcgan", None, "digits")):
        plain = ganzoo.resolve.resolve(*names)
        config = resolve_choices(*names, {})
        looks = {name: getattr(plain.train, name) for name in ("log_every", "sample_every")}
        assert config.train.model_copy(update=looks) == plain.train
        assert (config.architecture, config.loss) == (plain.architecture, plain.loss)
        assert placeholders(config)["train.n_critic"] == str(plain.train.n_critic)
        assert placeholders(config)["train.steps"] == str(plain.train.steps)
        assert (
            find_default_loss(names[0], names[2])
            == ganzoo.resolve.resolve(names[0], None, names[2]).loss.name
        )
        assert [each.name for each in config.trackers] == ["watch"]
    asked_for = {"train.steps": "7", "train.log_every": "3", "arch.hidden": "8,8"}
    config = resolve_choices("mlp", None, "ring", asked_for)
    assert (config.train.steps, config.train.log_every) == (7, 3)
    assert config.architecture.options["hidden"] == [8, 8]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"architecture": "nowhere"}, "no architecture is called 'nowhere'"),
        ({"data": "photos/"}, "no dataset is called 'photos/'"),
        ({"data": "/etc"}, "no dataset is called '/etc'"),
        ({"data": "folder"}, "dataset folder options?|option 'dataset folder: path'"),
        ({"loss": "--out"}, "no loss is called"),
        ({"settings": {"data.count": "few"}}, r"option 'data\.count'"),
        ({"settings": {"data.cuont": "3"}}, "did you mean 'count'"),
        ({"settings": {"out": "x"}}, "does not say whose option"),
        ({"settings": {"train.device": "../x"}}, r"'train\.device' may name a file"),
        ({"settings": {"train.device": "~"}}, r"'train\.device' may name a file"),
        ({"settings": {"tracker.watch.x": "a/b"}}, "unknown option"),
        ({"data": "mnist", "settings": {"data.root": "x"}}, r"'data\.root' may name a file"),
        ({"loss": "unrolled", "settings": {"loss.base_options": '{"a": "/x"}'}}, "may name a file"),
        ({"settings": {f"train.x{i}": "1" for i in range(101)}}, "at most 100 options"),
    ],
)
def test_what_leads_to_a_file_or_nowhere_is_refused(given, message):
    asked_for = {"architecture": "mlp", "loss": None, "data": "ring", "settings": {}, **given}
    with pytest.raises(InputError, match=message):
        resolve_choices(**asked_for)


@pytest.mark.parametrize(
    ("data", "key", "value"),
    [
        ("ring", "data.count", "4"),
        ("digits", "data.image_size", "16"),
        ("digits", "train.augment", "color,translation"),
        ("ring", "train.device", "cuda:0"),
        ("ring", "train.optimizer", "rmsprop"),
        ("ring", "train.betas", "0,0.9"),
    ],
)
def test_options_of_components_may_be_set(data, key, value):
    assert resolve_choices("mlp", None, data, {key: value})


# Runs that change -------------------------------------------------------------------------------


def test_damaged_files_are_one_line_of_their_run(digits, ring):
    broken = copied(digits, "broken")
    (broken.path / "metrics.jsonl").unlink()
    (broken.path / "metrics.jsonl").mkdir()
    plane = copied(ring, "plane")
    (plane.path / "watch" / "plane.json").write_text("{}")
    with serving(broken, plane, digits) as server:
        for _ in range(2):  # it stays said
            one, two, three = shown(server, "/state")["runs"]
            assert one["problem"] == "broken/metrics.jsonl is not a regular file"
            assert two["problem"] == "the file of the plane does not describe one"
            assert (two["points"], two["step"]) == (False, 4)
            assert (three["problem"], three["kind"]) == ("", "finished")
        shutil.rmtree(broken.path / "metrics.jsonl")
        shutil.copy(digits.path / "metrics.jsonl", broken.path)
        assert shown(server, "/state")["runs"][0]["problem"] == ""


def test_a_run_that_vanishes_is_gone_and_may_come_back(digits):
    run = copied(digits, "run")
    with serving(run, digits) as server:
        assert len(shown(server, "/state")["runs"]) == 2
        shutil.move("run", "elsewhere")
        one, two = shown(server, "/state")["runs"]
        assert (one["kind"], one["said"], one["pictures"]) == ("gone", "the folder is gone", [])
        assert two["kind"] == "finished"
        assert asked(server, "GET", "/runs/1/pictures/2")[0] == 404
        assert shown(server, "/runs/1/curves")["numbers"]
        shutil.move("elsewhere", "run")
        assert shown(server, "/state")["runs"][0]["kind"] == "finished"


def test_runs_that_appear_are_watched_and_those_that_are_over_make_room(digits, monkeypatch):
    root = Path("runs")
    monkeypatch.setattr(boards, "MOST_RUNS", 2)
    shutil.copytree(digits.path, root / "before")
    with serving(Run(root / "before"), root=root) as server:
        (root / "nothing").mkdir()
        assert len(shown(server, "/state")["runs"]) == 1
        for name in ("one", "two"):
            shutil.copytree(digits.path, root / name)
            places = [run["place"] for run in shown(server, "/state")["runs"]]
            assert places[0] == f"runs/{name}"
        assert places == ["runs/two", "runs/one"], "the newest first"


# What trains ------------------------------------------------------------------------------------


class Orders:
    """In place of a process: notes what it is told."""

    def __init__(self, *given):
        self.is_alive, self.said, self.runs = True, [], []

    @property
    def active_runs(self):
        return [run for run in self.runs if not run.is_over]

    @property
    def is_busy(self):
        return bool(self.active_runs)

    def has_run(self, run):
        return run in self.active_runs

    def train(self, run):
        self.runs.append(run)

    def send_command(self, run, word):
        self.said.append(word)


@pytest.fixture
def trainers(monkeypatch):
    monkeypatch.setattr("ganzoo_zoo.apps.watch.training.workers._Process", Orders)
    return TrainingProcesses(threading.RLock())


def trained(state="training", name="1"):
    run = TrainingRun(name, resolve_choices("mlp", None, "ring", {}), paused=False)
    run.state = state
    return run


@pytest.mark.parametrize(
    ("state", "does", "nothing"),
    [
        ("starting", {"pause", "stop"}, set()),
        ("training", {"pause", "stop"}, {"continue"}),
        ("pausing", {"continue", "stop"}, {"pause"}),
        ("paused", {"continue", "step", "stop"}, {"pause"}),
        ("stopping", set(), {"stop"}),
        ("finished", set(), {"stop"}),
        ("failed", set(), {"stop"}),
    ],
)
def test_a_word_is_passed_on_once_or_changes_nothing_or_is_refused(trainers, state, does, nothing):
    run = trained(state)
    orders = Orders(None)
    orders.runs = [run]
    orders.has = lambda each: each is run
    trainers._processes = [orders]
    for word in ("pause", "continue", "step", "stop"):
        orders.said.clear()
        if word in does | nothing:
            trainers.send_command(run, word)
        else:
            with pytest.raises(Busy, match=f"cannot {word} a run that is {state}"):
                trainers.send_command(run, word)
        assert orders.said == ([word] if word in does else [])


def test_two_runs_are_trained_at_once_and_processes_are_used_again(trainers):
    one, two, three, four = (trained(name=name) for name in "1234")
    trainers.start(one)
    trainers.start(two)
    trainers.start(three, instead=two)
    first, second = trainers._processes
    assert (second.said, second.runs) == (["stop"], [two, three])
    trainers.start(four)
    assert (four.state, trainers.find_place(four)) == ("queued", 1)
    one.state = two.state = "stopped"
    trainers.look(0.1)
    assert (four.state, trainers.find_place(four)) == ("starting", None)
    assert first.runs == [one, four]


def test_a_process_is_prepared_for_the_first_run(trainers):
    trainers.prepare()
    (ready,) = trainers._processes
    run = trained()
    trainers.start(run)
    assert trainers._processes == [ready]
    assert ready.runs == [run]


def test_whoever_has_no_run_finds_a_process_prepared(digits, monkeypatch):
    asked = []
    monkeypatch.setattr(Dashboard, "prepare", lambda board: asked.append(board))
    monkeypatch.setattr(Server, "serve_forever", lambda server: interrupt(signal.SIGTERM))
    for runs, host, count in (
        ([], "127.0.0.1", 1),
        ([], "0.0.0.0", 1),
        ([digits.path], "127.0.0.1", 1),
    ):
        with pytest.raises(Interrupted):
            web.serve(runs, host, 0)
        assert len(asked) == count


def test_a_process_that_cannot_be_started_is_a_refusal(trainers, monkeypatch):
    def fail(*given):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("ganzoo_zoo.apps.watch.training.workers._Process", fail)
    with pytest.raises(Busy, match="no process can be started: Too many open files"):
        trainers.start(trained())


def test_news_that_cross_a_word_mislead_nobody():
    run = trained("starting")
    run.take_news({"run": "runs/x"})
    assert (run.state, run.path) == ("training", Path("runs/x"))
    run.paused, run.state = True, "pausing"
    run.take_news({"paused": 3})
    assert run.state == "paused"
    run.paused, run.state = False, "training"  # it was told to go on, and had just paused again
    run.take_news({"paused": 4})
    run.take_news({"going": 4})
    assert run.state == "training"
    run.state = "stopping"
    run.take_news({"paused": 5})
    assert run.state == "stopping"
    run.take_news({"ended": "failed", "message": "x" * 1000})
    assert run.state == "failed"
    assert len(run.message) < 600
    run.mark_lost(-9)
    assert run.state == "failed"
    other = trained()
    other.mark_lost(-9)
    assert (other.state, other.message) == ("failed", "its process was ended by SIGKILL")


@contextmanager
def worker():
    """Start a process that trains, in an empty folder."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "ganzoo_zoo.apps.watch.training.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


def ordered(process, **order):
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()


def heard(process, word):
    for line in process.stdout:
        news = json.loads(line)
        if word in news:
            return news
    raise AssertionError(process.stderr.read())


def test_a_process_fails_pauses_steps_and_saves_its_run_when_its_server_is_gone():
    def config(**settings):
        return resolve_choices("mlp", None, "ring", {**SMALL, **settings}).model_dump(mode="json")

    with worker() as process:
        images = resolve_choices("dcgan", None, "ring", {}).model_dump(mode="json")
        ordered(process, name="1", config=images, paused=False)
        failed = heard(process, "ended")
        assert failed["ended"] == "failed"
        assert failed["message"].startswith("architecture 'dcgan': images are needed, and")
        ordered(process, name="2", config=config(), paused=True)
        path = Path(heard(process, "run")["run"])
        assert heard(process, "frame")["frame"]["step"] == 0
        assert heard(process, "paused") == {"name": "2", "paused": 0}
        ordered(process, name="2", word="step")
        assert heard(process, "frame")["frame"]["step"] == 1
        assert heard(process, "paused")["paused"] == 1
        ordered(process, name="1", word="stop")  # which is over
        ordered(process, name="2", word="continue")
        ordered(process, name="2", word="pause")
        step = heard(process, "paused")["paused"]
        process.stdin.close()
        assert heard(process, "ended") == {"name": "2", "ended": "stopped"}
        assert process.wait(20) == 0
    saved = [int(folder.name) for folder in (path / "checkpoints").iterdir()]
    assert saved == [step + 1]
    assert len((path / "metrics.jsonl").read_text().splitlines()) == step + 1


# The command ------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_one_line(digits, refused):
    with serving(digits) as server:
        said = refused("watch", digits.path, "--web", "--port", server.server_port)
    assert said == (
        f"Error: port {server.server_port} of 127.0.0.1 is taken; choose another --port, or 0 for "
        "any that is free"
    )


@pytest.mark.parametrize(
    "words",
    [["--open"], ["--port", "0"], ["--host", "localhost"], ["--class"], ["--training", "3"]],
)
def test_options_of_a_page_need_one(words, refused):
    said = refused("watch", *words)
    assert said == "Error: --host, --port, --open, --class and --training need --web"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--once"], "--web shows runs until Ctrl-C: drop --once and --json"),
        (["--json"], "--web shows runs until Ctrl-C: drop --once and --json"),
        (["--code", "ABCDEF"], "--code and the bounds of pupils need --class"),
        (["--pupil-steps", "5"], "--code and the bounds of pupils need --class"),
        (["--class", "--code", "../"], "--code has 4 to 32 letters and digits"),
        (["--class", "--pupil-memory", "10"], "Invalid value for '--pupil-memory'"),
        (["nowhere"], "there is no run folder nowhere"),
        (["--host", "999.1.1.1", "--port", "0"], "999.1.1.1:0 cannot be served"),
        (["--port", "70000"], "Invalid value for '--port'"),
    ],
)
def test_what_cannot_be_served_is_one_line(words, message, refused):
    assert message in refused("watch", "--web", *words)


@pytest.fixture
def led(tmp_path):
    """The command with --open: what it prints, and the only argument of the browser."""
    told, script = tmp_path / "told", tmp_path / "browser"
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {told}.part && mv {told}.part {told}\n')
    script.chmod(0o755)
    (tmp_path / "runs").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "ganzoo", "watch", "--web", "--port", "0", "--open"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "BROWSER": str(script), "TMPDIR": str(tmp_path)},
        text=True,
    )
    try:
        printed = process.stdout.readline().strip()
        within(20, told.exists)
        (given,) = told.read_text().splitlines()
        file = Path(url2pathname(urlsplit(given).path))
        yield printed, given, file
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 143
        assert not file.parent.exists()
    finally:
        process.kill()
        process.communicate()


def test_the_key_is_not_on_the_browsers_command_line(led):
    printed, given, file = led
    key = urlsplit(printed).fragment
    assert len(key) > 20
    assert key not in given
    assert key not in str(file)
    assert f'content="0; url={printed}"' in file.read_text()
    for path, mode in ((file, 0o600), (file.parent, 0o700)):
        assert path.stat().st_mode & 0o777 == mode


def test_a_browser_is_led_to_the_page(browser, led):
    printed, given, _ = led
    page = browser.new_page()
    page.goto(given)
    page.wait_for_url(printed)
    page.get_by_role("button", name="Start", exact=True).first.wait_for()
    page.close()


def test_a_full_disk_does_not_keep_the_page_from_being_served(monkeypatch, capsys):
    def full(*given, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(web, "TemporaryDirectory", full)
    with serving() as server, ExitStack() as files:
        web._open_browser(server, files)
    assert "open the page yourself" in capsys.readouterr().err


# In a browser -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(digits, ring, tmp_path_factory):
    """The command itself, in a folder with two runs; interrupted at the end."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(digits.path, folder / "runs" / "digits")
    process = subprocess.Popen(
        [sys.executable, "-m", "ganzoo", "watch", "--web", "--port", "0"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
    )
    address = process.stdout.readline().strip()
    try:
        yield address, folder
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert out == ""
        said, *ways = err.splitlines()
        assert said == "watch has ended; training elsewhere continues"
        assert all(
            re.fullmatch(r"resume with: ganzoo train --resume runs/\S+", way) for way in ways
        )
    finally:
        process.kill()
        process.communicate()


def card(page, title):
    return page.locator(".run", has=page.get_by_role("heading", name=title, exact=True))


def step_of(run):
    text = run.locator(".counts").inner_text()
    return int(re.match(r"step ([\d,]+) of", text)[1].replace(",", ""))


def pixels(run):
    return run.locator("canvas.plane").evaluate("canvas => canvas.toDataURL()")


def within(seconds, what):
    """Wait until something holds, and return it."""
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)
    return found


def open_form(page):
    """Open the form, which stands behind the presets."""
    steps = page.get_by_label("Steps", exact=True)
    steps.wait_for(state="attached")
    if not steps.is_visible():
        page.locator("#new summary").first.click()
    steps.wait_for()


DIGITS_TITLE = "mlp trained with non-saturating on digits"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_finished_run_is_shown(browser, served, width, scheme):
    address, _ = served
    with opened(browser, address, width, color_scheme=scheme) as seen:
        page = seen.page
        run = card(page, DIGITS_TITLE)
        run.get_by_text("Finished", exact=True).wait_for()
        image = run.get_by_role("img", name=f"Generated samples of {DIGITS_TITLE}, at step 4")
        image.wait_for()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
        assert run.locator(".buttons").is_hidden(), "it is trained elsewhere"
        assert run.locator(".chart h3").all_inner_texts() == [
            *("Loss of the discriminator", "Loss of the generator", "Gradient norms"),
        ]
        time_line = run.get_by_label("Displayed step")
        time_line.focus()
        page.keyboard.press("Home")
        assert "step 0" in run.locator(".caption").inner_text()
        assert time_line.get_attribute("aria-valuetext") == "step 0"
        run.locator(".chart .u-over").first.hover()
        run.locator(".chart .at", has_text="step").nth(2).wait_for()
        for summary in page.locator("summary:visible").all():
            if summary.locator("..").get_attribute("open") is None:
                summary.click()
        assert seen.overflow <= 0, "no sideways scroll"
        colours = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.locator("#theme").click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != colours
    assert seen.complaints == []
    assert seen.requests == []


def test_samples_are_played_more_slowly_for_who_asks_for_less_motion(browser, served):
    with opened(browser, served[0], reduced_motion="reduce") as seen:
        run = card(seen.page, DIGITS_TITLE)
        run.get_by_role("button", name="Play").click()
        seen.page.wait_for_timeout(500)
        assert "step 0" in run.locator(".caption").inner_text()
        run.get_by_role("button", name="Hold").click()
        run.get_by_role("button", name="Newest").click()
        assert "step 4" in run.locator(".caption").inner_text()
        run.get_by_role("button", name="Play").wait_for()


def test_controls_and_pictures_are_named(browser, served):
    with opened(browser, served[0]) as seen:
        page = seen.page
        card(page, DIGITS_TITLE).wait_for()
        open_form(page)
        for control in page.locator("input, select, textarea").all():
            assert control.evaluate(
                "each => each.labels.length && each.labels[0].textContent.trim()"
            )
        for button in page.locator("button").all():
            assert button.evaluate("each => each.textContent.trim()")
        for image in page.locator("img:visible, canvas:visible:not([aria-hidden] *)").all():
            assert image.get_attribute("alt") or image.get_attribute("aria-label")
        levels = page.locator("h1, h2, h3").evaluate_all("all => all.map(each => each.tagName)")
        assert levels.count("H1") == 1
        spoken = page.locator("[role=status], [role=alert]").evaluate_all(
            "all => all.map(each => each.id)"
        )
        assert sorted(spoken) == ["enter-wrong", "lesson-wrong", "said", "wrong"]
        identities = page.locator("[id]").evaluate_all("all => all.map(each => each.id)")
        assert len(identities) == len(set(identities))


def test_without_the_key_runs_are_only_looked_at(browser, served):
    with opened(browser, served[0].partition("#")[0]) as seen:
        seen.page.get_by_text("open the full address that the terminal shows").wait_for()
        card(seen.page, DIGITS_TITLE).wait_for()
        assert seen.page.locator("#new").is_hidden()
        assert seen.page.locator(".buttons:visible").count() == 0
    assert seen.complaints == []


def test_a_run_that_appears_and_vanishes(browser, served, ring):
    address, folder = served
    with opened(browser, address) as seen:
        page = seen.page
        card(page, DIGITS_TITLE).wait_for()
        shutil.copytree(ring.path, folder / "runs" / "comes")
        run = card(page, "mlp trained with non-saturating on ring")
        run.locator("canvas.plane").wait_for()
        said = run.locator("canvas.plane").get_attribute("aria-label")
        assert re.search(r"Step 4: 400 generated points, logits from \S+ to \S+\.", said)
        assert re.search(r"Modes held: \d of 8\. Points of high quality: \d+%\.", said)
        unfinished = folder / "runs" / "comes" / "metrics.jsonl"
        shutil.rmtree(folder / "runs" / "comes" / "model")
        drop_lines_after(unfinished, 2)
        run.locator(".counts", has_text="step 2 of 4").wait_for()
        append_line(unfinished, {"step": 3, "images_seen": 24, "generator/adversarial": 0.5})
        run.locator(".counts", has_text="step 3 of 4").wait_for()
        assert run.locator(".status").inner_text() == "Training"
        shutil.rmtree(folder / "runs" / "comes")
        run.get_by_text("The folder is gone").wait_for()
        assert run.locator("canvas.plane").is_visible(), "what was seen stays"
        assert "the folder is gone" in page.locator("#said").inner_text()
        assert card(page, DIGITS_TITLE).locator(".status").inner_text() == "Finished"
    assert seen.complaints == []


EVIL = "<img src=x onerror=alert(1)>"


def test_what_comes_from_files_is_text_and_nothing_else(browser, ring):
    run = copied(ring, "<b>run")
    config = json.loads((run.path / "config.json").read_text())
    config["data"]["name"] = EVIL
    (run.path / "config.json").write_text(json.dumps(config))
    append_line(run.path / "metrics.jsonl", {"step": 4, f"generator/{EVIL}": 1.0})
    append_line(run.path / "metrics.jsonl", {"step": 4, "warning": "w", "message": EVIL + "\u202e"})
    append_line(run.score_log, {"step": 4, "metric": EVIL, "value": 1.0})
    with serving(run) as server, opened(browser, server.address) as seen:
        shown_run = card(seen.page, f"mlp trained with non-saturating on {EVIL}")
        shown_run.locator("canvas.plane").wait_for()
        for what in (".legend .name", ".scores dt", ".chart h3"):
            assert any(EVIL in text for text in shown_run.locator(what).all_inner_texts()), what
        assert shown_run.locator(".warnings").inner_text() == EVIL + "\\u202e"
        assert shown_run.locator(".folder").inner_text() == "<b>run"
        assert shown_run.locator(".title img, .board img, .title b, .board b").count() == 0
    assert seen.complaints == []
    assert seen.requests == []


RING_CONFIG = ganzoo.resolve.resolve("mlp", None, "ring")
RING_TITLE = RING_CONFIG.title


def test_a_run_is_trained_paused_done_step_by_step_and_begun_again(browser, served):
    address, folder = served
    with opened(browser, address) as seen, opened(browser, address, 390) as other:
        page = seen.page
        open_form(page)
        length, wanted = page.get_by_label("Steps", exact=True), str(RING_CONFIG.train.steps)
        within(20, lambda: length.get_attribute("placeholder") == wanted)
        page.get_by_label("Loss", exact=True).select_option("wgan-gp")
        other_loss = ganzoo.resolve.resolve("mlp", "wgan-gp", "ring").train
        critic, steps = str(other_loss.n_critic), page.locator("#form").get_by_label("Critic steps")
        within(20, lambda: steps.get_attribute("placeholder") == critic)
        page.get_by_label("Loss", exact=True).select_option("")
        page.get_by_text("More", exact=True).click()
        page.get_by_label("KEY=VALUE").fill("data.cuont=3")
        page.locator("#start").click()
        page.get_by_text("did you mean 'count'").wait_for()
        seen.complaints.clear()  # a browser says that a request was refused
        page.get_by_label("KEY=VALUE").fill("\n".join(f"{k}={v}" for k, v in SMALL.items()))
        page.locator("#start").click()
        mine = page.locator(".run").first
        card(page, RING_TITLE).locator(".status", has_text="Training").wait_for(timeout=60_000)
        mine.locator("canvas.plane").wait_for()
        name = mine.get_attribute("data-run")
        mine = page.locator(f'.run[data-run="{name}"]')
        theirs = other.page.locator(f'.run[data-run="{name}"]')

        # It moves.
        first, before = pixels(mine), step_of(mine)
        within(30, lambda: pixels(mine) != first and step_of(mine) > before)

        # It pauses, in both tabs.
        mine.get_by_role("button", name="Pause", exact=True).click()
        mine.locator(".status", has_text="Paused").wait_for()
        theirs.locator(".status", has_text="Paused").wait_for()
        at = within(20, lambda: step_of(mine) == step_of(theirs) and step_of(mine))
        page.wait_for_timeout(600)
        assert step_of(mine) == at
        still = pixels(mine)

        # It does a step from the other tab, in both.
        theirs.get_by_role("button", name="Whole step").click()
        within(30, lambda: step_of(mine) == at + 1 == step_of(theirs))
        mine.locator(".status", has_text="Paused").wait_for()
        within(20, lambda: pixels(mine) != still)
        assert f"Step {at + 1:,}:" in mine.locator("canvas.plane").get_attribute("aria-label")

        # It goes on.
        mine.get_by_role("button", name="Continue").click()
        within(30, lambda: step_of(mine) > at + 1)
        assert "training" in page.locator("#said").inner_text()

        # Back in time, while it goes on.
        mine.get_by_label("Displayed step").focus()
        page.keyboard.press("Home")
        assert "Step 0:" in mine.locator(".caption").inner_text()
        then = step_of(mine)
        within(30, lambda: step_of(mine) > then + 5)
        assert "Step 0:" in mine.locator(".caption").inner_text()

        # It is begun again with another loss, in its own place.
        mine.get_by_role("button", name="Restart").click()
        assert page.get_by_role("heading", name=f"Restart: {RING_TITLE}").is_visible()
        units = page.get_by_label("Generator’s layers: units of layer 1")
        within(20, lambda: units.input_value() == SMALL["arch.hidden"])
        page.get_by_label("Loss", exact=True).select_option("hinge")
        page.get_by_label("start paused, to go step by step").check()
        page.locator("#start").click()
        again = card(page, "mlp trained with hinge on ring")
        again.locator(".status", has_text="Paused").wait_for(timeout=30_000)
        assert step_of(again) == 0
        assert mine.count() == 0
        card(other.page, "mlp trained with hinge on ring").wait_for()
        assert theirs.count() == 0
        assert other.overflow <= 0

        # It is stopped, and no longer shown.
        again.get_by_role("button", name="Stop").click()
        again.locator(".status", has_text="Stopped after step 1, state saved").wait_for()
        again.get_by_role("button", name="Hide").click()
        again.wait_for(state="detached")
    assert seen.complaints == other.complaints == []
    assert seen.requests == other.requests == []
    configs = [json.loads(path.read_text()) for path in folder.glob("runs/mlp-*/config.json")]
    assert {config["loss"]["name"] for config in configs} == {"r3gan", "hinge"}
    assert {config["data"]["options"]["samples"] for config in configs} == {600}
    assert (Run(folder / "runs" / "digits").path / "model").is_dir()


def test_a_page_that_does_not_reach_its_server_says_so(browser, digits):
    with serving(digits) as server, opened(browser, server.address) as seen:
        card(seen.page, DIGITS_TITLE).wait_for()
        seen.page.context.set_offline(True)
        seen.page.get_by_text("The server does not answer").wait_for()
        seen.page.context.set_offline(False)
        seen.page.get_by_text("The server does not answer").wait_for(state="detached")


def test_colours_can_be_read_in_both_themes():
    css = "".join((PAGE / name).read_text() for name, kind in FILES.values() if "css" in kind)
    found = re.findall(r"--([\w-]+): light-dark\((#\w+), (#\w+)\)", css)
    colours = {name: shades for name, *shades in found}
    for theme in (0, 1):
        shade = {name: shades[theme] for name, shades in colours.items()}
        for word in ("ink", "muted", "accent", "good", "warn", "bad"):
            for ground in ("page", "card"):
                assert contrast(shade[word], shade[ground]) >= 4.5, (word, ground, theme)
        assert contrast(shade["ink"], shade["warn-page"]) >= 4.5
        assert contrast(shade["on-accent"], shade["accent"]) >= 4.5
        for drawn in ("edge", *(name for name in colours if name.startswith("line-"))):
            assert contrast(shade[drawn], shade["card"]) >= 3, (drawn, theme)
        assert contrast(shade["edge"], shade["page"]) >= 3
    # What is painted on a canvas: in the light, by choice in the dark, and in a dark system.
    planes = [dict(re.findall(r"--plane-(\w+): (#\w+);", line)) for line in css.split("}")]
    planes = [plane for plane in planes if plane]
    assert len(planes) == 3
    assert planes[1] == planes[2]
    for plane in planes:
        for dots in ("fake", "real", "mode", "pull", "map"):
            for ground in ("low", "even", "high"):
                assert contrast(plane[dots], plane[ground]) >= 3, (dots, ground)
