"""Several processes that train one run, or judge one model: ``torchrun`` starts them.

Tensors travel by torch.distributed: gloo on CPUs, NCCL on GPUs (``collectives``, ``gradients``).
Everything else travels as JSON through the store by which the processes met (``rendezvous``,
``messages``, ``heartbeat``), so that no process waits for a device to learn of it. A single process
is a :class:`Processes` of one, whose methods do nothing; several are a ``Team``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ganzoo.distributed.environment import is_first, local_rank, local_world, rank_and_world
from ganzoo.distributed.processes import ALONE, Processes

__all__ = [
    "ALONE",
    "Processes",
    "current",
    "is_first",
    "join_team",
    "local_rank",
    "local_world",
    "sharers",
    "sharing",
]

_teams: list[Processes] = []


def current() -> Processes:
    """Return the processes that work together at present."""
    return _teams[-1] if _teams else Processes()


def sharers() -> Processes:
    """Return the processes that split the work at present; outside ``sharing``, this one alone."""
    team = current()
    return team if team.is_sharing else ALONE


@contextmanager
def join_team() -> Iterator[Processes]:
    """Work together with the other processes that ``torchrun`` has started, if any.

    A block within another one changes nothing. A process that leaves the block by an error tells
    the others, which then end as well.

    Raises:
        ganzoo.distributed.failures.PeerFailed: another process has failed, or is gone.
        InputError: the environment does not say how the processes find each other.
    """
    if _teams or rank_and_world()[1] == 1:
        yield current()
        return
    from ganzoo.distributed.team import Team

    team = Team(*rank_and_world())
    _teams.append(team)
    try:
        yield team
    except BaseException as error:
        _teams.clear()
        ended = team.leave_with_error(error)
        if ended is error:
            raise
        raise ended from error
    _teams.clear()
    team.leave()


@contextmanager
def sharing() -> Iterator[None]:
    """Split the work of the block among the processes; see :meth:`Processes.map_items`."""
    team = current()
    before, team.is_sharing = team.is_sharing, True
    try:
        yield
    finally:
        team.is_sharing = before
