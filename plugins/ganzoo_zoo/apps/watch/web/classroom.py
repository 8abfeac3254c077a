"""A class at the page: who enters, by which key each is known, and what each may see and do."""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import threading
import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ganzoo.errors import GanzooError, InputError

TEACHER, PUPIL, LOOKER = "teacher", "pupil", "looker"

LETTERS = "AEFHJKLMRUWXY"
"""Letters of a code, of which none looks like another one or like a digit, and few sound alike."""
CODE_LENGTH = 6
SHORTEST_CODE, LONGEST_CODE = 4, 32
LONGEST_NAME = 40
MOST_PUPILS = 100
FREE_GUESSES = 3
"""Wrong codes from one address without a pause; then each doubles it."""
SHORTEST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
GUESSES_A_MINUTE = 60
"""Wrong codes in a minute from all addresses together; beyond them nobody can enter for a while."""
MOST_ADDRESSES = 1024
"""Addresses whose wrong codes are remembered."""


class Slowed(GanzooError):
    """Too many wrong codes were given; the next try must wait."""


@dataclass(frozen=True)
class Person:
    """Somebody at the page: the teacher, a pupil by name, or a looker without a key."""

    role: str
    name: str = ""

    def may_see(self, owner: str) -> bool:
        """Tell whether the person sees a run of an owner: a pupil, or the teacher if empty."""
        return not owner or self.may_act_on(owner)

    def may_act_on(self, owner: str) -> bool:
        """Tell whether the person may act on a run of an owner."""
        return self.role == TEACHER or (self.role == PUPIL and self.name == owner)

    @property
    def owner(self) -> str:
        """The owner of the runs that this person starts."""
        return self.name if self.role == PUPIL else ""


THE_TEACHER, A_LOOKER = Person(TEACHER), Person(LOOKER)


