"""Errors on their way from one process to the others."""

from __future__ import annotations

from dataclasses import dataclass

from ganzoo.errors import Diverged, GanzooError, InputError, first_line

SHARED_KINDS = {kind.__name__: kind for kind in (Diverged, InputError, GanzooError)}
"""Errors that all processes may raise alike, the most special first."""


class PeerFailed(GanzooError):
    """Another process of the run has failed, or is gone."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class CommunicationFailed(GanzooError):
    """An exchange failed, as happens when another process has gone."""


@dataclass(frozen=True)
class Failure:
    """The process that failed first, if it is known, and why."""

    rank: int | None
    message: str
    exit_code: int = 1

    @classmethod
    def of(cls, error: BaseException, rank: int) -> Failure:
        """Describe an error of a process."""
        return cls(rank, message_of(error), getattr(error, "exit_code", 1))

    def describe(self, advice: str) -> str:
        """Say which process failed, why, and what to do."""
        text = self.message if self.rank is None else f"rank {self.rank}: {self.message}"
        return f"{text}; {advice}" if advice and advice not in text else text


LOST_STORE = Failure(None, "the process, or the machine, by which the others are reached is gone")


def message_of(error: BaseException) -> str:
    """Return an error's message as one line."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, GanzooError):
        return first_line(error)
    return f"{type(error).__name__}: {first_line(error)}"


def is_consequence(error: BaseException) -> bool:
    """Tell whether an error is that of an exchange, some of which torch itself raises."""
    if isinstance(error, CommunicationFailed):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("gloo" in text or "NCCL" in text)


def error_to_json(error: Exception) -> dict[str, str]:
    """Return an error as JSON, for all processes to raise."""
    if not isinstance(error, GanzooError):
        return {"kind": GanzooError.__name__, "message": message_of(error)}
    kind = next(name for name, kind in SHARED_KINDS.items() if isinstance(error, kind))
    return {"kind": kind, "message": error.message, "hint": error.hint}


def error_from_json(described: dict[str, str]) -> GanzooError:
    """Return the error that a process has described."""
    return SHARED_KINDS[described["kind"]](described["message"], described.get("hint", ""))
