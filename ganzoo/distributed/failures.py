"""What is known of a process that failed, and how an error goes from one process to another."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ganzoo.errors import Diverged, GanzooError, InputError, first_line


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
        """Say who failed, why, and what to do."""
        said = self.message if self.rank is None else f"rank {self.rank}: {self.message}"
        return f"{said}; {advice}" if advice and advice not in said else said

    def as_json(self) -> dict[str, str | int | None]:
        """Return the fields by name."""
        return asdict(self)


LOST_STORE = Failure(None, "the process, or the machine, by which the others are reached is gone")


def message_of(error: BaseException) -> str:
    """Say in a line what an error is."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, GanzooError):
        return first_line(error)
    return f"{type(error).__name__}: {first_line(error)}"


def is_consequence(error: BaseException) -> bool:
    """Tell whether an error is that of an exchange, some of which torch itself makes."""
    if isinstance(error, CommunicationFailed):
        return True
    words = str(error)
    return isinstance(error, RuntimeError) and any(word in words for word in ("gloo", "NCCL"))


_KINDS = {kind.__name__: kind for kind in (Diverged, InputError, GanzooError)}


def error_to_json(error: Exception) -> dict[str, str]:
    """Return an error as JSON, for the other processes to raise."""
    if not isinstance(error, GanzooError):
        return {"kind": GanzooError.__name__, "message": message_of(error)}
    kind = next(name for name, kind in _KINDS.items() if isinstance(error, kind))
    return {"kind": kind, "message": str(error)}


def error_from_json(found: dict[str, str]) -> GanzooError:
    """Return the error that another process has described."""
    return _KINDS[found["kind"]](found["message"])
