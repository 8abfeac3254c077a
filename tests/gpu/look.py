"""A look at a GPU that needs nobody beside it: what works there, what it takes, what does not.

    python tests/gpu/look.py

takes at most 8 minutes (``--minutes``). Each part runs in processes of its own, which are given up
when its time is over, and what it found is written to ``gpu-look.json`` as it comes. The most
important parts come first. ``--device cpu --quick`` shows in two minutes that the script works
without a GPU: what needs one says so.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FORMAT = 1
WHOLE = 480
"""Seconds in which the times below were given."""
SECONDS = {
    "environment": 25,
    "tests": 80,
    "networks": 70,
    "compiled": 90,
    "resume": 40,
    "memory": 25,
    "speed": 80,
    "compiled-speed": 60,
    "choices": 30,
    "sampling": 45,
    "folder": 20,
    "until": 30,
    "processes": 30,
    "recipes": WHOLE,
}
"""The parts, the most important ones first, and what each may take; the last one has the rest."""
SHARED = {"networks", "compiled"}
"""Parts whose cases are measured by no clock, so that several processes can share them."""
NEEDS_GPU = {
    "memory": "of a process's peak nobody can tell which step it was in",
    "compiled-speed": "a CPU computes compiled networks as fast or slower",
}
"""Parts that a CPU cannot do, and why."""
LEAST = 8
"""Seconds below which no part begins."""
MOST_PROCESSES = 6


@dataclass
class Child:
    """A process that does a part, or a share of it."""

    process: subprocess.Popen[bytes]
    printed: Path
    complained: Path
    read: int = 0

    @classmethod
    def start(cls, part: str, options: dict[str, Any], folder: Path, number: int) -> Child:
        """Start it."""
        printed, complained = (folder / f"{part}-{number}.{kind}" for kind in ("out", "err"))
        command = [sys.executable, str(HERE / "parts.py"), part, json.dumps(options)]
        with printed.open("wb") as out, complained.open("wb") as err:
            # cuBLAS repeats its sums only with a workspace of its own, and reads this as it starts.
            environment = {**os.environ, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
            if options["quick"]:  # parts run side by side
                environment.setdefault("OMP_NUM_THREADS", "1")
            process = subprocess.Popen(
                command, stdout=out, stderr=err, start_new_session=True, env=environment
            )
        return cls(process, printed, complained)

    def findings(self) -> list[dict[str, Any]]:
        """Return what it found since the last call."""
        text = self.printed.read_bytes()[self.read :]
        whole = text[: text.rfind(b"\n") + 1]
        self.read += len(whole)
        return [found for line in whole.splitlines() if (found := parse(line)) is not None]

    def end(self) -> None:
        """End it, and whatever it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def last_words(self) -> str:
        """Return the last line that it complained in."""
        lines = self.complained.read_text(errors="replace").strip().splitlines()
        return lines[-1][:500] if lines else "it said nothing"