class Classroom:
    """The pupils of a class, who enter with a code.

    Args:
        code: The code; a new one if None.
        clock: Seconds, for how long wrong codes pause.

    Raises:
        InputError: the code is too short, too long, or not of letters and digits.
    """

    def __init__(
        self, code: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._code = _make_code() if code is None else _require_code(code)
        self._lock = threading.Lock()
        self._guesses = _Guesses(clock)
        self._keys: dict[str, Person] = {}
        self._folders: dict[str, str] = {}

    @property
    def code(self) -> str:
        """The code as it is shown, in groups of three."""
        return "-".join(re.findall(".{1,3}", self._code))

    @property
    def pupils(self) -> list[str]:
        """Names of the pupils, in the order in which they entered."""
        with self._lock:
            return list(self._folders)

    def enter(self, code: str, name: str, address: str) -> tuple[str, str]:
        """Let a pupil enter.

        Args:
            code: The code as the pupil typed it; case, spaces and hyphens do not matter.
            name: What the pupil wants to be called.
            address: The address that the request comes from.

        Returns:
            The pupil's key and their name, which no other pupil has.

        Raises:
            Slowed: too many wrong codes came from there, or from everywhere.
            InputError: the code is wrong, the name cannot be shown, or the class is full.
        """
        with self._lock:
            self._guesses.require_patience(address)
            if not _is_same(_simplify(code), self._code):
                self._guesses.note(address)
                raise InputError("that is not the code of this class: ask your teacher")
            self._guesses.forget(address)
            name = self._make_unique(_require_name(name))
            if len(self._folders) >= MOST_PUPILS:
                raise InputError(f"the class is full: there are {MOST_PUPILS} pupils")
            key = secrets.token_urlsafe(16)
            self._folders[name] = _make_folder(len(self._folders) + 1, name)
            self._keys[key] = Person(PUPIL, name)
            return key, name

    def find(self, key: str) -> Person | None:
        """Return the pupil of a key; it takes as long for a key that is nearly right."""
        found = None
        with self._lock:
            for each, person in self._keys.items():
                if _is_same(key, each):
                    found = person
        return found

    def folder_of(self, name: str) -> str:
        """Return the name of a pupil's folder: plain letters, digits and hyphens."""
        with self._lock:
            return self._folders[name]

    def _make_unique(self, name: str) -> str:
        """Add a number to a name that another pupil has."""
        taken = {each.casefold() for each in self._folders}
        unique, count = name, 1
        while unique.casefold() in taken:
            count += 1
            unique = f"{name[: LONGEST_NAME - 4].rstrip()} {count}"
        return unique


class _Guesses:
    """The wrong codes of late, by address and in all."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_address: dict[str, tuple[int, float]] = {}
        """How many wrong codes came from an address, and until when it has to wait."""
        self._times: list[float] = []

    def require_patience(self, address: str) -> None:
        now = self._clock()
        self._times = [each for each in self._times if now - each < 60]
        until = self._by_address.get(_network_of(address), (0, 0.0))[1]
        if len(self._times) >= GUESSES_A_MINUTE:
            until = max(until, self._times[0] + 60)
        if now < until:
            raise Slowed(f"too many wrong codes: wait {until - now:.0f} s, then try again")

    def note(self, address: str) -> None:
        now, network = self._clock(), _network_of(address)
        count = self._by_address.pop(network, (0, 0.0))[0] + 1
        doubled = SHORTEST_PAUSE * 2 ** min(count - FREE_GUESSES, 10)
        pause = 0.0 if count <= FREE_GUESSES else min(doubled, LONGEST_PAUSE)
        self._by_address[network] = count, now + pause
        self._times.append(now)
        while len(self._by_address) > MOST_ADDRESSES:
            del self._by_address[next(iter(self._by_address))]

    def forget(self, address: str) -> None:
        self._by_address.pop(_network_of(address), None)


def _is_same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())


def _network_of(address: str) -> str:
    """Return an address without the part of IPv6 that one machine chooses as it likes."""
    with suppress(ValueError):
        found = ipaddress.ip_address(address.partition("%")[0])
        if found.version == 6 and found.ipv4_mapped is None:
            return str(ipaddress.ip_network((found, 64), strict=False))
    return address


def _make_code() -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))


def _simplify(code: str) -> str:
    return re.sub("[\\s-]", "", code).upper()


def _require_code(code: str) -> str:
    simple = _simplify(code)
    good = simple.isascii() and simple.isalnum() and SHORTEST_CODE <= len(simple) <= LONGEST_CODE
    if not good:
        raise InputError(
            f"--code has {SHORTEST_CODE} to {LONGEST_CODE} letters and digits, without accents"
        )
    return simple


def _require_name(name: str) -> str:
    """Return a name with single spaces.

    Raises:
        InputError: it is empty, too long, or holds what cannot be seen.
    """
    found = " ".join(unicodedata.normalize("NFC", name).split())
    if not found or len(found) > LONGEST_NAME or not found.isprintable():
        raise InputError(f"a name has 1 to {LONGEST_NAME} letters that can be seen")
    return found


def _make_folder(number: int, name: str) -> str:
    """Return a folder's name, such as ``07-anna``; its number makes it unique."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub("[^a-z0-9]+", "-", plain).strip("-")[:20].rstrip("-")
    return f"{number:02d}-{words}" if words else f"{number:02d}"


def class_json(
    classroom: Classroom, person: Person, runs: dict[str, int], numbers: dict[str, Any]
) -> dict[str, Any]:
    """Return the class as JSON: its code and its pupils for the teacher only.

    Args:
        classroom: The class.
        person: Who looks.
        runs: Number of runs by owner.
        numbers: What everybody sees: bounds, and how many runs wait and train.
    """
    if person.role != TEACHER:
        return numbers
    pupils = [{"name": name, "runs": runs.get(name, 0)} for name in classroom.pupils]
    return {"code": classroom.code, "pupils": pupils, **numbers}
