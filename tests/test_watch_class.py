"""A class at the page: who sees and does what, what a pupil may train, and who waits for whom."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ganzoo
from ganzoo.compute import memory
from ganzoo.errors import InputError, Interrupted
from ganzoo.runs.folder import Run
from ganzoo.signals import interrupt
from ganzoo_zoo.apps.watch.training import workers
from ganzoo_zoo.apps.watch.training.limits import hold_to, read_memory
from ganzoo_zoo.apps.watch.training.training_run import Busy, TrainingRun
from ganzoo_zoo.apps.watch.training.workers import TrainingProcesses
from ganzoo_zoo.apps.watch.web import bounds as bounds_module
from ganzoo_zoo.apps.watch.web import card as cards
from ganzoo_zoo.apps.watch.web import classroom as classrooms
from ganzoo_zoo.apps.watch.web import serve as web
from ganzoo_zoo.apps.watch.web import state as boards
from ganzoo_zoo.apps.watch.web.bounds import Bounds
from ganzoo_zoo.apps.watch.web.choices import resolve_choices
from ganzoo_zoo.apps.watch.web.classroom import LONGEST_NAME, Classroom, Slowed
from ganzoo_zoo.apps.watch.web.server import LONGEST_BODY, Server
from ganzoo_zoo.apps.watch.web.state import Dashboard
from tiny import TINY, Stopper
from watch_client import Client, attend, serving, teaching

CODE = "KLM"
SETTINGS = {"data.samples": "600", "arch.hidden": "8", "train.batch_size": "16"}
SMALL = {"architecture": "mlp", "data": "ring", "settings": SETTINGS}
"""A run whose steps take a moment."""
QUICK = {"settings": {"data.samples": 60, "arch.hidden": (4,)}, **TINY}
READS = ("curves", "moves", "stage", "walk", "nearest", "pictures/2")
ACTIONS = (
    *("pause", "continue", "stop", "step", "step-discriminator", "step-generator"),
    *("dismiss", "resume", "change"),
)


class Orders:
    """In place of a process: notes what it is told."""

    def __init__(self, *given):
        self.is_alive, self.memory, self.told, self.runs = True, 0, [], []

    @property
    def active_runs(self):
        waits = ("queued", "set aside")
        return [run for run in self.runs if not run.is_over and run.state not in waits]

    @property
    def is_busy(self):
        return bool(self.active_runs)

    def has_run(self, run):
        return run in self.active_runs

    def train(self, run):
        self.runs.append(run)
        run.state = "training"

    def send_command(self, run, word):
        self.told.append((run.name, word))
        if word == "stop":
            run.state = "stopping"

    def send(self, **order):
        self.told.append(order)

    def kill(self):
        self.told.append("kill")
        for run in self.active_runs:
            run.mark_lost(-9)

    def end(self):
        self.is_alive = False

    def wait(self, until):
        pass


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(boards, "SECONDS_BETWEEN_READS", 0.0)
    monkeypatch.setattr(cards, "SECONDS_BETWEEN_READS_AT_REST", 0.0)


@pytest.fixture
def orders(monkeypatch):
    """No process trains; what each would be told is noted."""
    monkeypatch.setattr(workers, "_Process", Orders)
    monkeypatch.setattr(TrainingProcesses, "keep_watch", lambda self: None)


@pytest.fixture
def school(orders):
    """A server with a class, on all addresses of this machine, whose runs do not train."""
    with serving(root=Path("runs"), host="0.0.0.0", classroom=Classroom(CODE + CODE)) as server:
        yield server


def enter(server, name="Ada"):
    pupil = Client(server.server_port)
    pupil.enter(server.board.classroom.code, name)
    return pupil


def teacher_of(server):
    return Client(server.server_port, server.key)


def names(client):
    return {run["name"] for run in client.see("/state")["runs"]}


def interrupted_ring():
    """Return the folder of a run that was interrupted after its first step."""
    with pytest.raises(Interrupted):
        ganzoo.train("mlp", data="ring", out="old", observer=Stopper(1), **QUICK)
    return Path("old")


def processes(server):
    return server.board._trainers


# Who is who -------------------------------------------------------------------------------------


def test_a_class_has_a_teacher_pupils_and_lookers(school):
    teacher, ada, looker = teacher_of(school), enter(school), Client(school.server_port)
    state = teacher.see("/state")
    assert (state["role"], state["name"], state["acts"]) == ("teacher", "", True)
    assert state["class"]["code"] == "KLM-KLM"
    assert state["class"]["pupils"] == [{"name": "Ada", "runs": 0}]
    state = ada.see("/state")
    assert (state["role"], state["name"]) == ("pupil", "Ada")
    assert state["class"] == {"bounds": Bounds().as_json(), "waiting": 0, "training": 0}
    state = looker.see("/state")
    assert (state["role"], state["name"]) == ("looker", "")
    assert "code" not in state["class"]
    assert "Ada" not in str(state)


def test_each_pupil_sees_their_runs_and_the_teachers_and_acts_on_theirs(school):
    teacher, ada, bob = teacher_of(school), enter(school), enter(school, "Bob")
    looker = Client(school.server_port)
    shown, hers, his = (each.start(SMALL) for each in (teacher, ada, bob))
    assert names(teacher) == {shown, hers, his}
    assert names(ada) == {shown, hers}
    assert names(bob) == {shown, his}
    assert names(looker) == names(Client(school.server_port, "stale key")) == {shown}
    mine = {run["name"]: (run["mine"], run["owner"]) for run in ada.see("/state")["runs"]}
    assert mine == {shown: (False, ""), hers: (True, "Ada")}
    runs = {run["name"]: run for run in teacher.see("/state")["runs"]}
    assert all(run["mine"] for run in runs.values())
    assert runs[his]["owner"] == "Bob"
    assert teacher.post(f"/runs/{his}/stop") == (200, {})


def test_nobody_reads_or_touches_anothers_run(school):
    teacher, ada, bob = teacher_of(school), enter(school), enter(school, "Bob")
    looker = Client(school.server_port)
    shown, hers = teacher.start(SMALL), ada.start(SMALL)
    told = [list(each.told) for each in processes(school)._processes]
    for other in (bob, looker, Client(school.server_port, ada.key + "x")):
        for what in READS:
            status, answer = other.get(f"/runs/{hers}/{what}")
            assert (status, answer) == (404, {"error": "there is no such run"})
            assert other.get(f"/runs/99/{what}") == (status, answer), "as if there were none"
    change = {"settings": {"train.n_critic": "2"}}
    for word in ACTIONS:
        status, answer = bob.post(f"/runs/{hers}/{word}", change)
        assert status == 404
        assert answer["error"] in ("this run is no longer there", "there is no such run")
        status, answer = bob.post(f"/runs/{shown}/{word}", change)
        assert (status, answer["error"]) == (404, "this run is not yours: you can only watch it")
        assert looker.post(f"/runs/{hers}/{word}", change)[0] == 403
    for name in (hers, shown):
        assert bob.post("/runs", {**SMALL, "instead": name})[0] == 404
    assert names(teacher) == {shown, hers}
    assert [list(each.told) for each in processes(school)._processes] == told
    assert teacher.see(f"/runs/{hers}/curves") == ada.see(f"/runs/{hers}/curves")


def test_the_teacher_does_not_start_in_a_pupils_place(school):
    teacher, ada = teacher_of(school), enter(school)
    hers = ada.start(SMALL)
    status, answer = teacher.post("/runs", {**SMALL, "instead": hers})
    assert (status, answer["error"]) == (404, "only who started a run can put another in its place")
    asked = {run["name"]: run["asked"] for run in teacher.see("/state")["runs"]}
    assert asked == {hers: None}
    assert ada.see("/state")["runs"][0]["asked"]["settings"]["arch.hidden"] == "8"


def test_beside_another_pupils_run_is_nowhere(school):
    ada, bob = enter(school), enter(school, "Bob")
    hers = ada.start(SMALL)
    his = bob.start({**SMALL, "beside": hers})
    assert names(bob) == {his}


def test_a_new_run_stands_beside_the_one_that_it_is_to_be_compared_with(school):
    teacher = teacher_of(school)
    one, two = teacher.start(SMALL), teacher.start(SMALL)
    three = teacher.start({**SMALL, "beside": two, "preset": "ring-learns"})
    cards = teacher.see("/state")["runs"]
    assert [card["name"] for card in cards] == [two, three, one]
    assert cards[1]["preset"] == cards[1]["asked"]["preset"] == "ring-learns"


def test_without_a_class_nobody_enters_and_everybody_sees_all(orders):
    with serving() as server:
        status, answer = Client(server.server_port).post("/enter", {"code": "AAAA", "name": "Ada"})
        assert (status, answer["error"]) == (404, "there is no class here")
        teacher = teacher_of(server)
        run = teacher.start(SMALL)
        assert names(Client(server.server_port)) == {run}
        assert teacher.see("/state")["class"] is None
    with serving(host="0.0.0.0") as server:
        status, answer = teacher_of(server).post("/runs", SMALL)
        assert status == 403
        assert teacher_of(server).see("/state")["role"] == "looker"


# Keys, names and codes --------------------------------------------------------------------------


def test_a_code_can_be_read_aloud_and_typed_in_any_way():
    codes = {Classroom().code for _ in range(20)}
    assert len(codes) == 20
    assert all(re.fullmatch("[AEFHJKLMRUWXY]{3}-[AEFHJKLMRUWXY]{3}", code) for code in codes)
    room = Classroom("kl m-klm")
    assert room.code == "KLM-KLM"
    for typed in ("klmklm", "KLM KLM", " klm-KLM\t"):
        room.enter(typed, "Ada", "10.0.0.1")
    for code in ("", "abc", "Ä" * 6, "a/../b", "x" * 33):
        with pytest.raises(InputError, match="--code has 4 to 32 letters and digits"):
            Classroom(code)


def test_names_are_unique_and_can_be_seen():
    room = Classroom(CODE + CODE)

    def named(name):
        return room.enter(CODE + CODE, name, "10.0.0.1")[1]

    assert [named("Ada"), named(" ada "), named("ADA")] == ["Ada", "ada 2", "ADA 3"]
    assert named("Zoë  von\tA") == "Zoë von A"
    assert named("王小明") == "王小明"
    long = [named("x" * LONGEST_NAME) for _ in range(12)]
    assert len(set(long)) == 12
    assert max(map(len, long)) <= LONGEST_NAME
    for bad in ("", "  ", "x" * 41, "a\x00b", "a\u202eb", "\u200b", "a\x1b[31m"):
        with pytest.raises(InputError, match="a name has 1 to 40 letters that can be seen"):
            named(bad)
    assert room.pupils[:3] == ["Ada", "ada 2", "ADA 3"]


def test_no_name_leads_anywhere_in_the_file_system():
    room = Classroom(CODE + CODE)
    odd = [
        "../../etc",
        "/tmp/x",
        "C:\\x",
        "a/b",
        "con",
        ".hidden",
        "-rf",
        "~",
        "%2e%2e",
        "王",
        "a b",
    ]
    for name in odd:
        room.enter(CODE + CODE, name, "10.0.0.1")
    folders = [room.folder_of(name) for name in odd]
    assert len(set(folders)) == len(odd)
    assert all(re.fullmatch("[0-9]{2}(-[a-z0-9]+)*", folder) for folder in folders)


def test_wrong_codes_are_slowed_from_each_address_and_in_all(monkeypatch):
    now = [0.0]
    room = Classroom(CODE + CODE, clock=lambda: now[0])

    def guess(address, code="AAAAAA"):
        with pytest.raises(InputError, match="not the code of this class"):
            room.enter(code, "Eve", address)

    for _ in range(4):
        guess("10.0.0.1")
    with pytest.raises(Slowed, match="too many wrong codes: wait 4 s"):
        room.enter(CODE + CODE, "Eve", "10.0.0.1")  # even the right one
    room.enter(CODE + CODE, "Ada", "10.0.0.2")
    now[0] += 4.1
    guess("10.0.0.1")
    with pytest.raises(Slowed, match="wait 8 s"):
        room.enter(CODE + CODE, "Eve", "10.0.0.1")
    guess("fe80::1%eth0")
    for host in range(2, 5):
        guess(f"fe80::{host}")
    with pytest.raises(Slowed):  # addresses of IPv6 are as many as one likes
        room.enter(CODE + CODE, "Eve", "fe80::99")
    for count in range(51):
        guess(f"10.1.0.{count}")
    with pytest.raises(Slowed):
        room.enter(CODE + CODE, "Ada", "10.9.9.9")
    now[0] += 61
    room.enter(CODE + CODE, "Ada", "10.9.9.9")
    monkeypatch.setattr(classrooms, "MOST_ADDRESSES", 10)
    now[0] += 61
    for count in range(30):
        guess(f"10.2.0.{count}")
    assert len(room._guesses._by_address) <= 10


def test_a_flood_of_wrong_codes_is_refused_and_the_class_goes_on(school):
    ada, eve = enter(school), Client(school.server_port)
    found = [eve.post("/enter", {"code": f"AAAA{i:02}", "name": "Eve"})[0] for i in range(80)]
    assert set(found) == {400, 429}
    assert found.count(400) == 4
    assert ada.see("/state")["role"] == "pupil"
    assert teacher_of(school).see("/state")["class"]["pupils"] == [{"name": "Ada", "runs": 0}]


def test_a_class_is_full_at_some_point(monkeypatch):
    monkeypatch.setattr(classrooms, "MOST_PUPILS", 2)
    room = Classroom(CODE + CODE)
    for name in ("a", "b"):
        room.enter(CODE + CODE, name, "10.0.0.1")
    with pytest.raises(InputError, match="the class is full"):
        room.enter(CODE + CODE, "c", "10.0.0.1")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"code": 3, "name": "Eve"}, 400),
        ({"code": "KLMKLM"}, 400),
        ({"code": ["KLMKLM"], "name": "Eve"}, 400),
        ({"code": "KLMKLM", "name": "../\x00"}, 400),
        ({"code": "KLMKLM\ud800", "name": "Eve"}, 400),
        (b"[" * 60_000, 400),
        (b"x" * (LONGEST_BODY + 1), 413),
    ],
)
def test_who_asks_for_entrance_in_another_way_stays_outside(school, body, status):
    assert Client(school.server_port).post("/enter", body)[0] == status
    assert school.board.classroom.pupils == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": None},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Host": "evil.example"},
        {"Host": "evil.example:80", "Origin": "http://evil.example:80"},
        {"Content_Type": "text/plain"},
    ],
)
def test_pages_of_others_neither_enter_nor_act(school, headers):
    ada = enter(school)
    run = ada.start(SMALL)
    for path in ("/enter", "/runs", f"/runs/{run}/stop"):
        body = {**SMALL, "code": "KLMKLM", "name": "Eve"}
        assert Client(school.server_port, ada.key).post(path, body, **headers)[0] in (403, 415)
    assert school.board.classroom.pupils == ["Ada"]
    assert names(ada) == {run}


def test_a_class_is_reached_by_address_and_never_by_a_strangers_name(school):
    client = Client(school.server_port)
    for host, status in (("10.1.2.3:80", 200), ("[fe80::1]", 200), ("evil.example", 403)):
        assert client.get("/state", Host=host)[0] == status
    assert school.address.endswith(f"/#{school.key}")


def test_a_pupils_key_is_nobody_elses(school):
    ada, bob = enter(school), enter(school, "Bob")
    assert ada.key != bob.key
    assert len(ada.key) > 20
    ada.start({**SMALL, "owner": "Bob", "name": "Bob", "mine": True})
    (run,) = ada.see("/state")["runs"]
    assert run["owner"] == "Ada"
    assert names(bob) == set()
    for key in (
        "",
        ada.key[:-1],
        ada.key.swapcase(),
        "Ada",
        "schlüssel".encode().decode("latin-1"),
    ):
        assert Client(school.server_port, key).post("/runs", SMALL)[0] == 403


# Bounds -----------------------------------------------------------------------------------------


def refusal(server, client, **more):
    before = names(teacher_of(server))
    status, answer = client.post("/runs", {**SMALL, **more, "settings": more["settings"]})
    assert status == 400, answer
    assert "\n" not in answer["error"]
    assert names(teacher_of(server)) == before
    return answer["error"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"train.steps": "20001"},
            "train.steps is at most 20,000 in this class, and you gave 20,001",
        ),
        ({"train.steps": "9" * 30}, "train.steps is at most 20,000"),
        ({"train.batch_size": "513"}, "train.batch_size is at most 512"),
        ({"train.n_critic": "21"}, "train.n_critic is at most 20"),
        ({"data.samples": "100001"}, "data.samples is at most 100,000"),
        ({"train.sample_every": "1"}, "set train.sample_every to 2 or more"),
        ({"arch.hidden": "1500,1500"}, "the two networks have 4,5"),
        ({"arch.hidden": "99999999"}, "the two networks have 899,999,994 parameters"),
        ({"arch.hidden": "99999999,99999999"}, "too large"),
        ({"arch.hidden": ",".join(["8"] * 6000)}, "too large"),
        ({"arch.z_dim": "2000000"}, "the two networks have"),
        ({"train.device": "cuda"}, "train on the processor"),
        ({"train.device": "auto"}, "train on the processor"),
        ({"train.compile": "true"}, "'train.compile' cannot be set in a class"),
        ({"train.eval_every": "1"}, "cannot be set in a class"),
        ({"train.checkpoint_every": "1"}, "cannot be set in a class"),
        ({"train.precision": "bf16"}, "cannot be set in a class"),
        ({"tracker.watch.x": "1"}, "cannot be set in a class"),
        ({"train.nothing": "1"}, "cannot be set in a class"),
        ({" train.eval_every": "1"}, ""),
        ({"eval_every": "1"}, ""),
        ({"init": "/etc"}, ""),
    ],
)
def test_a_class_has_bounds(school, settings, message):
    ada = enter(school)
    if "train.sample_every" in settings:
        settings = {**settings, "train.steps": "2000"}
    assert message in refusal(school, ada, settings={**SETTINGS, **settings})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"data": "mnist", "architecture": "dcgan"}, "would have to be downloaded first"),
        ({"data": "cifar10", "architecture": "dcgan"}, "would have to be downloaded first"),
        ({"data": "folder", "architecture": "dcgan"}, "path"),
        ({"data": "/etc"}, ""),
        ({"data": "../.."}, ""),
        ({"architecture": "../mlp"}, ""),
        ({"loss": "/etc/passwd"}, ""),
    ],
)
def test_data_of_a_class_are_drawn_or_here(school, asked, message):
    assert message in refusal(school, enter(school), settings={}, **asked)


@pytest.mark.parametrize(
    ("asked", "settings", "message"),
    [
        ({"data": "digits", "architecture": "dcgan"}, {"data.image_size": "65"}, "at most 64"),
        ({"data": "digits", "architecture": "dcgan"}, {"data.image_size": "64,4096"}, "at most 64"),
        (
            {"data": "digits", "architecture": "dcgan"},
            {"arch.base_channels": "1024"},
            "networks have",
        ),
        ({"data": "gaussian"}, {"data.dimensions": "10000", "arch.hidden": "200"}, "networks have"),
        (
            {"data": "sines", "architecture": "wavegan"},
            {"data.length": "65536", "data.channels": "100"},
            "may have 6,553,600 numbers, and in this class it may have 1,000,000",
        ),
        ({"data": "digits"}, {"data.path": "/etc"}, ""),
        ({"data": "ring"}, {"data.samples": "/etc/passwd"}, ""),
        ({"data": "ring"}, {"arch.hidden": "../x"}, ""),
        ({"data": "ring"}, {"../x": "1"}, ""),
        ({"data": "ring"}, {"train.out": "/tmp/x"}, "cannot be set in a class"),
    ],
)
def test_nor_do_images_and_signals_pass_the_bounds(school, asked, settings, message):
    assert message in refusal(school, enter(school), settings=settings, **asked)


def test_the_teacher_has_no_bounds(school):
    steps = {**SETTINGS, "train.steps": "20001", "train.checkpoint_every": "10"}
    teacher_of(school).start({**SMALL, "settings": steps})


def test_a_schedule_of_critic_steps_is_within_the_bounds_all_along():
    config = resolve_choices("mlp", None, "ring", SETTINGS)
    Bounds().require(config)
    schedule = ganzoo.protocols.schedule.Schedule(points=((0.0, 1.0), (0.5, 999.0)))
    with pytest.raises(InputError, match=r"train\.n_critic is at most 20 in this class"):
        Bounds().require(config.model_copy(update={"schedules": {"train.n_critic": schedule}}))


def test_a_pupil_has_so_many_runs_and_those_that_are_over_make_room(school):
    ada = enter(school)
    runs = [ada.start(SMALL) for _ in range(3)]
    status, answer = ada.post("/runs", SMALL)
    assert (status, answer["error"]) == (
        *(409, "you have 3 runs that are not over, and there may be 3: stop one first"),
    )
    another = ada.start({**SMALL, "instead": runs[2]})  # in place of one that waits
    assert names(ada) == {*runs[:2], another}
    assert ada.post(f"/runs/{another}/stop") == (200, {})
    last = ada.start(SMALL)
    assert names(ada) == {*runs[:2], last}, "the one that was over is no longer shown"
    assert ada.see(f"/runs/{another}/curves") is None


def test_changes_are_of_three_options_and_within_the_bounds(school):
    ada = enter(school)
    run = ada.start(SMALL)

    def change(settings):
        status, answer = ada.post(f"/runs/{run}/change", {"settings": settings})
        return status, answer.get("error", "")

    for settings in ({}, {"train.steps": "5"}, {"train.generator_lr": "1", "arch.hidden": "9"}):
        assert change(settings)[1].startswith("while a run trains, you can change train.gen")
    assert change({"train.n_critic": "21"})[0] == 400
    assert change({"train.n_critic": "1e9"})[0] == 400
    assert change({"train.n_critic": "inf"})[0] == 400
    assert change({"train.n_critic": 2})[0] == 400
    assert ada.post(f"/runs/{run}/change", {})[0] == 400
    good = {"train.generator_lr": "0.001", "train.n_critic": "5"}
    assert change(good) == (200, "")
    assert processes(school)._processes[0].told == [{"name": run, "change": good}]


def test_a_full_disk_is_the_teachers_matter(school, monkeypatch):
    monkeypatch.setattr(bounds_module, "LEAST_DISK", 1 << 62)
    assert "the disk of this machine is nearly full" in refusal(
        school, enter(school), settings=SETTINGS
    )


def test_a_process_of_a_class_downloads_nothing_and_has_less_memory():
    usual = memory.limit()
    with hold_to({"memory": 512}):
        assert memory.limit() == 512 << 20
        for call in (
            lambda: socket.create_connection(("127.0.0.1", 9), timeout=1),
            lambda: socket.getaddrinfo("example.org", 80),
        ):
            with pytest.raises(ganzoo.errors.GanzooError, match="downloads nothing"):
                call()
    assert memory.limit() == usual
    assert "GANZOO_MEMORY" not in os.environ
    with socket.create_server(("127.0.0.1", 0)) as other:
        socket.create_connection(other.getsockname(), timeout=5).close()
    with hold_to(None):
        assert memory.limit() == usual


def test_memory_of_a_process_is_read():
    own = read_memory(os.getpid())
    assert 50 << 20 < own < 100 << 30
    process = subprocess.Popen(["sleep", "60"])
    assert read_memory(process.pid) < own
    process.kill()
    process.wait()
    assert read_memory(2**22 + 1) is None


# The queue --------------------------------------------------------------------------------------


def run_of(owner, name, **more):
    config = resolve_choices("mlp", None, "ring", SETTINGS)
    return TrainingRun(name, config, paused=False, owner=owner, **more)


@pytest.fixture
def queue(orders):
    return TrainingProcesses(threading.RLock(), 2)


def test_runs_wait_in_order_one_of_each_pupil_and_the_teacher_first(queue):
    one, two, three = (run_of("Ada", name) for name in "123")
    four, five = run_of("Bob", "4"), run_of("Eve", "5")
    six = run_of("", "6")
    for run in (one, two, three, four, five, six):
        queue.start(run)
    assert [run.state for run in (one, two, four)] == ["training", "queued", "training"]
    assert [queue.find_place(run) for run in (six, two, three, five)] == [1, 2, 3, 4]
    assert (queue.waiting, queue.training) == (4, 2)
    four.state = "finished"
    queue.look(0.1)
    assert six.state == "training", "the teacher's goes first"
    six.state = "finished"
    queue.look(0.1)
    assert [run.state for run in (two, five)] == ["queued", "training"], "Ada has a process"
    one.state = "stopped"
    queue.look(0.1)
    assert two.state == "training"
    queue.send_command(three, "stop")
    assert (three.state, queue.waiting) == ("stopped", 0)


def test_a_run_that_pauses_while_others_wait_is_set_aside_and_goes_on_by_continue(queue):
    one, two, three = run_of("Ada", "1"), run_of("Bob", "2"), run_of("Eve", "3")
    queue.start(one)
    queue.start(two)
    one.state = two.state = "paused"
    queue.look(600)
    assert one.state == "paused", "nobody waits"
    queue.start(three)
    queue.look(19)
    assert one.state == "paused"
    queue.look(2)
    assert (one.state, queue._processes[0].told) == ("stopping", [("1", "stop")])
    one.take_news({"ended": "stopped"})
    assert (one.state, one.is_over, one.allowed_commands) == (
        *("set aside", False, ("continue", "stop")),
    )
    queue.look(0.1)
    assert three.state == "training"
    queue.send_command(one, "continue")
    assert (one.state, queue.find_place(one)) == ("queued", 1)
    three.state = "finished"
    queue.look(0.1)
    assert (one.state, one.paused) == ("training", False)


def test_pupils_do_not_put_the_teachers_run_aside(queue):
    shown, one, two = run_of("", "1"), run_of("Ada", "2"), run_of("Bob", "3")
    for run in (shown, one, two):
        queue.start(run)
    shown.state = "paused"
    queue.look(100)
    assert shown.state == "paused"
    queue.start(run_of("", "4"))
    queue.look(21)
    assert shown.state == "stopping", "another of the teacher's does"


def test_pupils_take_turns_while_others_wait(queue):
    one, two, three = run_of("Ada", "1"), run_of("Bob", "2"), run_of("Eve", "3")
    for run in (one, two):
        queue.start(run)
    queue.look(31)
    assert one.state == "training", "nobody waits"
    queue.start(three)
    queue.look(1)
    assert one.state == two.state == "stopping"
    one.take_news({"ended": "stopped"})
    queue.look(0.1)
    assert (one.state, three.state) == ("queued", "training")
    two.take_news({"ended": "failed", "message": "x"})
    queue.look(0.1)
    assert (one.state, two.state) == ("training", "failed")
    assert one.turn < 1 < one.seconds


def test_who_stops_a_run_that_makes_way_finds_it_stopped(queue):
    one, two, three = run_of("Ada", "1"), run_of("Bob", "2"), run_of("Eve", "3")
    for run in (one, two, three):
        queue.start(run)
    queue.look(31)
    queue.send_command(one, "stop")
    for run in (one, two):
        run.take_news({"ended": "stopped"})
    queue.look(0.1)
    assert (one.state, two.state, three.state) == ("stopped", "training", "training")


def test_a_failure_of_the_watcher_is_told_and_it_goes_on(queue, monkeypatch, capsys):
    looks = []

    def fail(self, seconds):
        looks.append(seconds)
        if len(looks) == 3:
            self._closed.set()
        raise RuntimeError("oh")

    monkeypatch.setattr(TrainingProcesses, "look", fail)
    monkeypatch.setattr(workers, "SECONDS_BETWEEN_LOOKS", 0.001)
    queue._look_until_closed()
    assert len(looks) == 3
    assert "looking after the runs failed: RuntimeError: oh" in capsys.readouterr().err


def test_a_run_trains_for_so_many_seconds_and_its_pauses_count_if_others_wait(queue):
    limits = Bounds(seconds=50).limits()
    one, two = run_of("Ada", "1", limits=limits), run_of("Bob", "2")
    queue.start(one)
    queue.look(40)
    one.state = "paused"
    queue.look(40)
    one.state = "training"
    queue.look(11)
    assert one.state == "stopping"
    one.take_news({"ended": "stopped"})
    assert one.message == "it has trained for 50 s, which is the most here"
    queue.start(two)
    assert two.seconds == 0


def test_a_process_that_takes_more_memory_or_does_not_stop_is_ended(queue):
    limits = Bounds(memory=1000).limits()
    one, two = run_of("Ada", "1", limits=limits), run_of("", "2")
    queue.start(one)
    queue.start(two)
    for process in queue._processes:
        process.memory = 1001 << 20
    queue.look(0.1)
    assert (one.state, two.state) == ("failed", "training")
    assert one.message == (
        "it took more than 1,000 MiB of memory, which is the most here: choose smaller networks, "
        "or a smaller batch"
    )
    three = run_of("Eve", "3", limits=limits)
    queue.start(three)
    assert one not in queue._processes[0].runs, "a process that has grown is replaced"
    three.state = "stopping"
    queue.look(19)
    assert three.state == "stopping"
    queue.look(2)
    assert (three.state, three.message) == ("failed", "it did not stop, and its process was ended")


def test_in_place_of_a_run_one_waits_if_others_do(queue):
    one, two, three = run_of("Ada", "1"), run_of("Bob", "2"), run_of("Eve", "3")
    for run in (one, two, three):
        queue.start(run)
    four = run_of("Ada", "4")
    queue.start(four, instead=one)
    assert (one.state, queue.find_place(three), queue.find_place(four)) == ("stopping", 1, 2)


def test_a_run_that_waits_can_only_be_stopped(queue):
    one, two = run_of("Ada", "1"), run_of("Ada", "2")
    queue.start(one)
    queue.start(two)
    for word in ("pause", "step", "step-discriminator", "step-generator"):
        with pytest.raises(Busy, match=f"cannot {word} a run that is queued"):
            queue.send_command(two, word)
    with pytest.raises(Busy, match="cannot change a run that is queued"):
        queue.change(two, {"train.n_critic": "2"})


# A step taken apart, changes and questions ------------------------------------------------------


def test_the_parts_of_a_step_are_those_of_one_step(school):
    teacher = teacher_of(school)
    name = teacher.start(SMALL)
    assert teacher.see(f"/runs/{name}/stage") is None
    run = processes(school)._processes[0].runs[0]
    part = {"terms": {"loss": 0.5}, "rate": float("nan")}
    run.take_news({"stage": part, "network": "discriminator", "step": 3})
    run.take_news({"paused": 3, "phase": "between"})
    (card,) = teacher.see("/state")["runs"]
    assert (card["kind"], card["phase"]) == ("paused", "between")
    assert "step-generator" in card["may"]
    assert "step-discriminator" not in card["may"]
    clean = {"terms": {"loss": 0.5}, "rate": None}
    assert teacher.see(f"/runs/{name}/stage") == {
        "step": 3,
        "phase": "between",
        "discriminator": clean,
        "generator": None,
    }
    run.take_news({"stage": part, "network": "generator", "step": 3})
    run.take_news({"going": 3})
    assert teacher.see(f"/runs/{name}/stage")["phase"] == ""
    run.take_news({"stage": part, "network": "discriminator", "step": 4})
    stage = teacher.see(f"/runs/{name}/stage")
    assert (stage["step"], stage["generator"]) == (4, None)


def test_what_was_changed_is_told(school):
    teacher = teacher_of(school)
    teacher.start(SMALL)
    run = processes(school)._processes[0].runs[0]
    (card,) = teacher.see("/state")["runs"]
    before = card["rates"]
    assert set(before) == {"train.generator_lr", "train.discriminator_lr", "train.n_critic"}
    run.take_news({"refused": "no"})
    assert teacher.see("/state")["runs"][0]["problem"] == "no"
    changed = {"step": 7, "options": {"train.generator_lr": "0.5"}}
    run.take_news({"changed": changed})
    (card,) = teacher.see("/state")["runs"]
    assert (card["changes"], card["problem"]) == ([changed], "")
    assert card["rates"] == {**before, "train.generator_lr": "0.5"}


def test_a_question_is_asked_once_and_answered_to_all(school, monkeypatch):
    teacher = teacher_of(school)
    name = teacher.start(SMALL)
    process = processes(school)._processes[0]
    run = process.runs[0]
    monkeypatch.setattr(boards, "SECONDS_TO_ANSWER", 0.01)
    assert teacher.get(f"/runs/{name}/walk")[0] == 404, "it has no folder yet"
    run.path = Path("runs/x")
    assert teacher.see(f"/runs/{name}/nearest") is None
    assert process.told == [{"name": name, "word": "nearest"}]
    answer = {"step": 5, "pairs": []}
    monkeypatch.setattr(boards, "SECONDS_TO_ANSWER", 20.0)

    def answer_soon():
        time.sleep(0.2)
        trainers = processes(school)
        with trainers._news:
            run.take_news({"nearest": answer})
            trainers._news.notify_all()

    thread = threading.Thread(target=answer_soon)
    thread.start()
    clients = [Client(school.server_port, school.key) for _ in range(3)]
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda each: each.see(f"/runs/{name}/nearest"), clients))
    thread.join()
    assert all(each["step"] == 5 for each in found)
    assert process.told == [{"name": name, "word": "nearest"}], "one question"


def test_the_more_pages_ask_the_less_often_each_does(school):
    assert enter(school).see("/state")["poll"] == 1000, "nothing trains"
    polls = []
    for count in range(30):
        pupil = enter(school, f"Pupil {count}")
        pupil.start(SMALL)
        polls.append(pupil.see("/state")["poll"])
    assert polls == sorted(polls)
    assert polls[0] == 150
    assert 1000 <= polls[-1] <= 1200
    for count in range(200):
        school.count_page(f"looker {count}")
    assert pupil.see("/state")["poll"] == 3000


def test_a_run_that_was_interrupted_elsewhere_is_trained_on_by_the_teacher_only(orders):
    run = Run.open(interrupted_ring())
    with serving(run, host="0.0.0.0", classroom=Classroom(CODE + CODE)) as server:
        teacher, ada = teacher_of(server), enter(server)
        (seen,) = ada.see("/state")["runs"]
        assert (seen["kind"], seen["may"], seen["mine"]) == ("interrupted", ["resume"], False)
        assert ada.post("/runs/1/resume") == (
            *(404, {"error": "this run is not yours: you can only watch it"}),
        )
        assert Client(server.server_port).post("/runs/1/resume")[0] == 403
        assert teacher.post("/runs/1/resume") == (200, {})
        (trained,) = processes(server)._processes[0].runs
        assert (trained.path, trained.owner) == (run.path, "")
        assert teacher.post("/runs/1/resume")[0] == 409


def test_what_a_run_of_a_pupil_has_used_up_stays_used_up(school):
    ada = enter(school)
    name = ada.start(SMALL)
    run = processes(school)._processes[0].runs[0]
    shutil.copytree(interrupted_ring(), "runs/class/01-ada/x")
    run.path = Path("runs/class/01-ada/x")
    run.seconds, run.state = 121, "stopped"
    status, answer = ada.post(f"/runs/{name}/resume")
    assert (status, answer["error"]) == (
        *(409, "it has trained for 120 s, which is the most here: start another one"),
    )
    run.seconds = 20
    assert ada.post(f"/runs/{name}/resume") == (200, {})
    assert run.seconds == 20


# The command ------------------------------------------------------------------------------------


def test_addresses_are_found_without_a_lookup(monkeypatch):
    for word in ("getaddrinfo", "gethostbyname", "getfqdn"):
        monkeypatch.setattr(socket, word, None)
    assert web.find_own_address("10.0.0.5") == "10.0.0.5"
    found = web.find_own_address("0.0.0.0")
    assert re.fullmatch(r"[0-9.]+", found) or found == socket.gethostname()
    monkeypatch.setattr(web, "ELSEWHERE", {socket.AF_INET: "256.0.0.1"})
    assert web.find_own_address("0.0.0.0") == socket.gethostname()


def test_the_command_prints_what_the_teacher_needs(monkeypatch, capsys, orders):
    monkeypatch.setattr(web, "find_own_address", lambda host: "10.0.0.5")
    monkeypatch.setattr(Dashboard, "_import_early", lambda board: None)
    monkeypatch.setattr(Server, "serve_forever", lambda server: interrupt(signal.SIGTERM))
    with pytest.raises(Interrupted):
        web.serve([], "0.0.0.0", 0, classroom=Classroom("ABCDEF"))
    said = capsys.readouterr()
    teacher, pupils, code = said.out.splitlines()
    address = re.fullmatch(r"teacher: (http://10\.0\.0\.5:[0-9]+/)#[\w-]{20,}", teacher)[1]
    assert pupils == f"pupils:  {address}"
    assert code == "code:    ABC-DEF"
    assert "whoever has the code can train within the bounds" in said.err


# With processes that train ----------------------------------------------------------------------

ENDLESS = {**SMALL, "settings": {**SETTINGS, "train.steps": "20000"}}


def within(seconds, what):
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def tree(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def card(client, name):
    return next(run for run in client.see("/state")["runs"] if run["name"] == name)


def test_a_step_is_taken_apart_and_options_change_from_the_page():
    with serving(root=Path("runs")) as server:
        teacher = teacher_of(server)
        name = teacher.start({**ENDLESS, "paused": True})

        def rests(phase, step):
            found = card(teacher, name)
            return (found["kind"], found["phase"], found["live"]) == ("paused", phase, step)

        within(60, lambda: rests("", 0))
        assert teacher.post(f"/runs/{name}/step-discriminator") == (200, {})
        within(30, lambda: rests("between", 0))
        assert teacher.post(f"/runs/{name}/step-discriminator")[0] == 409
        stage = teacher.see(f"/runs/{name}/stage")
        assert (stage["step"], stage["phase"], stage["generator"]) == (1, "between", None)
        assert len(stage["discriminator"]["fake_logits"]) == 16
        assert teacher.post(f"/runs/{name}/step-generator") == (200, {})
        within(30, lambda: rests("", 1))
        assert teacher.see(f"/runs/{name}/stage")["generator"]["terms"]
        change = {"train.generator_lr": "0.001", "train.n_critic": "2"}
        assert teacher.post(f"/runs/{name}/change", {"settings": change}) == (200, {})
        changed = within(30, lambda: (c := card(teacher, name))["changes"] and c)
        assert changed["rates"].items() >= change.items()
        assert teacher.post(f"/runs/{name}/change", {"settings": {"train.n_critic": "x"}})[0] == 200
        within(30, lambda: card(teacher, name)["problem"])
        teacher.post(f"/runs/{name}/stop")
        within(60, lambda: card(teacher, name)["kind"] == "stopped")
        assert teacher.post(f"/runs/{name}/resume") == (200, {})
        within(60, lambda: card(teacher, name)["kind"] == "training")
        assert card(teacher, name)["rates"].items() >= change.items()


def test_images_are_asked_for_from_the_page():
    asked = {"architecture": "mlp", "data": "digits", "paused": True}
    with serving(root=Path("runs")) as server:
        teacher = teacher_of(server)
        name = teacher.start({**asked, "settings": {"arch.hidden": "8", "train.device": "cpu"}})
        within(60, lambda: card(teacher, name)["kind"] == "paused")
        status, picture = teacher.get(f"/runs/{name}/walk")
        assert (status, picture[:4]) == (200, b"\x89PNG")
        found = teacher.see(f"/runs/{name}/nearest")
        assert len(found["pairs"]) == 6
        assert all(pair["real"].startswith("data:image/png;base64,") for pair in found["pairs"])


def test_a_pupil_trains_stops_and_trains_on_and_writes_nowhere_else(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    with serving(root=Path("runs"), classroom=Classroom(CODE + CODE)) as server:
        ada = enter(server, "../outside/Ada")
        before = tree(tmp_path)
        name = ada.start(ENDLESS)
        within(60, lambda: card(ada, name)["step"] > 2)
        assert ada.post(f"/runs/{name}/resume")[0] == 409
        assert ada.post(f"/runs/{name}/stop") == (200, {})
        stopped = within(60, lambda: (c := card(ada, name))["kind"] == "stopped" and c)
        assert "resume" in stopped["may"]
        assert ada.post(f"/runs/{name}/resume") == (200, {})
        within(60, lambda: card(ada, name)["step"] > stopped["step"] + 2)
        assert card(ada, name)["own"]
        new = {path for path in tree(tmp_path) - before if not path.startswith(("cache", "torch"))}
        place = Path(card(ada, name)["place"])
        assert place.parent == Path("runs/class/01-outside-ada")
        allowed = {str(each) for each in (place, *place.parents)}
        assert all(path in allowed or path.startswith(f"{place}/") for path in new)
        assert not any(outside.iterdir())
        assert names(teacher_of(server)) == {name}, "a pupil's folder is not found as a run again"


def test_pupils_take_turns_and_each_run_goes_on_where_it_was(monkeypatch):
    monkeypatch.setattr(workers, "TURN", 0.5)
    with serving(root=Path("runs"), classroom=Classroom(CODE + CODE), most_training=1) as server:
        ada, bob = enter(server), enter(server, "Bob")
        hers = ada.start(ENDLESS)
        within(60, lambda: card(ada, hers)["step"] > 2)
        his = bob.start(ENDLESS)
        within(60, lambda: card(ada, hers)["queued"])
        before = card(ada, hers)["step"]
        within(60, lambda: card(bob, his)["step"] > 2)
        within(60, lambda: card(ada, hers)["step"] > before + 2)
        folders = {path.parent.name for path in Path("runs/class").glob("*/*")}
        assert folders == {"01-ada", "02-bob"}
        assert len(list(Path("runs/class").glob("*/*"))) == 2, "each has one folder"


def test_the_process_holds_the_bounds_if_the_server_does_not(monkeypatch):
    monkeypatch.setattr(Bounds, "require", lambda *given: None)
    asked = {"architecture": "dcgan", "data": "digits"}
    with serving(root=Path("runs"), classroom=Classroom(CODE + CODE)) as server:
        ada = enter(server)
        for settings, why in (
            ({"arch.base_channels": "256"}, r"parameters: [0-9,]+, and in this class there may be"),
            ({"arch.base_channels": "4096"}, "too large"),
            ({"train.batch_size": "600", "arch.base_channels": "8"}, "batch size: 600"),
            ({"data.image_size": "128", "arch.base_channels": "8"}, "side: 128"),
        ):
            name = ada.start({**asked, "settings": settings})
            failed = within(60, lambda name=name: (c := card(ada, name))["kind"] == "failed" and c)
            assert re.search(why, failed["said"])
        assert not list(Path("runs").glob("class/*/*"))


def test_a_run_that_takes_too_much_memory_is_ended_and_the_next_one_trains():
    with serving(
        root=Path("runs"), classroom=Classroom(CODE + CODE), bounds=Bounds(memory=100)
    ) as server:
        ada, teacher = enter(server), teacher_of(server)
        name = ada.start(ENDLESS)
        ended = within(60, lambda: (c := card(ada, name))["kind"] == "failed" and c)
        assert ended["said"].startswith("failed: it took more than 100 MiB of memory")
        shown = teacher.start(ENDLESS)
        within(60, lambda: card(teacher, shown)["step"] > 2)


def test_thirty_pupils_work_at_once_while_two_runs_train(tmp_path):
    with teaching(tmp_path) as (port, key, code):
        teacher, first = Client(port, key), Client(port)
        first.enter(code, "Zoe")
        first.start(ENDLESS)  # once this is answered, all is imported
        until = time.monotonic() + 6
        with ThreadPoolExecutor(30) as pool:
            pupils = [
                pool.submit(attend, port, code, f"Pupil {number}", ENDLESS, until)
                for number in range(30)
            ]
            looks = [each.result()[1] for each in pupils]
        within(60, lambda: sum(run["step"] > 0 for run in teacher.see("/state")["runs"]) >= 2)
        state = teacher.see("/state")
    seconds = sorted(s for each in pupils for s in each.result()[0].seconds)
    print(f"{len(seconds)} answers, the slowest after {seconds[-1]:.2f} s")
    assert min(looks) >= 3
    assert [pupil["runs"] for pupil in state["class"]["pupils"]] == [1] * 31
    assert state["class"]["waiting"] >= 28
    assert sorted(run["queued"] for run in state["runs"] if run["queued"]) == list(
        range(1, state["class"]["waiting"] + 1)
    )
