"""What pip installs ganzoo by, in messages, cards, Spaces and packages of components.

Another package bears the same name on the public index. The version tells the two apart, so no
line that somebody may copy names ganzoo without one.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from importlib.metadata import version

PACKAGE = "ganzoo"
"""Name of the distribution."""


def build_requirement(extra: str | None = None) -> str:
    """Return the requirement of ganzoo from this version on, such as ``ganzoo[demo]>=0.1``.

    Args:
        extra: An extra of it.
    """
    release = ".".join(version(PACKAGE).split(".")[:2])
    return f"{PACKAGE}{f'[{extra}]' if extra else ''}>={release}"


def install_command(extra: str | None = None, others: Iterable[str] = ()) -> str:
    """Return the command that installs ganzoo, quoted for a shell.

    Args:
        extra: An extra of it.
        others: Names of other packages to install with it.
    """
    return shlex.join(["pip", "install", build_requirement(extra), *others])
