"""A client of ``ganzoo watch --web`` that asks as the page does, and a class of many of them."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

from ganzoo_zoo.apps.watch.runs.run_reader import RunReader
from ganzoo_zoo.apps.watch.web.server import KEY_HEADER, Server
from ganzoo_zoo.apps.watch.web.state import Dashboard


@contextmanager
def serving(*runs, root=None, host="127.0.0.1", **options):
    """Serve runs from a thread of this process; options are those of the dashboard."""
    board = Dashboard([RunReader(run) for run in runs], root, **options)
    with Server(board, host, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            board.close()


@contextmanager
def teaching(folder, *options):
    """Run the command for a class in a folder; yield its port, the teacher's key and the code."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ganzoo", "watch", "--web", "--class", "--port", "0", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
    )
    try:
        said = dict(process.stdout.readline().strip().split(": ", 1) for _ in range(3))
        address, _, key = said["teacher"].partition("#")
        yield int(address.rstrip("/").rpartition(":")[2]), key, said["code"].strip()
        process.send_signal(signal.SIGINT)
        process.wait(60)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@dataclass
class Client:
    """One page: its connection, its key, and how long each answer took."""

    port: int
    key: str | None = None
    keeps: bool = False
    """Whether its connection stays open, as a browser's does."""
    seconds: list[float] = field(default_factory=list)
    connection: http.client.HTTPConnection | None = None

    def ask(self, method, path, body=None, **headers):
        """Send a request, and return the status and the answer; JSON is read."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        own = {"Origin": f"http://127.0.0.1:{self.port}", KEY_HEADER: self.key}
        if body is not None:
            own["Content-Type"] = "application/json"
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in {**own, **named}.items() if value is not None}
        began = time.perf_counter()
        self.connection.request(method, path, body, sent)
        answer = self.connection.getresponse()
        data = answer.read()
        self.seconds.append(time.perf_counter() - began)
        if not self.keeps or answer.headers.get("Connection") == "close":
            self.close()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(data) if is_json else data

    def close(self):
        """Close the connection."""
        self.connection.close()
        self.connection = None

    def get(self, path, **headers):
        """Ask for something."""
        return self.ask("GET", path, **headers)

    def post(self, path, body=None, **headers):
        """Act."""
        return self.ask("POST", path, {} if body is None else body, **headers)

    def see(self, path):
        """Return what there must be."""
        status, found = self.get(path)
        assert status == 200, found
        return found

    def enter(self, code, name):
        """Enter a class, and keep the key."""
        status, found = self.post("/enter", {"code": code, "name": name})
        assert status == 200, found
        self.key = found["key"]
        return found["name"]

    def start(self, asked):
        """Start a run, and return its name."""
        status, found = self.post("/runs", asked)
        assert status == 200, found
        return found["name"]

    def look(self):
        """Ask for what the page asks after each state; return how long it waits then."""
        state = self.see("/state")
        for run in state["runs"]:
            if run["points"]:
                self.see(f"/runs/{run['name']}/moves?after={run['step'] - 100}")
            self.see(f"/runs/{run['name']}/curves")
        return state["poll"] / 1000


def attend(port, code, name, asked, until):
    """Be a pupil: open the page, enter, start a run, and look until a moment.

    Returns:
        The client, and how often it looked.
    """
    pupil, looks = Client(port, keeps=True), 0
    for path in ("/", "/page.js", "/page.css"):
        assert pupil.get(path)[0] == 200
    pupil.enter(code, name)
    pupil.see("/choices")
    pupil.start(asked)
    while time.monotonic() < until:
        pause = pupil.look()
        looks += 1
        time.sleep(pause)
    pupil.close()
    return pupil, looks