def parse(line: bytes) -> dict[str, Any] | None:
    """Read a finding; other things that a library prints are none."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


@dataclass
class Look:
    """All that was found, and the file that it stands in."""

    options: argparse.Namespace
    began: float = field(default_factory=time.monotonic)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def end(self) -> None:
        """End early: what runs is given up, and nothing else begins."""
        self.options.minutes = 0

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return 60 * self.options.minutes - (time.monotonic() - self.began)

    def run(self, part: str) -> None:
        """Run a part in the time that it may take, and write what it finds as it comes."""
        mine = self.parts[part]
        if why := self.why_not(part):
            mine["status"] = f"skipped: {why}"
            return
        share = 1 if self.options.quick else SECONDS[part] / WHOLE
        seconds = min(self.left - 2, 60 * self.options.minutes * share)
        if seconds < LEAST:
            mine["status"] = "skipped: no time was left"
            return
        mine["status"] = "running"
        count = processes() if part in SHARED else 1
        given = {key: getattr(self.options, key) for key in ("device", "quick", "data", "keep")}
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            children = [
                Child.start(
                    part,
                    {**given, "seconds": seconds, "share": (number, count)},
                    Path(folder),
                    number,
                )
                for number in range(count)
            ]
            try:
                while any(child.process.poll() is None for child in children):
                    if time.monotonic() - began > seconds or self.left < 0:
                        passed = time.monotonic() - began
                        mine["status"] = f"given up after {passed:.0f} s"
                        break
                    time.sleep(0.2)
                    self.collect(mine, children)
                else:
                    wrong = [each for each in children if each.process.returncode]
                    words = f"failed: {wrong[0].last_words()}" if wrong else "done"
                    mine["status"] = anonymous(words)
            finally:
                for child in children:
                    child.end()
                self.collect(mine, children)
        mine["seconds"] = round(time.monotonic() - began, 1)

    def why_not(self, part: str) -> str:
        """Return why a part cannot be done here; nothing if it can."""
        if part in NEEDS_GPU and not self.options.device.startswith("cuda"):
            return f"needs a GPU: {NEEDS_GPU[part]}"
        if part == "recipes" and self.options.data is None:
            return "needs CIFAR-10: --data FOLDER"
        if part == "recipes" and self.options.quick:
            return "takes too long for a quick look"
        return ""

    def collect(self, mine: dict[str, Any], children: list[Child]) -> None:
        """Take over what children found, and write it."""
        found = [each for child in children for each in child.findings()]
        if found:
            mine["findings"] += found
            self.write()

    def write(self) -> None:
        """Write all that was found, so that the file is whole at any time."""
        tree = {
            "format": FORMAT,
            "date": datetime.now(UTC).date().isoformat(),
            "device": self.options.device,
            "quick": self.options.quick,
            "minutes": self.options.minutes,
            "seconds": round(time.monotonic() - self.began, 1),
            "parts": self.parts,
        }
        path = self.options.out
        with self.lock:
            part = path.with_name(f"{path.name}.part")
            part.write_text(anonymous(json.dumps(tree, indent=1)) + "\n", encoding="utf-8")
            part.replace(path)


def anonymous(text: str) -> str:
    """Return a text without the folders of this machine."""
    for folder, word in ((str(HERE.parent.parent), "."), (str(Path.home()), "~")):
        text = text.replace(folder, word) if len(folder) > 1 else text
    return text


def processes() -> int:
    """Return how many processes may share a part."""
    return max(1, min(MOST_PROCESSES, (os.cpu_count() or 1) // 2))


def describe(part: dict[str, Any]) -> str:
    """Say in a line what a part found."""
    kinds = Counter(kind_of(each) for each in part["findings"])
    if "seconds" not in part:
        return str(part["status"])
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return f"{part['status']}, {part['seconds']:.0f} s: {counts or 'nothing'}"


def kind_of(finding: dict[str, Any]) -> str:
    """Return what kind of finding it is."""
    for kind in ("skipped", "failed"):
        if kind in finding:
            return kind
    is_wrong = finding.get("ok") is False or finding.get("failing")
    return "wrong" if is_wrong else "found"


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, help="By default 8, or 2 for a quick look.")
    parser.add_argument("--quick", action="store_true", help="Numbers that say little.")
    parser.add_argument("--only", nargs="+", choices=SECONDS, help="Some parts alone.")
    parser.add_argument("--data", help="A folder with CIFAR-10, for its recipes.")
    parser.add_argument("--keep", help="A folder in which trained recipes stay.")
    parser.add_argument("--out", type=Path, default=Path("gpu-look.json"))
    options = parser.parse_args(arguments)
    options.minutes = options.minutes or (2.0 if options.quick else 8.0)
    return options


def main(arguments: list[str] | None = None) -> None:
    """Look, and say what was seen."""
    options = parsed(arguments)
    look = Look(options)
    look.parts = {part: {"status": "waits", "findings": []} for part in options.only or SECONDS}

    def do(part: str) -> None:
        look.run(part)
        look.write()
        print("\n".join(tell(part, look.parts[part])), flush=True)

    # Clocks need a machine of their own, and quick numbers say nothing anyway.
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1) if options.quick else 1) as pool:
        signal.signal(signal.SIGTERM, lambda *given: look.end())
        list(pool.map(do, look.parts))
    look.write()
    print(f"{options.out} holds all of it")


def tell(name: str, part: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that are printed of a part: what is not as it should be stands alone."""
    yield f"{name:15} {describe(part)}"
    for found in part["findings"]:
        if (kind := kind_of(found)) != "found":
            why = found.get(kind) or {key: found[key] for key in found if key != "what"}
            yield f"  {kind}: {found.get('what', name)}: {why}"


if __name__ == "__main__":
    main()
